"""C, the linear controller of World Models: action = W [z, h] + b."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.spaces import ActionSpec


class LinearAgent:
    """A linear policy on [z, h]; 1,731 parameters on Sidewalk (Ha and Schmidhuber 2018).

    Discrete actions are the largest logit, or a draw from their softmax; continuous ones the squashed outputs.

    Args:
        weight: (A, F).
        bias: (A,).
        action: The action space, of size A.
        seed: Of the draws.
    """

    def __init__(self, weight: NDArray, bias: NDArray, action: ActionSpec, seed: int = 0) -> None:
        if weight.ndim != 2 or weight.shape[0] != action.size or bias.shape != (action.size,):
            raise ValueError(
                f"expected weight ({action.size}, F) and bias ({action.size},), got {weight.shape}, {bias.shape}"
            )
        self.weight, self.bias, self.action = weight.astype(np.float32), bias.astype(np.float32), action
        self.set_random_seed(seed)

    @classmethod
    def from_parameters(cls, parameters: NDArray, action: ActionSpec, seed: int = 0) -> LinearAgent:
        """Reads an agent from a flat vector of A * (F + 1): rows of W, each followed by its bias."""
        rows = parameters.reshape(action.size, -1)
        return cls(rows[:, :-1], rows[:, -1], action, seed)

    @property
    def num_parameters(self) -> int:
        """A * (F + 1)."""
        return self.weight.size + self.bias.size

    @property
    def stochastic(self) -> bool:
        """Whether the agent has draws to make."""
        return self.action.discrete

    def set_random_seed(self, seed: int) -> None:
        """Restarts the draws."""
        self._generator = np.random.default_rng(seed)

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses actions for (B, F) observations, or one for (F,); see :class:`dreamenv.rollout.Policy`."""
        outputs = torch.from_numpy(np.atleast_2d(observation) @ self.weight.T + self.bias)
        gumbel = None if deterministic else torch.from_numpy(self._generator.gumbel(size=outputs.shape))
        actions = act(outputs, self.action, gumbel).numpy()
        return (actions if observation.ndim == 2 else actions[0]), state


def act(outputs: Tensor, action: ActionSpec, gumbel: Tensor | None) -> Tensor:
    """Turns (B, A) linear outputs into actions.

    Args:
        outputs: Logits of discrete actions, or continuous actions before squashing.
        action: The action space.
        gumbel: (B, A) standard Gumbel numbers, which draw discrete actions from the softmax (the Gumbel-max trick);
            None takes the largest.

    Returns:
        (B,) int64, or (B, A) float32 within bounds.
    """
    if action.discrete:
        return (outputs if gumbel is None else outputs + gumbel).argmax(1)
    low, high = (torch.tensor(bound, dtype=torch.float64, device=outputs.device) for bound in (action.low, action.high))
    return (low + (high - low) * 0.5 * (1.0 + torch.tanh(outputs))).float()
