"""A world learned from the dot environment is right where it counts, and learned from training episodes only."""

import dataclasses
import math
import shutil
import warnings

import numpy as np
import pytest
import torch
from dot_env import HEIGHT, WIDTH, DotEnv
from dot_settings import DOT_TRAIN

from dreamenv.bundle import CONFIG, WEIGHTS
from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode
from dreamenv.data.store import VALIDATION_EVERY, EpisodeStore
from dreamenv.foundation.errors import ResumeError, StoreError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.memory import LSTMMemory, MemoryConfig
from dreamenv.models.mdnrnn.model import MDNRNN, MDNRNNConfig, build_memory, build_vision
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.noise import Noise
from dreamenv.real.spec import StoreSpec
from dreamenv.recordings import Recording, record
from dreamenv.reports.horizon import OpenLoop
from dreamenv.reports.logs import read_curves
from dreamenv.reports.model_report import explained_variance, report_memory, sums_of
from dreamenv.reports.tables import memory_table, open_loop_table, vision_table
from dreamenv.reports.vision_report import report_vision
from dreamenv.training import mdnrnn as mdnrnn_training
from dreamenv.training import memory as memory_training
from dreamenv.training import world as world_training
from dreamenv.training.balance import balance_endings
from dreamenv.training.fit import FitConfig
from dreamenv.training.kinds import Trained
from dreamenv.training.mdnrnn import TrainConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining
from dreamenv.training.world import action_prior, make_bank, train, world_config_of
from dreamenv.world import World

HASTY = TrainConfig(
    vision=VisionTraining(VisionConfig((HEIGHT, WIDTH, 3), 4, (4, 4)), FitConfig(steps=3), batch_size=8),
    memory=MemoryTraining(MemoryConfig(hidden_size=8, components=2), FitConfig(steps=3), batch_size=4, window=6),
)


CERTAIN = -200.0  # log-variance of a posterior whose draws are its mean
PIXELS = (8, 8, 3)


def recording_of(mean, log_variance=CERTAIN, action=None, reward=None, ending=None):
    """A recording of Gaussian posteriors, (T + 1, Z) and a number; the rest is 0 unless given."""
    nothing = torch.zeros(len(mean) - 1, dtype=torch.int64)
    action, reward, ending = (nothing if part is None else part for part in (action, reward, ending))
    embedding = torch.cat([mean, torch.full_like(mean, log_variance)], dim=1)
    return Recording(embedding, action, reward.float(), ending, torch.arange(1, len(mean)))


def sizes_of(memory, latent_size=2):
    return MDNRNNConfig(VisionConfig(PIXELS, latent_size, (4,)), memory)


def small_config(memory, endings=(), limit=20, latent_size=2):
    rules = ("sample",) * len(endings)
    return WorldConfig("Any-v0", PIXELS, ActionSpec(n=3), limit, sizes_of(memory, latent_size), endings, rules)


def small_memory(latent_size):
    return LSTMMemory(MemoryConfig(hidden_size=4), latent_size, ActionSpec(n=3), endings=3)


def model_of(memory):
    """A world model of this M, with an untrained V."""
    return MDNRNN(build_vision(sizes_of(memory.config, memory.latent_size).vision), memory).eval()


def report_on(memory, recordings, config):
    """The report on M as the model of a world."""
    model, z = model_of(memory), torch.zeros(1, memory.latent_size)
    world = World(config, model, StartBank(Gaussian(z, z), model.initial(1)))
    return report_memory(world.follow(recordings, seed=None), config)


def bank_of(memory, recordings, branches, endings=()):
    """The bank of a world; a recorded episode whose last kind of ending is 0 is truncated."""
    config = small_config(memory.config, endings, latent_size=memory.latent_size)
    episodes = []
    for one in recordings:
        frames, ended = np.zeros((len(one) + 1, *PIXELS), np.uint8), bool(one.ending[-1])
        episodes.append(Episode(frames, one.action.numpy(), one.reward.numpy(), ended, not ended, 0, ""))
    return make_bank(Trained(model_of(memory), recordings), episodes, config, branches)


@pytest.fixture(scope="module")
def sides(dot_folder):
    """Training and held-out episodes of the dot world."""
    return EpisodeStore(dot_folder / "episodes").split()


@pytest.fixture(scope="module")
def vision_report(dot_world, sides):
    return report_vision(dot_world.model.vision, sides[1])


@pytest.fixture(scope="module", params=[0, 1], ids=["training", "held out"])
def memory_report(request, dot_world, sides):
    recordings = record(dot_world.model, sides[request.param], dot_world.config)
    return report_memory(dot_world.follow(recordings, seed=None), dot_world.config)


