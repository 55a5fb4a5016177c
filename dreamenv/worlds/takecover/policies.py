"""Policies that see nothing: an agent of the dream counts as far as it is above the best of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dreamenv.agents.hold import hold
from dreamenv.foundation.errors import SettingsError
from dreamenv.worlds.takecover.real import LEFT, RIGHT


class SweepPolicy:
    """Goes right, then left, and so on, from wall to wall if it has the time.

    Args:
        half_period: Steps in one direction.
    """

    def __init__(self, half_period: int) -> None:
        if half_period < 1:
            raise SettingsError(f"expected a half period of at least one step, got {half_period}")
        self._half_period = half_period

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses (B,) actions; ``state`` counts the steps of every episode, (B,)."""
        step = np.zeros(len(observation), np.int64) if state is None else state
        step = np.where(False if episode_start is None else episode_start, 0, step)
        return np.where(step // self._half_period % 2, LEFT, RIGHT), step + 1


class HeldPolicy:
    """Uniformly random actions, each held for a random while: how World Models explores the game.

    Args:
        actions: Number of actions.
        hold: An action is held for 1 to this many steps.
        seed: Of the draws.
    """

    def __init__(self, actions: int = 3, hold: int = 10, seed: int = 0) -> None:
        self._actions, self._hold = actions, hold
        self.set_random_seed(seed)

    def set_random_seed(self, seed: int) -> None:
        """Restarts the draws."""
        self._generator = np.random.default_rng(seed)

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses (B,) actions; ``state`` holds the actions at hand and for how many more steps, (B,) each."""
        action = self._generator.integers(self._actions, size=len(observation))
        return hold(action, self._generator.integers(1, self._hold + 1, size=len(action)), state, episode_start)
