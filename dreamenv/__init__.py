"""dreamenv turns a trained world model into a Gymnasium environment: train in the dream, act in reality, compare."""

from dreamenv import worlds as worlds
from dreamenv.agents.evolve import EvolveConfig, evolve
from dreamenv.agents.linear import LinearAgent, save_linear
from dreamenv.agents.load import load_agent
from dreamenv.agents.ppo import PPOConfig, train_ppo
from dreamenv.agents.sb3 import SB3Agent, as_vec_env, save_sb3
from dreamenv.agents.vote import VotingAgent, save_vote
from dreamenv.bundle import load, save
from dreamenv.config import WorldConfig
from dreamenv.data.collect import CollectConfig, collect
from dreamenv.data.episodes import Episode
from dreamenv.data.explore import ExplorationConfig
from dreamenv.data.store import EpisodeStore
from dreamenv.envs.dream import DreamEnv
from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.envs.latent import LatentObservation
from dreamenv.envs.latent_vector import VectorLatentObservation
from dreamenv.envs.pseudo import PseudoDream
from dreamenv.envs.shaping import ActionPenalty, VectorActionPenalty
from dreamenv.evaluate.choose import ChooseConfig, choose
from dreamenv.evaluate.compare import CompareConfig, Comparison, compare
from dreamenv.evaluate.rounds import Round
from dreamenv.foundation.errors import (
    BundleError,
    DivergenceError,
    DreamenvError,
    EpisodeError,
    RenderingError,
    ResumeError,
    SettingsError,
    StorageError,
    StoreError,
    UnsupportedEnvironmentError,
    WorkerError,
)
from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.models.base import State
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.noise import Noise
from dreamenv.real.make import make_real
from dreamenv.reports.horizon import HorizonConfig, OpenLoop, open_loop, score_by_sight
from dreamenv.reports.inspect import inspect
from dreamenv.reports.results import InspectConfig, Inspection
from dreamenv.reports.summary import WorldReport, report
from dreamenv.rollouts import Policy, rollout
from dreamenv.rounds import IterateConfig, iterate
from dreamenv.training.fit import FitConfig
from dreamenv.training.mdnrnn import TrainConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining
from dreamenv.training.world import train
from dreamenv.verdict.trust import Trust, TrustConfig, trust
from dreamenv.world import World

__version__ = "0.1.0"

__all__ = [
    "ActionPenalty",
    "BundleError",
    "ChooseConfig",
    "CollectConfig",
    "CompareConfig",
    "Comparison",
    "DivergenceError",
    "DreamEnv",
    "DreamVectorEnv",
    "DreamenvError",
    "EnvRecipe",
    "Episode",
    "EpisodeStore",
    "EvolveConfig",
    "ExplorationConfig",
    "FitConfig",
    "HorizonConfig",
    "InspectConfig",
    "Inspection",
    "IterateConfig",
    "LatentObservation",
    "LinearAgent",
    "MemoryConfig",
    "MemoryTraining",
    "Noise",
    "OpenLoop",
    "PPOConfig",
    "Policy",
    "PseudoDream",
    "RenderingError",
    "ResumeError",
    "Round",
    "SB3Agent",
    "SettingsError",
    "State",
    "StorageError",
    "StoreError",
    "TrainConfig",
    "Trust",
    "TrustConfig",
    "UnsupportedEnvironmentError",
    "VectorActionPenalty",
    "VectorLatentObservation",
    "VisionConfig",
    "VisionTraining",
    "VotingAgent",
    "EpisodeError",
    "WorkerError",
    "World",
    "WorldConfig",
    "WorldReport",
    "as_vec_env",
    "choose",
    "collect",
    "compare",
    "evolve",
    "inspect",
    "iterate",
    "load",
    "load_agent",
    "make_real",
    "open_loop",
    "report",
    "rollout",
    "save",
    "save_linear",
    "save_sb3",
    "save_vote",
    "score_by_sight",
    "train",
    "train_ppo",
    "trust",
]
