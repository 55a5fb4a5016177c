"""What holds for every score and its intervals, whatever the episodes were."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamenv.config import WorldConfig
from dreamenv.evaluate.gap import best_temperature, gaps
from dreamenv.evaluate.scores import bootstrap_interval, is_success, summarise
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.reports.calibration import calibration_curve, calibration_error, precision_recall
from dreamenv.rollouts import Outcome

CONFIG = WorldConfig("Any-v0", (4, 4, 3), ActionSpec(n=2), 20, success_reward=0.5)
RETURNS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 0.1])
SAMPLES = st.lists(RETURNS, min_size=1, max_size=30).map(np.array)


@st.composite
def outcomes(draw):
    """Episodes of consecutive seeds, as a rollout reports them: in any order."""
    length, ended = st.integers(1, 20), st.booleans()
    episodes = [
        Outcome(index, 100 + index, draw(RETURNS), draw(st.sampled_from([0.0, 0.5, 0.75])), draw(length), draw(ended))
        for index in range(draw(st.integers(1, 20)))
    ]
    return draw(st.permutations(episodes))


def scored(episodes, temperature=None, config=CONFIG):
    return summarise(episodes, config, name="any", temperature=temperature)


@given(SAMPLES)
def test_the_interval_of_a_mean_holds_it_and_stays_among_the_values(values):
    low, high = bootstrap_interval(values)

    slack = 1e-12 * np.abs(values).max()  # of values that differ in their last bit, the mean is rounded
    assert low - slack <= values.mean() <= high + slack
    assert values.min() - slack <= low and high <= values.max() + slack


@given(SAMPLES, st.floats(-1e3, 1e3), st.floats(0.125, 100.0))
def test_the_interval_moves_and_grows_with_the_values(values, shift, scale):
    slack = 1e-9 * (scale * np.abs(values).max() + abs(shift) + 1.0)
    expected = scale * np.array(bootstrap_interval(values)) + shift
    np.testing.assert_allclose(bootstrap_interval(scale * values + shift), expected, rtol=1e-9, atol=slack)


@given(RETURNS, st.integers(1, 30))
def test_the_interval_of_equal_values_is_that_value(value, count):
    assert bootstrap_interval(np.full(count, value)) == (value, value)


@given(SAMPLES, st.integers(0, 2**32))
def test_the_interval_is_a_function_of_values_and_seed(values, seed):
    assert bootstrap_interval(values, seed) == bootstrap_interval(values.copy(), seed)


@given(outcomes())
def test_a_score_does_not_depend_on_the_order_in_which_episodes_end(episodes):
    assert scored(episodes) == scored(sorted(episodes, key=lambda outcome: outcome.index))


@given(outcomes())
def test_the_numbers_of_a_score_are_those_of_its_episodes(episodes):
    found = scored(episodes)
    ordered = sorted(episodes, key=lambda outcome: outcome.index)

    assert found.returns == tuple(outcome.episode_return for outcome in ordered)
    assert found.lengths == tuple(outcome.length for outcome in ordered)
    assert found.seeds == (100, 100 + len(episodes) - 1)
    assert found.successes == tuple(is_success(outcome, CONFIG) for outcome in ordered)
    slack = 1e-12 * np.abs(found.returns).max()
    assert found.low - slack <= found.mean <= found.high + slack
    assert 0.0 <= found.success_low <= found.success <= found.success_high <= 1.0
    assert found.success == np.mean(found.successes) and found.length == np.mean(found.lengths)
    assert found.std == pytest.approx(np.std(found.returns)) and found.place == "real"


@given(outcomes())
def test_where_no_success_is_known_there_is_none(episodes):
    found = scored(episodes, config=dataclasses.replace(CONFIG, success_reward=None))
    assert (found.success, found.success_low, found.success_high) == (None, None, None)
    assert not any(found.successes)


@given(outcomes(), outcomes(), st.floats(0.0, 3.0))
def test_a_gap_lies_in_its_interval(dreamed, lived, temperature):
    for gap in gaps(scored(dreamed, temperature), scored(lived)):
        slack = 1e-9 * (abs(gap.dream) + abs(gap.real))
        assert gap.difference == gap.dream - gap.real
        assert gap.low - slack <= gap.difference <= gap.high + slack
        assert gap.temperature == temperature


@given(outcomes(), st.floats(0.0, 3.0))
def test_a_dream_that_is_reality_has_no_gap(episodes, temperature):
    dream, real = scored(episodes, temperature), scored(episodes)

    assert all(gap.difference == 0.0 for gap in gaps(dream, real))
    assert best_temperature([dream], real) == temperature


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), max_size=60))
def test_a_calibration_curve_counts_every_step_once(steps):
    probability, truth = np.array([p for p, _ in steps]), np.array([t for _, t in steps], bool)
    bins = calibration_curve(probability, truth)

    assert sum(b.count for b in bins) == len(steps)
    assert sum(b.count * b.observed for b in bins) == pytest.approx(truth.sum())
    assert sum(b.count * b.predicted for b in bins) == pytest.approx(probability.sum())
    assert all(0.0 <= b.low <= b.observed <= b.high <= 1.0 for b in bins)
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    error = calibration_error(bins)
    assert error is None if not steps else 0.0 <= error <= 1.0


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), max_size=60))
def test_precision_and_recall_are_counted_right_at_every_threshold(steps):
    probability, truth = np.array([p for p, _ in steps]), np.array([t for _, t in steps], bool)
    curve = precision_recall(probability, truth)

    for threshold, precision, recall in zip(curve.threshold, curve.precision, curve.recall, strict=True):
        called = probability >= threshold
        assert precision == pytest.approx(truth[called].mean())
        assert recall == pytest.approx(called[truth].mean())
    assert list(curve.recall) == sorted(curve.recall) and (curve.average is None) == (not truth.any())
    assert curve.average is None or 0.0 < curve.average <= 1.0 + 1e-12
