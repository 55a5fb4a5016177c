"""Studies of what loops of `online.control` made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dreamenv
from experiments.runner import Study, slug
from experiments.worlds import identity


@dataclass(frozen=True, kw_only=True)
class Finished(Study):
    """What loops made, each with the seed of a row.

    Attributes:
        loops: Folder of `online.control`.
        loop: Whose world, agent and episodes.
    """

    loops: Path = Path("runs/control")
    loop: str = "Dreamer V2"
    real_episodes: int = 10

    def source(self, seed: int) -> Path:
        """Folder of the loop."""
        return self.loops / f"{slug(self.loop)}-seed{seed}"

    def own_agent(self, seed: int) -> dreamenv.Policy:
        """The loop's own agent."""
        (folder,) = (self.source(seed) / "agents").iterdir()
        return dreamenv.load_agent(folder)

    def made_with(self, setting: str, seed: int) -> dict[str, Any]:
        return {**self.options(*self.depends), "world": identity(self.source(seed))}
