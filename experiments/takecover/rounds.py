"""DoomTakeCover in rounds: agents of short dreams play the game, M learns what they met, and new agents dream.

Every round is judged on validation seeds. In the world of the best one more agents are trained, one for each seed; the
one with the best validation score is the result, and only its score on test seeds tells how good it is.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import dreamenv
from dreamenv.evaluate.plots import plot_rounds
from dreamenv.evaluate.tables import rounds_table
from dreamenv.worlds.takecover.presets import ITERATE
from experiments.runner import Job, Jobs, once
from experiments.show import Layout, Row, cells, first
from experiments.takecover.temperature import ENV
from experiments.worlds import trained

PLACES = ("dream greedy", "dream sampling", "validation greedy", "test greedy")


@dataclass(frozen=True, kw_only=True)
class Rounds(Jobs):
    """What is measured.

    Attributes:
        seeds: One agent each, in the world of the best round.
        rounds: The rounds.
    """

    root: Path = Path("runs/takecover-rounds")
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    rounds: dreamenv.IterateConfig = ITERATE

    layout = Layout(
        name="agents",
        keys={"seed": "seed"},
        columns=cells(first("{0[mean]:.0f} ({0[low]:.0f} to {0[high]:.0f})"), PLACES),
    )

    def prepare(self) -> None:
        rounds = dreamenv.iterate(ENV, self.root, self.rounds)
        plot_rounds(rounds, self.root / "rounds.png")
        print(f"{rounds_table(rounds)}\n")

    def jobs(self) -> list[Job]:
        return [(seed,) for seed in self.seeds]

    def measure(self, seed: int) -> Row:
        """Trains one agent in the world of the best round and scores it."""
        folder = self.root / "agents" / f"seed{seed}"

        def make() -> Row:
            ppo = replace(self.rounds.ppo, seed=seed)
            dream = {"temperature": ppo.temperature}
            found = trained(dreamenv.load(self.root), folder, ppo, self.episodes, dream, ways=("greedy",))
            return {"seed": seed, **found}

        return once(folder / "scores.json", make, **self.options("rounds", "episodes"))

    def report(self, rows: list[Row]) -> None:
        self.show(sorted(rows, key=lambda row: -row["validation greedy"]["mean"]))
