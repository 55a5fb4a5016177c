"""The command line: a whole chain in the tiny environment, one line for wrong input, and going on after a stop."""

import dataclasses
import importlib.metadata
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import dreamenv
import dreamenv.cli.run
from dreamenv import CollectConfig, CompareConfig, EpisodeStore, EvolveConfig, PPOConfig, TrainConfig
from dreamenv.agents.linear import save_linear
from dreamenv.cli.output import say_dreamed
from dreamenv.cli.run import COMMANDS, load_command, main
from dreamenv.data.collect import collect
from dreamenv.foundation.errors import BundleError

COLLECT = "--env dot_env:Dot-v0 --frames 700 --shard-episodes 20 --exploration.bump-and-turn 0".split()
TRAIN = (
    "--vision.model.frame-shape 16 32 3 --vision.model.latent-size 4 --vision.model.channels 8 8 "
    "--vision.fit.steps 40 --vision.fit.precision float32 --vision.batch-size 16 "
    "--memory.model.hidden-size 8 --memory.model.components 2 --memory.fit.steps 40 "
    "--memory.fit.precision float32 --memory.batch-size 8"
).split()
EVOLVE = "--generations 2 --population 4 --episodes 2 --num-envs 8 --evaluation-episodes 4".split()
PPO = "--timesteps 256 --num-envs 8 --n-steps 16 --batch-size 64 --n-epochs 1 --net-arch 8".split()
ACTOR_CRITIC = "--updates 3 --num-envs 4 --horizon 3 --net-arch 8".split()
COMPARE = "--episodes 3 --temperatures 0.5 1.0 --num-envs 2".split()


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The folder of a world made by the command line."""
    folder = tmp_path_factory.mktemp("chain") / "world"
    assert main(["collect", "--world", str(folder), *COLLECT]) == 0
    assert main(["train", "--world", str(folder), *TRAIN]) == 0
    return folder


@pytest.fixture
def world(chain, tmp_path):
    """A copy of ``chain`` to write into."""
    return shutil.copytree(chain, tmp_path / "world")


def last_line(text):
    return text.strip().splitlines()[-1]


def refused(capsys, *arguments):
    """The only line on stderr of a command that is refused."""
    assert main(list(map(str, arguments))) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dreamenv: ")
    assert captured.err.count("\n") == 1 and captured.err.endswith("\n")
    assert "Traceback" not in captured.err
    return captured.err


def test_collect_writes_episodes_and_says_what_is_next(tmp_path, capsys):
    assert main(["collect", "--world", str(tmp_path / "w"), *COLLECT]) == 0
    store = EpisodeStore(tmp_path / "w" / "episodes")
    assert store.num_frames >= 700
    out = capsys.readouterr().out
    assert f"{store.num_frames:,} frames, {len(store)} episodes" in out
    assert f"next: dreamenv train --world {tmp_path / 'w'}" in out


def test_collecting_again_adds_nothing(world, capsys):
    before = sorted(path.name for path in (world / "episodes").iterdir())
    assert main(["collect", "--world", str(world), *COLLECT]) == 0
    assert sorted(path.name for path in (world / "episodes").iterdir()) == before


def test_train_writes_a_world_and_a_report(chain):
    world = dreamenv.load(chain)
    assert (world.model.latent_size, world.model.hidden_size) == (4, 8)
    report = json.loads((chain / "training" / "report.json").read_text())
    assert report["vision"]["frames"] > 0
    assert [ending["kind"] for ending in report["memory"]["endings"]] == list(world.config.endings)
    with Image.open(chain / "training" / "reconstructions.png") as picture:
        picture.load()
    assert (chain / "README.md").read_text().startswith("# A dream of")


def test_training_again_changes_nothing(world, capsys):
    before = (world / "world.safetensors").read_bytes()
    assert main(["train", "--world", str(world), *TRAIN]) == 0
    assert (world / "world.safetensors").read_bytes() == before
    out = capsys.readouterr().out
    assert "held-out frames" in out and "held-out steps" in out
    assert f"next: dreamenv evolve --world {world}" in out


@pytest.mark.parametrize(
    ("command", "name", "settings", "closing"),
    [
        ("evolve", "linear", EVOLVE, "linear controller in"),
        ("ppo", "ppo", PPO, "PPO agent after 256 dream steps in"),
        ("actor-critic", "actor-critic", ACTOR_CRITIC, "actor-critic after 3 updates in"),
    ],
)
def test_an_agent_is_trained_and_compared(world, capsys, command, name, settings, closing):
    assert main([command, "--world", str(world), *settings]) == 0
    folder = world / "agents" / name
    out = capsys.readouterr().out
    assert f"{closing} {folder}" in out
    assert re.search(r"in 100 greedy dreams: success [01]\.\d\d, return -?\d+\.\d{3} \(", out)
    assert f"next: dreamenv compare --world {world} --agent {folder}" in out
    assert dreamenv.load_agent(folder).predict(np.zeros((2, 12), np.float32))[0].shape == (2,)

    assert main(["compare", "--world", str(world), "--agent", str(folder), *COMPARE]) == 0
    results = world / "compare" / name
    assert sorted(path.name for path in results.iterdir()) == [
        "comparison.csv",
        "comparison.json",
        "comparison.png",
        "film.gif",
    ]
    comparison = json.loads((results / "comparison.json").read_text())
    assert comparison["config"]["temperatures"] == [0.5, 1.0]
    assert len(comparison["scores"]) == 4 * 3
    for picture in ("comparison.png", "film.gif"):
        with Image.open(results / picture) as image:
            image.load()
    out = capsys.readouterr().out
    assert "agent, greedy" in out
    assert f"comparison.json, comparison.csv, comparison.png and film.gif in {results}" in out


def test_agents_and_results_go_where_they_are_told(world, tmp_path):
    agent, out = tmp_path / "my" / "agent", tmp_path / "my" / "results"
    assert main(["evolve", "--world", str(world), "--agent", str(agent), *EVOLVE]) == 0
    command = ["compare", "--world", str(world), "--agent", str(agent), "--out", str(out), *COMPARE]
    assert main(command) == 0
    assert (out / "comparison.json").is_file()
    assert not (world / "agents").exists() and not (world / "compare").exists()


@pytest.mark.parametrize(("command", "name", "settings"), [("evolve", "linear", EVOLVE), ("ppo", "ppo", PPO)])
def test_an_agent_that_sees_a_part_of_the_state_is_tried_in_dreams_that_show_it(world, capsys, command, name, settings):
    assert main([command, "--world", str(world), "--inputs", "z", *settings]) == 0
    assert dreamenv.load_agent(world / "agents" / name).inputs == ("z",)
    out = capsys.readouterr().out
    assert "in 100 greedy dreams: " in out
    assert f"next: dreamenv compare --world {world} --agent {world / 'agents' / name}" in out


def test_evolving_on_continues_the_same_run(world):
    longer = ["--generations", "3", *EVOLVE[2:]]
    assert main(["evolve", "--world", str(world), *EVOLVE]) == 0
    first = json.loads((world / "agents" / "linear" / "evolution.json").read_text())["fitness"]
    assert main(["evolve", "--world", str(world), *longer]) == 0
    assert json.loads((world / "agents" / "linear" / "evolution.json").read_text())["fitness"][:2] == first


@pytest.mark.parametrize("command", ["evolve", "ppo", "compare --agent x"])
def test_a_missing_world_is_refused(capsys, tmp_path, command):
    line = refused(capsys, *command.split(), "--world", tmp_path / "nothing")
    assert "expected the name of a shipped world" in line and "nothing" in line
    assert not list(tmp_path.iterdir())


def test_training_without_episodes_says_how_to_collect_them(capsys, tmp_path):
    line = refused(capsys, "train", "--world", tmp_path / "nothing")
    assert f"no episodes in {tmp_path / 'nothing' / 'episodes'}; collect some first: dreamenv collect" in line


def test_a_missing_agent_is_refused(capsys, chain, tmp_path):
    line = refused(capsys, "compare", "--world", chain, "--agent", tmp_path / "nobody")
    assert "expected the name of a shipped agent" in line and "nobody" in line


@pytest.mark.parametrize("command", ["evolve", "ppo"])
@pytest.mark.parametrize("temperature", ["-1", "nan", "inf", "hot"])
def test_a_bad_temperature_is_refused(capsys, world, command, temperature):
    line = refused(capsys, command, "--world", world, "--temperature", temperature)
    assert re.search(f"temperature.*(got {temperature}|'{temperature}')", line)
    assert not (world / "agents").exists()


@pytest.mark.parametrize("command", ["evolve", "ppo"])
def test_a_pair_of_temperatures_in_the_wrong_order_is_refused(capsys, world, command):
    assert "(low, high)" in refused(capsys, command, "--world", world, "--temperature", "1.3", "0.1")


def test_agents_train_at_drawn_temperatures(world):
    assert main(["evolve", "--world", str(world), "--temperature", "0.1", "1.3", *EVOLVE]) == 0
    assert main(["ppo", "--world", str(world), "--temperature", "0.1", "1.3", *PPO]) == 0


@pytest.mark.parametrize("temperature", ["-1", "nan", "hot"])
def test_a_bad_temperature_to_compare_at_is_refused(capsys, world, dot_agent_folder, temperature):
    command = ["compare", "--world", world, "--agent", dot_agent_folder, "--temperatures", "0.5", temperature]
    assert re.search(f"temperature.*(got {temperature}|'{temperature}')", refused(capsys, *command))


def test_a_bad_default_temperature_of_a_world_is_refused(capsys, world):
    line = refused(capsys, "train", "--world", world, *TRAIN, "--temperature", "-1")
    assert "expected a temperature: a finite number >= 0; got -1" in line
    assert dreamenv.load(world).config.temperature == 1.0


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("CartPole-v1", ["expected RGB observations", "AddRenderObservation"]),
        ("NoSuchThing-v0", ["NoSuchThing-v0"]),
        ("no_such_module:Thing-v0", ["no_such_module"]),
        ("", ["installed environment"]),
    ],
)
def test_an_environment_that_cannot_be_collected_is_refused(capsys, tmp_path, env, words):
    line = refused(capsys, "collect", "--env", env, "--world", tmp_path / "w")
    assert all(word in line for word in words)
    assert not (tmp_path / "w").exists()


def test_episodes_of_another_environment_are_refused(capsys, world):
    line = refused(capsys, "collect", "--env", "dot_env:ContinuousDot-v0", "--world", world)
    assert "cannot add episodes of" in line


@pytest.mark.parametrize("name", ["config.json", "world.safetensors", "manifest.json"])
def test_a_damaged_world_is_refused_by_the_name_of_its_file(capsys, world, name):
    data = (world / name).read_bytes()
    (world / name).write_bytes(data[: len(data) // 2])
    line = refused(capsys, "evolve", "--world", world, *EVOLVE)
    assert str(world / name) in line


@pytest.mark.parametrize("name", ["world.safetensors", "manifest.json"])
def test_a_world_with_a_file_missing_is_refused_by_its_name(capsys, world, name):
    (world / name).unlink()
    assert name in refused(capsys, "ppo", "--world", world, *PPO)


def test_a_damaged_agent_is_refused_by_the_name_of_its_file(capsys, world):
    assert main(["evolve", "--world", str(world), *EVOLVE]) == 0
    capsys.readouterr()
    weights = world / "agents" / "linear" / "agent.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    line = refused(capsys, "compare", "--world", world, "--agent", weights.parent, *COMPARE)
    assert "agent.safetensors is damaged" in line


def test_a_damaged_episode_is_refused_by_the_name_of_its_shard(capsys, world):
    shard = next((world / "episodes").glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert shard.name in refused(capsys, "train", "--world", world, *TRAIN)


def test_an_agent_of_another_world_is_refused(capsys, chain, dot_agent_folder):
    line = refused(capsys, "compare", "--world", chain, "--agent", dot_agent_folder, *COMPARE)
    assert "expected an agent for 12 features, got one for 40" in line


@pytest.mark.parametrize("command", ["evolve", "ppo"])
def test_other_settings_in_the_same_folder_are_refused(capsys, world, command):
    settings = {"evolve": EVOLVE, "ppo": PPO}[command]
    assert main([command, "--world", str(world), *settings]) == 0
    capsys.readouterr()
    assert "delete" in refused(capsys, command, "--world", world, *settings, "--seed", "5")


def test_retraining_with_other_settings_is_refused(capsys, world):
    line = refused(capsys, "train", "--world", world, *TRAIN, "--vision.beta", "0.5")
    assert "other settings or data" in line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["collect", "--env", "dot_env:Dot-v0"],
        ["evolve", "--world", "x", "--no-such-flag", "3"],
        ["evolve", "--world", "x", "--generations", "many"],
    ],
    ids=" ".join,
)
def test_a_command_that_cannot_be_read_is_refused(capsys, arguments):
    refused(capsys, *arguments)


@pytest.mark.parametrize("modules", ["typo", "dot_env,typo", "json.typo"])
def test_a_module_that_cannot_be_imported_is_refused(capsys, tmp_path, monkeypatch, modules):
    monkeypatch.setenv("DREAMENV_IMPORT", modules)
    line = refused(capsys, "collect", "--world", tmp_path / "w", *COLLECT)
    assert "expected installed modules in --import and DREAMENV_IMPORT" in line and "typo" in line


@pytest.mark.parametrize("seed", [-1, 2**32])
@pytest.mark.parametrize("command", ["evolve", "ppo", "compare", "choose", "horizon", "trust", "inspect"])
def test_a_seed_that_no_generator_takes_is_refused(capsys, chain, tmp_path, command, seed):
    agent = {"choose": ["--agents", "x", "--keep", tmp_path / "k"], "inspect": []}.get(command, ["--agent", "x"])
    assert f"expected seed from 0 to 4,294,967,295, got {seed}" in refused(
        capsys, command, "--world", chain, *agent, "--seed", seed
    )


@pytest.mark.parametrize("setting", ["every", "horizons"])
def test_a_horizon_of_nothing_is_refused(capsys, chain, setting):
    line = refused(capsys, "horizon", "--world", chain, "--agent", "x", f"--{setting}")
    assert f"expected {setting} of at least 1, got ()" in line


@pytest.mark.parametrize("flag", ["--num-envs", "--shard-episodes"])
def test_a_collection_by_nobody_is_refused(capsys, tmp_path, flag):
    line = refused(capsys, "collect", "--env", "dot_env:Dot-v0", "--world", tmp_path / "w", flag, "0")
    assert re.search("expected (num_envs|shard_episodes) of at least 1, got 0", line)
    assert not (tmp_path / "w").exists()


def test_an_environment_that_cannot_draw_is_refused(capsys, tmp_path, monkeypatch):
    def fail(env_id, **kwargs):
        raise ImportError('Library "GLU" not found.')

    monkeypatch.setattr("gymnasium.make", fail)
    line = refused(capsys, "collect", "--env", "Dot-v0", "--world", tmp_path / "w")
    assert "apt-get install" in line


def test_a_folder_that_cannot_be_written_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    line = refused(capsys, "collect", "--world", tmp_path / "file" / "w", *COLLECT)
    assert str(tmp_path / "file") in line


def test_a_loss_that_explodes_is_one_line_too(capsys, world, monkeypatch):
    monkeypatch.setattr("dreamenv.models.latent.Gaussian.kl_from_standard", lambda self: self.mean * float("nan"))
    shutil.rmtree(world / "training")
    assert main(["train", "--world", str(world), *TRAIN]) == 2
    assert "the loss of vision is nan at step 0" in last_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("collect", CollectConfig),
        ("train", TrainConfig),
        ("evolve", EvolveConfig),
        ("ppo", PPOConfig),
        ("compare", CompareConfig),
    ],
)
def test_help_shows_every_setting_with_its_default(capsys, command, config):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())

    def check(settings, prefix):
        for field in dataclasses.fields(settings):
            value = getattr(settings, field.name)
            name = prefix + field.name.replace("_", "-")
            if dataclasses.is_dataclass(value):
                check(value, f"{name}.")
                continue
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            assert re.search(rf"--{re.escape(name)}[ ,].*?\(default: ([^)]*)\)", text)[1] == shown, name

    check(config(), "")


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("collect", "train", "evolve", "ppo", "compare"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listed_summary_of_a_command_is_that_of_its_class(name):
    assert inspect.getdoc(load_command(name)).partition("\n")[0] == COMMANDS[name]


def stopped(capsys, *arguments):
    assert main(list(map(str, arguments))) == 130
    assert last_line(capsys.readouterr().err).endswith(
        "stopped; what is stored stays, the same command goes on from there"
    )


def test_a_stopped_collection_goes_on_to_the_same_episodes(capsys, chain, tmp_path, monkeypatch):
    original, calls = EpisodeStore.append, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(EpisodeStore, "append", interrupted)
    stopped(capsys, "collect", "--world", tmp_path, *COLLECT)
    assert len(EpisodeStore(tmp_path / "episodes")) == 40
    monkeypatch.undo()
    assert main(["collect", "--world", str(tmp_path), *COLLECT]) == 0
    shards = [sorted(path.name for path in (folder / "episodes").glob("*.safetensors")) for folder in (tmp_path, chain)]
    assert shards[0] == shards[1]


@pytest.mark.parametrize("update", [7, 55])
def test_a_stopped_training_goes_on_to_the_same_world(capsys, chain, tmp_path, monkeypatch, update):
    monkeypatch.setattr(dreamenv.training.fit, "CHECKPOINT_SECONDS", 0.0)
    shutil.copytree(chain / "episodes", tmp_path / "episodes")
    original, calls = dreamenv.training.fit._update, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == update:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(dreamenv.training.fit, "_update", interrupted)
    stopped(capsys, "train", "--world", tmp_path, *TRAIN)
    assert not (tmp_path / "world.safetensors").exists()
    assert main(["train", "--world", str(tmp_path), *TRAIN]) == 0
    assert len(calls) == 80 + 1
    assert (tmp_path / "world.safetensors").read_bytes() == (chain / "world.safetensors").read_bytes()


def test_a_stopped_evolution_goes_on(capsys, world, monkeypatch):
    module = sys.modules["dreamenv.agents.evolve"]
    original, calls = module._score, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(module, "_score", interrupted)
    stopped(capsys, "evolve", "--world", world, *EVOLVE)
    assert main(["evolve", "--world", str(world), *EVOLVE]) == 0
    assert len(calls) == 3


def test_a_stopped_comparison_says_that_it_begins_anew(capsys, chain, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("dreamenv.evaluate.compare.compare", interrupted)
    monkeypatch.setattr("dreamenv.cli.commands.compare.agent_for", lambda *_: None)
    assert main(["compare", "--world", str(chain), "--agent", "any", "--out", str(tmp_path / "out"), *COMPARE]) == 130
    assert last_line(capsys.readouterr().err).endswith("the same command begins anew")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_turns_into_another_error_is_still_a_stop(capsys, tmp_path, monkeypatch, number):
    def swallowing(*args):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise RuntimeError("could not determine the shape") from None

    monkeypatch.setattr("dreamenv.data.collect.collect", swallowing)
    inherited = signal.signal(number, signal.default_int_handler)  # a job in the background ignores SIGINT
    try:
        stopped(capsys, "collect", "--world", tmp_path, *COLLECT)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, inherited)


def test_a_job_in_the_background_goes_on_ignoring_interrupts(tmp_path, monkeypatch):
    def interrupted(*args):
        signal.raise_signal(signal.SIGINT)
        return collect(*args)

    monkeypatch.setattr("dreamenv.data.collect.collect", interrupted)
    inherited = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main(["collect", "--world", str(tmp_path), *COLLECT]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, inherited)


def heed_interrupts():
    """Undoes what a child of a job in the background inherits: to ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_running_process(tmp_path, number):
    command = [sys.executable, "-m", "dreamenv.cli.run", "collect", "--world", str(tmp_path), *COLLECT]
    command[command.index("--frames") + 1] = "100000000"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            command, env=environment, stderr=err, stdout=subprocess.DEVNULL, preexec_fn=heed_interrupts
        )
    try:
        while len(list((tmp_path / "episodes").glob("*.safetensors"))) < 2:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        process.send_signal(number)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.wait()
    text = (tmp_path / "err").read_text()
    assert "Traceback" not in text
    assert last_line(text).startswith("dreamenv: stopped;")
    assert len(EpisodeStore(tmp_path / "episodes")) >= 40


