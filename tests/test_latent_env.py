"""Reality seen through a world: time alignment with the dream, the vector twin, and what is refused."""

import dataclasses
import importlib
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from dot_env import CELL, WIDTH, DotEnv
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as check_gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import AddRenderObservation
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_sb3

import dreamenv
from dreamenv import LatentObservation, VectorLatentObservation
from dreamenv.envs.latent import make_latent
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.envs.shaping import VectorActionPenalty
from dreamenv.envs.streams import NoiseStreams
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.latent import Gaussian
from dreamenv.models.noise import Noise, NoiseSpec
from dreamenv.world import World

STAY = 2


class FakeEnv(gym.Env):
    """Any spaces; frames are all black."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        return np.zeros(self.observation_space.shape, self.observation_space.dtype), {}

    def step(self, action):
        return *self.reset()[:1], 0.0, False, False, {}


def frames_of(*shape, dtype=np.uint8):
    return gym.spaces.Box(0, 255 if dtype == np.uint8 else 1, shape, dtype)


class UpsideDownDot(DotEnv):
    """Gives out frames that are views with negative strides, as flipped OpenGL frames often are."""

    def _frame(self):
        return super()._frame()[::-1].copy()[::-1]


class ReadOnlyDot(DotEnv):
    """Gives out frames that must not be written to."""

    def _frame(self):
        frame = super()._frame()
        frame.flags.writeable = False
        return frame


class DrawnDot(DotEnv):
    """Draws its frames in the mode that it was made with, for a wrapper to take."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(self):
        super().__init__()
        self.observation_space, self.render_mode = gym.spaces.Box(0, WIDTH // CELL, (1,), np.float32), "rgb_array"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.array([self._position], np.float32), {}

    def render(self):
        return self._frame() if self.render_mode == "rgb_array" else None


class PreciseDot(DotEnv):
    """Takes actions in double precision only, of a space whose lower bound is rounded down in single precision."""

    taken: list[np.ndarray] = []

    def __init__(self):
        super().__init__(continuous=True)
        self.action_space = gym.spaces.Box(0.7, 0.9, (1,), np.float64)

    def step(self, action):
        PreciseDot.taken.append(action)
        return super().step(action)


class ClosingDot(DotEnv):
    """Counts how often it is closed."""

    closed = 0

    def close(self):
        ClosingDot.closed += 1


@pytest.fixture
def reality_of(monkeypatch):
    """``reality_of(world, make, action)``: the world, whose real environment ``make`` now makes."""

    def arrange(world, make, action=None):
        monkeypatch.setitem(gym.registry, "Arranged-v0", EnvSpec("Arranged-v0", make))
        config = dataclasses.replace(world.config, env_id="Arranged-v0", action=action or world.config.action)
        return World(config, world.model, world.bank)

    return arrange


@pytest.fixture
def latent(dot_world):
    return LatentObservation(gym.make("Dot-v0"), dot_world)


@dataclasses.dataclass
class Replay:
    """One real episode: frames (T + 1), actions (T,), and what LatentObservation made of them (T + 1, F)."""

    frames: torch.Tensor
    actions: torch.Tensor
    features: torch.Tensor
    latent: LatentObservation


def drawn(steps, seed=1):
    """The noise of the steps of an episode with this seed, of one row each; that of ``replay`` by default."""
    streams, row = NoiseStreams(1, NoiseSpec(uniform=8, normal=8)), np.zeros(1, int)
    streams.reset(row, [seed])
    return [streams.draw(row) for _ in range(steps)]


def drawn_normal(steps, seed=1):
    """The (steps, 8) standard normal numbers among them."""
    return torch.cat([noise.normal for noise in drawn(steps, seed)])


@pytest.fixture
def replay(dot_world):
    """An episode of 20 steps that dithers around the middle."""
    env = DotEnv()
    latent = LatentObservation(env, dot_world)
    frames, features = [], [latent.reset(seed=1)[0]]
    frames.append(env._frame())
    actions = [STAY, 0, 1, STAY, 1, 0] * 3 + [STAY, STAY]
    for action in actions:
        observation, _, terminated, _, _ = latent.step(action)
        assert not terminated
        features.append(observation)
        frames.append(env._frame())
    return Replay(
        torch.from_numpy(np.stack(frames)),
        torch.tensor(actions),
        torch.from_numpy(np.stack(features)),
        latent,
    )


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_checker_says_nothing_but_that_it_is_a_wrapper(dot_folder, render_mode):
    env = gym.make("dreamenv:Latent-v0", world=str(dot_folder), render_mode=render_mode)
    with pytest.warns(UserWarning, match="is different from the unwrapped version") as warnings:
        check_gymnasium(env)
    assert len(warnings) == 1


def test_stable_baselines3_checker_passes_without_warnings(dot_folder):
    check_sb3(gym.make("dreamenv:Latent-v0", world=str(dot_folder)))
    check_sb3(LatentObservation(dreamenv.make_real("Dot-v0"), dot_folder))


def test_make_gives_the_real_environment_behind_the_worlds_eyes(dot_folder, random_actions):
    made = gym.make("dreamenv:Latent-v0", world=str(dot_folder))
    by_hand = LatentObservation(gym.make("Dot-v0"), dot_folder)
    assert isinstance(made.unwrapped, DotEnv)
    assert np.array_equal(made.reset(seed=3)[0], by_hand.reset(seed=3)[0])
    for action in random_actions(made.action_space, 20):
        one, other = made.step(action), by_hand.step(action)
        assert np.array_equal(one[0], other[0])
        assert one[1:4] == other[1:4]
        if one[2] or one[3]:
            break


def test_spec_survives_json_and_makes_the_same_environment(dot_folder):
    env = gym.make("dreamenv:Latent-v0", world=str(dot_folder))
    assert env.spec.id == "Latent-v0"
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert np.array_equal(env.reset(seed=0)[0], again.reset(seed=0)[0])


def test_spec_is_that_of_the_id_though_the_real_environment_is_made_with_a_wrapper(dot_folder, monkeypatch):
    wrapped = dataclasses.replace(gym.spec("Dot-v0"), entry_point=lambda **kwargs: gym.Wrapper(DotEnv(**kwargs)))
    monkeypatch.setitem(gym.registry, "Dot-v0", wrapped)
    env = gym.make("dreamenv:Latent-v0", world=str(dot_folder))
    assert env.spec.id == "Latent-v0"
    assert np.array_equal(env.reset(seed=0)[0], env.spec.make().reset(seed=0)[0])


def test_render_mode_reaches_the_outermost_environment(dot_folder):
    env = gym.make("dreamenv:Latent-v0", world=str(dot_folder), render_mode="rgb_array")
    assert env.render_mode == "rgb_array"
    env.reset(seed=0)
    assert env.render().shape == (16, 64, 3)


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_the_render_mode_of_an_environment_that_draws_its_frames_is_left_alone(
    dot_world, latent, reality_of, render_mode
):
    world = reality_of(dot_world, lambda: AddRenderObservation(DrawnDot(), render_only=True))
    env = gym.make("dreamenv:Latent-v0", world=world, render_mode=render_mode)
    assert (env.render_mode, env.unwrapped.render_mode) == (render_mode, "rgb_array")
    assert np.array_equal(env.reset(seed=0)[0], latent.reset(seed=0)[0])


def test_a_shorter_time_limit_truncates_there(dot_folder):
    env = gym.make("dreamenv:Latent-v0", world=str(dot_folder), max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(STAY)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]


def test_z_is_drawn_from_the_posterior_of_the_frame_just_seen(dot_world, replay):
    with torch.inference_mode():
        mean, log_variance = dot_world.model.vision.encode(replay.frames)
    standard = (replay.features[:, :8] - mean) * torch.exp(-0.5 * log_variance)
    assert 0.8 < standard.std() < 1.2 and abs(standard.mean()) < 0.3
    assert torch.allclose(standard, drawn_normal(len(mean)), atol=1e-3)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_the_seed_fixes_the_draws_of_z(dot_world, mode):
    env = make_latent_vector(dot_world, 2, mode)
    first, second = (env.reset(seed=[4, 4])[0] for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(first[0], first[1])
    assert not np.array_equal(first, env.reset(seed=[5, 5])[0])
    assert np.array_equal(env.reset(seed=4)[0][0], first[0])


def test_h_has_consumed_everything_before_z_and_not_z_itself(dot_world, replay):
    z, h = replay.features[:, :8], replay.features[:, 8:]
    assert not h[0].any()
    with torch.inference_mode():
        unrolled, _ = dot_world.model.memory.unroll(z[None, :-1], replay.actions[None])
        late, _ = dot_world.model.memory.unroll(z[None, 1:], replay.actions[None])
    assert torch.allclose(h[1:], unrolled[0], atol=1e-5)
    assert not torch.allclose(h[1:], late[0], atol=1e-2)


def test_observing_by_hand_gives_the_same_features(dot_world, replay):
    with torch.inference_mode():
        first, *following = drawn(len(replay.frames))
        state = dot_world.start(replay.frames[:1], first)
        features = [dot_world.features(state)]
        for action, frame, noise in zip(replay.actions, replay.frames[1:], following, strict=True):
            state = dot_world.observe(state, action[None], frame[None], noise)
            features.append(dot_world.features(state))
    assert torch.allclose(replay.features, torch.cat(features), atol=1e-5)
    assert state.step.tolist() == [20]


def test_a_dream_forced_onto_the_real_z_has_the_same_h(dot_world, replay):
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        state = dot_world.start(replay.frames[:1], drawn(1)[0])
        for action, expected in zip(replay.actions, replay.features[1:], strict=True):
            noise = Noise.draw(1, dot_world.model.prior_noise, generator)
            dreamed, _ = dot_world.imagine(state, action[None], 1.0, noise)
            assert torch.allclose(dreamed.h[0], expected[8:], atol=1e-5)
            assert not torch.equal(dreamed.z[0], expected[:8])
            state = dataclasses.replace(dreamed, z=expected[None, :8])


def test_training_episodes_have_the_features_that_agents_see(dot_world, dot_folder):
    episode = next(e for e in dreamenv.EpisodeStore(dot_folder / "episodes") if len(e) > 5)
    env = LatentObservation(gym.make("Dot-v0"), dot_world)
    features = [env.reset(seed=episode.seed)[0]]
    features += [env.step(action)[0] for action in episode.actions]
    with torch.inference_mode():
        mean, log_variance = dot_world.model.vision.encode(torch.from_numpy(episode.observations))
        z = Gaussian(mean, log_variance).at(drawn_normal(len(mean), episode.seed))
        h, _ = dot_world.model.memory.unroll(z[None, :-1], torch.from_numpy(episode.actions)[None])
    assert np.allclose(np.stack(features)[:, :8], z, atol=1e-5)
    assert np.allclose(np.stack(features)[1:, 8:], h[0], atol=1e-5)


def test_a_new_episode_begins_with_h_0(latent):
    latent.reset(seed=0)
    latent.step(STAY)
    assert not latent.reset(seed=0)[0][8:].any()


def test_observations_lie_in_the_space_and_belong_to_the_caller(latent):
    observation, _ = latent.reset(seed=0)
    kept = observation.copy()
    for _ in range(5):
        assert latent.observation_space.contains(observation)
        observation[:] = 3.0
        observation, *_ = latent.step(STAY)
    assert np.array_equal(latent.reset(seed=0)[0], kept)


def test_render_shows_the_frame_beside_its_reconstruction(dot_world, replay):
    picture = replay.latent.render()
    assert (picture.shape, picture.dtype) == ((16, 64, 3), np.uint8)
    assert np.array_equal(picture[:, :32], replay.frames[-1].numpy())
    error = np.abs(picture[:, :32].astype(int) - picture[:, 32:]).mean()
    assert error < np.abs(picture[:, :32].astype(int) - 40).mean()


def test_step_and_render_before_reset_are_refused(latent):
    with pytest.raises(gym.error.ResetNeeded, match="before step"):
        latent.step(STAY)
    with pytest.raises(gym.error.ResetNeeded, match="before render"):
        latent.render()


@pytest.mark.parametrize("action", [3, -1, 1.0, float("nan"), "left", None], ids=repr)
def test_bad_actions_are_refused_and_the_episode_goes_on(latent, action):
    latent.reset(seed=0)
    undisturbed = latent.step(STAY)[0]
    latent.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match=r"expected an action in Discrete\(3\), got"):
        latent.step(action)
    assert np.array_equal(latent.step(STAY)[0], undisturbed)


@pytest.mark.parametrize(
    ("space", "action", "got"),
    [
        (frames_of(60, 80, 3), gym.spaces.Discrete(3), r"got frames \(60, 80, 3\)"),
        (frames_of(32, 16, 3), gym.spaces.Discrete(3), r"got frames \(32, 16, 3\)"),
        (frames_of(4), gym.spaces.Discrete(3), r"got frames \(4,\)"),
        (gym.spaces.Dict({"x": frames_of(16, 32, 3)}), gym.spaces.Discrete(3), "got frames None"),
        (frames_of(16, 32, 3), gym.spaces.Discrete(2), r"actions Discrete\(2\)"),
        (frames_of(16, 32, 3), gym.spaces.Box(-1, 1, (1,), np.float32), r"actions Box\(-1.0, 1.0"),
    ],
)
def test_an_environment_that_does_not_fit_is_refused_with_both_sides(dot_world, space, action, got):
    expected = r"trained on .*Dot-v0: expected frames \(16, 32, 3\) and actions Discrete\(3\), "
    with pytest.raises(UnsupportedEnvironmentError, match=expected + ".*" + got):
        LatentObservation(FakeEnv(space, action), dot_world)
    if not isinstance(space, gym.spaces.Dict):
        with pytest.raises(UnsupportedEnvironmentError, match=expected + ".*" + got):
            VectorLatentObservation(SyncVectorEnv([lambda: FakeEnv(space, action)]), dot_world)


@pytest.mark.parametrize("settings", [{}, {"num_envs": 3}], ids=str)
def test_environments_that_do_not_fit_are_closed(dot_world, reality_of, monkeypatch, settings):
    monkeypatch.setattr(ClosingDot, "closed", 0)
    world = reality_of(dot_world, lambda: ClosingDot(continuous=True))
    with pytest.raises(UnsupportedEnvironmentError, match="expected frames"):
        (make_latent_vector if settings else make_latent)(world, **settings)
    assert ClosingDot.closed == settings.get("num_envs", 1)


def test_frames_that_are_not_bytes_are_refused(dot_world):
    env = FakeEnv(frames_of(16, 32, 3, dtype=np.float32), gym.spaces.Discrete(3))
    with pytest.raises(UnsupportedEnvironmentError, match="uint8.*float32"):
        LatentObservation(env, dot_world)


def test_an_environment_without_frames_is_refused(dot_world):
    with pytest.raises(UnsupportedEnvironmentError, match=r"expected frames \(16, 32, 3\).*got frames \(4,\)"):
        LatentObservation(gym.make("CartPole-v1"), dot_world)


@pytest.mark.parametrize("kind", [UpsideDownDot, ReadOnlyDot])
def test_frames_may_be_any_kind_of_array(dot_world, latent, kind):
    env = LatentObservation(kind(), dot_world)
    assert np.array_equal(env.reset(seed=0)[0], latent.reset(seed=0)[0])
    assert np.array_equal(env.step(STAY)[0], latent.step(STAY)[0])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_the_vector_twin_equals_single_environments(dot_world, mode, random_actions):
    num_envs, ends = 4, 0
    batch = VectorLatentObservation(
        SyncVectorEnv([DotEnv] * num_envs, autoreset_mode=mode),
        dot_world,
    )
    singles = SyncVectorEnv([lambda: LatentObservation(DotEnv(), dot_world)] * num_envs, autoreset_mode=mode)
    assert batch.observation_space == singles.observation_space
    assert np.allclose(batch.reset(seed=2)[0], singles.reset(seed=2)[0], atol=1e-5)
    for action in random_actions(batch.action_space, 80, seed=4):
        mine, theirs = batch.step(action), singles.step(action)
        for one, other in zip(mine[:4], theirs[:4], strict=True):
            assert np.allclose(one, other, atol=1e-5)
        done = mine[2] | mine[3]
        ends += done.sum()
        if mode is AutoresetMode.DISABLED and done.any():
            mine = batch.reset(options={"reset_mask": done.copy()})
            theirs = singles.reset(options={"reset_mask": done.copy()})
            assert np.allclose(mine[0], theirs[0], atol=1e-5)
    assert ends > 10


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_reality_is_seen_alike_but_for_rounding(dot_world, dtype, random_actions):
    exact, rounded = (make_latent_vector(dot_world, 3, "Disabled", name) for name in ("float32", dtype))
    observation, other = exact.reset(seed=0)[0], rounded.reset(seed=0)[0]
    for action in random_actions(exact.action_space, 3, seed=1):
        assert other.dtype == np.float32
        observation, other = exact.step(action)[0], rounded.step(action)[0]
        assert np.abs(observation - other).max() < 0.2
    assert not np.array_equal(observation, other)
    with pytest.raises(ValueError, match="expected dtype"):
        make_latent_vector(dot_world, 3, dtype="half")


def test_next_step_reset_starts_h_at_0_in_those_rows_only(dot_world):
    env = VectorLatentObservation(SyncVectorEnv([DotEnv] * 2), dot_world)
    env.reset(seed=0)
    done = np.zeros(2, bool)
    while not done.any():
        _, _, terminated, truncated, _ = env.step(np.array([0, STAY]))
        done = terminated | truncated
    assert done.tolist() == [True, False]
    observation, reward, *_ = env.step(np.array([0, STAY]))
    assert (observation[:, 8:] != 0).any(1).tolist() == [False, True]
    assert reward[0] == 0.0


def test_a_full_reset_forgets_that_episodes_were_done(dot_world):
    env = VectorLatentObservation(SyncVectorEnv([DotEnv] * 2), dot_world)
    env.reset(seed=0)
    for _ in range(20):
        env.step(np.full(2, STAY))
    env.reset(seed=0)
    observation, *_ = env.step(np.full(2, STAY))
    assert (observation[:, 8:] != 0).any(1).all()


def test_a_vector_that_resets_in_the_same_step_hands_out_final_features(dot_world, random_actions):
    num_envs, mode, ends = 4, AutoresetMode.SAME_STEP, 0
    batch = VectorLatentObservation(SyncVectorEnv([DotEnv] * num_envs, autoreset_mode=mode), dot_world)
    singles = SyncVectorEnv([lambda: LatentObservation(DotEnv(), dot_world)] * num_envs, autoreset_mode=mode)
    assert np.allclose(batch.reset(seed=2)[0], singles.reset(seed=2)[0], atol=1e-5)
    for action in random_actions(batch.action_space, 80, seed=4):
        mine, theirs = batch.step(action), singles.step(action)
        assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(mine[:4], theirs[:4], strict=True))
        done = mine[2] | mine[3]
        ends += done.sum()
        if done.any():
            assert np.array_equal(mine[4]["_final_obs"], done)
            final, expected = mine[4]["final_obs"], theirs[4]["final_obs"]
            assert [value is None for value in final] == [value is None for value in expected]
            assert all(np.allclose(final[row], expected[row], atol=1e-5) for row in np.flatnonzero(done))
            assert not mine[0][done, 8:].any()
    assert ends > 10


