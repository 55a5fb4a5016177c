"""An RSSM of the dot environment, learned in seconds, is right where it counts on held-out episodes."""

import math
from dataclasses import replace

import pytest
from dot_env import HEIGHT, WIDTH
from dot_settings import DOT_COLLECT

import dreamenv
from dreamenv.data.store import EpisodeStore
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.recordings import record
from dreamenv.reports.model_report import report_memory
from dreamenv.training.fit import FitConfig
from dreamenv.training.rssm import FramesTraining, RSSMTraining
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
