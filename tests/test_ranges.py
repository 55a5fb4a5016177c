"""Settings out of their ranges are refused when they are made, by name."""

import dataclasses
import math
from dataclasses import dataclass

import pytest

from dreamenv import CollectConfig, ExplorationConfig, IterateConfig, PPOConfig
from dreamenv.foundation.ranges import check_range
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining


@dataclass(frozen=True)
class Settings:
    number: float = 1.0
    pair: tuple[float, ...] = (1.0, 2.0)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_what_is_in_range_passes(value):
    check_range(Settings(number=value, pair=(value, 1.0)), 0, 1, "number", "pair")


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_out_of_range_is_named(value):
    with pytest.raises(ValueError, match=f"expected number from 0 to 1, got {value}"):
        check_range(Settings(number=value), 0, 1, "number")


@pytest.mark.parametrize("pair", [(), (1.0, -1.0)])
def test_every_number_of_a_tuple_counts_and_there_has_to_be_one(pair):
    with pytest.raises(ValueError, match="expected pair of at least 0, got"):
        check_range(Settings(pair=pair), 0, math.inf, "pair")


WRONG = [
    (CollectConfig(), {"frames": -5}),
    (CollectConfig(), {"seed": 1000}),
    (ExplorationConfig(), {"hold": (0,)}),
    (ExplorationConfig(), {"noise": ()}),
    (ExplorationConfig(), {"noise": (5.0,)}),
    (ExplorationConfig(), {"bump_and_turn": -1.0}),
    (ExplorationConfig(), {"start_turns": -5}),
    (ExplorationConfig(), {"bump_and_turn": 0.0, "preference": 0.0, "sticky": 0.0}),
    (FitConfig(steps=1), {"steps": -1}),
    (FitConfig(steps=1), {"learning_rate": math.nan}),
    (VisionTraining(), {"batch_size": 0}),
    (MemoryTraining(), {"batch_size": 0}),
    (MemoryTraining(), {"window": 0}),
    (PPOConfig(), {"timesteps": 0}),
    (PPOConfig(), {"batch_size": 0}),
    (PPOConfig(), {"n_epochs": 0}),
    (PPOConfig(), {"gamma": 2.0}),
    (PPOConfig(), {"net_arch": (0,)}),
    (PPOConfig(), {"num_envs": 1, "n_steps": 1}),
    (IterateConfig(), {"round_frames": 0}),
]


@pytest.mark.parametrize(("settings", "change"), WRONG, ids=lambda value: str(value)[:60])
def test_no_run_begins_with_settings_it_cannot_have(settings, change):
    with pytest.raises(ValueError, match="expected .*, got "):
        dataclasses.replace(settings, **change)
