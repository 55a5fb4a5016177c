"""M: what h knows and when, and that one step and a whole sequence are the same mathematics."""

import functools
import math

import pytest
import torch
from torch.nn import functional as F

from dreamenv.config import WorldConfig, build_model
from dreamenv.engine import packed, products
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.heads import weighted_cross_entropy
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.memory import LSTMMemory, MemoryConfig, one_step_loss
from dreamenv.models.mdnrnn.model import MDNRNNConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.noise import Noise
from dreamenv.world import World

Z, H, T = 4, 8, 6
DISCRETE = ActionSpec(n=3)
BOX = ActionSpec(low=(-1.0, 0.0), high=(1.0, 5.0))
ACTIONS = pytest.mark.parametrize("spec", [DISCRETE, BOX], ids=["discrete", "box"])
NAVIGATION_PARAMETERS = 9 + 1_189_888 + 330_885


def make_memory(spec=DISCRETE, mixture="per_dim"):
    torch.manual_seed(0)
    return LSTMMemory(MemoryConfig(hidden_size=H, components=2, mixture=mixture), Z, spec, endings=3)


def make_actions(spec, batch, steps):
    generator = torch.Generator().manual_seed(1)
    if spec.discrete:
        return torch.randint(spec.n, (batch, steps), generator=generator)
    low, high = torch.tensor(spec.low), torch.tensor(spec.high)
    return low + (high - low) * torch.rand(batch, steps, spec.size, generator=generator)


def make_sequence(spec=DISCRETE, batch=2):
    z = torch.randn(batch, T, Z, generator=torch.Generator().manual_seed(2))
    return z, make_actions(spec, batch, T)


def make_state(batch, seed=0):
    z, h, c = torch.randn(3, batch, H, generator=torch.Generator().manual_seed(seed))
    return State(z[:, :Z], h, c, torch.arange(batch) + 10 * seed)


