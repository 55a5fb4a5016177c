"""Runs the scripts of the benchmarks as a user does, in a process of its own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_benchmark(name, settings, cwd=None):
    """What ``python -m benchmarks.NAME SETTINGS`` prints, run in a folder, the repository's root by default."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"benchmarks.{name}", *shlex.split(settings)]
    made = subprocess.run(command, capture_output=True, text=True, cwd=cwd or ROOT, env=environment)
    assert made.returncode == 0, made.stderr
    return made.stdout
