"""C, the linear controller of World Models: action = W [z, h] + b."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.agents.store import AgentConfig, save_agent
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.view import Input
from dreamenv.world import World

Layer = tuple[Tensor, Tensor]


class LinearAgent:
    """A linear policy on [z, h]; 1,731 parameters on Sidewalk (Ha and Schmidhuber 2018).

    Discrete actions are the largest logit, or a draw from their softmax; continuous ones the squashed outputs. With a
    single output and no bias, its range is cut into the discrete actions: World Models' controller of DoomTakeCover.

    Args:
        weight: (A, F), or (A, U) after a hidden layer; (1, F) for a single output.
        bias: (A,); (0,) for a single output.
        action: The action space, of size A.
        seed: Of the draws.
        inputs: What it sees of a state, see :meth:`dreamenv.World.showing`.
        hidden: Weight (U, F) and bias (U,) of a layer of U tanh units before the linear one, which World Models tries.

    Raises:
        SettingsError: If the shapes do not fit.
    """

    def __init__(
        self,
        weight: NDArray,
        bias: NDArray,
        action: ActionSpec,
        seed: int = 0,
        inputs: tuple[Input, ...] = ("z", "h"),
        hidden: tuple[NDArray, NDArray] | None = None,
    ) -> None:
        shapes = {(action.size, (action.size,))} | ({(1, (0,))} if action.discrete and hidden is None else set())
        if weight.ndim != 2 or (weight.shape[0], bias.shape) not in shapes:
            raise SettingsError(
                f"expected weight ({action.size}, F) and bias ({action.size},), got {weight.shape}, {bias.shape}"
            )
        if hidden is not None and (hidden[0].ndim != 2 or {len(hidden[0]), *hidden[1].shape} != {weight.shape[1]}):
            units = weight.shape[1]
            raise SettingsError(
                f"expected hidden ({units}, F) and ({units},), got {hidden[0].shape}, {hidden[1].shape}"
            )
        self.weight, self.bias, self.action = weight.astype(np.float32), bias.astype(np.float32), action
        self.hidden = None if hidden is None else tuple(part.astype(np.float32) for part in hidden)
        self.inputs = inputs
        self.set_random_seed(seed)

    @classmethod
    def from_parameters(
        cls,
        parameters: NDArray,
        action: ActionSpec,
        seed: int = 0,
        inputs: tuple[Input, ...] = ("z", "h"),
        hidden: int = 0,
        one_output: bool = False,
    ) -> LinearAgent:
        """Reads an agent from a flat vector, see :func:`unpack`."""
        layers = unpack(parameters[None], action, hidden, one_output)
        *before, (weight, bias) = [(w[0].numpy(), b[0].numpy()) for w, b in layers]
        return cls(weight, bias[:0] if one_output else bias, action, seed, inputs, before[0] if before else None)

    @property
    def feature_size(self) -> int:
        """F, the length of an observation."""
        return (self.weight if self.hidden is None else self.hidden[0]).shape[1]

    @property
    def num_parameters(self) -> int:
        """A * (F + 1), or U * (F + 1) + A * (U + 1)."""
        return self.weight.size + self.bias.size + sum(part.size for part in self.hidden or ())

    @property
    def stochastic(self) -> bool:
        """Whether the agent has draws to make."""
        return self.action.discrete and self.bias.size > 0

    def set_random_seed(self, seed: int) -> None:
        """Restarts the draws."""
        self._generator = np.random.default_rng(seed)

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses actions for (B, F) observations, or one for (F,); see :class:`dreamenv.rollouts.Policy`."""
        inner = np.atleast_2d(observation)
        if self.hidden is not None:
            inner = np.tanh(inner @ self.hidden[0].T + self.hidden[1])
        outputs = torch.from_numpy(inner @ self.weight.T + (self.bias if self.bias.size else 0.0))
        gumbel = None if deterministic else torch.from_numpy(self._generator.gumbel(size=outputs.shape))
        actions = act(outputs, self.action, gumbel).numpy()
        return (actions if observation.ndim == 2 else actions[0]), state


def unpack(parameters: NDArray, action: ActionSpec, hidden: int = 0, one_output: bool = False) -> list[Layer]:
    """Reads the layers of P controllers from their flat parameters: rows of W, each followed by its bias.

    Args:
        parameters: (P, A * (F + 1)), or (P, U * (F + 1) + A * (U + 1)) with U hidden units, which come first; (P, F)
            for a single output.
        action: The action space, of size A.
        hidden: U; 0 for none.
        one_output: Whether there is a single output, without bias.

    Returns:
        Weights (P, O, I) and biases (P, O) of one or two layers; the bias of a single output is 0.
    """
    flat = torch.from_numpy(parameters.astype(np.float32))
    if one_output:
        return [(flat[:, None], torch.zeros(len(flat), 1))]
    last = action.size * (hidden + 1)
    groups = [(flat[:, :-last], hidden), (flat[:, -last:], action.size)] if hidden else [(flat, action.size)]
    rows = [group.reshape(len(flat), outputs, -1) for group, outputs in groups]
    return [(row[..., :-1].contiguous(), row[..., -1].contiguous()) for row in rows]


def act(outputs: Tensor, action: ActionSpec, gumbel: Tensor | None) -> Tensor:
    """Turns (B, A) linear outputs into actions.

    Args:
        outputs: Logits of discrete actions, or continuous actions before squashing; (B, 1) for discrete ones is a
            single output, whose range after tanh is cut into equal parts, the first action being the lowest.
        action: The action space.
        gumbel: (B, A) standard Gumbel numbers, which draw discrete actions from the softmax (the Gumbel-max trick);
            None takes the largest.

    Returns:
        (B,) int64, or (B, A) float32 within bounds.
    """
    if action.discrete and outputs.shape[1] == 1:
        return (0.5 * action.n * (1.0 + torch.tanh(outputs[:, 0]))).long().clamp(max=action.n - 1)
    if action.discrete:
        return (outputs if gumbel is None else outputs + gumbel).argmax(1)
    low, high = (torch.tensor(bound, dtype=torch.float64, device=outputs.device) for bound in (action.low, action.high))
    return (low + (high - low) * 0.5 * (1.0 + torch.tanh(outputs))).float()


def save_linear(agent: LinearAgent, folder: str | Path, world: World) -> None:
    """Writes a linear agent that was evolved in ``world``."""
    arrays = {"weight": agent.weight, "bias": agent.bias}
    if agent.hidden is not None:
        arrays |= {"hidden.weight": agent.hidden[0], "hidden.bias": agent.hidden[1]}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    config = AgentConfig.of("linear", world, feature_size=agent.feature_size, action=agent.action, inputs=agent.inputs)
    save_agent(Path(folder), config, tensors)


def read_linear(config: AgentConfig, tensors: dict[str, Tensor]) -> LinearAgent:
    """Builds a linear agent from its files.

    Raises:
        BundleError: If the tensors do not fit.
    """
    try:
        weight, bias = (np.asarray(tensors[name]) for name in ("weight", "bias"))
        hidden = None
        if "hidden.weight" in tensors:
            hidden = np.asarray(tensors["hidden.weight"]), np.asarray(tensors["hidden.bias"])
        return LinearAgent(weight, bias, config.action, inputs=config.inputs, hidden=hidden)
    except (KeyError, ValueError) as error:
        raise BundleError(f"not a linear agent with actions {config.action.space}: {error}") from None
