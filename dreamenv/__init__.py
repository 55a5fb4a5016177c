"""dreamenv turns a trained world model into a Gymnasium environment: train in the dream, act in reality, compare."""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

# Both register environments with Gymnasium; the third keeps forked processes from hanging.
from dreamenv import envs as envs
from dreamenv import worlds as worlds
from dreamenv.foundation import fork as fork

if TYPE_CHECKING:
    from dreamenv.agents.actor_critic.config import ActorCriticConfig as ActorCriticConfig
    from dreamenv.agents.actor_critic.train import train_actor_critic as train_actor_critic
    from dreamenv.agents.evolve import EvolveConfig as EvolveConfig
    from dreamenv.agents.evolve import evolve as evolve
    from dreamenv.agents.linear import LinearAgent as LinearAgent
    from dreamenv.agents.load import load_agent as load_agent
    from dreamenv.agents.ppo import train_ppo as train_ppo
    from dreamenv.agents.ppo_config import PPOConfig as PPOConfig
    from dreamenv.agents.registry import register_agent as register_agent
    from dreamenv.agents.sb3 import as_vec_env as as_vec_env
    from dreamenv.agents.sb3 import save_sb3 as save_sb3
    from dreamenv.bundle import load as load
    from dreamenv.bundle import save as save
    from dreamenv.data.collect import CollectConfig as CollectConfig
    from dreamenv.data.collect import collect as collect
    from dreamenv.data.episodes import Episode as Episode
    from dreamenv.data.explore import ExplorationConfig as ExplorationConfig
    from dreamenv.data.store import EpisodeStore as EpisodeStore
    from dreamenv.envs.dream import DreamEnv as DreamEnv
    from dreamenv.envs.dream_vector import DreamVectorEnv as DreamVectorEnv
    from dreamenv.envs.latent import LatentObservation as LatentObservation
    from dreamenv.envs.latent_vector import VectorLatentObservation as VectorLatentObservation
    from dreamenv.evaluate.choose import choose as choose
    from dreamenv.evaluate.compare import CompareConfig as CompareConfig
    from dreamenv.evaluate.compare import compare as compare
    from dreamenv.foundation.errors import DreamenvError as DreamenvError
    from dreamenv.foundation.recipe import EnvRecipe as EnvRecipe
    from dreamenv.real.make import make_real as make_real
    from dreamenv.reports.horizon import open_loop as open_loop
    from dreamenv.reports.inspect import inspect as inspect
    from dreamenv.rollouts import Policy as Policy
    from dreamenv.rollouts import rollout as rollout
    from dreamenv.rounds.iterate import IterateConfig as IterateConfig
    from dreamenv.rounds.iterate import iterate as iterate
    from dreamenv.rounds.online import learn_online as learn_online
    from dreamenv.rounds.online_config import DreamerConfig as DreamerConfig
    from dreamenv.rounds.online_config import PlanetConfig as PlanetConfig
    from dreamenv.rounds.online_config import online_config as online_config
    from dreamenv.training.kinds import register_world_model as register_world_model
    from dreamenv.training.mdnrnn import TrainConfig as TrainConfig
    from dreamenv.training.rssm import RSSMTraining as RSSMTraining
    from dreamenv.training.world import train as train
    from dreamenv.verdict.trust import TrustConfig as TrustConfig
    from dreamenv.verdict.trust import trust as trust
    from dreamenv.world import World as World

__version__ = "0.1.0"

