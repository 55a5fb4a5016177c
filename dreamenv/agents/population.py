"""The candidates of a CMA-ES generation as one policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.agents.linear import act, unpack
from dreamenv.foundation.spaces import ActionSpec


class Population:
    """Many linear controllers as one policy: candidate i // episodes acts in episode i.

    Args:
        parameters: Of P controllers, see :func:`dreamenv.agents.linear.unpack`.
        action: The action space.
        episodes: Episodes per candidate.
        seed: Of the draws.
        device: Device of observations and actions.
        hidden: Units of a hidden layer; 0 for none.
        one_output: Whether the controllers have a single output.
    """

    def __init__(
        self,
        parameters: NDArray,
        action: ActionSpec,
        episodes: int,
        seed: int,
        device: torch.device,
        hidden: int = 0,
        one_output: bool = False,
    ) -> None:
        layers = unpack(parameters, action, hidden, one_output)
        self._layers = [(weight.to(device), bias.to(device)) for weight, bias in layers]
        self._size = len(parameters)
        self._action, self._episodes, self._device = action, episodes, device
        self._generator = torch.Generator(device).manual_seed(seed)

    def predict(
        self, observation: Tensor, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Tensor, Any]:
        """Chooses (B,) actions; ``state`` is the candidate of each row and the number of episodes begun."""
        member, begun = state if state is not None else (np.zeros(len(observation), np.int64), 0)
        starts = np.flatnonzero(episode_start)
        if len(starts):
            member = member.copy()
            numbers = begun + np.arange(len(starts))
            member[starts] = np.minimum(numbers // self._episodes, self._size - 1)
        outputs = self._outputs(observation, member)
        gumbel = None if deterministic else -torch.empty_like(outputs).exponential_(generator=self._generator).log()
        return act(outputs, self._action, gumbel), (member, begun + len(starts))

    def _outputs(self, observation: Tensor, member: NDArray[np.int64]) -> Tensor:
        """Computes (B, A) outputs: one product for all candidates; each row keeps those of its own."""
        first, last = int(member.min()), int(member.max()) + 1
        own = torch.from_numpy(member - first).to(self._device)[:, None, None]
        outputs = observation
        for number, (weight, bias) in enumerate(self._layers):
            inner = outputs.tanh() if number else outputs
            everyone = torch.addmm(bias[first:last].flatten(), inner, weight[first:last].flatten(0, 1).T)
            everyone = everyone.view(len(member), last - first, -1)
            outputs = everyone.gather(1, own.expand(-1, 1, everyone.shape[2])).squeeze(1)
        return outputs
