"""A zoo of agents, honest and exploiting, in worlds good and bad: which signs tell them apart without reality?

Run `python -m benchmarks.trust.zoo --worlds WORLD ... --agents FOLDER ...` with worlds whose episodes are kept, and
folders with agents trained in them, those of `temperature.py` for instance; it goes on where it was interrupted. To
every world it adds agents that stopped early, and one that exploits on purpose. It reads the signs of `dreamenv trust`
for all that see z and h, and plays 100 real episodes on validation seeds with each. Half of the zoo is for choosing
signs and limits, the other half is for the figures.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import scipy.stats
import torch
import tyro
from tabulate import tabulate

import dreamenv
from benchmarks.study import Row, once, stored, validation_scores
from dreamenv.agents.store import WEIGHTS, read_agent
from dreamenv.bundle import world_id
from dreamenv.errors import BundleError
from dreamenv.evaluate.memory_report import area_under_curve
from dreamenv.evaluate.scores import summarise
from dreamenv.evaluate.signals import Records, novelty, read_records, shortfall
from dreamenv.evaluate.trust import LIMITS, Sign, believed, dream, light, signals
from dreamenv.files import write_json
from dreamenv.rollout import Outcome

EXTRAS: dict[str, dreamenv.PPOConfig] = {
    **{f"{steps}-steps": dreamenv.PPOConfig(temperature=1.0, timesteps=steps) for steps in (50_000, 100_000, 200_000)},
    "exploit": dreamenv.PPOConfig(temperature=0.01, branched_starts=0.0, ent_coef=0.0),
}
RIDGES = (1.0, 10.0, 100.0)
CANDIDATES = ("round trip", "novelty", *(f"shortfall, ridge {ridge:g}" for ridge in RIDGES))
COLOURS = ("green", "amber", "red")  # of the verdict, as the numbers 0, 1 and 2
Member = tuple[str, Path]  # an agent's name in the zoo, and its folder


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """What is measured.

    Attributes:
        worlds: Folders of worlds with their episodes.
        agents: Every agent in these folders and below that sees z and h of one of the worlds is in the zoo.
        extras: Which agents are added to every world; all by default.
        root: Takes everything.
        episodes: Dreamed, and real, per agent.
        processes: Agents side by side, each on one core.
        trust: How a dream is examined.
    """

    worlds: tuple[Path, ...]
    agents: tuple[Path, ...] = ()
    extras: tuple[str, ...] = tuple(EXTRAS)
    root: Path = Path("runs/zoo")
    episodes: int = 100
    processes: int = 2
    trust: dreamenv.TrustConfig = field(default_factory=dreamenv.TrustConfig)


def main(zoo: Zoo) -> None:
    jobs = [(zoo, world, member) for world in zoo.worlds for member in members(zoo, world)]
    with get_context("spawn").Pool(zoo.processes) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(zoo.root / "zoo.json", rows)
    print(table(rows))
    for name, half in zip(("for choosing", "for judging"), halves(rows), strict=True):
        print(f"\nThe half {name}: {judgement(half)}")


def members(zoo: Zoo, world: Path) -> list[Member]:
    """All agents of one world: those found, each once, though there may be copies, and those the zoo adds."""
    own = world_id(dreamenv.load(world))
    found: dict[bytes, Member] = {}
    for base in zoo.agents:
        for path in sorted(base.rglob(WEIGHTS)):
            if belongs(path.parent, own):
                found.setdefault(path.read_bytes(), (name_of(path.parent), path.parent))
    return [*found.values(), *((name, home(zoo, world) / name) for name in zoo.extras)]


def belongs(folder: Path, world: str) -> bool:
    """Whether it is an agent of this world that sees z and h."""
    try:
        config = read_agent(folder)[0]
    except BundleError:
        return False
    return config.world == world and config.inputs == ("z", "h")


def home(zoo: Zoo, world: Path) -> Path:
    return zoo.root / name_of(world)


def name_of(folder: Path) -> str:
    return "-".join(part for part in folder.parts if part not in ("/", "runs"))


def measure(zoo: Zoo, world_folder: Path, member: Member) -> Row:
    """Reads one agent's signs and plays it in reality, unless that was done before; trains it if the zoo adds it."""
    torch.set_num_threads(1)
    place, (name, agent_folder) = home(zoo, world_folder), member

    def make() -> Row:
        world = dreamenv.load(world_folder)
        added = agent_folder.parent == place
        agent = dreamenv.train_ppo(world, agent_folder, EXTRAS[name]) if added else dreamenv.load_agent(agent_folder)
        outcomes = dream(world, agent, zoo.trust)
        dreamed = summarise(outcomes, world.config, name="greedy", temperature=1.0)
        records, worst = recorded(world_folder)
        signs = signals(world, agent, records, outcomes, zoo.trust)
        return {
            "world": place.name,
            "agent": name,
            "dream": dreamed.mean,
            "dream length": dreamed.length,
            **reality(world, agent, agent_folder, zoo.episodes),
            **signs,
            "believed": believed(dreamed.mean, signs["shortfall"], worst),
            **candidates(world, agent, records, outcomes, zoo.trust),
        }

    made_with = {"world": world_id(dreamenv.load(world_folder)), "episodes": zoo.episodes, "trust": zoo.trust}
    return once(place / f"{name}.zoo.json", make, **made_with)


