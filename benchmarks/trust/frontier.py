"""How many real frames does an agent of the dream need? From collecting to real scores, by budget of frames.

Run `python -m benchmarks.trust.frontier`; it goes on where it was interrupted. For every seed, frames are collected
once, and a budget learns from the first of them. `--rivals` trains Stable-Baselines3's PPO on the real pixels instead,
as it comes and with logits that begin in favour of the action the world's agents begin with, scored at the same numbers
of real steps. Scores are on test seeds, for the table, and those of the dream's agents on validation seeds, for
choosing.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stable_baselines3
import torch
import tyro
from matplotlib.figure import Figure
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from tabulate import tabulate

import dreamenv
from benchmarks.study import ENV, Row, both_ways, once, real_scores, stored
from dreamenv.agents.prior import log_action_prior
from dreamenv.envs.real import make_real, make_real_vector
from dreamenv.evaluate.compare import TEST_SEED
from dreamenv.files import write_json
from dreamenv.training.world import world_config_of


@dataclass(frozen=True)
class Frontier:
    """What is measured.

    Attributes:
        env: The real environment.
        root: Takes everything.
        budgets: Real frames.
        seeds: One chain from collecting to scores each.
        episodes: Real episodes per score.
        rivals: Train on pixels instead of in the dream.
        train: V and M.
        ppo: PPO in the dream.
        dropout: The same for few frames, where dreams are exploited.
        few: The largest budget that it is tried at.
        evolve: CMA-ES in the dream.
    """

    env: str = ENV
    root: Path = Path("runs/frontier")
    budgets: tuple[int, ...] = (5_000, 10_000, 20_000, 40_000, 70_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    rivals: bool = False
    train: dreamenv.TrainConfig = dreamenv.TrainConfig()
    ppo: dreamenv.PPOConfig = dreamenv.PPOConfig(temperature=1.15)
    dropout: dreamenv.PPOConfig = dreamenv.PPOConfig(temperature=1.0, dropout=0.1)
    few: int = 20_000
    evolve: dreamenv.EvolveConfig = dreamenv.EvolveConfig()


def main(config: Frontier) -> None:
    for budget in sorted(config.budgets, reverse=True):
        for seed in config.seeds:
            if not config.rivals:
                measure(config, budget, seed)
    for seed in config.seeds if config.rivals else ():
        for biased in (False, True):
            measure_rival(config, seed, biased)
    rows = [stored(path)[0] for path in sorted(config.root.glob("*/*/*.scores.json"))]
    print(table(rows))
    plot(rows, config.root / "frontier.png")
    write_json(config.root / "frontier.json", rows)


def measure(config: Frontier, budget: int, seed: int) -> None:
    """Trains a world and its agents on the first frames of a seed, and scores them in reality."""
    place = config.root / f"seed{seed}" / str(budget)
    frames = copy_first(collect(config, seed), place / "episodes", budget)
    world = dreamenv.train(place, dataclasses.replace(config.train, seed=seed))
    agents = place / "agents"

    def ppo(name: str, settings: dreamenv.PPOConfig) -> Callable[[], dreamenv.Policy]:
        return lambda: dreamenv.train_ppo(world, agents / name, dataclasses.replace(settings, seed=seed))

    trainers: dict[str, Callable[[], dreamenv.Policy]] = {
        "ppo": ppo("ppo", config.ppo),
        **({"ppo-dropout": ppo("ppo-dropout", config.dropout)} if budget <= config.few else {}),
        "linear": lambda: dreamenv.evolve(world, agents / "linear", dataclasses.replace(config.evolve, seed=seed)),
    }
    for name, trainer in trainers.items():

        def make(name: str = name, trainer: Callable[[], dreamenv.Policy] = trainer) -> Row:
            found = real_scores(world, trainer(), config.episodes)
            return {"agent": name, "budget": budget, "frames": frames, "seed": seed, **found}

        made_with = {"train": config.train, "ppo": config.ppo, "dropout": config.dropout, "evolve": config.evolve}
        once(place / f"{name}.scores.json", make, episodes=config.episodes, **made_with)


def collect(config: Frontier, seed: int) -> dreamenv.EpisodeStore:
    """The frames of a seed, as many as the largest budget asks for."""
    settings = dreamenv.CollectConfig(frames=max(config.budgets), seed=seed, shard_episodes=8)
    return dreamenv.collect(config.env, config.root / f"seed{seed}" / "episodes", settings)


def copy_first(store: dreamenv.EpisodeStore, folder: Path, budget: int) -> int:
    """Copies the first shards that hold no more than ``budget`` frames; returns how many frames they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(store.folder / "spec.json", folder)
    for name in store.shard_names:
        if not (folder / name).exists():
            shutil.copy(store.folder / name, folder)
            if dreamenv.EpisodeStore(folder).num_frames > budget:
                (folder / name).unlink()
                break
    return dreamenv.EpisodeStore(folder).num_frames


