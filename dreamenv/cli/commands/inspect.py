"""dreamenv inspect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.inputs import episodes_of, results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say
from dreamenv.reports.results import InspectConfig


@dataclass(frozen=True)
class Inspect:
    """Look into a world: a page with every diagnostic of its model and agents, and what good looks like.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        episodes: Folder of recorded real episodes; episodes in the world's folder by default.
        out: Folder for the results; inspection in the world's folder by default.
        config: Settings.
    """

    world: str
    episodes: Path | None = None
    out: Path | None = None
    config: Annotated[InspectConfig, Flat] = InspectConfig()

    def run(self) -> None:
        """Writes the page and the numbers, and prints their table."""
        from dreamenv.bundle import load
        from dreamenv.reports.inspect import inspect
        from dreamenv.reports.tables import inspection_table

        world, home = load(self.world), results_home(self.world)
        folder = self.out or home / "inspection"
        result = inspect(world, episodes_of(world, self.episodes or home / "episodes"), folder, self.config, logs=home)
        say(f"\n{inspection_table(result)}\n")
        say(f"inspection.html, a page to open in a browser, and inspection.json in {folder}")
