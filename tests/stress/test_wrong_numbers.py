"""Numbers that go wrong stop a training, by an error that names the place; what is on disk stays finite."""

import contextlib
import dataclasses
import json
import math
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import dreamenv
from dreamenv import DreamVectorEnv, EvolveConfig, PPOConfig, evolve, train_ppo
from dreamenv.agents import evolve as evolve_module
from dreamenv.agents import ppo as ppo_module
from dreamenv.agents.store import read_agent
from dreamenv.models.mdnrnn.vision import Vision, VisionConfig
from dreamenv.recordings import record
from dreamenv.training import fit as fit_module
from dreamenv.training import memory as memory_module
from dreamenv.training import vision as vision_module
from dreamenv.training.checkpoint import checkpoints
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining, train_memory
from dreamenv.training.vision import VisionTraining, train_vision

pytestmark = pytest.mark.timeout(900)

STEPS = 6
FIT = FitConfig(steps=STEPS, learning_rate=1e-3, precision="float32")
VISION = VisionTraining(VisionConfig((16, 32, 3), 8, (8, 16)), FIT, batch_size=8)
EVOLVE = EvolveConfig(generations=3, population=4, episodes=2, num_envs=8, evaluation_every=1, evaluation_episodes=4)
PPO = PPOConfig(timesteps=192, num_envs=4, n_steps=16, batch_size=32, n_epochs=2, net_arch=(16,))
BAD = (math.nan, math.inf, -math.inf)


@dataclasses.dataclass
class Fault:
    """One number that goes wrong: which place, at which step (or call), what it becomes."""

    place: str
    step: int
    value: float
    rng: np.random.Generator
    now: int = -1  # step (or call) that is under way

    def spoil(self, numbers):
        """A copy of an array or a tensor in which one number (all rewards) went wrong, if it is time."""
        if self.now != self.step:
            return numbers
        numbers = numbers.clone() if isinstance(numbers, torch.Tensor) else numbers.copy()
        where = np.unravel_index(self.rng.integers(math.prod(numbers.shape)), numbers.shape)
        numbers[... if self.place == "rewards" else where] = self.value
        return numbers

    def spoil_calls(self, monkeypatch, owner, name, pick):
        """Lets one call of a function return, or leave behind, a wrong number: ``pick(fault, result, arguments)``."""
        original = getattr(owner, name)

        def called(*args, **kwargs):
            self.now += 1
            return pick(self, original(*args, **kwargs), args)

        monkeypatch.setattr(owner, name, called)

    def spoil_optimizer(self, stack, part):
        """Lets a weight go wrong in one step of any optimizer, or a moment after it."""

        def spoil(optimizer, args, kwargs):
            self.now += 1
            weights = [p for group in optimizer.param_groups for p in group["params"]]
            chosen = weights[self.rng.integers(len(weights))]
            tensor = chosen.data if part == "weight" else optimizer.state[chosen]["exp_avg"]
            tensor.copy_(self.spoil(tensor))

        register = register_optimizer_step_pre_hook if part == "weight" else register_optimizer_step_post_hook
        stack.callback(register(spoil).remove)

    def spoil_gradient(self, stack, model):
        """Lets one gradient of the model go wrong; ``now`` is up to the caller."""
        weights = list(model.parameters())
        stack.callback(weights[self.rng.integers(len(weights))].register_hook(self.spoil).remove)


@contextlib.contextmanager
def fitting_with(fault, owner):
    """Trainings by :func:`fit`, called in the module ``owner``, go wrong at one place."""
    original = owner.fit
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.ExitStack() as stack:

        def spoiled_fit(model, loss, *args):
            if fault.place == "gradient":
                fault.spoil_gradient(stack, model)

            def spoiled_loss(step, generator):
                fault.now = step - (fault.place in ("weight", "moment"))  # which count on by themselves
                value, metrics = loss(step, generator)
                return (fault.spoil(value) if fault.place == "loss" else value), metrics

            return original(model, spoiled_loss, *args)

        monkeypatch.setattr(owner, "fit", spoiled_fit)
        if fault.place == "frames":
            to_pixels = Vision.to_pixels
            monkeypatch.setattr(Vision, "to_pixels", lambda self, frames: fault.spoil(to_pixels(self, frames)))
        if fault.place == "embeddings":
            draw = owner._sample_batch
            wrong = lambda batch: dataclasses.replace(batch, embedding=fault.spoil(batch.embedding))  # noqa: E731
            monkeypatch.setattr(owner, "_sample_batch", lambda *args: wrong(draw(*args)))
        if fault.place in ("weight", "moment"):
            fault.spoil_optimizer(stack, fault.place)
        yield


