"""What holds for every action space, every action and every temperature: taken as they are, or refused in words."""

from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import InvalidAction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import TypeAdapter

from dreamenv.envs.actions import check_actions
from dreamenv.envs.settings import check_temperature
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.foundation.spaces import ActionSpec

SINGLES = st.floats(-1e6, 1e6, width=32)
DISCRETE = st.integers(1, 300).map(lambda n: ActionSpec(n=n))


@st.composite
def boxes(draw):
    rising = st.tuples(SINGLES, SINGLES).map(sorted).filter(lambda bounds: bounds[0] < bounds[1])
    bounds = draw(st.lists(rising, min_size=1, max_size=4))
    return ActionSpec(low=tuple(low for low, _ in bounds), high=tuple(high for _, high in bounds))


SPECS = DISCRETE | boxes()
LARGEST = float(np.finfo(np.float32).max)


SPACES = [
    *(gym.spaces.Discrete(n, start=start) for n in (1, 9, 10**6) for start in (-1, 0, 1)),
    *(gym.spaces.Box(0.0, 1.0, shape, np.float32) for shape in [(), (0,), (1,), (3,), (2, 2)]),
    *(gym.spaces.Box(low, high, (2,)) for low in (-np.inf, -1.0, 0.0) for high in (0.0, 1.0, np.inf)),
    gym.spaces.Box(0.0, 1.0, (2,), np.float64),
    gym.spaces.Box(0, 4, (2,), np.int64),
    gym.spaces.MultiDiscrete([2, 3]),
    gym.spaces.MultiBinary(2),
    gym.spaces.Tuple([gym.spaces.Discrete(2)]),
]


@given(SPECS)
def test_a_spec_survives_its_space_and_json(spec):
    adapter = TypeAdapter(ActionSpec)
    assert ActionSpec.from_space(spec.space) == spec
    assert adapter.validate_json(adapter.dump_json(spec), strict=True) == spec
    assert spec.size == (spec.space.n if spec.discrete else spec.space.shape[0])


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_is_described_or_refused(space):
    try:
        spec = ActionSpec.from_space(space)
    except UnsupportedEnvironmentError as error:
        assert str(space) in str(error)
        return
    described = spec.space
    assert type(described) is type(space) and described.shape == space.shape
    assert all(space.contains(described.sample().astype(space.dtype)) for _ in range(10))


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        (gym.spaces.Discrete(2**14 + 1), "at most 16,384 actions or dimensions, not 16,385"),
        (gym.spaces.Box(-1.0, 1.0, (2**14 + 1,)), "at most 16,384 actions or dimensions, not 16,385"),
        (gym.spaces.Box(np.float32([0, 1]), np.float32([1, 1])), "low < high.*not 1.0 and 1.0 in dimension 1"),
        (gym.spaces.Box(-1e300, 1.0, (1,), np.float64), "within float32.*not -1e.300 and 1.0 in dimension 0"),
    ],
    ids=str,
)
def test_a_refused_space_is_told_what_it_lacks(space, problem):
    with pytest.raises(UnsupportedEnvironmentError, match=problem):
        ActionSpec.from_space(space)


@given(SPECS, st.integers(0, 1000))
def test_every_action_that_is_drawn_is_in_the_space(spec, seed):
    generator = np.random.default_rng(seed)
    assert all(spec.space.contains(spec.sample(generator)) for _ in range(20))


def accepted(actions, spec, count):
    try:
        checked = check_actions(actions, spec, count)
    except InvalidAction as error:
        assert f"expected {count} actions in {spec.space}" in str(error)
        return None
    assert tuple(checked.shape) == ((count,) if spec.discrete else (count, spec.size))
    assert checked.dtype is (torch.int64 if spec.discrete else torch.float32)
    return checked.numpy()


@given(DISCRETE, st.data())
def test_integers_are_taken_if_every_one_is_in_the_space(spec, data):
    dtype = data.draw(st.sampled_from([np.int8, np.int32, np.int64, np.uint8, np.uint64]))
    near = st.integers(max(np.iinfo(dtype).min, -2), min(np.iinfo(dtype).max, spec.n + 1))
    values = arrays.from_dtype(np.dtype(dtype)) | near
    actions = data.draw(arrays.arrays(dtype, data.draw(st.integers(1, 4)), elements=values))

    taken = accepted(actions, spec, len(actions))

    assert (taken is not None) == all(spec.space.contains(int(row)) for row in actions)
    assert taken is None or np.array_equal(taken, actions)


