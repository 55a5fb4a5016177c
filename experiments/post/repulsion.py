"""Does the repulsion of components help M? Both kinds of mixtures, with and without it, on the latents of one V.

`--episodes` is a folder of collected episodes. All Ms learn to predict what the shipped V sees; PPO in the dream of
each shows what it is worth in reality.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

import dreamenv
from dreamenv.evaluate.sight import HorizonConfig
from dreamenv.models.latent import Mixture, MixtureKind
from dreamenv.recordings import record
from dreamenv.reports.horizon import open_loop
from dreamenv.reports.model_report import one_step_loss
from dreamenv.world import Trace
from experiments.runner import Study
from experiments.show import Layout, Row, cells, span, spread
from experiments.worlds import PPO, keeping, trained, with_fresh_memory

SETTINGS: dict[str, tuple[MixtureKind, float]] = {
    "per dimension": ("per_dim", 0.0),
    "per dimension, repulsion": ("per_dim", 0.1),
    "joint": ("joint", 0.0),
    "joint, repulsion": ("joint", 0.1),
}


def at_each(horizons: list[dict[str, float]]) -> str:
    """Errors by horizon, one after the other."""
    return ", ".join(f"{k}: {span([errors[k] for errors in horizons])}" for k in horizons[0])


@dataclass(frozen=True, kw_only=True)
class Repulsion(Study):
    """What is measured.

    Attributes:
        episodes: Folder of collected episodes.
        world: Whose V it is: a folder, or the name of a shipped world.
        horizons: Of open-loop predictions.
    """

    episodes: Path
    root: Path = Path("runs/repulsion")
    settings: tuple[str, ...] = tuple(SETTINGS)
    world: str = "sidewalk"
    horizons: tuple[int, ...] = (1, 8, 32)
    real_episodes: int = 100
    train: dreamenv.TrainConfig = dreamenv.TrainConfig()
    ppo: dreamenv.PPOConfig = PPO

    depends = ("world", "horizons", "real_episodes", "train", "ppo")
    layout = Layout(
        name="repulsion",
        keys={"setting": "mixture"},
        columns={
            **cells(span, {"nll": "NLL", "overlap": "overlap", "entropy": "entropy", "live": "live"}),
            **cells(at_each, ("z error",)),
            **cells(spread, {"test greedy": "PPO, greedy", "test sampling": "PPO, sampling"}),
        },
    )

    def make(self, setting: str, seed: int) -> Row:
        """Trains one M, measures it on held-out episodes, and an agent of its dream in reality."""
        folder, (kind, weight) = self.folder(setting, seed), SETTINGS[setting]
        model = replace(self.train.memory.model, mixture=kind)
        memory = replace(self.train.memory, model=model, repulsion_weight=weight)
        config = replace(keeping(self.train, "vision"), memory=memory, seed=seed)
        source = with_fresh_memory(dreamenv.load(self.world), seed)
        world = dreamenv.train(folder, config, episodes=self.episodes, source=source)
        _, held_out = dreamenv.EpisodeStore(self.episodes).split()
        traces = world.follow(record(world.model, held_out, world.config), seed=None)
        loops = open_loop(world, traces, HorizonConfig(horizons=self.horizons))
        errors = {str(loop.horizon): loop.z_error for loop in loops}
        found = trained(world, folder / "agents" / "ppo", replace(self.ppo, seed=seed), self.real_episodes)
        return {**found, **mixture_facts(traces), "z error": errors}


@torch.inference_mode()
def mixture_facts(traces: list[Trace]) -> Row:
    """NLL, overlap, entropy and live components on held-out steps."""
    mixture = Mixture.cat([trace.priors for trace in traces])  # type: ignore[misc]
    return {
        "nll": float(torch.cat([one_step_loss(trace) for trace in traces]).mean()),
        "overlap": float(mixture.overlap().mean()),
        "entropy": float(mixture.weight_entropy().mean()),
        "live": float(mixture.live_components().mean()),
    }
