"""Rounds of collecting with the dream's agent, training on, and comparing."""

import dataclasses
import importlib
import json
import sys

import numpy as np
import pytest
import torch
from dot_settings import DOT_COLLECT, DOT_EVOLVE, DOT_TRAIN

import dreamenv.cli.run
from dreamenv import EpisodeStore, IterateConfig, PPOConfig, iterate, load, load_agent
from dreamenv.agents.hold import hold
from dreamenv.agents.observing import ObservingAgent
from dreamenv.agents.sb3 import SB3Agent
from dreamenv.bundle import copy_bundle, world_id
from dreamenv.cli.run import main
from dreamenv.data.collect import collect
from dreamenv.evaluate.plots import plot_rounds
from dreamenv.evaluate.rounds import best_round
from dreamenv.evaluate.tables import rounds_table
from dreamenv.foundation.errors import ResumeError
from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.training.warm import warm_start

module = sys.modules["dreamenv.rounds.iterate"]
stored_module = sys.modules["dreamenv.rounds.stored"]
ppo_module = importlib.import_module("dreamenv.agents.ppo")
compare_module = sys.modules["dreamenv.evaluate.compare"]

CONFIG = IterateConfig(
    frames=1500,
    rounds=1,
    round_frames=300,
    noise=(0.0, 0.5),
    target=2.0,
    agent="linear",
    episodes=30,
    collect=dataclasses.replace(DOT_COLLECT, shard_episodes=8),
    train=DOT_TRAIN,
    vision_steps=60,
    memory_steps=60,
    evolve=dataclasses.replace(DOT_EVOLVE, generations=10),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder and rounds of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("iterate")
    return folder, iterate("dot_env:Dot-v0", folder, CONFIG)


def test_a_round_adds_episodes_of_its_agent(finished):
    folder, rounds = finished
    store = EpisodeStore(folder / "episodes")
    policies = [episode.policy for episode in store]
    first = next(i for i, policy in enumerate(policies) if policy.startswith("agent"))
    explored = sum(len(episode) + 1 for episode in list(store)[:first])
    assert explored >= 1500 and store.num_frames >= 1800
    assert set(policies[first:]) == {"agent(0)", "agent(0.5)"}
    assert [one.frames for one in rounds] == [explored, store.num_frames]
    assert store.num_frames >= explored + 300


def test_the_folder_holds_the_best_round(finished):
    folder, rounds = finished
    best = best_round(rounds)
    assert best.real.mean == max(one.real.mean for one in rounds)
    assert world_id(load(folder)) == world_id(load(best.folder))
    kept, made = load_agent(folder / "agents" / "linear"), load_agent(best.folder / "agents" / "linear")
    assert np.array_equal(kept.weight, made.weight)


def test_rounds_are_judged_on_validation_seeds_by_dream_and_reality(finished):
    for one in finished[1]:
        assert one.real.seeds == one.dream.seeds == (80_000, 80_029)
        assert (one.real.place, one.dream.place) == ("real", "dream")


def test_the_agent_that_iterates_solves_the_task(finished):
    assert best_round(finished[1]).real.success > 0.8


def test_a_finished_run_is_read_not_repeated(finished, monkeypatch):
    monkeypatch.setattr(module, "train", None)
    again = iterate("dot_env:Dot-v0", finished[0], CONFIG)
    assert [one.real for one in again] == [one.real for one in finished[1]]


def test_the_target_ends_the_rounds(finished, monkeypatch):
    monkeypatch.setattr(module, "_play", None)
    reached = dataclasses.replace(CONFIG, target=0.0, rounds=5)
    assert len(iterate("dot_env:Dot-v0", finished[0], reached)) == 2


def test_what_an_interrupted_run_did_not_keep_is_kept_by_the_next(finished, monkeypatch):
    folder, rounds = finished
    other = next(one for one in rounds if one is not best_round(rounds))
    copy_bundle(other.folder, folder)
    monkeypatch.setattr(module, "_play", None)
    iterate("dot_env:Dot-v0", folder, CONFIG)
    assert world_id(load(folder)) == world_id(load(best_round(rounds).folder)) != world_id(load(other.folder))


def test_a_stopped_run_goes_on_to_the_same_rounds(finished, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    for place, name in ((module, "train"), (stored_module, "compare")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                iterate("dot_env:Dot-v0", tmp_path, CONFIG)
    rounds = iterate("dot_env:Dot-v0", tmp_path, CONFIG)
    assert [one.real.returns for one in rounds] == [one.real.returns for one in finished[1]]


def test_other_settings_are_refused_by_name(finished):
    with pytest.raises(ResumeError, match="another memory_steps"):
        iterate("dot_env:Dot-v0", finished[0], dataclasses.replace(CONFIG, memory_steps=61))
    with pytest.raises(ResumeError, match="another env_id"):
        iterate("Dot-v0", finished[0], CONFIG)


def test_held_out_episodes_stay_held_out(finished):
    store = EpisodeStore(finished[0] / "episodes")
    training, _ = store.split()
    sizes = [len(load(one.folder).bank.first.mean) for one in finished[1]]
    explored = sum(not episode.policy.startswith("agent") for episode in store)
    assert sizes == [explored - explored // 10, len(training)] and sizes[1] > sizes[0]


def test_rounds_are_shown_as_table_and_picture(finished, tmp_path):
    table = rounds_table(finished[1])
    assert table.count("kept") == 1 and all(f"{one.frames:,}" in table for one in finished[1])
    plot_rounds(finished[1], tmp_path / "rounds.png")
    assert (tmp_path / "rounds.png").stat().st_size > 5000


def test_an_agent_on_frames_acts_as_on_features(dot_world, dot_agent_folder):
    agent, env = load_agent(dot_agent_folder), dreamenv.envs.latent_vector.make_latent_vector(dot_world, 2, "Disabled")
    frames_agent = ObservingAgent(dot_world, agent, (0.0,), [0, 1])
    features, _ = env.reset(seed=[5, 6])
    state, start = None, np.ones(2, bool)
    for _ in range(4):
        actions, state = frames_agent.predict(env._frames, state, start)
        assert np.array_equal(actions, agent.predict(features, deterministic=True)[0])
        features, _, terminated, truncated, _ = env.step(actions)
        start = np.zeros(2, bool)
        if (terminated | truncated).any():
            break


def test_an_agent_that_holds_its_actions_does_so_on_frames(dot_world):
    decided = iter(range(100))

    class Holding:
        inputs = ("z", "h")

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return hold(np.full(len(observation), next(decided) % 3), 2, state, episode_start)

    env = dreamenv.envs.latent_vector.make_latent_vector(dot_world, 2, "Disabled")
    frames_agent = ObservingAgent(dot_world, Holding(), (0.0,), [0, 1, 2])
    env.reset(seed=[5, 6])
    state, acted = None, []
    for begins in ([1, 1], [0, 0], [0, 0], [0, 1], [0, 0]):
        actions, state = frames_agent.predict(env._frames, state, np.array(begins, bool))
        acted.append(actions.tolist())
    assert acted == [[0, 0], [0, 0], [2, 2], [2, 0], [1, 0]]


def test_episodes_with_an_agent_depend_on_their_seeds_only(dot_world, dot_agent_folder, tmp_path):
    agent = load_agent(dot_agent_folder)

    def make(seeds):
        return ObservingAgent(dot_world, agent, (0.0, 0.3), seeds)

    config = dataclasses.replace(DOT_COLLECT, frames=200, shard_episodes=16)
    stores = [
        collect("dot_env:Dot-v0", tmp_path / str(n), dataclasses.replace(config, num_envs=n), make_actor=make)
        for n in (3, 8)
    ]
    first, second = ([(e.seed, e.policy, e.actions.tolist()) for e in store] for store in stores)
    assert first == second
    assert {policy for _, policy, _ in first} == {"agent(0)", "agent(0.3)"}


class Centred:
    """Takes action 0.3 of a Box at every step."""

    inputs = ("z", "h")

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full((len(observation), 1), 0.3, np.float32), None


def observe_for(steps, world, noise, episodes=8):
    """(steps, episodes) of what an agent does that wants 0.3 all the time."""
    agent, frames = (
        ObservingAgent(world, Centred(), (noise,), range(episodes)),
        np.zeros((episodes, *world.config.frame_shape), np.uint8),
    )
    state, acted = None, []
    for step in range(steps):
        actions, state = agent.predict(frames, state, np.full(episodes, step == 0))
        assert all(world.config.action.space.contains(action) for action in actions)
        acted.append(actions[:, 0])
    return np.array(acted)


def test_noise_of_continuous_actions_is_gaussian_correlated_and_around_the_agents(continuous_world):
    acted = observe_for(300, continuous_world, 0.1)

    assert acted.mean() == pytest.approx(0.3, abs=0.03) and acted.std() == pytest.approx(0.1, abs=0.02)
    assert len(np.unique(acted)) > 2000  # not an action of the agent's now, a uniform one then
    assert np.corrcoef(acted[1:].ravel(), acted[:-1].ravel())[0, 1] > 0.5


def test_noise_of_strength_0_leaves_continuous_actions_alone(continuous_world):
    assert (observe_for(5, continuous_world, 0.0) == np.float32(0.3)).all()


def test_a_warm_start_takes_what_fits():
    source, model = torch.nn.Linear(3, 2), torch.nn.Sequential(torch.nn.Linear(3, 2))
    warm_start(model, torch.nn.Sequential(source))
    assert torch.equal(model[0].weight, source.weight)
    wider = torch.nn.Sequential(torch.nn.Linear(3, 5))
    before = wider[0].weight.clone()
    warm_start(wider, torch.nn.Sequential(source))
    assert torch.equal(wider[0].weight, before)


def test_training_on_begins_with_the_sources_weights(dot_folder, dot_world, tmp_path):
    short = dataclasses.replace(
        DOT_TRAIN,
        memory=dataclasses.replace(DOT_TRAIN.memory, fit=dataclasses.replace(DOT_TRAIN.memory.fit, steps=1)),
        vision=dataclasses.replace(DOT_TRAIN.vision, fit=dataclasses.replace(DOT_TRAIN.vision.fit, steps=1)),
    )
    warm = dreamenv.train(tmp_path / "warm", short, episodes=dot_folder / "episodes", source=dot_world)
    cold = dreamenv.train(tmp_path / "cold", short, episodes=dot_folder / "episodes")
    distance = [(w.model.vision.expand.weight - dot_world.model.vision.expand.weight).abs().max() for w in (warm, cold)]
    assert distance[0] < 0.01 < distance[1]
    assert json.loads((tmp_path / "warm" / "config.json").read_text())["env_id"] == "dot_env:Dot-v0"


HASTY = {"fit": dataclasses.replace(DOT_TRAIN.vision.fit, steps=3)}
QUICK = IterateConfig(
    300,
    1,
    20,
    episodes=2,
    collect=dataclasses.replace(DOT_COLLECT, shard_episodes=16),
    train=dataclasses.replace(
        DOT_TRAIN,
        vision=dataclasses.replace(DOT_TRAIN.vision, **HASTY),
        memory=dataclasses.replace(DOT_TRAIN.memory, **HASTY),
    ),
    vision_steps=1,
    memory_steps=1,
    ppo=PPOConfig(timesteps=128, num_envs=8, n_steps=16, batch_size=64, n_epochs=1, net_arch=(8,)),
)


def test_ppo_iterates_too(tmp_path):
    first, second = iterate("dot_env:Dot-v0", tmp_path, QUICK)

    assert first.frames >= 300 and second.frames >= first.frames + 20
    assert second.frames == EpisodeStore(tmp_path / "episodes").num_frames
    assert isinstance(load_agent(tmp_path / "agents" / "ppo"), SB3Agent)


@pytest.mark.parametrize(
    ("env_id", "warm", "begins_warm"),
    [
        ("dot_env:Dot-v0", None, False),
        ("dot_env:Dot-v0", True, True),
        ("dot_env:ContinuousDot-v0", None, True),
        ("dot_env:ContinuousDot-v0", False, False),
    ],
)
def test_rounds_of_continuous_actions_begin_with_the_agent_before(tmp_path, monkeypatch, env_id, warm, begins_warm):
    trained, began = [], []
    train_ppo = ppo_module.train_ppo

    def spied(world, folder, config, *, source=None):
        began.append(source)
        trained.append(train_ppo(world, folder, config, source=source))
        return trained[-1]

    monkeypatch.setattr(ppo_module, "train_ppo", spied)
    iterate(env_id, tmp_path, dataclasses.replace(QUICK, warm=warm))

    assert began[0] is None
    assert (began[1] is not None) == begins_warm
    if begins_warm:
        assert all(
            torch.equal(one, other)
            for one, other in zip(trained[0].policy.parameters(), began[1].policy.parameters(), strict=True)
        )


def test_a_stopped_warm_round_goes_on_to_the_same_agent(tmp_path, monkeypatch):
    compared, compare = [], stored_module.compare

    def interrupted(*arguments, **how):
        compared.append(arguments)
        if len(compared) == 2:
            raise KeyboardInterrupt
        return compare(*arguments, **how)

    monkeypatch.setattr(stored_module, "compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        iterate("dot_env:ContinuousDot-v0", tmp_path / "stopped", QUICK)
    runs = [iterate("dot_env:ContinuousDot-v0", tmp_path / name, QUICK) for name in ("stopped", "whole")]

    assert [one.real.returns for one in runs[0]] == [one.real.returns for one in runs[1]]
    stopped, whole = (load_agent(rounds[1].folder / "agents" / "ppo").policy.state_dict() for rounds in runs)
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


def test_a_round_plays_the_greedy_agent_alone_and_what_sees_nothing_once(tmp_path, monkeypatch):
    played = []
    score = compare_module.score
    monkeypatch.setattr(compare_module, "score", lambda *a, **how: played.append(how) or score(*a, **how))

    rounds = iterate("dot_env:Dot-v0", tmp_path, QUICK)

    real = [how["name"] for how in played if how["temperature"] is None]
    assert [name for name in real if name.startswith("agent")] == ["agent, greedy"] * 2
    assert real.count("uniform random") == 1
    for one in rounds:
        assert {"agent, greedy", "uniform random"} <= {row.policy for row in one.comparison.scores}
    assert "sampling" not in rounds_table(rounds)


def test_the_command_shows_the_rounds_and_what_comes_next(finished, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("dreamenv.rounds.iterate.iterate", lambda *arguments: asked.append(arguments) or finished[1])

    assert main(["iterate", "--env", "dot_env:Dot-v0", "--world", str(tmp_path), "--agent", "linear"]) == 0

    said = capsys.readouterr().out
    assert asked == [(EnvRecipe("dot_env:Dot-v0"), tmp_path, IterateConfig(agent="linear"))]
    assert rounds_table(finished[1]) in said
    assert f"next: dreamenv compare --world {tmp_path} --agent {tmp_path / 'agents' / 'linear'}" in said
    assert (tmp_path / "rounds.png").stat().st_size > 1000


def test_a_world_that_was_made_without_rounds_is_not_replaced(dot_folder, tmp_path):
    copy_bundle(dot_folder, tmp_path)
    with pytest.raises(ResumeError, match="holds a world that other commands made"):
        iterate("dot_env:Dot-v0", tmp_path, CONFIG)
    assert world_id(load(tmp_path)) == world_id(load(dot_folder))