@given(boxes(), st.data())
def test_floats_are_taken_if_every_row_is_in_the_space(spec, data):
    edges = [bound for bounds in (spec.low, spec.high) for bound in bounds]
    values = st.sampled_from([*edges, *(np.nextafter(np.float32(edge), np.float32(np.inf)) for edge in edges)])
    shape = (data.draw(st.integers(1, 4)), spec.size)
    actions = data.draw(arrays.arrays(np.float32, shape, elements=values | st.floats(width=32)))
    if data.draw(st.booleans()):
        actions = np.clip(actions, spec.low, spec.high, dtype=np.float32)

    taken = accepted(actions, spec, len(actions))

    assert (taken is not None) == all(spec.space.contains(row) for row in actions)
    assert taken is None or np.array_equal(taken, actions)
    tensor = accepted(torch.from_numpy(actions), spec, len(actions))
    assert (tensor is None) == (taken is None)


@given(boxes(), st.data())
def test_double_precision_is_compared_as_it_came_and_rounded_into_the_space(spec, data):
    edges = [bound for bounds in (spec.low, spec.high) for bound in bounds]
    values = st.sampled_from([*edges, *np.nextafter(edges, np.inf), *np.nextafter(edges, -np.inf)]) | st.floats()
    actions = data.draw(arrays.arrays(np.float64, (2, spec.size), elements=values))
    if data.draw(st.booleans()):
        actions = np.clip(actions, spec.low, spec.high)

    taken = accepted(actions, spec, 2)

    assert (taken is not None) == bool(np.all((actions >= spec.low) & (actions <= spec.high)))
    assert taken is None or all(spec.space.contains(row) for row in taken)


@given(SPECS, arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_side=3)), st.integers(1, 3))
def test_arrays_of_any_other_kind_are_refused_in_words(spec, actions, count):
    taken = accepted(actions, spec, count)
    if actions.shape != ((count,) if spec.discrete else (count, spec.size)):
        assert taken is None


@given(
    st.floats() | st.integers() | st.integers(300, 400).map(lambda power: 10**power) | st.fractions(), st.integers(1, 4)
)
def test_a_number_is_a_temperature_if_it_is_finite_and_not_negative(value, num_envs):
    if not 0 <= value <= LARGEST:
        with pytest.raises(ValueError, match="expected a temperature"):
            check_temperature(value, num_envs)
        return
    low, high = check_temperature(value, num_envs)
    assert low.dtype is torch.float64 and low.tolist() == high.tolist() == [float(value)] * num_envs


@given(st.tuples(st.floats(), st.floats()), st.integers(1, 4))
def test_a_pair_is_a_range_if_it_rises(pair, num_envs):
    if not 0.0 <= pair[0] <= pair[1] <= LARGEST:
        with pytest.raises(ValueError, match="expected a temperature"):
            check_temperature(pair, num_envs)
        return
    assert check_temperature(pair, num_envs).T.tolist() == [list(pair)] * num_envs


@given(arrays.arrays(st.sampled_from([np.float32, np.float64, np.int64, np.bool_]), arrays.array_shapes(max_dims=2)))
def test_an_array_sets_one_temperature_each(values):
    num_envs = len(values)
    fits = values.ndim == 1 and values.dtype != bool and np.all((values >= 0) & (values <= LARGEST))
    if not fits:
        with pytest.raises(ValueError, match="expected a temperature"):
            check_temperature(values, num_envs)
        return
    low, high = check_temperature(values, num_envs)
    assert low.tolist() == high.tolist() == values.tolist()


JUNK = (
    st.none() | st.booleans() | st.text() | st.binary() | st.complex_numbers() | st.dictionaries(st.text(), st.floats())
)


@given(JUNK | st.lists(st.floats() | JUNK, max_size=4).filter(lambda items: len(items) != 2), st.integers(1, 4))
def test_nothing_else_is_a_temperature(value, num_envs):
    with pytest.raises(ValueError, match="expected a temperature"):
        check_temperature(value, num_envs)


def test_fractions_are_numbers():
    assert check_temperature(Fraction(1, 4), 1).tolist() == [[0.25], [0.25]]
