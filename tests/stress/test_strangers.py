"""Worlds from strangers are data: whatever they hold, they load and dream, or are refused with file and reason."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from mutations import VALUES, mutate

import dreamenv
from dreamenv import load_agent
from dreamenv.bundle import CARD, CONFIG, WEIGHTS, copy_bundle, load
from dreamenv.foundation.errors import BundleError, DreamenvError, UnsupportedEnvironmentError
from dreamenv.foundation.manifest import MANIFEST, read_files
from dreamenv.models.noise import Noise

SLOW = 2.0  # seconds of this process's own time


@pytest.fixture
def contents(continuous_world):
    """The files of a small world."""
    return read_files(continuous_world.path, ())


def put(folder, contents, manifest=None):
    """Writes files as they are; without a manifest, one that vouches for them."""
    folder.mkdir(exist_ok=True)
    if manifest is None:
        manifest = json.dumps({name: sha256(data).hexdigest() for name, data in contents.items()}).encode()
    for name, data in {**contents, MANIFEST: manifest}.items():
        (folder / name).unlink(missing_ok=True)  # some file systems flush a file that is overwritten, which takes long
        (folder / name).write_bytes(data)


@torch.no_grad()
def dream(world):
    """A few steps; what loads has to dream."""
    noise = Noise.draw(2, world.model.prior_noise, torch.Generator().manual_seed(0))
    state = world.sample_start(noise, branched=0.5)
    action = (
        torch.zeros(2, dtype=torch.int64) if world.config.action.discrete else torch.zeros(2, world.config.action.size)
    )
    for _ in range(2):
        state, transition = world.imagine(state, action, world.config.temperature, noise)
    assert torch.isfinite(world.features(state)).all() and torch.isfinite(transition.reward).all()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["world", "agent"])
def test_a_mutated_bundle_loads_or_is_refused(contents, dot_agent_folder, tmp_path, cases, figure, kind):
    wanted, refused, slowest, slow = cases(400, 50_000), 0, 0.0, []
    original = contents if kind == "world" else read_files(dot_agent_folder, ())
    for case in range(wanted):
        put(tmp_path, *mutate(original, random.Random(case)))
        begin = time.process_time()
        try:
            if kind == "world":
                dream(load(tmp_path))
            else:
                load_agent(tmp_path)
        except BundleError as error:
            assert str(tmp_path) in str(error) or kind == "agent", f"case {case}: {error}"
            refused += 1
        except BaseException as error:
            pytest.fail(f"case {case}: {error!r}")
        seconds = time.process_time() - begin
        slowest = max(slowest, seconds)
        slow += [case] * (seconds > SLOW)

    figure(f"mutated {kind}s; other errors or crashes", f"{wanted:,} ({refused:,} refused); 0", "100,000 in all; 0")
    figure(f"mutated {kind}s: longest load", f"{slowest:.2f} s", f"{SLOW:.0f} s")
    assert not slow
    assert 0.5 * wanted < refused < wanted


def peak_growth(function):
    """How far the memory of this process rises above what it had, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    before = int(status["VmRSS"].split()[0])
    function()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return (int(status["VmHWM"].split()[0]) - before) / 1024


def measure_memory(folder, count):
    """MiB that a good load of the shipped world takes, and the worst of ``count`` mutated ones, in a fresh process."""
    original = read_files(dreamenv.load("sidewalk").path, ())
    put(folder, original)
    good, worst = peak_growth(lambda: load(folder)), 0.0
    for case in range(count):
        put(folder, *mutate(original, random.Random(case)))
        worst = max(worst, peak_growth(lambda: load_or_refuse(folder)))
    return good, worst


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
@pytest.mark.parametrize("name", ["temperature", "latent_size", "hidden_size"])
def test_no_wild_number_of_a_config_passes(contents, tmp_path, name, number):
    text, count = re.subn(rf'"{name}": [\d.]+', f'"{name}": {number}', contents["config.json"].decode())
    put(tmp_path, {**contents, "config.json": text.encode()})

    assert count == 1
    with pytest.raises(BundleError, match="config.json cannot be read"):
        load(tmp_path)


@pytest.mark.timeout(1800)
def test_no_mutation_takes_more_than_twice_the_memory_of_a_good_load(tmp_path, cases, figure):
    call = f"json.dumps(test_strangers.measure_memory(pathlib.Path({str(tmp_path)!r}), {cases(10, 500)}))"
    program = f"import json, pathlib, test_strangers; print({call})"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    good, worst = json.loads(found.stdout)

    figure("memory of a mutated load, by that of a good one", f"{worst:.0f} / {good:.0f} MiB", "at most 2")
    assert 5 < good
    assert worst <= 2 * good


def load_or_refuse(folder):
    try:
        load(folder)
    except BundleError:
        pass


def test_no_single_flipped_bit_passes(contents, tmp_path, cases, figure):
    put(tmp_path, contents)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    generator, wanted = random.Random(0), cases(300, 10_000)
    for case in range(wanted):
        path = generator.choice(sorted(whole))
        data = bytearray(whole[path])
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        with pytest.raises(BundleError, match=str(tmp_path)):
            load(tmp_path)
            pytest.fail(f"case {case} passed: {path}")
        path.write_bytes(whole[path])

    figure("single flipped bits; loaded all the same", f"{wanted:,}; 0", "10,000; 0")
    assert load(tmp_path).config.env_id


