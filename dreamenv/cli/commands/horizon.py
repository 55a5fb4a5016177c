"""dreamenv horizon."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dreamenv.cli.inputs import agent_for, results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say
from dreamenv.evaluate.sight import HorizonConfig

if TYPE_CHECKING:
    from dreamenv.reports.horizon import OpenLoop
    from dreamenv.world import World


@dataclass(frozen=True)
class Horizon:
    """Show from which horizon on a dream fails: real frames seen rarely, and open-loop predictions.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk. Open-loop predictions need the
            folder's episodes.
        agent: Folder of an agent, or the name of one that ships, such as sidewalk/linear.
        out: Folder for the results; horizon/AGENT in the world's folder by default.
        config: Settings.
    """

    world: str
    agent: str
    out: Path | None = None
    config: Annotated[HorizonConfig, Flat] = HorizonConfig()

    def run(self) -> None:
        """Measures both, and writes numbers and a plot."""
        from dreamenv.bundle import load
        from dreamenv.evaluate.sight import score_by_sight
        from dreamenv.evaluate.tables import scores_table
        from dreamenv.foundation.files import write_json
        from dreamenv.reports.plots import plot_horizons

        world, home = load(self.world), results_home(self.world)
        agent, folder = agent_for(world, self.agent), self.out or home / "horizon" / Path(self.agent).name
        loops = self._open_loops(world, home / "episodes")
        sight = score_by_sight(world, agent, self.config)
        scores = {str(every): asdict(score) for every, score in sight.items()}
        write_json(folder / "horizon.json", {"sight": scores, "open_loop": [asdict(loop) for loop in loops]})
        plot_horizons(sight, loops, folder / "horizon.png")
        say(f"\n{scores_table(sight.values())}\n")
        say(f"horizon.json and horizon.png in {folder}")

    def _open_loops(self, world: World, folder: Path) -> tuple[OpenLoop, ...]:
        """Predicts the held-out episodes in a folder and prints the errors; empty without episodes."""
        from dreamenv.data.store import EpisodeStore
        from dreamenv.recordings import record
        from dreamenv.reports.horizon import open_loop
        from dreamenv.reports.tables import open_loop_table

        if not folder.is_dir():
            say(f"no open-loop predictions: there are no recorded episodes in {folder}")
            return ()
        _, held_out = EpisodeStore(folder).split()
        loops = open_loop(world, world.follow(record(world.model, held_out, world.config), seed=None), self.config)
        say(f"{open_loop_table(loops)}\n")
        return loops
