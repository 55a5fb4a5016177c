"""Settings of online learning: the loops of PlaNet, Dreamer V1 and V2, as published, and smaller for a processor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dreamenv.agents.actor_critic.config import PRESETS as BEHAVIOURS
from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.data.explore import ExplorationConfig
from dreamenv.foundation.ranges import Count, Natural, Seed, Settings, Share, Temperature
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.training.presets import PRESETS as MODELS
from dreamenv.training.rssm_loss import SequenceTraining

Version = Literal["planet", "dreamer-v1", "dreamer-v2"]
Size = Literal["small", "published"]


@dataclass(frozen=True, kw_only=True)
class OnlineConfig(Settings):
    """How a world and its behaviour learn from the first real frame on (PlaNet, algorithm 1; Dreamer, algorithm 1).

    After the first frames the loop repeats: the behaviour collects, then model and behaviour train, with the weights
    and the optimizer's state that they have. A round is some of these repetitions and a score in reality.

    Attributes:
        frames: Real frames that exploring policies collect at first; the last episode is finished.
        first_updates: Gradient steps after these.
        collect_frames: Real frames that the behaviour adds before each training, and what is needed to finish the last
            episode; these count for the next training.
        updates: Gradient steps of a training.
        trainings: Trainings in a round.
        rounds: Rounds after the first, which ends with the first training; may be raised later.
        target: Stop at the round whose agent has this success rate in reality, greedy, on the validation seeds; may be
            changed later.
        episodes: Real episodes in which a round's agent is judged, greedy, with seeds from 80,000 on.
        noise: Strengths of the noise on the behaviour's actions when it collects, one is drawn for each episode: the
            probability of a random discrete action, or the standard deviation of correlated noise in shares of half a
            Box.
        sampling: Whether the behaviour draws its actions when it collects; else they are greedy.
        seed: Of everything random, in place of the parts' own seeds.
        exploration: The exploring policies.
        model: Sizes of the RSSM.
        joint: How the model learns; learning rates stay at their peak, and ``fit.steps`` is not read.
        rare_colours: Weight pixel errors by the rareness of their colour; without it small things vanish from dreams.
        branches: Moments that a round's world keeps as starts of dreams.
        temperature: The default temperature of a round's world.
    """

    frames: Count = 1000
    first_updates: Count = 100
    collect_frames: Count = 125
    updates: Count = 25
    trainings: Count = 10
    rounds: Natural = 10
    target: float = 1.0
    episodes: Count = 10
    noise: tuple[Share, ...] = (0.0,)
    sampling: bool = True
    seed: Seed = 0
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    model: RSSMConfig
    joint: SequenceTraining
    rare_colours: bool = False
    branches: Count = 256
    temperature: Temperature = 1.0

    def goal(self, training: int) -> tuple[int, int]:
        """Real frames before a training, and updates after it; training 0 is the first."""
        return self.frames + training * self.collect_frames, self.first_updates + training * self.updates


@dataclass(frozen=True, kw_only=True)
class PlanetConfig(OnlineConfig):
    """PlaNet: the planner is the behaviour; adds to :class:`OnlineConfig`.

    Attributes:
        planner: The planner. Its exploration noise acts when it collects.
    """

    planner: PlannerConfig


@dataclass(frozen=True, kw_only=True)
class DreamerConfig(OnlineConfig):
    """Dreamer: actor and critic learn in every update, from states of its sequences; adds to :class:`OnlineConfig`.

    Attributes:
        actor_critic: Actor and critic. ``num_envs`` of the states begin imagined episodes, all at most. Shares of
            starts and ``updates`` are not read.
    """

    actor_critic: ActorCriticConfig


# The published loops. Frames are counted after action repeat: an episode of the Control suite has 1,000 environment
# steps, 500 decisions where an action is held for two. Learning rates stay constant, as in papers and codes.
PUBLISHED: dict[Version, OnlineConfig] = {
    "planet": PlanetConfig(
        frames=5 * 126,  # paper and code: 5 episodes; here those of cartpole, whose actions are held for 8 steps
        collect_frames=126,  # paper and code: an episode
        updates=100,  # paper and code
        model=MODELS["planet"].model,
        joint=MODELS["planet"].joint,
        planner=PlannerConfig(),
    ),
    "dreamer-v1": DreamerConfig(
        frames=5 * 501,  # paper and code: 5 episodes
        collect_frames=501,  # paper and code: an episode
        updates=100,  # paper and code
        noise=(0.3,),  # paper and code, there without correlation in time
        model=MODELS["dreamer-v1"].model,
        joint=MODELS["dreamer-v1"].joint,
        actor_critic=BEHAVIOURS["dreamer-v1"],
    ),
    "dreamer-v2": DreamerConfig(  # for DeepMind Control
        frames=1000,  # code
        collect_frames=500,
        updates=100,  # code: one in five steps
        model=MODELS["dreamer-v2"].model,
        joint=MODELS["dreamer-v2"].joint,
        actor_critic=BEHAVIOURS["dreamer-v2"],
    ),
}


def online_config(name: Version, size: Size = "small") -> OnlineConfig:
    """Returns a loop as it was published, or smaller for a processor: fewer weights, plans, sequences and updates.

    What the small loops change is this package's own choice.
    """
    return PUBLISHED[name] if size == "published" else _small(PUBLISHED[name])


def _small(published: OnlineConfig) -> OnlineConfig:
    model = replace(
        published.model,
        frame_shape=(32, 32, 3),
        network="conv",
        convolution_activation="relu",
        channels=(16, 32, 64),
        head_layers=(200, 200),
    )
    if model.latent == "categorical":
        model = replace(model, latent_size=16, classes=16, unimix=0.01)
    fit = replace(published.joint.fit, learning_rate=1e-3, precision="bfloat16")
    scale = 4.0 * published.joint.reconstruction_scale  # for a quarter of the pixels
    joint = replace(published.joint, fit=fit, batch_size=16, length=25, decoded=200, reconstruction_scale=scale)
    loop = replace(published, frames=5 * 126, collect_frames=126, updates=40, model=model, joint=joint)
    loop = replace(loop, trainings=15, rounds=6, episodes=5)  # 95 episodes
    if isinstance(loop, PlanetConfig):
        return replace(loop, planner=replace(loop.planner, iterations=4, candidates=100, elites=10))
    assert isinstance(loop, DreamerConfig)
    behaviour = replace(
        loop.actor_critic,
        num_envs=200,
        horizon=10,
        net_arch=(200, 200),
        gamma=0.97,  # an action is held for 8 steps, not for 2
        value_unit=50.0,
        least_return_range=1.0,
        actor_learning_rate=5e-4,
        critic_learning_rate=1e-3,
    )
    if model.latent == "categorical":  # gradients through an early model drove the actor to one action
        behaviour = replace(behaviour, dynamics_gradient=0.0, ent_coef=1e-3)
        loop = replace(loop, noise=(0.3,))
    return replace(loop, actor_critic=behaviour)
