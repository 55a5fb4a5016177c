"""A zoo of agents, honest and exploiting, in worlds good and bad: which signs tell them apart without reality?

Run `python benchmarks/zoo.py`; it goes on where it was interrupted. It makes four worlds (the recipe's; one of narrow
exploration; one of few frames; one whose V has a plain squared error), trains agents in each (seeds, temperatures,
early checkpoints, exploits on purpose), dreams with each, reads the signs of `dreamenv trust`, and plays 100 real
episodes on validation seeds. Half of the zoo is for choosing signs and limits, the other half is for the figures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
import torch
import tyro
from gymnasium.vector import AutoresetMode
from tabulate import tabulate

import dreamenv
from dreamenv.envs.latent import make_latent_vector
from dreamenv.evaluate.choose import VALIDATION_SEED
from dreamenv.evaluate.memory_report import area_under_curve
from dreamenv.evaluate.scores import score, summarise
from dreamenv.evaluate.signals import read_records
from dreamenv.evaluate.trust import LIMITS, Sign, dream, signals
from dreamenv.files import write_json

ENV = "MiniWorld-Sidewalk-v0"
NARROW = dreamenv.ExplorationConfig(
    bump_and_turn=0.8,
    preference=0.2,
    sticky=0.0,
    noise=(0.0, 0.05, 0.05, 0.15),
    preference_strength=(2.5, 2.5),
    patience=(0,),
)
PLAIN = dreamenv.TrainConfig(vision=dreamenv.VisionTraining(rare_colours=False, reconstruction_scale=1.0))
WORLDS: dict[str, tuple[dreamenv.CollectConfig, dreamenv.TrainConfig]] = {
    "recipe": (dreamenv.CollectConfig(frames=66_000), dreamenv.TrainConfig()),
    "narrow": (dreamenv.CollectConfig(frames=40_000, exploration=NARROW), dreamenv.TrainConfig()),
    "few frames": (dreamenv.CollectConfig(frames=10_000), dreamenv.TrainConfig()),
    "plain error": (dreamenv.CollectConfig(frames=66_000), PLAIN),
}
AGENTS: dict[str, dreamenv.PPOConfig] = {
    **{f"{t:g}, seed {s}": dreamenv.PPOConfig(temperature=t, seed=s) for t in (0.1, 1.0, 1.3) for s in (0, 1)},
    **{
        f"{steps:,} steps": dreamenv.PPOConfig(temperature=1.0, timesteps=steps) for steps in (50_000, 100_000, 200_000)
    },
    "exploit": dreamenv.PPOConfig(temperature=0.01, branched_starts=0.0, ent_coef=0.0),
}


@dataclass(frozen=True)
class Zoo:
    """What is measured.

    Attributes:
        root: Takes everything.
        episodes: Dreamed, and real, per agent.
        processes: Agents side by side, each on one core.
        trust: How a dream is examined.
    """

    root: Path = Path("runs/zoo")
    episodes: int = 100
    processes: int = 2
    trust: dreamenv.TrustConfig = field(default_factory=dreamenv.TrustConfig)


def main(zoo: Zoo) -> None:
    for name, (collecting, training) in WORLDS.items():
        folder = zoo.root / name.replace(" ", "-")
        dreamenv.collect(ENV, folder / "episodes", collecting)
        dreamenv.train(folder, training)
    jobs = [(zoo, world, agent) for world in WORLDS for agent in AGENTS]
    with get_context("spawn").Pool(zoo.processes, maxtasksperchild=1) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(zoo.root / "zoo.json", rows)
    print(table(rows))
    for name, half in zip(("for choosing", "for judging"), halves(rows), strict=True):
        print(f"\nThe half {name}: {judgement(half)}")


def measure(zoo: Zoo, world_name: str, agent_name: str) -> dict[str, Any]:
    """Trains one agent, reads its signs and plays it in reality, unless that was done before."""
    torch.set_num_threads(1)
    folder = zoo.root / world_name.replace(" ", "-")
    place = folder / "agents" / agent_name.replace(", ", "-").replace(" ", "-").replace(",", "")
    record = place / "zoo.json"
    if record.exists():
        return json.loads(record.read_text())
    world = dreamenv.load(folder)
    agent = dreamenv.train_ppo(world, place, AGENTS[agent_name])
    outcomes = dream(world, agent, zoo.trust)
    records = read_records(world, *dreamenv.EpisodeStore(folder / "episodes").split())
    env = make_latent_vector(world, 8, AutoresetMode.DISABLED)
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + zoo.episodes)
    real = score(env, agent, seeds, world.config, name="greedy", deterministic=True)
    dreamed = summarise(outcomes, world.config, name="greedy", temperature=1.0)
    row = {
        "world": world_name,
        "agent": agent_name,
        "dream": dreamed.mean,
        "real": real.mean,
        "dream length": dreamed.length,
        "real length": real.length,
        **signals(world, agent, records, outcomes, zoo.trust),
    }
    write_json(record, row)
    return row


def halves(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every second agent, in each world: what signs and limits are chosen by, and what they are judged by."""
    return rows[0::2], rows[1::2]


def lies(row: dict[str, Any]) -> bool:
    """Whether reality pays less than half of what the dream promises."""
    return row["real"] < 0.5 * row["dream"]


def table(rows: list[dict[str, Any]]) -> str:
    """All agents."""
    names = ("dream", "real", "dream length", "real length", *LIMITS)
    lines = [(row["world"], row["agent"], *(f"{row[name]:.3f}" for name in names), doubt(row)) for row in rows]
    return tabulate(lines, ("world", "agent", *names, "doubt"), disable_numparse=True)


def judgement(rows: list[dict[str, Any]]) -> str:
    """How well every sign, and the largest of them, tells the lying dreams from the others."""
    lying = np.array([lies(row) for row in rows])
    lines = []
    for name in (*LIMITS, "doubt"):
        values = np.array([doubt(row) if name == "doubt" else row[name] for row in rows])
        ratio = [row["real"] / max(row["dream"], 1e-6) for row in rows]
        correlation = scipy.stats.spearmanr(values, ratio).statistic
        auc = area_under_curve(*(torch.from_numpy(values[lying == kind]) for kind in (True, False)))
        lines.append((name, f"{auc:.3f}", f"{correlation:.2f}"))
    correlation = scipy.stats.spearmanr([row["dream"] for row in rows], [row["real"] for row in rows]).statistic
    heads = ("sign", "AUC for lying dreams", "rank correlation with real / dream")
    return (
        f"{len(rows)} agents, {lying.sum()} lying; rank correlation of dream and real return {correlation:.2f}\n"
        + tabulate(lines, heads, disable_numparse=True)
    )


def doubt(row: dict[str, Any]) -> float:
    return max(Sign(name, row[name], limits).doubt for name, limits in LIMITS.items())


if __name__ == "__main__":
    main(tyro.cli(Zoo))
