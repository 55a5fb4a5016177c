"""The losses of actor and critic in imagination."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.imagine import Imagined, frozen, imagine
from dreamenv.agents.actor_critic.networks import Trainee
from dreamenv.agents.actor_critic.returns import lambda_returns, reach
from dreamenv.engine.packed import compiled
from dreamenv.models.base import State
from dreamenv.training.fit import Metrics
from dreamenv.world import World


class Learner:
    """Computes the loss of an update from any batch of states to begin at; it never changes the world.

    Args:
        world: The world, which shows the actor's inputs. Later changes of a V and M may have no effect here.
        trainee: The actor-critic.
        config: Settings.
    """

    def __init__(self, world: World, trainee: Trainee, config: ActorCriticConfig) -> None:
        self._world, self._trainee, self._config = world, trainee, config
        self._fast = replace(world, model=compiled(world.model))

    def loss(self, start: State, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The loss of update number ``step``; first moves the slow critic if it is due.

        Args:
            start: States to begin at, of any batch size; gradients do not reach them.
            step: Number of the update.
            generator: Draws the imagination.

        Returns:
            The sum of both losses, whose gradient is that of each part for its own weights, and numbers to log.
        """
        config, trainee = self._config, self._trainee
        if step % config.slow_interval == 0:
            trainee.move_slow_critic(config.slow_fraction)
        imagined = self._imagine(start, generator)
        values = trainee.slow_value(imagined.features)
        discount = config.gamma * imagined.going
        returns = lambda_returns(imagined.reward, discount, values, imagined.over, config.td_lambda)[:-1]
        weights = reach(imagined.going, imagined.over)
        objective, entropy = self._objective(imagined, returns, values[:-1].detach())
        errors = (trainee.agent.value(imagined.features[:-1].detach()) - returns.detach()) / trainee.agent.unit
        actor_loss = -(weights * (objective + config.ent_coef * entropy)).mean()
        critic_loss = 0.5 * (weights * errors.square()).mean()
        metrics = {
            "return": returns.detach().mean().item(),
            "entropy": entropy.detach().mean().item(),
            "critic": critic_loss.item(),
        }
        return actor_loss + critic_loss, metrics

    def _imagine(self, start: State, generator: torch.Generator) -> Imagined:
        """Imagines with a graph only if gradients pass through the dynamics."""
        agent, config = self._trainee.agent, self._config
        if config.dynamics_gradient:
            with frozen(self._world.model):
                return imagine(self._world, agent, start, config, generator, differentiable=True)
        with torch.no_grad():
            return imagine(self._fast, agent, start, config, generator, differentiable=False)

    def _objective(self, imagined: Imagined, returns: Tensor, baseline: Tensor) -> tuple[Tensor, Tensor]:
        """What the actor maximises at every moment, and its entropy, both (H, B) (V2, equation 6)."""
        share, drawn = self._config.dynamics_gradient, imagined.drawn.detach()
        policy = self._trainee.agent.policy(imagined.features[:-1].detach())
        scale = self._scale(returns.detach())
        advantage = (returns.detach() - baseline) / scale
        reinforced = (1.0 - share) * policy.log_probability(drawn) * advantage
        return reinforced + share * returns / scale, policy.entropy(drawn)

    def _scale(self, returns: Tensor) -> Tensor | float:
        """What advantages and returns are divided by."""
        if self._config.least_return_range is None:
            return 1.0
        self._trainee.measure_range(returns)
        return self._trainee.return_range.clamp(min=self._config.least_return_range)
