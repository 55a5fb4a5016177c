"""Probabilities of endings are calibrated: on held-out dots, and where nobody can foresee an ending."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from dot_env import HEIGHT, WIDTH
from dot_settings import DOT_COLLECT

import dreamenv
from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode
from dreamenv.data.store import EpisodeStore
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.recordings import record
from dreamenv.reports.model_report import report_memory
from dreamenv.training.fit import FitConfig
from dreamenv.training.kinds import TrainingJob
from dreamenv.training.rssm import FramesTraining, RSSMTraining, train_rssm
from dreamenv.training.rssm_loss import SequenceTraining


def fit_of(steps):
    return FitConfig(steps=steps, learning_rate=5e-3, precision="float32")


SEQUENCES = SequenceTraining(fit_of(300), batch_size=32, length=10)
SIZES = RSSMConfig((HEIGHT, WIDTH, 3), channels=(16, 32), embedding_size=32, latent_size=8, hidden_size=32, units=32)
TRAINING = RSSMTraining(
    model=SIZES,
    frames=FramesTraining(fit_of(250), batch_size=64),
    dynamics=SEQUENCES,
    heads=replace(SEQUENCES, fit=fit_of(150), dropout=0.1, step_balance=0.5),
)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dots")
    dreamenv.collect("dot_env:Dot-v0", folder / "episodes", DOT_COLLECT)
    return folder / "episodes"


@pytest.fixture(scope="module")
def world(episodes, tmp_path_factory):
    return dreamenv.train(tmp_path_factory.mktemp("world"), TRAINING, episodes=episodes)


@pytest.fixture(scope="module")
def report(world, episodes):
    held_out = EpisodeStore(episodes).split()[1]
    return report_memory(world.follow(record(world.model, held_out, world.config), seed=None), world.config)


def test_probabilities_of_endings_sum_to_their_counts(report):
    assert [ending.kind for ending in report.endings] == ["same", "better"]
    for ending in report.endings:
        assert ending.count >= 10
        assert abs(ending.predicted - ending.count) < 3.0 * math.sqrt(ending.count)


def test_both_kinds_of_ending_are_recognised(report):
    for ending in report.endings:
        assert ending.precision > 0.8 and ending.recall > 0.8
        assert ending.auc > 0.98


def test_rewards_are_predicted(report):
    assert report.reward_error == 0.0
    assert report.endings[0].reward_error == 0.0
    assert report.endings[1].reward_error < 0.05


def unforeseeable_episode(seed, limit=20, hazards=(0.06, 0.015)):
    """Noise that ends by chance: frames and actions tell nothing of the ending."""
    generator = np.random.default_rng(seed)
    draws = generator.random(limit)
    ends = np.flatnonzero(draws < sum(hazards))
    length = 1 + int(ends[0]) if len(ends) else limit
    rewards = np.zeros(length, np.float32)
    rewards[-1] = float(bool(len(ends)) and draws[length - 1] < hazards[1])
    frames = generator.integers(0, 256, (length + 1, 4, 4, 3), dtype=np.uint8)
    return Episode(frames, generator.integers(0, 3, length), rewards, bool(len(ends)), not len(ends), seed, "")


@pytest.mark.parametrize(
    ("episode_balance", "step_balance"), [(0.0, 0.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
)
def test_probabilities_of_endings_that_nobody_can_foresee_are_their_shares(tmp_path, episode_balance, step_balance):
    """The heads learn from streams that hold rare endings more often than they happen."""
    episodes = [unforeseeable_episode(seed) for seed in range(300)]
    sizes = RSSMConfig((4, 4, 3), channels=(2,), embedding_size=2, latent_size=1, hidden_size=2, units=2)
    left_out, fit = FitConfig(steps=0), FitConfig(steps=400, learning_rate=0.1, precision="float32")
    balanced = replace(SEQUENCES, fit=fit, episode_balance=episode_balance, step_balance=step_balance)
    settings = RSSMTraining(
        model=sizes,
        frames=FramesTraining(left_out),
        dynamics=replace(SEQUENCES, fit=left_out),
        heads=replace(balanced, ending_weight=1.0, batch_size=64),
    )
    config = WorldConfig("Any-v0", (4, 4, 3), ActionSpec(n=3), 20, sizes, ("same", "better"), ("sample", "sample"))
    trained = train_rssm(settings, TrainingJob(episodes, config, tmp_path, []))

    followed = trained.model.follow([r.embedding for r in trained.recordings], [r.action for r in trained.recordings])
    with torch.no_grad():
        found = [trained.model.outlook(s.rows(slice(1, None)), s.step[1:] / 20).endings.sum(0) for s, _ in followed]
    counts = torch.stack([torch.bincount(r.ending, minlength=3) for r in trained.recordings]).sum(0)
    for predicted, count in zip(torch.stack(found).sum(0)[1:].tolist(), counts[1:].tolist(), strict=True):
        assert count > 30
        assert abs(predicted - count) < 3.0 * math.sqrt(count)