def test_stable_baselines3_learns_in_a_batch_of_reality(dot_world):
    vec_env = dreamenv.as_vec_env(make_latent_vector(dot_world, 2, "SameStep"))
    model = PPO("MlpPolicy", vec_env, n_steps=32, batch_size=32, seed=0)
    model.learn(64)
    assert model.num_timesteps == 64


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_vector_says_its_mode_and_what_it_draws(dot_world, mode):
    env = VectorLatentObservation(SyncVectorEnv([DotEnv], autoreset_mode=mode), dot_world)
    assert env.autoreset_mode is env.metadata["autoreset_mode"] is mode
    assert env.metadata["render_modes"] == ["rgb_array"]
    assert VectorActionPenalty(env).autoreset_mode is mode


def test_a_vector_without_an_autoreset_mode_is_refused(dot_world):
    env = SyncVectorEnv([DotEnv])
    env.metadata = {}
    with pytest.raises(UnsupportedEnvironmentError, match="AutoresetMode in its metadata, got None"):
        VectorLatentObservation(env, dot_world)


def test_other_render_modes_are_refused(dot_folder):
    for make, number in ((gym.make, {}), (gym.make_vec, {"num_envs": 2})):
        with pytest.raises(ValueError, match="expected render_mode None or 'rgb_array', got 'human'"):
            make("dreamenv:Latent-v0", world=str(dot_folder), render_mode="human", **number)


