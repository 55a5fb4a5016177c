"""Snapshots of dreams, and dreams that begin at a moment of reality."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from dreamenv import DreamEnv, DreamVectorEnv, EpisodeStore, LatentObservation, make_real
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.models.noise import Noise

LEFT, STAY = 0, 2


def steps(env, actions):
    """Everything a batch returns while it follows (T, N) actions, as one list of arrays."""
    return [part for action in actions for part in env.step(action)[:4]]


def equal(first, second):
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("before", [0, 5, 23])
def test_a_restored_batch_goes_on_bitwise(dot_world, mode, before):
    env = DreamVectorEnv(dot_world, 3, temperature=(0.5, 1.5), branched_starts=0.3, dropout=0.2, autoreset_mode=mode)
    generator = np.random.default_rng(0)
    actions = generator.integers(3, size=(before + 60, 3))
    env.reset(seed=1)
    steps(env, actions[:before])
    snapshot = env.snapshot()
    first = steps(env, actions[before:])
    observation = env.restore(snapshot)
    second = steps(env, actions[before:])
    other = DreamVectorEnv(dot_world, 3, temperature=9.0, branched_starts=0.3, dropout=0.2, autoreset_mode=mode)
    assert np.array_equal(observation, other.restore(snapshot))
    assert equal(first, second) and equal(first, steps(other, actions[before:]))
    assert any(ended.any() for ended in first[2::4])


def test_a_restored_batch_ends_where_it_would_have(single_start_world):
    """Half of the dreams branch off at step 15 of 20; the batch it is restored in has begun others."""
    settings = {"temperature": 0.0, "branched_starts": 0.5, "max_episode_steps": 8, "autoreset_mode": "Disabled"}
    env, other = (DreamVectorEnv(single_start_world, 50, **settings) for _ in range(2))
    env.reset(seed=0)
    other.reset(seed=1)
    other.restore(env.snapshot())
    for _ in range(5):
        first, second = (e.step(np.full(50, STAY))[3] for e in (env, other))
    assert 0 < first.sum() < 50 and np.array_equal(first, second)


def test_a_restored_dream_goes_on_bitwise(dot_world):
    env = DreamEnv(dot_world)
    env.reset(seed=0)
    snapshot = env.snapshot()
    first = [env.step(LEFT)[0] for _ in range(3)]
    env.restore(snapshot)
    assert equal(first, [env.step(LEFT)[0] for _ in range(3)])


def test_a_snapshot_is_not_changed_by_what_follows(dot_world):
    env = DreamVectorEnv(dot_world, 2)
    observation = env.reset(seed=0)[0]
    snapshot = env.snapshot()
    steps(env, np.zeros((30, 2), int))
    assert np.array_equal(env.restore(snapshot), observation)


def test_snapshots_need_an_episode_and_the_same_size(dot_world):
    env = DreamVectorEnv(dot_world, 2)
    with pytest.raises(gym.error.ResetNeeded, match="snapshot"):
        env.snapshot()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected a snapshot of \(3, 40\) features, got \(2, 40\)"):
        DreamVectorEnv(dot_world, 3).restore(env.snapshot())
    with pytest.raises(ValueError, match="with dropout"):
        DreamVectorEnv(dot_world, 2, dropout=0.5).restore(env.snapshot())


def test_a_dream_branches_off_a_live_real_episode(dot_world):
    real = LatentObservation(make_real("dot_env:Dot-v0"), dot_world)
    real.reset(seed=3)
    observation = real.step(STAY)[0]
    dream = real.branch(temperature=0.5)
    first, info = dream.reset(seed=0)
    assert np.array_equal(first, observation) and info["temperature"] == 0.5
    dream.step(LEFT)
    assert np.array_equal(dream.reset(seed=1)[0], observation)
    assert np.array_equal(real._observation(), observation)


def test_a_branched_dream_keeps_the_time_that_has_passed(dot_world):
    real = LatentObservation(make_real("dot_env:Dot-v0"), dot_world)
    real.reset(seed=3)
    for _ in range(18):
        real.step(STAY)
    dream = real.branch(temperature=0.0)
    dream.reset(seed=0)
    ends = [dream.step(STAY)[2:4] for _ in range(2)]
    assert ends[0] == (False, False)
    assert any(ends[1])


def test_a_batch_branches_off_a_batch(dot_world):
    real = make_latent_vector(dot_world, 3)
    real.reset(seed=0)
    observation = real.step(np.array([0, 1, 2]))[0]
    dreams = real.branch(autoreset_mode=AutoresetMode.DISABLED)
    assert np.array_equal(dreams.reset(seed=0)[0], observation)
    dreams.step(np.full(3, STAY))
    again = dreams.reset(options={"reset_mask": np.array([False, True, False])})[0]
    assert np.array_equal(again[1], observation[1])
    assert not np.array_equal(again[0], observation[0])


def test_nothing_branches_off_before_reset(dot_world):
    with pytest.raises(gym.error.ResetNeeded, match="branch"):
        LatentObservation(make_real("dot_env:Dot-v0"), dot_world).branch()
    with pytest.raises(gym.error.ResetNeeded, match="branch"):
        make_latent_vector(dot_world, 2).branch()


@pytest.mark.parametrize("step", [0, 1, 4])
@torch.no_grad()
def test_a_recorded_moment_is_what_living_through_it_gives(dot_world, dot_folder, step):
    episode = next(e for e in EpisodeStore(dot_folder / "episodes") if len(e) > 4)
    state = dot_world.replay(
        torch.from_numpy(episode.observations[: step + 1]), torch.from_numpy(episode.actions[:step])
    )
    noise = Noise.draw(step + 1, dot_world.model.posterior_noise, torch.Generator().manual_seed(0))
    lived = dot_world.start(torch.from_numpy(episode.observations[:1]), noise.rows(slice(1)))
    for t in range(step):
        following = slice(t + 1, t + 2)
        frame, action = torch.from_numpy(episode.observations[following]), torch.from_numpy(episode.actions[t : t + 1])
        lived = dot_world.observe(lived, action, frame, noise.rows(following))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(state.parts, lived.parts, strict=True))
    dream = DreamEnv(dot_world, start=state)
    assert np.allclose(dream.reset(seed=0)[0], dot_world.features(lived)[0].numpy(), atol=1e-5)


@torch.no_grad()
def test_a_recorded_moment_is_drawn_anew_by_another_seed(dot_world, dot_folder):
    episode = next(iter(EpisodeStore(dot_folder / "episodes")))
    frames, actions = torch.from_numpy(episode.observations), torch.from_numpy(episode.actions)
    z = torch.cat([dot_world.replay(frames, actions, seed).z for seed in range(300)])
    mean, log_variance = dot_world.model.vision.encode(frames[-1:])
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.3, rtol=0.0)
    torch.testing.assert_close(z.std(0), (0.5 * log_variance[0]).exp(), rtol=0.2, atol=0.0)
    assert torch.equal(dot_world.replay(frames, actions, 7).z, z[7:8])


def test_starts_that_do_not_fit_are_refused(dot_world):
    real = make_latent_vector(dot_world, 2)
    real.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected a start of 1 or 3 states with 40 features, got \(2, 40\)"):
        DreamVectorEnv(dot_world, 3, start=real._state)
    with pytest.raises(ValueError, match="branched_starts 0 beside a start"):
        DreamVectorEnv(dot_world, 2, start=real._state, branched_starts=0.5)
