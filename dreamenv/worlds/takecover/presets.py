"""Settings for a world of this game: those that measured best."""

from __future__ import annotations

from dreamenv.agents.evolve import EvolveConfig
from dreamenv.agents.sb3 import PPOConfig
from dreamenv.collect import CollectConfig
from dreamenv.explore import ExplorationConfig
from dreamenv.models.memory import MemoryConfig
from dreamenv.models.vision import VisionConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining
from dreamenv.training.world import TrainConfig

COLLECT = CollectConfig(
    frames=400_000,
    shard_episodes=64,
    exploration=ExplorationConfig(bump_and_turn=0.0, preference=0.2, sticky=0.8, hold=20),
)
TRAIN = TrainConfig(
    vision=VisionTraining(
        model=VisionConfig(frame_shape=(64, 64, 3), channels=(24, 48, 96, 192)), fit=FitConfig(steps=1600)
    ),
    memory=MemoryTraining(
        model=MemoryConfig(hidden_size=256),
        fit=FitConfig(steps=1000, gradient_clip=1.0, weight_decay=0.01),
        window=300,
        ending_gradient=0.1,
    ),
)
PPO = PPOConfig(timesteps=1_200_000, branched_starts=0.5, normalize_reward=True)
EVOLVE = EvolveConfig(branched_starts=0.5, generations=30)
