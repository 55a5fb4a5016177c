"""Settings for a world of this game: those that measured best, and those of World Models."""

from __future__ import annotations

import dataclasses

from dreamenv.agents.evolve import EvolveConfig
from dreamenv.agents.ppo_config import PPOConfig
from dreamenv.data.collect import CollectConfig
from dreamenv.data.explore import ExplorationConfig
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.rounds.iterate import IterateConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.mdnrnn import TrainConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining

COLLECT = CollectConfig(
    frames=400_000,
    shard_episodes=64,
    exploration=ExplorationConfig(bump_and_turn=0.0, preference=0.2, sticky=0.8, hold=(20,)),
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
    branches=4096,
)
# Short dreams that branch off recorded moments: measured, docs/results/takecover.
PPO = PPOConfig(timesteps=1_200_000, branched_starts=0.9, max_episode_steps=64, normalize_reward=True)
# Held actions, a discount that looks as far ahead, half as many dream steps more: measured, docs/results/takecover.
PPO_HELD = dataclasses.replace(PPO, timesteps=450_000, n_steps=32, batch_size=1024, gamma=0.97, action_repeat=4)
EVOLVE = EvolveConfig(branched_starts=0.5, generations=30)
ITERATE = IterateConfig(
    frames=COLLECT.frames,
    rounds=3,
    round_frames=200_000,
    noise=(0.0, 0.05, 0.2),
    episodes=50,
    collect=COLLECT,
    train=TRAIN,
    vision_steps=0,
    memory_steps=1500,
    ppo=dataclasses.replace(PPO, temperature=1.15),
)

# As World Models has it (Ha and Schmidhuber 2018, appendix; its code), but for three things: V's KL term has no floor,
# CMA-ES no weight decay, and gradients are clipped by their norm. V makes 10 passes over 10,000 episodes, M 20.
PAPER_COLLECT = CollectConfig(
    frames=3_000_000, shard_episodes=64, exploration=ExplorationConfig(bump_and_turn=0.0, preference=0.0, sticky=1.0)
)
PAPER_TRAIN = TrainConfig(
    vision=VisionTraining(
        model=VisionConfig(frame_shape=(64, 64, 3), kind="paper"),
        fit=FitConfig(steps=300_000, learning_rate=1e-4),
        batch_size=100,
        reconstruction_scale=1.0,
        beta_warmup=0.0,
        rare_colours=False,
    ),
    memory=MemoryTraining(
        model=MemoryConfig(kind="paper"),
        fit=FitConfig(steps=2_000, gradient_clip=1.0),
        batch_size=100,
        window=500,
        ending_weight=1.0,
        episode_balance=0.0,
        step_balance=0.4,  # a death in 300 steps weighs 10
        calibrated=False,
    ),
    temperature=1.15,
    ending_rule="threshold",
)
PAPER_EVOLVE = EvolveConfig(inputs=("z", "c", "h"), one_output=True, generations=200, temperature=1.15)
