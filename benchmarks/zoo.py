"""A zoo of agents, honest and exploiting, in worlds good and bad: which signs tell them apart without reality?

Run `python benchmarks/zoo.py`; it goes on where it was interrupted. It makes four worlds (the recipe's; one of narrow
exploration; one of few frames; one whose V has a plain squared error), trains agents in each (seeds, temperatures,
early checkpoints, exploits on purpose), dreams with each, reads the signs of `dreamenv trust`, and plays 100 real
episodes on validation seeds. Half of the zoo is for choosing signs and limits, the other half is for the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import scipy.stats
import torch
import tyro
from study import NARROW, Row, make_world, once, real_scores
from tabulate import tabulate

import dreamenv
from dreamenv.evaluate.memory_report import area_under_curve
from dreamenv.evaluate.scores import summarise
from dreamenv.evaluate.signals import Records, novelty, read_records, shortfall
from dreamenv.evaluate.trust import LIMITS, Sign, dream, signals
from dreamenv.files import write_json
from dreamenv.rollout import Outcome

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


CANDIDATES = ("round trip", "novelty", "shortfall, ridge 1", "shortfall, ridge 100")


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
        make_world(folder, collecting, training)
    jobs = [(zoo, world, agent) for world in WORLDS for agent in AGENTS]
    with get_context("spawn").Pool(zoo.processes, maxtasksperchild=1) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(zoo.root / "zoo.json", rows)
    print(table(rows))
    for name, half in zip(("for choosing", "for judging"), halves(rows), strict=True):
        print(f"\nThe half {name}: {judgement(half)}")


def measure(zoo: Zoo, world_name: str, agent_name: str) -> Row:
    """Trains one agent, reads its signs and plays it in reality, unless that was done before."""
    torch.set_num_threads(1)
    folder = zoo.root / world_name.replace(" ", "-")
    home = folder / "agents" / agent_name.replace(", ", "-").replace(" ", "-").replace(",", "")

    def make() -> Row:
        world = dreamenv.load(folder)
        agent = dreamenv.train_ppo(world, home, AGENTS[agent_name])
        outcomes = dream(world, agent, zoo.trust)
        records = read_records(world, *dreamenv.EpisodeStore(folder / "episodes").split())
        dreamed = summarise(outcomes, world.config, name="greedy", temperature=1.0)
        return {
            "world": world_name,
            "agent": agent_name,
            "dream": dreamed.mean,
            "dream length": dreamed.length,
            **real_scores(world, agent, zoo.episodes),
            **signals(world, agent, records, outcomes, zoo.trust),
            **candidates(world, agent, records, outcomes, zoo.trust),
        }

    return once(home / "zoo.json", make)


def candidates(
    world: dreamenv.World,
    agent: dreamenv.Policy,
    records: Records,
    outcomes: list[Outcome],
    config: dreamenv.TrustConfig,
) -> dict[str, float]:
    """Signs that `dreamenv trust` does not use, to see whether it should."""
    visited = torch.cat([torch.from_numpy(o.trajectory.observations) for o in outcomes if o.trajectory is not None])
    errors = [round_trip(world, part) for part in (visited, records.held_out)]
    found = {"round trip": errors[0] / errors[1], "novelty": float(novelty(world, records, visited).mean())}
    for ridge in (1.0, 100.0):
        found[f"shortfall, ridge {ridge:g}"] = shortfall(
            world, agent, records, outcomes, gamma=config.gamma, ridge=ridge
        )
    return found


@torch.inference_mode()
def round_trip(world: dreamenv.World, states: torch.Tensor) -> float:
    """Root mean square distance of z from what V sees in the frames decoded from it: is it blurred, or impossible?"""
    some = torch.randperm(len(states), generator=torch.Generator().manual_seed(0))[:2000]
    z = states[some, : world.latent_size]
    seen = torch.cat([world.vision.encode_pixels(world.vision.decode_pixels(part))[0] for part in z.split(256)])
    return float((seen - z).square().mean().sqrt())


def halves(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Every second agent, in each world: what signs and limits are chosen by, and what they are judged by."""
    return rows[0::2], rows[1::2]


def real(row: Row) -> float:
    return row["validation greedy"]["mean"]


def lying(rows: list[Row], share: float) -> np.ndarray:
    """Which dreams promise so much that reality pays less than this share of it."""
    return np.array([real(row) < share * row["dream"] for row in rows])


def table(rows: list[Row]) -> str:
    """All agents."""
    names = ("dream", *LIMITS, *CANDIDATES)
    lines = [
        (
            row["world"],
            row["agent"],
            f"{real(row):.3f}",
            *(f"{row[name]:.3f}" for name in names),
            f"{doubt(row):.2f}",
        )
        for row in rows
    ]
    return tabulate(lines, ("world", "agent", "real", *names, "doubt"), disable_numparse=True)


def judgement(rows: list[Row]) -> str:
    """How well every sign, and the largest of them, tells the lying dreams from the others."""
    shares = (0.5, 0.9)
    lines = []
    for name in (*LIMITS, *CANDIDATES, "doubt"):
        values = np.array([doubt(row) if name == "doubt" else row[name] for row in rows])
        ratio = [real(row) / max(row["dream"], 1e-6) for row in rows]
        correlation = scipy.stats.spearmanr(values, ratio).statistic
        lines.append((name, f"{correlation:.2f}", *(separation(values, lying(rows, share)) for share in shares)))
    correlations = [
        scipy.stats.spearmanr([value(row) for row in rows], [real(row) for row in rows]).statistic
        for value in (lambda row: row["dream"], believed)
    ]
    counts = ", ".join(f"{lying(rows, share).sum()} get less than {share:.0%} of their dream" for share in shares)
    heads = ("sign", "rank correlation with real / dream", *(f"AUC below {share:.0%}" for share in shares))
    return (
        f"{len(rows)} agents, {counts}; rank correlation of the real return with the dreamed one "
        f"{correlations[0]:.2f}, with what the records leave of it {correlations[1]:.2f}\n"
        + tabulate(lines, heads, disable_numparse=True)
    )


def separation(values: np.ndarray, kind: np.ndarray) -> str:
    """Area under the ROC curve; none if all are of one kind."""
    if kind.all() or not kind.any():
        return "-"
    return f"{area_under_curve(torch.from_numpy(values[kind]), torch.from_numpy(values[~kind])):.3f}"


def believed(row: Row) -> float:
    return row["dream"] * (1.0 - min(max(row["shortfall"], 0.0), 1.0))


def doubt(row: Row) -> float:
    return max(Sign(name, row[name], limits).doubt for name, limits in LIMITS.items())


if __name__ == "__main__":
    main(tyro.cli(Zoo))
