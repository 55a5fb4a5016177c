"""The public names: found on first use, known to type checkers; old names warn; heavy libraries stay unloaded."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dreamenv
from dreamenv.cli.run import COMMANDS

TREE = ast.parse(Path(dreamenv.__file__).read_text())
HEAVY = ["cma", "scipy", "matplotlib", "stable_baselines3", "tensorboard", "tyro"]


def typed_names():
    """Public names and modules as type checkers read them."""
    (block,) = (node for node in TREE.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING" and not block.orelse
    return {alias.asname: node.module for node in block.body for alias in node.names if alias.asname == alias.name}


def loaded(code, modules):
    """Which of the modules a fresh interpreter has loaded after some code."""
    report = f"\nimport sys, json\nprint(json.dumps([name for name in {modules!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_type_checkers_know_the_same_names():
    assert typed_names() == dreamenv._PUBLIC
    assert sorted(dreamenv.__all__) == sorted(dreamenv._PUBLIC)


@pytest.mark.parametrize("name", dreamenv.__all__)
def test_a_public_name_is_that_of_its_module(name):
    assert getattr(dreamenv, name) is getattr(importlib.import_module(dreamenv._PUBLIC[name]), name)
    assert name in dir(dreamenv)


def test_no_public_name_is_hidden_by_a_module():
    modules = {path.stem for path in Path(dreamenv.__file__).parent.iterdir()}
    assert modules.isdisjoint({*dreamenv._PUBLIC, *dreamenv._DEPRECATED})


@pytest.mark.parametrize("name", dreamenv._DEPRECATED)
def test_an_old_name_works_and_warns_with_its_module(name):
    module = dreamenv._DEPRECATED[name]
    with pytest.warns(DeprecationWarning, match=f"use {module}.{name} instead") as caught:
        found = getattr(dreamenv, name)
    assert found is getattr(importlib.import_module(module), name)
    assert caught[0].filename == __file__
    assert name not in dir(dreamenv) and name not in dreamenv.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'dreamenv' has no attribute 'nonsense'"):
        dreamenv.nonsense  # noqa: B018


def test_everything_can_be_imported_at_once():
    namespace = {}
    exec("from dreamenv import *", namespace)
    assert set(dreamenv.__all__) <= set(namespace)


def test_importing_the_package_loads_nothing_heavy_and_registers_its_environments():
    code = "import dreamenv\nfrom gymnasium import registry\nassert {'Dream-v0', 'DreamSidewalk-v0'} <= set(registry)"
    assert loaded(code, [*HEAVY, "torch", "pydantic"]) == []


def test_making_a_dream_loads_no_library_of_training_or_reports():
    code = "import gymnasium as gym\ngym.make('dreamenv:DreamSidewalk-v0')"
    assert loaded(code, HEAVY) == []


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_what_settings_need(command):
    arguments = [command, "--help"] if command else ["--help"]
    code = f"from dreamenv.cli.run import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass"
    assert loaded(code, HEAVY if command else [*HEAVY, "torch"]) == ["tyro"]
