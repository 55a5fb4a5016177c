"""What tests of benchmarks and experiments share: how they are run, and whether two models are the same."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import torch

from experiments.__main__ import main

ROOT = Path(__file__).parents[1]


def run_benchmark(name, settings, cwd=None):
    """What ``python -m benchmarks.NAME SETTINGS`` prints, run in a folder, the repository's root by default."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"benchmarks.{name}", *shlex.split(settings)]
    made = subprocess.run(command, capture_output=True, text=True, cwd=cwd or ROOT, env=environment)
    assert made.returncode == 0, made.stderr
    return made.stdout


def run_experiment(capsys, name, settings):
    """What ``python -m experiments NAME SETTINGS`` prints, run in this process: one that is started takes seconds."""
    capsys.readouterr()
    main([name, *shlex.split(settings)])
    return capsys.readouterr().out


def where(number):
    """A job of a study: its number, its process, and the threads of this."""
    return number, os.getpid(), torch.get_num_threads()


def same(one, other):
    """Whether two models have the same weights, bit by bit."""
    weights = other.state_dict()
    return all(tensor.equal(weights[name]) for name, tensor in one.state_dict().items())
