"""Several trainings as one agent: the mean of their action probabilities decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.agents.actor_critic.policy import KIND as ACTOR_CRITIC
from dreamenv.agents.actor_critic.policy import ActorCriticAgent
from dreamenv.agents.hold import HeldActions, hold
from dreamenv.agents.registry import agent_kind, register_agent
from dreamenv.agents.sb3 import SB3Agent
from dreamenv.agents.store import AgentConfig, save_agent
from dreamenv.foundation.errors import BundleError, SettingsError

Member = SB3Agent | ActorCriticAgent


class VotingAgent:
    """Agents that were trained alike but for their seed and act together; answers ``predict`` as one.

    The others outvote a single agent that acts oddly, for example at a wall.

    Args:
        members: Agents of one world, algorithm and network, with discrete actions and action probabilities (PPO, A2C,
            actor-critics).

    Raises:
        SettingsError: If there are none, or they are not of one kind, or have no action probabilities.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        for member in members:
            _check_probabilities(member)
        kinds = {member.config for member in members}
        if len(kinds) != 1:
            raise SettingsError(
                f"expected agents of one world, algorithm and network, got {len(kinds)} kinds of agents"
            )
        config = members[0].config
        self.members = tuple(members)
        self.config = dataclasses.replace(config, kind="vote", members=len(self.members))
        self.inputs = config.inputs

    def predict(
        self,
        observation: NDArray,
        state: HeldActions | None = None,
        episode_start: NDArray | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray, HeldActions]:
        """Chooses actions; see :class:`dreamenv.rollouts.Policy`."""
        probabilities = self.probabilities(torch.from_numpy(np.atleast_2d(observation)))
        chosen = probabilities.argmax(1) if deterministic else torch.multinomial(probabilities, 1).squeeze(1)
        actions, state = hold(chosen.numpy(), self.config.action_repeat, state, episode_start)
        return (actions if np.ndim(observation) > 1 else actions[0]), state

    @torch.no_grad()
    def probabilities(self, observation: Tensor) -> Tensor:
        """Mean of the members' action probabilities, (B, n), from (B, F) observations."""
        return torch.stack([member.probabilities(observation) for member in self.members]).mean(0)


def _check_probabilities(agent: object) -> None:
    """Refuses agents whose probabilities a vote cannot average."""
    got = f"a {type(agent).__name__}"
    if isinstance(agent, Member):
        if agent.has_probabilities:
            return
        got = f"{agent.config.algorithm} with actions {agent.config.action.space}"
    raise SettingsError(
        "expected members with probabilities of discrete actions, whose mean decides (PPO, A2C, actor-critics), got "
        f"{got}"
    )


def save_vote(agent: VotingAgent, folder: str | Path) -> None:
    """Writes a voting agent with all its members."""
    tensors = {
        f"{number}.{name}": tensor
        for number, member in enumerate(agent.members)
        for name, tensor in member.networks.state_dict().items()
    }
    save_agent(Path(folder), agent.config, tensors)


def read_vote(config: AgentConfig, tensors: dict[str, Tensor]) -> VotingAgent:
    """Builds a voting agent from its files.

    Raises:
        BundleError: If the tensors do not fit, or the members cannot vote.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        parts.setdefault(number, {})[name] = tensor
    if len(parts) != config.members:
        raise BundleError(f"expected the weights of {config.members} members, got those of {len(parts)}")
    kind = ACTOR_CRITIC if config.algorithm == ACTOR_CRITIC else "sb3"
    single = dataclasses.replace(config, kind=kind, members=0)
    try:
        members: list[Any] = [agent_kind(kind).read(single, part) for _, part in sorted(parts.items())]
        return VotingAgent(members)
    except ValueError as error:
        raise BundleError(f"not a voting agent: {error}") from None


register_agent("vote", read=read_vote)
