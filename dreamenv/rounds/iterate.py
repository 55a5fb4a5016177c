"""Large rounds: collect with the agent, train on, dream anew (World Models, section 5)."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.evolve import EvolveConfig
from dreamenv.agents.load import load_agent
from dreamenv.agents.observing import ObservingAgent
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.agents.ppo_config import PPOConfig
from dreamenv.agents.registry import kind_of_settings, train_agent
from dreamenv.bundle import load
from dreamenv.data.collect import CollectConfig, collect
from dreamenv.data.store import EpisodeStore
from dreamenv.evaluate.rounds import Round
from dreamenv.foundation.ranges import Count, Natural, Settings, Share
from dreamenv.foundation.recipe import EnvRecipe, as_recipe
from dreamenv.foundation.seeds import spawn_short
from dreamenv.models.registry import kind_of_config
from dreamenv.rollouts import Policy
from dreamenv.rounds.stored import StoredRounds
from dreamenv.training.checkpoint import alone_in
from dreamenv.training.kinds import WorldTraining
from dreamenv.training.mdnrnn import TrainConfig
from dreamenv.training.world import train
from dreamenv.world import World

Named = Literal["ppo", "linear", "actor-critic", "planner"]
if TYPE_CHECKING:
    AgentChoice = Named | Settings
else:  # the command line builds its option from this annotation
    AgentChoice = Named
SETTINGS_OF = {"ppo": "ppo", "linear": "evolve", "actor-critic": "actor_critic", "planner": "planner"}


@dataclass(frozen=True)
class IterateConfig(Settings):
    """How a world and its agent improve each other.

    Attributes:
        frames: Real frames that exploring policies collect before the first agent; the last episode is finished.
        rounds: Rounds after the first world and its agent.
        round_frames: Real frames that every round's agent adds, and what is needed to finish the last episode.
        noise: The collecting agent is greedy but for noise of one of these strengths, drawn for each episode: the
            probability of a random discrete action, or the standard deviation of correlated noise in shares of half a
            Box.
        target: Stop at the round whose agent has this success rate in reality, greedy, on the validation seeds.
        agent: The agent that is made in the dream: ``"ppo"`` by the settings ``ppo``, ``"linear"`` by ``evolve``,
            ``"actor-critic"`` by ``actor_critic``, ``"planner"`` by ``planner``, or the settings of any registered
            kind, see :func:`dreamenv.agents.registry.register_agent`.
        warm: Whether PPO or the actor-critic begins with the agent of the round before; if None, where actions are a
            Box. CMA-ES always begins anew.
        episodes: Real episodes in which a round's agent is judged, greedy, with seeds from 80,000 on.
        seed: Of everything random, in place of the parts' own seeds.
        collect: The exploring policies; ``frames`` above counts, not its own.
        train: The first world: settings of any registered kind of world model, see
            :func:`dreamenv.training.kinds.register_world_model`. Later rounds train with the same settings, but for
            their seed and the next two; the world of the round before is the training's ``source``.
        vision_steps: Gradient steps of V in a later round; V and M only.
        memory_steps: Gradient steps of M in a later round; V and M only.
        ppo: PPO in the dream.
        evolve: CMA-ES in the dream.
        actor_critic: The actor-critic in imagination.
        planner: The planner.
    """

    frames: Count = 40_000
    rounds: Natural = 3
    round_frames: Count = 6_000
    noise: tuple[Share, ...] = (0.0, 0.1, 0.3)
    target: float = 1.0
    agent: AgentChoice = "ppo"
    warm: bool | None = None
    episodes: Count = 100
    seed: int = 0
    collect: CollectConfig = field(default_factory=CollectConfig)
    train: WorldTraining = field(default_factory=TrainConfig)
    vision_steps: Natural = 700
    memory_steps: Natural = 1000
    ppo: PPOConfig = field(default_factory=PPOConfig)
    evolve: EvolveConfig = field(default_factory=EvolveConfig)
    actor_critic: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)

    @property
    def agent_name(self) -> str:
        """Name of the agent's folder."""
        return self.agent if isinstance(self.agent, str) else kind_of_settings(self.agent).name

    @property
    def agent_settings(self) -> Any:
        """Settings of the agent's training."""
        return getattr(self, SETTINGS_OF[self.agent]) if isinstance(self.agent, str) else self.agent


