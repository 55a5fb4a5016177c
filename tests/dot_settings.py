"""Settings with which the dot environment is learned in seconds."""

from dataclasses import replace

from dot_env import HEIGHT, WIDTH

import dreamenv
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.rssm import FramesTraining, RSSMTraining
from dreamenv.training.rssm_loss import SequenceTraining
from dreamenv.training.vision import VisionTraining

DOT_EXPLORATION = dreamenv.ExplorationConfig(bump_and_turn=0.0, preference=0.5, sticky=0.5)
DOT_COLLECT = dreamenv.CollectConfig(frames=4284, num_envs=8, exploration=DOT_EXPLORATION)
DOT_VISION = VisionConfig(frame_shape=(HEIGHT, WIDTH, 3), latent_size=8, channels=(16, 32))
DOT_MEMORY = MemoryConfig(hidden_size=32, components=3)
DOT_TRAIN = dreamenv.TrainConfig(
    vision=VisionTraining(
        model=DOT_VISION,
        fit=FitConfig(steps=300, learning_rate=3e-3, precision="float32"),
        batch_size=64,
    ),
    memory=MemoryTraining(
        model=DOT_MEMORY,
        fit=FitConfig(steps=400, learning_rate=5e-3, gradient_clip=1.0, precision="float32"),
        batch_size=32,
    ),
)
DOT_EVOLVE = dreamenv.EvolveConfig(
    generations=12, population=16, episodes=8, sigma=0.5, num_envs=128, evaluation_every=12
)


def dot_rssm(latent):
    """Settings with which a small RSSM learns the environment; a categorical z collapses without uniform shares."""
    learned = {
        "gaussian": FramesTraining(fit=_fit(200), batch_size=64, reconstruction_scale=100.0, beta=0.1),
        "categorical": FramesTraining(fit=_fit(400, 3e-3), batch_size=64, reconstruction_scale=0.5, beta_warmup=1e-4),
    }
    sizes = RSSMConfig(
        frame_shape=(HEIGHT, WIDTH, 3),
        channels=(16, 32),
        embedding_size=0,
        latent=latent,
        latent_size=8,
        classes=8,
        unimix=0.1 * (latent == "categorical"),
        hidden_size=32,
        units=32,
    )
    later = SequenceTraining(fit=_fit(150), batch_size=16, length=20)
    return RSSMTraining(model=sizes, frames=learned[latent], dynamics=later, heads=replace(later, fit=_fit(50)))


def _fit(steps, learning_rate=5e-3):
    return FitConfig(steps=steps, learning_rate=learning_rate, precision="float32")
