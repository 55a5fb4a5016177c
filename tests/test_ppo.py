"""PPO in the dream: training, resume, what it refuses."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from acting import greedy, observations_of

import dreamenv
from dreamenv import DreamVectorEnv, PPOConfig, load_agent, train_ppo
from dreamenv.agents import dreams as dreams_module
from dreamenv.agents import ppo as module
from dreamenv.foundation.errors import ResumeError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.training.checkpoint import alone_in, checkpoints

QUICK = PPOConfig(timesteps=1024, num_envs=16, n_steps=16, batch_size=128, n_epochs=2, net_arch=(16,))


@pytest.fixture
def steps_taken(monkeypatch):
    """A list that counts the steps of all batches of dreams."""
    steps, original = [], DreamVectorEnv.step
    monkeypatch.setattr(DreamVectorEnv, "step", lambda self, actions: steps.append(1) or original(self, actions))
    return steps


def test_train_ppo_leaves_an_agent_that_acts_like_the_one_it_returns(dot_world, tmp_path):
    agent = train_ppo(dot_world, tmp_path, QUICK)
    observation = observations_of(dot_world)
    assert np.array_equal(greedy(load_agent(tmp_path), observation), greedy(agent, observation))
    assert checkpoints(tmp_path)
    assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_an_agent_trained_to_hold_its_actions_does_so_until_an_episode_begins(dot_world, tmp_path, steps_taken):
    train_ppo(dot_world, tmp_path, dataclasses.replace(QUICK, action_repeat=3))
    agent, seen = load_agent(tmp_path), observations_of(dot_world).reshape(16, 4, -1)
    decided = np.stack([greedy(agent, observation) for observation in seen])
    assert 3 * QUICK.timesteps // QUICK.num_envs <= len(steps_taken)
    assert (decided != decided[:1]).any(), "an agent that always does the same shows nothing"

    state, acted = None, []
    for step, observation in enumerate(seen):
        begins = np.array([step == 0, step in (0, 7), step in (0, 7, 8), False])  # row 3 never says that it begins
        actions, state = agent.predict(observation, state, begins, deterministic=True)
        acted.append(actions)

    since = {0: [0, 3, 6, 9, 12, 15], 1: [0, 3, 6, 7, 10, 13], 2: [0, 3, 6, 7, 8, 11, 14], 3: [0, 3, 6, 9, 12, 15]}
    for row, decisions in since.items():
        last = [max(d for d in decisions if d <= step) for step in range(16)]
        assert [actions[row] for actions in acted] == decided[last, row].tolist()


def test_ppo_learns_from_normalised_rewards_if_asked(dot_world, tmp_path, monkeypatch):
    made = []

    class Spy(module.VecNormalize):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(module, "VecNormalize", Spy)
    train_ppo(dot_world, tmp_path / "plain", QUICK)
    assert not made

    train_ppo(dot_world, tmp_path / "normalised", dataclasses.replace(QUICK, normalize_reward=True))
    assert made[0].ret_rms.count > 1000 and made[0].gamma == QUICK.gamma
    assert made[0].norm_reward and not made[0].norm_obs


def test_train_ppo_goes_on_from_its_checkpoint(dot_world, tmp_path, monkeypatch, steps_taken):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    original, saves = module.save_checkpoint, []

    def interrupted(*args):
        original(*args)
        saves.append(args[-1])
        if len(saves) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(dot_world, tmp_path, QUICK)
    monkeypatch.setattr(module, "save_checkpoint", original)
    done = saves[-1]
    assert 0 < done < QUICK.timesteps
    del steps_taken[:]
    train_ppo(dot_world, tmp_path, QUICK)
    assert len(steps_taken) * QUICK.num_envs == QUICK.timesteps - done
    del steps_taken[:]
    train_ppo(dot_world, tmp_path, QUICK)
    assert not steps_taken


def test_a_resumed_run_dreams_on_with_seeds_of_its_own(dot_world, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    original, reset, seeds = module.save_checkpoint, DreamVectorEnv.reset, []

    def interrupted(*args):
        original(*args)
        if args[-1]:
            raise KeyboardInterrupt

    def counted(self, *, seed=None, options=None):
        seeds.append(seed)
        return reset(self, seed=seed, options=options)

    monkeypatch.setattr(DreamVectorEnv, "reset", counted)
    monkeypatch.setattr(module, "save_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(dot_world, tmp_path / "one", QUICK)
    monkeypatch.setattr(module, "save_checkpoint", original)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    one, other = (train_ppo(dot_world, tmp_path / name, QUICK).policy.state_dict() for name in ("one", "other"))
    begun, resumed, again = seeds
    assert len(set(begun)) == QUICK.num_envs
    assert resumed == again and not set(resumed) & set(begun)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_resumed_run_starts_with_the_weights_of_its_checkpoint(dot_world, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    original, start, weights = module.save_checkpoint, module._Progress._on_training_start, {}

    def copied(policy):
        return {name: value.clone() for name, value in policy.state_dict().items()}

    def interrupted(folder, policy, optimizer, fingerprint, step):
        original(folder, policy, optimizer, fingerprint, step)
        if step:
            weights["saved"] = copied(policy)
            raise KeyboardInterrupt

    def noted(progress):
        weights["begun"] = copied(progress.model.policy)
        start(progress)

    monkeypatch.setattr(module._Progress, "_on_training_start", noted)
    monkeypatch.setattr(module, "save_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(dot_world, tmp_path, QUICK)
    fresh = weights["begun"]
    monkeypatch.setattr(module, "save_checkpoint", original)
    train_ppo(dot_world, tmp_path, QUICK)
    assert all(torch.equal(weights["begun"][name], value) for name, value in weights["saved"].items())
    assert not all(torch.equal(fresh[name], value) for name, value in weights["saved"].items())


@pytest.mark.parametrize("change", [{"seed": 1}, {"gamma": 0.9}, {"net_arch": (8,)}, {"temperature": 0.5}], ids=str)
def test_train_ppo_refuses_other_settings(dot_world, tmp_path, change):
    train_ppo(dot_world, tmp_path, QUICK)
    with pytest.raises(ResumeError, match="other settings"):
        train_ppo(dot_world, tmp_path, dataclasses.replace(QUICK, **change))


def test_train_ppo_refuses_another_world(dot_world, continuous_world, tmp_path):
    train_ppo(dot_world, tmp_path, QUICK)
    with pytest.raises(ResumeError):
        train_ppo(continuous_world, tmp_path, QUICK)


def test_train_ppo_begins_with_the_action_prior(dot_world, tmp_path):
    config = dataclasses.replace(dot_world.config, action_prior=(0.8, 0.1, 0.1))
    world = dreamenv.World(config, dot_world.model, dot_world.bank, path=dot_world.path)
    agent = train_ppo(world, tmp_path, dataclasses.replace(QUICK, learning_rate=0.0))
    observation = torch.from_numpy(observations_of(world))
    with torch.no_grad():
        shares = agent.policy.get_distribution(observation).distribution.probs.mean(0)
    assert shares.numpy() == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_train_ppo_begins_at_the_prior_of_a_box_with_the_spread_asked_for(continuous_world, tmp_path):
    """The middle of (0, 3) is 1.5, where an agent without a prior of 2.4 would begin."""
    box = ActionSpec(low=(0.0,), high=(3.0,))
    config = dataclasses.replace(continuous_world.config, action=box, action_prior=(2.4,))
    world = dreamenv.World(config, continuous_world.model, continuous_world.bank)
    settings = dataclasses.replace(QUICK, learning_rate=0.0, log_std=-2.0, timesteps=256)
    agent = train_ppo(world, tmp_path, settings)
    assert np.allclose(greedy(agent, observations_of(world)), 2.4, atol=0.1)
    assert np.allclose(greedy(load_agent(tmp_path), observations_of(world)), 2.4, atol=0.1)
    assert agent.policy.log_std.tolist() == [-2.0]
    assert agent.config.scaled_actions


def test_train_ppo_begins_at_rest_where_a_box_has_no_prior(continuous_world, tmp_path):
    config = dataclasses.replace(continuous_world.config, action=ActionSpec(low=(0.0,), high=(1.0,)))
    world = dreamenv.World(config, continuous_world.model, continuous_world.bank)
    agent = train_ppo(world, tmp_path, dataclasses.replace(QUICK, learning_rate=0.0, timesteps=256))
    assert greedy(agent, observations_of(world)).max() < 0.06


@pytest.mark.parametrize("fixture", ["dot_world", "continuous_world"])
def test_train_ppo_goes_on_from_the_weights_of_another_agent(request, tmp_path, fixture):
    world = request.getfixturevalue(fixture)
    short = dataclasses.replace(QUICK, timesteps=256)
    first = train_ppo(world, tmp_path / "first", short)
    still = dataclasses.replace(short, learning_rate=0.0, seed=1)
    warm = train_ppo(world, tmp_path / "warm", still, source=load_agent(tmp_path / "first"))
    own, given = warm.policy.state_dict(), first.policy.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in given if name != "log_std")
    if fixture == "continuous_world":
        assert own["log_std"].tolist() == pytest.approx([QUICK.log_std])
    with pytest.raises(ResumeError, match="source .* there, None here"):
        train_ppo(world, tmp_path / "warm", still)


def test_a_source_that_does_not_fit_is_refused(dot_world, tmp_path):
    short = dataclasses.replace(QUICK, timesteps=256)
    source = train_ppo(dot_world, tmp_path / "first", short)
    for change in ({"net_arch": (8,)}, {"inputs": ("z",)}):
        with pytest.raises(ValueError, match="expected a source with"):
            train_ppo(dot_world, tmp_path / "warm", dataclasses.replace(short, **change), source=source)
    assert not (tmp_path / "warm").exists()


def test_train_ppo_takes_continuous_actions(continuous_world, tmp_path):
    agent = train_ppo(continuous_world, tmp_path, dataclasses.replace(QUICK, timesteps=256))
    action = greedy(agent, observations_of(continuous_world)[0])
    assert continuous_world.config.action.space.contains(action)


def test_train_ppo_shapes_rewards_when_asked(dot_world, tmp_path, monkeypatch):
    original, seen = dreams_module.VectorActionPenalty, []

    def observed(env, penalty):
        seen.append(penalty)
        return original(env, penalty)

    monkeypatch.setattr(dreams_module, "VectorActionPenalty", observed)
    train_ppo(dot_world, tmp_path / "free", dataclasses.replace(QUICK, timesteps=256))
    assert seen == []
    train_ppo(dot_world, tmp_path / "costly", dataclasses.replace(QUICK, timesteps=256, action_penalty=0.02))
    assert seen == [0.02]


def test_two_runs_in_one_folder_are_one_too_many(dot_world, tmp_path):
    with alone_in(tmp_path), pytest.raises(ResumeError, match="another process is at work"):
        train_ppo(dot_world, tmp_path, QUICK)
