"""Models that saw other observations than the features of their world are refused; wrappers of rewards may stay."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
from gymnasium import wrappers
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecMonitor, VecNormalize

import dreamenv
from dreamenv import CompareConfig, DreamEnv, DreamVectorEnv, as_vec_env, compare, save_sb3
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.world import showing

SETTINGS = {"n_steps": 8, "batch_size": 8, "n_epochs": 1, "device": "cpu"}


def normalized(env):
    return wrappers.NormalizeObservation(env)


def doubled(env):
    return wrappers.TransformObservation(env, lambda seen: 2.0 * seen, env.observation_space)


def rescaled(env):
    low, high = np.full(env.observation_space.shape, -1.0), np.full(env.observation_space.shape, 1.0)
    finite = gym.spaces.Box(-5.0, 5.0, env.observation_space.shape, np.float32)
    clipped = wrappers.TransformObservation(env, lambda seen: np.clip(seen, -5.0, 5.0), finite)
    return wrappers.RescaleObservation(clipped, low.astype(np.float32), high.astype(np.float32))


def late(env):
    return wrappers.DelayObservation(env, delay=1)


def stacked(env):
    return wrappers.FlattenObservation(wrappers.FrameStackObservation(env, 2))


def rewards_only(env):
    env = wrappers.NormalizeReward(wrappers.TransformReward(env, lambda reward: 2.0 * reward))
    return wrappers.RecordEpisodeStatistics(wrappers.FlattenObservation(env))


class Doubled(wrappers.vector.TransformObservation):
    """A wrapper of batches that lets finished environments leave; Gymnasium's own ones do not fit ``as_vec_env``."""

    def __init__(self, env):
        super().__init__(env, lambda seen: 2.0 * seen)
        self.leave = env.leave


def ppo(env):
    return sb3.PPO("MlpPolicy", env, **SETTINGS)


@pytest.mark.parametrize(
    ("wrap", "named"),
    [
        (normalized, "NormalizeObservation"),
        (doubled, "TransformObservation"),
        (rescaled, "RescaleObservation"),
        (late, "DelayObservation"),
        (stacked, "expected a model (of|that sees) observations"),
    ],
    ids=str,
)
def test_a_model_of_changed_observations_is_refused(dot_world, tmp_path, wrap, named):
    for seen in (dot_world, showing(dot_world, ("z",))):  # the bounds of z alone say nothing
        model = ppo(wrap(DreamEnv(seen)))
        with pytest.raises(ValueError, match=named):
            save_sb3(model, tmp_path, seen)
        with pytest.raises(ValueError, match=rf"{named}|expected an agent for"):
            compare(seen, model, CompareConfig((1.0,), 1))
    assert not list(tmp_path.iterdir())


def test_a_model_without_its_environment_is_refused_by_its_bounds(dot_world, tmp_path):
    ppo(rescaled(DreamEnv(dot_world))).save(tmp_path / "model")
    model = sb3.PPO.load(tmp_path / "model")
    with pytest.raises(
        ValueError, match=r"are, \(40,\) float32 from -10 to 10, got one of \(40,\) float32 from -1 to 1"
    ):
        save_sb3(model, tmp_path / "agent", dot_world)
    assert not (tmp_path / "agent").exists()


def test_wrappers_of_batches_are_found(dot_world, tmp_path):
    dreams = DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP)
    still = DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.DISABLED)
    inner = as_vec_env(Doubled(still), action_repeat=2)
    for env, named in (
        (VecMonitor(inner), "Doubled"),
        (VecNormalize(VecMonitor(as_vec_env(dreams))), "VecNormalize with norm_obs=True"),
        (VecFrameStack(as_vec_env(dreams), 2), "expected a model of observations"),
    ):
        with pytest.raises(ValueError, match=named):
            save_sb3(ppo(env), tmp_path, dot_world)
    assert not list(tmp_path.iterdir())


def test_a_normaliser_in_another_process_is_found(dot_folder, dot_world, tmp_path):
    env = SubprocVecEnv([lambda: normalized(DreamEnv(str(dot_folder)))], start_method="fork")
    try:
        with pytest.raises(ValueError, match="NormalizeObservation"):
            save_sb3(ppo(env), tmp_path, dot_world)
    finally:
        env.close()


def test_wrappers_of_rewards_and_those_below_a_world_may_stay(dot_world, tmp_path):
    save_sb3(ppo(rewards_only(DreamEnv(dot_world))), tmp_path / "single", dot_world)
    dreams = DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env = VecNormalize(as_vec_env(wrappers.vector.NormalizeReward(dreams)), norm_obs=False)
    save_sb3(ppo(env), tmp_path / "batch", dot_world)
    real = gym.make("dot_env:Dot-v0")
    frames = wrappers.TransformObservation(real, lambda frame: frame, real.observation_space)
    model = ppo(DummyVecEnv([lambda: dreamenv.LatentObservation(frames, dot_world)]))
    save_sb3(model, tmp_path / "latent", dot_world)
    for name in ("single", "batch", "latent"):
        action, _ = dreamenv.load_agent(tmp_path / name).predict(np.zeros((1, dot_world.feature_size), np.float32))
        assert action.shape == (1,)


def test_compare_refuses_a_model_of_other_actions(continuous_world):
    config = dataclasses.replace(continuous_world.config, action=ActionSpec(low=(-3.0,), high=(3.0,)))
    world = dreamenv.World(config, continuous_world.model, continuous_world.bank)
    dreams = DreamVectorEnv(world, 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="save_sb3"):
        compare(world, ppo(as_vec_env(dreams, scale_actions=True)), CompareConfig((1.0,), 1))
