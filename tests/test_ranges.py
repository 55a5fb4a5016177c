"""Settings out of their ranges are refused when they are made, by name."""

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

from dreamenv import CollectConfig, EvolveConfig, ExplorationConfig, IterateConfig, PPOConfig, TrainConfig, TrustConfig
from dreamenv.foundation.ranges import (
    COUNT,
    PART,
    Count,
    Range,
    Seed,
    Settings,
    Share,
    Temperature,
    Weight,
    check_choice,
)
from dreamenv.reports.results import InspectConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining


@dataclass(frozen=True)
class Numbers(Settings):
    number: Share = 1.0
    pair: tuple[Weight, ...] = (1.0, 2.0)
    count: Count = 1
    part: Annotated[float, PART] = 0.0
    positive: Annotated[float, Range(0, without_low=True)] = 1.0
    temperatures: tuple[Temperature, ...] = (1.0,)
    seed: Seed | None = None
    free: int = -1


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1, np.float32(0.5), np.int64(1)])
def test_what_is_in_range_passes(value):
    made = Numbers(number=value, pair=(value, 1.0), temperatures=(), free=-5)
    assert made.number is value


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_out_of_range_is_named(value):
    with pytest.raises(ValueError, match=f"expected number from 0 to 1, got {value}"):
        Numbers(number=value)


@pytest.mark.parametrize("pair", [(), (1.0, -1.0)])
def test_every_number_of_a_tuple_counts_and_there_has_to_be_one(pair):
    with pytest.raises(ValueError, match="expected pair of at least 0, got"):
        Numbers(pair=pair)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "expected count of at least 1, got 0"),
        ({"count": 1.5}, "expected count of at least 1, an integer below 2**63, got 1.5"),
        ({"count": 2**63}, f"expected count of at least 1, an integer below 2**63, got {2**63}"),
        ({"count": True}, "expected count of at least 1, an integer below 2**63, got True"),
        ({"number": "1"}, "expected number from 0 to 1, a number, got '1'"),
        ({"number": None}, "expected number from 0 to 1, a number, got None"),
        ({"pair": (1.0, None)}, "expected pair of at least 0, a number, got (1.0, None)"),
        ({"part": 1.0}, "expected part in [0, 1), got 1.0"),
        ({"positive": 0.0}, "expected positive above 0, got 0.0"),
        ({"temperatures": (0.5, -1.0)}, "expected a temperature: a finite number >= 0; got -1.0"),
        ({"seed": 2**32}, f"expected seed from 0 to 4,294,967,295, got {2**32}"),
    ],
    ids=str,
)
def test_errors_say_what_was_expected_and_what_came(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Numbers(**change)


def test_arguments_come_back_as_plain_numbers():
    assert type(COUNT.check("n", np.int64(3))) is int
    assert type(PART.check("p", np.float32(0.5))) is float


def test_a_choice_is_one_of_its_kind():
    assert check_choice("flag", np.bool_(True), (False, True)) is True
    assert check_choice("mode", None, (None, "rgb_array")) is None
    with pytest.raises(ValueError, match="expected flag False or True, got 1"):
        check_choice("flag", 1, (False, True))
    with pytest.raises(ValueError, match="expected dtype 'a', 'b' or 'c', got array"):
        check_choice("dtype", np.zeros(2), ("a", "b", "c"))


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
    (EvolveConfig(), {"population": 1}),
    (EvolveConfig(), {"sigma": 0.0}),
    (EvolveConfig(), {"hidden": -1}),
    (EvolveConfig(), {"hidden": 4, "one_output": True}),
    (TrainConfig(), {"branches": 0}),
    (TrustConfig(), {"ridge": 0.0}),
    (TrustConfig(), {"gamma": 1.5}),
    (InspectConfig(), {"frames": 3}),
]


@pytest.mark.parametrize(("settings", "change"), WRONG, ids=lambda value: str(value)[:60])
def test_no_run_begins_with_settings_it_cannot_have(settings, change):
    with pytest.raises(ValueError, match="expected .*, got "):
        dataclasses.replace(settings, **change)