@ACTIONS
def test_stepping_equals_unrolling(spec):
    memory, (z, action) = make_memory(spec), make_sequence(spec)
    h, c = torch.zeros(2, H), torch.zeros(2, H)

    sequence, last_c = memory.unroll(z, action)

    for t in range(T):
        h, c = memory.advance(z[:, t], action[:, t], h, c)
        torch.testing.assert_close(h, sequence[:, t], atol=1e-5, rtol=0.0)
    torch.testing.assert_close(c, last_c, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("t", range(T))
def test_h_has_consumed_the_past_and_present_only(t):
    memory, (z, action) = make_memory(), make_sequence()
    z.requires_grad_()

    memory.unroll(z, action)[0][:, t].sum().backward()

    touched = z.grad.abs().sum((0, 2)) > 0
    assert touched.tolist() == [step <= t for step in range(T)]


@pytest.mark.parametrize("t", range(T))
def test_h_depends_on_actions_up_to_its_own(t):
    memory, (z, action) = make_memory(), make_sequence()
    h, _ = memory.unroll(z, action)
    other = action.clone()
    other[:, t] = (other[:, t] + 1) % 3

    changed = (memory.unroll(z, other)[0] != h).any(-1)

    assert not changed[:, :t].any()
    assert changed[:, t:].all()


@pytest.fixture(scope="module")
def world():
    """An untrained world."""
    sizes = MDNRNNConfig(VisionConfig((8, 8, 3), Z, (4,)), MemoryConfig(H, 2))
    config = WorldConfig("Any-v0", (8, 8, 3), DISCRETE, 20, sizes, ("same",), ("sample",))
    torch.manual_seed(0)
    bank = StartBank(Gaussian(torch.randn(5, Z), torch.zeros(5, Z)), make_state(3))
    return World(config, build_model(config), bank)


def random_frames(seed):
    return torch.randint(256, (2, 8, 8, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_an_episode_begins_with_h_zero(world):
    state = world.start(random_frames(0))

    assert not state.h.any() and not state.carry.any() and not state.step.any()


def test_a_dream_begins_with_h_zero(world):
    state = world.sample_start(Noise.draw(4, world.model.posterior_noise, torch.Generator().manual_seed(0)))

    assert not state.h.any() and not state.carry.any() and not state.step.any()


def test_observed_h_does_not_depend_on_the_frame_that_came(world):
    state, action = world.start(random_frames(0)), torch.tensor([0, 2])

    after = [world.observe(state, action, random_frames(seed)) for seed in (1, 2)]

    assert not torch.equal(after[0].z, after[1].z)
    assert torch.equal(after[0].h, after[1].h)


def test_observed_h_is_one_step_from_the_last_z_and_action(world):
    state, action = world.observe(world.start(random_frames(0)), torch.tensor([1, 1]), random_frames(1)), torch.ones(2)
    h, c = world.model.memory.advance(state.z, action.long(), state.h, state.carry)

    after = world.observe(state, action.long(), random_frames(2))

    assert torch.equal(after.h, h) and torch.equal(after.carry, c)
    assert torch.equal(after.step, state.step + 1)


def test_imagined_and_observed_h_are_the_same(world):
    state, action = world.start(random_frames(0)), torch.tensor([0, 2])
    noise = Noise.draw(2, world.model.prior_noise, torch.Generator().manual_seed(0))

    imagined, _ = world.imagine(state, action, 1.0, noise)

    assert torch.equal(imagined.h, world.observe(state, action, random_frames(1)).h)


def test_training_predicts_the_next_z_from_h():
    memory = make_memory()
    h, next_z = torch.randn(5, H), torch.randn(5, Z)

    torch.testing.assert_close(one_step_loss(memory.prior(h), next_z), -memory.prior(h).log_probability(next_z) / Z)


@pytest.mark.parametrize(("mixture", "outputs"), [("joint", 645), ("per_dim", 960)])
def test_parameter_counts_of_the_navigation_world(mixture, outputs):
    config = MemoryConfig(hidden_size=512, components=5, mixture=mixture)
    memory = LSTMMemory(config, latent_size=64, action=DISCRETE, endings=3)
    counts = [
        sum(parameter.numel() for parameter in part.parameters())
        for part in (memory.embedding, memory.lstm, memory.mixture)
    ]

    assert counts == [9, 4 * 512 * (67 + 512 + 2), 513 * outputs]
    if mixture == "joint":
        assert sum(counts) == NAVIGATION_PARAMETERS == 1_520_782


def test_heads_are_all_that_is_added_to_the_counted_parameters():
    memory = make_memory()
    counted = sum(p.numel() for part in (memory.embedding, memory.lstm, memory.mixture) for p in part.parameters())
    heads = sum(p.numel() for part in (memory.endings, memory.reward) for p in part.parameters())

    assert counted + heads == sum(p.numel() for p in memory.parameters())


def test_continuous_actions_enter_scaled_to_one():
    memory = make_memory(BOX)
    corners = torch.tensor([BOX.low, BOX.high, [0.0, 2.5]])

    torch.testing.assert_close(memory.embedding(corners), torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]))


@pytest.mark.parametrize("mixture", ["per_dim", "joint"])
def test_the_prior_has_a_batch_of_mixtures(mixture):
    prior = make_memory(mixture=mixture).prior(torch.randn(2, T, H))

    assert prior.means.shape == (2, T, 2, Z)
    assert prior.logits.shape == (2, T, 2, Z if mixture == "per_dim" else 1)


def test_rows_takes_rows_in_order():
    state = make_state(5)

    rows = state.rows(torch.tensor([3, 0]))

    for name in ("z", "h", "carry", "step"):
        assert torch.equal(getattr(rows, name), getattr(state, name)[[3, 0]])


def test_with_rows_replaces_those_rows_only():
    state, other = make_state(4), make_state(2, seed=1)

    merged = state.with_rows(torch.tensor([2, 0]), other)

    for name in ("z", "h", "carry", "step"):
        old, new, result = (getattr(value, name) for value in (state, other, merged))
        assert torch.equal(result, torch.stack([new[1], old[1], new[0], old[3]]))


def test_with_rows_leaves_the_original_alone():
    state = make_state(3)
    before = state.h.clone()

    state.with_rows(torch.tensor([1]), make_state(1, seed=1))

    assert torch.equal(state.h, before)


def test_weighted_cross_entropy_weighs_every_step_by_its_kind():
    logits, kind = torch.randn(2, 3, 4), torch.tensor([[0, 1, 2], [3, 0, 1]])
    weights = torch.tensor([1.0, 2.0, 0.0, 5.0])

    losses = weighted_cross_entropy(logits, kind, weights)

    expected = F.cross_entropy(logits.flatten(0, 1), kind.flatten(), reduction="none").view(2, 3) * weights[kind]
    torch.testing.assert_close(losses, expected)
    assert losses[0, 2] == 0.0


def test_the_loss_is_in_nats_per_dimension():
    memory = make_memory()
    with torch.no_grad():
        memory.mixture.weight.zero_()
        memory.mixture.bias.zero_()

    loss = one_step_loss(memory.prior(torch.zeros(1, H)), torch.zeros(1, Z))

    assert loss.item() == pytest.approx(0.5 * math.log(2.0 * math.pi), rel=1e-5)


@ACTIONS
@pytest.mark.parametrize("mixture", ["per_dim", "joint"])
@pytest.mark.parametrize("mkl", [True, False], ids=["mkl", "onednn"])
def test_packed_weights_step_as_the_plain_ones(mixture, mkl, spec, monkeypatch):
    monkeypatch.setattr(products, "mkl_is_fast", lambda: mkl)
    memory = make_memory(spec, mixture)
    for name, value in (("mean", 1.0), ("spread", 2.0), ("low", -9.0), ("high", 9.0)):
        getattr(memory.reward, name).fill_(value)
    memory.endings.shift.copy_(torch.tensor([0.5, -1.0, 2.0]))
    state, action, elapsed = make_state(7), make_actions(spec, 7, 1)[:, 0], torch.linspace(0.0, 1.0, 7)
    fast = packed.PackedMemory(memory)

    with torch.inference_mode():
        steps = [one.advance(state.z, action, state.h, 3.0 * state.carry) for one in (fast, memory)]
        prior, outlook = fast.predict(state.h, elapsed)
        plain = memory.outlook(state.h, elapsed)

    close = functools.partial(torch.testing.assert_close, atol=1e-5, rtol=0.0)
    close(*steps)
    close(prior.parts, memory.prior(state.h).parts)
    close((outlook.endings, outlook.rewards), (plain.endings, plain.rewards))
