"""Environments take wild input: they refuse it by a typed error, and go on as if it had not come."""

import decimal
import fractions
import math
import numbers

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import dreamenv
from dreamenv import DreamEnv, DreamVectorEnv
from dreamenv.envs.latent import make_latent
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.models.latent import Z_BOUND, Mixture

pytestmark = pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array")

N = 3  # environments of a vector
TYPED = (gym.error.Error, ValueError, TypeError)
NUMBERS = [
    0, 1, 2, 3, -1, 1.0, 0.5, 1.5, -1.0, -2.0, math.nan, math.inf, -math.inf, 1e-320, 1e39, 1.0 + 1e-9,
    True, False, 10**30, 10**400, -(10**5000), 2**63, -(2**63), 2**64, 1j, 0.25 + 0j,
    fractions.Fraction(1, 2), decimal.Decimal(1),
]  # fmt: skip
DTYPES = "bool int8 uint8 int16 int32 int64 uint64 float16 float32 float64 longdouble complex64 U3 S2 O M8[s] m8[s]"
TENSOR_DTYPES = [torch.bool, torch.uint8, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64]
SHAPES = [(), (0,), (1,), (1,), (1,), (N,), (N,), (N,), (N, 1), (N, 1), (1, N), (N + 1,), (N, 2), (2, N, 1)]


class Unconvertible:
    """Fails in ways of its own when NumPy asks for its values, and when it is to be printed."""

    def __array__(self, dtype=None, copy=None):
        raise KeyError("no array in here")

    def __repr__(self):
        raise RecursionError("no words for it")


