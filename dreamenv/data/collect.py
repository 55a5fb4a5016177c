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

FAILURES_IN_A_ROW = 5  # episodes that may fail one after the other, before the environment as a whole is to blame
SHARD_BYTES = 2**29  # of frames in a shard, but for the rest of its last episode


@dataclass(frozen=True)
class CollectConfig(Settings):
    """How real episodes are collected.

    Attributes:
        frames: Stop after the first episode that reaches this many frames, those of earlier calls included.
        seed: 0 to 999; every seed has a million episodes of its own.
        num_envs: Environments stepped side by side.
        shard_episodes: Episodes in which exploring policies act by the same knowledge, that of all groups of so many
            episodes before. They make one shard, or several where frames are large: what a killed process may lose.
        processes: Give every environment a process of its own; the episodes stay the same.
        exploration: Who acts.
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
    """Collects real episodes into a store; goes on where an earlier call stopped.

    Episode i of the store depends on the seed, ``shard_episodes`` and the episodes before its own only, so an
    interrupted collection ends with the same data as an uninterrupted one.

    An episode in which the environment fails is set aside with a warning: its seed, the reason and the traceback are
    kept in ``set_aside.json``, and neither this call nor a later one tries it again.

    Args:
        env_id: A Gymnasium environment with pictures as observations and Discrete or Box actions: its id, or a recipe
            with arguments and wrappers.
        folder: The store; made when missing.
        config: Settings.
        make_actor: Makes who acts in the episodes with the given seeds; exploring policies if None.

    Returns:
        The store, holding at least ``config.frames`` frames.

    Raises:
        UnsupportedEnvironmentError: If the environment cannot be learned from, its episodes do not end, or five of them
            fail in a row.
        StoreError: If the folder holds episodes of another environment, or damaged ones, or another process is adding
            to it.
        WorkerError: If a process of an environment ends early; whole shards stay, and a next call goes on.
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
        self._played = 0  # frames, those of open episodes included

    def run(self) -> None:
        """Plays group after group of seeds; the first one may have been begun by an earlier call."""
        self._show()
        if self._full:
            return
        size, first = self._config.shard_episodes, FIRST_TRAINING_SEED * (1 + self._config.seed)
        seed = _next_seed(self._store, self._config.seed)
        group = range(seed - (seed - first) % size, seed + size - (seed - first) % size)
        self._see([episode for episode in self._store if episode.seed not in group])
        knowledge = copy.deepcopy(self._statistics)
        self._see([episode for episode in self._store if episode.seed in group])
        while not self._full:
            failed = self._store.failures
            explore = functools.partial(Explorer, self._store.spec.action, self._config.exploration, knowledge)
            self._play([one for one in group if one >= seed and one not in failed], self._make_actor or explore)
            knowledge, group = copy.deepcopy(self._statistics), range(group.stop, group.stop + size)
        self._flush()
        self._warn()

    def _see(self, episodes: Sequence[Episode]) -> None:
        """Counts what exploring policies have to know; an actor of the caller's knows it already."""
        if self._make_actor is None:
            self._statistics.update(episodes)

    @property
    def _full(self) -> bool:
        return self._store.num_frames + _frames(self._ready) >= self._config.frames

    def _play(self, seeds: Sequence[int], make: Callable[[Sequence[int]], Actor]) -> None:
        """Stores the episodes with some seeds in their order, in shards that depend on the episodes alone."""
        waiting = InOrder(seeds)
        limited = self._store.spec.max_episode_steps is not None
        while unplayed := waiting.missing:
            self._played = self._store.num_frames + _frames(self._ready) + waiting.frames
            for seed, result in self._player.play(unplayed, make(unplayed), limited, self._count):
                if isinstance(result, EpisodeError):
                    self._store.set_aside(seed, str(result), "".join(traceback.format_exception(result)))
                for one in waiting.put(seed, result):
                    self._take(one)
                    if self._full:
                        return
        self._flush()

    def _count(self, frames: int) -> None:
        self._played += frames
        self._bar.update(max(0, min(self._played, self._config.frames) - self._bar.n))

    def _take(self, result: Episode | EpisodeError) -> None:
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
        self._warn()
        self._ready.append(result)
        if sum(episode.observations.nbytes for episode in self._ready) >= SHARD_BYTES:
            self._flush()

    def _warn(self) -> None:
        for error in self._failed:
            warnings.warn(f"{error}; the episode is set aside, see {FAILURES}", stacklevel=6)
        self._failed.clear()

    def _flush(self) -> None:
        if self._ready:
            self._store.append(self._ready)
            self._see(self._ready)
            self._ready = []
            self._show()

    def _show(self) -> None:
        kinds = ending_kinds(self._store)
        self._bar.set_postfix(episodes=len(kinds), successes=kinds.count("better"), refresh=False)
        self._bar.total = max(self._config.frames, self._store.num_frames)  # the last episode goes beyond
        self._bar.update(max(0, self._store.num_frames - self._bar.n))


def _next_seed(store: EpisodeStore, seed: int) -> int:
    """Follows the episodes that are stored, even where some were deleted: no episode is there twice."""
    first = FIRST_TRAINING_SEED * (1 + seed)
    own = store.seeds[(store.seeds >= first) & (store.seeds < first + FIRST_TRAINING_SEED)]
    return max(first + len(store), 1 + int(own.max(initial=0)))


def _frames(episodes: Sequence[Episode]) -> int:
    return sum(len(episode) + 1 for episode in episodes)
