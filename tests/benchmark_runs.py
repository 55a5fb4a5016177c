"""What tests of the benchmarks share: their scripts run as a user runs them, and models are held against each other."""

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


def same(one, other):
    """Whether two models have the same weights, bit by bit."""
    weights = other.state_dict()
    return all(tensor.equal(weights[name]) for name, tensor in one.state_dict().items())
