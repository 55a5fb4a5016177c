"""What moves the real score in DoomTakeCover: one change of data, V or M at a time, agents of short dreams in each.

Run `python -m benchmarks.takecover.ablation` (or `make takecover-ablation`) after `temperature.py`, whose world is the
unchanged one; it goes on where it was interrupted. A changed world keeps whatever of V and M comes before the change.
Temperature, the length of dreams and what the agent sees are settings of `temperature.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import torch
import tyro

import dreamenv
from benchmarks.study import Row, with_fresh_memory
from benchmarks.takecover import temperature
from dreamenv.files import write_json
from dreamenv.world import World
from dreamenv.worlds.takecover.presets import COLLECT, TRAIN

SETTING = "1.15, short dreams"


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
    keeps: Literal["", "V", "V and M"] = "V"


def changes_of(collect: dreamenv.CollectConfig, train: dreamenv.TrainConfig) -> dict[str, Change]:
    """All changes of a world that is made with these settings."""
    longer = replace(collect, exploration=replace(collect.exploration, hold=(20, 80, 160)))
    return {
        "a quarter of the frames": Change(train, replace(collect, frames=collect.frames // 4)),
        "actions held 1 to 20, 80 or 160 steps": Change(train, longer),
        "V: colours weigh alike": Change(replace(train, vision=replace(train.vision, rare_colours=False)), keeps=""),
        "deaths not calibrated": Change(replace(train, memory=replace(train.memory, calibrated=False))),
        "death where it is likelier than not": Change(replace(train, ending_rule="threshold"), keeps="V and M"),
    }


@dataclass(frozen=True)
class Ablation:
    """What is measured.

    Attributes:
        base: The unchanged world, of `temperature.py`.
        root: Takes everything.
        changes: Which of them; all by default.
        seeds: Of PPO, one agent each.
        episodes: Per score.
        processes: Jobs side by side, each on one core.
        collect: The real frames of the unchanged world.
        train: Its V and M.
        ppo: PPO in the dream.
    """

    base: Path = Path("runs/takecover")
    root: Path = Path("runs/takecover-ablation")
    changes: tuple[str, ...] = tuple(changes_of(COLLECT, TRAIN))
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    processes: int = 2
    collect: dreamenv.CollectConfig = COLLECT
    train: dreamenv.TrainConfig = TRAIN
    ppo: dreamenv.PPOConfig = temperature.PPO


def main(ablation: Ablation) -> None:
    jobs = [(ablation, change, seed) for seed in ablation.seeds for change in (None, *ablation.changes)]
    with get_context("spawn").Pool(ablation.processes) as pool:
        pool.starmap(make_world, [(ablation, change) for change in ablation.changes], chunksize=1)
        rows = pool.starmap(measure, jobs, chunksize=1)
    write_json(ablation.root / "ablation.json", rows)
    print(temperature.table(rows, blind=[]))
    blind = json.loads((ablation.base / "takecover.json").read_text())["blind"]
    temperature.plot(rows, blind, ablation.root / "ablation.png", "one change of the world")


def place(ablation: Ablation, change: str | None) -> Path:
    """The folder of a changed world, or of the unchanged one."""
    if change is None:
        return ablation.base
    return ablation.root / change.replace(":", "").replace(",", "").replace(" ", "-")


def make_world(ablation: Ablation, name: str) -> None:
    """Makes a changed world, unless that was done before."""
    torch.set_num_threads(1)
    folder, change = place(ablation, name), changes_of(ablation.collect, ablation.train)[name]
    if (folder / "manifest.json").exists():
        return
    if change.collect:
        dreamenv.collect(temperature.ENV, folder / "episodes", change.collect)
    episodes = (folder if change.collect else ablation.base) / "episodes"
    dreamenv.train(folder, kept(change), episodes=episodes, source=source_of(dreamenv.load(ablation.base), change))


def kept(change: Change) -> dreamenv.TrainConfig:
    """The settings of a training that leaves what a change keeps as it is."""
    vision, memory = change.train.vision, change.train.memory
    return replace(
        change.train,
        vision=replace(vision, fit=replace(vision.fit, steps=0)) if change.keeps else vision,
        memory=replace(memory, fit=replace(memory.fit, steps=0)) if change.keeps == "V and M" else memory,
    )


def source_of(base: World, change: Change) -> World | None:
    """What the training of a changed world begins with; M is a fresh one where it is not kept."""
    if not change.keeps:
        return None
    if change.keeps == "V and M":
        return base
    return with_fresh_memory(base, change.train.seed)


def measure(ablation: Ablation, change: str | None, seed: int) -> Row:
    """Trains one agent and scores it, unless that was done before."""
    study = temperature.Study(root=place(ablation, change), episodes=ablation.episodes, ppo=ablation.ppo)
    return temperature.measure(study, SETTING, seed) | {"setting": change or "as it is"}


if __name__ == "__main__":
    main(tyro.cli(Ablation))
