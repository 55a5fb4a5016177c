"""Other devices: nothing stays behind when a world moves, and random numbers are drawn where they are needed.

No accelerator is needed: torch's "meta" device computes shapes only, and refuses to mix with the processor.
"""

import contextlib
import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import scipy.stats
import torch

import dreamenv
from dreamenv import DreamEnv, DreamVectorEnv
from dreamenv.engine.packed import compiled
from dreamenv.engine.placement import on_device
from dreamenv.envs import dream_batch
from dreamenv.envs.counters import CounterStreams, _mix, make_streams
from dreamenv.envs.streams import NoiseStreams
from dreamenv.models.noise import Noise, NoiseSpec

CPU = torch.device("cpu")
Z = 4
SPEC = NoiseSpec(uniform=Z, normal=Z)


def streams(num_envs, seed=0):
    result = CounterStreams(num_envs, SPEC, CPU)
    result.reset(np.arange(num_envs), seed)
    return result


def draw(source, steps, rows):
    """(steps, rows, 2 Z + 1) numbers."""
    noise = [source.draw(np.asarray(rows)) for _ in range(steps)]
    return torch.stack([torch.cat([one.uniform, one.normal], dim=1) for one in noise])


@pytest.fixture
def counting(monkeypatch):
    """Dreams on the processor with the random numbers of other devices."""
    monkeypatch.setattr(dream_batch, "make_streams", CounterStreams)


def test_the_finaliser_is_splitmix64s():
    golden = 0x9E3779B97F4A7C15
    states = [golden * k % 2**64 for k in (1, 2, 3)]
    signed = torch.tensor([s - 2**64 if s >= 2**63 else s for s in states])
    # the first three numbers of the reference implementation from state 0
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [x % 2**64 for x in _mix(signed).tolist()] == expected


def test_numbers_are_uniform_and_normal_and_alike_in_every_column():
    numbers = draw(streams(8), 2000, range(8)).reshape(-1, 2 * Z + 1).double()
    for column in range(Z + 1):
        assert scipy.stats.kstest(numbers[:, column], "uniform").pvalue > 1e-4
    for column in range(Z + 1, 2 * Z + 1):
        assert scipy.stats.kstest(numbers[:, column], "norm").pvalue > 1e-4
    assert numbers.isfinite().all()


def test_numbers_of_neighbours_and_of_following_steps_are_independent():
    numbers = draw(streams(2), 20_000, range(2)).double()
    rows = torch.cat([numbers[:-1, 0], numbers[:-1, 1], numbers[1:, 0]], dim=1)
    correlation = torch.corrcoef(rows.T) - torch.eye(rows.shape[1])
    assert correlation.abs().max() < 0.035  # five standard errors


@pytest.mark.parametrize("num_envs", [2, 3, 7])
def test_numbers_do_not_depend_on_the_other_environments(num_envs):
    alone, among = draw(streams(1, 5), 40, [0]), streams(num_envs, 4)
    draw(among, 3, [0])
    assert torch.equal(draw(among, 40, range(num_envs))[:, 1], alone[:, 0])


def test_streams_go_on_from_a_state_and_start_again_from_a_seed():
    source = streams(3)
    first = draw(source, 5, range(3))
    state = source.state
    then = draw(source, 5, range(3))
    source.state = state
    assert torch.equal(draw(source, 5, range(3)), then)
    source.reset(np.array([1]), [None, 1, None])
    assert torch.equal(draw(source, 5, [1]), first[:, 1:2])
    assert not torch.equal(draw(streams(3, None), 5, range(3)), first)


def test_seeds_are_checked():
    with pytest.raises(ValueError, match="expected 3 seeds, got 2"):
        streams(3, [0, 1])
    with pytest.raises(gym.error.Error, match="expected seeds that are None or integers >= 0, got -1"):
        streams(1, [-1])


def test_a_dropout_mask_hides_its_share_and_keeps_the_mean():
    mask = streams(4).draw_mask(np.arange(4), 5000, 0.2)
    assert (mask == 0).double().mean() == pytest.approx(0.2, abs=0.02)
    assert mask.mean() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("num_envs", [3, 40])
def test_dreams_with_such_numbers_do_not_depend_on_the_batch(dot_world, counting, num_envs):
    settings = {"temperature": (0.5, 1.5), "branched_starts": 0.5, "dropout": 0.2, "batch_invariant": True}
    env = DreamVectorEnv(dot_world, num_envs, autoreset_mode="SameStep", **settings)
    single = DreamVectorEnv(dot_world, 1, autoreset_mode="SameStep", **settings)
    actions = np.random.default_rng(0).integers(3, size=(60, num_envs))
    together, alone = [env.reset(seed=7)[0][2]], [single.reset(seed=9)[0][0]]
    for action in actions:
        together.append(env.step(action)[0][2])
        alone.append(single.step(action[2:3])[0][0])
    assert np.array_equal(together, alone)


def test_a_snapshot_keeps_such_numbers(dot_world, counting):
    env = DreamVectorEnv(dot_world, 3, temperature=(0.5, 1.5), autoreset_mode="SameStep")
    env.reset(seed=0)
    snapshot = env.snapshot()
    first = [env.step(np.full(3, k % 3))[0] for k in range(40)]
    env.restore(snapshot)
    assert np.array_equal([env.step(np.full(3, k % 3))[0] for k in range(40)], first)


