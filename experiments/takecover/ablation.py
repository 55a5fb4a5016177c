"""What moves the real score in DoomTakeCover: one change of data, V or M at a time, agents of short dreams in each.

Run it after `takecover.temperature`, whose world is the unchanged one. A changed world keeps whatever of V and M comes
before the change. Temperature, the length of dreams and what the agent sees are settings of `takecover.temperature`.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import dreamenv
from dreamenv.world import World
from dreamenv.worlds.takecover.presets import COLLECT, PPO, TRAIN
from experiments.runner import Job, Jobs, in_parallel, slug
from experiments.show import Row
from experiments.takecover.temperature import ENV, LAYOUT, Temperature, best_of
from experiments.worlds import keeping, with_fresh_memory

SETTING = "1.15, short dreams"
UNCHANGED = "as it is"


@dataclass(frozen=True)
class Change:
    """One change of a world.

    Attributes:
        train: How V and M are trained.
        collect: Other real frames; those of the unchanged world if None.
        keeps: What of the unchanged world stays as it is.
    """

    train: dreamenv.TrainConfig
    collect: dreamenv.CollectConfig | None = None
    keeps: tuple[Literal["vision", "memory"], ...] = ("vision",)

    def source(self, base: World) -> World | None:
        """What the training of a changed world begins with; M is a fresh one where it is not kept."""
        if not self.keeps:
            return None
        return base if "memory" in self.keeps else with_fresh_memory(base, self.train.seed)


def changes_of(collect: dreamenv.CollectConfig, train: dreamenv.TrainConfig) -> dict[str, Change]:
    """All changes of a world that is made with these settings."""
    longer = replace(collect, exploration=replace(collect.exploration, hold=(20, 80, 160)))
    uncalibrated = replace(train, memory=replace(train.memory, calibrated=False))
    alike = replace(train, vision=replace(train.vision, rare_colours=False))
    return {
        "a quarter of the frames": Change(train, replace(collect, frames=collect.frames // 4)),
        "actions held 1 to 20, 80 or 160 steps": Change(train, longer),
        "V: colours weigh alike": Change(alike, keeps=()),
        "deaths not calibrated": Change(uncalibrated),
        "death where it is likelier than not": Change(
            replace(train, ending_rule="threshold"), keeps=("vision", "memory")
        ),
    }


@dataclass(frozen=True, kw_only=True)
class Ablation(Jobs):
    """What is measured.

    Attributes:
        base: The unchanged world, of `takecover.temperature`.
    """

    root: Path = Path("runs/takecover-ablation")
    settings: tuple[str, ...] = tuple(changes_of(COLLECT, TRAIN))
    seeds: tuple[int, ...] = (0, 1, 2)
    base: Path = Path("runs/takecover")
    episodes: int = 100
    collect: dreamenv.CollectConfig = COLLECT
    train: dreamenv.TrainConfig = TRAIN
    ppo: dreamenv.PPOConfig = PPO
    layout = replace(LAYOUT, name="ablation", labels=("one change of the world", "steps survived"))

    def prepare(self) -> None:
        in_parallel(self.make_world, [(setting,) for setting in self.settings], self.processes)

    def jobs(self) -> list[Job]:
        return [(setting, seed) for seed in self.seeds for setting in (UNCHANGED, *self.settings)]

    def place(self, setting: str) -> Path:
        """The folder of a changed world, or of the unchanged one."""
        return self.base if setting == UNCHANGED else self.root / slug(setting)

    def make_world(self, setting: str) -> None:
        """Makes a changed world, unless that was done before."""
        folder, change = self.place(setting), changes_of(self.collect, self.train)[setting]
        if (folder / "manifest.json").exists():
            return
        if change.collect:
            dreamenv.collect(ENV, folder / "episodes", change.collect)
        episodes = (folder if change.collect else self.base) / "episodes"
        train = keeping(change.train, *change.keeps)
        dreamenv.train(folder, train, episodes=episodes, source=change.source(dreamenv.load(self.base)))

    def measure(self, setting: str, seed: int) -> Row:
        """Trains one agent of short dreams and scores it."""
        study = Temperature(root=self.place(setting), episodes=self.episodes, ppo=self.ppo)
        return study.measure(SETTING, seed) | {"setting": setting}

    def report(self, rows: list[Row]) -> None:
        blind = json.loads((self.base / "takecover.json").read_text())["blind"]
        self.show(rows, floor=best_of(blind))