def test_reconstructions_of_held_out_frames_are_close(vision_report):
    assert vision_report.frames > 200
    assert vision_report.squared_error < 0.004


@pytest.mark.parametrize("colour", ["red", "green"])
def test_small_things_of_their_own_colour_survive(vision_report, colour):
    (region,) = [region for region in vision_report.regions if region.colour == colour]

    assert region.frames == vision_report.frames
    assert region.reconstructed > 0.8 * region.saturation
    assert region.squared_error < 0.02


def test_the_latent_code_is_used(vision_report):
    assert vision_report.active_dimensions >= 3
    assert vision_report.kl > 5.0


def test_both_kinds_of_ending_are_told_apart(memory_report):
    assert [ending.kind for ending in memory_report.endings] == ["same", "better"]
    for ending in memory_report.endings:
        assert ending.count >= 10
        assert ending.precision > 0.9
        assert ending.recall > 0.9
        assert ending.auc > 0.99


def test_ending_probabilities_are_calibrated(memory_report):
    for ending in memory_report.endings:
        assert abs(ending.predicted - ending.count) < 3.0 * math.sqrt(ending.count)


def test_rewards_are_predicted(memory_report):
    rewards = {ending.kind: ending.reward_error for ending in memory_report.endings}

    assert memory_report.reward_error == 0.0
    assert rewards["same"] == 0.0
    assert rewards["better"] < 0.03


def test_the_next_z_is_predicted_better_than_by_its_prior(memory_report):
    standard_normal = 0.5 * math.log(2.0 * math.pi * math.e)

    assert memory_report.nll < standard_normal - 0.5


def test_the_config_has_the_facts_of_the_environment(dot_world, sides):
    config = dot_world.config

    assert config.env_id.endswith("Dot-v0")
    assert config.frame_shape == (HEIGHT, WIDTH, 3)
    assert config.action == ActionSpec(n=3)
    assert config.max_episode_steps == DotEnv.limit
    assert config.endings == ("same", "better")
    assert config.ending_rules == ("sample", "threshold")
    assert config.ordinary_reward == 0.0


def test_a_success_pays_more_than_success_reward_and_nothing_else_does(dot_world, sides):
    finals = [(episode.terminated, float(episode.rewards[-1])) for side in sides for episode in side]
    goals = [reward for terminated, reward in finals if terminated and reward > 0]

    assert 0.0 < dot_world.config.success_reward < min(goals)


def test_the_action_prior_is_that_of_the_episodes_that_ended_well(dot_world, sides):
    goals = [episode.actions for episode in sides[0] if episode.terminated and episode.rewards[-1] > 0]
    shares = np.bincount(np.concatenate(goals), minlength=3)

    np.testing.assert_allclose(dot_world.config.action_prior, shares / shares.sum())


def test_the_bank_holds_the_first_frames_of_the_training_episodes(dot_world, sides):
    first = torch.from_numpy(np.stack([episode.observations[0] for episode in sides[0]]))

    torch.testing.assert_close(dot_world.bank.first.mean, dot_world.start(first).z, atol=0.1, rtol=0.0)


def test_branches_carry_the_h_of_their_moment(dot_world, sides):
    branches = dot_world.bank.branches
    begins = branches.step == 0

    assert 0 < begins.sum() < len(branches.step)
    assert branches.step.max() < DotEnv.limit
    assert not branches.h[begins].any()
    assert branches.h[~begins].any(1).all()


@torch.no_grad()
def test_branches_are_moments_of_training_episodes(dot_world, sides):
    branches = dot_world.bank.branches
    row = int(branches.step.argmax())
    step = int(branches.step[row])
    recordings = [one for one in record(dot_world.model, sides[0], dot_world.config) if len(one) > step]
    means, *draws = ([one.states.h[step] for one in dot_world.follow(recordings, seed)] for seed in (None, *range(20)))
    distances = [float((h - branches.h[row]).norm()) for h in means]

    nearest, next_one = np.argsort(distances)[:2]
    assert distances[nearest] < max(float((h[nearest] - means[nearest]).norm()) for h in draws)  # z was drawn
    assert distances[next_one] > 2.0 * distances[nearest]


def make_episode(seed, spoiled=False):
    """Twelve random steps; every third episode reaches a goal, every third a fall."""
    generator = np.random.default_rng([seed, spoiled])
    rewards = np.zeros(12, np.float32)
    rewards[-1] = (seed % 3 == 0) * (1.0 - 0.01 * (seed % 7))
    return Episode(
        observations=generator.integers(0, 256, (13, HEIGHT, WIDTH, 3), dtype=np.uint8),
        actions=generator.integers(0, 3, 12),
        rewards=rewards,
        terminated=seed % 3 < 2,
        truncated=seed % 3 == 2,
        seed=seed,
        policy="",
    )