class EndlessSequence:
    """Has a length, but no elements."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        raise IndexError(index)


def wild_number(rng):
    return NUMBERS[rng.integers(len(NUMBERS))]


def wild_scalar(rng):
    return np.ravel(wild_array(rng, ()))[0]


def wild_array(rng, shape=None):
    shape = SHAPES[rng.integers(len(SHAPES))] if shape is None else shape
    dtype = np.dtype(rng.choice(DTYPES.split()))
    if rng.random() < 0.5:  # mostly in the spaces, where numbers of this type can be
        values = rng.integers(-1 if rng.random() < 0.2 else 0, 3, shape)
    else:
        values = rng.choice([0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 1.5, math.nan, math.inf, 1e300, -1e10], shape)
    with np.errstate(all="ignore"):
        array = np.asarray(values).astype("int64" if dtype.kind in "mM" else dtype).astype(dtype)
    if rng.random() < 0.2:
        array = np.array(array[..., None].repeat(2, -1))[..., 0] if array.ndim else array
        array.flags.writeable = False
    return array


def wild_tensor(rng):
    shape = SHAPES[rng.integers(len(SHAPES))]
    tensor = torch.from_numpy(np.asarray(rng.integers(-1 if rng.random() < 0.3 else 0, 3, shape), np.float64))
    tensor = tensor.to(TENSOR_DTYPES[rng.integers(len(TENSOR_DTYPES))])
    kind = rng.integers(6)
    if kind == 0 and tensor.is_floating_point():
        return tensor.requires_grad_()
    if kind == 1:
        return tensor.to_sparse()
    if kind == 2:
        return tensor.to("meta")
    if kind == 3 and tensor.is_floating_point():
        return tensor * math.nan
    return tensor


def wild_list(rng, depth=0):
    length = N if rng.random() < 0.6 else int(rng.integers(5))
    if rng.random() < 0.4:  # a proper one
        nested = rng.random() < 0.5
        return [[int(i)] if nested else int(i) for i in rng.integers(0, 2, length)]
    items = [wild_list(rng, depth + 1) if depth < 2 and rng.random() < 0.2 else wild_number(rng) for _ in range(length)]
    return tuple(items) if rng.random() < 0.3 else items


def wild_object(rng):
    things = [
        None, "left", "0", "1.0", "", b"0", b"\x00\x01\x02", bytearray(N), {}, {0: 1}, {"action": 0}, {0, 1, 2},
        object(), object, len, Ellipsis, NotImplemented, range(N), range(2), iter([0, 1, 2]), (i for i in range(N)),
        slice(N), Unconvertible(), EndlessSequence(), memoryview(b"\x00\x01\x02"), np.zeros(N, [("a", int)]),
        np.ma.masked, np.ma.array([0, 1, 2], mask=True), np.dtype("int64"), gym.spaces.Discrete(3), ["a"] * N,
        [None] * N, [[]] * N, [[0], 1, [2, 3]], [torch.tensor(0)] * N, [np.int64(1)] * N, [np.array([0])] * N,
        [Unconvertible()] * N, torch.device("cpu"), Exception("boo"), np.float32(0.5), np.int8(1), np.bool_(True),
    ]  # fmt: skip
    return things[rng.integers(len(things))]


def wild(rng):
    kinds = [wild_number, wild_scalar, wild_array, wild_array, wild_tensor, wild_list, wild_object]
    return kinds[rng.integers(len(kinds))](rng)


def wild_after_numbers(case, seed):
    """All numbers, all of them in a list of N, then whatever comes."""
    if case < 2 * len(NUMBERS):
        number = NUMBERS[case // 2]
        return [0, number, 1] if case % 2 else number
    return wild(np.random.default_rng(seed + case))


def are_in(space, actions, num_envs):
    """Whether N rows come, or one without an axis of its own if N is None, each in the space by its exact value.

    Integers of any type count, floats for a Box only; tensors have the type of the space. True alone is 1.
    """
    if num_envs is None and isinstance(actions, bool):
        actions = int(actions)
    if isinstance(actions, np.ma.MaskedArray):
        return False
    try:
        rows = np.asarray(actions.detach() if isinstance(actions, torch.Tensor) else actions)
    except Exception:
        return False
    discrete = isinstance(space, gym.spaces.Discrete)
    batch = () if num_envs is None else (num_envs,)
    if rows.shape != (*batch, *space.shape) or rows.dtype.kind not in ("iu" if discrete else "iuf"):
        return False
    if isinstance(actions, torch.Tensor) and actions.dtype is not (torch.int64 if discrete else torch.float32):
        return False
    if discrete:
        return all(space.contains(int(row)) for row in rows.flat)
    bounds = float(space.low[0]), float(space.high[0])
    return all(math.isfinite(x) and bounds[0] <= fractions.Fraction(float(x)) <= bounds[1] for x in rows.flat)


@pytest.fixture(scope="module")
def moving(dot_world, continuous_world):
    """``moving(place, world, number)``: a new environment; none ends before many steps are over."""

    def make(place, kind, num_envs=None):
        world = {"discrete": dot_world, "continuous": continuous_world}[kind]
        if place == "dream":
            return DreamEnv(world) if num_envs is None else DreamVectorEnv(world, num_envs)
        return make_latent(world) if num_envs is None else make_latent_vector(world, num_envs)

    return make


PLACES = pytest.mark.parametrize("place", ["dream", "real"])
SPACES = pytest.mark.parametrize("kind", ["discrete", "continuous"])


def same(one, other):
    """Whether two results of a step or a reset have the same bits."""
    return all(
        np.array_equal(a, b) and getattr(a, "dtype", type(a)) == getattr(b, "dtype", type(b))
        for a, b in zip(one[:-1], other[:-1], strict=True)
    )


def go_on(env, twin, case):
    """Takes the same proper step in both, and finds the same bits."""
    space = env.action_space
    space.seed(case)
    action = space.sample()
    mine, theirs = env.step(action), twin.step(action)
    assert same(mine, theirs), f"case {case}: the refused call changed what comes next"
    if np.ndim(mine[2]) == 0 and (mine[2] or mine[3]):
        assert same(env.reset(), twin.reset()), f"case {case}: the refused call changed the next start"


@PLACES
@SPACES
@pytest.mark.parametrize("num_envs", [None, N])
def test_actions_are_taken_from_the_space_only_and_refused_ones_change_nothing(
    moving, place, kind, num_envs, cases, figure
):
    env, twin = moving(place, kind, num_envs), moving(place, kind, num_envs)
    env.reset(seed=0)
    twin.reset(seed=0)
    single = env.action_space if num_envs is None else env.single_action_space
    accepted, wrong, total = 0, [], cases(150, 1250)
    for case in range(total):
        action = wild(np.random.default_rng(case))
        expected = are_in(single, action, num_envs)
        kept = np.asarray(action.detach() if isinstance(action, torch.Tensor) else action).copy() if expected else None
        try:
            result = env.step(action)
        except gym.error.InvalidAction:
            if expected:
                wrong.append((case, "refused"))
        except Exception as error:
            wrong.append((case, repr(error)))
        else:
            accepted += 1
            if not expected:
                wrong.append((case, "accepted"))
                break
            dtype = single.dtype
            assert same(result, twin.step(kept.astype(dtype) if kept.ndim else dtype.type(kept))), f"case {case}"
            if num_envs is None and (result[2] or result[3]):
                assert same(env.reset(), twin.reset())
        go_on(env, twin, case)
    what = f"{total} wild actions, {place}, {kind}, {'one' if num_envs is None else 'vector'}: not as the space says"
    figure(what, len(wrong), 0)
    assert not wrong
    assert 0.01 < accepted / total < 0.6


def plain_seed(seed, num_envs):
    """The seed in Python's own types; a ValueError if Gymnasium does not know it.

    One environment takes a Python integer, a vector NumPy's as well, and one for each of its environments.
    """
    kinds = int if num_envs is None else int | np.integer
    several = num_envs and isinstance(seed, list | tuple | range | bytearray | memoryview | np.ndarray)
    rows = list(seed) if several else [seed]
    whole = all(s is None or (isinstance(s, kinds) and not isinstance(s, np.timedelta64) and s >= 0) for s in rows)
    if not whole or (several and len(rows) != num_envs):
        raise ValueError("not a seed")
    plain = [None if s is None else int(s) for s in rows]
    return plain if several else plain[0]


@PLACES
@pytest.mark.parametrize("num_envs", [None, N])
def test_wrong_seeds_are_refused_and_change_nothing(moving, place, num_envs, cases, figure):
    env, twin = (moving(place, "discrete", num_envs) for _ in range(2))
    env.reset(seed=0)
    twin.reset(seed=0)
    wrong, total = [], cases(80, 100)
    for case in range(total):
        seed = wild_after_numbers(case, 1_000_000)
        try:
            expected, plain = True, plain_seed(seed, num_envs)
        except Exception:
            expected = False
        try:
            result = env.reset(seed=seed)
        except TYPED as error:
            if expected:
                wrong.append((case, f"refused: {error}"))
        except Exception as error:
            wrong.append((case, repr(error)))
        else:
            if not expected:
                wrong.append((case, f"accepted {seed!r}"))
                break
            seeded = plain is not None and plain != [None] * N
            again = twin.reset(seed=plain)
            assert not seeded or same(result, again), f"case {case}"
        go_on(env, twin, case)
    figure(
        f"{total} wild seeds, {place}, {'one' if num_envs is None else 'vector'}: not as Gymnasium says", len(wrong), 0
    )
    assert not wrong


def wild_options(rng):
    values = {"temperature": wild(rng), "reset_mask": wild(rng), "temprature": wild(rng)}
    chosen = {name: value for name, value in values.items() if rng.random() < 0.4}
    return wild(rng) if rng.random() < 0.2 else {wild_number(rng): 1} if rng.random() < 0.1 else chosen


@PLACES
@pytest.mark.parametrize("num_envs", [None, N])
def test_wrong_options_are_refused_and_change_nothing(moving, place, num_envs, cases, figure):
    env, twin = (moving(place, "discrete", num_envs) for _ in range(2))
    env.reset(seed=0)
    twin.reset(seed=0)
    wrong, refused, total = [], 0, cases(40, 100)
    for case in range(total):
        options = wild_options(np.random.default_rng(2_000_000 + case))
        if isinstance(options, np.ndarray):
            options = {"temperature": options}
        try:
            env.reset(options=options)
        except TYPED:
            refused += 1
        except Exception as error:
            wrong.append((case, repr(error)))
        else:
            if not (options is None or isinstance(options, dict)):
                wrong.append((case, f"accepted {options!r}"))
                break
            twin.reset(options=options)
        go_on(env, twin, case)
    what = f"{total} wild options, {place}, {'one' if num_envs is None else 'vector'}: untyped errors, wrong ones taken"
    figure(what, len(wrong), 0)
    assert not wrong
    assert refused > total / (20 if place == "real" else 4)


def is_temperature(value, num_envs):
    """A number, an array of one for each dream, or a pair in order: of finite numbers >= 0."""
    array = type(value) is np.ndarray and value.shape in ((), (num_envs,)) and value.dtype.kind in "iuf"
    pair = isinstance(value, tuple | list) and len(value) == 2
    parts = list(value.ravel()) if array else value if pair else [value]
    if not all(isinstance(x, numbers.Real) and not isinstance(x, bool | np.timedelta64) for x in parts):
        return False
    try:
        floats = [float(x) for x in parts]
    except OverflowError:
        return False
    return all(0 <= x <= 3.4e38 for x in floats) and (not pair or floats[0] <= floats[1])


@pytest.mark.parametrize("num_envs", [1, N])
def test_wrong_temperatures_are_refused_and_change_nothing(dot_world, num_envs, cases, figure):
    env, twin = (DreamVectorEnv(dot_world, num_envs) for _ in range(2))
    env.reset(seed=0)
    twin.reset(seed=0)
    wrong, total = [], cases(100, 100)
    for case in range(total):
        value = wild_after_numbers(case, 3_000_000)
        expected = is_temperature(value, num_envs)
        try:
            env.set_temperature(value)
        except ValueError:
            if expected:
                wrong.append((case, "refused"))
        except Exception as error:
            wrong.append((case, repr(error)))
        else:
            if not expected:
                wrong.append((case, "accepted"))
                break
            twin.set_temperature(value)
        go_on(env, twin, case)
    figure(f"{total} wild temperatures, {num_envs} dreams: not as documented", len(wrong), 0)
    assert not wrong


SETTINGS = """world num_envs temperature branched_starts start dropout max_episode_steps dtype
    batch_invariant device tensors autoreset_mode render_mode""".split()


def test_wild_settings_make_an_environment_that_works_or_none(dot_world, cases, figure):
    wrong, made, total = [], 0, cases(150, 400)
    for case in range(total):
        rng = np.random.default_rng(4_000_000 + case)
        name = SETTINGS[case % len(SETTINGS)]
        settings = {"world": dot_world, "num_envs": 2, name: wild(rng)}
        try:
            env = DreamVectorEnv(**settings)
        except TYPED:
            continue
        except Exception as error:
            wrong.append((case, name, repr(error)))
            continue
        made += 1
        env.reset(seed=0)
        for _ in range(3):
            observation, reward, *_ = env.step(np.ones(env.num_envs, np.int64))
            if not (torch.isfinite(torch.as_tensor(observation)).all() and np.isfinite(reward).all()):
                wrong.append((case, name, "not finite"))
    figure(f"{total} wild settings of a dream: untyped errors, dreams that do not work", len(wrong), 0)
    assert not wrong
    assert made > 0


class TestOrder:
    """Before reset, after the end, after close: as Gymnasium has it, made by ``gym.make`` or directly."""

    MAKERS = {
        "DreamEnv": lambda world: DreamEnv(world),
        "LatentObservation": lambda world: make_latent(world),
        "gym.make, dream": lambda world: gym.make("dreamenv:Dream-v0", world=str(world.path)),
        "gym.make, latent": lambda world: gym.make("dreamenv:Latent-v0", world=str(world.path)),
        "DreamVectorEnv": lambda world: DreamVectorEnv(world, 2, autoreset_mode=AutoresetMode.DISABLED),
        "VectorLatentObservation": lambda world: make_latent_vector(world, 2, AutoresetMode.DISABLED),
        "gym.make_vec, dream": lambda world: gym.make_vec(
            "dreamenv:Dream-v0", num_envs=2, world=str(world.path), autoreset_mode="Disabled"
        ),
        "gym.make_vec, latent": lambda world: gym.make_vec(
            "dreamenv:Latent-v0", num_envs=2, world=str(world.path), autoreset_mode="Disabled"
        ),
    }

    @pytest.fixture(params=MAKERS)
    def env(self, request, dot_world):
        return self.MAKERS[request.param](dot_world)

    @staticmethod
    def stay(env):
        return np.full(env.num_envs, 2) if hasattr(env, "num_envs") else 2

    def to_the_end(self, env):
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(self.stay(env))
            ended = np.any(terminated | truncated)

    def test_step_before_reset_is_refused(self, env):
        with pytest.raises(gym.error.ResetNeeded):
            env.step(self.stay(env))
        env.reset(seed=0)
        env.step(self.stay(env))

    def test_step_after_a_refused_first_reset_is_refused(self, env):
        with pytest.raises(TYPED):
            env.reset(seed=-1)
        with pytest.raises(gym.error.ResetNeeded):
            env.step(self.stay(env))

    def test_step_after_the_end_is_refused_until_reset(self, env):
        env.reset(seed=0)
        self.to_the_end(env)
        for _ in range(2):
            with pytest.raises(gym.error.ResetNeeded):
                env.step(self.stay(env))
        env.reset()
        env.step(self.stay(env))

    def test_closing_twice_is_allowed(self, env):
        env.reset(seed=0)
        env.close()
        env.close()

    def test_closing_before_reset_is_allowed(self, env):
        env.close()
        env.close()

    @pytest.mark.parametrize("name", [name for name in MAKERS if "ream" in name])
    def test_a_closed_dream_goes_on_since_it_holds_nothing_open(self, dot_world, name):
        env, twin = self.MAKERS[name](dot_world), self.MAKERS[name](dot_world)
        env.reset(seed=0)
        twin.reset(seed=0)
        env.close()
        assert same(env.step(self.stay(env)), twin.step(self.stay(twin)))
        assert same(env.reset(), twin.reset())

    @pytest.mark.parametrize("mask", [np.array([True, False]), np.array([False, True])])
    @pytest.mark.parametrize("name", ["DreamVectorEnv", "VectorLatentObservation"])
    def test_a_first_reset_of_some_only_is_refused(self, dot_world, name, mask):
        env = self.MAKERS[name](dot_world)
        with pytest.raises(gym.error.ResetNeeded, match="expected a reset of all environments first"):
            env.reset(options={"reset_mask": mask})
        env.reset(seed=0)
        env.step(self.stay(env))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 2.0])
def test_dreams_stay_finite_and_bounded(temperature, cases, figure):
    steps, dreams = cases(4_096, 1_000_000), 256
    env = DreamVectorEnv(
        "sidewalk", dreams, temperature=temperature, branched_starts=0.3, tensors=True, autoreset_mode="SameStep"
    )
    env.reset(seed=0)
    rng, latent_size = np.random.default_rng(0), env.world.model.latent_size
    wild_steps, largest = 0, torch.zeros(2)
    for _ in range(math.ceil(steps / dreams)):
        observation, reward, *_ = env.step(rng.integers(0, env.single_action_space.n, dreams))
        peaks = torch.stack([part.abs().max() for part in observation.split([latent_size, dreams * 2], dim=1)])
        good = (peaks <= torch.tensor([Z_BOUND, 1.0])).all() and np.isfinite(reward).all()
        wild_steps += not good
        largest = torch.maximum(largest, peaks)
    found = f"{wild_steps}; |z| <= {largest[0]:.2f}, |h| <= {largest[1]:.4f}"
    figure(f"{steps} dream steps at temperature {temperature}: batches with nan, inf or out of bounds", found, 0)
    assert wild_steps == 0


@pytest.mark.parametrize("temperature", [0.0, 1e-30, 1e3, 3e38])
def test_dreams_at_absurd_temperatures_stay_in_their_space(dot_world, temperature):
    env = DreamVectorEnv(dot_world, 64, temperature=temperature)
    assert env.observation_space.contains(env.reset(seed=0)[0])
    for _ in range(30):
        observation, reward, *_ = env.step(np.full(64, 2))
        assert env.observation_space.contains(observation) and np.isfinite(reward).all()


EXTREMES = torch.tensor([0.0, 1.0, -1.0, 1e4, -1e4, 1e30, -1e30, 3e38, -3e38, 1e-30])


@pytest.mark.parametrize("kind", ["per_dim", "joint"])
def test_extreme_mixtures_stay_finite(kind, cases, figure):
    total, size, components, rng = cases(1000, 5000), 4, 5, torch.Generator().manual_seed(0)
    share = torch.rand(total, 1, generator=rng)  # some are all extreme, some have one such number
    raw = torch.randn(total, Mixture.parameter_count(kind, components, size), generator=rng)
    extreme = EXTREMES[torch.randint(len(EXTREMES), raw.shape, generator=rng)]
    raw = torch.where(torch.rand(raw.shape, generator=rng) < share, extreme, raw).requires_grad_()
    mixture = Mixture.split(raw, kind, components, size)
    temperatures = torch.tensor([0.0, 1e-38, 1e-30, 1.0, 1e30, 3e38])[torch.randint(6, (total,), generator=rng)]
    uniform, normal = torch.rand(total, size, generator=rng), torch.randn(total, size, generator=rng)
    z = mixture.sample(temperatures, uniform, normal)
    density = mixture.log_probability(z.detach().clamp(-Z_BOUND, Z_BOUND))
    (slope,) = torch.autograd.grad(density.sum(), raw)
    parts = {
        "sample": z, "log_prob": density, "its gradient": slope, "entropy": mixture.weight_entropy(),
        "overlap": mixture.overlap(), "live components": mixture.live_components(),
    }  # fmt: skip
    broken = {
        name: torch.nonzero(~torch.isfinite(value.reshape(total, -1)).all(1)).flatten().tolist()
        for name, value in parts.items()
    }
    count = sum(map(len, broken.values()))
    figure(f"{total} extreme mixtures, {kind}: values that are not finite", count, 0)
    assert count == 0, {name: rows[:5] for name, rows in broken.items() if rows}


@pytest.mark.parametrize("value", [(0.1, 1.0), [0.5, 0.5], np.array([1.0]), "1", None, True, math.nan, -1.0, 10**400])
def test_a_comparison_takes_single_temperatures_only_and_says_so_early(value):
    with pytest.raises(ValueError, match="expected a temperature: a single finite number|expected a temperature"):
        dreamenv.CompareConfig(temperatures=(1.0, value))
