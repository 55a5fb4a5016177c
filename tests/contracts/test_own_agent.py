"""A kind of agent that a user registers: it keeps the contract, and the whole chain works for it."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest
from dot_settings import DOT_COLLECT, DOT_TRAIN

import dreamenv
from dreamenv.agents import registry
from dreamenv.agents.linear import read_linear
from dreamenv.agents.registry import register_agent
from dreamenv.cli.run import main
from dreamenv.foundation.errors import BundleError, ResumeError, SettingsError
from dreamenv.testing import PolicyContract

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_agent.py"


@pytest.fixture(scope="module")
def own():
    """The example, with its kind registered for these tests only."""
    spec = importlib.util.spec_from_file_location("own_agent", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    for name in registry._BUILT_IN:  # modules register once, when they are imported: not while the registry is replaced
        registry.agent_kind(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_KINDS", dict(registry._KINDS))
        spec.loader.exec_module(module)
        yield module


def short(training, steps):
    return dataclasses.replace(training, fit=dataclasses.replace(training.fit, steps=steps))


@pytest.fixture
def saved(own, dot_world, tmp_path):
    own.train_always(dot_world, tmp_path, own.AlwaysConfig(num_envs=4, episodes=10), None)
    return tmp_path


class TestAlways(PolicyContract):
    @pytest.fixture(autouse=True)
    def _pair(self, dot_world, saved):
        self._made = dreamenv.load_agent(saved), dot_world

    def make_policy(self):
        return self._made


def test_it_iterates(own, tmp_path):
    config = dreamenv.IterateConfig(
        300,
        1,
        20,
        target=2.0,
        agent=own.AlwaysConfig(num_envs=8, episodes=10),
        episodes=2,
        collect=dataclasses.replace(DOT_COLLECT, shard_episodes=16),
        train=dataclasses.replace(DOT_TRAIN, vision=short(DOT_TRAIN.vision, 3), memory=short(DOT_TRAIN.memory, 3)),
        vision_steps=1,
        memory_steps=1,
    )
    rounds = dreamenv.iterate("dot_env:Dot-v0", tmp_path, config)

    assert len(rounds) == 2 and isinstance(dreamenv.load_agent(tmp_path / "agents" / "always"), own.Always)
    with pytest.raises(ResumeError, match="another agent"):
        dreamenv.iterate("dot_env:Dot-v0", tmp_path, dataclasses.replace(config, agent="ppo"))


def test_it_is_compared_and_chosen(dot_folder, dot_world, saved, tmp_path, capsys):
    comparison = dreamenv.compare(dot_world, dreamenv.load_agent(saved), dreamenv.CompareConfig((1.0,), 2, 80_000))
    assert {score.policy for score in comparison.scores} >= {"agent, greedy"}
    command = ["choose", "--world", str(dot_folder), "--agents", str(saved), "--keep", str(tmp_path / "kept")]
    assert main([*command, "--episodes", "2"]) == 0
    assert dreamenv.load_agent(tmp_path / "kept").action == dreamenv.load_agent(saved).action


def test_a_kind_that_is_not_registered_is_refused(own, saved, monkeypatch):
    monkeypatch.setattr(registry, "_KINDS", {})
    with pytest.raises(
        BundleError, match="expected a kind of agent among actor-critic, linear, planner, sb3, vote, got 'always'.*im"
    ):
        dreamenv.load_agent(saved)
    with pytest.raises(SettingsError, match="expected settings of a registered kind .* got AlwaysConfig"):
        registry.train_agent(None, saved, own.AlwaysConfig())


@pytest.mark.parametrize("name", ["always", "linear"])
def test_a_name_belongs_to_one_kind(own, name):
    with pytest.raises(SettingsError, match=f"expected a new name for a kind of agent, got '{name}'"):
        register_agent(name, read=lambda config, tensors: read_linear(config, tensors))


def test_a_training_needs_settings(own):
    with pytest.raises(SettingsError, match="expected settings and train together"):
        register_agent("other", read=own.read_always, train=own.train_always)


def test_the_example_runs(own, tmp_path, capsys):
    own.main(tmp_path)
    assert "best action:" in capsys.readouterr().out
