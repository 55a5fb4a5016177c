"""The three studies of the navigation post's ideas run from collected frames to their tables, and keep what is done."""

import json
import shlex
from dataclasses import replace

import pytest
import torch
from benchmark_runs import run_experiment, same
from dot_settings import DOT_COLLECT

import dreamenv
from experiments.post.random_features import with_random_features
from experiments.post.visions import _laplacian
from experiments.worlds import with_fresh_memory

VISION = "--train.vision.model.frame-shape 16 32 3 --train.vision.model.latent-size 8"
MEMORY = "--train.memory.fit.steps 1 --train.memory.batch-size 2 --train.memory.model.hidden-size 8"
PPO = "--ppo.timesteps 64 --ppo.n-steps 8 --ppo.num-envs 4 --ppo.batch-size 32"


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few") / "episodes"
    dreamenv.collect("dot_env:Dot-v0", folder, replace(DOT_COLLECT, frames=600))
    return folder


@pytest.fixture
def run(tmp_path, episodes, capsys):
    """Runs a study on few episodes of the dot environment; what it prints, and the rows that it writes."""

    def call(name, settings):
        common = f"--root {tmp_path}/run --episodes {episodes} --seeds 0 --processes 0 --real-episodes 1"
        printed = run_experiment(capsys, f"post.{name}", f"{common} {settings}")
        return printed, json.loads((tmp_path / "run" / f"{name}.json").read_text())

    return call


def test_controllers_are_compared_by_what_they_see_and_not_made_twice(run, tmp_path, dot_folder, dot_world):
    names = ["[z]", "[z, h of an untrained M]", "[z, h], dream of an untrained M"]
    settings = f"""--world {dot_folder} --settings {shlex.join(names)} --evolve.generations 1 --evolve.population 2
        --evolve.episodes 1 --evolve.evaluation-episodes 1"""

    printed, rows = run("inputs", settings)

    assert [row["setting"] for row in rows] == names
    assert [row["parameters"] for row in rows] == [3 * 9, 3 * 41, 3 * 41]
    (tmp_path / "run" / "z-seed0" / "agent.safetensors").unlink()  # nobody asks for it again
    assert run("inputs", settings) == (printed, rows)
    random = dreamenv.load(tmp_path / "run" / "z--h---dream-of-an-untrained-M-seed0" / "world")
    assert same(random.model.vision, dot_world.model.vision)
    assert not same(random.model.memory, dot_world.model.memory)


def test_random_weights_of_m_depend_on_the_seed():
    world = dreamenv.load("sidewalk")

    assert same(with_fresh_memory(world, 0).model.memory, with_fresh_memory(world, 0).model.memory)
    assert not same(with_fresh_memory(world, 0).model.memory, with_fresh_memory(world, 1).model.memory)


def test_agents_that_see_random_features_are_in_the_same_dream():
    world = dreamenv.load("sidewalk")
    blind = with_random_features(world, 0)
    memory = with_fresh_memory(world, 0).model.memory
    actions = torch.randint(0, 3, (20, 4), generator=torch.Generator().manual_seed(0)).numpy()
    seen, shown = (dreamenv.DreamVectorEnv(w, 4, batch_invariant=True) for w in (world, blind))
    z = [torch.from_numpy(seen.reset(seed=0)[0][:, :64])]
    assert (shown.reset(seed=0)[0][:, :64] == z[0].numpy()).all()

    for action in actions:
        (one, reward, *_), (other, same_reward, *_) = seen.step(action), shown.step(action)
        z.append(torch.from_numpy(one[:, :64]))
        assert (one[:, :64] == other[:, :64]).all() and (reward == same_reward).all()

    h, _ = memory.unroll(torch.stack(z[:-1], 1), torch.from_numpy(actions).T)
    assert torch.from_numpy(other[:, 64:]).allclose(h[:, -1], atol=1e-5)
    assert not torch.from_numpy(one[:, 64:]).allclose(h[:, -1], atol=0.1)


def test_mixtures_are_compared_on_the_latents_of_one_v(run, tmp_path, dot_folder):
    settings = f"--world {dot_folder} --settings joint 'joint, repulsion' --horizons 1 8"

    _, rows = run("repulsion", f"{settings} {VISION} --train.vision.model.channels 16 32 {MEMORY} {PPO}")

    assert [row["setting"] for row in rows] == ["joint", "joint, repulsion"]
    worlds = [dreamenv.load(tmp_path / "run" / name) for name in ("joint-seed0", "joint-repulsion-seed0")]
    assert all(world.config.model.memory.mixture == "joint" for world in worlds)
    one, other = (world.model for world in worlds)
    assert same(one.vision, other.vision) and not same(one.memory, other.memory)
    assert all(0.0 <= row["overlap"] <= 1.0 and 1.0 <= row["live"] <= 5.0 for row in rows)


def test_kinds_of_v_are_compared_on_the_same_frames(run, tmp_path):
    settings = "--turns 1 --train.vision.fit.steps 1 --train.vision.batch-size 2 --train.vision.model.channels 4 8"

    printed, rows = run("visions", f"{settings} {VISION} {MEMORY} {PPO}")

    assert [row["vision"] for row in rows] == ["ConvVAE", "UNetVAE", "VAE-GAN"]
    assert [row["squared_error_beside"] is None for row in rows] == [True, False, True]
    assert all("frames/s" in row for row in rows)  # noise at this size
    assert all(row["agents"][0]["test greedy"]["mean"] >= 0.0 for row in rows)
    assert [line.split()[0] for line in printed.splitlines()[2:]] == ["ConvVAE", "UNetVAE", "VAE-GAN"]
    assert (tmp_path / "run" / "visions.png").stat().st_size > 0


def test_a_blurred_frame_is_less_sharp():
    frames = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(frames, 3, stride=1, padding=1)

    assert _laplacian(blurred) < 0.3 * _laplacian(frames)