def fill(folder, spoiled=()):
    store = EpisodeStore.create(folder / "episodes", StoreSpec("Any-v0", (HEIGHT, WIDTH, 3), ActionSpec(n=3)))
    store.append([make_episode(seed, seed in spoiled) for seed in range(3 * VALIDATION_EVERY)])


def bundle_of(folder):
    return [(folder / name).read_bytes() for name in (WEIGHTS, CONFIG)]


def test_training_repeats_bitwise(tmp_path):
    for name in ("first", "again"):
        fill(tmp_path / name)
        train(tmp_path / name, HASTY)

    assert bundle_of(tmp_path / "first") == bundle_of(tmp_path / "again")


def test_held_out_episodes_do_not_enter_training(tmp_path):
    held_out = range(VALIDATION_EVERY - 1, 3 * VALIDATION_EVERY, VALIDATION_EVERY)
    fill(tmp_path / "plain")
    fill(tmp_path / "spoiled", spoiled=held_out)
    for name in ("plain", "spoiled"):
        train(tmp_path / name, HASTY)

    assert bundle_of(tmp_path / "plain") == bundle_of(tmp_path / "spoiled")


def test_training_episodes_do_enter_training(tmp_path):
    fill(tmp_path / "plain")
    fill(tmp_path / "spoiled", spoiled=[0])
    for name in ("plain", "spoiled"):
        train(tmp_path / name, HASTY)

    assert bundle_of(tmp_path / "plain") != bundle_of(tmp_path / "spoiled")


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        (mdnrnn_training, "train_vision"),
        (mdnrnn_training, "record"),
        (mdnrnn_training, "train_memory"),
        (world_training, "make_bank"),
        (world_training, "save"),
    ],
)
def test_training_interrupted_at_a_stage_ends_bitwise_the_same(tmp_path, monkeypatch, module, stage):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    for name in ("whole", "interrupted"):
        fill(tmp_path / name)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, stage, interrupt)
        train(tmp_path / "interrupted", HASTY)

    for name in ("whole", "interrupted"):
        train(tmp_path / name, HASTY)

    assert bundle_of(tmp_path / "whole") == bundle_of(tmp_path / "interrupted")


@pytest.mark.parametrize("part", ["vision", "memory"])
def test_other_settings_are_refused(tmp_path, part):
    fill(tmp_path)
    train(tmp_path, HASTY)
    other = dataclasses.replace(getattr(HASTY, part), batch_size=5)

    with pytest.raises(ResumeError, match=f"training/{part}"):
        train(tmp_path, dataclasses.replace(HASTY, **{part: other}))


def test_other_data_of_the_same_size_are_refused(tmp_path):
    fill(tmp_path)
    train(tmp_path, HASTY)
    shutil.rmtree(tmp_path / "episodes")
    fill(tmp_path, spoiled=range(3 * VALIDATION_EVERY))

    with pytest.raises(ResumeError):
        train(tmp_path, HASTY)


def test_training_without_episodes_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no episodes"):
        train(tmp_path, HASTY)


def test_the_temperature_is_that_of_the_settings(tmp_path):
    fill(tmp_path)

    assert train(tmp_path, dataclasses.replace(HASTY, temperature=1.15)).config.temperature == 1.15


def test_the_trained_world_is_the_saved_one(tmp_path):
    fill(tmp_path)
    world = train(tmp_path, HASTY)

    assert world.path == tmp_path
    assert not world.model.vision.training and not world.model.memory.training


def endings_of(tmp_path, episodes):
    store = EpisodeStore.create(tmp_path, StoreSpec("Any-v0", (HEIGHT, WIDTH, 3), ActionSpec(n=3)))
    store.append(episodes)
    return world_config_of(store, episodes, HASTY)


def lasting(steps, truncated):
    frames = np.zeros((steps + 1, HEIGHT, WIDTH, 3), np.uint8)
    return Episode(frames, np.zeros(steps, np.int64), np.zeros(steps, np.float32), not truncated, truncated, steps, "")


TIME_LIMITS = {  # registered limit, (steps, truncated) of episodes -> the world's limit, and whether it warns
    "none registered": (None, [(7, False), (20, True)], 20, False),
    "as registered": (20, [(7, False), (20, True)], 20, False),
    "truncated earlier": (100, [(7, False), (20, True), (20, True)], 20, True),
    "truncated by something else": (100, [(30, False), (20, True)], 100, False),
    "some truncated earlier": (100, [(20, True), (100, True)], 100, False),
    "none truncated": (100, [(20, False)], 100, False),
}