def finite_files(folder):
    """Steps of the newest checkpoint in a folder, 0 without one; everything in it is finite and loads."""
    for path in checkpoints(folder):
        assert all(tensor.isfinite().all() for tensor in safetensors.torch.load_file(path).values()), path
    return max((int(path.name.split("-")[1]) for path in checkpoints(folder)), default=0)


def complaint(run, folder, name, place=""):
    """Runs what must stop; the steps from where its error says that the same command goes on."""
    with pytest.raises(FloatingPointError) as caught:
        run(folder)
    text = str(caught.value)
    assert name in text and place in text, text
    return int(re.search(r"the same command goes on from (?:step|generation) (\d+)", text)[1])


def every(cases, rng_base, places, steps):
    """Faults, one after the other through all places, at random steps and with random values."""
    for case in range(cases):
        rng = np.random.default_rng(rng_base + case)
        place = places[case % len(places)]
        yield case, Fault(place, int(rng.integers(steps.get(place, steps[""]))), BAD[rng.integers(3)], rng)


@pytest.fixture(params=[0.0, 1e9], ids=["saved at every step", "saved at the end"])
def saved_every(request, monkeypatch):
    for module in (fit_module, ppo_module):
        monkeypatch.setattr(module, "CHECKPOINT_SECONDS", request.param)
    return request.param


@pytest.fixture(scope="module")
def episodes(dot_folder):
    return dreamenv.EpisodeStore(dot_folder / "episodes").split()[0][:20]


@pytest.fixture(scope="module")
def trainings(episodes, dot_world):
    """How V, V as a VAE-GAN and M are trained into a folder: the module with the call of ``fit``, and the call."""
    recordings = record(dot_world.model, episodes, dot_world.config)
    config = MemoryTraining(dot_world.config.model.memory, FIT, batch_size=4)
    gan = dataclasses.replace(VISION, adversarial=True)
    return {
        "vae": (vision_module, lambda folder: train_vision(episodes, VISION, folder, "data")),
        "gan": (vision_module, lambda folder: train_vision(episodes, gan, folder, "data")),
        "m": (memory_module, lambda folder: train_memory(recordings, dot_world.config, config, folder, "data")),
    }


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("model", ["vae", "gan", "m"])
def test_v_and_m_stop_and_go_on_as_if_nothing_had_been(model, trainings, saved_every, tmp_path, cases, figure):
    owner, train = trainings[model]
    reference = train(tmp_path / "whole")
    data = "embeddings" if model == "m" else "frames"
    found, total = [], cases(5, 30)
    for case, fault in every(total, 0, ["loss", "gradient", data, "weight", "moment"], {"": STEPS}):
        folder = tmp_path / f"{model}-{case}"
        try:
            with fitting_with(fault, owner):
                at_once = f"at step {fault.step}" if fault.place in ("loss", "gradient", data) else ""
                step = complaint(train, folder, folder.name, at_once)
            assert step == finite_files(folder) <= fault.step
            assert step == (0 if saved_every else fault.step)
            assert same(train(folder), reference)
        except (Exception, pytest.fail.Exception) as error:
            found.append((case, fault.place, fault.step, fault.value, repr(error)[:300]))
    saved = f"saved {'at the end' if saved_every else 'at every step'}"
    figure(
        f"{total} wrong numbers in {model}, {saved}: not stopped, not named, spoiled or not resumed exactly",
        len(found),
        0,
    )
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("value", BAD)
def test_a_wrong_reward_in_the_episodes_stops_m_before_its_first_step(trainings, dot_world, episodes, tmp_path, value):
    recordings = record(dot_world.model, episodes, dot_world.config)
    recordings[3].reward[-1] = value
    config = MemoryTraining(dot_world.config.model.memory, FIT)
    with pytest.raises(FloatingPointError, match=r"reward\.\w+ of memory is not finite after 0 steps"):
        train_memory(recordings, dot_world.config, config, tmp_path / "memory", "data")
    assert not checkpoints(tmp_path / "memory")


