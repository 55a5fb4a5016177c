"""The commands train and iterate with a kind of world model that a module registers."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import gymnasium as gym
import pytest

import dreamenv
from dreamenv import IterateConfig, TrainConfig
from dreamenv.cli.run import main
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.models import registry
from dreamenv.training import kinds
from dreamenv.training.kinds import WorldTraining, register_world_model

EXAMPLES = Path(__file__).parents[1] / "examples"
TABLE = ["--import", "own_world_model", "--kind", "table"]
ROUNDS = (
    "--frames 600 --rounds 1 --round-frames 100 --target 2 --agent linear --episodes 2 --train.branches 16 "
    "--train.model.cells 17 --evolve.generations 1 --evolve.population 4 --evolve.episodes 2"
).split()


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """The example is not imported yet; what it and the tests register is forgotten after a test."""
    monkeypatch.syspath_prepend(EXAMPLES)
    for module, name in ((registry, "_KINDS"), (kinds, "_TRAININGS"), (kinds, "_SETTINGS")):
        registered = {key: value for key, value in getattr(module, name).items() if key != "table"}
        monkeypatch.setattr(module, name, registered)
    with mock.patch.dict(gym.registry):
        gym.registry.pop("Grid-v0", None)
        yield
    sys.modules.pop("own_world_model", None)


def shown(capsys, *arguments):
    """The help page of a command, without its boxes."""
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_train_trains_the_kind_of_an_imported_module(tmp_path, capsys):
    world = ["--world", str(tmp_path), "--import", "own_world_model"]
    assert main(["collect", "--env", "Grid-v0", "--frames", "600", *world]) == 0
    assert main(["train", *world, "--kind", "table", "--branches", "8", "--model.cells", "17"]) == 0
    table = sys.modules["own_world_model"]
    assert dreamenv.load(tmp_path).config.model == table.TableConfig(cells=17)
    assert f"world in {tmp_path}; report.json" in capsys.readouterr().out


def test_iterate_trains_the_kind_of_an_imported_module(tmp_path):
    assert main(["iterate", "--env", "Grid-v0", "--world", str(tmp_path), *TABLE, *ROUNDS]) == 0
    table = sys.modules["own_world_model"]
    for number in ("00", "01"):
        assert dreamenv.load(tmp_path / "rounds" / number).config.model == table.TableConfig(cells=17)


@pytest.mark.parametrize(("command", "prefix"), [("train", "--"), ("iterate", "--train.")])
@pytest.mark.parametrize("where", ["option", "variable"])
def test_help_shows_the_settings_of_the_kind(capsys, monkeypatch, command, prefix, where):
    if where == "variable":
        monkeypatch.setenv("DREAMENV_IMPORT", "own_world_model")
    text = shown(capsys, command, *(TABLE if where == "option" else TABLE[2:]))
    assert "--kind {dreamer-v1,dreamer-v2,mdnrnn,planet,rssm,table} Kind of world model:" in text
    assert f"{prefix}model.cells INT (default: 16)" in text and f"{prefix}branches INT" in text
    assert f"{prefix}vision" not in text


@pytest.mark.parametrize(("command", "prefix"), [("train", "--"), ("iterate", "--train.")])
def test_help_shows_the_settings_of_v_and_m_without_a_kind(capsys, command, prefix):
    text = shown(capsys, command)
    assert "--kind {dreamer-v1,dreamer-v2,mdnrnn,planet,rssm} Kind of world model:" in text
    assert "(default: mdnrnn)" in text
    assert f"{prefix}vision.fit.steps INT Gradient steps. (default: 2000)" in text


@pytest.mark.parametrize(("command", "prefix"), [("train", "--"), ("iterate", "--train.")])
def test_help_shows_the_settings_of_another_kind_of_the_package(capsys, command, prefix):
    text = shown(capsys, command, "--kind", "rssm")
    assert f"{prefix}dynamics.fit.steps INT Gradient steps." in text and f"{prefix}vision" not in text


@pytest.mark.parametrize("kind", [[], ["--kind", "mdnrnn"], ["--kind=mdnrnn"]])
def test_v_and_m_are_the_default(tmp_path, monkeypatch, kind):
    received = []

    def stop(*arguments, **_):
        received.append(arguments[-1])
        raise BundleError("enough")

    monkeypatch.setattr("dreamenv.training.world.train", stop)
    monkeypatch.setattr("dreamenv.rounds.iterate.iterate", stop)
    assert main(["train", "--world", str(tmp_path), *kind, "--vision.beta", "2"]) == 2
    assert main(["iterate", "--env", "X-v0", "--world", str(tmp_path), *kind, "--train.vision.beta", "2"]) == 2
    config = TrainConfig()
    config = replace(config, vision=replace(config.vision, beta=2.0))
    assert received == [config, IterateConfig(train=config)]


def refused(capsys, *arguments):
    assert main([*arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", [["train"], ["iterate", "--env", "X-v0"]])
def test_an_unknown_kind_is_refused(capsys, tmp_path, command):
    line = refused(capsys, *command, "--world", str(tmp_path), "--import", "own_world_model", "--kind", "chair")
    assert "among dreamer-v1, dreamer-v2, mdnrnn, planet, rssm, table, got 'chair'; import its module first" in line


def test_help_shows_the_settings_of_a_preset(capsys):
    text = shown(capsys, "train", "--kind", "planet")
    assert "--joint.free-nats FLOAT" in text and "(default: gru-block)" in text


def test_a_preset_needs_a_name_and_a_kind_of_its_own():
    with pytest.raises(SettingsError, match="expected a name that no kind of world model has, got 'rssm'"):
        kinds.register_preset("rssm", kinds.settings_of("planet"))
    with pytest.raises(SettingsError, match="expected settings of a registered kind"):
        kinds.register_preset("mine", WithDevice())


def test_a_kind_needs_a_value(capsys, tmp_path):
    assert "'--kind'" in refused(capsys, "train", "--world", str(tmp_path), "--kind")


def test_options_of_another_kind_are_refused(capsys, tmp_path):
    assert "--vision.beta" in refused(capsys, "train", "--world", str(tmp_path), *TABLE, "--vision.beta", "2")


@dataclass(frozen=True)
class Sizes:
    cells: int = 3


@dataclass(frozen=True)
class WithoutDefault(WorldTraining):
    cells: int


@dataclass(frozen=True)
class WithDevice(WorldTraining):
    device: str = "cuda"


@pytest.mark.parametrize(
    ("settings", "words"),
    [(WithoutDefault, "expected a default for every setting of 'odd', got none for cells"), (WithDevice, "device")],
)
def test_settings_that_cannot_be_options_are_refused(capsys, tmp_path, settings, words):
    register_world_model("odd", config=Sizes, build=lambda *_: None, settings=settings, train=lambda *_: None)
    assert words in refused(capsys, "train", "--world", str(tmp_path), "--kind", "odd")