@pytest.mark.parametrize(("registered", "episodes", "limit", "warns"), TIME_LIMITS.values(), ids=TIME_LIMITS)
def test_the_time_limit_is_that_of_the_episodes_if_the_environment_truncates_itself(
    tmp_path, registered, episodes, limit, warns
):
    store = EpisodeStore.create(tmp_path, StoreSpec("Any-v0", (HEIGHT, WIDTH, 3), ActionSpec(n=3), registered))
    store.append([lasting(*episode) for episode in episodes])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert world_config_of(store, list(store), HASTY).max_episode_steps == limit
    assert ["truncates itself: no recorded episode is longer than 20" in str(w.message) for w in caught] == [
        True
    ] * warns


def test_a_world_without_goals_has_no_success_reward(tmp_path):
    config = endings_of(tmp_path, [make_episode(seed) for seed in (1, 2, 4)])

    assert config.endings == ("same",)
    assert config.success_reward is None


def test_a_world_that_never_ends_has_no_endings(tmp_path):
    config = endings_of(tmp_path, [make_episode(2), make_episode(5)])

    assert (config.endings, config.ending_rules) == ((), ())


def test_the_action_prior_of_episodes_without_goals_is_that_of_all():
    episodes = [make_episode(seed) for seed in (1, 2, 4)]
    shares = np.bincount(np.concatenate([episode.actions for episode in episodes])) / 36

    np.testing.assert_allclose(action_prior(episodes, ActionSpec(n=3)), shares)


def driving(seed, level, length=12):
    """An episode of a Box action."""
    episode, actions = make_episode(seed), np.full((length, 1), level, np.float32)
    frames, rewards = np.repeat(episode.observations[:1], length + 1, 0), np.zeros(length, np.float32)
    rewards[-1] = episode.rewards[-1]
    return dataclasses.replace(episode, observations=frames, actions=actions, rewards=rewards)


def test_the_prior_of_a_box_is_the_mean_action_of_good_or_else_of_long_episodes():
    box = ActionSpec(low=(0.0,), high=(1.0,))
    good, plain, long = driving(0, 0.25), driving(1, 0.5), driving(2, 0.75, length=20)
    assert action_prior([good, plain, long], box) == pytest.approx((0.25,))
    assert action_prior([plain, long], box) == pytest.approx((0.75,))
    assert action_prior([plain, driving(1, 0.9)], box) == pytest.approx((0.7,))


@pytest.mark.parametrize("prior", [(1.5,), (0.5, 0.5), (float("nan"),)], ids=str)
def test_a_prior_that_is_no_action_of_the_box_is_refused(prior):
    with pytest.raises(ValueError, match="expected a mean action of"):
        WorldConfig("x", (HEIGHT, WIDTH, 3), ActionSpec(low=(0.0,), high=(1.0,)), 20, action_prior=prior)


@pytest.mark.parametrize(
    ("endings", "reward", "share"),
    [(("same", "better"), 1.0, 0.5), (("same",), 1.0, 0.1), (("worse", "same", "better"), -1.0, 0.1)],
    ids=["one ended well", "an ending that the world does not have", "none ended well"],
)
def test_half_of_the_banks_moments_come_from_episodes_that_ended_well(endings, reward, share):
    """One episode of ten pays another reward at its end; its z is 1 everywhere, that of the others 0."""
    recordings = []
    for index in range(10):
        last = torch.zeros(5, dtype=torch.int64)
        last[-1] = 1
        rewards = last * reward if index == 3 else None
        recordings.append(recording_of(torch.full((6, 2), float(index == 3)), reward=rewards, ending=last))

    bank = bank_of(small_memory(2), recordings, 400, endings)

    assert bank.size == 10
    assert bank.branches.z[:, 0].mean().item() == pytest.approx(share, abs=0.06)
    assert set(bank.branches.step.tolist()) == {0, 1, 2, 3, 4}


def test_moments_of_the_bank_are_draws_from_the_posterior_as_first_frames_are():
    """Episodes whose posteriors are standard normal; moments of one episode share its draws."""
    recordings = [recording_of(torch.zeros(10, 3), log_variance=0.0)] * 200

    memory = small_memory(3)

    branches, again = (bank_of(memory, recordings, 900).branches for _ in range(2))

    assert branches.z.mean().item() == pytest.approx(0.0, abs=0.1)
    assert branches.z.std().item() == pytest.approx(1.0, abs=0.1)
    fifth = branches.step == 5
    assert len(branches.h[fifth].unique(dim=0)) == len(branches.z[fifth].unique(dim=0)) > 50
    assert torch.equal(branches.z, again.z) and torch.equal(branches.h, again.h)


