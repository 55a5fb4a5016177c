"""DoomTakeCover from nothing to the table of World Models: agents of dreams of several temperatures, dreamed and real.

Run `python -m benchmarks.takecover.temperature` (or `make takecover`); it goes on where it was interrupted. Beside the
agents stand policies that see nothing: an agent counts as far as it is above the best of them, which is found on
validation seeds. Real scores are on test seeds: choose agents by `dreamenv choose`. Every stage leaves the seconds that
it took.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode, VectorEnv
from tabulate import tabulate

import dreamenv
from benchmarks.study import Row, by_setting, dream_scores, facts, identity, once, plot_agents
from dreamenv.envs.latent import make_latent_vector
from dreamenv.envs.real import make_real_vector
from dreamenv.evaluate.choose import VALIDATION_SEED
from dreamenv.evaluate.compare import TEST_SEED
from dreamenv.evaluate.scores import ConstantPolicy, UniformPolicy, score
from dreamenv.files import write_json
from dreamenv.training.world import world_config_of
from dreamenv.worlds.takecover.policies import HeldPolicy, SweepPolicy
from dreamenv.worlds.takecover.presets import COLLECT, EVOLVE, PPO, PPO_HELD, TRAIN
from dreamenv.worlds.takecover.real import RIGHT, STAY

ENV = "TakeCover-v0"
PLACES = ("dream greedy", "dream sampling", "test greedy")
PAPER = {  # World Models (Ha and Schmidhuber 2018), section 4: dreamed and real, mean and standard deviation
    "0.1": ("2086 ± 140", "193 ± 58"),
    "0.5": ("2060 ± 277", "196 ± 50"),
    "1": ("1145 ± 690", "868 ± 511"),
    "1.15": ("918 ± 546", "1092 ± 556"),
    "1.3": ("732 ± 269", "753 ± 139"),
}
WHOLE: dict[str, Any] = {"branched_starts": 0.5, "max_episode_steps": None}  # dreams that last to their end
SETTINGS: dict[str, dict[str, Any]] = {
    "1.15": {"temperature": 1.15, **WHOLE},
    "0.1": {"temperature": 0.1, **WHOLE},
    "1": {"temperature": 1.0, **WHOLE},
    "0.5": {"temperature": 0.5, **WHOLE},
    "1.3": {"temperature": 1.3, **WHOLE},
    "1.5": {"temperature": 1.5, **WHOLE},
    "2": {"temperature": 2.0, **WHOLE},
    "1, dropout 0.1": {"temperature": 1.0, "dropout": 0.1, **WHOLE},
    "1.15, short dreams": {"temperature": 1.15},
    "0.1, short dreams": {"temperature": 0.1},
    "1.15, short dreams, held actions": {**vars(PPO_HELD), "temperature": 1.15},
    "1.15, short dreams, sees z": {"temperature": 1.15, "inputs": ("z",)},
    "1.15, short dreams, sees z, c, h": {"temperature": 1.15, "inputs": ("z", "c", "h")},
}
DREAMED = ("temperature", "dropout")  # what also holds in the dream that an agent is scored in
BLIND: dict[str, Callable[[], dreamenv.Policy]] = {
    "uniform random": lambda: UniformPolicy(gym.spaces.Discrete(3)),
    "random, held 1-10 steps": HeldPolicy,
    "always stay": lambda: ConstantPolicy(STAY),
    "always right": lambda: ConstantPolicy(RIGHT),
    **{f"sweep, half period {steps}": functools.partial(SweepPolicy, steps) for steps in (90, 110, 130, 150)},
}


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        root: Takes everything.
        seeds: One agent each, at every setting, in the same world.
        episodes: Per score.
        settings: Which of them; all by default.
        blind: Which policies that see nothing; all by default.
        processes: Agents trained side by side, each on one core.
        linear: Also evolve a linear controller with each seed, at temperature 1.15.
        collect: The real frames.
        train: V and M.
        ppo: PPO in the dream, but for the seed and what a setting says.
        evolve: CMA-ES in the dream, but for temperature and seed.
    """

    root: Path = Path("runs/takecover")
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    settings: tuple[str, ...] = tuple(SETTINGS)
    blind: tuple[str, ...] = tuple(BLIND)
    processes: int = 2
    linear: bool = True
    collect: dreamenv.CollectConfig = COLLECT
    train: dreamenv.TrainConfig = TRAIN
    ppo: dreamenv.PPOConfig = PPO
    evolve: dreamenv.EvolveConfig = EVOLVE


def main(study: Study) -> None:
    timed(study, "collect", lambda: dreamenv.collect(ENV, study.root / "episodes", study.collect))
    timed(study, "train", lambda: dreamenv.train(study.root, study.train))
    jobs = [(study, name, seed) for seed in study.seeds for name in study.settings]
    jobs += [(study, "linear", seed) for seed in study.seeds if study.linear]
    with get_context("spawn").Pool(study.processes) as pool:
        agents = pool.starmap_async(measure, jobs, chunksize=1)
        blind = pool.starmap(measure_blind, [(study, name) for name in study.blind], chunksize=1)
        found = {"rows": agents.get(), "blind": blind}
    write_json(study.root / "takecover.json", found)
    print(table(**found))
    plot(**found, path=study.root / "takecover.png")


