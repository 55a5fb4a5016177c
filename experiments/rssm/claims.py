"""The papers' claims about the RSSM, tested small: worlds that learn jointly from the same frames, one change each.

Claims: categorical z beat Gaussian ones, the balanced KL helps, gradients of rewards and endings into z and h do not
matter and those of the image do (Dreamer V2, section 3); latent overshooting hardly helps, and both a deterministic
and a stochastic transition are needed (PlaNet, section 5). Two more changes are this package's own: a posterior and a
decoder that do not read h. The table has the one-step errors of every world, and real scores of a PPO agent of its
dream. Frames have half of Sidewalk's height and width, so that a world takes minutes.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import dreamenv
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.reports.summary import report
from dreamenv.training.fit import FitConfig
from dreamenv.training.rssm import FramesTraining, RSSMTraining
from dreamenv.training.rssm_loss import SequenceTraining
from experiments.runner import Study
from experiments.show import Layout, Row, cells, span, spread
from experiments.worlds import PPO, trained

BASE = "Gaussian"
SETTINGS: dict[str, dict[str, Any]] = {
    BASE: {},
    "categorical": {"model": {"latent": "categorical", "latent_size": 32, "classes": 16}},
    "KL not balanced": {"joint": {"kl_balance": 0.5}},
    "no gradient of rewards": {"joint": {"reward_gradient": 0.0, "ending_gradient": 0.0}},
    "no gradient of images": {"joint": {"image_gradient": 0.0}},
    "overshooting 5": {"joint": {"overshooting": 5}},
    "deterministic": {"model": {"transition": "deterministic"}},
    "stochastic": {"model": {"transition": "stochastic"}},
    "posterior without h": {"model": {"posterior_reads_h": False}},
    "decoder without h": {"model": {"decoder_reads_h": False}},
}
NONE = FitConfig(steps=0)
JOINTLY = RSSMTraining(
    model=RSSMConfig(frame_shape=(30, 40, 3), posterior_reads_h=True, decoder_reads_h=True, posterior_layers=1),
    frames=FramesTraining(fit=NONE),
    joint=replace(RSSMTraining().joint, fit=FitConfig(steps=600), decoded=200),
    dynamics=SequenceTraining(fit=NONE),
)


@dataclass(frozen=True, kw_only=True)
class Claims(Study):
    """What is measured.

    Attributes:
        episodes: Folders of collected episodes; a seed learns from the one at its place.
        train: The base, but for its seed and what a setting changes.
    """

    root: Path = Path("runs/claims")
    settings: tuple[str, ...] = tuple(SETTINGS)
    episodes: tuple[Path, ...]
    real_episodes: int = 100
    train: RSSMTraining = JOINTLY
    ppo: dreamenv.PPOConfig = replace(PPO, timesteps=800_000)

    changes: ClassVar[dict[str, dict[str, Any]]] = SETTINGS
    depends = ("episodes", "real_episodes", "train", "ppo")
    layout = Layout(
        name="claims",
        keys={"setting": "change"},
        columns={
            **cells(partial(span, digits=5), {"posterior error": "posterior error"}),
            **cells(span, {"ratio": "prior error / posterior error"}),
            **cells(spread, ("dream sampling", "validation greedy", "validation sampling")),
        },
        places={"validation greedy": "real, greedy", "validation sampling": "real, sampling"},
        labels=("one change", "mean return"),
    )

    def frames(self, seed: int) -> Path:
        """The episodes that the worlds of a seed learn from."""
        return self.episodes[self.seeds.index(seed)]

    def make(self, setting: str, seed: int) -> Row:
        """Trains a world and an agent in its dream, and measures both."""
        folder, changes, episodes = self.folder(setting, seed), self.changes[setting], self.frames(seed)
        parts = {name: replace(getattr(self.train, name), **change) for name, change in changes.items()}
        world = dreamenv.train(folder, replace(self.train, **parts, seed=seed), episodes=episodes)
        errors = report(world, dreamenv.EpisodeStore(episodes), folder / "training").one_step
        ppo = replace(self.ppo, seed=seed)
        found = trained(
            world, folder / "agent", ppo, self.real_episodes, {"temperature": ppo.temperature}, sides=("validation",)
        )
        return {"ratio": errors.ratio or float("nan"), "posterior error": errors.posterior_error, **found}
