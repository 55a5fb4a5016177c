"""dreamenv trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.inputs import agent_for, episodes_of, results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say
from dreamenv.verdict.trust import TrustConfig


@dataclass(frozen=True)
class Trust:
    """Say whether an agent's dream can be believed: green, amber, red, or that the records cannot tell, with reasons.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder of an agent, or the name of one that ships, such as sidewalk/linear.
        episodes: Folder of the recorded real episodes; episodes in the world's folder by default.
        out: Folder for the results; trust/AGENT in the world's folder by default.
        config: Settings.
    """

    world: str
    agent: str
    episodes: Path | None = None
    out: Path | None = None
    config: Annotated[TrustConfig, Flat] = TrustConfig()

    def run(self) -> None:
        """Measures the signs, and writes the verdict and a strip of the strangest moments."""
        from dreamenv.bundle import load
        from dreamenv.foundation.files import write_json
        from dreamenv.verdict.show import plot_strip, trust_facts, trust_table
        from dreamenv.verdict.trust import trust

        world, home = load(self.world), results_home(self.world)
        folder = self.out or home / "trust" / Path(self.agent).name
        episodes = episodes_of(world, self.episodes or home / "episodes")
        result = trust(world, agent_for(world, self.agent), episodes, self.config)
        write_json(folder / "trust.json", trust_facts(result))
        plot_strip(result.strip, folder / "strip.png")
        say(f"\n{trust_table(result)}\n")
        say(f"trust.json, and strip.png with the strangest moments, in {folder}")
