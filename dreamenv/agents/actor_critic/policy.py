"""The trained agent, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.distributions import BOXES, ActionDistribution, Choice
from dreamenv.agents.actor_critic.networks import ActorCritic
from dreamenv.agents.store import AgentConfig, save_agent
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.models.base import State
from dreamenv.models.view import View
from dreamenv.world import World

KIND: Literal["actor-critic"] = "actor-critic"
_DETAILS: dict[str, Any] = {"box": "tanh-normal", "value_unit": 1.0}  # stored in the files if they differ from these


class ActorCriticAgent:
    """An actor with its critic; answers ``predict``.

    Greedy actions are the likeliest of discrete ones, and in a Box tanh of the mean, or the mean of a truncated
    distribution; others are drawn.

    Args:
        networks: Actor and critic.
        config: What is needed to build them again.
        seed: Of the draws.
    """

    stochastic = True

    def __init__(self, networks: ActorCritic, config: AgentConfig, seed: int = 0) -> None:
        self.networks, self.config, self.inputs = networks.eval(), config, config.inputs
        self.set_random_seed(seed)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.networks.parameters()).device

    def set_random_seed(self, seed: int) -> None:
        """Restarts the draws."""
        self._generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses actions for (B, F) observations, or one for (F,); see :class:`dreamenv.rollouts.Policy`."""
        features = torch.as_tensor(np.atleast_2d(observation))
        policy = self.policy(features)
        drawn = policy.mode() if deterministic else self._draw(policy, len(features))
        actions = policy.action(drawn).cpu().numpy()
        return (actions if np.ndim(observation) > 1 else actions[0]), state

    def policy(self, features: Tensor) -> ActionDistribution:
        """Distributions over the actions for (B, F) observations."""
        return self.networks.policy(features.to(self.device))

    @torch.no_grad()
    def value(self, state: State) -> Tensor:
        """Values of states, (B,): the discounted rewards still to come, without that of arriving there."""
        return self.networks.value(View(self.inputs).features(state).to(self.device))

    @property
    def has_probabilities(self) -> bool:
        """Whether actions are discrete."""
        return self.config.action.discrete

    @torch.no_grad()
    def probabilities(self, observation: Tensor) -> Tensor:
        """Probabilities of the actions, (B, n), for (B, F) observations.

        Raises:
            SettingsError: If actions are a Box.
        """
        policy = self.policy(observation)
        if not isinstance(policy, Choice):
            raise SettingsError(f"expected discrete actions, got {self.config.action}")
        return policy.probabilities.cpu()

    def _draw(self, policy: ActionDistribution, batch: int) -> Tensor:
        uniform = torch.rand(batch, 1, generator=self._generator)
        normal = torch.randn(batch, self.config.action.size, generator=self._generator)
        return policy.draw(uniform.to(self.device), normal.to(self.device))


def describe(world: World, config: ActorCriticConfig) -> AgentConfig:
    """Everything of an agent of these settings that is not a tensor; the world shows what it sees."""
    details = {name: getattr(config, name) for name in _DETAILS if getattr(config, name) != _DETAILS[name]}
    return AgentConfig.of(KIND, world, algorithm=KIND, net_arch=tuple(config.net_arch), details=details)


def save_actor_critic(agent: ActorCriticAgent, folder: str | Path) -> None:
    """Writes an agent, with its critic."""
    save_agent(Path(folder), agent.config, {k: v.cpu() for k, v in agent.networks.state_dict().items()})


def read_actor_critic(config: AgentConfig, tensors: dict[str, Tensor]) -> ActorCriticAgent:
    """Builds an agent from its files.

    Raises:
        BundleError: If the tensors do not fit.
    """
    details = {**_DETAILS, **config.details}
    box, unit = details["box"], details["value_unit"]
    if box not in list(BOXES):
        raise BundleError(f"not an actor-critic: expected box among {', '.join(BOXES)}, got {box!r}")
    if not isinstance(unit, (int, float)) or not 0.0 < unit < float("inf"):
        raise BundleError(f"not an actor-critic: expected a positive value_unit, got {unit!r}")
    with torch.device("meta"):  # nothing is allocated for sizes that a damaged file names
        networks = ActorCritic(config.feature_size, config.action, config.net_arch or (), box, unit)
    if any(tensor.dtype != torch.float32 for tensor in tensors.values()):
        raise BundleError("not an actor-critic: expected weights in float32")
    try:
        networks.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise BundleError(f"not an actor-critic with actions {config.action.space}: {error}") from None
    return ActorCriticAgent(networks, config)