def test_every_step_is_as_likely_a_moment_of_the_bank_as_any_other():
    """One episode of 10 steps and one of 90, whose z counts the steps before it, in hundredths."""
    memory, recordings = small_memory(1), [recording_of(torch.arange(n + 1.0)[:, None] / 100) for n in (10, 90)]
    with torch.no_grad():
        h, _ = memory.unroll(torch.arange(90.0)[None, :, None] / 100, torch.zeros(1, 90, dtype=torch.int64))

    branches = bank_of(memory, recordings, 5000).branches

    torch.testing.assert_close(branches.z[:, 0], branches.step / 100)
    torch.testing.assert_close(branches.h, torch.cat([torch.zeros(1, 4), h[0]])[branches.step])
    shares = torch.bincount(branches.step, minlength=90) / 5000
    assert shares[:10].mean().item() == pytest.approx(0.02, abs=0.003)
    assert shares[10:].mean().item() == pytest.approx(0.01, abs=0.001)


def test_a_bank_embeds_the_episodes_if_the_training_did_not(dot_world, sides):
    trained = (Trained(dot_world.model, record(dot_world.model, sides[1], dot_world.config)), Trained(dot_world.model))

    given, embedded = (make_bank(one, sides[1], dot_world.config, branches=50) for one in trained)

    for one, other in ((given.first, embedded.first), (given.branches, embedded.branches)):
        assert all(torch.equal(*parts) for parts in zip(one.parts, other.parts, strict=True))


@torch.no_grad()
def test_episodes_of_different_lengths_are_followed_as_each_alone():
    memory = small_memory(2)
    model, lengths = model_of(memory), (3, 0, 7, 7, 1)
    recordings = [recording_of(torch.randn(n + 1, 2), 0.0, torch.randint(3, (n,))) for n in lengths]
    embeddings, actions = ([getattr(one, name) for one in recordings] for name in ("embedding", "action"))
    noise = [Noise.draw(n + 1, model.posterior_noise, torch.Generator().manual_seed(n)) for n in lengths]
    for draws in (None, noise):
        for row, (states, posteriors) in enumerate(model.follow(embeddings, actions, draws)):
            z, action = posteriors.draw(None if draws is None else draws[row]), actions[row]
            h, carry = memory.unroll(z[None, :-1], action[None]) if len(action) else (torch.zeros(1, 0, 4), None)
            assert torch.equal(torch.cat(posteriors.parts, dim=1), embeddings[row])
            assert states.step.tolist() == list(range(lengths[row] + 1))
            torch.testing.assert_close(states.z, z)
            torch.testing.assert_close(states.h, torch.cat([torch.zeros(1, 4), h[0]]))
            torch.testing.assert_close(states.carry[-1:], torch.zeros(1, 4) if carry is None else carry)


@pytest.mark.parametrize("branches", [0, -1])
def test_a_world_without_moments_is_refused(branches):
    with pytest.raises(ValueError, match="branches of at least 1"):
        TrainConfig(branches=branches)


def test_a_world_keeps_as_many_moments_as_its_settings_say(dot_folder, tmp_path):
    config = dataclasses.replace(DOT_TRAIN, branches=700)
    world = train(tmp_path, config, episodes=dot_folder / "episodes")
    assert len(world.bank.branches.step) == 700


