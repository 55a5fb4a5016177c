"""The whole chain with recurrent state-space models: agents, scores, verdict, horizons, page, rounds and bundles."""

import dataclasses

import numpy as np
import pytest
import torch
from dot_settings import DOT_COLLECT, DOT_EVOLVE, dot_rssm
from gymnasium.vector import AutoresetMode

import dreamenv
from dreamenv.agents.store import read_agent
from dreamenv.bundle import save, world_id
from dreamenv.cli.run import main
from dreamenv.evaluate.sight import HorizonConfig, score_by_sight
from dreamenv.models.rssm.model import RSSM
from dreamenv.recordings import record
from dreamenv.rollouts import rollout
from dreamenv.training.fit import FitConfig
from dreamenv.verdict.show import plot_strip, trust_table

EVOLVE = dataclasses.replace(DOT_EVOLVE, generations=3, evaluation_every=3)
PPO = dreamenv.PPOConfig(timesteps=512, num_envs=16, n_steps=16, batch_size=128, n_epochs=1, net_arch=(16,))


@pytest.fixture(scope="module")
def store(dot_folder):
    return dreamenv.EpisodeStore(dot_folder / "episodes")


@pytest.fixture(scope="module")
def agent(rssm_world, tmp_path_factory):
    return dreamenv.evolve(rssm_world, tmp_path_factory.mktemp("linear"), EVOLVE)


def test_ppo_learns_in_its_dream_and_is_scored_in_both_worlds(rssm_world, tmp_path):
    agent = dreamenv.train_ppo(rssm_world, tmp_path / "ppo", PPO)
    settings = dreamenv.CompareConfig(temperatures=(0.5, 1.0), episodes=6, num_envs=3)
    scores = dreamenv.compare(rssm_world, agent, settings).scores
    assert {(score.place, score.temperature) for score in scores} >= {("dream", 0.5), ("dream", 1.0), ("real", None)}
    assert all(np.isfinite(score.mean) for score in scores)
    loaded = dreamenv.load_agent(tmp_path / "ppo")
    seen = np.zeros((2, rssm_world.feature_size), np.float32)
    assert np.array_equal(loaded.predict(seen, deterministic=True)[0], agent.predict(seen, deterministic=True)[0])


def test_its_dream_is_examined(rssm_world, agent, store, tmp_path):
    config = dreamenv.TrustConfig(dreams=20, gamma=0.95, real_episodes=10, temperatures=(0.5, 1.0))
    verdict = dreamenv.trust(rssm_world, agent, store, config)
    assert {sign.name for sign in verdict.signs} == {"shortfall", "excess", "haste"}
    assert all(np.isfinite(sign.value) for sign in verdict.signs) and np.isfinite(verdict.believed)
    assert verdict.gaps and trust_table(verdict)
    plot_strip(verdict.strip, tmp_path / "strip.png")
    assert dreamenv.trust(rssm_world, agent, store, config).signs == verdict.signs


def test_its_horizons_are_measured(rssm_world, agent, store):
    _, held_out = store.split()
    config = HorizonConfig(horizons=(1, 4), every=(1, 4), episodes=6, num_envs=3)
    assert list(score_by_sight(rssm_world, agent, config)) == [1, 4]
    traces = rssm_world.follow(record(rssm_world.model, held_out, rssm_world.config), seed=None)
    near, far = dreamenv.open_loop(rssm_world, traces, config)
    assert (near.horizon, far.horizon) == (1, 4) and near.steps > far.steps
    assert 0.0 < near.z_error and [ending.kind for ending in near.endings] == ["same", "better"]


def test_the_command_shows_its_agents_and_its_training(rssm_world, store, tmp_path, capsys):
    save(rssm_world, tmp_path)
    dreamenv.evolve(rssm_world, tmp_path / "agents" / "linear", EVOLVE)
    few = ["--held-out", "4", "--open-loop-episodes", "2", "--frames", "20"]
    assert main(["inspect", "--world", str(tmp_path), "--episodes", str(store.folder), *few]) == 0
    printed, text = capsys.readouterr().out, (tmp_path / "inspection" / "inspection.html").read_text()
    assert "Ratio of the two" in printed and "linear: sigma squared" in printed
    assert "linear: sigma squared" in text and "no event files of this training" in text


def test_a_bundle_holds_it(rssm_world, agent, tmp_path):
    save(rssm_world, tmp_path)
    loaded = dreamenv.load(tmp_path)
    assert isinstance(loaded.model, RSSM) and world_id(loaded) == world_id(rssm_world)
    returns = []
    for world in (rssm_world, loaded):
        env = dreamenv.DreamEnv(world)
        env.reset(seed=0)
        returns.append([env.step(action)[0] for action in (0, 1, 2, 0)])
    assert np.array_equal(*returns)
    assert all(torch.equal(a, b) for a, b in zip(rssm_world.bank.first.parts, loaded.bank.first.parts, strict=True))


def test_it_iterates(rssm_world, tmp_path):
    training, short = dot_rssm(rssm_world.config.model.latent), FitConfig(steps=20, precision="float32")
    stages = {name: dataclasses.replace(getattr(training, name), fit=short) for name in ("frames", "dynamics", "heads")}
    config = dreamenv.IterateConfig(
        frames=1200,
        rounds=1,
        round_frames=150,
        target=2.0,
        agent="linear",
        episodes=4,
        collect=DOT_COLLECT,
        train=dataclasses.replace(training, branches=16, **stages),
        evolve=dataclasses.replace(EVOLVE, generations=1, evaluation_every=1),
    )
    rounds = dreamenv.iterate("dot_env:Dot-v0", tmp_path, config)
    assert [one.number for one in rounds] == [0, 1] and rounds[1].frames >= rounds[0].frames + 150
    assert [type(dreamenv.load(one.folder).model) for one in rounds] == [RSSM, RSSM]
    assert [one.number for one in dreamenv.iterate("dot_env:Dot-v0", tmp_path, config)] == [0, 1]


@pytest.mark.parametrize("name", ["ppo", "linear"])
def test_the_shipped_agents_succeed_in_the_shipped_dream(name):
    world, agent = dreamenv.load("sidewalk-rssm"), dreamenv.load_agent(f"sidewalk-rssm/{name}")
    assert isinstance(world.model, RSSM) and read_agent(f"sidewalk-rssm/{name}")[0].world == world_id(world)
    dream = dreamenv.DreamVectorEnv(world, 8, autoreset_mode=AutoresetMode.DISABLED)
    outcomes = list(rollout(dream, agent, range(8), deterministic=True))
    assert sum(outcome.episode_return > 0.5 for outcome in outcomes) >= 6
