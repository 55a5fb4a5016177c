"""Reading random frames: the episode store's shards beside one uncompressed .npy file that is mapped into memory.

Run `python -m benchmarks.speed.frames_io`. Both are read right after they were written, so from the page cache: what is
compared is the work per frame, not the disk.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from dreamenv.data.episodes import Episode
from dreamenv.data.store import EpisodeStore
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.spec import StoreSpec

EPISODES, STEPS, SHAPE, SHARD = 128, 99, (60, 80, 3), 32
READS = 200_000


def make_episode(index: int) -> Episode:
    """An episode of noise: nothing in either format compresses it, so its content does not matter."""
    generator = np.random.default_rng(index)
    frames = generator.integers(256, size=(STEPS + 1, *SHAPE), dtype=np.uint8)
    zeros = np.zeros(STEPS, np.float32)
    return Episode(frames, np.zeros(STEPS, np.int64), zeros, True, False, seed=index, policy="noise")


def write_store(folder: Path, episodes: list[Episode]) -> None:
    store = EpisodeStore.create(folder, StoreSpec("Noise-v0", SHAPE, ActionSpec(n=3)))
    for first in range(0, len(episodes), SHARD):
        store.append(episodes[first : first + SHARD])


def frames_per_second(frames: list[np.ndarray], reads: int) -> float:
    """Copies frames at random positions of a list of (T, H, W, 3) arrays."""
    ends = np.cumsum([len(part) for part in frames])
    positions = np.random.default_rng(0).integers(ends[-1], size=reads)
    target = np.empty(SHAPE, np.uint8)
    begin = time.perf_counter()
    parts = np.searchsorted(ends, positions, side="right")
    for part, offset in zip(parts.tolist(), (positions - ends[parts]).tolist(), strict=True):
        target[:] = frames[part][offset]  # a negative offset counts from the end of its part
    return reads / (time.perf_counter() - begin)


def main(episodes: int = EPISODES, reads: int = READS) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name) / "episodes", Path(name) / "frames.npy"
        made = [make_episode(index) for index in range(episodes)]
        write_store(folder, made)
        np.save(file, np.concatenate([episode.observations for episode in made]))
        begin = time.perf_counter()
        store = EpisodeStore(folder)
        opening = time.perf_counter() - begin
        contents = {
            "store": [episode.observations for episode in store],
            "memory map": [np.load(file, mmap_mode="r").view(np.ndarray)],
        }
        sizes = {"store": sum(path.stat().st_size for path in folder.iterdir()), "memory map": file.stat().st_size}
        rows = [
            (kind, f"{frames_per_second(frames, reads):,.0f}", f"{sizes[kind] / store.num_frames:,.0f}")
            for kind, frames in contents.items()
        ]
        print(tabulate(rows, ("format", "random frames/s", "bytes/frame"), disable_numparse=True))
        print(f"opening the store, checksums of all {len(store.shard_names)} shards included: {opening * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
