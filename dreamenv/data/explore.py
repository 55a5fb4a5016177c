"""Exploring policies that use no reward; one is drawn for each episode. Correlated noise for a Box."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from dreamenv.data.episodes import Episode
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import Count, Natural, Range, Settings, Share, Weight
from dreamenv.foundation.spaces import ActionSpec

Act = Callable[[NDArray[np.uint8]], NDArray]


Scale = Annotated[float, Range(1e-6, 1e6)]


@dataclass(frozen=True)
class ExplorationConfig(Settings):
    """Shares of the exploring policies, which are normalised to sum to one, and their settings.

    Attributes:
        bump_and_turn: Repeats one action until it no longer changes the frame, then takes another for a few steps.
        preference: Samples from a softmax that prefers one action, drawn for each episode as in bump-and-turn.
        sticky: Uniformly random actions, each held for a random number of steps.
        noise: Bump-and-turn takes a random action with one of these probabilities, drawn for each episode.
        preference_strength: Range of the preferred action's logit.
        hold: A sticky action is held for 1 to this many steps; one of these numbers is drawn for each episode. Without
            long holds in the data, M does not learn the effects of holding an action.
        start_turns: Bump-and-turn begins with 0 to this many steps of another action.
        bump_turns: After a bump, bump-and-turn takes 1 to this many steps of another action.
        patience: After a bump, bump-and-turn repeats the action for one of these numbers of steps, drawn for each
            episode. Without repeated failures in the data, M predicts that the second try succeeds.
        correlated: Share of the episodes of a Box with correlated noise; the policies above share the rest. Unused for
            discrete spaces.
        spread: Range of the correlated noise's standard deviation in a dimension, as a share of half the dimension's
            range; drawn for each episode and dimension.
        correlation: Range of the correlation time in steps, after which the autocorrelation is 1 / e; drawn for each
            episode and dimension.
    """

    bump_and_turn: Weight = 0.65
    preference: Weight = 0.2
    sticky: Weight = 0.15
    noise: tuple[Share, ...] = (0.0, 0.05, 0.15, 0.3)
    preference_strength: tuple[float, float] = (1.5, 3.5)
    hold: tuple[Count, ...] = (10,)
    start_turns: Natural = 12
    bump_turns: Count = 3
    patience: tuple[Natural, ...] = (0, 1, 2, 3, 4)
    correlated: Share = 0.8
    spread: tuple[Scale, Scale] = (0.05, 1.0)
    correlation: tuple[Scale, Scale] = (1.0, 20.0)

    def __post_init__(self) -> None:
        """Checks that a share is positive."""
        super().__post_init__()
        if not self.bump_and_turn + self.preference + self.sticky > 0.0:
            raise SettingsError("expected a positive share of bump_and_turn, preference, sticky, got 0 for all")


class CorrelatedNoise:
    """Autocorrelated Gaussian noise for a Box: an Ornstein-Uhlenbeck process at whole steps.

    Args:
        action: A Box.
        spread: Standard deviation in every dimension, (A,) or one number, in shares of half the dimension's range.
        correlation: Range from which every dimension's correlation time is drawn, uniformly in its logarithm; in steps.
        generator: Source of all random numbers.
    """

    def __init__(
        self,
        action: ActionSpec,
        spread: float | NDArray,
        correlation: tuple[float, float],
        generator: np.random.Generator,
    ) -> None:
        self._low, self._high = np.array(action.low), np.array(action.high)
        self._deviation = spread * (self._high - self._low) / 2
        self._kept = np.exp(-1.0 / _log_uniform(correlation, action.size, generator))
        self._generator = generator
        self._value = self._deviation * generator.standard_normal(action.size)

    def around(self, mean: NDArray) -> NDArray[np.float32]:
        """Returns (A,) ``mean`` plus the next value of the noise, clipped to the bounds."""
        chosen = np.clip(mean + self._value, self._low, self._high).astype(np.float32)
        fresh = self._deviation * self._generator.standard_normal(len(self._value))
        self._value = self._kept * self._value + np.sqrt(1.0 - self._kept**2) * fresh
        return chosen


def _log_uniform(bounds: tuple[float, float], size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    return np.exp(generator.uniform(math.log(bounds[0]), math.log(bounds[1]), size))


class BumpStatistics:
    """How often each discrete action left the frame unchanged.

    The action that moves the agent through the world bumps in some places and not in others: turning on the spot never
    bumps, waiting always does, walking does both. Bump-and-turn therefore draws its main action in proportion to
    p (1 - p), the variance of the event "the frame stayed the same".

    Args:
        action: The action space.
    """

    def __init__(self, action: ActionSpec) -> None:
        self._tries = np.zeros(action.n)
        self._bumps = np.zeros(action.n)

    def update(self, episodes: Sequence[Episode]) -> None:
        """Counts the bumps of ``episodes``; does nothing for continuous actions."""
        if not len(self._tries):
            return
        for episode in episodes:
            frames = episode.observations
            unchanged = [np.array_equal(before, after) for before, after in zip(frames, frames[1:], strict=False)]
            np.add.at(self._tries, episode.actions, 1)
            np.add.at(self._bumps, episode.actions, unchanged)

    @property
    def main_action_probabilities(self) -> NDArray[np.float64]:
        """(n,) probability of each action to be the main action of bump-and-turn; uniform without data."""
        bump_rate = (self._bumps + 0.5) / (self._tries + 1.0)
        score = bump_rate * (1.0 - bump_rate)
        return score / score.sum()


class Explorer:
    """A batch of exploring policies, one per environment, with the interface of :class:`dreamenv.rollouts.Policy`.

    Args:
        action: The action space.
        config: Shares and settings of the policies.
        statistics: Bumps of earlier episodes.
        seeds: The seed of every episode, in the order in which episodes begin.
    """

    def __init__(
        self, action: ActionSpec, config: ExplorationConfig, statistics: BumpStatistics, seeds: Sequence[int]
    ) -> None:
        self._action, self._config, self._statistics = action, config, statistics
        self._seeds = list(seeds)
        self._begun = 0
        self._acts: dict[int, Act] = {}

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Returns an action for each of (B, H, W, 3) uint8 frames."""
        for slot in np.flatnonzero(episode_start).tolist():
            seed = self._seeds[min(self._begun, len(self._seeds) - 1)]
            self._acts[slot] = self._draw(np.random.default_rng([seed, 1]))[1]
            self._begun += 1
        return np.stack([self._acts[slot](frame) for slot, frame in enumerate(observation)]), None

    def name(self, seed: int) -> str:
        """Returns the name of the policy in the episode with this seed."""
        return self._draw(np.random.default_rng([seed, 1]))[0]

    def _draw(self, generator: np.random.Generator) -> tuple[str, Act]:
        config = self._config
        if not self._action.discrete and generator.random() < config.correlated:
            return "correlated", self._correlated(generator)
        shares = np.array([config.bump_and_turn, config.preference, config.sticky])
        kind = generator.choice(3, p=shares / shares.sum())
        if kind == 0:
            noise = float(generator.choice(config.noise))
            return f"bump-and-turn({noise:g})", self._bump_and_turn(generator, noise)
        if kind == 1:
            return "preference", self._preference(generator)
        return "sticky", self._sticky(generator)

    def _correlated(self, generator: np.random.Generator) -> Act:
        """Adds noise to a mean action drawn once for the episode, so that some episodes use mostly one control."""
        config, size = self._config, self._action.size
        mean = self._preferred(generator)
        spread = _log_uniform(config.spread, size, generator)
        noise = CorrelatedNoise(self._action, spread, config.correlation, generator)
        return lambda frame: noise.around(mean)

    def _preferred(self, generator: np.random.Generator) -> NDArray:
        """Draws an (A,) mean action, half of it at rest: a constant brake would cancel the other controls."""
        low, high = np.array(self._action.low), np.array(self._action.high)
        rest = np.where((low <= 0.0) & (high >= 0.0), 0.0, (low + high) / 2)
        share = np.maximum(generator.uniform(-1.0, 1.0, len(rest)), 0.0)
        return rest + share * (generator.uniform(low, high) - rest)

    def _bump_and_turn(self, generator: np.random.Generator, noise: float) -> Act:
        config = self._config
        previous: NDArray[np.uint8] | None = None
        was_main = False
        patience, bumps = int(generator.choice(config.patience)), 0
        main = self._main_action(generator)
        turn = self._other_action(generator, main)
        turns_left = int(generator.integers(config.start_turns + 1))

        def act(frame: NDArray[np.uint8]) -> NDArray:
            nonlocal previous, was_main, turn, turns_left, bumps
            bumps = bumps + 1 if was_main and previous is not None and np.array_equal(frame, previous) else 0
            if bumps > patience:
                bumps = 0
                turn = self._other_action(generator, main)
                turns_left = int(generator.integers(1, config.bump_turns + 1))
            previous = frame
            if generator.random() < noise:
                was_main = False
                return self._action.sample(generator)
            was_main = turns_left == 0
            turns_left = max(turns_left - 1, 0)
            return main if was_main else turn

        return act

    def _preference(self, generator: np.random.Generator) -> Act:
        strength = generator.uniform(*self._config.preference_strength)
        preferred = self._main_action(generator)
        others = max(self._action.size - 1, 1)
        probability = np.exp(strength) / (np.exp(strength) + others)
        return lambda frame: preferred if generator.random() < probability else self._other_action(generator, preferred)

    def _sticky(self, generator: np.random.Generator) -> Act:
        hold = int(generator.choice(self._config.hold))
        action, steps_left = self._action.sample(generator), 0

        def act(frame: NDArray[np.uint8]) -> NDArray:
            nonlocal action, steps_left
            if steps_left == 0:
                action = self._action.sample(generator)
                steps_left = int(generator.integers(1, hold + 1))
            steps_left -= 1
            return action

        return act

    def _main_action(self, generator: np.random.Generator) -> NDArray:
        if not self._action.discrete:
            return self._action.sample(generator)
        return np.asarray(generator.choice(self._action.n, p=self._statistics.main_action_probabilities))

    def _other_action(self, generator: np.random.Generator, action: NDArray) -> NDArray:
        if not self._action.discrete or self._action.n == 1:
            return self._action.sample(generator)
        return np.asarray((action + generator.integers(1, self._action.n)) % self._action.n)
