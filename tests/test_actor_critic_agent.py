"""The actor-critic as an agent: training and resume, files, and the rest of the package."""

import dataclasses
import json
from typing import get_args

import numpy as np
import pytest
import safetensors.torch
import torch
from acting import greedy, observations_of
from dot_settings import DOT_COLLECT, DOT_TRAIN
from safetensors.torch import load as load_tensors

import dreamenv
from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.distributions import BoxKind
from dreamenv.agents.actor_critic.learning import Learner
from dreamenv.agents.actor_critic.policy import ActorCriticAgent
from dreamenv.agents.actor_critic.starts import BankStarts, RecordedStarts
from dreamenv.agents.actor_critic.train import train_actor_critic
from dreamenv.agents.vote import VotingAgent, save_vote
from dreamenv.cli.run import main
from dreamenv.evaluate.choose import ChooseConfig
from dreamenv.evaluate.compare import CompareConfig
from dreamenv.foundation.errors import BundleError, DivergenceError, ResumeError, SettingsError
from dreamenv.foundation.manifest import read_files, write_files
from dreamenv.recordings import record
from dreamenv.training import fit as fit_module
from dreamenv.training.checkpoint import alone_in, checkpoints
from dreamenv.world import showing

QUICK = ActorCriticConfig(updates=6, num_envs=8, horizon=4, net_arch=(8,), least_return_range=0.1)
LEARNS = ActorCriticConfig(
    updates=150, num_envs=64, horizon=8, net_arch=(32,), actor_learning_rate=5e-3, critic_learning_rate=5e-3
)


class SpoiledStarts:
    """Starts of the bank, changed by a function."""

    def __init__(self, world, spoil=None):
        self._starts, self._spoil, self.identity = BankStarts(world, 0.5), spoil, "spoiled"

    def draw(self, count, generator):
        state = self._starts.draw(count, generator)
        return self._spoil(state) if self._spoil else state


@pytest.fixture(scope="module")
def saved(dot_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    train_actor_critic(dot_world, folder, QUICK)
    return folder


def weights(agent):
    return agent.networks.state_dict()


def same(one, other):
    return all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())


@pytest.fixture
def interrupt(monkeypatch):
    """``interrupt(step)``: the update of that number ends the run, checkpoints are written after every other."""
    original = Learner.loss

    def at(number):
        def loss(self, start, step, generator):
            if step == number:
                raise KeyboardInterrupt
            return original(self, start, step, generator)

        monkeypatch.setattr(fit_module, "CHECKPOINT_SECONDS", 0.0)
        monkeypatch.setattr(Learner, "loss", loss)

    return at


@pytest.mark.parametrize("dynamics_gradient", [0.0, 0.5])
def test_an_interrupted_run_ends_bitwise_like_an_uninterrupted_one(dot_world, tmp_path, interrupt, dynamics_gradient):
    config = dataclasses.replace(QUICK, dynamics_gradient=dynamics_gradient, slow_fraction=0.3, slow_interval=2)
    whole = train_actor_critic(dot_world, tmp_path / "whole", config)
    for step in (3, 4):
        interrupt(step)
        with pytest.raises(KeyboardInterrupt):
            train_actor_critic(dot_world, tmp_path / "killed", config)
    interrupt(None)
    assert not (tmp_path / "killed" / "config.json").exists()
    killed = train_actor_critic(dot_world, tmp_path / "killed", config)

    assert same(killed, whole)
    stored = [
        load_tensors(checkpoints(tmp_path / name / "actor-critic")[0].read_bytes()) for name in ("whole", "killed")
    ]
    assert stored[0].keys() == stored[1].keys()
    assert all(torch.equal(tensor, stored[1][name]) for name, tensor in stored[0].items())
    assert {"model/return_range", "model/slow_critic.0.weight"} <= set(stored[0])


def test_a_finished_run_is_not_trained_again(dot_world, saved, interrupt):
    interrupt(0)
    assert same(train_actor_critic(dot_world, saved, QUICK), dreamenv.load_agent(saved))