@functools.lru_cache(maxsize=1)
def recorded(world: Path) -> tuple[Records, float]:
    """The records of a world's episodes, and the smallest return in those that it learned from."""
    seen, held_out = dreamenv.EpisodeStore(world / "episodes").split()
    return read_records(dreamenv.load(world), seen, held_out), min(float(episode.rewards.sum()) for episode in seen)


def reality(world: dreamenv.World, agent: dreamenv.Policy, folder: Path, episodes: int) -> Row:
    """Scores on validation seeds; those that another study left beside the agent, of as many episodes, if there are."""
    path = folder / "scores.json"
    row, made_with = stored(path) if path.exists() else ({}, {})
    if episodes not in (made_with.get("episodes"), made_with.get("real_episodes")):
        return validation_scores(world, agent, episodes)
    return {name: facts for name, facts in row.items() if name.startswith("validation")}


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
    for ridge in RIDGES:
        found[f"shortfall, ridge {ridge:g}"] = shortfall(
            world, agent, records, outcomes, gamma=config.discount(world.config.max_episode_steps), ridge=ridge
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
    """Every second agent, in each world in random order: what signs are chosen by, and what they are judged by."""
    generator = np.random.default_rng(0)
    worlds = [[row for row in rows if row["world"] == name] for name in dict.fromkeys(row["world"] for row in rows)]
    mixed = [of[index] for of in worlds for index in generator.permutation(len(of))]
    return mixed[0::2], mixed[1::2]


def real(row: Row) -> float:
    return row["validation greedy"]["mean"]


def lying(rows: list[Row], share: float) -> np.ndarray:
    """Which dreams promise so much that reality pays less than this share of it."""
    return np.array([row["dream"] - real(row) > (1.0 - share) * abs(row["dream"]) for row in rows])


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
    """How well every sign, the largest of them, and the verdict's colour tell the lying dreams from the others."""
    shares = (0.5, 0.9)
    lines = []
    columns = {name: [row[name] for row in rows] for name in (*LIMITS, *CANDIDATES)}
    columns |= {"doubt": [doubt(row) for row in rows], "colours": [colour(row) for row in rows]}
    for name, column in columns.items():
        values = np.array(column, np.float64)
        kept = [(real(row) - row["dream"]) / max(abs(row["dream"]), 1e-6) for row in rows]
        correlation = scipy.stats.spearmanr(values, kept).statistic
        lines.append((name, f"{correlation:.2f}", *(separation(values, lying(rows, share)) for share in shares)))
    paid = [real(row) for row in rows]
    correlations = [
        scipy.stats.spearmanr([row[name] for row in rows], paid).statistic for name in ("dream", "believed")
    ]
    counts = ", ".join(f"{lying(rows, share).sum()} get less than {share:.0%} of their dream" for share in shares)
    heads = ("sign", "rank correlation with (real - dream) / dream", *(f"AUC below {share:.0%}" for share in shares))
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


def doubt(row: Row) -> float:
    """The largest of the signs that `dreamenv trust` uses."""
    return max(Sign(name, row[name], limits).doubt for name, limits in LIMITS.items())


def colour(row: Row) -> int:
    """The verdict as a number: 0 for green, 1 for amber, 2 for red."""
    return COLOURS.index(light(doubt(row)))


if __name__ == "__main__":
    main(tyro.cli(Zoo))
