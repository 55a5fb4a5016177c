"""One episode of real experience, and frames chosen evenly from many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamenv.foundation.errors import StoreError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.spec import StoreSpec


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of the real environment.

    Attributes:
        observations: (T + 1, H, W, 3) uint8; the last one is the final observation.
        actions: (T,) int64, or (T, A) float32.
        rewards: (T,) float32; ``rewards[t]`` was paid for ``actions[t]``.
        terminated: Whether the environment ended the episode.
        truncated: Whether the time limit did.
        seed: The seed the environment was reset with.
        policy: Name of the policy that acted.
    """

    observations: NDArray[np.uint8]
    actions: NDArray
    rewards: NDArray[np.float32]
    terminated: bool
    truncated: bool
    seed: int
    policy: str

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.actions)

    def __repr__(self) -> str:
        """Shows the length, the return and the ending."""
        end = "terminated" if self.terminated else "truncated" if self.truncated else "cut"
        return f"Episode({len(self)} steps, return {self.rewards.sum():.3f}, {end}, seed {self.seed}, {self.policy})"


def evenly_spaced(size: int, count: int) -> NDArray[np.int64]:
    """Returns at most ``count`` evenly spaced integers from 0 to ``size`` - 1, both ends included."""
    return np.linspace(0, size - 1, min(count, size)).astype(np.int64)


def evenly_spaced_frames(episodes: Sequence[Episode], count: int) -> NDArray[np.uint8]:
    """Returns at most ``count`` evenly spaced frames of all episodes, (N, H, W, 3); reads only these from disk."""
    ends = np.cumsum([len(episode) + 1 for episode in episodes])
    chosen = evenly_spaced(int(ends[-1]), count)
    owners = np.searchsorted(ends, chosen, side="right")
    return np.stack([episodes[e].observations[i - ends[e]] for e, i in zip(owners, chosen, strict=True)])


def check_episode(episode: Episode, spec: StoreSpec) -> None:
    """Checks that an episode fits a store.

    Raises:
        StoreError: If it has no step, an array of another shape or type, actions outside the space, or a number that
            is not finite.
    """
    steps = len(episode)
    if steps < 1:
        raise StoreError(f"expected episodes of at least one step, got {episode}")
    expected = {
        "observations": ((steps + 1, *spec.frame_shape), "uint8"),
        "actions": ((steps,), "int64") if spec.action.discrete else ((steps, spec.action.size), "float32"),
        "rewards": ((steps,), "float32"),
    }
    for name, (shape, dtype) in expected.items():
        array = getattr(episode, name)
        if (array.shape, array.dtype) != (shape, dtype):
            raise StoreError(f"expected {name} {shape} {dtype}, got {array.shape} {array.dtype} in {episode}")
    _check_numbers(episode, spec.action)


def _check_numbers(episode: Episode, action: ActionSpec) -> None:
    for name in ("actions", "rewards"):
        wrong = np.flatnonzero(~np.isfinite(getattr(episode, name)).reshape(len(episode), -1).all(1))
        if len(wrong):
            raise StoreError(
                f"expected finite {name}, got {getattr(episode, name)[wrong[0]]} in step {wrong[0]} of {episode}"
            )
    bounds = (0, action.n - 1) if action.discrete else (action.low, action.high)
    least, most = np.array(bounds[0]), np.array(bounds[1])
    slack = 1e-6 * (most - least)  # the rounding error of float32
    if ((episode.actions < least - slack) | (episode.actions > most + slack)).any():
        found = f"{episode.actions.min()} to {episode.actions.max()}"
        raise StoreError(f"expected actions from {least} to {most}, got {found} in {episode}")
