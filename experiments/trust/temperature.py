"""Does the temperature of the dream matter, or dropout in its stead? Agents scored where they trained and in reality.

World Models has this table for DoomTakeCover. Scores are on test seeds: nothing is chosen by them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dreamenv
from dreamenv.evaluate.scores import UniformPolicy
from experiments.runner import Study
from experiments.show import Layout, Row, cells, span
from experiments.worlds import real_scores, trained

SETTINGS: dict[str, dict[str, Any]] = {
    "0.1": {"temperature": 0.1},
    "0.5": {"temperature": 0.5},
    "1": {"temperature": 1.0},
    "1.15": {"temperature": 1.15},
    "1.3": {"temperature": 1.3},
    "0.1-1.3": {"temperature": (0.1, 1.3)},
    "0.1, dropout 0.1": {"temperature": 0.1, "dropout": 0.1},
    "1, dropout 0.1": {"temperature": 1.0, "dropout": 0.1},
}
PLACES = ("dream sampling", "test sampling", "test greedy")


@dataclass(frozen=True, kw_only=True)
class Temperature(Study):
    """What is measured."""

    root: Path = Path("runs/temperature")
    settings: tuple[str, ...] = tuple(SETTINGS)
    world: str = "sidewalk"
    episodes: int = 100
    ppo: dreamenv.PPOConfig = dreamenv.PPOConfig()

    depends = ("world", "episodes", "ppo")
    layout = Layout(
        name="temperature",
        keys={"setting": "temperature"},
        columns=cells(lambda scores: span([score["mean"] for score in scores]), PLACES),
        places={place: place for place in PLACES},
        labels=("temperature of training (and dropout)", "mean return"),
    )

    def make(self, setting: str, seed: int) -> Row:
        """Trains one agent and scores it."""
        ppo = replace(self.ppo, seed=seed, **SETTINGS[setting])
        return trained(dreamenv.load(self.world), self.folder(setting, seed), ppo, self.episodes, SETTINGS[setting])

    def report(self, rows: list[Row]) -> None:
        world = dreamenv.load(self.world)
        policy = UniformPolicy(world.config.action.space)
        random = real_scores(world, policy, self.episodes)["test sampling"]  # its draws depend on those before
        others = [{"setting": "random policy", "test sampling": random}]
        self.show(rows, others, ("random policy", random["mean"]), {"random": random, "rows": rows})
