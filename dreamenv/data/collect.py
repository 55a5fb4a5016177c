"""Collecting episodes of a real environment with exploring policies, resumably."""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tqdm import tqdm

from dreamenv.data.endings import ending_kinds
from dreamenv.data.episodes import Episode
from dreamenv.data.explore import BumpStatistics, ExplorationConfig, Explorer
from dreamenv.data.player import Actor, InOrder, Player
from dreamenv.data.store import FAILURES, EpisodeStore
from dreamenv.foundation.errors import EpisodeError, UnsupportedEnvironmentError
from dreamenv.foundation.progress import progress
from dreamenv.foundation.ranges import Count, Range, Settings
from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.foundation.seeds import FIRST_TRAINING_SEED
from dreamenv.real.make import describe, frame_conversion, make_real_vector

FAILURES_IN_A_ROW = 5  # after so many failed episodes in a row, collection stops
SHARD_BYTES = 2**29  # of frames, after which a shard is complete


@dataclass(frozen=True)
class CollectConfig(Settings):
    """How real episodes are collected.

    Attributes:
        frames: Collection stops after the episode that reaches this total of frames, earlier calls included.
        seed: 0 to 999; every seed has its own million episodes.
        num_envs: Environments stepped side by side.
        shard_episodes: Size of a group of episodes. The exploring policies of a group use the bump statistics of all
            groups before. A group is stored as one shard, or as several if frames are large. A killed process loses at
            most the episodes since the last shard.
        processes: Run every environment in its own process; the episodes stay the same.
        exploration: Settings of the exploring policies.
    """

    frames: Count = 60_000
    seed: Annotated[int, Range(0, 999, integer=True)] = 0
    num_envs: Count = 8
    shard_episodes: Count = 32
    processes: bool = False
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)


def collect(
    env_id: str | EnvRecipe,
    folder: str | Path,
    config: CollectConfig | None = None,
    *,
    make_actor: Callable[[Sequence[int]], Actor] | None = None,
) -> EpisodeStore:
    """Collects real episodes into a store; continues where an earlier call stopped.

    Episode i of the store depends only on the seed, ``shard_episodes`` and earlier episodes, so an interrupted
    collection yields the same data as an uninterrupted one.

    An episode in which the environment fails is set aside with a warning: ``set_aside.json`` keeps its seed, the reason
    and the traceback. Neither this call nor a later one repeats the episode.

    Args:
        env_id: A Gymnasium environment with images as observations and Discrete or Box actions: its id, or a recipe
            with arguments and wrappers.
        folder: The store; created if missing.
        config: Settings.
        make_actor: Makes the policy for the episodes with the given seeds; exploring policies if None.

    Returns:
        The store, holding at least ``config.frames`` frames.

    Raises:
        UnsupportedEnvironmentError: If spaces or frames do not fit, episodes do not end, or five fail in a row.
        StoreError: If the folder holds episodes of another environment, or damaged ones, or another process is writing
            to it.
        WorkerError: If the process of an environment ends early; complete shards stay, and a later call continues.
    """
    config = config or CollectConfig()
    player = Player(functools.partial(make_real_vector, env_id, config.num_envs, config.processes))
    try:
        with contextlib.closing(EpisodeStore.create(Path(folder), describe(player.env, env_id))) as store:
            with progress(total=config.frames, unit="frame", desc="collect") as bar:
                if conversion := frame_conversion(player.env):
                    bar.write(f"frames: {conversion}", file=sys.stderr)
                _Collection(store, config, player, bar, make_actor).run()
            return store
    finally:
        player.env.close()


