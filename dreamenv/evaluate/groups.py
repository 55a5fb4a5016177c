"""Success in real episodes by group: target visible at first or hidden, target lost in a turn, agent stuck."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import NDArray

from dreamenv.evaluate.scores import Score
from dreamenv.real.sight import Sight, sight

GROUPS = ("visible", "hidden", "lost", "stuck")
LOST_STEPS = 5  # a target that comes back sooner was not lost
STUCK_STEPS = 20


@dataclass(frozen=True)
class Track:
    """Positions and views of a real episode of T steps.

    Attributes:
        positions: (T + 1, 2), on the ground.
        headings: (T + 1,), in radians.
        in_view: (T + 1,) bool, whether the frame shows the target.
    """

    positions: NDArray[np.float64]
    headings: NDArray[np.float64]
    in_view: NDArray[np.bool_]


@dataclass(frozen=True)
class GroupScore:
    """A policy's success in the real episodes of one group. An episode can be in several groups.

    Attributes:
        policy: Name of the policy, as in its :class:`~dreamenv.evaluate.scores.Score`.
        group: One of ``GROUPS``, see :func:`groups_of`.
        seeds: Of the group's episodes.
        success: Share of successes; None if the group is empty or the world defines no success.
        low: Lower end of the share's 95% interval (Wilson 1927).
        high: Its upper end.
        baseline: Whether the policy is one that ignores observations.
    """

    policy: str
    group: str
    seeds: tuple[int, ...]
    success: float | None
    low: float | None
    high: float | None
    baseline: bool


class SightLog(VectorWrapper):
    """Records positions, headings and views of real environments; frames, rewards and actions pass unchanged.

    Args:
        env: A vector of real environments in this process, autoreset disabled.
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self._envs: Any = env.unwrapped.envs  # type: ignore[attr-defined]
        self._logs: list[list[Sight]] = []
        self._latest: list[list[Sight]] = [[] for _ in self._envs]

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins episodes, of all environments or of those in ``options["reset_mask"]``."""
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))  # reset removes it from the options
        result = self.env.reset(seed=seed, options=options)
        for slot in np.flatnonzero(mask).tolist():
            self._latest[slot] = []
            self._logs.append(self._latest[slot])
            self._note(slot)
        return result

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Takes steps."""
        result = self.env.step(actions)
        for slot in range(self.num_envs):
            self._note(slot)
        return result

    def take(self) -> tuple[Track, ...]:
        """Returns the episodes in the order in which they began, and clears the log; none without positions."""
        logs, self._logs = self._logs, []
        return tuple(_track(log) for log in logs if log)

    def _note(self, slot: int) -> None:
        if moment := sight(self._envs[slot]):
            self._latest[slot].append(moment)


def group_scores(score: Score, tracks: Sequence[Track]) -> tuple[GroupScore, ...]:
    """Splits a real score into groups.

    Args:
        score: Of consecutive seeds.
        tracks: One per episode, in the order of seeds; more are left out, as slots without a seed repeat the last one.

    Returns:
        A score per group; none without tracks.
    """
    if not tracks:
        return ()
    members = [groups_of(track) for track in tracks[: len(score.successes)]]
    return tuple(_group_score(score, group, [group in own for own in members]) for group in GROUPS)


def groups_of(track: Track) -> tuple[str, ...]:
    """Names the groups of an episode.

    ``visible`` or ``hidden``: the target is in the first frame, or not. ``lost``: it was in view, then out of view for
    ``LOST_STEPS`` steps or more, and the agent turned in one of those. ``stuck``: ``STUCK_STEPS`` steps in a row left
    the position as it was, whether the agent turned in them or not.
    """
    belongs = (bool(track.in_view[0]), not track.in_view[0], _is_lost(track), _is_stuck(track))
    return tuple(group for group, member in zip(GROUPS, belongs, strict=True) if member)


def _is_lost(track: Track) -> bool:
    turned = np.diff(track.headings) != 0
    seen = [*np.flatnonzero(track.in_view).tolist(), len(track.in_view)]
    return any(end - last > LOST_STEPS and turned[last : end - 1].any() for last, end in itertools.pairwise(seen))


def _is_stuck(track: Track) -> bool:
    moves = np.flatnonzero((np.diff(track.positions, axis=0) != 0).any(1))
    pauses = np.diff([-1, *moves, len(track.positions) - 1]) - 1  # steps between a move and the next
    return bool(pauses.max() >= STUCK_STEPS)


def _group_score(score: Score, group: str, member: Sequence[bool]) -> GroupScore:
    import scipy.stats

    seeds = tuple(score.seeds[0] + index for index, inside in enumerate(member) if inside)
    if not seeds or score.success is None:
        return GroupScore(score.policy, group, seeds, None, None, None, score.baseline)
    won = sum(success for success, inside in zip(score.successes, member, strict=True) if inside)
    wilson = scipy.stats.binomtest(won, len(seeds)).proportion_ci(method="wilson")
    interval = float(wilson.low), float(wilson.high)
    return GroupScore(score.policy, group, seeds, won / len(seeds), *interval, score.baseline)


def _track(log: Sequence[Sight]) -> Track:
    return Track(
        positions=np.array([moment.position for moment in log]),
        headings=np.array([moment.heading for moment in log]),
        in_view=np.array([moment.in_view for moment in log]),
    )
