"""Online learning: collect a little, train a little, judge now and then; a stopped run goes on to the same numbers."""

import dataclasses
import math
import sys
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from dot_env import HEIGHT, WIDTH
from dot_settings import DOT_EXPLORATION

from dreamenv import (
    DreamerConfig,
    EpisodeStore,
    PlanetConfig,
    learn_online,
    load,
    load_agent,
    online_config,
)
from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.planner import Planner
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.bundle import world_id
from dreamenv.cli.run import main
from dreamenv.evaluate.rounds import best_round
from dreamenv.evaluate.tables import rounds_table
from dreamenv.foundation.errors import ResumeError
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.rounds.online_learner import OnlineLearner
from dreamenv.training import fit as fit_module
from dreamenv.training.checkpoint import checkpoints
from dreamenv.training.fit import FitConfig
from dreamenv.training.rssm_loss import SequenceTraining

online_module = sys.modules["dreamenv.rounds.online"]
stored_module = sys.modules["dreamenv.rounds.stored"]
loss_module = sys.modules["dreamenv.training.rssm_sequences"]

SIZES = RSSMConfig(
    frame_shape=(HEIGHT, WIDTH, 3),
    channels=(8, 16),
    embedding_size=0,
    latent_size=8,
    hidden_size=16,
    units=16,
    posterior_layers=1,
    posterior_reads_h=True,
    decoder_reads_h=True,
)
JOINT = SequenceTraining(
    FitConfig(steps=0, learning_rate=3e-3, precision="float32"), batch_size=6, length=12, decoded=30, free_nats=1.0
)
LOOP = {
    "frames": 150,
    "first_updates": 4,
    "collect_frames": 40,
    "updates": 3,
    "trainings": 2,
    "rounds": 1,
    "target": 2.0,
    "episodes": 3,
    "exploration": DOT_EXPLORATION,
    "model": SIZES,
    "joint": JOINT,
    "branches": 8,
}
IMAGINED = ActorCriticConfig(num_envs=20, horizon=4, net_arch=(8,), dynamics_gradient=0.5)
CONFIGS = {
    "dreamer": DreamerConfig(**LOOP, actor_critic=IMAGINED),
    "planet": PlanetConfig(**LOOP, planner=PlannerConfig(candidates=6, elites=2, iterations=2, horizon=3)),
}
DOT, CONTINUOUS = "dot_env:Dot-v0", "dot_env:ContinuousDot-v0"


@pytest.fixture(scope="module", params=[("dreamer", DOT), ("dreamer", CONTINUOUS), ("planet", DOT)])
def finished(request, tmp_path_factory):
    """Settings, environment, folder and rounds of an uninterrupted run."""
    name, env = request.param
    folder = tmp_path_factory.mktemp(name)
    return CONFIGS[name], env, folder, learn_online(env, folder, CONFIGS[name])


def test_frames_and_updates_grow_together(finished):
    config, _, folder, rounds = finished
    policies = [episode.policy for episode in EpisodeStore(folder / "episodes")]
    lengths = EpisodeStore(folder / "episodes").lengths
    explored = sum(not policy.startswith("agent") for policy in policies)
    assert policies[explored:] == ["agent(0)"] * (len(policies) - explored) and len(policies) > explored
    frames = (lengths + 1).cumsum()
    assert frames[explored - 2] < config.frames <= frames[explored - 1] == rounds[0].frames
    goal = config.frames + 2 * config.collect_frames
    assert frames[-2] < goal <= frames[-1] == rounds[1].frames
    newest = checkpoints(sorted((folder / "training").glob("online-*"))[-1])[0]
    assert int(newest.stem.split("-")[1]) == 4 + 2 * 3


def test_the_folder_holds_the_best_round_and_its_agent(finished):
    config, env, folder, rounds = finished
    best = best_round(rounds)
    assert world_id(load(folder)) == world_id(load(best.folder))
    agent = load_agent(folder / "agents" / ("planner" if isinstance(config, PlanetConfig) else "actor-critic"))
    assert isinstance(agent, Planner) == isinstance(config, PlanetConfig)
    assert all(one.real.seeds == (80_000, 80_002) and one.seconds > 0.0 for one in rounds)
    assert "seconds" in rounds_table(rounds)


def test_the_learned_world_opens_as_a_dream(finished):
    env = gym.make("dreamenv:Dream-v0", world=str(finished[2]))
    observation, _ = env.reset(seed=0)
    assert observation.shape == (SIZES.z_size + SIZES.hidden_size,)
    assert np.isfinite(env.step(env.action_space.sample())[0]).all()