def test_a_seed_fixes_the_agent(dot_world, saved, tmp_path):
    again = train_actor_critic(dot_world, tmp_path / "again", QUICK)
    other = train_actor_critic(dot_world, tmp_path / "other", dataclasses.replace(QUICK, seed=1))

    assert same(again, dreamenv.load_agent(saved))
    assert not any(torch.equal(weights(other)[name], tensor) for name, tensor in weights(again).items())


def test_it_learns_the_dream_of_the_dot(dot_world, tmp_path):
    agent = train_actor_critic(dot_world, tmp_path, LEARNS)
    comparison = dreamenv.compare(dot_world, agent, CompareConfig((1.0,), 40, 80_000))
    success = {(score.place, score.policy): score.success for score in comparison.scores}

    assert success["dream", "agent, greedy"] > 0.8
    assert success["real", "agent, greedy"] > 0.8 > 0.65 > success["real", "uniform random"]


def test_an_rssm_is_a_world_like_others(rssm_world, tmp_path):
    agent = train_actor_critic(rssm_world, tmp_path, dataclasses.replace(QUICK, dynamics_gradient=0.5))
    seen = observations_of(rssm_world)
    assert np.array_equal(greedy(dreamenv.load_agent(tmp_path), seen), greedy(agent, seen))


@pytest.mark.parametrize("box", get_args(BoxKind))
def test_a_box_is_learned_with_gradients_and_its_actions_are_in_the_space(continuous_world, tmp_path, box):
    config = dataclasses.replace(QUICK, dynamics_gradient=1.0, box=box)
    agent = train_actor_critic(continuous_world, tmp_path, config)
    space, seen = continuous_world.config.action.space, observations_of(continuous_world)
    assert np.array_equal(greedy(dreamenv.load_agent(tmp_path), seen), greedy(agent, seen))
    drawn = agent.predict(seen)[0]
    assert all(space.contains(action) for action in (*greedy(agent, seen), *drawn))
    with pytest.raises(SettingsError, match="expected discrete actions"):
        agent.probabilities(torch.from_numpy(seen))


def test_an_agent_survives_its_files_critic_included(dot_world, saved):
    agent = dreamenv.load_agent(saved)
    state = dot_world.model.initial(3)
    state = dataclasses.replace(state, z=torch.randn(3, 8, generator=torch.Generator().manual_seed(0)))

    assert isinstance(agent, ActorCriticAgent) and agent.stochastic
    assert agent.config.world == dreamenv.bundle.world_id(dot_world)
    expected = agent.networks.critic(dot_world.features(state)).squeeze(1)
    assert torch.equal(agent.value(state), expected) and agent.value(state).shape == (3,)
    assert json.loads((saved / "config.json").read_text())["kind"] == "actor-critic"


def test_the_unit_of_its_values_survives_the_files(dot_world, saved, tmp_path):
    agent = train_actor_critic(dot_world, tmp_path, dataclasses.replace(QUICK, value_unit=50.0))
    state = dot_world.model.initial(3)
    value = dreamenv.load_agent(tmp_path).value(state)

    assert torch.equal(value, 50.0 * agent.networks.critic(dot_world.features(state)).squeeze(1))
    assert value.abs().min() > 0
    with pytest.raises(SettingsError, match="value_unit"):
        train_actor_critic(dot_world, tmp_path / "next", QUICK, source=agent)


@pytest.mark.parametrize("fixture", ["dot_world", "continuous_world"])
def test_a_seed_restarts_the_draws(request, tmp_path, fixture):
    world = request.getfixturevalue(fixture)
    agent, seen = train_actor_critic(world, tmp_path, QUICK), observations_of(world)
    agent.set_random_seed(9)
    first, second = agent.predict(seen)[0], agent.predict(seen)[0]
    agent.set_random_seed(9)
    torch.rand(3)  # the global generator has no part in it

    assert np.array_equal(agent.predict(seen)[0], first) and not np.array_equal(first, second)


