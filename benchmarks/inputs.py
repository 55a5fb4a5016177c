"""What must a controller see? [z, h] and its rivals, a hidden layer, and an M that never learned; real scores.

Run `python benchmarks/inputs.py`; it goes on where it was interrupted. Controllers are evolved in the dream of the
shipped world, but those of an untrained M in a world whose M kept its random weights: give that by `--untrained`, the
folder of a world trained with `--memory.fit.steps 0`. World Models compares the first four on the car race.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro
from study import Row, dream_scores, once, real_scores, spread
from tabulate import tabulate

import dreamenv
from dreamenv.files import write_json

EVOLVE = dreamenv.EvolveConfig()
SETTINGS: dict[str, dreamenv.EvolveConfig] = {
    "[z, h]": EVOLVE,
    "[z]": replace(EVOLVE, inputs=("z",)),
    "[z], 40 hidden units": replace(EVOLVE, inputs=("z",), hidden=40),
    "[h]": replace(EVOLVE, inputs=("h",)),
    "[z, c, h]": replace(EVOLVE, inputs=("z", "c", "h")),
    "[z, h], 10 hidden units": replace(EVOLVE, hidden=10),
    "[z, h], untrained M": EVOLVE,
}


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        world: A folder, or the name of a shipped world.
        untrained: The same with an M that never learned; left out if None.
        root: Takes everything.
        settings: Which of them; all by default.
        seeds: One controller each.
        episodes: Per score.
        processes: Controllers evolved side by side, each on one core.
    """

    world: str = "sidewalk"
    untrained: Path | None = None
    root: Path = Path("runs/inputs")
    settings: tuple[str, ...] = tuple(SETTINGS)
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    processes: int = 2


def main(study: Study) -> None:
    names = [name for name in study.settings if "untrained" not in name or study.untrained]
    jobs = [(study, name, seed) for seed in study.seeds for name in names]
    with get_context("spawn").Pool(study.processes, maxtasksperchild=1) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(study.root / "inputs.json", rows)
    print(table(rows))


def measure(study: Study, name: str, seed: int) -> Row:
    """Evolves one controller and scores it, unless that was done before."""
    torch.set_num_threads(1)
    folder = study.root / f"{''.join(c if c.isalnum() else '-' for c in name).strip('-')}-seed{seed}"

    def make() -> Row:
        world = dreamenv.load(study.untrained if "untrained" in name and study.untrained else study.world)
        agent = dreamenv.evolve(world, folder, replace(SETTINGS[name], seed=seed))
        shown = world.seen_by(agent)
        dream = dream_scores(shown, agent, study.episodes)
        facts = {"setting": name, "seed": seed, "parameters": agent.num_parameters}
        return {**facts, **dream, **real_scores(shown, agent, study.episodes)}

    return once(folder / "scores.json", make)


def table(rows: list[Row]) -> str:
    """Success, mean of the seeds with the lowest and the highest, and mean return."""

    places = ("dream greedy", "test greedy", "test sampling", "validation greedy")
    groups = {name: [row for row in rows if row["setting"] == name] for name in SETTINGS}
    lines = [
        (name, f"{of[0]['parameters']:,}", *(spread(of, place) for place in places))
        for name, of in groups.items()
        if of
    ]
    return tabulate(lines, ("what C sees", "parameters", *places), disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Study))
