"""Decisions per second of the Control suite's tasks on one core, with and without drawing their frames.

Run `python -m benchmarks.speed.dmc`; `--help` lists the settings. Rates are per second of the processor's time, which
other programs on the machine hardly change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from tabulate import tabulate

import dreamenv
from dreamenv.foundation.files import write_json
from dreamenv.worlds.dmc.tasks import TASKS


@dataclass(frozen=True)
class Settings:
    """What is timed.

    Attributes:
        tasks: Which of them.
        decisions: Decisions of every measurement.
        out: Takes all figures as JSON.
    """

    tasks: tuple[str, ...] = tuple(TASKS)
    decisions: int = 100
    out: Path = Path("runs/dmc_speed.json")


def rate(env: Any, act: Callable[[Any], Any], decisions: int) -> float:
    """Decisions per second of uniformly random actions; the first, which prepares the drawing, is not counted."""
    env.reset(seed=0)
    env.action_space.seed(0)
    act(env.action_space.sample())
    begin = time.process_time()
    for _ in range(decisions):
        act(env.action_space.sample())
    return decisions / (time.process_time() - begin)


def main(settings: Settings) -> None:
    """Times all tasks and prints the table."""
    rows = []
    for name in settings.tasks:
        env = dreamenv.make_real(f"dreamenv:{name}-v0").unwrapped
        drawn, blind = (rate(env, act, settings.decisions) for act in (env.step, env.advance))
        env.close()
        row = {"task": name, "steps": TASKS[name].action_repeat, "drawn": drawn, "not drawn": blind}
        rows.append(row | {"ms of a frame": 1000 / drawn - 1000 / blind})
    write_json(settings.out, rows)
    print(tabulate(rows, headers="keys", floatfmt=".0f", intfmt=","))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
