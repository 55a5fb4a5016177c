"""Does the temperature of the dream matter, or dropout in its stead? Agents scored where they trained and in reality.

Run `python -m benchmarks.trust.temperature --world sidewalk`; it goes on where it was interrupted. World Models has
this table for DoomTakeCover. Scores are on test seeds: nothing is chosen by them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from tabulate import tabulate

import dreamenv
from benchmarks.study import Row, by_setting, dream_scores, identity, once, plot_agents, real_scores
from dreamenv.evaluate.scores import UniformPolicy
from dreamenv.files import write_json

Knobs = dict[str, Any]
SETTINGS: dict[str, Knobs] = {
    "0.1": {"temperature": 0.1},
    "0.5": {"temperature": 0.5},
    "1": {"temperature": 1.0},
    "1.15": {"temperature": 1.15},
    "1.3": {"temperature": 1.3},
    "0.1-1.3": {"temperature": (0.1, 1.3)},
    "0.1, dropout 0.1": {"temperature": 0.1, "dropout": 0.1},
    "1, dropout 0.1": {"temperature": 1.0, "dropout": 0.1},
}
PLACES = ("dream sampling", "test sampling", "test greedy")


@dataclass(frozen=True)
class Experiment:
    """What is measured.

    Attributes:
        world: A folder, or the name of a shipped world.
        root: Takes everything.
        settings: Which of them; all by default.
        seeds: One agent each, at every setting.
        episodes: Per score.
        processes: Agents trained side by side, each on one core.
        ppo: PPO in the dream, but for temperature, dropout and seed.
    """

    world: str = "sidewalk"
    root: Path = Path("runs/temperature")
    settings: tuple[str, ...] = tuple(SETTINGS)
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    processes: int = 2
    ppo: dreamenv.PPOConfig = dreamenv.PPOConfig()


def main(experiment: Experiment) -> None:
    jobs = [(experiment, name, seed) for seed in experiment.seeds for name in experiment.settings]
    with get_context("spawn").Pool(experiment.processes, maxtasksperchild=1) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    random = random_score(experiment)
    write_json(experiment.root / "temperature.json", {"random": random, "rows": rows})
    print(table(rows, random))
    places = {place: place for place in PLACES}
    labels = ("temperature of training (and dropout)", "mean return")
    path = experiment.root / "temperature.png"
    plot_agents(rows, places, path, labels, ("random policy", random["mean"]))


def measure(experiment: Experiment, name: str, seed: int) -> Row:
    """Trains one agent and scores it, unless that was done before."""
    torch.set_num_threads(1)
    folder = experiment.root / f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"

    def make() -> Row:
        world = dreamenv.load(experiment.world)
        config = dataclasses.replace(experiment.ppo, seed=seed, **SETTINGS[name])
        agent = dreamenv.train_ppo(world, folder, config)
        dream = dream_scores(world, agent, experiment.episodes, **SETTINGS[name])
        return {"setting": name, "seed": seed, **dream, **real_scores(world, agent, experiment.episodes)}

    made_with = {"world": identity(experiment.world), "episodes": experiment.episodes, "ppo": experiment.ppo}
    return once(folder / "scores.json", make, **made_with)


def random_score(experiment: Experiment) -> Row:
    """Of uniformly random actions, in reality."""
    world = dreamenv.load(experiment.world)
    policy = UniformPolicy(world.config.action.space)
    return real_scores(world, policy, experiment.episodes)["test sampling"]


def spread(rows: list[Row], place: str, fact: str) -> str:
    values = [row[place][fact] for row in rows]
    return f"{np.mean(values):.3f} ({min(values):.2f}-{max(values):.2f})"


def table(rows: list[Row], random: Row) -> str:
    """Mean returns over the seeds, with the lowest and the highest seed in brackets."""
    lines = [(key, *(spread(of, place, "mean") for place in PLACES)) for key, of in by_setting(rows).items()]
    lines.append(("random policy", "", f"{random['mean']:.3f}", ""))
    return tabulate(lines, ("temperature", *PLACES), disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Experiment))
