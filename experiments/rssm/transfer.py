"""Which kind of world model transfers? Worlds of every kind learn from the same frames; PPO learns in their dreams.

For every seed, frames are collected once, and a budget learns from the first of them. In a world of all frames PPO is
trained with every agent seed, in the others with the seed of the frames. Scores are on validation and on test
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
from experiments.runner import Job, Jobs, once, stored
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
        frames: Real frames that are collected; only from all of them worlds have several agents.
        budgets: Real frames that worlds learn from.
        seeds: One collection each; a world model has the seed of its frames.
        agent_seeds: Of PPO in the worlds of all frames.
    """

    root: Path = Path("runs/rssm")
    env: str = ENV
    kinds: tuple[str, ...] = tuple(KINDS)
    frames: int = 40_000
    budgets: tuple[int, ...] = (40_000, 20_000, 10_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    agent_seeds: tuple[int, ...] = (0, 1, 2)
    real_episodes: int = 100
    ppo: dreamenv.PPOConfig = PPO

    layout = Layout(
        name="transfer",
        keys={"budget": "frames", "kind": "world model", "temperature": "temperature"},
        columns={
            **cells(success_of_each, {"test greedy": "greedy success, each agent"}),
            **cells(spread, {name: name for name in ("test greedy", "test sampling", "validation greedy", "dream")}),
            **cells(seconds_of, {"world": "world, s", "agent": "agent, s"}),
        },
    )

    def prepare(self) -> None:
        for seed in self.seeds:
            settings = dreamenv.CollectConfig(frames=self.frames, seed=seed, shard_episodes=8)
            store = dreamenv.collect(self.env, self.root / f"seed{seed}" / "episodes", settings)
            for budget in self.budgets:
                copy_first(store, self.root / f"seed{seed}" / str(budget) / "episodes", budget)

    def jobs(self) -> list[Job]:
        return [
            (b, seed, kind) for b in sorted(self.budgets, reverse=True) for seed in self.seeds for kind in self.kinds
        ]

    def measure(self, budget: int, seed: int, kind: str) -> None:
        """Trains a world and its agents, and scores these; :meth:`report` finds the rows, and older ones."""
        frames = self.root / f"seed{seed}" / str(budget)
        place, settings = frames / kind, replace(KINDS[kind], seed=seed)

        def learn() -> Row:
            return timed(lambda: dreamenv.train(place, settings, episodes=frames / "episodes"))

        once(place / "training.json", learn, settings=settings)
        for agent in self.agent_seeds if budget == self.frames else (seed,):
            ppo = replace(self.ppo, seed=agent)
            folder = place / "agents" / f"ppo-{agent}-at-{ppo.temperature:g}"
            made_with = {"ppo": ppo, "real_episodes": self.real_episodes, "world": identity(place)}
            once(folder / "scores.json", partial(self.agent, place, folder, ppo), **made_with)

    def agent(self, place: Path, folder: Path, ppo: dreamenv.PPOConfig) -> Row:
        """Trains one agent, and scores it."""
        world = dreamenv.load(place)
        took = timed(lambda: dreamenv.train_ppo(world, folder, ppo))
        found: dict[str, Any] = trained(world, folder, None, self.real_episodes, {"temperature": ppo.temperature})
        return {"agent": took, "dream": found["dream sampling"], **found}

    def report(self, rows: list[Row]) -> None:
        found = [row_at(path) for path in self.root.glob("seed*/*/*/agents/ppo-*/scores.json")]
        order = ("kind", "temperature", "seed", "agent seed")
        self.show(sorted(found, key=lambda row: (-row["budget"], *(row[name] for name in order))))


def row_at(path: Path) -> Row:
    """A stored row, with its world's training and what its place says, seedSEED/BUDGET/KIND/agents/ppo-AGENT-at-TAU."""
    seed, budget, kind, _, name, _ = path.parts[-6:]
    agent, temperature = name.removeprefix("ppo-").split("-at-")
    places = {"seed": int(seed.removeprefix("seed")), "agent seed": int(agent), "temperature": float(temperature)}
    world, _ = stored(path.parents[2] / "training.json")
    return {"kind": kind, "budget": int(budget), **places, "world": world, **stored(path)[0]}


def timed(work: Callable[[], object]) -> Row:
    """Seconds of the processor and by the clock that a call takes."""
    clock, processor = time.monotonic(), time.process_time()
    work()
    return {"processor": time.process_time() - processor, "clock": time.monotonic() - clock}
