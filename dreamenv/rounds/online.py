"""Online learning, as PlaNet and Dreamer do: collect a little, train a little, from the first real frame on."""

from __future__ import annotations

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import torch

from dreamenv.agents.actor_critic.policy import KIND, ActorCriticAgent, describe, save_actor_critic
from dreamenv.agents.observing import ObservingAgent
from dreamenv.agents.planner import Planner, save_planner
from dreamenv.bundle import load, save
from dreamenv.data.collect import CollectConfig, collect
from dreamenv.data.store import EpisodeStore
from dreamenv.engine.placement import check_device
from dreamenv.evaluate.rounds import Round
from dreamenv.foundation.recipe import EnvRecipe, as_recipe
from dreamenv.rollouts import Policy
from dreamenv.rounds.online_config import DreamerConfig, OnlineConfig, PlanetConfig
from dreamenv.rounds.online_learner import OnlineLearner
from dreamenv.rounds.stored import StoredRounds
from dreamenv.training.checkpoint import alone_in
from dreamenv.world import World, showing

SETTINGS = "online.json"


def learn_online(
    env_id: str | EnvRecipe,
    folder: str | Path,
    config: OnlineConfig,
    *,
    device: str | torch.device = "cpu",
) -> list[Round]:
    """Learns a world and its behaviour online; goes on where an earlier call stopped, to the same numbers.

    The folder always holds the best of the finished rounds, by mean return in reality on the validation seeds. One
    episode in ten is held out of training, as in every store.

    Args:
        env_id: As for :func:`dreamenv.data.collect.collect`.
        folder: Takes ``episodes/``, ``training/``, ``rounds/NN/`` with the world and agent of every round, and the best
            of them.
        config: Settings; see :func:`dreamenv.rounds.online_config.planet` and ``dreamer`` for the published ones.
        device: Where to train and to act, ``"cuda"`` for example.

    Returns:
        All rounds that are finished, those of earlier calls included.

    Raises:
        ResumeError: If the folder belongs to other settings, or holds a world that was made otherwise, or another
            process is at work there.
        DivergenceError: If the loss, its gradient or a weight is not finite; the last checkpoint stays.
        SettingsError: If torch has no such device.
    """
    env, folder = as_recipe(env_id), Path(folder)
    check_device(device)
    with alone_in(folder):
        stored = StoredRounds(folder, agent_name(config), config.episodes)
        stored.check_settings(SETTINGS, env, _settings(config))
        run = _Run(env, stored, config, OnlineLearner(folder / "training", config, device))
        return stored.repeat(config.rounds, config.target, run.play)


def agent_name(config: OnlineConfig) -> str:
    """Name of the agent's folder."""
    return "planner" if isinstance(config, PlanetConfig) else KIND


def _settings(config: OnlineConfig) -> dict[str, Any]:
    """Settings that a folder belongs to; ``rounds`` and ``target`` may change later."""
    return {"kind": type(config).__name__, **dataclasses.asdict(dataclasses.replace(config, rounds=0, target=0.0))}


class _Run:
    """One call of :func:`learn_online`."""

    def __init__(self, env: EnvRecipe, stored: StoredRounds, config: OnlineConfig, learner: OnlineLearner) -> None:
        self._env, self._stored, self._config, self._learner = env, stored, config, learner

    def play(self, before: list[Round]) -> tuple[World, Policy]:
        """Collects and trains as often as a round does; saves its world and its agent."""
        number, config, begun = len(before), self._config, time.process_time()
        last = number * config.trainings
        for training in range(max(0, last - config.trainings + 1), last + 1):
            self._train(training)
        store = EpisodeStore(self._stored.folder / "episodes")
        self._stored.note_frames(number, store.num_frames)
        self._stored.note_seconds(number, time.process_time() - begun)
        place = self._stored.place(number)
        save(self._learner.complete_world(store), place)
        world = load(place)
        return world, self._save_agent(world, self._stored.agent_in(place))

    def _train(self, training: int) -> None:
        """Collects for a training, and does its updates; each of the two goes on where it stopped."""
        config, learner = self._config, self._learner
        frames, end = config.goal(training)
        begin = config.goal(training - 1)[1] if training else 0
        if learner.updates >= end:
            return
        # One episode at a time, so that the draws of the behaviour depend on the episode's seed alone.
        settings = CollectConfig(frames, config.seed, num_envs=1, shard_episodes=1, exploration=config.exploration)
        make_actor = None
        if training:
            world, agent = learner.world, self._behaviour(learner.world)
            make_actor = functools.partial(ObservingAgent, world, agent, config.noise, sampling=config.sampling)
        store = collect(self._env, self._stored.folder / "episodes", settings, make_actor=make_actor)
        learner.learn(store, begin, end)

    def _behaviour(self, world: World) -> Policy:
        """The behaviour as it is now."""
        config = self._config
        if isinstance(config, PlanetConfig):
            return Planner(world, config.planner)
        assert isinstance(config, DreamerConfig) and self._learner.actor_critic is not None
        seen = showing(world, config.actor_critic.inputs)
        return ActorCriticAgent(self._learner.actor_critic, describe(seen, config.actor_critic))

    def _save_agent(self, world: World, folder: Path) -> Policy:
        if isinstance(self._config, PlanetConfig):
            return save_planner(folder, world, self._config.planner)
        agent = self._behaviour(world)
        assert isinstance(agent, ActorCriticAgent)
        save_actor_critic(agent, folder)
        return agent
