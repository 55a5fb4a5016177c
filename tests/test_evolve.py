"""CMA-ES in the dream: exact resume, and what it must not touch."""

import dataclasses
import json
import random

import numpy as np
import pytest
import torch

import dreamenv
from dreamenv import EvolveConfig, evolve
from dreamenv.agents import evolve as module
from dreamenv.agents.evolve import initial_parameters
from dreamenv.foundation.errors import BundleError, ResumeError
from dreamenv.foundation.spaces import ActionSpec

TINY = EvolveConfig(
    generations=6,
    population=8,
    episodes=4,
    sigma=0.5,
    num_envs=32,
    evaluation_every=2,
    evaluation_episodes=10,
)


def record(folder):
    return json.loads((folder / "evolution.json").read_text())


def grown(generations, **changes):
    return dataclasses.replace(TINY, generations=generations, **changes)


@pytest.fixture(scope="module")
def finished(dot_world, tmp_path_factory):
    """Folder and agent of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, evolve(dot_world, folder, TINY)


def test_three_and_three_generations_equal_six(dot_world, tmp_path, finished):
    evolve(dot_world, tmp_path, grown(3))
    agent = evolve(dot_world, tmp_path, TINY)
    expected, got = record(finished[0]), record(tmp_path)
    assert len(got["fitness"]) == 6
    assert got["fitness"] == expected["fitness"]
    assert got["sigma"] == expected["sigma"]
    assert np.array_equal(agent.weight, finished[1].weight)
    assert np.array_equal(agent.bias, finished[1].bias)


def test_the_agent_on_disk_is_the_one_returned(finished):
    folder, agent = finished
    loaded = dreamenv.load_agent(folder)
    assert np.array_equal(loaded.weight, agent.weight)
    assert np.array_equal(loaded.bias, agent.bias)
    assert loaded.weight.any()


@pytest.mark.parametrize("where", ["write_json", "save_linear", "_score"])
@pytest.mark.parametrize("generation", [3, 6])
def test_a_killed_run_goes_on_exactly(dot_world, tmp_path, finished, monkeypatch, where, generation):
    original, calls = getattr(module, where), []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == generation:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(module, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        evolve(dot_world, tmp_path, TINY)
    monkeypatch.undo()
    agent = evolve(dot_world, tmp_path, TINY)
    assert record(tmp_path)["fitness"] == record(finished[0])["fitness"]
    assert np.array_equal(agent.weight, finished[1].weight)
    assert np.array_equal(dreamenv.load_agent(tmp_path).weight, agent.weight)


def test_a_run_at_drawn_temperatures_goes_on(dot_world, tmp_path):
    evolve(dot_world, tmp_path, grown(1, temperature=(0.5, 1.5)))
    evolve(dot_world, tmp_path, grown(2, temperature=(0.5, 1.5)))
    assert len(record(tmp_path)["fitness"]) == 2
    with pytest.raises(ResumeError):
        evolve(dot_world, tmp_path, grown(2, temperature=(0.5, 1.4)))


def test_a_finished_run_is_not_run_again(dot_world, finished, monkeypatch):
    monkeypatch.setattr(module, "_score", None)
    assert np.array_equal(evolve(dot_world, finished[0], TINY).weight, finished[1].weight)


def test_the_record_names_every_generation(finished):
    content = record(finished[0])
    assert [len(fitness) for fitness in content["fitness"]] == [8] * 6
    assert len(content["sigma"]) == 6
    assert list(content["evaluations"]) == ["2", "4", "6"]
    assert content["config"]["population"] == 8


def test_tensorboard_gets_its_events(finished):
    assert list(finished[0].glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    "change",
    [
        {"population": 10},
        {"episodes": 5},
        {"sigma": 0.4},
        {"temperature": 0.5},
        {"action_penalty": 0.01},
        {"branched_starts": 0.5},
        {"seed": 1},
    ],
    ids=str,
)
def test_other_settings_are_refused(dot_world, finished, change):
    before = (finished[0] / "evolution.json").read_bytes()
    with pytest.raises(ResumeError, match="choose another folder, or delete"):
        evolve(dot_world, finished[0], grown(7, **change))
    assert (finished[0] / "evolution.json").read_bytes() == before


def test_another_world_is_refused(dot_world, finished, tmp_path):
    bank = dot_world.bank
    moved = dataclasses.replace(bank, first=dataclasses.replace(bank.first, mean=bank.first.mean + 1.0))
    dreamenv.save(dataclasses.replace(dot_world, bank=moved), tmp_path)
    with pytest.raises(ResumeError, match="world .* there"):
        evolve(dreamenv.load(tmp_path), finished[0], TINY)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"config": {}}', '{"fitness": 3}'])
def test_a_damaged_record_is_refused_by_name(dot_world, tmp_path, content):
    (tmp_path / "evolution.json").write_text(content)
    with pytest.raises(ResumeError, match="evolution.json is not the record of an evolution"):
        evolve(dot_world, tmp_path, TINY)


def test_a_damaged_agent_is_refused_by_name(dot_world, tmp_path):
    evolve(dot_world, tmp_path, grown(1))
    weights = tmp_path / "agent.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BundleError, match="agent.safetensors is damaged"):
        dreamenv.load_agent(tmp_path)


def test_the_seed_rules_the_whole_run(dot_world, tmp_path, finished):
    again = evolve(dot_world, tmp_path / "same", TINY)
    other = evolve(dot_world, tmp_path / "other", grown(6, seed=1))
    assert np.array_equal(again.weight, finished[1].weight)
    assert not np.array_equal(other.weight, finished[1].weight)


def test_fitness_does_not_depend_on_the_size_of_the_batch(continuous_world, tmp_path):
    for num_envs in (5, 32, 200):
        evolve(continuous_world, tmp_path / str(num_envs), grown(2, num_envs=num_envs))
    fitness = [record(tmp_path / str(num_envs))["fitness"] for num_envs in (5, 32, 200)]
    assert np.ptp(fitness[0]) > 0.01
    assert np.allclose(fitness[0], fitness[1], atol=1e-5)
    assert np.allclose(fitness[0], fitness[2], atol=1e-5)


def test_global_random_numbers_are_left_alone(dot_world, tmp_path):
    before = np.random.get_state(), random.getstate(), torch.get_rng_state()
    evolve(dot_world, tmp_path, grown(2))
    after = np.random.get_state(), random.getstate(), torch.get_rng_state()
    assert all(np.array_equal(one, other) for one, other in zip(before[0], after[0], strict=True))
    assert before[1] == after[1]
    assert torch.equal(before[2], after[2])


def test_nothing_is_written_outside_the_folder(dot_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evolve(dot_world, tmp_path / "agent", grown(1))
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]


def test_candidates_share_dreams_that_no_other_generation_nor_evaluation_uses(dot_world, tmp_path, monkeypatch):
    original, played = module.rollout, []

    def observed(env, policy, seeds):
        played.append(list(seeds))
        return original(env, policy, seeds)

    monkeypatch.setattr(module, "rollout", observed)
    evolve(dot_world, tmp_path, grown(2))
    first, second, evaluation = played
    for generation in (first, second):
        assert generation == generation[:4] * 8
        assert len(set(generation)) == 4
    assert not (set(first) & set(second) or set(first + second) & set(evaluation))
    assert min(first + second + evaluation) >= 10_000_000  # above those of real episodes


def test_the_search_begins_at_the_action_prior(dot_world):
    parameters = initial_parameters(dot_world).reshape(3, -1)
    assert not parameters[:, :-1].any()
    shares = np.exp(parameters[:, -1])
    assert shares / shares.sum() == pytest.approx(dot_world.config.action_prior, abs=1e-6)


@pytest.mark.parametrize(("prior", "expected"), [((0.9,), 0.9), ((), 0.025), ((1.0,), 0.975)], ids=str)
def test_the_search_of_box_actions_begins_at_the_prior_or_at_rest(continuous_world, prior, expected):
    config = dataclasses.replace(
        continuous_world.config, action=ActionSpec(low=(0.0,), high=(1.0,)), action_prior=prior
    )
    world = dreamenv.World(config, continuous_world.model, continuous_world.bank)
    agent = dreamenv.LinearAgent.from_parameters(initial_parameters(world), config.action)
    action, _ = agent.predict(np.zeros((1, world.feature_size), np.float32))
    assert action == pytest.approx(expected, abs=1e-6)


def test_candidates_get_better(dot_world, dot_agent_folder):
    fitness = np.array(record(dot_agent_folder)["fitness"]).mean(1)
    assert fitness[-1] > fitness[0] + 0.2


def test_an_action_penalty_lowers_the_fitness(dot_world, tmp_path):
    evolve(dot_world, tmp_path / "free", grown(1))
    evolve(dot_world, tmp_path / "costly", grown(1, action_penalty=0.1))
    free, costly = (np.array(record(tmp_path / name)["fitness"]) for name in ("free", "costly"))
    assert (costly < free).all()


def test_evaluations_never_count_the_action_penalty(dot_world, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_score", lambda candidates, *_: tuple(np.arange(float(len(candidates)))))
    for penalty in (0.0, 0.1):
        evolve(dot_world, tmp_path / str(penalty), grown(4, action_penalty=penalty))
    free, costly = (record(tmp_path / name)["evaluations"] for name in ("0.0", "0.1"))
    assert len(free) == 2
    assert free == costly


def test_a_single_output_is_no_continuous_action(continuous_world, tmp_path):
    with pytest.raises(ValueError, match="expected discrete actions"):
        evolve(continuous_world, tmp_path, grown(2, one_output=True))
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}


def test_continuous_actions_evolve_too(continuous_world, tmp_path):
    agent = evolve(continuous_world, tmp_path, grown(2))
    assert agent.weight.shape == (1, continuous_world.feature_size)
    assert np.array_equal(dreamenv.load_agent(tmp_path).weight, agent.weight)


@pytest.mark.parametrize(
    "change", [{"population": 1}, {"episodes": 0}, {"sigma": 0.0}, {"num_envs": 0}, {"temperature": -1.0}], ids=str
)
def test_settings_out_of_range_are_refused(dot_world, tmp_path, change):
    with pytest.raises(ValueError, match="expected"):
        evolve(dot_world, tmp_path, grown(1, **change))
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}


def test_an_agent_of_another_kind_is_not_replaced(dot_world, tmp_path):
    evolve(dot_world, tmp_path, grown(1))
    with pytest.raises(ResumeError, match="one of kind sb3, got linear"):
        dreamenv.train_ppo(dot_world, tmp_path)
    assert isinstance(dreamenv.load_agent(tmp_path), dreamenv.LinearAgent)


def test_a_world_may_be_named(dot_world, dot_folder, tmp_path):
    named, given = (
        evolve(str(dot_folder), tmp_path / "named", grown(1)),
        evolve(dot_world, tmp_path / "given", grown(1)),
    )
    assert np.array_equal(named.weight, given.weight)
    with pytest.raises(BundleError, match="expected the name of a shipped world"):
        evolve("nowhere", tmp_path / "none", grown(1))
    assert not (tmp_path / "none").exists()
