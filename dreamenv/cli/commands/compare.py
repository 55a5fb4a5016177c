"""dreamenv compare."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.inputs import agent_for, results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say
from dreamenv.evaluate.compare import CompareConfig


@dataclass(frozen=True)
class Compare:
    """Score an agent in the dream, by temperature, and in reality.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder of an agent, or the name of one that ships, such as sidewalk/linear.
        out: Folder for the results; compare/AGENT in the world's folder by default.
        config: Settings.
    """

    world: str
    agent: str
    out: Path | None = None
    config: Annotated[CompareConfig, Flat] = CompareConfig()

    def run(self) -> None:
        """Compares, and writes tables, a plot and a film."""
        from dreamenv.bundle import load
        from dreamenv.evaluate.compare import compare
        from dreamenv.evaluate.film import write_film
        from dreamenv.evaluate.plots import plot_comparison
        from dreamenv.evaluate.tables import comparison_table, groups_table, write_comparison

        world, home = load(self.world), results_home(self.world)
        agent, folder = agent_for(world, self.agent), self.out or home / "compare" / Path(self.agent).name
        beside = folder if home.exists() and not os.access(home, os.W_OK) else home
        comparison = compare(world, agent, self.config, name=self.agent, baselines=beside / "baselines")
        write_comparison(comparison, folder)
        plot_comparison(comparison, folder / "comparison.png")
        temperature = world.config.temperature
        write_film(world, agent, folder / "film.gif", seed=self.config.seed, temperature=temperature)
        say(f"\n{comparison_table(comparison)}\n")
        if comparison.groups:
            say(f"{groups_table(comparison.groups)}\n")
        say(f"comparison.json, comparison.csv, comparison.png and film.gif in {folder}")
