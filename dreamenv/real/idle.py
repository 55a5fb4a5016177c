"""Real environments that can be idle: a step does not change them until they are reset."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorWrapper
from numpy.typing import NDArray

from dreamenv.foundation.errors import DreamenvError, EpisodeError

_IDLE = "leave"  # the option of a reset that makes an environment idle


class IdleVector(VectorWrapper):
    """A vector of :class:`IdleEnv`. It skips steps that are not needed, although a vector has to step every member."""

    def leave(self, mask: NDArray[np.bool_]) -> None:
        """Makes the environments of a (N,) bool mask idle until they are reset: they pay 0 and do not end."""
        self.env.reset(options={"reset_mask": mask, _IDLE: True})


class IdleEnv(gym.Wrapper):
    """Repeats its latest frame after a reset with the option ``leave``, because vectors do not step finished members.

    Infos are empty: nothing reads them, and Gymnasium's vectors cannot batch None or arrays of changing shape.

    Errors of the environment become :class:`EpisodeError`, because the seed of the episode is available here.

    Args:
        env: The environment.
        env_id: Its id, for errors.
    """

    _idle = False
    _frame: Any

    def __init__(self, env: gym.Env, env_id: str) -> None:
        super().__init__(env)
        self._env_id, self._steps = env_id, 0
        self._seed: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode, or makes the environment idle."""
        self._idle = _IDLE in (options or {})
        if self._idle:
            return self._frame, {}
        self._seed, self._steps = seed, 0
        with self._episode_errors():
            self._frame, _ = self.env.reset(seed=seed, options=options)
        return self._frame, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Takes a step; when idle, repeats the latest frame."""
        if self._idle:
            return self._frame, 0.0, False, False, {}
        self._steps += 1
        with self._episode_errors():
            self._frame, reward, terminated, truncated, _ = self.env.step(action)
            finite = math.isfinite(reward)
        if not finite:
            raise EpisodeError(self._env_id, self._seed, self._steps, f"expected a finite reward, got {reward}")
        return self._frame, reward, terminated, truncated, {}

    @contextlib.contextmanager
    def _episode_errors(self) -> Iterator[None]:
        """Adds environment, seed and step to errors of the environment; an invalid action is an error of the caller."""
        try:
            yield
        except (DreamenvError, gym.error.InvalidAction, MemoryError):
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise EpisodeError(self._env_id, self._seed, self._steps, reason) from error
