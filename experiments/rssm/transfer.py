"""Which kind of world model transfers? Worlds of every kind learn from the same frames; PPO learns in their dreams.

For every seed, frames are collected once, and a budget learns from the first of them. In a world of the largest budget
PPO is trained with every agent seed, in the others with the seed of the frames. Scores are on validation and on test
seeds; times are those of training a world, and of training an agent in it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import dreamenv
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.training.kinds import WorldTraining
from dreamenv.training.rssm import RSSMTraining
from experiments.runner import Job, Jobs, once
from experiments.show import Layout, Row, cells, spread
from experiments.trust.frontier import copy_first
from experiments.worlds import ENV, PPO, identity, trained

KINDS: dict[str, WorldTraining] = {
    "mdnrnn": dreamenv.TrainConfig(),
    "gaussian": RSSMTraining(),
    "categorical": RSSMTraining(model=RSSMConfig(latent="categorical", latent_size=32, classes=16)),
}


def success_of_each(found: list[Row]) -> str:
    """Success of every agent."""
    return ", ".join(f"{score['success']:.2f}" for score in found)


def seconds_of(found: list[Row]) -> str:
    """Mean processor seconds, and mean seconds by the clock."""
    return " / ".join(f"{sum(row[clock] for row in found) / len(found):.0f}" for clock in ("processor", "clock"))


@dataclass(frozen=True, kw_only=True)
class Transfer(Jobs):
    """What is measured.

    Attributes:
        env: The real environment.
        kinds: Kinds of world models.
        budgets: Real frames.
        seeds: One collection each; a world model has the seed of its frames.
        agent_seeds: Of PPO in the worlds of the largest budget.
    """

    root: Path = Path("runs/rssm")
    env: str = ENV
    kinds: tuple[str, ...] = tuple(KINDS)
    budgets: tuple[int, ...] = (40_000, 20_000, 10_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    agent_seeds: tuple[int, ...] = (0, 1, 2)
    real_episodes: int = 100
    ppo: dreamenv.PPOConfig = PPO

    layout = Layout(
        name="transfer",
        keys={"budget": "frames", "kind": "world model"},
        columns={
            **cells(success_of_each, {"test greedy": "greedy success, each agent"}),
            **cells(spread, {name: name for name in ("test greedy", "test sampling", "validation greedy", "dream")}),
            **cells(seconds_of, {"world": "world, s", "agent": "agent, s"}),
        },
    )

    def prepare(self) -> None:
        for seed in self.seeds:
            settings = dreamenv.CollectConfig(frames=max(self.budgets), seed=seed, shard_episodes=8)
            store = dreamenv.collect(self.env, self.root / f"seed{seed}" / "episodes", settings)
            for budget in self.budgets:
                copy_first(store, self.root / f"seed{seed}" / str(budget) / "episodes", budget)

    def jobs(self) -> list[Job]:
        return [
            (b, seed, kind) for b in sorted(self.budgets, reverse=True) for seed in self.seeds for kind in self.kinds
        ]

    def measure(self, budget: int, seed: int, kind: str) -> list[Row]:
        """Trains a world and its agents, and scores these in reality; one row for each agent."""
        frames, place = self.root / f"seed{seed}" / str(budget), self.root / f"seed{seed}" / str(budget) / kind
        settings = replace(KINDS[kind], seed=seed)

        def learn() -> Row:
            return timed(lambda: dreamenv.train(place, settings, episodes=frames / "episodes"))

        world = once(place / "training.json", learn, settings=settings)
        rows = []
        for agent in self.agent_seeds if budget == max(self.budgets) else (seed,):
            ppo = replace(self.ppo, seed=agent)
            folder = place / "agents" / f"ppo-{agent}"
            made_with = {"ppo": ppo, "real_episodes": self.real_episodes, "world": identity(place)}
            row = once(folder / "scores.json", partial(self.agent, place, folder, ppo), **made_with)
            rows.append({"kind": kind, "budget": budget, "seed": seed, "agent seed": agent, "world": world, **row})
        return rows

    def agent(self, place: Path, folder: Path, ppo: dreamenv.PPOConfig) -> Row:
        """Trains one agent, and scores it."""
        world = dreamenv.load(place)
        took = timed(lambda: dreamenv.train_ppo(world, folder, ppo))
        found: dict[str, Any] = trained(world, folder, None, self.real_episodes, {"temperature": ppo.temperature})
        return {"agent": took, "dream": found["dream sampling"], **found}

    def report(self, rows: list[list[Row]]) -> None:
        self.show([row for of in rows for row in of])


def timed(work: Callable[[], object]) -> Row:
    """Seconds of the processor and by the clock that a call takes."""
    clock, processor = time.monotonic(), time.process_time()
    work()
    return {"processor": time.process_time() - processor, "clock": time.monotonic() - clock}