class _Collection:
    """One call of :func:`collect`."""

    def __init__(
        self,
        store: EpisodeStore,
        config: CollectConfig,
        player: Player,
        bar: tqdm,
        make_actor: Callable[[Sequence[int]], Actor] | None,
    ) -> None:
        self._store, self._config, self._player, self._bar, self._make_actor = store, config, player, bar, make_actor
        self._statistics = BumpStatistics(store.spec.action)
        self._ready: list[Episode] = []  # the next shard
        self._failed: list[EpisodeError] = []  # since the last good episode
        self._played = 0  # frames, including those of running episodes

    def run(self) -> None:
        """Plays groups of seeds in order; an earlier call may have started the first group."""
        self._update_bar()
        if self._full:
            return
        size, first = self._config.shard_episodes, FIRST_TRAINING_SEED * (1 + self._config.seed)
        seed = _next_seed(self._store, self._config.seed)
        group = range(seed - (seed - first) % size, seed + size - (seed - first) % size)
        self._update_statistics([episode for episode in self._store if episode.seed not in group])
        earlier_groups = copy.deepcopy(self._statistics)
        self._update_statistics([episode for episode in self._store if episode.seed in group])
        while not self._full:
            failed = self._store.failures
            explore = functools.partial(Explorer, self._store.spec.action, self._config.exploration, earlier_groups)
            self._play([one for one in group if one >= seed and one not in failed], self._make_actor or explore)
            earlier_groups, group = copy.deepcopy(self._statistics), range(group.stop, group.stop + size)
        self._flush()
        self._warn_failed()

    def _update_statistics(self, episodes: Sequence[Episode]) -> None:
        """Counts bumps for the exploring policies; an actor of the caller does not need them."""
        if self._make_actor is None:
            self._statistics.update(episodes)

    @property
    def _full(self) -> bool:
        return self._store.num_frames + _frames(self._ready) >= self._config.frames

    def _play(self, seeds: Sequence[int], make: Callable[[Sequence[int]], Actor]) -> None:
        """Stores the episodes of ``seeds`` in order, in shards that depend only on the episodes."""
        waiting = InOrder(seeds)
        limited = self._store.spec.max_episode_steps is not None
        while unplayed := waiting.missing:
            self._played = self._store.num_frames + _frames(self._ready) + waiting.frames
            for seed, result in self._player.play(unplayed, make(unplayed), limited, self._count_frames):
                if isinstance(result, EpisodeError):
                    self._store.set_aside(seed, str(result), "".join(traceback.format_exception(result)))
                for one in waiting.put(seed, result):
                    self._add(one)
                    if self._full:
                        return
        self._flush()

    def _count_frames(self, frames: int) -> None:
        self._played += frames
        self._bar.update(max(0, min(self._played, self._config.frames) - self._bar.n))

    def _add(self, result: Episode | EpisodeError) -> None:
        """Adds the result of the next seed."""
        if isinstance(result, EpisodeError):
            self._failed.append(result)
            if len(self._failed) == FAILURES_IN_A_ROW:
                self._flush()
                raise UnsupportedEnvironmentError(
                    f"{FAILURES_IN_A_ROW} episodes in a row failed and are set aside ({FAILURES} in "
                    f"{self._store.folder}, delete it to try them again); the last one: {result}"
                ) from result
            return
        self._warn_failed()
        self._ready.append(result)
        if sum(episode.observations.nbytes for episode in self._ready) >= SHARD_BYTES:
            self._flush()

    def _warn_failed(self) -> None:
        for error in self._failed:
            warnings.warn(f"{error}; the episode is set aside, see {FAILURES}", stacklevel=6)
        self._failed.clear()

    def _flush(self) -> None:
        if self._ready:
            self._store.append(self._ready)
            self._update_statistics(self._ready)
            self._ready = []
            self._update_bar()

    def _update_bar(self) -> None:
        kinds = ending_kinds(self._store)
        self._bar.set_postfix(episodes=len(kinds), successes=kinds.count("better"), refresh=False)
        self._bar.total = max(self._config.frames, self._store.num_frames)  # the last episode may exceed it
        self._bar.update(max(0, self._store.num_frames - self._bar.n))


def _next_seed(store: EpisodeStore, seed: int) -> int:
    """Returns a seed above all stored ones; deleted shards do not lower it, so no episode is collected twice."""
    first = FIRST_TRAINING_SEED * (1 + seed)
    own = store.seeds[(store.seeds >= first) & (store.seeds < first + FIRST_TRAINING_SEED)]
    return max(first + len(store), 1 + int(own.max(initial=0)))


def _frames(episodes: Sequence[Episode]) -> int:
    return sum(len(episode) + 1 for episode in episodes)