def iterate(env_id: str | EnvRecipe, folder: str | Path, config: IterateConfig | None = None) -> list[Round]:
    """Collects, trains, dreams and compares in rounds; goes on where an earlier call stopped.

    Held-out episodes stay held out, whatever is added later. The folder always holds the best of the finished rounds,
    by mean return in reality on the validation seeds.

    Args:
        env_id: As for :func:`dreamenv.data.collect.collect`.
        folder: Takes ``episodes/``, ``rounds/NN/`` with the world and agent of every round, and the best of them.
        config: Settings.

    Returns:
        All rounds that are finished, those of earlier calls included.

    Raises:
        ResumeError: If the folder belongs to other settings, or holds a world that was made without rounds, or another
            process is at work there.
        DivergenceError: If a training meets a number that is not finite; the last checkpoint stays.
    """
    config, folder = config or IterateConfig(), Path(folder)
    with alone_in(folder):
        return _iterate(as_recipe(env_id), folder, config)


def _iterate(env: EnvRecipe, folder: Path, config: IterateConfig) -> list[Round]:
    stored = StoredRounds(folder, config.agent_name, config.episodes)
    stored.check_settings("iterate.json", env, _settings(config))
    return stored.repeat(config.rounds, config.target, lambda before: _play(env, stored, before, config))


def _play(env: EnvRecipe, stored: StoredRounds, before: list[Round], config: IterateConfig) -> tuple[World, Policy]:
    """One round more."""
    number, place = len(before), stored.place(len(before))
    source = load(before[-1].folder) if before else None
    frames = before[-1].frames + config.round_frames if before else config.frames
    previous = load_agent(stored.agent_in(before[-1].folder)) if before else None
    store = _collect(env, stored.folder, frames, source, previous, config)
    stored.note_frames(number, store.num_frames)
    world = train(place, _training(number, config), episodes=store.folder, source=source)
    return world, _dream(world, stored.agent_in(place), _seed(number, config), previous, config)


def _collect(
    env: EnvRecipe, folder: Path, frames: int, source: World | None, previous: Policy | None, config: IterateConfig
) -> EpisodeStore:
    """Adds episodes of the ``previous`` agent, which sees through ``source``; of exploring policies without one."""
    settings = dataclasses.replace(config.collect, frames=frames, seed=config.seed)
    make_actor = None
    if source is not None and previous is not None:
        make_actor = functools.partial(ObservingAgent, source, previous, config.noise)
    return collect(env, folder / "episodes", settings, make_actor=make_actor)


def _training(number: int, config: IterateConfig) -> WorldTraining:
    training = dataclasses.replace(config.train, seed=_seed(number, config))
    if number:
        training = training.later()
    if not (number and isinstance(training, TrainConfig)):
        return training
    vision, memory = training.vision, training.memory
    return dataclasses.replace(
        training,
        vision=dataclasses.replace(vision, fit=dataclasses.replace(vision.fit, steps=config.vision_steps)),
        memory=dataclasses.replace(memory, fit=dataclasses.replace(memory.fit, steps=config.memory_steps)),
    )


def _dream(world: World, folder: Path, seed: int, previous: Policy | None, config: IterateConfig) -> Policy:
    warm = not world.config.action.discrete if config.warm is None else config.warm
    return train_agent(world, folder, dataclasses.replace(config.agent_settings, seed=seed), previous if warm else None)


def _seed(number: int, config: IterateConfig) -> int:
    """Of a round's trainings: the first is what the single commands do, the others draw nothing of it again."""
    return spawn_short(config.seed, "round", number) if number else config.seed


def _settings(config: IterateConfig) -> dict[str, Any]:
    """Settings that a folder belongs to; ``rounds`` and ``target`` may change later."""
    settings = dataclasses.asdict(dataclasses.replace(config, rounds=0, target=0.0))
    if not isinstance(config.agent, str):
        settings["agent"] = {config.agent_name: settings["agent"]}
    for name in ("actor_critic", "planner"):  # files of before there were these do not have them
        if config.agent_name != name.replace("_", "-"):
            del settings[name]
    if not isinstance(config.train, TrainConfig):
        settings["train"] = {kind_of_config(config.train.sizes).name: settings["train"]}
    return settings