def unforeseeable_episode(seed, limit=20, hazards=(0.06, 0.015)):
    """Noise that ends by chance: z and actions tell nothing of the ending."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(limit, generator=generator)
    kinds = (draws < sum(hazards)).long() + (draws < hazards[1]).long()
    length = 1 + int(kinds.nonzero()[0, 0]) if kinds.any() else limit
    z = torch.randn(length + 1, 2, generator=generator)
    action = torch.randint(3, (length,), generator=generator)
    ending = torch.zeros(length, dtype=torch.int64)
    ending[-1] = kinds[length - 1]
    return recording_of(z, -4.0, action, ending=ending)


def test_probabilities_of_endings_that_nobody_can_foresee_are_their_shares(tmp_path):
    episodes = [unforeseeable_episode(seed) for seed in range(300)]
    config = MemoryTraining(
        MemoryConfig(hidden_size=4, components=1), FitConfig(steps=300, learning_rate=0.01, precision="float32")
    )
    world = small_config(config.model, ("same", "better"))

    memory = memory_training.train_memory(episodes, world, config, tmp_path, "data")

    for ending in report_on(memory, episodes, world).endings:
        assert ending.count > 30
        assert abs(ending.predicted - ending.count) < 3.0 * math.sqrt(ending.count)


@pytest.mark.parametrize("kind", ["mdnrnn", "paper"])
def test_the_forget_bias_opens_the_forget_gates_of_fresh_weights_only(kind, tmp_path):
    episodes = [unforeseeable_episode(seed) for seed in range(3)]
    config = MemoryTraining(MemoryConfig(hidden_size=4, components=1, kind=kind), FitConfig(steps=0))
    world, opened = small_config(config.model, ("same", "better")), dataclasses.replace(config, forget_bias=2.0)

    fresh, biased = (
        memory_training.train_memory(episodes, world, settings, tmp_path / str(number), "data")
        for number, settings in enumerate((config, opened))
    )
    warm = memory_training.train_memory(episodes, world, opened, tmp_path / "warm", "data", fresh)
    expected = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    bias = expected["lstm.bias_hh_l0"] if kind == "mdnrnn" else expected["lstm.weight_ih_l0"][:, -1]
    bias[4:8] += 2.0

    assert all(tensor.equal(expected[name]) for name, tensor in biased.state_dict().items())
    assert all(tensor.equal(fresh.state_dict()[name]) for name, tensor in warm.state_dict().items())


@pytest.mark.parametrize(("episode_balance", "step_balance"), [(0.0, 0.0), (0.5, 0.3), (1.0, 0.0), (1.0, 1.0)])
def test_the_shift_is_right_wherever_endings_threaten(episode_balance, step_balance):
    """A head that knows only whether a step is dangerous; most episodes with dangerous steps end by them.

    Weights and draws of all steps give its best logits in closed form: their calibrated probabilities are the shares of
    the endings among safe and among dangerous steps.
    """
    generator = torch.Generator().manual_seed(0)
    windows, dangers = [], []
    for number in range(400):
        danger = torch.arange(20) >= (10 if number % 4 == 0 else 20)
        ends = (torch.rand(20, generator=generator) < torch.where(danger, 0.15, 0.004)).nonzero().flatten().tolist()
        length = 1 + ends[0] if ends else 20
        ending = torch.zeros(length, dtype=torch.int64)
        ending[-1] = (1 + number % 2) if ends else 0
        windows.append(recording_of(torch.zeros(length + 1, 2), 0.0, ending, ending, ending))
        dangers.append(danger[:length].long())
    memory = small_memory(2)

    balance = balance_endings(windows, 3, episode_balance, step_balance)
    memory.endings.shift.copy_(balance.shift)

    seen, truth = torch.zeros(2, 2, 3, dtype=torch.float64)
    for window, danger, drawn, weight in zip(windows, dangers, balance.draw, balance.going_on, strict=True):
        loss_weight = torch.where(window.ending == 0, weight * balance.kinds[0], balance.kinds[window.ending])
        seen.index_put_((danger, window.ending), (drawn * loss_weight).double(), accumulate=True)
        truth.index_put_((danger, window.ending), torch.ones(len(window)).double(), accumulate=True)
    torch.testing.assert_close(
        memory.endings.calibrate(seen.log()), truth / truth.sum(1, keepdim=True), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["mdnrnn", "paper"])
def test_a_warm_start_copies_the_heads_by_kind_of_ending(tmp_path, kind):
    model = MemoryConfig(hidden_size=4, components=1, kind=kind)
    world = small_config(model)
    old, new = (
        dataclasses.replace(world, endings=endings, ending_rules=("sample", "sample"))
        for endings in (("worse", "better"), ("same", "better"))
    )
    source = build_memory(old.model, old.action, 1 + len(old.endings))
    episodes = [unforeseeable_episode(seed) for seed in range(20)]
    config = MemoryTraining(model, FitConfig(steps=0))

    begun, alone = (
        memory_training.train_memory(episodes, new, config, tmp_path / name, "data", m, source_endings=old.endings)
        for name, m in (("begun", source), ("alone", None))
    )

    assert torch.equal(begun.mixture.weight, source.mixture.weight)
    for head in ("endings", "reward"):
        for part in ("weight", "bias"):
            rows, theirs, first = (getattr(getattr(m, head).linear, part) for m in (begun, source, alone))
            assert torch.equal(rows[-1], theirs[-1])  # better
            assert torch.equal(rows[-2], first[-2])  # same, which the source does not know
            assert len(rows) == 2 or torch.equal(rows[0], theirs[0])  # goes on


def test_without_calibration_nothing_is_taken_back_whatever_it_begins_with(tmp_path):
    episodes = [unforeseeable_episode(seed) for seed in range(20)]
    config = MemoryTraining(MemoryConfig(hidden_size=4, components=1), FitConfig(steps=2, precision="float32"))
    world = small_config(config.model, ("same", "better"))
    plain = dataclasses.replace(config, calibrated=False)

    source = memory_training.train_memory(episodes, world, config, tmp_path / "source", "data")
    memory = memory_training.train_memory(episodes, world, plain, tmp_path / "plain", "data", source)

    assert source.endings.shift.all()
    assert not memory.endings.shift.any()


def cycling_episode(seed):
    """Noise in which the agent takes three actions in turn."""
    length = 9
    z = torch.randn(length + 1, 2, generator=torch.Generator().manual_seed(seed))
    return recording_of(z, -4.0, (torch.arange(length) + seed) % 3)


@pytest.mark.parametrize("window", [1, 4, 6, 12, 100])
def test_windows_hold_every_step_once(window):
    steps = torch.arange(1, 13)
    z = torch.arange(13.0)[:, None]
    whole = Recording(torch.cat([z, -z], dim=1), steps % 3, steps.float(), steps % 2, steps)

    parts = memory_training._cut(whole, window)

    for name in ("action", "reward", "ending", "step"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    for part in parts:
        first = int(part.step[0]) - 1
        assert len(part) <= window
        assert torch.equal(part.embedding, whole.embedding[first : first + len(part) + 1])


def test_a_state_older_than_the_windows_predicts_better_than_one_that_begins_anew(tmp_path):
    """Every episode has a place of its own, seen through noise: the longer M looks, the better it knows the place."""
    generator, window = torch.Generator().manual_seed(0), 10
    episodes = []
    for _ in range(60):
        z = 0.5 * torch.randn(2, generator=generator) + torch.randn(81, 2, generator=generator)
        episodes.append(recording_of(z))
    fit = FitConfig(steps=250, learning_rate=0.01, precision="float32")
    config = MemoryTraining(MemoryConfig(hidden_size=8, components=1), fit, window=window)
    world = small_config(config.model, limit=80)
    memory = memory_training.train_memory(episodes, world, config, tmp_path, "data")

    late = [part for episode in episodes for part in memory_training._cut(episode, window)[1:]]
    whole, anew = report_on(memory, episodes, world).nll, report_on(memory, late, world).nll

    assert whole < anew


def test_recordings_mark_the_ending_at_the_last_step_only(dot_world, sides):
    for episode, one in zip(sides[1], record(dot_world.model, sides[1], dot_world.config), strict=True):
        goal = episode.rewards[-1] > 0
        assert not one.ending[:-1].any()
        assert one.ending[-1] == (0 if not episode.terminated else 2 if goal else 1)
        assert one.step.tolist() == list(range(1, len(episode) + 1))
        assert one.embedding.shape == (len(episode) + 1, 2 * dot_world.model.latent_size)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_endings_teach_the_lstm_as_much_as_they_may(tmp_path, share):
    episodes = [unforeseeable_episode(seed) for seed in range(20)]
    learned = []
    for weight in (0.5, 5.0):
        config = MemoryTraining(
            MemoryConfig(hidden_size=4, components=1),
            FitConfig(steps=5, gradient_clip=1e9, precision="float32"),
            ending_weight=weight,
            ending_gradient=share,
        )
        world = small_config(config.model, ("same", "better"))
        memory = memory_training.train_memory(episodes, world, config, tmp_path / str(weight), "data")
        learned.append(memory.lstm.weight_hh_l0.detach())

    assert torch.equal(*learned) == (share == 0.0)


def test_repulsion_parts_the_components_and_is_logged(tmp_path):
    episodes = [cycling_episode(seed) for seed in range(40)]
    overlaps = {}
    for weight in (0.0, 10.0):
        config = MemoryTraining(
            MemoryConfig(hidden_size=8, components=3),
            FitConfig(steps=60, learning_rate=0.02, precision="float32"),
            repulsion_weight=weight,
        )
        world = small_config(config.model, limit=9)
        folder = tmp_path / str(weight)
        memory = memory_training.train_memory(episodes, world, config, folder, "data")
        with torch.no_grad():
            z = torch.stack([one.embedding[:2, :2] for one in episodes])
            h, _ = memory.unroll(z, torch.stack([one.action[:2] for one in episodes]))
            overlaps[weight] = memory.prior(h[:, -1]).overlap().mean().item()
        logged = {"repulsion", "gradient/mixture", "gradient/repulsion", "gradient/cosine"} & set(read_curves(folder))
        assert len(logged) == (4 if weight else 0)

    assert overlaps[10.0] < 0.5 * overlaps[0.0]


def test_without_rare_colours_every_pixel_weighs_the_same(tmp_path):
    fill(tmp_path)
    config = dataclasses.replace(HASTY, vision=dataclasses.replace(HASTY.vision, rare_colours=False))
    train(tmp_path, config)
    fill(tmp_path / "weighed")
    train(tmp_path / "weighed", HASTY)

    assert bundle_of(tmp_path) != bundle_of(tmp_path / "weighed")


@pytest.mark.parametrize(("good", "warned"), [((9,), "all 1"), ((9, 19), "all 2"), ((0, 9), None), ((), None)])
def test_an_ending_that_only_held_out_episodes_have_is_warned_of(tmp_path, good, warned):
    store = EpisodeStore.create(tmp_path / "episodes", StoreSpec("Any-v0", (HEIGHT, WIDTH, 3), ActionSpec(n=3)))
    store.append([make_episode(3 if number in good else 4) for number in range(2 * VALIDATION_EVERY)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        world = train(tmp_path, HASTY)

    said = [str(warning.message) for warning in caught if "held out" in str(warning.message)]
    assert len(said) == (warned is not None)
    assert all(f"no episode that ended 'better' (a success): {warned} of them" in line for line in said)
    assert ("better" in world.config.endings) == (0 in good)


def test_a_world_without_endings_has_no_empty_table(memory_report):
    table = memory_table(dataclasses.replace(memory_report, endings=()))
    assert "held-out steps" in table and "\n" not in table
    loop = OpenLoop(horizon=5, steps=40, z_error=0.5, reward_error=0.25, endings=())
    assert open_loop_table([loop]).splitlines()[-1].split() == ["5", "40", "0.500", "0.2500"]


def test_the_table_says_how_many_endings_were_learned_from(memory_report):
    header, _, first, second = memory_table(memory_report, {"better": 34, "continues": 5}).splitlines()[1:]
    assert header.split()[1:3] == ["learned", "from"]
    assert (first.split()[:2], second.split()[:2]) == (["same", "0"], ["better", "34"])


@pytest.mark.parametrize(
    ("noise", "step", "summed"), [(0.0, 1.0, 1.0), (1.0, 0.5, 0.83), (None, 0.0, 0.0)], ids=["exact", "noisy", "mean"]
)
def test_rewards_are_judged_against_their_mean(noise, step, summed):
    """Rewards that M knows but for noise of their own size; sums of ten, whose noise averages out, it knows better."""
    generator = torch.Generator().manual_seed(0)
    known = torch.randn(400, 10, 1, generator=generator).expand(400, 10, 10).reshape(-1)
    truth = known if noise is None else known + noise * torch.randn(len(known), generator=generator)
    predicted = torch.full_like(known, float(known.mean())) if noise is None else known
    pairs = torch.stack([predicted, truth], dim=1)

    assert explained_variance(pairs) == pytest.approx(step, abs=0.03)
    assert explained_variance(sums_of(pairs, 10)) == pytest.approx(summed, abs=0.06)


def test_the_reward_error_has_a_reference_where_rewards_vary(dot_world, sides, memory_report):
    assert (memory_report.reward_r2, memory_report.reward_sum_r2) == (None, None)  # they pay nothing
    assert "R2" not in memory_table(memory_report)
    recordings = record(dot_world.model, sides[1], dot_world.config)
    paid = [dataclasses.replace(e, reward=e.step.float()) for e in recordings]

    report = report_memory(dot_world.follow(paid, seed=None), dot_world.config)

    rewards = torch.cat([e.reward[e.ending == 0] for e in paid]).double()
    expected = 1.0 - float(rewards.square().sum() / (rewards - rewards.mean()).square().sum())  # M says 0
    assert report.reward_r2 == pytest.approx(expected, abs=1e-5)
    assert report.reward_sum_r2 is not None and report.reward_sum_r2 < 0.0
    assert f"(R2 against the mean: {expected:.2f} per step, " in memory_table(report)
    assert "summed over 10 steps)" in memory_table(report)


def test_the_table_tells_of_skips_where_there_are_some(vision_report):
    beside = vision_table(dataclasses.replace(vision_report, squared_error_beside=0.0012))

    assert "with skips, squared error 0.0012" in beside
    assert "with skips" not in vision_table(vision_report)
