"""Imagined episodes: a few steps of the actor in the world model, with gradients if asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.networks import ActorCritic
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.world import World


@dataclass(frozen=True)
class Imagined:
    """H steps of B imagined episodes.

    Attributes:
        features: Observations at the states s_0 to s_H, (H + 1, B, F).
        drawn: Draws of the actions a_0 to a_H-1, (H, B, A), see
            :class:`dreamenv.agents.actor_critic.distributions.ActionDistribution`.
        reward: Expected reward of each step, (H, B).
        going: Calibrated probability that the step ends nothing, (H, B).
        over: Whether the state is at the time limit or behind it, (H + 1, B) bool.
    """

    features: Tensor
    drawn: Tensor
    reward: Tensor
    going: Tensor
    over: Tensor


@dataclass(frozen=True)
class Conditions:
    """What every episode draws at its beginning, as the dreams of :class:`dreamenv.DreamVectorEnv` do.

    Attributes:
        temperature: (B,).
        mask: Dropout of h, (B, H) factors; None without dropout.
        limit: The step that truncates, (B,) int64.
    """

    temperature: Tensor
    mask: Tensor | None
    limit: Tensor

    @classmethod
    def draw(cls, start: State, world: World, config: ActorCriticConfig, generator: torch.Generator) -> Conditions:
        """Draws the conditions of episodes that begin at ``start``."""
        batch, device, real = len(start.step), start.step.device, world.config.max_episode_steps
        given = world.config.temperature if config.temperature is None else config.temperature
        low, high = given if isinstance(given, tuple) else (given, given)
        temperature = low + torch.rand(batch, generator=generator) * (high - low)
        mask = None
        if config.dropout:
            kept = torch.rand(batch, world.model.hidden_size, generator=generator) >= config.dropout
            mask = (kept / (1.0 - config.dropout)).to(device)
        limit = (start.step + (config.max_episode_steps or real)).clamp(max=real)
        return cls(temperature.to(device), mask, limit)


def imagine(
    world: World,
    agent: ActorCritic,
    start: State,
    config: ActorCriticConfig,
    generator: torch.Generator,
    differentiable: bool,
) -> Imagined:
    """Lets the actor act for H steps from every start.

    Args:
        world: The world, which shows the actor's inputs.
        agent: Its actor draws the actions. It reads features without their gradient, as in V1.
        start: States of batch size B.
        config: Settings.
        generator: Draws all random numbers.
        differentiable: Whether gradients pass through actions and dynamics; use it inside of :func:`frozen`.
    """
    conditions = Conditions.draw(start, world, config, generator)
    batch, device, state = len(start.step), start.step.device, start
    states, draws, outlooks = [state], [], []
    for _ in range(config.horizon):
        policy = agent.policy(world.features(state).detach())
        uniform = torch.rand(batch, 1, generator=generator).to(device)
        normal = torch.randn(batch, world.config.action.size, generator=generator).to(device)
        drawn = policy.draw(uniform, normal)
        action = policy.differentiable(drawn) if differentiable else policy.action(drawn)
        noise = Noise.draw(batch, world.model.prior_noise, generator).to(device)
        state, outlook = world.foresee(state, action, conditions.temperature, noise, conditions.mask)
        states.append(state)
        draws.append(drawn)
        outlooks.append(outlook)
    return Imagined(
        features=torch.stack([world.features(one) for one in states]),
        drawn=torch.stack(draws),
        reward=torch.stack([one.expected_reward for one in outlooks]),
        going=torch.stack([one.endings[:, 0] for one in outlooks]),
        over=torch.stack([one.step >= conditions.limit for one in states]),
    )


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Takes the weights out of the graphs that are built inside: gradients pass through, and reach none of them."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