@pytest.mark.parametrize("packed", [None, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("which", ["dot_world", "continuous_world"])
def test_no_tensor_of_a_dream_stays_behind(request, which, packed):
    world = request.getfixturevalue(which)
    world = world if packed is None else dataclasses.replace(world, model=compiled(world.model, packed))
    moved = on_device(world, "meta")
    assert (world.device.type, moved.device.type) == ("cpu", "meta")
    noise = Noise.draw(3, world.model.prior_noise, torch.Generator()).to("meta")
    actions = world.config.action
    action = torch.zeros(3, dtype=torch.int64) if actions.discrete else torch.zeros(3, actions.size)
    state = moved.sample_start(noise)
    mask = torch.ones(3, world.model.hidden_size, device="meta")
    state, transition = moved.imagine(state, action.to("meta"), 1.15, noise, mask)
    seen = moved.model.vision.encode(torch.zeros(2, *world.config.frame_shape, dtype=torch.uint8, device="meta"))
    outlook = transition.outlook
    tensors = [*state.parts, transition.reward, transition.ending, outlook.endings, outlook.rewards, *seen]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    with pytest.raises(RuntimeError, match="device"):
        moved.imagine(state, action.to("meta"), 1.15, Noise.draw(3, world.model.prior_noise, torch.Generator()))


def test_a_world_that_moves_leaves_the_first_as_it_was(dot_world):
    before = [tensor.clone() for tensor in dot_world.model.state_dict().values()]
    assert on_device(dot_world, "cpu") is dot_world
    on_device(dot_world, "meta")
    assert all(torch.equal(a, b) for a, b in zip(before, dot_world.model.state_dict().values(), strict=True))


@pytest.mark.parametrize("device", ["nowhere", "xla"])
def test_a_device_that_is_not_there_is_refused(dot_folder, tmp_path, device):
    message = f"expected a device that torch has here, got '{device}'"
    with pytest.raises(ValueError, match=message):
        dreamenv.load(dot_folder, device=device)
    with pytest.raises(ValueError, match=message):
        DreamEnv(dot_folder, device=device)
    with pytest.raises(ValueError, match=message):
        dreamenv.train(tmp_path, episodes=dot_folder / "episodes", device=device)
    assert not list(tmp_path.iterdir())


class TestTensors:
    """Observations and actions as tensors."""

    @pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
    def test_they_are_the_arrays_of_the_same_dreams(self, dot_world, mode):
        env = DreamVectorEnv(dot_world, 5, tensors=True, max_episode_steps=7, autoreset_mode=mode)
        twin = DreamVectorEnv(dot_world, 5, max_episode_steps=7, autoreset_mode=mode)
        observation, expected = env.reset(seed=0)[0], twin.reset(seed=0)[0]
        for k in range(30):
            assert isinstance(observation, torch.Tensor)
            assert np.array_equal(observation.numpy(), expected)
            observation, *facts, info = env.step(torch.full((5,), k % 3))
            expected, *expected_facts, expected_info = twin.step(np.full(5, k % 3))
            assert all(np.array_equal(a, b) for a, b in zip(facts, expected_facts, strict=True))
            for final, array in zip(info.get("final_obs", []), expected_info.get("final_obs", []), strict=True):
                assert (final is None and array is None) or np.array_equal(final.numpy(), array)

    def test_what_is_computed_from_them_has_gradients(self, dot_world):
        env = DreamVectorEnv(dot_world, 5, tensors=True, max_episode_steps=1, autoreset_mode="SameStep")
        first, _ = env.reset(seed=0)
        second, *_, info = env.step(torch.zeros(5, dtype=torch.int64))
        kept = dot_world.features(env.snapshot().state)
        for observation in (first, second, info["final_obs"][0], kept):
            layer = torch.nn.Linear(40, 1)
            layer(observation).sum().backward()
            assert layer.weight.grad.any()

    @pytest.mark.parametrize(
        "actions", [torch.zeros(2, dtype=torch.int64), torch.zeros(3), torch.full((3,), 3), torch.full((3,), -1)]
    )
    def test_bad_actions_are_refused(self, dot_world, actions):
        env = DreamVectorEnv(dot_world, 3, tensors=True)
        env.reset(seed=0)
        with pytest.raises(gym.error.InvalidAction, match="expected 3 actions in"):
            env.step(actions)
        env.step(torch.zeros(3, dtype=torch.int64))

    def test_continuous_actions_are_checked_against_their_bounds(self, continuous_world):
        env = DreamVectorEnv(continuous_world, 2, tensors=True)
        env.reset(seed=0)
        high = torch.tensor(continuous_world.config.action.high).expand(2, -1).clone()
        env.step(high)
        with pytest.raises(gym.error.InvalidAction, match="expected 2 actions in"):
            env.step(high + 0.1)
        with pytest.raises(gym.error.InvalidAction, match="expected 2 actions in"):
            env.step(high * torch.nan)


def test_every_device_but_the_processor_computes_its_numbers_itself():
    assert isinstance(make_streams(2, SPEC, torch.device("cpu")), NoiseStreams)
    assert isinstance(make_streams(2, SPEC, torch.device("meta")), CounterStreams)


def test_recorded_frames_go_where_the_world_is(dot_world, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # which "meta" has not
    frames = torch.zeros(2, *dot_world.config.frame_shape, dtype=torch.uint8)
    assert on_device(dot_world, "meta").start(frames).z.device == torch.device("meta")