def test_the_spec_of_reality_has_the_time_limit_of_the_world(dot_folder):
    for make, number in ((gym.make, {}), (gym.make_vec, {"num_envs": 2})):
        assert make("dreamenv:Latent-v0", world=str(dot_folder), **number).spec.max_episode_steps == 20
        asked = make("dreamenv:Latent-v0", world=str(dot_folder), max_episode_steps=3, **number)
        assert asked.spec.max_episode_steps == 3


def test_the_vector_twin_refuses_step_and_render_before_reset(dot_world):
    env = VectorLatentObservation(SyncVectorEnv([DotEnv] * 2), dot_world)
    with pytest.raises(gym.error.ResetNeeded, match="before step"):
        env.step(np.full(2, STAY))
    with pytest.raises(gym.error.ResetNeeded, match="before render"):
        env.render()


def test_the_vector_twin_renders_frames_beside_reconstructions(dot_world):
    env = VectorLatentObservation(SyncVectorEnv([DotEnv] * 3), dot_world)
    env.reset(seed=0)
    env.step(np.full(3, STAY))
    pictures = env.render()
    assert [picture.shape for picture in pictures] == [(16, 64, 3)] * 3
    assert np.array_equal(pictures[1][:, :32], env.env.envs[1]._frame())


def test_make_vec_gives_the_twin(dot_folder):
    env = gym.make_vec(
        "dreamenv:Latent-v0", num_envs=3, world=str(dot_folder), autoreset_mode="Disabled", render_mode="rgb_array"
    )
    assert type(env) is VectorLatentObservation
    assert env.render_mode == "rgb_array"
    assert env.num_envs == 3
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert env.reset(seed=0)[0].shape == (3, 40)


