"""Where frames enter: other observations become RGB, frames unlike their space are refused in every mode."""

import gymnasium as gym
import numpy as np
import pytest
from dot_env import DotEnv
from picture_env import SPACES, PictureEnv

import dreamenv
from dreamenv import CollectConfig, EnvRecipe, VectorLatentObservation, make_real
from dreamenv.data.collect import collect
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.real.frames import RGBObservation
from dreamenv.real.make import make_real_vector

PICTURE = "picture_env:Picture-v0"
SHORT = CollectConfig(frames=60, num_envs=2, shard_episodes=3)
WRONG = pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("float32", r"uint8.* got \(.*16, 32, 3\) float32, values from 0.0 to 0.8.*\(255 \* frame\).round\(\).astype"),
        ("float64", r"float64, values from 0.0 to 0.8.*\(255 \* frame\).round\(\).astype"),
        ("int64", r"int64, values from 0 to 220; return frame.astype\(numpy.uint8\)"),
        ("shape", r"expected frames \(16, 32, 3\) uint8.*got \(15, 32, 3\) uint8; correct the space or the frames"),
        ("list", r"got list; return a NumPy array"),
    ],
)


@WRONG
@pytest.mark.parametrize("processes", [False, True])
def test_frames_unlike_their_space_are_not_collected(tmp_path, wrong, says, processes):
    recipe = EnvRecipe(PICTURE, {"wrong": wrong, "wrong_at": 2})
    config = CollectConfig(frames=60, num_envs=2, shard_episodes=3, processes=processes)
    with pytest.raises(UnsupportedEnvironmentError, match=says):
        collect(recipe, tmp_path, config)


@WRONG
@pytest.mark.parametrize("wrong_at", [0, 1])
def test_frames_unlike_their_space_are_not_seen_through_a_world(dot_world, wrong, says, wrong_at):
    env = dreamenv.LatentObservation(PictureEnv(wrong=wrong, wrong_at=wrong_at), dot_world)
    with pytest.raises(UnsupportedEnvironmentError, match=says):  # noqa: PT012  either the reset or the step
        env.reset(seed=0)
        env.step(0)


class Floats(gym.vector.VectorWrapper):
    """Frames in [0, 1] from the step on, of a vector that does not batch the frames of other environments."""

    def step(self, actions):
        frames, *rest = self.env.step(actions)
        return (frames / 255).astype(np.float32), *rest


def test_frames_unlike_their_space_are_not_seen_through_a_vector(dot_world):
    env = VectorLatentObservation(Floats(gym.vector.SyncVectorEnv([DotEnv] * 2)), dot_world)
    env.reset(seed=0)
    with pytest.raises(UnsupportedEnvironmentError, match=r"got \(2, 16, 32, 3\) float32, values from 0.0 to 0.8"):
        env.step(np.zeros(2, int))


def test_bytes_beyond_the_bounds_of_their_space_are_refused():
    env = make_real(PICTURE, kind="dark")
    with pytest.raises(UnsupportedEnvironmentError, match=r"expected frames in Box\(0, 100.*got values from 0 to 220"):
        env.reset(seed=0)


@pytest.mark.parametrize("processes", [False, True])
def test_infos_that_no_vector_can_batch_do_not_end_a_collection(tmp_path, processes):
    config = CollectConfig(frames=60, num_envs=2, shard_episodes=3, processes=processes)
    plain = collect("dot_env:Dot-v0", tmp_path / "plain", config)
    odd = collect(EnvRecipe(PICTURE, {"infos": True}), tmp_path / "odd", config)
    assert odd.shard_names == plain.shard_names


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("grey", "greyscale (16, 32), turned to RGB"),
        ("grey, last", "greyscale (16, 32, 1), turned to RGB"),
        ("grey, first", "channel-first greyscale (1, 16, 32), turned to RGB"),
        ("first", "channel-first RGB (3, 16, 32), turned to RGB"),
        ("dict", "'image' of the observations, RGB (16, 32, 3); left out: 'direction', 'mission'"),
    ],
)
@pytest.mark.parametrize("processes", [False, True])
def test_pictures_in_other_observations_are_taken_and_collect_says_so(tmp_path, capsys, kind, says, processes):
    frame = make_real("dot_env:Dot-v0").reset(seed=1_000_000)[0]
    grey = kind.startswith("grey")
    config = CollectConfig(frames=60, num_envs=2, shard_episodes=3, processes=processes)
    store = collect(EnvRecipe(PICTURE, {"kind": kind}), tmp_path, config)
    assert store.spec.frame_shape == (16, 32, 3)
    assert np.array_equal(
        next(iter(store)).observations[0], np.repeat(frame.max(2)[:, :, None], 3, 2) if grey else frame
    )
    assert capsys.readouterr().err.count(f"frames: {says}\n") == 1


def test_rgb_frames_pass_as_they_are_and_nothing_is_said(tmp_path, capsys):
    env = PictureEnv()
    frame, _ = env.reset(seed=3)
    assert RGBObservation(env).observation(frame) is frame
    collect("dot_env:Dot-v0", tmp_path, SHORT)
    assert "frames: " not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("codes", r"'image' Box\(0, 255, \(7, 7, 3\), uint8\).*codes.*--wrappers minigrid.wrappers:RGBImgPartial"),
        ("two", r"choose one: --wrappers my_module:choose, .*FilterObservation\(env, \['left'\]\)"),
        ("float", r"--wrappers my_module:to_bytes, with def to_bytes\(env\): return gymnasium.*TransformObservation"),
        ("stack", r"got Box\(0, 255, \(4, 16, 32\), uint8\); leave out wrappers that stack frames"),
    ],
)
def test_other_observations_are_refused_with_the_remedy(kind, says):
    with pytest.raises(UnsupportedEnvironmentError, match=rf"expected RGB observations.*{says}"):
        make_real(PICTURE, kind=kind)


@pytest.mark.parametrize(("kind", "remedy"), [("two", "choose"), ("float", "to_bytes")])
def test_the_remedies_work(kind, remedy):
    recipe = EnvRecipe(PICTURE, {"kind": kind}, (f"picture_env:{remedy}",))
    assert make_real(recipe).observation_space.shape == SPACES["rgb"].shape


def test_an_environment_that_only_draws_is_collected_by_its_pictures(tmp_path):
    recipe = EnvRecipe("CartPole-v1", {"render_mode": "rgb_array"}, ("gymnasium.wrappers:AddRenderObservation",))
    assert make_real_vector(recipe, 1).reset(seed=0)[0].shape == (1, 400, 600, 3)
