"""Batches of dreams: the same as single ones, with Gymnasium's autoreset semantics."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from dreamenv import DreamEnv, DreamVectorEnv
from dreamenv.engine.blocks import CACHED

STAY = 2
# Before 1.4, Gymnasium's wrapper drops the first step of all episodes but the first if vectors reset in the same step.
MISCOUNTS = tuple(map(int, gym.__version__.split(".")[:2])) < (1, 4)


@pytest.fixture(params=["dot_world", "continuous_world"])
def world(request):
    return request.getfixturevalue(request.param)


def reset_by_hand(env, done):
    return env.reset(options={"reset_mask": done.copy()})


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_batch_is_bit_for_bit_gymnasiums_sync_vector_env_of_single_dreams(world, mode, random_actions):
    num_envs, ends = 5, 0
    batch = DreamVectorEnv(world, num_envs, batch_invariant=True, autoreset_mode=mode)
    singles = SyncVectorEnv([lambda: DreamEnv(world, batch_invariant=True)] * num_envs, autoreset_mode=mode)
    assert batch.metadata["autoreset_mode"] is singles.metadata["autoreset_mode"] is mode
    assert np.array_equal(batch.reset(seed=11)[0], singles.reset(seed=11)[0])
    for action in random_actions(batch.action_space, 80, seed=1):
        mine, theirs = batch.step(action), singles.step(action)
        for one, other in zip(mine[:4], theirs[:4], strict=True):
            assert one.shape == other.shape
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        assert mine[4].keys() == theirs[4].keys()
        assert np.array_equal(mine[4]["temperature"], theirs[4]["temperature"])
        done = mine[2] | mine[3]
        ends += done.sum()
        if not done.any():
            continue
        if mode is AutoresetMode.SAME_STEP:
            assert np.array_equal(mine[4]["_final_obs"], theirs[4]["_final_obs"])
            assert np.array_equal(mine[4]["_final_obs"], done)
            for row in range(num_envs):
                one, other = mine[4]["final_obs"][row], theirs[4]["final_obs"][row]
                assert (one is None) == (other is None) == (not done[row])
                assert one is None or np.array_equal(one, other)
            final, expected = mine[4]["final_info"], theirs[4]["final_info"]
            assert final.keys() == expected.keys()
            assert np.array_equal(final["temperature"][done], expected["temperature"][done])
        if mode is AutoresetMode.DISABLED:
            again, other = reset_by_hand(batch, done)[0], reset_by_hand(singles, done)[0]
            assert np.array_equal(again, other)
    assert ends > 10


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("num_envs", [1, 2, 33])
def test_an_episode_has_the_same_bits_in_every_invariant_batch(world, num_envs, dtype, random_actions):
    settings = {"batch_invariant": True, "dtype": dtype, "branched_starts": 0.5, "dropout": 0.1}
    many = DreamVectorEnv(world, 40, autoreset_mode=AutoresetMode.SAME_STEP, **settings)
    some = DreamVectorEnv(world, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **settings)
    first = 40 - num_envs
    assert np.array_equal(many.reset(seed=0)[0][first:], some.reset(seed=first)[0])
    for action in random_actions(many.action_space, 60, seed=1):
        for one, other in zip(many.step(action)[:4], some.step(action[first:])[:4], strict=True):
            assert np.array_equal(one[first:], other)


@torch.inference_mode()
def test_large_batches_are_computed_in_blocks_and_dream_the_same(world, random_actions):
    """One step of two blocks from the same state agrees with the plain formulas."""
    num_envs = CACHED.size + 44
    batch = DreamVectorEnv(world, num_envs)
    observation, _ = batch.reset(seed=0)
    for action in random_actions(batch.action_space, 5, seed=3):
        before = batch.snapshot()
        noise = batch._dreams.streams.draw(np.arange(num_envs))
        expected, transition = world.imagine(before.state, torch.from_numpy(action), 1.0, noise)
        batch.restore(before)
        observation, reward, terminated, truncated, _ = batch.step(action)
        going = ~before.done
        assert np.allclose(observation[going], world.features(expected).numpy()[going], atol=1e-5)
        assert np.allclose(reward[going], transition.reward.numpy()[going], atol=1e-5)
        assert np.array_equal(terminated[going], transition.terminated.numpy()[going])


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_rounded_dreams_differ_by_rounding_only(single_start_world, dtype):
    exact, rounded = (DreamVectorEnv(single_start_world, 64, temperature=0.0, dtype=d) for d in ("float32", dtype))
    observation, _ = exact.reset(seed=0)
    other, _ = rounded.reset(seed=0)
    assert np.array_equal(observation, other)
    action = np.zeros(64, np.int64)
    one, two = exact.step(action)[0], rounded.step(action)[0]
    assert two.dtype == np.float32
    assert 0.0 < np.abs(one - two).max() < 0.1


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_scheduled_temperature_holds_from_the_next_episode_on(dot_world, mode):
    batch = DreamVectorEnv(dot_world, 4, temperature=1.0, autoreset_mode=mode)
    batch.reset(seed=0)
    batch.set_temperature(np.array([0.1, 0.2, 0.3, 0.4]))
    begun = np.zeros(4, bool)
    for _ in range(2 * dot_world.config.max_episode_steps):
        begins = batch._dreams.done.copy()
        *_, terminated, truncated, info = batch.step(np.full(4, STAY))
        begun |= (terminated | truncated) if mode is AutoresetMode.SAME_STEP else begins
        assert info["temperature"] == pytest.approx(np.where(begun, [0.1, 0.2, 0.3, 0.4], 1.0))
    assert begun.all()
    with pytest.raises(ValueError, match="expected a temperature"):
        batch.set_temperature(-1.0)


def test_environments_that_left_stand_still_and_the_others_go_on_as_before(world, random_actions):
    whole, rest = (
        DreamVectorEnv(world, 6, batch_invariant=True, dropout=0.1, autoreset_mode=AutoresetMode.DISABLED)
        for _ in range(2)
    )
    stays = np.array([True, False, True, True, False, True])
    before, _ = whole.reset(seed=0)
    rest.reset(seed=0)
    rest.leave(~stays)
    for action in random_actions(whole.action_space, 4, seed=1):
        for one, other in zip(whole.step(action)[:4], rest.step(action)[:4], strict=True):
            assert np.array_equal(one[stays], other[stays])
        if whole._dreams.done.any():
            break
    rest._dreams.done[:] = False
    observation, reward, terminated, truncated, _ = rest.step(action)
    assert np.array_equal(observation[~stays], before[~stays])
    assert not reward[~stays].any()
    assert not (terminated | truncated)[~stays].any()


def test_those_that_left_come_back_by_reset(dot_world):
    batch = DreamVectorEnv(dot_world, 3, autoreset_mode=AutoresetMode.DISABLED)
    batch.reset(seed=0)
    batch.leave(np.ones(3, bool))
    with pytest.raises(gym.error.ResetNeeded, match="all environments are idle"):
        batch.step(np.zeros(3, np.int64))
    batch.reset(options={"reset_mask": np.array([False, True, False])})
    before = batch.snapshot()
    first, *_ = batch.step(np.full(3, STAY))
    again = batch.restore(before)
    assert np.array_equal(np.abs(first - again).any(1), [False, True, False])
    assert np.array_equal(batch.step(np.full(3, STAY))[0], first)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_environments_that_reset_themselves_cannot_leave(dot_world, mode):
    with pytest.raises(ValueError, match="expected autoreset mode DISABLED"):
        DreamVectorEnv(dot_world, 2, autoreset_mode=mode).leave(np.ones(2, bool))


@pytest.mark.parametrize("dtype", ["float16", "bf16", "torch.int8", None, 32])
def test_an_unknown_dtype_is_refused(dot_world, dtype):
    with pytest.raises(ValueError, match="expected dtype 'float32', 'bfloat16' or 'int8'"):
        DreamVectorEnv(dot_world, 2, dtype=dtype)


@pytest.mark.parametrize("num_envs", [1, 3, 7])
def test_environment_i_is_a_single_environment_seeded_with_s_plus_i(world, num_envs, random_actions):
    batch = DreamVectorEnv(world, num_envs)
    observation, _ = batch.reset(seed=20)
    actions = random_actions(batch.action_space, 20, seed=2)
    observations, rewards, terminated, truncated = [observation], [], [], []
    for action in actions:
        observation, reward, ends, stops, _ = batch.step(action)
        for column, value in zip(
            (observations, rewards, terminated, truncated), (observation, reward, ends, stops), strict=True
        ):
            column.append(value)
    for row in range(num_envs):
        single = DreamEnv(world)
        assert np.allclose(single.reset(seed=20 + row)[0], observations[0][row], atol=1e-4)
        for step, action in enumerate(actions):
            observation, reward, ends, stops, _ = single.step(
                int(action[row]) if world.config.action.discrete else action[row]
            )
            assert np.allclose(observation, observations[step + 1][row], atol=1e-4)
            assert reward == pytest.approx(rewards[step][row], abs=1e-5)
            assert (ends, stops) == (terminated[step][row], truncated[step][row])
            if ends or stops:
                break


def test_a_list_of_seeds_seeds_every_environment_by_its_own(dot_world):
    batch = DreamVectorEnv(dot_world, 3)
    observation, _ = batch.reset(seed=[5, 9, 5])
    for row, seed in enumerate([5, 9, 5]):
        assert np.array_equal(observation[row], DreamEnv(dot_world).reset(seed=seed)[0])


def test_none_among_seeds_goes_on_with_that_stream(dot_world):
    one, other = DreamVectorEnv(dot_world, 2), DreamVectorEnv(dot_world, 2)
    one.reset(seed=0)
    other.reset(seed=0)
    mixed, unseeded = one.reset(seed=[None, 7])[0], other.reset()[0]
    assert np.array_equal(mixed[0], unseeded[0])
    assert not np.array_equal(mixed[1], unseeded[1])


@pytest.mark.parametrize("seed", [[1, 2], [1, 2, 3, 4], []])
def test_a_wrong_number_of_seeds_is_refused(dot_world, seed):
    with pytest.raises(ValueError, match=f"expected 3 seeds, got {len(seed)}"):
        DreamVectorEnv(dot_world, 3).reset(seed=seed)


def test_make_vec_gives_the_native_batch(dot_folder):
    env = gym.make_vec("dreamenv:Dream-v0", num_envs=3, world=str(dot_folder), temperature=0.5)
    assert type(env) is DreamVectorEnv
    assert env.num_envs == 3
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert env.reset()[1]["temperature"].tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_make_vec_takes_the_autoreset_mode_as_plain_text(dot_folder, mode):
    env = gym.make_vec("dreamenv:Dream-v0", num_envs=2, world=str(dot_folder), autoreset_mode=mode.value)
    assert env.metadata["autoreset_mode"] is mode


def test_instances_do_not_share_their_metadata(dot_world):
    same_step = DreamVectorEnv(dot_world, 1, autoreset_mode=AutoresetMode.SAME_STEP)
    DreamVectorEnv(dot_world, 1, autoreset_mode=AutoresetMode.DISABLED)
    assert same_step.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert "autoreset_mode" not in DreamVectorEnv.metadata


SAME_STEP = pytest.param(AutoresetMode.SAME_STEP, marks=pytest.mark.skipif(MISCOUNTS, reason="Gymnasium before 1.4"))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, SAME_STEP])
def test_gymnasiums_episode_statistics_add_up(dot_world, mode, random_actions):
    env = RecordEpisodeStatistics(DreamVectorEnv(dot_world, 4, autoreset_mode=mode))
    env.reset(seed=0)
    total, length, done, episodes = np.zeros(4), np.zeros(4, int), np.zeros(4, bool), 0
    for action in random_actions(env.action_space, 100, seed=3):
        _, reward, terminated, truncated, info = env.step(action)
        resets = done & (mode is AutoresetMode.NEXT_STEP)
        length, total = np.where(resets, 0, length + 1), np.where(resets, 0.0, total + reward)
        done = terminated | truncated
        for row in np.flatnonzero(done):
            assert info["episode"]["r"][row] == pytest.approx(total[row])
            assert info["episode"]["l"][row] == length[row]
            episodes += 1
        if mode is AutoresetMode.SAME_STEP:
            total[done], length[done] = 0.0, 0
    assert episodes > 10


def test_reset_mask_resets_only_those_rows(dot_world, random_actions):
    one, other = (DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    one.reset(seed=0)
    other.reset(seed=0)
    before = one.step(np.full(4, STAY))[0]
    other.step(np.full(4, STAY))
    mask = np.array([False, True, False, True])
    observation, _ = one.reset(options={"reset_mask": mask})
    assert np.array_equal(observation[~mask], before[~mask])
    assert not observation[mask, 8:].any()
    after, expected = one.step(np.full(4, STAY))[0], other.step(np.full(4, STAY))[0]
    assert np.allclose(after[~mask], expected[~mask], atol=1e-6)
    assert not np.allclose(after[mask], expected[mask], atol=1e-3)


def test_seeds_of_rows_outside_the_mask_are_not_used(dot_world):
    one, other = (DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    one.reset(seed=0)
    other.reset(seed=0)
    mask = np.array([True, False])
    reseeded, plain = one.reset(seed=50, options={"reset_mask": mask})[0], other.reset(seed=50)[0]
    assert np.array_equal(reseeded[0], plain[0])
    other.reset(seed=0)
    assert np.allclose(one.step(np.full(2, STAY))[0][1], other.step(np.full(2, STAY))[0][1], atol=1e-6)


@pytest.mark.parametrize(
    "mask",
    [np.ones(2, bool), np.ones(3, int), np.zeros(3, bool), [True, True, True], None, np.ones((3, 1), bool)],
    ids=repr,
)
def test_a_bad_reset_mask_is_refused(dot_world, mask):
    env = DreamVectorEnv(dot_world, 3, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected reset_mask to be a \(3,\) bool array with a True in it"):
        env.reset(options={"reset_mask": mask})


def test_a_mask_before_the_first_reset_is_refused(dot_world):
    env = DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(gym.error.ResetNeeded, match="reset of all environments first"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(options={"reset_mask": np.array([True, True])})


def test_without_autoreset_a_step_of_done_environments_is_refused_by_name(dot_world):
    env = DreamVectorEnv(dot_world, 3, max_episode_steps=1, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    env.step(np.full(3, STAY))
    env.reset(options={"reset_mask": np.array([True, False, True])})
    with pytest.raises(gym.error.ResetNeeded, match=r"\[1\]"):
        env.step(np.full(3, STAY))


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_full_reset_forgets_that_episodes_were_done(dot_world, mode):
    env = DreamVectorEnv(dot_world, 3, max_episode_steps=2, autoreset_mode=mode)
    env.reset(seed=0)
    env.step(np.full(3, STAY))
    env.step(np.full(3, STAY))
    env.reset(seed=0)
    for expected in (False, True):
        *_, truncated, _ = env.step(np.full(3, STAY))
        assert truncated.tolist() == [expected] * 3


def test_next_step_reset_pays_nothing_and_ignores_the_action(dot_world):
    env = DreamVectorEnv(dot_world, 3, max_episode_steps=1)
    env.reset(seed=0)
    env.step(np.full(3, STAY))
    observation, reward, terminated, truncated, _ = env.step(np.array([0, 1, 2]))
    assert reward.tolist() == [0.0] * 3
    assert not (terminated | truncated).any()
    assert not observation[:, 8:].any()


def test_rows_can_dream_at_temperatures_of_their_own(dot_world):
    temperatures = np.array([0.0, 0.5, 1.5], np.float32)
    mixed = DreamVectorEnv(dot_world, 3, temperature=temperatures)
    observation, info = mixed.reset(seed=0)
    assert info["temperature"].tolist() == temperatures.tolist()
    steps = [mixed.step(np.full(3, STAY))[0] for _ in range(4)]
    for row, temperature in enumerate(temperatures):
        uniform = DreamVectorEnv(dot_world, 3, temperature=float(temperature))
        uniform.reset(seed=0)
        for step in steps:
            assert np.allclose(step[row], uniform.step(np.full(3, STAY))[0][row], atol=1e-5)


def test_a_masked_reset_changes_only_its_own_temperatures(dot_world):
    env = DreamVectorEnv(dot_world, 3, temperature=1.0, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    mask = np.array([False, True, False])
    _, info = env.reset(options={"reset_mask": mask, "temperature": 0.5})
    assert info["temperature"].tolist() == [1.0, 0.5, 1.0]
    _, info = env.reset(options={"temperature": np.array([0.1, 0.2, 0.3])})
    assert info["temperature"] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("mode", AutoresetMode)
def test_temperatures_are_drawn_anew_where_an_episode_begins_and_only_there(dot_world, mode):
    env = DreamVectorEnv(dot_world, 4, temperature=(0.2, 0.8), autoreset_mode=mode)
    before = env.reset(seed=0)[1]["temperature"]
    assert len(set(before)) == 4
    done = np.zeros(4, bool)
    for _ in range(60):
        begins = done
        if mode is AutoresetMode.DISABLED and done.any():
            now = env.reset(options={"reset_mask": done})[1]["temperature"]
            assert ((now != before) == done).all()
            before, begins = now, np.zeros(4, bool)
        _, _, terminated, truncated, info = env.step(np.full(4, 1))
        done = terminated | truncated
        begins = done if mode is AutoresetMode.SAME_STEP else begins
        assert ((info["temperature"] != before) == begins).all()
        if mode is AutoresetMode.SAME_STEP and done.any():
            assert (info["final_info"]["temperature"][done] == before[done]).all()
        before = info["temperature"]
    assert ((before >= 0.2) & (before <= 0.8)).all()


@pytest.mark.parametrize("value", [np.array([1.0, 1.0]), np.array([1.0, np.nan, 1.0]), np.array([1.0, -1.0, 1.0])])
def test_bad_temperatures_for_a_batch_are_refused(dot_world, value):
    with pytest.raises(ValueError, match="array of 3 of them"):
        DreamVectorEnv(dot_world, 3, temperature=value)


def test_the_callers_temperatures_may_change_afterwards(dot_world):
    temperatures = np.array([0.5, 0.5], np.float32)
    env = DreamVectorEnv(dot_world, 2, temperature=temperatures)
    temperatures[:] = 9.0
    info = env.reset(seed=0)[1]
    info["temperature"][:] = 7.0
    assert env.reset()[1]["temperature"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "actions",
    [
        np.array([0, 1]),
        np.array([0, 1, 3]),
        np.array([0, -1, 0]),
        np.array([0.0, 1.0, 2.0]),
        np.array([0.0, np.nan, 1.0]),
        np.array([[0], [1], [2]]),
        np.array(["0", "1", "2"]),
        None,
        1,
    ],
)
def test_bad_actions_are_refused_and_the_batch_goes_on(dot_world, actions):
    env, undisturbed = DreamVectorEnv(dot_world, 3), DreamVectorEnv(dot_world, 3)
    env.reset(seed=0)
    undisturbed.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="expected 3 actions in"):
        env.step(actions)
    assert np.array_equal(env.step(np.full(3, STAY))[0], undisturbed.step(np.full(3, STAY))[0])


@pytest.mark.parametrize(
    "actions",
    [
        np.zeros(2, np.float32),
        np.float32([[0.0], [1.1]]),
        np.float32([[np.nan], [0.0]]),
        np.zeros((2, 2), np.float32),
        np.array([["0"], ["1"]]),
        np.array([[None], [None]]),
    ],
)
def test_bad_continuous_actions_are_refused(continuous_world, actions):
    env = DreamVectorEnv(continuous_world, 2)
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="expected 2 actions in"):
        env.step(actions)


def test_step_before_reset_is_refused(dot_world):
    with pytest.raises(gym.error.ResetNeeded, match="expected reset before step"):
        DreamVectorEnv(dot_world, 2).step(np.full(2, STAY))


def test_returned_arrays_belong_to_the_caller(dot_world):
    env, undisturbed = DreamVectorEnv(dot_world, 3), DreamVectorEnv(dot_world, 3)
    observation, _ = env.reset(seed=0)
    undisturbed.reset(seed=0)
    observation[:] = 5.0
    for _ in range(25):
        observation, reward, terminated, truncated, _ = env.step(np.full(3, STAY))
        expected = undisturbed.step(np.full(3, STAY))
        assert np.array_equal(observation, expected[0])
        assert np.array_equal(truncated, expected[3])
        observation[:], reward[:], terminated[:], truncated[:] = 5.0, 5.0, True, True


def test_render_draws_every_dream(dot_world):
    env = DreamVectorEnv(dot_world, 3, render_mode="rgb_array")
    env.reset(seed=0)
    frames = env.render()
    assert [frame.shape for frame in frames] == [(16, 32, 3)] * 3
    assert DreamVectorEnv(dot_world, 3).render() is None


@pytest.mark.parametrize("limit", [0, -2, 2.5])
def test_a_time_limit_below_one_step_is_refused(dot_world, limit):
    with pytest.raises(ValueError, match="max_episode_steps"):
        DreamVectorEnv(dot_world, 1, max_episode_steps=limit)


def test_an_unknown_render_mode_is_refused(dot_world):
    with pytest.raises(ValueError, match="rgb_array"):
        DreamVectorEnv(dot_world, 1, render_mode="ascii")