def timed(study: Study, stage: str, run: Callable[[], object]) -> None:
    """Runs a stage, and notes how many seconds it took when it was first run."""

    def make() -> Row:
        begin = time.monotonic()
        run()
        return {"stage": stage, "seconds": round(time.monotonic() - begin)}

    once(study.root / f"{stage}.seconds.json", make)


def measure(study: Study, name: str, seed: int) -> Row:
    """Trains one agent and scores it, unless that was done before."""
    torch.set_num_threads(1)
    folder = study.root / "agents" / f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"

    def make() -> Row:
        world = dreamenv.load(study.root)
        knobs = SETTINGS.get(name, {"temperature": 1.15})
        begin = time.monotonic()
        if name == "linear":
            agent: dreamenv.Policy = dreamenv.evolve(
                world, folder, dataclasses.replace(study.evolve, **knobs | {"seed": seed})
            )
        else:
            agent = dreamenv.train_ppo(world, folder, dataclasses.replace(study.ppo, **knobs | {"seed": seed}))
        trained = time.monotonic()
        shown = world.seen_by(agent)
        env = make_latent_vector(shown, 8, AutoresetMode.DISABLED)
        dream = {name: knob for name, knob in knobs.items() if name in DREAMED}
        found = dream_scores(shown, agent, study.episodes, **dream)
        found |= real_scores(env, agent, study.episodes, world.config, {"test": TEST_SEED})
        seconds = {"training": round(trained - begin), "scores": round(time.monotonic() - trained)}
        return {"setting": name, "seed": seed, "seconds": seconds, **found}

    training = study.evolve if name == "linear" else study.ppo
    return once(folder / "scores.json", make, world=identity(study.root), episodes=study.episodes, training=training)


def measure_blind(study: Study, name: str) -> Row:
    """Scores one policy that sees nothing, in reality and in the dream at temperature 1."""
    torch.set_num_threads(1)
    path, policy = study.root / "blind" / name.replace(", ", "-").replace(" ", "-"), BLIND[name]()

    def make_real() -> Row:
        store = dreamenv.EpisodeStore(study.root / "episodes")
        config = world_config_of(store, store.split()[0], study.train)
        sides = {"validation": VALIDATION_SEED, "test": TEST_SEED}
        return real_scores(make_real_vector(ENV, 8), policy, study.episodes, config, sides)

    def make_dreamed() -> Row:
        return dream_scores(dreamenv.load(study.root), policy, study.episodes, temperature=1.0)

    real = once(path.with_suffix(".real.json"), make_real, episodes=study.episodes)
    world = identity(study.root)
    dreamed = once(path.with_suffix(".dream.json"), make_dreamed, world=world, episodes=study.episodes)
    return {"policy": name, **real, **dreamed}


def real_scores(
    env: VectorEnv, agent: dreamenv.Policy, episodes: int, config: dreamenv.WorldConfig, sides: dict[str, int]
) -> Row:
    """Greedy, from the first seed of every side on."""
    found = {}
    for side, first in sides.items():
        seeds = range(first, first + episodes)
        found[f"{side} greedy"] = facts(score(env, agent, seeds, config, name=side, deterministic=True))
    env.close()
    return found


def table(rows: list[Row], blind: list[Row]) -> str:
    """Mean returns, mean and standard deviation as World Models gives them; the seeds' means in brackets."""
    lines = []
    for name, of in by_setting(rows).items():
        cells = [pooled([row[place] for row in of]) for place in PLACES]
        lines.append((name, *cells, *PAPER.get(name, ("", ""))))
    for row in blind:
        cells = [pooled([row[place]]) for place in PLACES]
        lines.append((row["policy"], *cells, "", "210 ± 108" if row["policy"] == "uniform random" else ""))
    headers = ("trained at", "dream, greedy", "dream, sampling", "real, greedy", "paper: dream", "paper: real")
    return tabulate(lines, headers, disable_numparse=True)


def pooled(scores: list[Row]) -> str:
    """Mean and standard deviation over the episodes of all seeds, which are as many for each."""
    means = [score["mean"] for score in scores]
    std = np.sqrt(np.mean([score["std"] ** 2 for score in scores]) + np.var(means))
    each = f" ({', '.join(f'{mean:.0f}' for mean in means)})" if len(means) > 1 else ""
    return f"{np.mean(means):.0f} ± {std:.0f}{each}"


def plot(rows: list[Row], blind: list[Row], path: Path, varied: str = "temperature of training") -> None:
    """Every agent, and the best of those that see nothing."""
    best = max(blind, key=lambda row: row["validation greedy"]["mean"])
    places = {"dream greedy": "dream", "test greedy": "real"}
    floor = (f"{best['policy']}, real", best["test greedy"]["mean"])
    plot_agents(rows, places, path, (varied, "steps survived"), floor)


if __name__ == "__main__":
    main(tyro.cli(Study))
