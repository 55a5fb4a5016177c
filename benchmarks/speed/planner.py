"""Seconds per decision of the CEM planner, by the number of candidates.

Run `python -m benchmarks.speed.planner`; `--help` lists the settings. Processor time of one thread, the best of the
turns, which the planners take alternately.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
import tyro
from tabulate import tabulate

import dreamenv
from benchmarks.speed.dream import rates
from dreamenv.agents.planner import Planner
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.models.noise import Noise


@dataclass(frozen=True)
class Settings:
    """What is timed.

    Attributes:
        world: A name or a folder.
        candidates: Plans drawn in an iteration; a tenth of them are elites.
        horizon: Steps of a plan.
        iterations: Of a decision.
        num_envs: Environments that decide as one batch.
        turns: Per measurement.
        seconds: Of a turn, at least; a turn is one decision or more.
    """

    world: str = "sidewalk"
    candidates: tuple[int, ...] = (50, 100, 300, 1000)
    horizon: int = PlannerConfig.horizon
    iterations: int = PlannerConfig.iterations
    num_envs: tuple[int, ...] = (1, 8)
    turns: int = 2
    seconds: float = 0.5


def deciding(world: dreamenv.World, config: PlannerConfig, num_envs: int) -> Callable[[], object]:
    """One greedy decision of a batch, in states in which dreams begin."""
    planner = Planner(world, config)
    noise = Noise.draw(num_envs, world.model.prior_noise, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        seen = planner.world.features(world.sample_start(noise)).numpy()
    return lambda: planner.predict(seen, deterministic=True)


def main(settings: Settings) -> None:
    """Prints a table."""
    torch.set_num_threads(1)
    world = dreamenv.load(settings.world)
    base = PlannerConfig(horizon=settings.horizon, iterations=settings.iterations, elites=1)
    configs = [dataclasses.replace(base, candidates=n, elites=max(1, n // 10)) for n in settings.candidates]
    calls = {
        f"{config.candidates} {num_envs}": deciding(world, config, num_envs)
        for config in configs
        for num_envs in settings.num_envs
    }
    found = rates(calls, settings.turns, settings.seconds)
    rows = [
        (
            config.candidates,
            *(1.0 / found[f"{config.candidates} {num_envs}"] / num_envs for num_envs in settings.num_envs),
        )
        for config in configs
    ]
    print(
        f"{world}\nhorizon {settings.horizon}, {settings.iterations} iterations; seconds per decision and environment"
    )
    print(tabulate(rows, ("candidates", *(f"{n} at once" for n in settings.num_envs)), floatfmt=".3f"))


if __name__ == "__main__":
    main(tyro.cli(Settings))
