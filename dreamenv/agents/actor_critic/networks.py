"""The networks: an actor, a critic and its slow copy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from dreamenv.agents.actor_critic.distributions import BOXES, ActionDistribution, BoxKind, Choice
from dreamenv.agents.prior import log_action_prior, mean_action_prior
from dreamenv.config import WorldConfig
from dreamenv.foundation.spaces import ActionSpec

RANGE_SHARE = 0.01  # of the distance to the range of the last returns; V3


class ActorCritic(nn.Module):
    """An actor and a critic, each a stack of linear layers with ELU between them.

    Args:
        feature_size: F.
        action: The action space.
        net_arch: Hidden layers of both.
        box: The distribution over actions of a Box.
        unit: Of the values that the critic's layers compute.
    """

    def __init__(
        self,
        feature_size: int,
        action: ActionSpec,
        net_arch: Sequence[int],
        box: BoxKind = "tanh-normal",
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.space, self.box, self.unit = action, BOXES[box], unit
        outputs = action.n if action.discrete else 2 * action.size
        self.actor = _layers((feature_size, *net_arch, outputs))
        self.critic = _layers((feature_size, *net_arch, 1))

    def policy(self, features: Tensor) -> ActionDistribution:
        """Distributions over the actions for features (..., F)."""
        outputs = self.actor(features)
        return Choice.of(outputs) if self.space.discrete else self.box.of(outputs, self.space)

    def value(self, features: Tensor) -> Tensor:
        """Values (...) of features (..., F), see :mod:`dreamenv.agents.actor_critic.returns`."""
        return self.unit * self.critic(features).squeeze(-1)


class Trainee(nn.Module):
    """An actor-critic in training, with all that the next update depends on, so that checkpoints hold it.

    Args:
        agent: The actor and the critic.

    Attributes:
        agent: As the argument.
        slow_critic: A critic that follows the other; no gradient reaches its weights.
        return_range: Moving mean of the range of returns, from the 5th to the 95th percentile, (); 0 before the first.
    """

    return_range: Tensor

    def __init__(self, agent: ActorCritic) -> None:
        super().__init__()
        self.agent = agent
        self.slow_critic = copy.deepcopy(agent.critic).requires_grad_(False)
        self.register_buffer("return_range", torch.zeros(()))

    def slow_value(self, features: Tensor) -> Tensor:
        """As :meth:`ActorCritic.value`, of the slow critic; gradients reach the features."""
        return self.agent.unit * self.slow_critic(features).squeeze(-1)

    @torch.no_grad()
    def move_slow_critic(self, fraction: float) -> None:
        """Moves the slow critic's weights to the critic's by a fraction of their distance."""
        for slow, fast in zip(self.slow_critic.parameters(), self.agent.critic.parameters(), strict=True):
            slow.lerp_(fast, fraction)

    @torch.no_grad()
    def measure_range(self, returns: Tensor) -> None:
        """Moves ``return_range`` by a share to the range of returns (...); V3's rule and share."""
        low, high = torch.quantile(returns.flatten(), returns.new_tensor([0.05, 0.95]))
        self.return_range.lerp_(high - low, 1.0 if self.return_range == 0.0 else RANGE_SHARE)


@torch.no_grad()
def begin_at_prior(agent: ActorCritic, world: WorldConfig, deviation: float) -> None:
    """Sets the last layers: the actor begins at the world's action prior everywhere, the critic at 0.

    Args:
        agent: Changed in place.
        world: Facts of the world.
        deviation: Initial standard deviation of Box actions, before tanh or truncation.
    """
    actor, critic = list(agent.actor.children())[-1], list(agent.critic.children())[-1]
    assert isinstance(actor, nn.Linear) and isinstance(critic, nn.Linear)
    actor.weight.zero_()
    critic.weight.zero_()
    critic.bias.zero_()
    if world.action.discrete:
        outputs = log_action_prior(world)
    else:
        outputs = agent.box.outputs_for(mean_action_prior(world), deviation)
    actor.bias.copy_(torch.as_tensor(outputs))


def _layers(widths: Sequence[int]) -> nn.Sequential:
    layers = [layer for inner, outer in pairwise(widths) for layer in (nn.Linear(inner, outer), nn.ELU())]
    return nn.Sequential(*layers[:-1])
