"""Collecting episodes of a real environment with exploring policies, resumably."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from gymnasium.vector import VectorEnv
from tqdm import tqdm

from dreamenv.endings import ending_kinds
from dreamenv.envs.real import describe, make_real_vector
from dreamenv.episodes import Episode, EpisodeStore
from dreamenv.errors import UnsupportedEnvironmentError
from dreamenv.explore import BumpStatistics, ExplorationConfig, Explorer
from dreamenv.progress import progress
from dreamenv.ranges import check_range
from dreamenv.rollout import Outcome, Policy, rollout

ENDLESS_STEPS = 10_000
FIRST_TRAINING_SEED = 1_000_000  # seeds below are kept for validation and test, so no training ever sees them


@dataclass(frozen=True)
class CollectConfig:
    """How real episodes are collected.

    Attributes:
        frames: Stop after the first shard that reaches this many frames, those of earlier calls included.
        seed: 0 to 999; every seed has a million episodes of its own.
        num_envs: Environments stepped side by side.
        shard_episodes: Episodes per shard: what a killed process may lose.
        processes: Give every environment a process of its own; the episodes stay the same.
        exploration: Who acts.
    """

    frames: int = 60_000
    seed: int = 0
    num_envs: int = 8
    shard_episodes: int = 32
    processes: bool = False
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)

    def __post_init__(self) -> None:
        """Refuses settings that no collection can have."""
        check_range(self, 1, math.inf, "frames", "num_envs", "shard_episodes")
        check_range(self, 0, 999, "seed")


class Actor(Policy, Protocol):
    """A policy that can say how it acts in the episode with a seed."""

    def name(self, seed: int) -> str:
        """Names the policy of one episode."""
        ...


def collect(
    env_id: str,
    folder: str | Path,
    config: CollectConfig | None = None,
    *,
    make_actor: Callable[[Sequence[int]], Actor] | None = None,
) -> EpisodeStore:
    """Collects real episodes into a store; goes on where an earlier call stopped.

    Episode i of the store depends on the seed and on the shards before its own only, so an interrupted collection ends
    with the same data as an uninterrupted one.

    Args:
        env_id: A Gymnasium environment with RGB observations and Discrete or Box actions.
        folder: The store; made when missing.
        config: Settings.
        make_actor: Makes who acts in the episodes with the given seeds; exploring policies if None.

    Returns:
        The store, holding at least ``config.frames`` frames.

    Raises:
        UnsupportedEnvironmentError: If the environment cannot be learned from, or its episodes do not end.
        StoreError: If the folder holds episodes of another environment, or damaged ones, or another process is adding
            to it.
        WorkerError: If a process of an environment ends early; whole shards stay, and a next call goes on.
    """
    config = config or CollectConfig()
    env = make_real_vector(env_id, config.num_envs, config.processes)
    try:
        with contextlib.closing(EpisodeStore.create(Path(folder), describe(env, env_id))) as store:
            statistics = BumpStatistics(store.spec.action)
            statistics.update(list(store))
            make = make_actor or functools.partial(Explorer, store.spec.action, config.exploration, statistics)
            with progress(total=config.frames, initial=store.num_frames, unit="frame", desc="collect") as bar:
                _show_counts(bar, store)
                limited = store.spec.max_episode_steps is not None
                while store.num_frames < config.frames:
                    episodes = _collect_shard(env, make, _next_seed(store, config.seed), config, limited, bar)
                    store.append(episodes)
                    statistics.update(episodes)
                    _show_counts(bar, store)
            return store
    finally:
        env.close()


def _collect_shard(
    env: VectorEnv,
    make: Callable[[Sequence[int]], Actor],
    first: int,
    config: CollectConfig,
    limited: bool,
    bar: tqdm,
) -> list[Episode]:
    seeds = range(first, first + config.shard_episodes)
    actor = make(seeds)
    episodes: dict[int, Episode] = {}
    endless = _Endless()
    for outcome in rollout(env, actor, seeds, record=True, on_observation=None if limited else endless.count):
        endless.steps = 0
        episodes[outcome.index] = _to_episode(outcome, actor.name(outcome.seed))
        bar.update(outcome.length + 1)
    return [episodes[index] for index in sorted(episodes)]


class _Endless:
    """Counts the steps since the last end, which in an environment without a time limit may never come."""

    def __init__(self) -> None:
        self.steps = 0

    def count(self) -> None:
        self.steps += 1
        if self.steps > ENDLESS_STEPS:
            raise UnsupportedEnvironmentError(
                f"expected episodes that end, got none in {ENDLESS_STEPS:,} steps of an environment that is registered "
                "without a time limit; register it with max_episode_steps"
            )


def _next_seed(store: EpisodeStore, seed: int) -> int:
    """Follows the episodes that are stored, even where some were deleted: no episode is there twice."""
    first = FIRST_TRAINING_SEED * (1 + seed)
    own = store.seeds[(store.seeds >= first) & (store.seeds < first + FIRST_TRAINING_SEED)]
    return max(first + len(store), 1 + int(own.max(initial=0)))


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


def _show_counts(bar: tqdm, store: EpisodeStore) -> None:
    kinds = np.array([kind for kind in ending_kinds(store)])
    bar.set_postfix(episodes=len(store), successes=int((kinds == "better").sum()), refresh=False)