def test_a_continuous_world_looks_at_its_own_reality(continuous_world, random_actions):
    env = gym.make("dreamenv:Latent-v0", world=str(continuous_world.path))
    vector = gym.make_vec("dreamenv:Latent-v0", num_envs=1, world=str(continuous_world.path))
    assert np.allclose(env.reset(seed=0)[0], vector.reset(seed=0)[0][0], atol=1e-6)
    for action in random_actions(env.action_space, 5):
        assert np.allclose(env.step(action)[0], vector.step(action[None])[0][0], atol=1e-6)


def test_an_environment_of_double_precision_gets_the_worlds_actions_within_its_own_bounds(
    continuous_world, reality_of, monkeypatch
):
    monkeypatch.setattr(PreciseDot, "taken", [])
    space = PreciseDot().action_space
    world = reality_of(continuous_world, PreciseDot, ActionSpec.from_space(space))
    env, vector, dream = make_latent(world), make_latent_vector(world, 2), dreamenv.DreamEnv(world)
    assert env.action_space == vector.single_action_space == dream.action_space
    assert env.action_space.low < space.low
    env.reset(seed=0)
    env.step(env.action_space.low)
    vector.reset(seed=0)
    vector.step(np.stack([env.action_space.low, env.action_space.high]))
    assert len(PreciseDot.taken) == 3
    assert all(action.dtype == np.float64 and space.contains(action) for action in PreciseDot.taken)


def test_a_world_finds_its_reality_once_its_module_is_imported_and_imports_none_itself(dot_folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "dot_env")
    names = [name for name, spec in gym.registry.items() if "dot_env" in str(spec.entry_point)]
    for name in names:
        monkeypatch.delitem(gym.registry, name)
    with pytest.raises(UnsupportedEnvironmentError, match="a world may not import anything.*--import dot_env"):
        gym.make("dreamenv:Latent-v0", world=str(dot_folder))
    assert "dot_env" not in sys.modules
    try:
        importlib.import_module("dot_env")
        env = gym.make("dreamenv:Latent-v0", world=str(dot_folder))
        assert env.reset(seed=0)[0].shape == (40,)
    finally:
        for name in names:
            gym.registry.pop(name, None)
