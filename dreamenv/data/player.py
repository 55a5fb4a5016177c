"""Plays the episodes of given seeds to record them; a failed episode is a result, not the end."""

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
    """A policy that can say how it acts in the episode with a seed."""

    def name(self, seed: int) -> str:
        """Names the policy of one episode."""
        ...


class Player:
    """Plays episodes in a vector environment; makes a new one after a failure, whose environments may be broken.

    Args:
        make_env: Makes the vector environment.
    """

    def __init__(self, make_env: Callable[[], VectorEnv]) -> None:
        self._make_env = make_env
        self.env = make_env()

    def play(
        self, seeds: Sequence[int], actor: Actor, limited: bool, on_frames: Callable[[int], None]
    ) -> Iterator[tuple[int, Episode | EpisodeError]]:
        """Plays until all episodes have ended, or one has failed.

        Args:
            seeds: One per episode.
            actor: Who acts, in the episodes in this order.
            limited: Whether the environment has a time limit.
            on_frames: Called with the number of new frames at every step.

        Yields:
            Seed and episode, in the order in which they end; or seed and error, and then nothing more.

        Raises:
            UnsupportedEnvironmentError: If the episodes do not end.
        """
        watched = _Watched(actor, self.env.num_envs, len(seeds), limited, on_frames)
        try:
            for outcome in rollout(self.env, watched, seeds, record=True):
                watched.end()
                yield outcome.seed, _to_episode(outcome, actor.name(outcome.seed))
        except EpisodeError as error:
            if error.seed is None or error.seed not in seeds:
                raise
            with contextlib.suppress(Exception):  # a broken environment may not even close
                self.env.close()
            self.env = self._make_env()
            yield error.seed, error


class _Watched:
    """An actor whose steps are counted, as episodes without a time limit may never end."""

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

    def end(self) -> None:
        self._since_end = 0
        self._left -= 1
        self._on_frames(1)  # the final observation


class InOrder:
    """Hands on results in the order of their seeds, whatever order they come in.

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
        """Frames of the episodes that were not handed on yet."""
        return sum(len(result) + 1 for result in self._results.values() if isinstance(result, Episode))

    def put(self, seed: int, result: Episode | EpisodeError) -> Iterator[Episode | EpisodeError]:
        """Adds one result; yields those whose earlier ones are all there."""
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
