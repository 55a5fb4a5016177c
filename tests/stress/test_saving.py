"""Saves that are killed or that the disk refuses: the old content or the new one, and never a false success."""

import errno
import random
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from killing import DONE, REFUSED, count_calls, dying, failing, run_in_child, with_short_writes
from torch import nn

from dreamenv.agents.linear import LinearAgent, save_linear
from dreamenv.agents.load import load_agent
from dreamenv.bundle import load, save
from dreamenv.data.episodes import Episode
from dreamenv.data.store import EpisodeStore
from dreamenv.foundation.files import TEMPORARY_PREFIX, write_json
from dreamenv.foundation.manifest import NEXT
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.spec import StoreSpec
from dreamenv.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint

ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT)
SPEC = StoreSpec("Any-v0", (4, 6, 3), ActionSpec(n=3))


class Worlds:
    """A world that replaces another one."""

    name = "world"
    tidies_up = True

    def __init__(self, world):
        moved = replace(world.bank.first, mean=world.bank.first.mean + 1.0)
        self.versions = [world, replace(world, bank=replace(world.bank, first=moved))]

    def save(self, folder, version):
        save(self.versions[version], folder)

    def read(self, folder):
        mean = load(folder).bank.first.mean
        return [torch.allclose(mean, world.bank.first.mean, atol=0.01) for world in self.versions].index(True)


class Agents:
    """An agent that replaces another one."""

    name = "agent"
    tidies_up = True

    def __init__(self, world):
        self.world = world

    def save(self, folder, version):
        action, size = self.world.config.action, self.world.feature_size
        weight = np.full((action.size, size), version, np.float32)
        save_linear(LinearAgent(weight, weight[:, 0], action), folder, self.world)

    def read(self, folder):
        return int(load_agent(folder).weight[0, 0])


class Checkpoints:
    """A checkpoint after another one."""

    name = "checkpoint"
    tidies_up = True

    def __init__(self, world):
        self.model = nn.Linear(40, 40)
        self.optimizer = torch.optim.AdamW(self.model.parameters())

    def save(self, folder, version):
        nn.init.constant_(self.model.weight, version)
        save_checkpoint(folder, self.model, self.optimizer, "run", 10 + version)

    def read(self, folder):
        step = load_checkpoint(folder, self.model, self.optimizer, "run")
        assert len(checkpoints(folder)) <= 2
        assert (self.model.weight == step - 10).all()
        return step - 10


class Stores:
    """A shard after another one."""

    name = "shard"
    tidies_up = True

    def __init__(self, world):
        pass

    def save(self, folder, version):
        frames = np.full((4, 4, 6, 3), version, np.uint8)
        episode = Episode(frames, np.zeros(3, np.int64), np.zeros(3, np.float32), True, False, version, "any")
        store = EpisodeStore.create(folder, SPEC)
        store.append([episode])
        store.close()

    def read(self, folder):
        found = list(EpisodeStore(folder))
        for version, episode in enumerate(found):
            assert (episode.observations == version).all()
        return len(found) - 1


class Records:
    """A JSON file that replaces another one."""

    name = "record"
    tidies_up = False

    def __init__(self, world):
        pass

    def save(self, folder, version):
        write_json(folder / "record.json", {"version": version})

    def read(self, folder):
        text = (folder / "record.json").read_text()
        return [f'{{\n  "version": {version}\n}}\n' for version in range(2)].index(text)


@pytest.fixture(params=[Worlds, Agents, Checkpoints, Stores, Records], ids=lambda kind: kind.name)
def subject(request, continuous_world):
    return request.param(continuous_world)


@pytest.fixture
def saved(subject, tmp_path):
    """``saved()``: a fresh folder with version 0."""
    folder = tmp_path / "saved"

    def make():
        shutil.rmtree(folder, ignore_errors=True)
        subject.save(folder, 0)
        return folder

    return make


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith((TEMPORARY_PREFIX, NEXT))]


@pytest.mark.timeout(900)
def test_a_save_can_be_killed_before_and_after_every_call(subject, saved, cases, figure):
    folder, found = saved(), []
    moments = 2 * count_calls(lambda: subject.save(folder, 1))
    for moment in range(0, moments, cases(5, 1)):
        folder = saved()
        outcome = run_in_child(dying(lambda folder=folder: subject.save(folder, 1), moment))
        assert outcome in (DONE, signal.SIGKILL), f"moment {moment}"
        found.append(subject.read(folder))
        if found[-1] == 0:  # whatever was left, the next save succeeds
            subject.save(folder, 1)
        assert subject.read(folder) == 1
        assert leftovers(folder) == [] or found[-1] == 1 or not subject.tidies_up

    figure(f"{subject.name}: killed before and after every file-system call", f"{len(found)} kills, 0 lost", "0 lost")
    assert moments >= 16
    assert found == sorted(found) and {*found} == {0, 1}, found


@pytest.mark.timeout(900)
def test_a_save_that_the_disk_refuses_says_so_and_spoils_nothing(subject, saved, cases, figure):
    folder, refused = saved(), 0
    calls = count_calls(lambda: subject.save(folder, 1))
    for error in ERRORS[: cases(1, 4)]:
        for number in range(0, calls, cases(2, 1)):
            folder = saved()
            outcome = run_in_child(failing(lambda folder=folder: subject.save(folder, 1), number, error))
            assert outcome in (DONE, REFUSED), f"call {number}, error {error}"
            found = subject.read(folder)
            assert outcome == REFUSED or found == 1, f"a false success: call {number}, error {error}"
            refused += outcome == REFUSED

    figure(f"{subject.name}: every file-system call refused", f"{refused} errors, 0 lost, 0 false successes", "0 and 0")
    assert refused > 1


@pytest.mark.timeout(900)
def test_a_disk_that_is_full_is_an_error_and_the_previous_content_stays(subject, saved, cases, figure):
    size = max(path.stat().st_size for path in saved().rglob("*") if path.is_file())
    generator = random.Random(0)
    tried = cases(4, 40)
    for _ in range(tried):
        limit, folder = generator.randrange(size), saved()
        outcome = run_in_child(with_short_writes(lambda folder=folder: subject.save(folder, 1), limit))
        assert outcome == REFUSED, f"at most {limit} of {size} bytes"
        assert subject.read(folder) == 0, f"at most {limit} of {size} bytes"

    figure(f"{subject.name}: disk full", f"{tried} of {tried} refused, previous intact", "all")
