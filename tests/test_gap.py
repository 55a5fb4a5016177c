"""The dream's promise against reality."""

import dataclasses

import numpy as np
import pytest

from dreamenv.evaluate.gap import best_temperature, gaps
from dreamenv.evaluate.scores import summarise
from dreamenv.rollouts import Outcome


def played(world, returns, temperature=None):
    outcomes = [Outcome(i, i, float(value), float(value), 10, value > 0) for i, value in enumerate(returns)]
    return summarise(outcomes, world.config, name="agent", temperature=temperature)


def test_gaps_are_differences_of_means(dot_world):
    found = {
        gap.quantity: gap for gap in gaps(played(dot_world, [0.9, 0.9, 0.9, 0.0], 1.0), played(dot_world, [0, 0.9]))
    }
    assert list(found) == ["return", "success", "length"]
    assert found["return"].difference == pytest.approx(0.675 - 0.45)
    assert found["success"].difference == pytest.approx(0.25)
    assert found["return"].low <= found["return"].difference <= found["return"].high
    assert (found["length"].low, found["length"].high) == (0.0, 0.0)
    assert {gap.temperature for gap in found.values()} == {1.0}


def test_intervals_hold_the_true_gap_as_often_as_they_say(dot_world):
    generator = np.random.default_rng(0)
    holds = []
    for _ in range(60):
        dream = played(dot_world, generator.normal(0.8, 0.2, 50), 1.0)
        real = played(dot_world, generator.normal(0.5, 0.2, 30))
        gap = gaps(dream, real)[0]
        holds.append(gap.low <= 0.3 <= gap.high)
    assert 0.85 < np.mean(holds) <= 1.0


def test_more_episodes_say_it_more_exactly(dot_world):
    def width(count):
        values = np.random.default_rng(1).normal(0.5, 0.2, count)
        gap = gaps(played(dot_world, values, 1.0), played(dot_world, values))[0]
        return gap.high - gap.low

    assert width(400) < 0.5 * width(50)


def test_the_best_temperature_predicts_the_real_return(dot_world):
    dreams = [played(dot_world, [promise] * 3, t) for t, promise in ((1.3, 0.52), (0.1, 0.9), (1.0, 0.45), (0.5, 0.48))]
    real = played(dot_world, [0.5, 0.5])
    assert best_temperature(dreams, real) == 0.5


def test_two_dreams_are_no_gap(dot_world):
    dream, real = played(dot_world, [1.0], 1.0), played(dot_world, [1.0])
    for pair in ((dream, dream), (real, real), (real, dream)):
        with pytest.raises(ValueError, match="expected scores of a dream and of reality"):
            gaps(*pair)
    with pytest.raises(ValueError, match="at least one dream"):
        best_temperature([], real)


def test_there_is_no_gap_of_successes_where_none_are_known(dot_world):
    dream = played(dot_world, [0.5], 1.0)
    real = dataclasses.replace(played(dot_world, [0.5]), success=None)
    assert [gap.quantity for gap in gaps(dream, real)] == ["return", "length"]


def test_one_episode_is_compared_with_many(dot_world):
    (gap, *_) = gaps(played(dot_world, [0.9], 1.0), played(dot_world, [0.2, 0.4, 0.6]))
    assert gap.difference == pytest.approx(0.5)
    assert gap.low == pytest.approx(0.3) and gap.high == pytest.approx(0.7)
