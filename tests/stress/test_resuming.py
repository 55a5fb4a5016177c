"""Trainings that are interrupted by any signal at any time end bitwise where uninterrupted ones do."""

import dataclasses
import hashlib
import random
import signal
import time

import pytest
import torch
from dot_settings import DOT_EVOLVE, DOT_TRAIN
from killing import DONE, FAILED, run_in_child
from torch import nn

import dreamenv
from dreamenv.recordings import record
from dreamenv.reports.logs import read_curves
from dreamenv.training import fit as module
from dreamenv.training.checkpoint import checkpoints, fingerprint_of, load_checkpoint
from dreamenv.training.fit import FitConfig, fit
from dreamenv.training.memory import train_memory
from dreamenv.training.vision import train_vision

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
STEPS, GENERATIONS = 25, 5


@pytest.fixture(autouse=True)
def checkpoints_after_every_step(monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture
def training(request, dot_folder, dot_world):
    """One of the trainings of a world and its agent, as a function of the folder."""
    episodes = dreamenv.EpisodeStore(dot_folder / "episodes").split()[0]

    def short(settings):
        return dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, steps=STEPS))

    if request.param == "V":
        return lambda folder: train_vision(episodes, short(DOT_TRAIN.vision), folder, "data")
    if request.param == "M":
        recordings = record(dot_world.model, episodes, dot_world.config)
        return lambda folder: train_memory(recordings, dot_world.config, short(DOT_TRAIN.memory), folder, "data")
    config = dataclasses.replace(DOT_EVOLVE, generations=GENERATIONS, evaluation_every=2)
    return lambda folder: dreamenv.evolve(dot_world, folder, config)


def digests(folder):
    """SHA-256 of everything a training leaves; a checkpoint has the weights, the optimizer's state and the step."""
    paths = [path for path in folder.iterdir() if "tfevents" not in path.name]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("training", ["V", "M", "CMA-ES"], indirect=True)
def test_an_interrupted_training_leaves_the_same_bits(training, tmp_path, cases, figure, request):
    begin = time.monotonic()
    assert run_in_child(lambda: training(tmp_path / "whole")) == DONE
    duration = time.monotonic() - begin
    whole, curves = digests(tmp_path / "whole"), read_curves(tmp_path / "whole")
    generator, wanted, interrupted, runs = random.Random(1), cases(4, 50), 0, 0
    while interrupted < wanted:
        folder, outcome = tmp_path / f"interrupted-{runs}", None
        while outcome != DONE:
            delay = generator.uniform(0, 0.7 * duration) if interrupted < wanted else None
            outcome = run_in_child(lambda folder=folder: training(folder), delay, SIGNALS[interrupted % 3])
            assert outcome != FAILED
            interrupted += outcome != DONE
        assert digests(folder) == whole, f"run {runs}"
        assert read_curves(folder) == curves, f"run {runs}"
        runs += 1

    what = request.node.callspec.params["training"]
    figure(f"{what}: interruptions by SIGINT, SIGTERM, SIGKILL; bits that differ", f"{interrupted}; 0", "50; 0")
    assert len(curves) >= 3 and whole


@pytest.mark.timeout(1800)
def test_a_training_killed_at_any_moment_leaves_one_of_the_two_newest_checkpoints(tmp_path, cases, figure):
    """Every step's weights are known, so what is loaded is whole, and no older than what was loaded before."""
    steps = 200
    config = FitConfig(steps=steps, learning_rate=0.01, precision="float32")
    known, generator = [], random.Random(2)

    def train(folder, seen=None):
        model = make_model()

        def loss(step, generator):
            if seen is not None:
                seen.append(model.weight.detach().clone())
            return (model(torch.randn(16, 40, generator=generator)) - 1.0).square().mean(), {}

        fit(model, loss, config, folder, "data")

    train(tmp_path / "whole", known)
    kills, done, number, wanted = 0, 0, 0, cases(30, 1000)
    while kills < wanted:
        folder = tmp_path / str(number)
        outcome = run_in_child(lambda folder=folder: train(folder), generator.uniform(0, 0.25))
        assert outcome in (DONE, -signal.SIGKILL)
        kills += outcome != DONE
        model = make_model()
        found = 0
        if paths := checkpoints(folder):
            found = load_checkpoint(folder, model, torch.optim.AdamW(model.parameters()), fingerprint_of(paths[0]))
        assert found >= done, f"kill {kills}"
        assert found == steps or torch.equal(model.weight, known[found]), f"kill {kills}"
        done, number = (0, number + 1) if outcome == DONE else (found, number)

    figure("SIGKILLs of a training; checkpoints that cannot be loaded", f"{kills:,}; 0", "1,000; 0")


def make_model():
    torch.manual_seed(0)
    return nn.Linear(40, 3)
