"""DoomTakeCover from nothing to the table of World Models: agents of dreams of several temperatures, dreamed and real.

Beside the agents stand policies that see nothing: an agent counts as far as it is above the best of them, which is
found on validation seeds. Real scores are on test seeds: choose agents by `dreamenv choose`. Every stage leaves the
seconds that it took.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import dreamenv
from dreamenv.evaluate.scores import ConstantPolicy, UniformPolicy
from dreamenv.real.make import make_real_vector
from dreamenv.training.world import world_config_of
from dreamenv.worlds.takecover.policies import HeldPolicy, SweepPolicy
from dreamenv.worlds.takecover.presets import COLLECT, EVOLVE, PPO, PPO_HELD, TRAIN
from dreamenv.worlds.takecover.real import RIGHT, STAY
from experiments.runner import Job, Study, once, slug
from experiments.show import Layout, Row, cells
from experiments.worlds import REAL, dream_scores, identity, scores, trained

ENV = "TakeCover-v0"
PAPER = {  # World Models (Ha and Schmidhuber 2018), section 4: dreamed and real, mean and standard deviation
    "0.1": ("2086 ± 140", "193 ± 58"),
    "0.5": ("2060 ± 277", "196 ± 50"),
    "1": ("1145 ± 690", "868 ± 511"),
    "1.15": ("918 ± 546", "1092 ± 556"),
    "1.3": ("732 ± 269", "753 ± 139"),
    "uniform random": ("", "210 ± 108"),
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
LINEAR = "linear"
DREAMED = ("temperature", "dropout")  # what also holds in the dream that an agent is scored in
BLIND: dict[str, Callable[[], dreamenv.Policy]] = {
    "uniform random": lambda: UniformPolicy(gym.spaces.Discrete(3)),
    "random, held 1-10 steps": HeldPolicy,
    "always stay": lambda: ConstantPolicy(STAY),
    "always right": lambda: ConstantPolicy(RIGHT),
    **{f"sweep, half period {steps}": partial(SweepPolicy, steps) for steps in (90, 110, 130, 150)},
}


def pooled(found: list[Row]) -> str:
    """Mean and standard deviation over the episodes of all seeds, which are as many for each; the seeds' means."""
    means = [score["mean"] for score in found]
    std = np.sqrt(np.mean([score["std"] ** 2 for score in found]) + np.var(means))
    each = f" ({', '.join(f'{mean:.0f}' for mean in means)})" if len(means) > 1 else ""
    return f"{np.mean(means):.0f} ± {std:.0f}{each}"


LAYOUT = Layout(
    name="takecover",
    keys={"setting": "trained at"},
    columns={
        **cells(pooled, {"dream greedy": "dream, greedy", "dream sampling": "dream, sampling"}),
        **cells(pooled, {"test greedy": "real, greedy"}),
        "paper: dream": lambda rows: PAPER.get(rows[0]["setting"], ("", ""))[0],
        "paper: real": lambda rows: PAPER.get(rows[0]["setting"], ("", ""))[1],
    },
    places={"dream greedy": "dream", "test greedy": "real"},
    labels=("temperature of training", "steps survived"),
)


@dataclass(frozen=True, kw_only=True)
class Temperature(Study):
    """What is measured.

    Attributes:
        blind: Which policies that see nothing; all by default.
        linear: Also evolve a linear controller with each seed, at temperature 1.15.
    """

    root: Path = Path("runs/takecover")
    settings: tuple[str, ...] = tuple(SETTINGS)
    episodes: int = 100
    blind: tuple[str, ...] = tuple(BLIND)
    linear: bool = True
    collect: dreamenv.CollectConfig = COLLECT
    train: dreamenv.TrainConfig = TRAIN
    ppo: dreamenv.PPOConfig = PPO
    evolve: dreamenv.EvolveConfig = EVOLVE
    layout = LAYOUT

    def prepare(self) -> None:
        self.timed("collect", lambda: dreamenv.collect(ENV, self.root / "episodes", self.collect))
        self.timed("train", lambda: dreamenv.train(self.root, self.train))

    def timed(self, stage: str, run: Callable[[], object]) -> None:
        """Runs a stage, and notes how many seconds it took when it was first run."""

        def make() -> Row:
            begin = time.monotonic()
            run()
            return {"stage": stage, "seconds": round(time.monotonic() - begin)}

        once(self.root / f"{stage}.seconds.json", make)

    def jobs(self) -> list[Job]:
        linear = [(LINEAR, seed) for seed in self.seeds if self.linear]
        return [*super().jobs(), *linear, *((name, None) for name in self.blind)]

    def folder(self, setting: str, seed: int) -> Path:
        return self.root / "agents" / f"{slug(setting)}-seed{seed}"

    def measure(self, setting: str, seed: int | None) -> Row:
        return self.measure_blind(setting) if seed is None else super().measure(setting, seed)

    def made_with(self, setting: str, seed: int) -> dict[str, Any]:
        training = self.evolve if setting == LINEAR else self.ppo
        return {"world": identity(self.root), "episodes": self.episodes, "training": training}

    def make(self, setting: str, seed: int) -> Row:
        """Trains one agent and scores it."""
        knobs = SETTINGS.get(setting, {"temperature": 1.15})
        config = replace(self.evolve if setting == LINEAR else self.ppo, **knobs | {"seed": seed})
        dream = {name: knob for name, knob in knobs.items() if name in DREAMED}
        world, folder = dreamenv.load(self.root), self.folder(setting, seed)
        return trained(world, folder, config, self.episodes, dream, ("test",), ("greedy",))

    def measure_blind(self, name: str) -> Row:
        """Scores one policy that sees nothing, in reality and in the dream at temperature 1."""
        path, policy = self.root / "blind" / slug(name), BLIND[name]()

        def make_real() -> Row:
            store = dreamenv.EpisodeStore(self.root / "episodes")
            config = world_config_of(store, store.split()[0], self.train)
            return scores(
                make_real_vector(ENV, min(self.episodes, 8)), policy, self.episodes, config, REAL, ("greedy",)
            )

        def make_dreamed() -> Row:
            return dream_scores(dreamenv.load(self.root), policy, self.episodes, temperature=1.0)

        real = once(path.with_suffix(".real.json"), make_real, episodes=self.episodes)
        world = identity(self.root)
        dreamed = once(path.with_suffix(".dream.json"), make_dreamed, world=world, episodes=self.episodes)
        return {"policy": name, **real, **dreamed}

    def report(self, rows: list[Row]) -> None:
        agents = [row for row in rows if "setting" in row]
        blind = [row for row in rows if "policy" in row]
        others = [{**row, "setting": row["policy"]} for row in blind]
        self.show(agents, others, best_of(blind), {"rows": agents, "blind": blind})


def best_of(blind: list[Row]) -> tuple[str, float]:
    """Name and real mean return of the policy that does best on validation seeds."""
    best = max(blind, key=lambda row: row["validation greedy"]["mean"])
    return f"{best['policy']}, real", best["test greedy"]["mean"]
