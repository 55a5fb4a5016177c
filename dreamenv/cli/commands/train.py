"""dreamenv train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.options import Flat
from dreamenv.cli.output import say, say_next
from dreamenv.training.mdnrnn import TrainConfig


@dataclass(frozen=True)
class Train:
    """Train V and M on the collected episodes, and report on held-out ones.

    Attributes:
        world: Folder with the episodes; the world is written there.
        device: Where to train, as torch names it: cpu, cuda.
        config: Settings.
    """

    world: Path
    device: str = "cpu"
    config: Annotated[TrainConfig, Flat] = TrainConfig()

    def run(self) -> None:
        """Trains and saves a world, and prints the report."""
        from dreamenv.data.store import EpisodeStore
        from dreamenv.reports.summary import report
        from dreamenv.reports.tables import memory_table, vision_table
        from dreamenv.training.world import train

        trained = train(self.world, self.config, device=self.device)
        result = report(trained, EpisodeStore(self.world / "episodes"), self.world / "training")
        vision = "" if result.vision is None else f"{vision_table(result.vision)}\n\n"
        say(f"{vision}{memory_table(result.memory, result.learned)}\n")
        say(f"world in {self.world}; report.json and reconstructions.png in {self.world / 'training'}")
        say_next(["evolve", "--world", self.world], ["ppo", "--world", self.world])
