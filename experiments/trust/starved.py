"""Worlds whose M learned from few frames: their dreams can be exploited. The V is that of a good world.

Then `trust.temperature --world FOLDER` trains agents in them, and `trust.zoo --worlds FOLDER ...` asks which signs tell
that their dreams lie.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

import dreamenv
from experiments.worlds import keeping, with_fresh_memory


@dataclass(frozen=True, kw_only=True)
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

    def run(self) -> None:
        torch.set_num_threads(1)
        for frames in self.frames:
            for seed in self.seeds:
                self.make(frames, seed)

    def make(self, frames: int, seed: int) -> None:
        """Collects few frames and trains an M on them, unless that was done before."""
        folder, world = self.root / f"{frames}-seed{seed}", dreamenv.load(self.world)
        few = dreamenv.CollectConfig(frames=frames, shard_episodes=8, seed=seed)
        store = dreamenv.collect(world.config.env_id, folder / "episodes", few)
        print(f"{folder}: {store.num_frames:,} frames in {len(store)} episodes")
        train = replace(keeping(self.train, "vision"), seed=seed)
        dreamenv.train(folder, train, source=with_fresh_memory(world, seed))
