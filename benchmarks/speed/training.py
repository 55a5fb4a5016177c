"""Speed of training V and M, in bfloat16 autocast beside float32, and of the real environment seen through a world.

Run `python -m benchmarks.speed.training`; `--help` lists the settings. Collects some real frames first. All that is
compared takes turns in one run, one thread, seconds of processor time; the best turn counts. Reality is seen with two
threads as well, which are timed by the clock.
"""

from __future__ import annotations

import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from tabulate import tabulate

import dreamenv
from benchmarks.speed.dream import PRECISIONS, rates
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.foundation.files import write_json
from dreamenv.foundation.processor import keep_freed_memory
from dreamenv.real.make import make_real
from dreamenv.recordings import record
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import train_memory
from dreamenv.training.vision import train_vision

SAMPLERS = ("sample_frames", "_sample_batch")  # what waits for data


@dataclass(frozen=True)
class Settings:
    """What is timed.

    Attributes:
        world: A name or a folder.
        frames: Real frames to train on.
        steps: Gradient steps per turn.
        turns: Per measurement.
        seconds: Of a turn in the real environment.
        num_envs: Real environments side by side.
        out: Takes all figures as JSON.
    """

    world: str = "sidewalk"
    frames: int = 2_000
    steps: int = 6
    turns: int = 4
    seconds: float = 1.0
    num_envs: int = 8
    out: Path = Path("runs/training_speed.json")


Train = Callable[[FitConfig, Path], object]


def trainings(world: dreamenv.World, store: dreamenv.EpisodeStore) -> dict[str, tuple[Train, FitConfig]]:
    """How V and M are trained with given settings of the fit, and their default settings."""
    episodes = list(store)
    config = dreamenv.TrainConfig(
        vision=replace(dreamenv.TrainConfig().vision, model=world.config.model.vision),
        memory=replace(dreamenv.TrainConfig().memory, model=world.config.model.memory),
    )
    recordings = record(world.model, episodes, world.config)
    return {
        "V": (lambda fit, place: train_vision(episodes, replace(config.vision, fit=fit), place, 0), config.vision.fit),
        "M": (
            lambda fit, place: train_memory(recordings, world.config, replace(config.memory, fit=fit), place, 0),
            config.memory.fit,
        ),
    }


def seconds_per_step(train: Train, fit: FitConfig, steps: int) -> float:
    """Of processor time, without what a training costs before its first step."""

    def spent(count: int) -> float:
        with tempfile.TemporaryDirectory() as place:
            begin = time.process_time()
            train(replace(fit, steps=count), Path(place))
            return time.process_time() - begin

    return (spent(2 + steps) - spent(2)) / steps


def waiting(train: Train, fit: FitConfig, steps: int) -> float:
    """Share of a training's seconds in which it draws its batches."""
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as place:
        profile.runcall(train, replace(fit, steps=steps), Path(place))
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    inside = {name: cumulative for (_, _, name), (*_, cumulative, _) in found.items()}
    return sum(inside.get(name, 0.0) for name in SAMPLERS) / inside["fit"]


def training_rows(world: dreamenv.World, store: dreamenv.EpisodeStore, settings: Settings) -> list[dict[str, Any]]:
    rows = []
    for name, (train, fit) in trainings(world, store).items():
        best = dict.fromkeys(PRECISIONS, float("inf"))
        for _ in range(settings.turns):
            for precision in PRECISIONS:
                found = seconds_per_step(train, replace(fit, precision=precision), settings.steps)
                best[precision] = min(best[precision], found)
        row = {"model": name, **{f"s a step, {precision}": best[precision] for precision in PRECISIONS}}
        faster, share = best["float32"] / best[PRECISIONS[-1]], waiting(train, fit, 2 * settings.steps)
        rows.append({**row, "times faster": faster, "share waiting for data": share})
    return rows


def stepping(env: VectorEnv) -> Callable[[], object]:
    """One step of real environments with random actions."""
    env.action_space.seed(0)
    env.reset(seed=0)
    return lambda: env.step(env.action_space.sample())


def reality(world: dreamenv.World, settings: Settings) -> list[dict[str, Any]]:
    """Steps per second of the real environment as it is, and seen through the world with one thread and with two."""
    env_id, count = world.config.env_id, settings.num_envs
    envs = {
        "bare": SyncVectorEnv([lambda: make_real(env_id)] * count, autoreset_mode=AutoresetMode.NEXT_STEP),
        **{f"seen in {dtype}": make_latent_vector(world, count, dtype=dtype) for dtype in PRECISIONS},
    }
    rows = []
    for threads, clock in ((1, time.process_time), (2, time.perf_counter)):
        torch.set_num_threads(threads)
        found = rates({name: stepping(env) for name, env in envs.items()}, settings.turns, settings.seconds, clock)
        rows += [
            {"threads": threads, "reality": name, "steps/s": rate * count, "share": rate / found["bare"]}
            for name, rate in found.items()
        ]
    torch.set_num_threads(1)
    for env in envs.values():
        env.close()
    return rows


def main(settings: Settings) -> None:
    """Prints tables, and writes JSON."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    world = dreamenv.load(settings.world)
    with tempfile.TemporaryDirectory() as place:
        store = dreamenv.collect(
            world.config.env_id, Path(place) / "episodes", dreamenv.CollectConfig(settings.frames, shard_episodes=8)
        )
        rows = training_rows(world, store, settings)
    print(tabulate(rows, headers="keys", floatfmt=".3f"))
    print("targets: V 1.3 times faster, M 1.8 times")
    if "bfloat16" not in PRECISIONS:
        print("no bfloat16: this processor is faster in float32")
    real = reality(world, settings)
    print(tabulate(real, headers="keys", floatfmt=".2f"))
    print("target of the share: 0.75")
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(settings.out, {"training": rows, "reality": real})


if __name__ == "__main__":
    main(tyro.cli(Settings))
