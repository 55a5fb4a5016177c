"""Plays the episodes of given seeds and records them. A failed episode is returned as an error, not raised."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from dreamenv.data.episodes import Episode
from dreamenv.foundation.errors import EpisodeError, UnsupportedEnvironmentError
from dreamenv.rollouts import Outcome, Policy, rollout

ENDLESS_STEPS = 10_000


class Actor(Policy, Protocol):
    """A policy that has a name in each episode."""

    def name(self, seed: int) -> str:
        """Returns the name of the policy in the episode with this seed."""
        ...


class Player:
    """Plays episodes in a vector environment; replaces it after a failure, which may have broken its environments.

    Args:
        make_env: Makes the vector environment.
    """

    def __init__(self, make_env: Callable[[], VectorEnv]) -> None:
        self._make_env = make_env
        self.env = make_env()

    def play(
        self, seeds: Sequence[int], actor: Actor, limited: bool, on_frames: Callable[[int], None]
    ) -> Iterator[tuple[int, Episode | EpisodeError]]:
        """Plays until all episodes have ended or one has failed.

        Args:
            seeds: One per episode.
            actor: The policy.
            limited: Whether the environment has a time limit.
            on_frames: Called with the number of new frames at every step.

        Yields:
            Seed and episode, in the order of their ends. After a failure: its seed and error, as the last item.

        Raises:
            UnsupportedEnvironmentError: If the episodes do not end.
        """
        counter = _FrameCounter(actor, self.env.num_envs, len(seeds), limited, on_frames)
        try:
            for outcome in rollout(self.env, counter, seeds, record=True):
                counter.end_episode()
                yield outcome.seed, _to_episode(outcome, actor.name(outcome.seed))
        except EpisodeError as error:
            if error.seed is None or error.seed not in seeds:
                raise
            with contextlib.suppress(Exception):  # closing a broken environment may raise
                self.env.close()
            self.env = self._make_env()
            yield error.seed, error


class _FrameCounter:
    """An actor that counts frames, and raises an error if episodes without a time limit do not end."""

    def __init__(
        self, actor: Actor, num_envs: int, episodes: int, limited: bool, on_frames: Callable[[int], None]
    ) -> None:
        self._actor, self._num_envs, self._left, self._limited = actor, num_envs, episodes, limited
        self._on_frames = on_frames
        self._since_end = 0

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        self._since_end += 1
        if self._since_end > ENDLESS_STEPS and not self._limited:
            raise UnsupportedEnvironmentError(
                f"expected episodes that end, got none in {ENDLESS_STEPS:,} steps of an environment that is registered "
                "without a time limit; register it with max_episode_steps"
            )
        self._on_frames(min(self._left, self._num_envs))
        return self._actor.predict(observation, state, episode_start, deterministic)

    def end_episode(self) -> None:
        self._since_end = 0
        self._left -= 1
        self._on_frames(1)  # the final observation


class InOrder:
    """Yields results in the order of their seeds, whatever the order in which they were added.

    Args:
        seeds: All seeds, in their order.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._open = collections.deque(seeds)
        self._results: dict[int, Episode | EpisodeError] = {}

    @property
    def missing(self) -> list[int]:
        """Seeds without a result."""
        return [seed for seed in self._open if seed not in self._results]

    @property
    def frames(self) -> int:
        """Frames of the episodes that were not yielded yet."""
        return sum(len(result) + 1 for result in self._results.values() if isinstance(result, Episode))

    def put(self, seed: int, result: Episode | EpisodeError) -> Iterator[Episode | EpisodeError]:
        """Adds one result; yields all results whose predecessors have been yielded."""
        self._results[seed] = result
        while self._open and self._open[0] in self._results:
            yield self._results.pop(self._open.popleft())


def _to_episode(outcome: Outcome, policy: str) -> Episode:
    assert outcome.trajectory is not None
    steps = outcome.trajectory
    return Episode(
        observations=steps.observations,
        actions=steps.actions,
        rewards=steps.rewards,
        terminated=outcome.terminated,
        truncated=not outcome.terminated,
        seed=outcome.seed,
        policy=policy,
    )
