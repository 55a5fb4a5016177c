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
from tabulate import tabulate

import dreamenv
from benchmarks.study import ENV, NARROW, Row, once, real_scores
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
    "20,000 in three passes": dreamenv.IterateConfig(frames=10_000, rounds=2, round_frames=5_000, ppo=PPO),
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
    print(table(rows))


def measure(study: Study, name: str, seed: int) -> Row:
    """Goes through all rounds, and scores what is kept, unless that was done before."""
    torch.set_num_threads(1)
    folder = study.root / f"{name.replace(',', '').replace(' ', '-')}-seed{seed}"

    def make() -> Row:
        config = dataclasses.replace(SETTINGS[name], seed=seed, episodes=study.episodes)
        rounds = dreamenv.iterate(ENV, folder, config)
        judged = [{"frames": one.frames, "success": one.real.success, "mean": one.real.mean} for one in rounds]
        agent = dreamenv.load_agent(folder / "agents" / config.agent)
        kept = real_scores(dreamenv.load(folder), agent, study.episodes)
        return {"setting": name, "seed": seed, "rounds": judged, **kept}

    return once(folder / "scores.json", make, episodes=study.episodes)


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
            ", ".join(cell(one) for one in row["rounds"]),
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


if __name__ == "__main__":
    main(tyro.cli(Study))
