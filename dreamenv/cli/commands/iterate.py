"""dreamenv iterate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.options import DEFAULT_KIND, Flat, Texts, read_recipe
from dreamenv.cli.output import say, say_next
from dreamenv.rounds.iterate import IterateConfig


@dataclass(frozen=True)
class Iterate:
    """Collect, train, dream and compare in rounds; the agent of a round collects for the next.

    Attributes:
        env: Gymnasium id of the real environment; module:id for one that a module registers.
        world: Folder for the world; holds the round that was best in reality.
        env_kwargs: Arguments of the environment, key=value; values are JSON, else strings.
        wrappers: Functions or classes that wrap the environment, module:name.
        kind: Kind of world model: mdnrnn is V and M, rssm a recurrent state-space model. The settings --train
            below are those of this kind.
        config: Settings; ``train`` holds those of the kind.
    """

    env: str
    world: Path
    env_kwargs: Texts = ()
    wrappers: Texts = ()
    kind: str = DEFAULT_KIND
    config: Annotated[IterateConfig, Flat] = IterateConfig()

    def run(self) -> None:
        """Runs the rounds, plots them and prints their table."""
        from dreamenv.evaluate.plots import plot_rounds
        from dreamenv.evaluate.rounds import best_round
        from dreamenv.evaluate.tables import rounds_table
        from dreamenv.rounds.iterate import iterate

        rounds = iterate(read_recipe(self.env, self.env_kwargs, self.wrappers), self.world, self.config)
        plot_rounds(rounds, self.world / "rounds.png")
        agent, best = self.world / "agents" / self.config.agent_name, best_round(rounds)
        say(f"\n{rounds_table(rounds)}\n")
        say(f"world of round {best.number} in {self.world}, its agent in {agent}; rounds.png in {self.world}")
        say_next(["compare", "--world", self.world, "--agent", agent])
