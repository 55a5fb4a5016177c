"""What must a controller see? [z, h] and its rivals, a hidden layer, a price of actions, an M that never learned.

Run `python -m benchmarks.post.inputs`; it goes on where it was interrupted. Controllers are evolved in the dream of the
shipped world. There are two controls for M: in one agents see the h of an M that never learned, beside the same dream.
In the other that M dreams as well, as after `dreamenv train --memory.fit.steps 0`; its heads need some real episodes,
given by `--episodes`. World Models compares the first four on the car race. Scores are real ones, and never count the
price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import tyro
from tabulate import tabulate

import dreamenv
from benchmarks.post.random_features import with_random_features
from benchmarks.study import (
    Row,
    by_setting,
    dream_scores,
    identity,
    once,
    plot_agents,
    real_scores,
    spread,
    with_fresh_memory,
)
from dreamenv.files import write_json

CHANGES: dict[str, dict[str, Any]] = {
    "[z, h]": {},
    "[z]": {"inputs": ("z",)},
    "[z], 40 hidden units": {"inputs": ("z",), "hidden": 40},
    "[h]": {"inputs": ("h",)},
    "[z, c, h]": {"inputs": ("z", "c", "h")},
    "[z, h], 10 hidden units": {"hidden": 10},
    "[z, h], every action costs 0.001": {"action_penalty": 0.001},
    "[z, h of an untrained M]": {},
    "[z, h], dream of an untrained M": {},
}
RECIPE = dreamenv.TrainConfig()
UNTRAINED = replace(
    RECIPE,
    vision=replace(RECIPE.vision, fit=replace(RECIPE.vision.fit, steps=0)),
    memory=replace(RECIPE.memory, fit=replace(RECIPE.memory.fit, steps=0)),
)


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        world: A folder, or the name of a shipped world.
        episodes: Folder of collected episodes, for dreams of an untrained M; without them these are left out.
        root: Takes everything.
        settings: Which of them; all by default.
        seeds: One controller each.
        real_episodes: Per score, in the dream as well.
        processes: Controllers evolved side by side, each on one core.
        evolve: CMA-ES, with as many generations as in `make demo`.
    """

    world: str = "sidewalk"
    episodes: Path | None = None
    root: Path = Path("runs/inputs")
    settings: tuple[str, ...] = tuple(CHANGES)
    seeds: tuple[int, ...] = (0, 1, 2)
    real_episodes: int = 100
    processes: int = 2
    evolve: dreamenv.EvolveConfig = dreamenv.EvolveConfig(generations=50)


def main(study: Study) -> None:
    names = [name for name in study.settings if "dream of" not in name or study.episodes]
    jobs = [(study, name, seed) for seed in study.seeds for name in names]
    with get_context("spawn").Pool(study.processes, maxtasksperchild=1) as pool:
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(study.root / "inputs.json", rows)
    print(table(rows))
    places = {"dream greedy": "dream, greedy", "test greedy": "real, greedy", "test sampling": "real, sampling"}
    plot_agents(rows, places, study.root / "inputs.png", ("what the controller sees", "mean return"))


def measure(study: Study, name: str, seed: int) -> Row:
    """Evolves one controller and scores it, unless that was done before."""
    torch.set_num_threads(1)
    folder = study.root / f"{''.join(c if c.isalnum() else '-' for c in name).strip('-')}-seed{seed}"

    def make() -> Row:
        world = dreamenv.load(study.world)
        if name == "[z, h of an untrained M]":
            world = with_random_features(world, seed)
        elif name == "[z, h], dream of an untrained M":
            config, source = replace(UNTRAINED, seed=seed), with_fresh_memory(world, seed)
            world = dreamenv.train(folder / "world", config, episodes=study.episodes, source=source)
        agent = dreamenv.evolve(world, folder, replace(study.evolve, **CHANGES[name], seed=seed))
        shown = world.seen_by(agent)
        dream = dream_scores(shown, agent, study.real_episodes)
        facts = {"setting": name, "seed": seed, "parameters": agent.num_parameters}
        return {**facts, **dream, **real_scores(shown, agent, study.real_episodes)}

    made_with = {"world": identity(study.world), "real_episodes": study.real_episodes, "evolve": study.evolve}
    return once(folder / "scores.json", make, **made_with)


def table(rows: list[Row]) -> str:
    """Success, mean of the seeds with the lowest and the highest, and mean return."""
    places = ("dream greedy", "test greedy", "test sampling", "validation greedy")
    lines = [
        (name, f"{of[0]['parameters']:,}", *(spread(of, place) for place in places))
        for name, of in by_setting(rows).items()
    ]
    return tabulate(lines, ("what C sees", "parameters", *places), disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Study))