def measure_rival(config: Frontier, seed: int, biased: bool) -> None:
    """Trains PPO on the real pixels up to the largest budget, and scores it on the way there."""
    name = "pixels, biased" if biased else "pixels"
    place = config.root / f"seed{seed}" / name.replace(", ", "-")
    if all((place / f"{budget}.scores.json").exists() for budget in config.budgets):
        return
    store = collect(config, seed)
    facts = world_config_of(store, store.split()[0], config.train)
    env = make_vec_env(lambda: make_real(config.env), n_envs=8, seed=1_000_000 * (seed + 1))
    model = stable_baselines3.PPO("CnnPolicy", env, n_steps=125, batch_size=250, seed=seed)
    if biased:
        with torch.no_grad():
            model.policy.get_parameter("action_net.bias").add_(torch.as_tensor(log_action_prior(facts)).float())
    callback = ScoreAtBudgets(config, place, name, seed, facts)
    model.learn(max(config.budgets), callback=callback, progress_bar=False)
    callback.score_reached()


class ScoreAtBudgets(BaseCallback):
    """Scores the agent whenever it has seen as many real frames as a budget has."""

    def __init__(self, config: Frontier, place: Path, name: str, seed: int, world: dreamenv.WorldConfig) -> None:
        super().__init__()
        self._config, self._place, self._name, self._seed, self._world = config, place, name, seed, world
        self._left = sorted(config.budgets)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self.score_reached()

    def score_reached(self) -> None:
        if self._left and self.num_timesteps >= self._left[0]:
            budget = self._left.pop(0)
            env = make_real_vector(self._config.env, 8)
            seeds = range(TEST_SEED, TEST_SEED + self._config.episodes)
            found = both_ways(env, self.model, seeds, self._world, "test")
            env.close()
            facts = {"agent": self._name, "budget": budget, "frames": self.num_timesteps, "seed": self._seed}
            write_json(self._place / f"{budget}.scores.json", {**facts, **found})


def table(rows: list[Row]) -> str:
    """Success / return on the test seeds: every seed's, greedy, and the means over the seeds."""
    cells = []
    for agent, budget in sorted({(r["agent"], r["budget"]) for r in rows}):
        of = [r for r in rows if (r["agent"], r["budget"]) == (agent, budget)]
        greedy, sampling = ([r[f"test {how}"] for r in of] for how in ("greedy", "sampling"))
        each = ", ".join(f"{s['success']:.2f}" for s in greedy)
        means = [
            f"{np.mean([s['success'] for s in g]):.2f} / {np.mean([s['mean'] for s in g]):.3f}"
            for g in (greedy, sampling)
        ]
        cells.append((agent, f"{budget:,}", each, *means))
    headers = ("agent", "frames", "greedy success by seed", "greedy, mean", "sampling, mean")
    return tabulate(cells, headers, disable_numparse=True)


def plot(rows: list[Row], path: Path) -> None:
    """A point for each seed, a line through the means; greedy, on the test seeds."""
    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    agents, budgets = sorted({r["agent"] for r in rows}), sorted({r["budget"] for r in rows})
    for axes, fact in zip(figure.subplots(1, 2), ("success", "mean"), strict=True):
        for number, agent in enumerate(agents):
            of = [(r["budget"], r["test greedy"][fact]) for r in rows if r["agent"] == agent]
            means = {b: np.mean([value for budget, value in of if budget == b]) for b in sorted(dict(of))}
            label = agent if fact == "success" else None
            axes.plot(list(means), list(means.values()), color=f"C{number}", label=label)
            beside = 1.02 ** (number - len(agents) / 2)  # or points of several agents would lie on each other
            axes.plot([b * beside for b, _ in of], [v for _, v in of], "o", color=f"C{number}", ms=4, alpha=0.7)
        axes.set(xscale="log", xlabel="real frames", ylabel={"success": "success rate", "mean": "mean return"}[fact])
        axes.set_xticks(budgets, [f"{budget:,}" for budget in budgets])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right", title="greedy; lines: means")  # type: ignore[call-overload]
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(tyro.cli(Frontier))
