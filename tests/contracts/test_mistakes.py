"""The contract finds mistakes: each of these, made in the example's world model, fails the test that is named."""

import inspect
from copy import deepcopy
from dataclasses import dataclass, replace

import pytest
import torch

from dreamenv.models.base import Outlook
from dreamenv.models.noise import NoiseSpec
from dreamenv.testing import WorldContract


def failures(world, tmp_path):
    """Names of the contract's tests that a world fails."""

    class Contract(WorldContract):
        def make_world(self):
            return world

    found = []
    for name, test in inspect.getmembers(Contract(), inspect.ismethod):
        if name.startswith("test_"):
            try:
                test(**({"tmp_path": tmp_path / name} if "tmp_path" in inspect.signature(test).parameters else {}))
            except Exception:
                found.append(name)
    return found


def mistakes(example):
    """For each mistake the changed methods of the model, and the test that finds it."""
    table, one_hot = example.Table, example.OneHot

    @dataclass(frozen=True)
    class Tempered(one_hot):
        def draw(self, noise, temperature=None):
            return super().draw(noise, 0.3 * torch.ones(len(self.logits)) if temperature is None else temperature)

    @dataclass(frozen=True)
    class Hot(one_hot):
        def sample(self, temperature, uniform, normal):
            return super().sample(torch.ones(len(self.logits)), uniform, normal)

    @dataclass(frozen=True)
    class Scalar(one_hot):
        def log_probability(self, z):
            return super().log_probability(z).sum()

    @dataclass(frozen=True)
    class Remembered(one_hot):
        """The second draw of a distribution differs from the first."""

        def sample(self, temperature, uniform, normal):
            z = super().sample(temperature, uniform, normal)
            self.logits.copy_(self.logits.flip(-1))
            return z

    def in_place(self, state, action):
        moved = table.advance(self, state, action)
        state.h.copy_(moved.h)
        return moved

    def with_memory(self, state, action):
        self.calls = getattr(self, "calls", 0) + 1
        moved = table.advance(self, state, action)
        return replace(moved, h=(moved.h + 0.01 * self.calls).clamp(max=1.0))

    def started(self, batch):
        state = table.initial(self, batch)
        return replace(state, h=state.h + 0.5)

    def mixed_rows(self, state, action):
        moved = table.advance(self, state, action)
        return replace(moved, h=moved.h - 0.5 * moved.h.mean(0))

    def endings(change):
        def outlook(self, state, elapsed):
            found = table.outlook(self, state, elapsed)
            return Outlook(change(found.endings), found.rewards)

        return {"outlook": outlook}

    def after(name, change):
        def method(self, state, *rest):
            return change(getattr(table, name)(self, state, *rest), state)

        return {name: method}

    def first_action(self, state, action):
        return table.advance(self, state, torch.zeros_like(action))

    def without_z(self, state, action):
        return table.advance(self, replace(state, z=torch.full_like(state.z, 1.0 / state.z.shape[1])), action)

    def from_batch(self, frames):
        found = table.embed(self, frames)
        return found - found.mean()

    return {
        "endings do not sum to one": (endings(lambda e: 0.9 * e), "endings_are_probabilities"),
        "endings are logits": (endings(lambda e: e.log() * 3), "endings_are_probabilities"),
        "endings lack a kind": (endings(lambda e: e[:, :1]), "endings_are_probabilities"),
        "advance ignores the action": ({"advance": first_action}, "a_step_reads_the_action_and_z"),
        "advance ignores z": ({"advance": without_z}, "a_step_reads_the_action_and_z"),
        "advance writes into its argument": ({"advance": in_place}, "a_step_moves_h_carry_and_step_alone"),
        "advance does not count": (
            after("advance", lambda moved, state: replace(moved, step=state.step)),
            "a_step_moves_h_carry_and_step_alone",
        ),
        "advance replaces z": (
            after("advance", lambda moved, state: replace(moved, z=moved.h)),
            "a_step_moves_h_carry_and_step_alone",
        ),
        "advance is in double precision": (
            after("advance", lambda moved, state: replace(moved, h=moved.h.double())),
            "a_step_moves_h_carry_and_step_alone",
        ),
        "rows of a batch mix": ({"advance": mixed_rows}, "a_row_of_a_batch_is_the_row_alone"),
        "the model remembers calls": ({"advance": with_memory}, "reality_and_dream_share_h"),
        "h is not reset": ({"initial": started}, "episodes_begin_without_a_past"),
        "h leaves its range": (
            after("advance", lambda moved, state: replace(moved, h=5.0 * moved.h + 1.0)),
            "observations_lie_within_their_bounds",
        ),
        "the prior reads z": (
            after("prior", lambda found, state: replace(found, logits=found.logits + state.z)),
            "distributions_do_not_read_z",
        ),
        "the posterior reads z": (
            after("posterior", lambda found, state: replace(found, logits=found.logits + state.z)),
            "distributions_do_not_read_z",
        ),
        "the posterior ignores the frame": (
            {"posterior": lambda self, state, embedding: example.OneHot(torch.zeros_like(embedding))},
            "posteriors_read_the_frames",
        ),
        "embeddings depend on other frames": ({"embed": from_batch}, "posteriors_read_the_frames"),
        "the posterior is tempered": (
            {"posterior_kind": Tempered, **after("posterior", lambda found, state: Tempered(found.logits / 50.0))},
            "draws_of_z",
        ),
        "the temperature is ignored": (
            after("prior", lambda found, state: Hot(found.logits)),
            "temperature_zero_is_without_noise",
        ),
        "log-probabilities are summed": (after("prior", lambda found, state: Scalar(found.logits)), "draws_of_z"),
        "a draw changes the distribution": (
            after("prior", lambda found, state: Remembered(found.logits)),
            "draws_of_z",
        ),
        "more random numbers than declared": (
            {"prior_noise": NoiseSpec(0, 0), "posterior_noise": NoiseSpec(0, 0)},
            "draws_of_z",
        ),
        "predict is another prediction": (
            {"predict": lambda self, state, elapsed, draw: (state.z, table.outlook(self, state, elapsed))},
            "predict_is_the_prior_and_the_outlook",
        ),
        "frames are of another shape": (
            {"decode": lambda self, state, shape: table.decode(self, state, shape).transpose(1, 3)},
            "states_are_drawn_as_frames",
        ),
    }


NAMES = tuple(mistakes(type("Empty", (), {"Table": object, "OneHot": object})))


def test_the_example_makes_none(grid, tmp_path):
    assert failures(grid, tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_found(name, example, grid, tmp_path):
    changed, expected = mistakes(example)[name]
    model = deepcopy(grid.model)
    own = {key: value for key, value in changed.items() if key.endswith("_noise")}
    methods = {key: value for key, value in changed.items() if key not in own}
    model.__class__ = type("Mistaken", (example.Table,), methods)
    for key, value in own.items():
        setattr(model, key, value)
    bank = grid.bank
    if "posterior_kind" in changed:
        bank = replace(bank, first=model.posterior_kind(*bank.first.parts))
    found = failures(replace(grid, model=model, bank=bank), tmp_path)
    assert any(expected in test for test in found), found
