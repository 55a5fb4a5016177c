"""Training of the actor-critic in a world: starts, progress, checkpoints, exact resume."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.learning import Learner
from dreamenv.agents.actor_critic.networks import ActorCritic, Trainee, begin_at_prior
from dreamenv.agents.actor_critic.policy import (
    KIND,
    ActorCriticAgent,
    describe,
    read_actor_critic,
    save_actor_critic,
)
from dreamenv.agents.actor_critic.starts import BankStarts, Starts
from dreamenv.agents.registry import register_agent
from dreamenv.agents.store import AgentConfig, check_kind, sha256_of
from dreamenv.bundle import as_world, world_id
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.seeds import SEEDING, spawn_short
from dreamenv.training.checkpoint import alone_in
from dreamenv.training.fit import FitConfig, Metrics, fit
from dreamenv.world import World, showing


def train_actor_critic(
    world: World | str | Path,
    folder: str | Path,
    config: ActorCriticConfig | None = None,
    source: ActorCriticAgent | None = None,
    *,
    starts: Starts | None = None,
) -> ActorCriticAgent:
    """Trains an actor and a critic in a world's imagination; goes on from the checkpoint of an earlier call.

    Args:
        world: The world to imagine in, the name of a shipped one, or a folder. It is not changed.
        folder: Takes the agent, and in its subfolder ``actor-critic`` checkpoints and TensorBoard's event files.
        config: Settings.
        source: An actor-critic whose weights the training begins with; fresh ones, at the world's action prior, if
            None.
        starts: Where imagined episodes begin; the world's bank if None.

    Returns:
        The agent as it was saved.

    Raises:
        ResumeError: If the folder holds a run with other settings, starts or source, or in another world, or an agent
            of another kind, or another process is at work there.
        DivergenceError: If the loss, its gradient or a weight is not finite. No checkpoint ever holds such a number:
            the last one stays, and the same command goes on from it.
        SettingsError: If ``source`` has other inputs, actions or layers.
    """
    config, folder = config or ActorCriticConfig(), Path(folder)
    seen = showing(as_world(world), config.inputs)
    described = describe(seen, config)
    if source is not None:
        _check_source(source, described)
    with alone_in(folder):
        check_kind(folder, KIND)
        networks = _begin(seen, config, source)
        _fit(seen, networks, folder / KIND, config, source, starts or BankStarts(seen, config.branched_starts))
        agent = ActorCriticAgent(networks, described)
        save_actor_critic(agent, folder)
        return agent


def _begin(world: World, config: ActorCriticConfig, source: ActorCriticAgent | None) -> ActorCritic:
    """Networks at the world's action prior, or where the source stands."""
    if source is not None:
        return copy.deepcopy(source.networks).to(world.device)
    with torch.random.fork_rng():
        torch.manual_seed(spawn_short(config.seed, KIND, 0))
        networks = ActorCritic(world.feature_size, world.config.action, config.net_arch, config.box, config.value_unit)
    begin_at_prior(networks, world.config, config.initial_deviation)
    return networks.to(world.device)


def _fit(
    world: World,
    networks: ActorCritic,
    folder: Path,
    config: ActorCriticConfig,
    source: ActorCriticAgent | None,
    starts: Starts,
) -> None:
    trainee = Trainee(networks).to(world.device)
    learner = Learner(world, trainee, config)

    def loss(step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        return learner.loss(starts.draw(config.num_envs, generator), step, generator)

    actor = FitConfig(
        config.updates, config.actor_learning_rate, gradient_clip=config.gradient_clip, precision="float32"
    )
    critic = dataclasses.replace(actor, learning_rate=config.critic_learning_rate)
    identity = [
        dataclasses.asdict(config),
        world_id(world),
        {
            "seeding": SEEDING,
            "source": None if source is None else sha256_of(source.networks),
            "starts": starts.identity,
        },
    ]
    parts = [(networks.actor, actor), (networks.critic, critic)]
    fit(trainee, loss, actor, folder, identity, spawn_short(config.seed, KIND, 1), parts)


def _check_source(source: ActorCriticAgent, wanted: AgentConfig) -> None:
    names = ("inputs", "feature_size", "action", "net_arch", "details")
    came, expected = ({name: getattr(facts, name) for name in names} for facts in (source.config, wanted))
    if came != expected:
        raise SettingsError(f"expected a source with {expected}, got {came}")


def _train(world: World, folder: Path, settings: ActorCriticConfig, source: Any) -> ActorCriticAgent:
    return train_actor_critic(world, folder, settings, source)


register_agent(KIND, read=read_actor_critic, settings=ActorCriticConfig, train=_train)
