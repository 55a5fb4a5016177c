"""Processor time of imports, of the help page and of `gym.make`, each in fresh processes.

Run `OMP_NUM_THREADS=1 python -m benchmarks.speed.imports`. User and system time are counted; with more than one thread,
waiting threads of torch count, too.
"""

import resource
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate

RUNS = 5
COMMANDS = {
    "import torch, gymnasium": [sys.executable, "-c", "import torch, gymnasium"],
    "import dreamenv": [sys.executable, "-c", "import dreamenv"],
    "dreamenv --help": [str(Path(sys.executable).with_name("dreamenv")), "--help"],
    "gym.make": [sys.executable, "-c", "import torch, gymnasium as g; g.make('dreamenv:DreamSidewalk-v0')"],
}


def processor_seconds(command: list[str]) -> float:
    """User and system time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(runs: int = RUNS) -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            times[name].append(processor_seconds(command))
    rows = [(name, *(f"{value:.2f}" for value in sorted(found))) for name, found in times.items()]
    print(tabulate(rows, ("processor seconds, sorted", *range(1, runs + 1)), disable_numparse=True, tablefmt="github"))


if __name__ == "__main__":
    main()
