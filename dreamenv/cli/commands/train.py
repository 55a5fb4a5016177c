"""dreamenv train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.options import DEFAULT_KIND, Flat
from dreamenv.cli.output import say, say_next
from dreamenv.training.kinds import WorldTraining
from dreamenv.training.mdnrnn import TrainConfig


@dataclass(frozen=True)
class Train:
    """Train a world model on the collected episodes, and report on held-out ones.

    Attributes:
        world: Folder with the episodes; the world is written there.
        kind: Kind of world model: mdnrnn is V and M, rssm a recurrent state-space model; planet, dreamer-v1 and
            dreamer-v2 are rssm as published. The settings below are those of this kind.
        device: Where to train, as torch names it: cpu, cuda.
        config: Settings of the kind.
    """

    world: Path
    kind: str = DEFAULT_KIND
    device: str = "cpu"
    config: Annotated[WorldTraining, Flat] = TrainConfig()

    def run(self) -> None:
        """Trains and saves a world, and prints the report."""
        from dreamenv.data.store import EpisodeStore
        from dreamenv.reports.summary import report
        from dreamenv.reports.tables import report_text
        from dreamenv.training.world import train

        trained = train(self.world, self.config, device=self.device)
        result = report(trained, EpisodeStore(self.world / "episodes"), self.world / "training")
        say(f"{report_text(result)}\n")
        say(f"world in {self.world}; report.json and reconstructions.png in {self.world / 'training'}")
        say_next(["evolve", "--world", self.world], ["ppo", "--world", self.world])
