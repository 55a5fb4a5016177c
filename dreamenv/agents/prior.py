"""Where agents begin: at the world's action prior; and the scale of -1 to 1 on which they choose Box actions."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.config import WorldConfig
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.heads import scale_action, unscale_action


def log_action_prior(config: WorldConfig) -> NDArray[np.float64]:
    """(n,) logits, with mean 0, whose softmax is the world's prior of discrete actions; zeros without one."""
    if not config.action_prior:
        return np.zeros(config.action.n)
    logits = np.log(np.maximum(config.action_prior, 1e-3))
    return logits - logits.mean()


def mean_action_prior(config: WorldConfig) -> NDArray[np.float64]:
    """(A,) the Box action to begin with, on the scale of -1 to 1: the world's prior, the action 0 without one.

    It keeps off the bounds, where tanh has no inverse. The middle of the box would not do: it is half gas and half
    brake where both go from 0 to 1.
    """
    low, high = _bounds(config.action)
    action = low.new_tensor(config.action_prior) if config.action_prior else torch.zeros_like(low).clamp(low, high)
    return scale_action(action, low, high).clamp(-0.95, 0.95).numpy()


def unit_box(action: ActionSpec) -> gym.spaces.Box:
    """The space of Box actions on the scale of -1 to 1."""
    return gym.spaces.Box(-1.0, 1.0, (action.size,), np.float32)


def to_box(scaled: NDArray, action: ActionSpec) -> NDArray[np.float32]:
    """Brings (..., A) actions from the scale of -1 to 1 to the bounds of a Box."""
    return unscale_action(torch.as_tensor(scaled), *_bounds(action)).numpy().astype(np.float32)


def _bounds(action: ActionSpec) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds of a Box, (A,) float64 each."""
    return torch.tensor(action.low, dtype=torch.float64), torch.tensor(action.high, dtype=torch.float64)