class ImportWatch:
    """Notes every module that somebody asks for and that is not imported yet."""

    def __init__(self):
        self.asked = []

    def find_spec(self, name, path=None, target=None):
        self.asked.append(name)


NAMES = ("evil_module", "evil_module.part", "os", "subprocess", "antigravity", "this", "dot_env2", "a.b.c", "..", "")


@pytest.mark.filterwarnings("ignore")
def test_hostile_configs_import_nothing(contents, dot_agent_folder, tmp_path, monkeypatch, cases, figure):
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    agent, wanted, entered = read_files(dot_agent_folder, ()), cases(60, 500), 0
    for case in range(-20, wanted):  # the first ones import what any world needs
        if case == 0:
            monkeypatch.setattr(sys, "meta_path", [watch := ImportWatch(), *sys.meta_path])
        generator = random.Random(case)
        module = generator.choice(NAMES)
        bad = generator.choice((f"{module}:Env-v0", f"{module}.Env", f"__import__('{module}')", f"{module}:Env:Env"))
        config = json.loads(contents[CONFIG]) | {generator.choice(("env_id", "env_id", "vision", "kind")): bad}
        put(tmp_path / "world", contents | {CONFIG: json.dumps(config).encode()})
        config = json.loads(agent[CONFIG]) | {generator.choice(("env_id", "algorithm", "kind", "world")): bad}
        put(tmp_path / "agent", agent | {CONFIG: json.dumps(config).encode()})
        for enter in (
            lambda: dreamenv.DreamEnv(tmp_path / "world").reset(seed=0),
            lambda: gym.make("dreamenv:Latent-v0", world=str(tmp_path / "world")),
            lambda: load_agent(tmp_path / "agent"),
        ):
            try:
                enter()
                entered += 1
            except (DreamenvError, gym.error.Error):
                pass

    figure("hostile configs; modules asked for", f"{wanted}; {len(watch.asked)}", "500; 0")
    assert watch.asked == []
    assert not (tmp_path / "ran").exists()
    assert entered > 0.2 * wanted


OPENED: list[str] | None = None


def note_opened(event, arguments):
    paths = {"open": 1, "os.mkdir": 1, "os.remove": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2}
    if OPENED is not None and event in paths:
        OPENED.extend(str(path) for path in arguments[: paths[event]] if not isinstance(path, int))  # or a handle


sys.addaudithook(note_opened)


def unsafe_names(generator):
    """Names that lead elsewhere, are no files, or trouble some file system."""
    parts = (
        "..",
        ".",
        "",
        "~",
        "/",
        "\\",
        "x",
        "C:",
        "con",
        "a" * 300,
        "\u202e",
        "\ud800",
        "\x00",
        "*",
        "x.json",
        "|x",
    )
    ends = ("", "/etc/passwd", "x.json", "config.json", "world.safetensors", ".safetensors", "\x00.json", " .json")
    return "/".join(generator.choice(parts) for _ in range(generator.randrange(1, 4))) + generator.choice(ends)


def test_no_name_in_a_manifest_leaves_the_folder(contents, tmp_path, cases, figure):
    global OPENED
    wanted, inside = cases(60, 200), str(tmp_path / "in")
    (tmp_path / "in").mkdir()
    for name in ("x.json", "config.json", "world.safetensors"):
        (tmp_path / name).write_text("a secret")
    put(tmp_path / "in", contents)
    sums = json.loads((tmp_path / "in" / MANIFEST).read_text())
    for case in range(wanted):
        name = unsafe_names(random.Random(case))
        text = json.dumps({**sums, name: sums[CARD]})
        (tmp_path / "in" / MANIFEST).write_text(text)
        OPENED = []
        try:
            for act in (lambda: load(tmp_path / "in"), lambda: copy_bundle(tmp_path / "in", tmp_path / "in" / "copy")):
                with pytest.raises(BundleError):
                    act()
            outside = [path for path in OPENED if not path.startswith(inside)]
        finally:
            OPENED = None
        assert outside == [], f"case {case}: {name!r}"

    figure("unsafe names; files touched outside", f"{wanted}; 0", "200; 0")
    assert not (tmp_path / "in" / "copy").exists()


def link(folder, name):
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")


def pipe(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)


def device(folder, name):
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")


def directory(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()


def endless(folder, name):
    os.truncate(folder / name, 2**40)  # takes no room on the disk


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, CARD, MANIFEST])
@pytest.mark.parametrize("replace", [link, pipe, device, directory, endless], ids=lambda function: function.__name__)
def test_only_plain_files_are_read(contents, tmp_path, replace, name):
    put(tmp_path / "in", contents)
    replace(tmp_path / "in", name)

    with pytest.raises(BundleError, match=str(tmp_path / "in")):
        load(tmp_path / "in")


def test_deeply_nested_json_is_refused(contents, tmp_path):
    put(tmp_path, contents | {CONFIG: b'{"env_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"})

    with pytest.raises(BundleError, match=CONFIG):
        load(tmp_path)


def test_every_evil_value_is_refused_or_harmless_at_every_place_of_a_config(contents, tmp_path):
    config = json.loads(contents[CONFIG])
    for key in config:
        for value in VALUES:
            put(tmp_path, contents | {CONFIG: json.dumps(config | {key: value}).encode()})
            try:
                dream(load(tmp_path))
            except (BundleError, UnsupportedEnvironmentError):
                continue
            assert np.shape(value) == np.shape(config[key]) or value is None or not value, f"{key}: {value!r}"
    shutil.rmtree(tmp_path)
