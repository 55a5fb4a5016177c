"""A tiny world, learned for real once per test session."""

import pytest
import torch
from dot_env import HEIGHT, WIDTH

import dreamenv
from dreamenv.models.memory import MemoryConfig
from dreamenv.models.vision import VisionConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining

torch.set_num_threads(1)

DOT_EXPLORATION = dreamenv.ExplorationConfig(bump_and_turn=0.0, preference=0.5, sticky=0.5)
DOT_COLLECT = dreamenv.CollectConfig(frames=4000, num_envs=8, exploration=DOT_EXPLORATION)
DOT_TRAIN = dreamenv.TrainConfig(
    vision=VisionTraining(
        model=VisionConfig(frame_shape=(HEIGHT, WIDTH, 3), latent_size=8, channels=(16, 32)),
        fit=FitConfig(steps=300, learning_rate=3e-3, precision="float32"),
        batch_size=64,
    ),
    memory=MemoryTraining(
        model=MemoryConfig(hidden_size=32, components=3),
        fit=FitConfig(steps=400, learning_rate=5e-3, gradient_clip=1.0, precision="float32"),
        batch_size=32,
    ),
)


@pytest.fixture(scope="session")
def dot_folder(tmp_path_factory):
    """The folder of a trained world of the dot environment, episodes included."""
    folder = tmp_path_factory.mktemp("dot")
    dreamenv.collect("dot_env:Dot-v0", folder / "episodes", DOT_COLLECT)
    dreamenv.train(folder, DOT_TRAIN)
    return folder


@pytest.fixture(scope="session")
def dot_world(dot_folder):
    """The world in ``dot_folder``."""
    return dreamenv.load(dot_folder)