def test_a_finished_run_is_read_and_may_have_more_rounds(finished, monkeypatch):
    config, env, folder, rounds = finished
    with monkeypatch.context() as patch:
        patch.setattr(online_module, "collect", None)
        again = learn_online(env, folder, config)
    assert [one.real for one in again] == [one.real for one in rounds]
    with pytest.raises(ResumeError, match="another updates"):
        learn_online(env, folder, replace(config, updates=7))


@pytest.mark.parametrize(
    ("place", "name", "calls"),
    [
        (loss_module, "sequence_loss", 3),  # in the first training
        (loss_module, "sequence_loss", 9),  # in the last
        (sys.modules["dreamenv.data.player"], "_to_episode", 14),  # while the behaviour collects
        (online_module, "save", 2),  # after the last training
        (stored_module, "compare", 2),
    ],
)
@pytest.mark.parametrize("name_of", ["dreamer", "planet"])
def test_a_stopped_run_goes_on_to_the_same_numbers(tmp_path, monkeypatch, name_of, place, name, calls, whole):
    config, env = CONFIGS[name_of], CONTINUOUS if name_of == "dreamer" else DOT
    original, made = getattr(place, name), []

    def interrupted(*args, **kwargs):
        made.append(None)
        if len(made) == calls:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(fit_module, "CHECKPOINT_SECONDS", -1.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, name, interrupted)
        learn_online(env, tmp_path, config)
    rounds = learn_online(env, tmp_path, config)

    expected = whole(name_of)
    assert [one.real.returns for one in rounds] == [one.real.returns for one in expected[1]]
    assert [world_id(load(one.folder)) for one in rounds] == [world_id(load(one.folder)) for one in expected[1]]
    stores = [EpisodeStore(folder / "episodes") for folder in (tmp_path, expected[0])]
    assert np.array_equal(*(np.concatenate([e.actions for e in store]) for store in stores))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder and rounds of an uninterrupted run of a kind."""
    made = {}

    def run(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(f"whole-{name}")
            made[name] = folder, learn_online(CONTINUOUS if name == "dreamer" else DOT, folder, CONFIGS[name])
        return made[name]

    return run


def learner_of(folder, config, store_folder):
    store = EpisodeStore(store_folder / "episodes")
    learner = OnlineLearner(folder, config)
    learner.learn(store, 0, 1)
    return learner, store


def test_the_model_learns_the_same_whatever_the_behaviour_learns(whole, tmp_path):
    """No gradient of actor and critic reaches the model, though gradients pass through its dynamics."""
    config, folder = CONFIGS["dreamer"], whole("dreamer")[0]
    without = PlanetConfig(**LOOP, planner=PlannerConfig())
    weights = []
    for name, one in (("both", config), ("alone", without)):
        learner, store = learner_of(tmp_path / name, one, folder)
        learner.learn(store, 1, 2)
        weights.append(learner.world.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_actor_and_critic_learn(whole, tmp_path):
    learner, store = learner_of(tmp_path, CONFIGS["dreamer"], whole("dreamer")[0])
    before = {name: tensor.clone() for name, tensor in learner.actor_critic.state_dict().items()}
    learner.learn(store, 1, 2)
    after = learner.actor_critic.state_dict()
    assert not [name for name in before if name.endswith("weight") and torch.equal(before[name], after[name])]


def test_held_out_episodes_teach_nothing(finished, tmp_path, monkeypatch):
    config, _, folder, _ = finished
    seen, original = [], loss_module.frames_at

    def spied(frames, index):
        seen.append(len(frames))
        return original(frames, index)

    monkeypatch.setattr(loss_module, "frames_at", spied)
    _, store = learner_of(tmp_path, config, folder)
    assert set(seen) == {len(store.training)} and len(store.training) < len(store)


def test_a_new_kind_of_ending_begins_a_stage_with_the_weights_so_far(tmp_path, whole, monkeypatch):
    """Seed episodes without a success know no better ending; the model keeps all weights but gets a row for it."""
    config, source = CONFIGS["dreamer"], whole("dreamer")[0]
    store = EpisodeStore(source / "episodes")
    plain = [e for e in store if not (e.terminated and e.rewards[-1] > 0.0)]
    rest = [e for e in store if e not in plain]
    with EpisodeStoreOf(tmp_path / "episodes", store, plain) as few:
        learner = OnlineLearner(tmp_path / "training", config)
        learner.learn(few, 0, 2)
        before = {name: tensor.clone() for name, tensor in learner.world.model.state_dict().items()}
        few.append(rest)
        monkeypatch.setattr(fit_module, "_update", lambda *_: None)
        learner.learn(few, 2, 3)
    after = learner.world.model.state_dict()
    kinds = learner.world.config.endings
    assert "better" in kinds and len(after["endings.linear.weight"]) == len(before["endings.linear.weight"]) + 1
    assert [path.name for path in sorted((tmp_path / "training").iterdir()) if path.is_dir()] == [
        "online-00000000",
        "online-00000002",
    ]
    same = [name for name in before if before[name].shape == after[name].shape and "reward." not in name]
    assert len(same) > 20 and all(torch.equal(before[name], after[name]) for name in same)
    assert learner.updates == 3 == OnlineLearner(tmp_path / "training", config).updates


class EpisodeStoreOf:
    """Opens a store for writing that holds some episodes of another."""

    def __init__(self, folder, like, episodes):
        self._folder, self._like, self._episodes = folder, like, episodes

    def __enter__(self):
        self.store = EpisodeStore.create(self._folder, self._like.spec)
        self.store.append(self._episodes)
        return self.store

    def __exit__(self, *_):
        self.store.close()


def test_the_commands_run_the_loops_of_their_version_and_size(tmp_path, monkeypatch, capsys):
    asked = []

    def stop(env, folder, config, *, device):
        asked.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(online_module, "learn_online", stop)
    for command in (["planet"], ["dreamer"], ["dreamer", "--version", "1", "--size", "published", "--seed", "7"]):
        assert main([*command, "--env", DOT, "--world", str(tmp_path)]) == 130
    names = [("planet", "small"), ("dreamer-v2", "small"), ("dreamer-v1", "published")]
    expected = [online_config(*name) for name in names]
    assert asked == [*expected[:2], replace(expected[2], seed=7)]
    for wrong, message in ((["--version", "3"], "--version among 1, 2, got 3"), (["--size", "big"], "--size among")):
        assert main(["dreamer", *wrong, "--env", DOT, "--world", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err


def test_the_command_line_ends_with_the_table_and_the_next_command(tmp_path, capsys):
    options = ["--rounds", "0", "--episodes", "2", "--frames", "60", "--first-updates", "2", "--updates", "2"]
    sizes = ["--joint.batch-size", "2", "--joint.length", "6", "--planner.candidates", "4", "--planner.elites", "2"]
    assert main(["planet", "--env", DOT, "--world", str(tmp_path), *options, *sizes]) == 0
    printed = capsys.readouterr().out
    assert "round" in printed and "kept" in printed
    assert f"next: dreamenv compare --world {tmp_path} --agent {tmp_path / 'agents' / 'planner'}" in printed
    assert (tmp_path / "rounds.png").stat().st_size > 5000


@pytest.mark.parametrize("name", ["planet", "dreamer-v1", "dreamer-v2"])
def test_small_loops_are_smaller(name):
    published, small = online_config(name, "published"), online_config(name)
    assert type(small) is type(published) and small.model.latent == published.model.latent
    assert small.updates < published.updates  # of an episode of 1,000 environment steps
    own = ("fit", "batch_size", "length", "decoded", "reconstruction_scale")
    same = dataclasses.replace(small.joint, **{name: getattr(published.joint, name) for name in own})
    assert same == published.joint and small.joint.batch_size <= published.joint.batch_size
    assert small.joint.length <= published.joint.length
    weights = [one.joint.reconstruction_scale * math.prod(one.model.frame_shape) for one in (small, published)]
    assert weights[0] == weights[1]  # all pixels together weigh the same


def test_dreamer_solves_the_task_from_nothing(tmp_path):
    """300 frames of exploration, where going one way blindly succeeds in half of the episodes, and 600 of its own."""
    joint = replace(
        JOINT, batch_size=16, length=20, decoded=100, kl_scale=0.3, free_nats=0.0, reconstruction_scale=10.0
    )
    behaviour = ActorCriticConfig(
        num_envs=128,
        net_arch=(32,),
        horizon=10,
        actor_learning_rate=1e-3,
        critic_learning_rate=3e-3,
        ent_coef=0.01,
    )
    config = DreamerConfig(
        frames=300,
        first_updates=200,
        collect_frames=100,
        updates=60,
        trainings=3,
        rounds=2,
        episodes=20,
        noise=(0.3,),
        exploration=DOT_EXPLORATION,
        model=replace(SIZES, channels=(16, 32), hidden_size=32, units=32),
        joint=joint,
        rare_colours=True,
        actor_critic=behaviour,
    )
    rounds = learn_online(DOT, tmp_path, config)
    assert rounds[0].real.success < 0.7 and best_round(rounds).real.success > 0.9 and rounds[-1].frames < 1000
