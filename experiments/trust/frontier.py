"""How many real frames does an agent of the dream need? From collecting to real scores, by budget of frames.

For every seed, frames are collected once, and a budget learns from the first of them. `--rivals` trains
Stable-Baselines3's PPO on the real pixels instead, as it comes and with logits that begin in favour of the action the
world's agents begin with, scored at the same numbers of real steps. Scores are on test seeds, for the table, and those
of the dream's agents on validation seeds, for choosing.
"""

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import stable_baselines3
import torch
from matplotlib.figure import Figure
from stable_baselines3.common.env_util import make_vec_env

import dreamenv
from dreamenv.agents.prior import log_action_prior
from dreamenv.foundation.files import write_json
from dreamenv.real.make import make_real, make_real_vector
from dreamenv.training.world import world_config_of
from experiments.runner import Job, Jobs, once, slug, stored
from experiments.show import Layout, Row, cells, spread
from experiments.worlds import ENV, PPO, scores, trained


def success_of_each(found: list[Row]) -> str:
    """Success of every seed."""
    return ", ".join(f"{score['success']:.2f}" for score in found)


@dataclass(frozen=True, kw_only=True)
class Frontier(Jobs):
    """What is measured.

    Attributes:
        env: The real environment.
        budgets: Real frames.
        seeds: One chain from collecting to scores each.
        rivals: Train on pixels instead of in the dream.
        dropout: PPO for few frames, where dreams are exploited.
        few: The largest budget that it is tried at.
    """

    root: Path = Path("runs/frontier")
    processes: int = 0
    env: str = ENV
    budgets: tuple[int, ...] = (5_000, 10_000, 20_000, 40_000, 70_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    rivals: bool = False
    train: dreamenv.TrainConfig = dreamenv.TrainConfig()
    ppo: dreamenv.PPOConfig = PPO
    dropout: dreamenv.PPOConfig = dreamenv.PPOConfig(temperature=1.0, dropout=0.1)
    few: int = 20_000
    evolve: dreamenv.EvolveConfig = dreamenv.EvolveConfig()

    layout = Layout(
        name="frontier",
        keys={"agent": "agent", "budget": "frames"},
        columns={
            **cells(success_of_each, {"test greedy": "greedy success by seed"}),
            **cells(spread, {"test greedy": "greedy", "test sampling": "sampling"}),
        },
    )

    def prepare(self) -> None:
        for seed in self.seeds:
            settings = dreamenv.CollectConfig(frames=max(self.budgets), seed=seed, shard_episodes=8)
            dreamenv.collect(self.env, self.frames_of(seed), settings)

    def frames_of(self, seed: int) -> Path:
        """The frames of a seed, as many as the largest budget asks for."""
        return self.root / f"seed{seed}" / "episodes"

    def jobs(self) -> list[Job]:
        choices = (False, True) if self.rivals else sorted(self.budgets, reverse=True)
        return [(choice, seed) for choice in choices for seed in self.seeds]

    def measure(self, choice: int | bool, seed: int) -> None:
        """Makes the rows of one budget, or those of one rival; :meth:`report` finds them, and older ones."""
        if self.rivals:
            self.measure_rival(bool(choice), seed)
        else:
            self.measure_budget(choice, seed)

    def report(self, rows: list[None]) -> None:
        found = [stored(path)[0] for path in self.root.glob("*/*/*.scores.json")]
        found.sort(key=lambda row: (row["agent"], row["budget"], row["seed"]))
        self.show(found)
        plot(found, self.root / "frontier.png")

    def measure_budget(self, budget: int, seed: int) -> None:
        """Trains a world and its agents on the first frames of a seed, and scores them in reality."""
        place = self.root / f"seed{seed}" / str(budget)
        frames = copy_first(dreamenv.EpisodeStore(self.frames_of(seed)), place / "episodes", budget)
        world = dreamenv.train(place, replace(self.train, seed=seed))
        trainings = {"ppo": self.ppo, "ppo-dropout": self.dropout, "linear": self.evolve}
        if budget > self.few:
            del trainings["ppo-dropout"]

        def make(name: str) -> Row:
            config = replace(trainings[name], seed=seed)
            found = trained(world, place / "agents" / name, config, self.episodes)
            return {"agent": name, "budget": budget, "frames": frames, "seed": seed, **found}

        made_with = self.options("episodes", "train", "ppo", "dropout", "evolve")
        for name in trainings:
            once(place / f"{name}.scores.json", partial(make, name), **made_with)

    def measure_rival(self, biased: bool, seed: int) -> None:
        """Trains PPO on the real pixels up to the largest budget, and scores it on the way there."""
        name = "pixels, biased" if biased else "pixels"
        place = self.root / f"seed{seed}" / slug(name)
        if all((place / f"{budget}.scores.json").exists() for budget in self.budgets):
            return
        store = dreamenv.EpisodeStore(self.frames_of(seed))
        facts = world_config_of(store, store.split()[0], self.train)
        env = make_vec_env(lambda: make_real(self.env), n_envs=8, seed=1_000_000 * (seed + 1))
        model = stable_baselines3.PPO("CnnPolicy", env, n_steps=125, batch_size=250, seed=seed)
        if biased:
            with torch.no_grad():
                model.policy.get_parameter("action_net.bias").add_(torch.as_tensor(log_action_prior(facts)).float())

        for budget in sorted(self.budgets):
            model.learn(budget - model.num_timesteps, reset_num_timesteps=False)
            env = make_real_vector(self.env, min(self.episodes, 8))
            found = scores(env, model, self.episodes, facts, ("test",))
            row = {"agent": name, "budget": budget, "frames": model.num_timesteps, "seed": seed, **found}
            write_json(place / f"{budget}.scores.json", row)


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
