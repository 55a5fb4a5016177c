"""Reward shaping that keeps the true return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from dreamenv.envs.settings import check_options, check_reset_mask
from dreamenv.foundation.errors import SettingsError


class ActionPenalty(gym.Wrapper):
    """Subtracts ``penalty * discount ** t`` from the reward of step t, so that early actions cost most.

    ``info["unshaped_return"]`` is the sum of the environment's own rewards. The vector twin is
    :class:`VectorActionPenalty`.

    Args:
        env: Any environment.
        penalty: Cost of the first action, in units of reward; or one for each discrete action, so that turning can
            cost more than walking.
        discount: In [0, 1]; with 1 every step costs the same, a price of time.

    Raises:
        SettingsError: If an argument is out of range.
    """

    def __init__(self, env: gym.Env, penalty: float | Sequence[float] = 0.001, discount: float = 0.99) -> None:
        super().__init__(env)
        self._penalty, self._discount = _check(penalty, discount, env.action_space)
        self._step, self._return = 0, 0.0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begins an episode."""
        observation, info = self.env.reset(**kwargs)
        self._step, self._return = 0, 0.0
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes a step and subtracts its penalty."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        shaped = float(reward) - float(_cost(self._penalty, action)) * self._discount**self._step
        self._step += 1
        self._return += float(reward)
        return observation, shaped, terminated, truncated, {**info, "unshaped_return": np.float64(self._return)}


class VectorActionPenalty(VectorWrapper):
    """The vector twin of :class:`ActionPenalty`; ``infos["unshaped_return"]`` is (N,).

    Args:
        env: Any vector environment.
        penalty: Cost of the first action, in units of reward; or one for each discrete action, so that turning can
            cost more than walking.
        discount: In [0, 1]; with 1 every step costs the same, a price of time.

    Raises:
        SettingsError: If an argument is out of range.
    """

    def __init__(self, env: VectorEnv, penalty: float | Sequence[float] = 0.001, discount: float = 0.99) -> None:
        super().__init__(env)
        self.autoreset_mode = env.metadata.get("autoreset_mode")
        self._penalty, self._discount = _check(penalty, discount, env.single_action_space)
        self._step = np.zeros(env.num_envs, np.int64)
        self._return = np.zeros(env.num_envs)
        self._done = np.zeros(env.num_envs, bool)

    @property
    def leave(self) -> Callable[[NDArray[np.bool_]], None] | None:
        """The wrapped environments' method ``leave``, which :func:`dreamenv.rollouts.rollout` uses, or None."""
        return getattr(self.env, "leave", None)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins episodes."""
        mask = check_reset_mask(check_options(options), self.num_envs)
        observation, info = self.env.reset(seed=seed, options=options)
        self._clear(mask)
        self._done[mask] = False
        return observation, info

    def step(self, actions: NDArray) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Takes steps and subtracts their penalties; a step that only resets has none."""
        self._clear(self._done)
        observation, reward, terminated, truncated, info = self.env.step(actions)
        resets = self._done & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        shaped = reward - np.where(resets, 0.0, _cost(self._penalty, actions) * self._discount**self._step)
        self._step += ~resets
        self._return += reward
        self._done = terminated | truncated
        everyone = np.ones(self.num_envs, bool)
        extra = {"unshaped_return": self._return.copy(), "_unshaped_return": everyone}
        return observation, shaped, terminated, truncated, {**info, **extra}

    def _clear(self, rows: NDArray[np.bool_]) -> None:
        self._step[rows] = 0
        self._return[rows] = 0.0


def _check(penalty: float | Sequence[float], discount: float, actions: gym.Space) -> tuple[NDArray[np.float64], float]:
    costs = np.asarray(penalty, np.float64)
    if not (((costs >= 0.0) & np.isfinite(costs)).all() and 0.0 <= discount <= 1.0):
        raise SettingsError(f"expected penalty >= 0 and discount in [0, 1], both finite, got {penalty} and {discount}")
    expected = int(getattr(actions, "n", 0))
    if costs.ndim and costs.shape != (expected,):
        raise SettingsError(f"expected one penalty, or one for each of {expected} discrete actions, got {costs.shape}")
    return costs, discount


def _cost(penalty: NDArray[np.float64], actions: Any) -> NDArray[np.float64]:
    """Returns the penalty of each action in an array or a tensor; a scalar if all actions have the same."""
    return penalty[torch.as_tensor(actions).cpu().numpy().astype(np.int64)] if penalty.ndim else penalty
