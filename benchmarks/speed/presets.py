"""Seconds of the processor that one update of every RSSM preset takes, beside its parameters and its batch.

Run `python -m benchmarks.speed.presets`; `--help` lists the settings. Collects some real frames first. The time of an
update is the difference between trainings of two lengths, divided by the difference of their steps; one thread.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from tabulate import tabulate

import dreamenv
from dreamenv.foundation.files import write_json
from dreamenv.foundation.processor import keep_freed_memory
from dreamenv.training.presets import PRESETS
from dreamenv.training.rssm import STAGES, RSSMTraining


@dataclass(frozen=True)
class Settings:
    """What is timed.

    Attributes:
        env: The real environment.
        presets: Which of them.
        frames: Real frames to train on.
        steps: Updates in the longer training, beyond the one of the shorter.
        out: Takes all figures as JSON.
    """

    env: str = "MiniWorld-Sidewalk-v0"
    presets: tuple[str, ...] = ("rssm", *PRESETS)
    frames: int = 3_000
    steps: int = 2
    out: Path = Path("runs/presets_speed.json")


def only(settings: RSSMTraining, stage: str, steps: int) -> RSSMTraining:
    """The training with so many steps of one stage, and none of the others."""
    parts = {name: getattr(settings, name) for name in STAGES}
    fits = {name: replace(part.fit, steps=steps if name == stage else 0) for name, part in parts.items()}
    return replace(settings, branches=1, **{name: replace(part, fit=fits[name]) for name, part in parts.items()})


def seconds(settings: RSSMTraining, stage: str, steps: int, folder: Path, episodes: Path) -> float:
    """Processor seconds of an update of one stage."""
    taken = []
    for count in (1, 1 + steps):
        begin = time.process_time()
        dreamenv.train(folder / f"{count}", only(settings, stage, count), episodes=episodes)
        taken.append(time.process_time() - begin)
    return (taken[1] - taken[0]) / steps


def main(settings: Settings) -> None:
    """Times all presets and prints the table."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        episodes = Path(folder) / "episodes"
        dreamenv.collect(settings.env, episodes, dreamenv.CollectConfig(frames=settings.frames))
        for name in settings.presets:
            preset = PRESETS.get(name, RSSMTraining())
            for stage in STAGES:
                part = getattr(preset, stage)
                if part.fit.steps:
                    place = Path(folder) / name / stage
                    taken = seconds(preset, stage, settings.steps, place, episodes)
                    size = sum(p.numel() for p in dreamenv.load(place / "1").model.parameters())
                    batch = f"{part.batch_size} x {getattr(part, 'length', 1)}"
                    rows.append({"preset": name, "stage": stage, "parameters": size, "batch": batch, "seconds": taken})
    write_json(settings.out, rows)
    print(tabulate(rows, headers="keys", floatfmt=".2f", intfmt=","))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
