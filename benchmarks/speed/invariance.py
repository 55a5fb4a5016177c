"""Does a batch-invariant dream give the same bits in every batch? Counts the values that differ; all should be 0.

Run `python -m benchmarks.speed.invariance`; `--help` lists the settings. Batches of several sizes are compared with
single dreams, and the three autoreset modes with Gymnasium's `SyncVectorEnv` of single dreams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from tabulate import tabulate
from tqdm import trange

import dreamenv


@dataclass(frozen=True)
class Settings:
    """What is compared.

    Attributes:
        world: A name or a folder.
        sizes: Dreams in a batch; every row is compared with a single dream.
        steps: Of these comparisons.
        modes_steps: Of the comparisons with `SyncVectorEnv`, of three dreams.
        dtype: Of the matrix products.
    """

    world: str = "sidewalk"
    sizes: tuple[int, ...] = (1, 2, 3, 7, 32, 257)
    steps: int = 1_000
    modes_steps: int = 10_000
    dtype: str = "float32"


def differing(one: Any, other: Any) -> int:
    """How many numbers of two arrays have other bits; all, if their shapes or types are not the same."""
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape or first.dtype != second.dtype:
        return max(first.size, second.size)
    return int((first.view(np.uint8) != second.view(np.uint8)).reshape(first.size, -1).any(1).sum())


def advance(env: VectorEnv, action: Any) -> list[Any]:
    """A step, and a reset of the environments that are done where they do not reset themselves."""
    result = env.step(action)
    done = result[2] | result[3]
    parts: list[Any] = [*result[:4], result[4]["temperature"]]
    if env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP and done.any():
        parts += [row for row in result[4]["final_obs"] if row is not None]
    if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and done.any():
        parts.append(env.reset(options={"reset_mask": done.copy()})[0])
    return parts


@dataclass(frozen=True)
class Recorded:
    """Single dreams side by side: (steps, N) actions and, after every one, (steps, N, ...) results of `step`."""

    actions: NDArray
    results: tuple[NDArray, ...]


def dreams(world: dreamenv.World, num_envs: int, settings: Settings) -> dreamenv.DreamVectorEnv:
    kwargs: dict[str, Any] = {"dtype": settings.dtype, "batch_invariant": True, "branched_starts": 0.3}
    return dreamenv.DreamVectorEnv(world, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs)


def record(world: dreamenv.World, settings: Settings) -> Recorded:
    """Single dreams, one after the other, as many as the largest batch has rows."""
    shape = (settings.steps, max(settings.sizes))
    actions = np.random.default_rng(0).integers(world.config.action.n, size=shape)
    results = (
        np.zeros((*shape, world.feature_size), np.float32),
        np.zeros(shape),
        np.zeros(shape, bool),
        np.zeros(shape, bool),
    )
    for row in trange(shape[1], desc="singles", unit="dream"):
        env = dreams(world, 1, settings)
        env.reset(seed=row)
        for step, action in enumerate(actions[:, row : row + 1]):
            for place, value in zip(results, env.step(action), strict=False):
                place[step, row] = value[0]
    return Recorded(actions, results)


def by_size(world: dreamenv.World, settings: Settings, num_envs: int, recorded: Recorded) -> int:
    """Compares a batch with the recorded steps of single dreams with the same seeds."""
    env, found = dreams(world, num_envs, settings), 0
    env.reset(seed=0)
    for step, action in enumerate(recorded.actions[:, :num_envs]):
        for expected, value in zip(recorded.results, env.step(action), strict=False):
            found += differing(value, expected[step, :num_envs])
    return found


def by_mode(world: dreamenv.World, settings: Settings, mode: AutoresetMode) -> tuple[int, int]:
    """Compares three dreams with Gymnasium's vector of single ones: differing values, and episodes that ended."""
    kwargs: dict[str, Any] = {"dtype": settings.dtype, "batch_invariant": True}
    batch = dreamenv.DreamVectorEnv(world, 3, autoreset_mode=mode, **kwargs)
    singles = SyncVectorEnv([lambda: dreamenv.DreamEnv(world, **kwargs)] * 3, autoreset_mode=mode)
    found, ends = differing(batch.reset(seed=0)[0], singles.reset(seed=0)[0]), 0
    actions: gym.Space = batch.action_space
    actions.seed(0)
    for _ in trange(settings.modes_steps, desc=mode.value, unit="step"):
        action = actions.sample()
        mine, theirs = advance(batch, action), advance(singles, action)
        ends += int((mine[2] | mine[3]).sum())
        found += sum(differing(one, other) for one, other in zip(mine, theirs, strict=True))
    return found, ends


def main(settings: Settings) -> None:
    """Prints tables."""
    torch.set_num_threads(1)
    world = dreamenv.load(settings.world)
    recorded = record(world, settings)
    sizes = [(num_envs, settings.steps, by_size(world, settings, num_envs, recorded)) for num_envs in settings.sizes]
    print(tabulate(sizes, ("dreams", "steps", "values that differ from singles"), intfmt=","))
    modes = [(mode.value, settings.modes_steps, *by_mode(world, settings, mode)) for mode in AutoresetMode]
    print(tabulate(modes, ("autoreset mode", "steps", "values that differ", "episodes ended"), intfmt=","))


if __name__ == "__main__":
    main(tyro.cli(Settings))
