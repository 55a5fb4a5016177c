"""The three studies of the navigation post's ideas run from collected frames to their tables, and keep what is done."""

import json
import shlex

import pytest
import torch
from benchmark_runs import run_benchmark, same

import dreamenv
from benchmarks.post.random_features import with_random_features
from benchmarks.post.visions import _laplacian
from benchmarks.study import with_fresh_memory

MEMORY = "--train.memory.fit.steps 1 --train.memory.batch-size 2 --train.memory.model.hidden-size 8"
PPO = "--ppo.timesteps 64 --ppo.n-steps 8 --ppo.num-envs 4 --ppo.batch-size 32"


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sidewalk") / "episodes"
    dreamenv.collect("MiniWorld-Sidewalk-v0", folder, dreamenv.CollectConfig(frames=1700, shard_episodes=16))
    return folder


def run(name, root, settings):
    """What a study prints, and the rows that it writes."""
    printed = run_benchmark(f"post.{name}", f"--root {root} {settings}")
    return printed, json.loads((root / f"{name}.json").read_text())


def test_controllers_are_compared_by_what_they_see_and_not_made_twice(tmp_path, episodes):
    names = ["[z]", "[z, h of an untrained M]", "[z, h], dream of an untrained M"]
    settings = f"""--episodes {episodes} --seeds 0 --settings {shlex.join(names)} --processes 1 --real-episodes 1
        --evolve.generations 1 --evolve.population 2 --evolve.episodes 1 --evolve.evaluation-episodes 1"""

    printed, rows = run("inputs", tmp_path / "run", settings)

    assert [row["setting"] for row in rows] == names
    assert [row["parameters"] for row in rows] == [3 * 65, 3 * 577, 3 * 577]
    (tmp_path / "run" / "z-seed0" / "agent.safetensors").unlink()  # nobody asks for it again
    assert run("inputs", tmp_path / "run", settings) == (printed, rows)
    shipped = dreamenv.load("sidewalk")
    random = dreamenv.load(tmp_path / "run" / "z--h---dream-of-an-untrained-M-seed0" / "world")
    assert same(random.vision, shipped.vision) and not same(random.memory, shipped.memory)


def test_random_weights_of_m_depend_on_the_seed():
    world = dreamenv.load("sidewalk")

    assert same(with_fresh_memory(world, 0).memory, with_fresh_memory(world, 0).memory)
    assert not same(with_fresh_memory(world, 0).memory, with_fresh_memory(world, 1).memory)


def test_agents_that_see_random_features_are_in_the_same_dream():
    world = dreamenv.load("sidewalk")
    blind = with_random_features(world, 0)
    memory = with_fresh_memory(world, 0).memory
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


def test_mixtures_are_compared_on_the_latents_of_one_v(tmp_path, episodes):
    settings = f"--episodes {episodes} --seeds 0 --settings joint 'joint, repulsion' --processes 1 --real-episodes 1"

    _, rows = run("repulsion", tmp_path / "run", f"{settings} {MEMORY} {PPO}")

    assert [row["setting"] for row in rows] == ["joint", "joint, repulsion"]
    worlds = [dreamenv.load(tmp_path / "run" / name) for name in ("joint-seed0", "joint-repulsion-seed0")]
    assert all(world.config.memory.mixture == "joint" for world in worlds)
    assert same(worlds[0].vision, worlds[1].vision) and not same(worlds[0].memory, worlds[1].memory)
    assert all(0.0 <= row["overlap"] <= 1.0 and 1.0 <= row["live"] <= 5.0 for row in rows)


def test_kinds_of_v_are_compared_on_the_same_frames(tmp_path, episodes):
    settings = f"""--episodes {episodes} --seeds 0 --turns 1 --real-episodes 1 --train.vision.fit.steps 1
        --train.vision.batch-size 2 --train.vision.model.channels 4 4 8 8"""

    _, rows = run("visions", tmp_path / "run", f"{settings} {MEMORY} {PPO}")

    assert [row["vision"] for row in rows] == ["ConvVAE", "UNetVAE", "VAE-GAN"]
    assert [row["squared_error_beside"] is None for row in rows] == [True, False, True]
    assert all("frames/s" in row for row in rows)  # noise at this size
    assert (tmp_path / "run" / "visions.png").stat().st_size > 0


def test_a_blurred_frame_is_less_sharp():
    frames = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(frames, 3, stride=1, padding=1)

    assert _laplacian(blurred) < 0.3 * _laplacian(frames)
