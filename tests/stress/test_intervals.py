"""Intervals hold the true value as often as they say, for returns as they come and for shares."""

import numpy as np
import pytest

from dreamenv.config import WorldConfig
from dreamenv.evaluate.scores import bootstrap_interval, summarise
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.rollouts import Outcome

CONFIG = WorldConfig("Any-v0", (4, 4, 3), ActionSpec(n=2), 20, success_reward=0.5)


def goals(generator, count, share=0.6):
    """Returns of a task with a goal: 0, or between 0.8 and 1."""
    return np.where(generator.random(count) < share, generator.uniform(0.8, 1.0, count), 0.0)


RETURNS = {
    "normal": (lambda generator, count: generator.normal(2.0, 1.0, count), 2.0),
    "exponential": (lambda generator, count: generator.exponential(1.0, count), 1.0),
    "goal or nothing": (goals, 0.6 * 0.9),
}


@pytest.mark.parametrize("name", RETURNS)
@pytest.mark.parametrize(("episodes", "least"), [(30, 0.90), (100, 0.93)])
def test_bootstrap_intervals_hold_the_true_mean_as_often_as_they_say(cases, figure, name, episodes, least):
    draw, mean = RETURNS[name]
    generator = np.random.default_rng(episodes)
    count = cases(100, 1000)
    intervals = [bootstrap_interval(draw(generator, episodes)) for _ in range(count)]

    held = np.mean([low <= mean <= high for low, high in intervals])

    figure(f"95% intervals of {episodes} returns ({name}) that hold the mean", f"{held:.1%}", f"{least:.0%} to 98%")
    error = 4.0 * np.sqrt(0.05 * 0.95 / count)
    assert least - error <= held <= 0.98 + error


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_wilsons_intervals_hold_the_true_share_as_often_as_they_say(cases, figure, share):
    generator = np.random.default_rng(int(100 * share))
    count, held = cases(50, 1000), 0
    for _ in range(count):
        won = generator.random(100) < share
        outcomes = [Outcome(i, i, 0.0, float(success), 5, True) for i, success in enumerate(won)]
        found = summarise(outcomes, CONFIG, name="any", temperature=None)
        held += found.success_low <= share <= found.success_high

    figure(f"95% intervals of 100 successes ({share:.0%}) that hold the share", f"{held / count:.1%}", "92% to 99%")
    error = 4.0 * np.sqrt(0.05 * 0.95 / count)
    assert 0.92 - error <= held / count <= 0.99 + error