def test_draws_have_the_probabilities_of_the_policy(dot_world, saved):
    agent, seen = dreamenv.load_agent(saved), np.repeat(observations_of(dot_world)[:1], 20_000, 0)
    shares = np.bincount(agent.predict(seen)[0], minlength=3) / len(seen)
    assert shares == pytest.approx(agent.probabilities(torch.from_numpy(seen))[0].numpy(), abs=0.015)


def changed(folder, target, facts=None, drop=None, **tensors):
    contents = read_files(folder, ("config.json", "agent.safetensors"))
    config = json.loads(contents["config.json"]) | (facts or {})
    held = load_tensors(contents["agent.safetensors"]) | tensors
    held.pop(drop, None)
    write_files(target, {"config.json": json.dumps(config).encode(), "agent.safetensors": safetensors.torch.save(held)})
    return target


@pytest.mark.parametrize(
    "change",
    [
        {"facts": {"net_arch": [9]}},
        {"facts": {"net_arch": [65536] * 15}},
        {"facts": {"feature_size": 7}},
        {"facts": {"details": {"box": "uniform"}}},
        {"facts": {"details": {"box": []}}},
        {"facts": {"details": {"value_unit": 0.0}}},
        {"facts": {"details": {"value_unit": "1"}}},
        {"drop": "critic.0.weight"},
        {"more": torch.zeros(2)},
        {"actor.2.bias": torch.zeros(4)},
        {"actor.2.bias": torch.zeros(3, dtype=torch.int64)},
    ],
    ids=str,
)
def test_damaged_files_are_refused(saved, tmp_path, change):
    with pytest.raises(BundleError, match="not an actor-critic"):
        dreamenv.load_agent(changed(saved, tmp_path, **change))


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"horizon": 5}, {"td_lambda": 0.9}, {"critic_learning_rate": 1e-3}, {"updates": 7}], ids=str
)
def test_other_settings_are_refused(dot_world, saved, change):
    with pytest.raises(ResumeError, match="other settings"):
        train_actor_critic(dot_world, saved, dataclasses.replace(QUICK, **change))


def test_another_world_other_starts_and_another_kind_of_agent_are_refused(
    dot_world, continuous_world, saved, dot_agent_folder
):
    with pytest.raises(ResumeError):
        train_actor_critic(continuous_world, saved, QUICK)
    with pytest.raises(ResumeError, match="starts"):
        train_actor_critic(dot_world, saved, QUICK, starts=SpoiledStarts(dot_world))
    with pytest.raises(ResumeError, match="one of kind actor-critic, got linear"):
        train_actor_critic(dot_world, dot_agent_folder, QUICK)
    with alone_in(saved), pytest.raises(ResumeError, match="another process is at work"):
        train_actor_critic(dot_world, saved, QUICK)


def test_a_training_begins_with_the_weights_of_a_source(dot_world, saved, tmp_path):
    source = dreamenv.load_agent(saved)
    still = dataclasses.replace(QUICK, actor_learning_rate=0.0, critic_learning_rate=0.0, seed=3)
    assert same(train_actor_critic(dot_world, tmp_path / "warm", still, source), source)
    train_actor_critic(dot_world, tmp_path / "learns", dataclasses.replace(QUICK, seed=3), source)
    assert same(source, dreamenv.load_agent(saved)), "a training changed its source"
    with pytest.raises(ResumeError, match="source .* there, None here"):
        train_actor_critic(dot_world, tmp_path / "warm", still)
    for change in ({"net_arch": (9,)}, {"inputs": ("z",)}):
        with pytest.raises(SettingsError, match="expected a source with"):
            train_actor_critic(dot_world, tmp_path / "no", dataclasses.replace(QUICK, **change), source)
    assert not (tmp_path / "no").exists()


def test_an_agent_sees_its_inputs_only(dot_world, tmp_path):
    config = dataclasses.replace(QUICK, inputs=("h", "c"))
    train_actor_critic(dot_world, tmp_path, config)
    agent = dreamenv.load_agent(tmp_path)
    world = showing(dot_world, ("h", "c"))

    assert agent.inputs == ("h", "c") and agent.config.feature_size == world.feature_size
    assert greedy(agent, observations_of(world)).shape == (64,)


