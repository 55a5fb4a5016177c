"""Does bfloat16 cost accuracy in training? Losses on held-out episodes after short trainings, several seeds.

Run `python -m benchmarks.speed.precision --world FOLDER` with a world whose episodes are kept; M has the sizes of
that world's, and is trained on the recordings of its V. It goes on where it was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from tabulate import tabulate

import dreamenv
from dreamenv.foundation.files import write_json
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.recordings import record
from dreamenv.reports.model_report import report_memory
from dreamenv.reports.vision_report import report_vision
from dreamenv.training.memory import train_memory
from dreamenv.training.vision import train_vision
from experiments.runner import once
from experiments.show import Row
from experiments.worlds import identity

PRECISIONS = ("float32", "bfloat16")
RECIPE = dreamenv.TrainConfig()


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        world: A folder with episodes.
        root: Takes everything.
        steps: Gradient steps; the learning rate falls to 0 within them.
        seeds: One V and one M each.
    """

    world: Path
    root: Path = Path("runs/precision")
    steps: int = 400
    seeds: tuple[int, ...] = (0, 1, 2)


def main(study: Study) -> None:
    torch.set_num_threads(1)
    rows = [measure(study, precision, seed) for seed in study.seeds for precision in PRECISIONS]
    write_json(study.root / "precision.json", rows)
    print(table(rows))


def measure(study: Study, precision: str, seed: int) -> Row:
    """Trains V and M in one precision, unless that was done before."""
    place = study.root / f"{precision}-seed{seed}"

    def make() -> Row:
        world = dreamenv.load(study.world)
        seen, held_out = dreamenv.EpisodeStore(study.world / "episodes").split()
        fits = [replace(part.fit, steps=study.steps, precision=precision) for part in (RECIPE.vision, RECIPE.memory)]
        vision = train_vision(seen, replace(RECIPE.vision, fit=fits[0]), place / "vision", [], seed=seed)
        recordings, unseen = (record(world.model, episodes, world.config) for episodes in (seen, held_out))
        config = replace(RECIPE.memory, fit=fits[1], model=world.config.model.memory)
        memory = train_memory(recordings, world.config, config, place / "memory", [], seed=seed)
        trained = replace(world, model=MDNRNN(world.model.vision, memory).eval())  # type: ignore[arg-type]
        nll = report_memory(trained.follow(unseen, seed=None), world.config).nll
        return {
            "precision": precision,
            "seed": seed,
            "V squared error": report_vision(vision, held_out).squared_error,
            "M NLL": nll,
        }

    return once(place / "scores.json", make, world=identity(study.world), steps=study.steps)


def table(rows: list[Row]) -> str:
    """Every seed's, and the mean."""
    lines = []
    for precision in PRECISIONS:
        of = [row for row in rows if row["precision"] == precision]
        values = ([row[fact] for row in of] for fact in ("V squared error", "M NLL"))
        lines.append((precision, *(f"{', '.join(f'{x:.5f}' for x in v)}; mean {np.mean(v):.5f}" for v in values)))
    return tabulate(lines, ("precision", "V, squared error by seed", "M, NLL by seed"), disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Study))