@pytest.mark.parametrize(("success", "hint"), [(0.0, True), (0.01, False), (None, False)])
def test_an_agent_that_met_no_good_ending_in_the_dream_is_said_to_have_hardly_learned(
    dot_world, capsys, monkeypatch, success, hint
):
    found = SimpleNamespace(success=success, mean=-0.1, low=-0.2, high=0.0)
    monkeypatch.setattr("dreamenv.evaluate.scores.score", lambda *_, **__: found)
    say_dreamed(dot_world, None, 0)
    out = capsys.readouterr().out
    assert "return -0.100 (-0.200 to 0.000)" in out
    assert ("hardly learned" in out) == hint


def test_a_fault_of_the_package_is_not_blamed_on_the_caller(monkeypatch):
    def faulty(name):
        raise TypeError

    monkeypatch.setattr("dreamenv.bundle.load", faulty)
    with pytest.raises(TypeError):
        main(["horizon", "--world", "sidewalk", "--agent", "sidewalk/linear"])


@pytest.mark.parametrize("error", [ValueError("a bug"), FloatingPointError("overflow"), FileNotFoundError("gone")])
def test_an_error_that_is_not_the_packages_keeps_its_traceback(monkeypatch, capsys, error):
    def faulty(name, device="cpu"):
        raise error

    monkeypatch.setattr("dreamenv.bundle.load", faulty)
    with pytest.raises(type(error)):
        main(["evolve", "--world", "sidewalk"])
    assert capsys.readouterr().err == ""


