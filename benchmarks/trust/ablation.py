"""Why the recipe works: one change at a time, the same number of real frames and dream steps, several seeds.

Run `python -m benchmarks.trust.ablation` after `frontier.py`, whose worlds and PPO agents are those of the unchanged
recipe, and `rounds.py`, whose first rounds, of 40,000 frames, are those of narrow exploration; it goes on where it was
interrupted. Every seed trains PPO in the dream anew; V and M, and collects, where the change asks for it. Scores are on
validation seeds: they are what a recipe is chosen by. Another seed of PPO in the same world says how much of a
difference is chance.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro
from tabulate import tabulate

import dreamenv
from benchmarks.study import ENV, Row, by_setting, dream_scores, identity, once, plot_agents, spread, validation_scores
from dreamenv.files import write_json

UNIFORM = dreamenv.ExplorationConfig(bump_and_turn=0.0, preference=0.0, sticky=1.0, hold=(1,))
RECIPE = dreamenv.TrainConfig()
UNTRAINED = replace(RECIPE.memory, fit=replace(RECIPE.memory.fit, steps=0))
WORLDS: dict[str, tuple[dreamenv.ExplorationConfig, dreamenv.TrainConfig]] = {
    "recipe": (dreamenv.ExplorationConfig(), RECIPE),
    "uniform": (UNIFORM, RECIPE),
    "plain-error": (dreamenv.ExplorationConfig(), replace(RECIPE, vision=replace(RECIPE.vision, rare_colours=False))),
    "unbalanced": (
        dreamenv.ExplorationConfig(),
        replace(RECIPE, memory=replace(RECIPE.memory, episode_balance=0.0, step_balance=0.0)),
    ),
    "uncalibrated": (dreamenv.ExplorationConfig(), replace(RECIPE, memory=replace(RECIPE.memory, calibrated=False))),
    "untrained-m": (dreamenv.ExplorationConfig(), replace(RECIPE, memory=UNTRAINED)),
}
PPO = dreamenv.PPOConfig(temperature=1.15)
CHANGES: dict[str, tuple[str, dreamenv.PPOConfig]] = {
    "the recipe": ("recipe", PPO),
    "another seed of PPO": ("recipe", replace(PPO, seed=100)),
    "exploration: uniform random": ("uniform", PPO),
    "exploration: narrow": ("narrow", PPO),
    "V: plain squared error": ("plain-error", PPO),
    "M: no balance of endings": ("unbalanced", PPO),
    "M: endings not calibrated": ("uncalibrated", PPO),
    "M: untrained": ("untrained-m", PPO),
    "dream: no branched starts": ("recipe", replace(PPO, branched_starts=0.0)),
    "dream: temperature 0.1": ("recipe", replace(PPO, temperature=0.1)),
    "dream: temperature 1": ("recipe", replace(PPO, temperature=1.0)),
    "agent: z only": ("recipe", replace(PPO, inputs=("z",))),
}
PLACES = {
    "dream greedy": "dream, greedy",
    "validation greedy": "reality, greedy",
    "validation sampling": "reality, sampling",
}


@dataclass(frozen=True)
class Ablation:
    """What is measured.

    Attributes:
        root: Takes everything.
        frontier: Where `frontier.py` put its worlds.
        rounds: Where `rounds.py` put its rounds.
        frames: Real frames for every world, one of the budgets there.
        seeds: One chain from collecting to scores each.
        episodes: Per score.
        processes: Chains side by side, each on one core.
        changes: Which of them; all by default.
    """

    root: Path = Path("runs/ablation")
    frontier: Path = Path("runs/frontier")
    rounds: Path = Path("runs/rounds")
    frames: int = 40_000
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    processes: int = 2
    changes: tuple[str, ...] = tuple(CHANGES)


def main(ablation: Ablation) -> None:
    worlds = sorted({CHANGES[change][0] for change in ablation.changes} - {"recipe", "narrow"}, key=list(WORLDS).index)
    with get_context("spawn").Pool(ablation.processes, maxtasksperchild=1) as pool:
        pool.starmap(train_world, [(ablation, w, s) for w in worlds for s in ablation.seeds], chunksize=1)
        jobs = [(ablation, change, seed) for change in ablation.changes for seed in ablation.seeds]
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(ablation.root / "ablation.json", rows)
    plot_agents(rows, PLACES, ablation.root / "ablation.png", ("one change at a time", "mean return"))
    print(table(rows))


def place(ablation: Ablation, world: str, seed: int) -> Path:
    """The folder of a world; the recipe's is one of the frontier, that of narrow exploration a first round."""
    if world == "recipe":
        return ablation.frontier / f"seed{seed}" / str(ablation.frames)
    if world == "narrow":
        return ablation.rounds / f"narrow-then-rounds-seed{seed}" / "rounds" / "00"
    return ablation.root / f"{world}-seed{seed}"


def train_world(ablation: Ablation, name: str, seed: int) -> None:
    """Makes one world; takes episodes and V from the recipe's where they are the same."""
    torch.set_num_threads(1)
    folder, recipe = place(ablation, name, seed), place(ablation, "recipe", seed)
    exploration, training = WORLDS[name]
    if exploration != WORLDS["recipe"][0]:
        collecting = dreamenv.CollectConfig(frames=ablation.frames, seed=seed, exploration=exploration)
        dreamenv.collect(ENV, folder / "episodes", collecting)
    elif not folder.exists():
        shutil.copytree(recipe / "episodes", folder / "episodes")
        if training.vision == WORLDS["recipe"][1].vision:
            shutil.copytree(recipe / "training" / "vision", folder / "training" / "vision")
    dreamenv.train(folder, replace(training, seed=seed))


def measure(ablation: Ablation, change: str, seed: int) -> Row:
    """Trains and scores one agent, unless that was done before."""
    torch.set_num_threads(1)
    name, ppo = CHANGES[change]
    folder = place(ablation, name, seed)
    found_there = change in ("the recipe", "exploration: narrow")
    agent = "ppo" if found_there else change.replace(": ", "-").replace(" ", "-")
    home = folder / "agents" / agent

    def make() -> Row:
        world = dreamenv.load(folder)
        if found_there:
            trained = dreamenv.load_agent(home)
        else:
            trained = dreamenv.train_ppo(world, home, replace(ppo, seed=ppo.seed + seed))
        world = world.seen_by(trained)
        found = dream_scores(world, trained, ablation.episodes, temperature=ppo.temperature)
        return {"setting": change, "seed": seed, **found, **validation_scores(world, trained, ablation.episodes)}

    return once(home / "scores.json", make, world=identity(folder), episodes=ablation.episodes)


def table(rows: list[Row]) -> str:
    """Mean of the seeds, lowest and highest in brackets."""
    lines = [(change, *(spread(of, place) for place in PLACES)) for change, of in by_setting(rows).items()]
    return tabulate(lines, ("change", *PLACES), disable_numparse=True)


if __name__ == "__main__":
    main(tyro.cli(Ablation))
