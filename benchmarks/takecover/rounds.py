"""DoomTakeCover in rounds: agents of short dreams play the game, M learns what they met, and new agents dream.

Run `python -m benchmarks.takecover.rounds` (or `make takecover-rounds`); it goes on where it was interrupted. Every
round is judged on validation seeds. In the world of the best one more agents are trained, one for each seed; the one
with the best validation score is the result, and only its score on test seeds tells how good it is.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro
from gymnasium.vector import AutoresetMode
from tabulate import tabulate

import dreamenv
from benchmarks.study import Row, dream_scores, once
from benchmarks.takecover.temperature import ENV, real_scores
from dreamenv.envs.latent import make_latent_vector
from dreamenv.evaluate.choose import VALIDATION_SEED
from dreamenv.evaluate.compare import TEST_SEED
from dreamenv.evaluate.plots import plot_rounds
from dreamenv.evaluate.tables import rounds_table
from dreamenv.worlds.takecover.presets import ITERATE

SIDES = {"validation": VALIDATION_SEED, "test": TEST_SEED}


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        root: Takes everything.
        seeds: One agent each, in the world of the best round.
        episodes: Per score.
        processes: Agents trained side by side, each on one core.
        rounds: The rounds.
    """

    root: Path = Path("runs/takecover-rounds")
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    processes: int = 2
    rounds: dreamenv.IterateConfig = ITERATE


def main(study: Study) -> None:
    rounds = dreamenv.iterate(ENV, study.root, study.rounds)
    plot_rounds(rounds, study.root / "rounds.png")
    with get_context("spawn").Pool(study.processes) as pool:
        rows = pool.map(functools.partial(measure, study), study.seeds, chunksize=1)
    print(f"{rounds_table(rounds)}\n\n{table(rows)}")


def measure(study: Study, seed: int) -> Row:
    """Trains one agent in the world of the best round and scores it, unless that was done before."""
    torch.set_num_threads(1)
    folder = study.root / "agents" / f"seed{seed}"

    def make() -> Row:
        world, begin = dreamenv.load(study.root), time.monotonic()
        agent = dreamenv.train_ppo(world, folder, dataclasses.replace(study.rounds.ppo, seed=seed))
        seconds = round(time.monotonic() - begin)
        found = dream_scores(world, agent, study.episodes, temperature=study.rounds.ppo.temperature)
        env = make_latent_vector(world, 8, AutoresetMode.DISABLED)
        return {
            "seed": seed,
            "seconds": seconds,
            **found,
            **real_scores(env, agent, study.episodes, world.config, SIDES),
        }

    return once(folder / "scores.json", make, rounds=study.rounds, episodes=study.episodes)


def table(rows: list[Row]) -> str:
    """Mean returns with their 95% intervals, the best on validation seeds first."""
    places = ("dream greedy", "dream sampling", "validation greedy", "test greedy")
    ordered = sorted(rows, key=lambda row: -row["validation greedy"]["mean"])
    cells = [
        [row["seed"], *("{mean:.0f} ({low:.0f} to {high:.0f})".format(**row[p]) for p in places)] for row in ordered
    ]
    return tabulate(cells, ("seed", *places), disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Study))