@contextlib.contextmanager
def dreaming_with(fault):
    """Dreams in which one number goes wrong: a fitness, a reward or all of a step, an advantage."""
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.ExitStack() as stack:
        if fault.place == "fitness":
            pick = lambda self, fitness, _: tuple(self.spoil(np.array(fitness)).tolist())  # noqa: E731
            fault.spoil_calls(monkeypatch, evolve_module, "_score", pick)
        if fault.place in ("reward", "rewards", "observation"):
            part = 0 if fault.place == "observation" else 1
            pick = lambda self, result, _: tuple(self.spoil(x) if i == part else x for i, x in enumerate(result))  # noqa: E731
            fault.spoil_calls(monkeypatch, DreamVectorEnv, "step", pick)
        if fault.place == "advantage":

            def pick(self, result, args):
                args[0].advantages = self.spoil(args[0].advantages)

            fault.spoil_calls(monkeypatch, RolloutBuffer, "compute_returns_and_advantage", pick)
        if fault.place in ("weight", "moment"):
            fault.spoil_optimizer(stack, fault.place)
        yield


def recorded(folder):
    """Generations that the record of an evolution has, all of them finite; 0 without one."""
    if not (folder / "evolution.json").exists():
        return 0
    record = json.loads((folder / "evolution.json").read_text())
    numbers = [*np.ravel(record["fitness"]), *record["sigma"], *record["evaluations"].values()]
    assert np.isfinite(numbers).all()
    assert all(tensor.isfinite().all() for tensor in read_agent(folder)[1].values())
    return len(record["fitness"])


def test_an_evolution_stops_and_goes_on_as_if_nothing_had_been(dot_world, tmp_path, cases, figure):
    evolve(dot_world, tmp_path / "whole", EVOLVE)
    expected = json.loads((tmp_path / "whole" / "evolution.json").read_text())
    found, total = [], cases(8, 60)
    for case, fault in every(total, 1000, ["fitness", "rewards"], {"": EVOLVE.generations, "rewards": 30}):
        folder = tmp_path / str(case)
        try:
            with dreaming_with(fault):
                generation = complaint(lambda folder: evolve(dot_world, folder, EVOLVE), folder, "of evolve")
            assert generation == recorded(folder)
            assert fault.place == "rewards" or generation == fault.step
            evolve(dot_world, folder, EVOLVE)
            assert json.loads((folder / "evolution.json").read_text()) == expected
        except (Exception, pytest.fail.Exception) as error:
            found.append((case, fault.place, fault.step, fault.value, repr(error)[:300]))
    figure(f"{total} wrong numbers in evolve: not stopped, not named, spoiled or not resumed exactly", len(found), 0)
    assert not found, "\n".join(map(str, found))


def test_ppo_stops_and_goes_on(dot_world, saved_every, tmp_path, cases, figure):
    updates = PPO.timesteps // (PPO.num_envs * PPO.n_steps)
    gradient_steps = updates * PPO.n_epochs * PPO.num_envs * PPO.n_steps // PPO.batch_size
    steps = {
        "": PPO.timesteps // PPO.num_envs,
        "advantage": updates,
        "weight": gradient_steps,
        "moment": gradient_steps,
    }
    found, total = [], cases(5, 30)
    for case, fault in every(total, 2000, ["reward", "observation", "advantage", "weight", "moment"], steps):
        folder = tmp_path / str(case)
        try:
            with dreaming_with(fault):
                step = complaint(lambda folder: train_ppo(dot_world, folder, PPO), folder, "of ppo")
            assert step == finite_files(folder)
            agent = train_ppo(dot_world, folder, PPO)
            assert all(tensor.isfinite().all() for tensor in agent.policy.state_dict().values())
            assert finite_files(folder) == PPO.timesteps
        except (Exception, pytest.fail.Exception) as error:
            found.append((case, fault.place, fault.step, fault.value, repr(error)[:300]))
    saved = f"saved {'at the end' if saved_every else 'at every update'}"
    figure(f"{total} wrong numbers in PPO, {saved}: not stopped, not named, spoiled or not resumed", len(found), 0)
    assert not found, "\n".join(map(str, found))
