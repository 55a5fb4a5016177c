"""Does the repulsion of components help M? Both kinds of mixtures, with and without it, on the latents of one V.

Run `python benchmarks/repulsion.py --world FOLDER`, a world whose episodes and `training/vision` are kept, such as the
frontier's; it goes on where it was interrupted.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from study import Row, once
from tabulate import tabulate

import dreamenv
from dreamenv.evaluate.horizon import HorizonConfig, open_loop
from dreamenv.files import write_json
from dreamenv.latents import LatentEpisode, encode_episodes
from dreamenv.models import mdn
from dreamenv.models.memory import one_step_loss

RECIPE = dreamenv.TrainConfig()
SETTINGS: dict[str, tuple[mdn.MixtureKind, float]] = {
    "per dimension": ("per_dim", 0.0),
    "per dimension, repulsion": ("per_dim", 0.1),
    "joint": ("joint", 0.0),
    "joint, repulsion": ("joint", 0.1),
}


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        world: A folder with episodes and a trained V.
        root: Takes everything.
        settings: Which of them; all by default.
        seeds: One M each.
        horizons: Of open-loop predictions.
    """

    world: Path
    root: Path = Path("runs/repulsion")
    settings: tuple[str, ...] = tuple(SETTINGS)
    seeds: tuple[int, ...] = (0, 1, 2)
    horizons: tuple[int, ...] = (1, 8, 32)


def main(study: Study) -> None:
    torch.set_num_threads(1)
    rows = [measure(study, name, seed) for seed in study.seeds for name in study.settings]
    write_json(study.root / "repulsion.json", rows)
    print(table(rows))


def measure(study: Study, name: str, seed: int) -> Row:
    """Trains one M and measures it on held-out episodes, unless that was done before."""
    folder = study.root / f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"
    kind, weight = SETTINGS[name]

    def make() -> Row:
        if not (folder / "training").exists():
            shutil.copytree(study.world / "training" / "vision", folder / "training" / "vision")
        memory = replace(RECIPE.memory, model=replace(RECIPE.memory.model, mixture=kind), repulsion_weight=weight)
        config = replace(RECIPE, memory=memory, seed=seed)
        world = dreamenv.train(folder, config, episodes=study.world / "episodes")
        _, held_out = dreamenv.EpisodeStore(study.world / "episodes").split()
        latents = encode_episodes(world.vision, held_out, world.config)
        loops = open_loop(world, latents, HorizonConfig(horizons=study.horizons))
        errors = {str(loop.horizon): loop.z_error for loop in loops}
        return {"setting": name, "seed": seed, **mixture_facts(world, latents), "z error": errors}

    return once(folder / "scores.json", make)


@torch.inference_mode()
def mixture_facts(world: dreamenv.World, latents: list[LatentEpisode]) -> Row:
    """NLL, overlap, entropy and live components on held-out steps."""
    hidden = torch.cat([world.memory.unroll(e.mean[None, :-1], e.action[None])[0][0] for e in latents])
    mixture = world.memory.prior(hidden)
    return {
        "nll": float(one_step_loss(mixture, torch.cat([episode.mean[1:] for episode in latents])).mean()),
        "overlap": float(mdn.overlap(mixture).mean()),
        "entropy": float(mdn.weight_entropy(mixture).mean()),
        "live": float(mdn.live_components(mixture).mean()),
    }


def table(rows: list[Row]) -> str:
    """Means over the seeds, the lowest and the highest in brackets."""

    def cell(values: list[float]) -> str:
        return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"

    lines = []
    for name in dict.fromkeys(row["setting"] for row in rows):
        of = [row for row in rows if row["setting"] == name]
        facts = [cell([row[key] for row in of]) for key in ("nll", "overlap", "entropy", "live")]
        lines.append((name, *facts, *(cell([row["z error"][k] for row in of]) for k in of[0]["z error"])))
    horizons = [f"z error, {k}" for k in rows[0]["z error"]]
    return tabulate(lines, ("mixture", "NLL", "overlap", "entropy", "live", *horizons), disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Study))
