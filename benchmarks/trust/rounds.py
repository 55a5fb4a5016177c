"""Do rounds help? Narrow exploration cured by what the dream's agents meet, and many frames at once against rounds.

Run `python -m benchmarks.trust.rounds`; it goes on where it was interrupted. Rounds are judged, and kept, on validation
seeds; the agent that is kept in the end is scored on test seeds. One pass of as many frames is in `frontier.py`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro
from matplotlib.figure import Figure
from tabulate import tabulate

import dreamenv
from benchmarks.study import ENV, NARROW, Row, by_setting, facts, identity, once, real_scores
from dreamenv.files import write_json

PPO = dreamenv.PPOConfig(temperature=1.15)
SETTINGS: dict[str, dreamenv.IterateConfig] = {
    "narrow, then rounds": dreamenv.IterateConfig(
        frames=40_000,
        rounds=4,
        round_frames=5_000,
        target=0.97,
        ppo=PPO,
        collect=dreamenv.CollectConfig(exploration=NARROW),
    ),
    "20,000 in three passes": dreamenv.IterateConfig(
        frames=9_000,  # and twice 4,800, as every pass has what fills its last shard on top
        rounds=2,
        round_frames=4_800,
        ppo=PPO,
        collect=dreamenv.CollectConfig(shard_episodes=8),
    ),
}


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        root: Takes everything.
        settings: Which of them; all by default.
        seeds: One chain each.
        episodes: Real episodes per score.
        processes: Chains side by side, each on one core.
    """

    root: Path = Path("runs/rounds")
    settings: tuple[str, ...] = tuple(SETTINGS)
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    processes: int = 2


def main(study: Study) -> None:
    jobs = [(study, name, seed) for name in study.settings for seed in study.seeds]
    with get_context("spawn").Pool(study.processes, maxtasksperchild=1) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(study.root / "rounds.json", rows)
    plot(rows, study.root / "rounds.png")
    print(table(rows))


def measure(study: Study, name: str, seed: int) -> Row:
    """Goes through all rounds, and scores what is kept, unless that was done before."""
    torch.set_num_threads(1)
    folder = study.root / f"{name.replace(',', '').replace(' ', '-')}-seed{seed}"
    config = dataclasses.replace(SETTINGS[name], seed=seed, episodes=study.episodes)
    rounds = dreamenv.iterate(ENV, folder, config)

    def make() -> Row:
        agent = dreamenv.load_agent(folder / "agents" / config.agent)
        return real_scores(dreamenv.load(folder), agent, study.episodes)

    kept = once(folder / "scores.json", make, world=identity(folder), episodes=study.episodes)
    judged = [{"frames": one.frames, "dream": facts(one.dream), "real": facts(one.real)} for one in rounds]
    return {"setting": name, "seed": seed, "rounds": judged, **kept}


def table(rows: list[Row]) -> str:
    """Success / return: every round's on validation seeds, greedy, and on test seeds that of the round kept."""

    def cell(found: Row) -> str:
        success = "-" if found["success"] is None else f"{found['success']:.2f}"
        return f"{success} / {found['mean']:.3f}"

    lines = [
        (
            row["setting"],
            row["seed"],
            f"{row['rounds'][-1]['frames']:,}",
            ", ".join(cell(one["real"]) for one in row["rounds"]),
            cell(row["test greedy"]),
            cell(row["test sampling"]),
        )
        for row in rows
    ]
    headers = (
        "setting",
        "seed",
        "frames",
        "validation, greedy, by round",
        "kept: test, greedy",
        "kept: test, sampling",
    )
    return tabulate(lines, headers, disable_numparse=True)


def plot(rows: list[Row], path: Path) -> None:
    """Success by real frames, greedy, on validation seeds: a line for each seed in reality, one in its dream."""
    settings = by_setting(rows)
    figure = Figure(figsize=(5.5 * len(settings), 4.2), layout="constrained")
    for axes, (name, of) in zip(figure.subplots(1, len(settings), squeeze=False)[0], settings.items(), strict=True):
        for row in of:
            frames = [one["frames"] for one in row["rounds"]]
            for place, style in (("real", "-o"), ("dream", ":")):
                success = [one[place]["success"] for one in row["rounds"]]
                axes.plot(frames, success, style, color=f"C{row['seed']}", label=f"seed {row['seed']}, {place}", ms=4)
        axes.axhline(SETTINGS[name].target, color="black", lw=0.8)
        axes.set(xlabel="real frames", ylabel="success rate, greedy", title=name, ylim=(0.0, 1.03))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(tyro.cli(Study))