def test_a_number_that_is_not_finite_stops_the_training_and_is_not_saved(dot_world, tmp_path):
    spoiled = SpoiledStarts(dot_world, lambda state: dataclasses.replace(state, z=state.z * float("nan")))
    with pytest.raises(DivergenceError, match="loss of actor-critic is nan at step 0"):
        train_actor_critic(dot_world, tmp_path, QUICK, starts=spoiled)
    assert not checkpoints(tmp_path / "actor-critic") and not (tmp_path / "config.json").exists()


def test_recorded_moments_are_starts_with_what_the_model_remembers(dot_folder, dot_world, tmp_path):
    episodes = list(dreamenv.EpisodeStore(dot_folder / "episodes"))[:5]
    starts = RecordedStarts.of(dot_world, record(dot_world.model, episodes, dot_world.config))
    states = starts.draw(500, torch.Generator().manual_seed(0))

    assert len(starts.states.step) == sum(map(len, episodes))
    assert {int(step) for step in states.step} == set(range(max(map(len, episodes))))
    assert not states.h[states.step == 0].any() and states.h[states.step > 0].any(1).all()
    agent = train_actor_critic(dot_world, tmp_path / "a", QUICK, starts=starts)
    assert not same(agent, train_actor_critic(dot_world, tmp_path / "b", QUICK))


def test_it_is_chosen_examined_and_votes(dot_folder, dot_world, saved, tmp_path):
    agent = dreamenv.load_agent(saved)
    assert dreamenv.choose(dot_world, {"one": agent}, ChooseConfig(episodes=2))
    store = dreamenv.EpisodeStore(dot_folder / "episodes")
    assert dreamenv.trust(dot_world, agent, store, dreamenv.TrustConfig(dreams=4, gamma=0.9)).light

    other = train_actor_critic(dot_world, tmp_path / "other", dataclasses.replace(QUICK, seed=1))
    assert main(["vote", "--members", str(saved), str(tmp_path / "other"), "--agent", str(tmp_path / "vote")]) == 0
    both, seen = dreamenv.load_agent(tmp_path / "vote"), torch.from_numpy(observations_of(dot_world))
    assert isinstance(both, VotingAgent) and len(both.members) == 2
    mean = torch.stack([agent.probabilities(seen), other.probabilities(seen)]).mean(0)
    assert torch.allclose(both.probabilities(seen), mean)
    with pytest.raises(SettingsError, match="expected agents of one world"):
        save_vote(VotingAgent([agent, dreamenv.load_agent("sidewalk/ppo")]), tmp_path / "mixed")


def short(training, steps):
    return dataclasses.replace(training, fit=dataclasses.replace(training.fit, steps=steps))


def test_it_iterates(tmp_path):
    config = dreamenv.IterateConfig(
        300, 1, 20, target=2.0, agent=QUICK, warm=True, episodes=2,
        collect=dataclasses.replace(DOT_COLLECT, shard_episodes=16),
        train=dataclasses.replace(DOT_TRAIN, vision=short(DOT_TRAIN.vision, 3), memory=short(DOT_TRAIN.memory, 3)),
        vision_steps=1, memory_steps=1,
    )  # fmt: skip
    rounds = dreamenv.iterate("dot_env:Dot-v0", tmp_path, config)

    assert len(rounds) == 2
    assert isinstance(dreamenv.load_agent(tmp_path / "agents" / "actor-critic"), ActorCriticAgent)


def test_an_agent_of_another_kind_does_not_replace_it(dot_world, saved, tmp_path):
    before = (saved / "manifest.json").read_bytes()
    with pytest.raises(ResumeError, match="kind linear, got actor-critic"):
        dreamenv.evolve(dot_world, saved, dreamenv.EvolveConfig(generations=1))
    assert (saved / "manifest.json").read_bytes() == before
