"""Worlds whose M learned from few frames: their dreams can be exploited. The V is that of a good world.

Run `python -m benchmarks.trust.starved`; it goes on where it was interrupted. Then `temperature.py --world FOLDER`
trains agents in them, and `zoo.py --worlds FOLDER ...` asks which signs tell that their dreams lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

import dreamenv
from benchmarks.study import ENV, with_fresh_memory


@dataclass(frozen=True)
class Starved:
    """What is made.

    Attributes:
        world: Whose V it is: a folder, or the name of a shipped world.
        root: Takes a folder for each world, FRAMES-seedSEED.
        frames: That an M learns from, at least; episodes are finished.
        seeds: Of collecting and of M.
        train: M; V is there.
    """

    world: str = "sidewalk"
    root: Path = Path("runs/starved")
    frames: tuple[int, ...] = (5_000, 10_000)
    seeds: tuple[int, ...] = (0,)
    train: dreamenv.TrainConfig = dreamenv.TrainConfig()


def main(config: Starved) -> None:
    torch.set_num_threads(1)
    for frames in config.frames:
        for seed in config.seeds:
            make(config, frames, seed)


def make(config: Starved, frames: int, seed: int) -> dreamenv.World:
    """Collects few frames and trains an M on them, unless that was done before."""
    folder = config.root / f"{frames}-seed{seed}"
    few = dreamenv.CollectConfig(frames=frames, shard_episodes=8, seed=seed)
    store = dreamenv.collect(ENV, folder / "episodes", few)
    print(f"{folder}: {store.num_frames:,} frames in {len(store)} episodes")
    vision = replace(config.train.vision, fit=replace(config.train.vision.fit, steps=0))
    source = with_fresh_memory(dreamenv.load(config.world), seed)
    return dreamenv.train(folder, replace(config.train, vision=vision, seed=seed), source=source)


if __name__ == "__main__":
    main(tyro.cli(Starved))
