"""dreamenv evolve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.agents.evolve import EvolveConfig
from dreamenv.cli.inputs import results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say, say_dreamed, say_next


@dataclass(frozen=True)
class Evolve:
    """Evolve a linear controller with CMA-ES in the dream.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder for the agent; agents/linear in the world's folder by default.
        device: Where to dream and train, as torch names it: cpu, cuda.
        config: Settings.
    """

    world: str
    agent: Path | None = None
    device: str = "cpu"
    config: Annotated[EvolveConfig, Flat] = EvolveConfig()

    def run(self) -> None:
        """Evolves and saves an agent, and prints its score in the dream."""
        from dreamenv.agents.evolve import evolve
        from dreamenv.bundle import load

        folder, world = self.agent or results_home(self.world) / "agents" / "linear", load(self.world, self.device)
        agent = evolve(world, folder, self.config)
        say(f"linear controller in {folder}")
        say_dreamed(world, agent, self.config.seed)
        say_next(["compare", "--world", self.world, "--agent", folder])