def test_a_bug_ends_a_process_with_a_traceback_and_code_1(tmp_path):
    (tmp_path / "faulty.py").write_text("int('no number')")
    command = [sys.executable, "-m", "dreamenv.cli.run", "train", "--world", "nowhere", "--import", "faulty"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr and last_line(ended.stderr).startswith("ValueError: invalid literal")


def test_the_package_raises_no_plain_value_error():
    """A plain ValueError for a caller's mistake would look like a bug."""
    plain = re.compile(r"raise (ValueError|FloatingPointError)\(")
    package = Path(dreamenv.__file__).parent
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if plain.search(path.read_text())}
    assert found <= {"foundation/recipe.py"}  # raised there to be caught there


@pytest.mark.parametrize("where", ["option", "variable"])
def test_modules_are_imported_before_a_command_runs(monkeypatch, tmp_path, where):
    (tmp_path / "first_module.py").write_text("")
    (tmp_path / "second_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    seen = []

    def load(*_):
        seen.append({"first_module", "second_module"} & set(sys.modules))
        raise BundleError("enough")

    monkeypatch.setattr("dreamenv.bundle.load", load)
    if where == "variable":
        monkeypatch.setenv("DREAMENV_IMPORT", "first_module, second_module")
    options = ["--import", "first_module", "second_module"] if where == "option" else []
    try:
        assert main(["evolve", "--world", "sidewalk", *options]) == 2
    finally:
        for name in ("first_module", "second_module"):
            sys.modules.pop(name, None)
    assert seen == [{"first_module", "second_module"}]


def test_a_printed_command_can_be_pasted_into_a_shell(tmp_path, capsys):
    world = tmp_path / "my world; $(touch x)"
    assert main(["collect", "--world", str(world), *COLLECT]) == 0
    said = re.search(r"next: (.*)", capsys.readouterr().out)[1]
    assert shlex.split(said) == ["dreamenv", "train", "--world", str(world)]
    line = refused(capsys, "trust", "--world", "sidewalk", "--agent", "sidewalk/ppo", "--episodes", world / "a b")
    assert shlex.split(re.search(r"(dreamenv collect .*), or", line)[1])[-1] == str(world)


def test_a_printed_command_imports_what_the_user_imported(tmp_path, capsys):
    world, modules = tmp_path / "world", ["--import", "dot_env", "picture_env"]
    for imports in ([], modules, []):
        assert main(["collect", "--world", str(world), *COLLECT, *imports]) == 0
        said = re.search(r"next: (.*)", capsys.readouterr().out)[1]
        assert shlex.split(said) == ["dreamenv", "train", "--world", str(world), *imports]
    asked = ["trust", "--world", "sidewalk", "--agent", "sidewalk/ppo", "--episodes", world / "none", *modules]
    assert re.search(r"(dreamenv collect .*), or", refused(capsys, *asked))[1].endswith(shlex.join(modules))


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dreamenv {importlib.metadata.version('dreamenv')}\n"


def test_an_agent_of_another_environment_is_refused_and_of_another_world_named(dot_folder, tmp_path, capsys):
    assert main(["horizon", "--world", str(dot_folder), "--agent", "takecover/ppo"]) == 2
    assert "expected an agent for dot_env:Dot-v0, got one for TakeCover-v0" in capsys.readouterr().err
    world = dreamenv.load(dot_folder)
    with torch.no_grad():
        world.model.vision.expand.bias += 0.1
    dreamenv.bundle.save(world, tmp_path)
    zero = dreamenv.LinearAgent(np.zeros((3, 40)), np.zeros(3), world.config.action)
    save_linear(zero, tmp_path / "agent", dreamenv.load(tmp_path))
    settings = ["--agent", str(tmp_path / "agent"), "--episodes", "1", "--every", "1", "--out", str(tmp_path / "out")]
    assert main(["horizon", "--world", str(dot_folder), *settings]) == 0
    assert "was trained in world" in capsys.readouterr().err


def test_recorded_episodes_are_asked_for_with_the_command_that_collects_them(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["trust", "--world", "sidewalk", "--agent", "sidewalk/ppo"]) == 2
    assert "dreamenv collect --env MiniWorld-Sidewalk-v0 --world runs/sidewalk" in capsys.readouterr().err


@pytest.mark.parametrize("debug", [False, True])
def test_debug_prints_the_traceback_of_an_environments_mistake(tmp_path, monkeypatch, capsys, debug):
    def lost(self, action):
        raise RuntimeError("connection\nlost")

    monkeypatch.setattr("dot_env.DotEnv.step", lost)
    command = ["collect", "--env", "dot_env:Dot-v0", "--world", str(tmp_path), *["--debug"][: int(debug)]]

    assert main(command) == 2

    *before, line = capsys.readouterr().err.strip().splitlines()
    assert "dot_env:Dot-v0 failed in step 1 of the episode with seed 1000004: RuntimeError: connection lost" in line
    assert any("in lost" in text for text in before) == debug
    assert any("Traceback" in text for text in before) == debug


@pytest.mark.filterwarnings("ignore:.*FragileDot-v0 failed")
def test_collect_says_how_many_episodes_failed(tmp_path, capsys):
    command = ["collect", "--env", "dot_env:FragileDot-v0", "--world", str(tmp_path), "--frames", "100"]

    assert main(command) == 0

    count = len(EpisodeStore(tmp_path / "episodes").failures)
    assert f"set aside: {count}, see {tmp_path}/episodes/set_aside.json" in capsys.readouterr().out
    assert count > 0