# Public names and their modules, which are imported on first use.
_PUBLIC = {
    "World": "dreamenv.world",
    "load": "dreamenv.bundle",
    "save": "dreamenv.bundle",
    "DreamEnv": "dreamenv.envs.dream",
    "DreamVectorEnv": "dreamenv.envs.dream_vector",
    "LatentObservation": "dreamenv.envs.latent",
    "VectorLatentObservation": "dreamenv.envs.latent_vector",
    "EnvRecipe": "dreamenv.foundation.recipe",
    "make_real": "dreamenv.real.make",
    "collect": "dreamenv.data.collect",
    "CollectConfig": "dreamenv.data.collect",
    "ExplorationConfig": "dreamenv.data.explore",
    "Episode": "dreamenv.data.episodes",
    "EpisodeStore": "dreamenv.data.store",
    "train": "dreamenv.training.world",
    "TrainConfig": "dreamenv.training.mdnrnn",
    "RSSMTraining": "dreamenv.training.rssm",
    "register_world_model": "dreamenv.training.kinds",
    "evolve": "dreamenv.agents.evolve",
    "EvolveConfig": "dreamenv.agents.evolve",
    "train_ppo": "dreamenv.agents.ppo",
    "PPOConfig": "dreamenv.agents.ppo_config",
    "train_actor_critic": "dreamenv.agents.actor_critic.train",
    "ActorCriticConfig": "dreamenv.agents.actor_critic.config",
    "as_vec_env": "dreamenv.agents.sb3",
    "save_sb3": "dreamenv.agents.sb3",
    "LinearAgent": "dreamenv.agents.linear",
    "load_agent": "dreamenv.agents.load",
    "Policy": "dreamenv.rollouts",
    "rollout": "dreamenv.rollouts",
    "register_agent": "dreamenv.agents.registry",
    "iterate": "dreamenv.rounds.iterate",
    "IterateConfig": "dreamenv.rounds.iterate",
    "learn_online": "dreamenv.rounds.online",
    "online_config": "dreamenv.rounds.online_config",
    "PlanetConfig": "dreamenv.rounds.online_config",
    "DreamerConfig": "dreamenv.rounds.online_config",
    "compare": "dreamenv.evaluate.compare",
    "CompareConfig": "dreamenv.evaluate.compare",
    "choose": "dreamenv.evaluate.choose",
    "trust": "dreamenv.verdict.trust",
    "TrustConfig": "dreamenv.verdict.trust",
    "open_loop": "dreamenv.reports.horizon",
    "inspect": "dreamenv.reports.inspect",
    "DreamenvError": "dreamenv.foundation.errors",
}

# Public in 0.1; the next version offers them in these modules only.
_DEPRECATED = {
    "ActionPenalty": "dreamenv.envs.shaping",
    "BundleError": "dreamenv.foundation.errors",
    "ChooseConfig": "dreamenv.evaluate.choose",
    "Comparison": "dreamenv.evaluate.compare",
    "DivergenceError": "dreamenv.foundation.errors",
    "EpisodeError": "dreamenv.foundation.errors",
    "FitConfig": "dreamenv.training.fit",
    "HorizonConfig": "dreamenv.evaluate.sight",
    "InspectConfig": "dreamenv.reports.results",
    "Inspection": "dreamenv.reports.results",
    "MemoryConfig": "dreamenv.models.mdnrnn.memory",
    "MemoryTraining": "dreamenv.training.memory",
    "Noise": "dreamenv.models.noise",
    "OpenLoop": "dreamenv.reports.horizon",
    "PseudoDream": "dreamenv.envs.pseudo",
    "RenderingError": "dreamenv.foundation.errors",
    "ResumeError": "dreamenv.foundation.errors",
    "Round": "dreamenv.evaluate.rounds",
    "SB3Agent": "dreamenv.agents.sb3",
    "SettingsError": "dreamenv.foundation.errors",
    "State": "dreamenv.models.base",
    "StorageError": "dreamenv.foundation.errors",
    "StoreError": "dreamenv.foundation.errors",
    "Trust": "dreamenv.verdict.judgement",
    "UnsupportedEnvironmentError": "dreamenv.foundation.errors",
    "VectorActionPenalty": "dreamenv.envs.shaping",
    "VisionConfig": "dreamenv.models.mdnrnn.vision",
    "VisionTraining": "dreamenv.training.vision",
    "VotingAgent": "dreamenv.agents.vote",
    "WorkerError": "dreamenv.foundation.errors",
    "WorldConfig": "dreamenv.config",
    "WorldReport": "dreamenv.reports.held_out",
    "report": "dreamenv.reports.summary",
    "save_linear": "dreamenv.agents.linear",
    "save_vote": "dreamenv.agents.vote",
    "score_by_sight": "dreamenv.evaluate.sight",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    """Imports the module of a public name on first use (PEP 562)."""
    if name in _PUBLIC:
        globals()[name] = value = getattr(importlib.import_module(_PUBLIC[name]), name)
        return value
    if name in _DEPRECATED:
        module = _DEPRECATED[name]
        warnings.warn(f"use {module}.{name} instead of dreamenv.{name}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return sorted({*globals(), *__all__})
