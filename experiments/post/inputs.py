"""What must a controller see? [z, h] and its rivals, a hidden layer, a price of actions, an M that never learned.

Controllers are evolved in the dream of the shipped world. There are two controls for M. In the first, agents see the h
of an M that never learned, in the same dream. In the second, that M dreams as well, as after
`dreamenv train --memory.fit.steps 0`; its heads need some real episodes, given by `--episodes`. World Models compares
the first four on the car race. Scores are real ones, and never count the price.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dreamenv
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining
from experiments.post.random_features import with_random_features
from experiments.runner import Job, Study
from experiments.show import Layout, Row, cells, first, spread
from experiments.worlds import keeping, trained, with_fresh_memory

SETTINGS: dict[str, dict[str, Any]] = {
    "[z, h]": {},
    "[z]": {"inputs": ("z",)},
    "[z], 40 hidden units": {"inputs": ("z",), "hidden": 40},
    "[h]": {"inputs": ("h",)},
    "[z, c, h]": {"inputs": ("z", "c", "h")},
    "[z, h], 10 hidden units": {"hidden": 10},
    "[z, h], every action costs 0.001": {"action_penalty": 0.001},
    "[z, h of an untrained M]": {},
    "[z, h], dream of an untrained M": {},
}


@dataclass(frozen=True, kw_only=True)
class Inputs(Study):
    """What is measured.

    Attributes:
        episodes: Folder of collected episodes, for dreams of an untrained M; without them these are left out.
    """

    root: Path = Path("runs/inputs")
    settings: tuple[str, ...] = tuple(SETTINGS)
    world: str = "sidewalk"
    episodes: Path | None = None
    real_episodes: int = 100
    evolve: dreamenv.EvolveConfig = dreamenv.EvolveConfig(generations=50)  # as in `make demo`

    depends = ("world", "real_episodes", "evolve")
    layout = Layout(
        name="inputs",
        keys={"setting": "what C sees"},
        columns={
            **cells(first("{:,}"), ("parameters",)),
            **cells(spread, ("dream greedy", "test greedy", "test sampling", "validation greedy")),
        },
        places={"dream greedy": "dream, greedy", "test greedy": "real, greedy", "test sampling": "real, sampling"},
        labels=("what the controller sees", "mean return"),
    )

    def jobs(self) -> list[Job]:
        return [job for job in super().jobs() if self.episodes or "dream of" not in job[0]]

    def folder(self, setting: str, seed: int) -> Path:
        return self.root / f"{''.join(c if c.isalnum() else '-' for c in setting).strip('-')}-seed{seed}"

    def make(self, setting: str, seed: int) -> Row:
        """Evolves one controller and scores it."""
        folder, world = self.folder(setting, seed), dreamenv.load(self.world)
        if setting == "[z, h of an untrained M]":
            world = with_random_features(world, seed)
        elif setting == "[z, h], dream of an untrained M":
            vision, memory = (
                VisionTraining(model=world.config.model.vision),
                MemoryTraining(model=world.config.model.memory),
            )
            config = keeping(dreamenv.TrainConfig(vision=vision, memory=memory, seed=seed), "vision", "memory")
            source = with_fresh_memory(world, seed)
            world = dreamenv.train(folder / "world", config, episodes=self.episodes, source=source)
        evolve = replace(self.evolve, **SETTINGS[setting], seed=seed)
        found = trained(world, folder, evolve, self.real_episodes, {})
        return {"parameters": dreamenv.load_agent(folder).num_parameters, **found}
