"""Does the repulsion of components help M? Both kinds of mixtures, with and without it, on the latents of one V.

Run `python -m benchmarks.post.repulsion --episodes FOLDER`, a folder of collected episodes; it goes on where it was
interrupted. All Ms learn to predict what the shipped V sees; PPO in the dream of each shows what it is worth in
reality.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import tyro
from tabulate import tabulate

import dreamenv
from benchmarks.study import Row, by_setting, identity, once, real_scores, spread, with_fresh_memory
from dreamenv.evaluate.horizon import HorizonConfig, open_loop
from dreamenv.files import write_json
from dreamenv.latents import LatentEpisode, encode_episodes
from dreamenv.models import mdn
from dreamenv.models.memory import one_step_loss

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
        episodes: Folder of collected episodes.
        world: Whose V it is: a folder, or the name of a shipped world.
        root: Takes everything.
        settings: Which of them; all by default.
        seeds: One M and one agent each.
        horizons: Of open-loop predictions.
        real_episodes: Per score.
        train: M, before the kind of mixture is changed; V is there.
        ppo: PPO in the dream.
        processes: Ms side by side, each on one core.
    """

    episodes: Path
    world: str = "sidewalk"
    root: Path = Path("runs/repulsion")
    settings: tuple[str, ...] = tuple(SETTINGS)
    seeds: tuple[int, ...] = (0, 1, 2)
    horizons: tuple[int, ...] = (1, 8, 32)
    real_episodes: int = 100
    train: dreamenv.TrainConfig = dreamenv.TrainConfig()
    ppo: dreamenv.PPOConfig = dreamenv.PPOConfig(temperature=1.15)
    processes: int = 2


def main(study: Study) -> None:
    jobs = [(study, name, seed) for seed in study.seeds for name in study.settings]
    with get_context("spawn").Pool(study.processes, maxtasksperchild=1) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(study.root / "repulsion.json", rows)
    print(table(rows))


def measure(study: Study, name: str, seed: int) -> Row:
    """Trains one M, measures it on held-out episodes and an agent of its dream in reality, unless that was done."""
    torch.set_num_threads(1)
    folder = study.root / f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"
    kind, weight = SETTINGS[name]

    def make() -> Row:
        vision = replace(study.train.vision, fit=replace(study.train.vision.fit, steps=0))
        model = replace(study.train.memory.model, mixture=kind)
        memory = replace(study.train.memory, model=model, repulsion_weight=weight)
        config = replace(study.train, vision=vision, memory=memory, seed=seed)
        source = with_fresh_memory(dreamenv.load(study.world), seed)
        world = dreamenv.train(folder, config, episodes=study.episodes, source=source)
        _, held_out = dreamenv.EpisodeStore(study.episodes).split()
        latents = encode_episodes(world.vision, held_out, world.config)
        loops = open_loop(world, latents, HorizonConfig(horizons=study.horizons))
        errors = {str(loop.horizon): loop.z_error for loop in loops}
        agent = dreamenv.train_ppo(world, folder / "agents" / "ppo", replace(study.ppo, seed=seed))
        found = {**mixture_facts(world, latents), "z error": errors}
        return {"setting": name, "seed": seed, **found, **real_scores(world, agent, study.real_episodes)}

    made_with = {
        "world": identity(study.world),
        "horizons": study.horizons,
        "real_episodes": study.real_episodes,
        "train": study.train,
        "ppo": study.ppo,
    }
    return once(folder / "scores.json", make, **made_with)


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
    for name, of in by_setting(rows).items():
        facts = [cell([row[key] for row in of]) for key in ("nll", "overlap", "entropy", "live")]
        errors = (cell([row["z error"][k] for row in of]) for k in of[0]["z error"])
        lines.append((name, *facts, *errors, spread(of, "test greedy"), spread(of, "test sampling")))
    horizons = [f"z error, {k}" for k in rows[0]["z error"]]
    headers = ("mixture", "NLL", "overlap", "entropy", "live", *horizons, "PPO, greedy", "PPO, sampling")
    return tabulate(lines, headers, disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Study))
