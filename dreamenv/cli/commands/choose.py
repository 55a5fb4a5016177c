"""dreamenv choose."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.inputs import agent_for
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say, say_next
from dreamenv.evaluate.choose import ChooseConfig


@dataclass(frozen=True)
class Choose:
    """Try agents in reality, on validation seeds, and keep a copy of the best.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agents: Folders of agents of this world, or names of shipped ones, such as sidewalk/linear.
        keep: Folder for the copy.
        config: Settings.
    """

    world: str
    agents: tuple[str, ...]
    keep: Path
    config: Annotated[ChooseConfig, Flat] = ChooseConfig()

    def run(self) -> None:
        """Scores the agents, copies the best and prints all scores."""
        from dreamenv.agents.store import find_agent
        from dreamenv.bundle import copy_bundle, load
        from dreamenv.evaluate.choose import choose
        from dreamenv.evaluate.tables import scores_table
        from dreamenv.foundation.files import write_json

        world = load(self.world)
        scores = choose(world, {agent: agent_for(world, agent) for agent in self.agents}, self.config)
        best = next(iter(scores))
        copy_bundle(find_agent(best), self.keep)
        write_json(self.keep / "choice.json", {name: asdict(score) for name, score in scores.items()})
        say(f"\n{scores_table(scores.values())}\n")
        say(f"{best} copied to {self.keep}, all scores in {self.keep / 'choice.json'}")
        say_next(["compare", "--world", self.world, "--agent", self.keep])
