"""The terms of an RSSM's loss: what they are, and which parts of the model each of them trains."""

import math
from dataclasses import replace

import pytest
import torch
from rssm_settings import (
    ALONE,
    KINDS,
    LIMIT,
    READS_H,
    SIZES,
    SMALL,
    B,
    L,
    gradient_norms,
    leaves,
    loss_of,
    make_chunk,
    make_model,
    unrolled,
    zeros,
)

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.latent import Categorical, Gaussian
from dreamenv.training.rssm_loss import SequenceTraining, balanced_kl, sequence_loss

CONFIG = SequenceTraining(prior_share=0.0)
EACH_SIZES = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)


def plain_kl(posterior, prior, counted):
    return posterior.kl(prior).sum(-1)[counted].mean()


def gradients(value, latents):
    return torch.autograd.grad(value, [part for latent in latents for part in latent.parts])


@EACH_SIZES
@pytest.mark.parametrize("balance", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_prior_and_posterior_have_their_shares_of_the_kls_gradient(sizes, balance):
    model, chunk = make_model(sizes), make_chunk()
    posterior, prior = (leaves(latent) for latent in unrolled(model, chunk)[2:])
    counted = ~chunk.first
    shares = (1.0, 1.0) if balance == 0.5 else (1.0 - balance, balance)

    value = balanced_kl(model, posterior, prior, counted, replace(CONFIG, kl_balance=balance))

    expected = plain_kl(posterior, prior, counted)
    torch.testing.assert_close(value, expected)
    parts = len(posterior.parts)
    found, plain = gradients(value, (posterior, prior)), gradients(expected, (posterior, prior))
    for index, (one, other) in enumerate(zip(found, plain, strict=True)):
        torch.testing.assert_close(one, other * shares[index >= parts], rtol=1e-4, atol=1e-7)
        assert other.any()


@pytest.mark.parametrize("balance", [0.5, 0.8])
def test_the_kl_is_not_trained_below_the_free_nats(balance):
    """The mean is compared with the free nats, so moments below them are trained while the mean is above."""
    model, counted = make_model(), torch.tensor([[True, True]])
    zero = torch.zeros(1, 2, SMALL.latent_size)
    prior, posterior = leaves(Gaussian(zero, zero)), leaves(Gaussian(zero + torch.tensor([0.1, 2.0])[:, None], zero))
    mean = plain_kl(posterior, prior, counted).item()

    for free, trained in ((0.5 * mean, True), (2.0 * mean, False)):
        config = replace(CONFIG, kl_balance=balance, free_nats=free)
        value = balanced_kl(model, posterior, prior, counted, config)
        assert value.item() == pytest.approx(max(mean, free))
        of_prior, _, of_posterior, _ = gradients(value, (prior, posterior))
        assert of_prior.abs().sum(-1).gt(0).tolist() == [[trained] * 2]
        assert of_posterior.abs().sum(-1).gt(0).tolist() == [[trained] * 2]


@pytest.mark.parametrize("counts", [False, True])
def test_the_kl_of_first_frames_counts_if_it_should(counts):
    model, chunk = make_model(), make_chunk()
    *_, posterior, prior = unrolled(model, chunk)
    only = replace(CONFIG, **ALONE | {"kl_scale": 1.0, "first_frames": counts})

    value, metrics, _ = loss_of(model, chunk, only)

    each = posterior.kl(prior).sum(-1)
    assert chunk.first[:, 1:].any()
    assert metrics["kl"] == pytest.approx(each[~chunk.first].mean().item(), rel=1e-4)
    assert metrics["kl of first frames"] == pytest.approx(each[chunk.first].mean().item(), rel=1e-4)
    expected = each.mean() if counts else each[~chunk.first].mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)


@EACH_SIZES
@pytest.mark.parametrize(
    ("name", "term", "trained"),
    [
        ("image_gradient", "reconstruction_scale", {"decoder"}),
        ("reward_gradient", "reward_weight", {"reward", "reward_layers"}),
        ("ending_gradient", "ending_weight", {"endings", "ending_layers"}),
    ],
)
def test_a_share_of_a_terms_gradient_reaches_z_and_h(sizes, name, term, trained):
    sizes = replace(sizes, head_layers=(6,), decoder_reads_h=True)
    model, chunk = make_model(sizes), make_chunk()

    def reconstruction(features, chosen):
        z, h = features.split([model.latent_size, model.hidden_size], -1)
        return model.decode_pixels(z, h).square().sum((1, 2, 3))

    found = {}
    for share in (0.0, 0.25, 1.0):
        config = replace(CONFIG, **ALONE | {term: 1.0, name: share})
        value = loss_of(model, chunk, config, reconstruction)[0]
        norms = gradient_norms(model, value)
        assert {part for part in norms if norms[part] > 0.0} >= trained
        found[share] = value.item(), norms

    assert found[0.0][0] == found[0.25][0] == found[1.0][0]
    stopped = {part for part, norm in found[0.0][1].items() if norm > 0.0}
    assert stopped == trained
    shares = [found[share][1]["cell"] / found[1.0][1]["cell"] for share in (0.0, 0.25)]
    assert shares == pytest.approx([0.0, 0.25], rel=1e-4)
    assert (found[1.0][1]["posterior_parameters"] > 0.0) and found[1.0][1]["enter"] > 0.0


@pytest.mark.parametrize("decoded", [None, 5, 1000])
def test_so_many_moments_are_decoded_each_with_its_own_features(decoded):
    model, chunk = make_model(), make_chunk()
    z, h, *_ = unrolled(model, chunk)
    calls = []

    def reconstruction(features, chosen):
        calls.append((features, chosen))
        return chosen.float()

    config = replace(CONFIG, **ALONE | {"reconstruction_scale": 2.0, "decoded": decoded})
    value, metrics, _ = loss_of(model, chunk, config, reconstruction)

    ((features, chosen),) = calls
    assert len(chosen) == len(chosen.unique()) == min(decoded or B * L, B * L)
    torch.testing.assert_close(features, torch.cat([z, h], -1).flatten(0, 1)[chosen])
    assert value.item() == pytest.approx(2.0 * chosen.float().mean().item())
    loss_of(model, chunk, config, reconstruction, seed=1)
    assert not torch.equal(calls[0][1], calls[1][1])


def test_heads_read_draws_of_the_prior_at_their_share_of_moments():
    """With all of them from the prior, the heads do not train the posterior of the same moment."""
    model, chunk = make_model(), make_chunk()
    first = replace(chunk, **{name: part[:, :2] for name, part in vars(chunk).items()})
    assert first.first.tolist() == [[True, False]] * B
    found = []
    for share in (0.0, 1.0):
        config = replace(CONFIG, **ALONE | {"ending_weight": 1.0, "prior_share": share})
        embedding = first.embedding.clone().requires_grad_()
        loss_of(model, replace(first, embedding=embedding), config)[0].backward()
        found.append(embedding.grad.abs().sum((0, 2)).gt(0).tolist())
    assert found == [[True, True], [True, False]]


def test_dropout_hides_its_share_and_draws_from_the_given_generator_alone():
    model, chunk = make_model(), make_chunk()
    config = replace(CONFIG, **ALONE | {"ending_weight": 1.0, "dropout": 0.5})
    values = []
    for seed in range(3):
        torch.manual_seed(seed)  # the global generator, which must not matter
        values.append(loss_of(model, chunk, config)[0].item())
    assert values[0] == values[1] == values[2]
    assert loss_of(model, chunk, config, seed=1)[0].item() != values[0]
    assert loss_of(model, chunk, replace(config, dropout=0.0))[0].item() != values[0]


def test_the_loss_leaves_the_global_generator_alone():
    model, chunk = make_model(), make_chunk()
    config = replace(CONFIG, dropout=0.3, prior_share=0.5, overshooting=3)
    before = torch.get_rng_state()

    loss_of(model, chunk, config, lambda features, chosen: features.square().sum(-1))

    assert torch.equal(torch.get_rng_state(), before)


def test_a_chunk_of_first_frames_alone_has_a_finite_loss():
    model, chunk = make_model(), make_chunk()
    parts = {name: part[:, :1] for name, part in vars(chunk).items()}
    first = replace(chunk, **parts)
    assert first.first.all()

    value, metrics, (z, h) = loss_of(model, first, replace(CONFIG, overshooting=3))

    value.backward()
    assert value.isfinite() and metrics["kl"] == 0.0
    assert z.shape == (B, 1, SMALL.latent_size) and not h.any()


@pytest.mark.parametrize("sizes", [SMALL, READS_H])
def test_the_carried_state_makes_two_short_chunks_a_long_one(sizes):
    model, chunk = make_model(sizes), make_chunk((30, 40))
    halves = [replace(chunk, **{n: p[:, span] for n, p in vars(chunk).items()}) for span in (slice(4), slice(4, L))]
    generator = torch.Generator().manual_seed(0)
    _, _, (z, h) = sequence_loss(model, halves[0], zeros(model), CONFIG, KINDS, LIMIT, None, generator)
    assert not (z.requires_grad or h.requires_grad)
    uniform, normal = torch.empty(B, L - 4, 0), torch.zeros(B, L - 4, SMALL.latent_size)
    later = (halves[1].embedding, halves[1].action, halves[1].first)

    carried = model.unroll(*later, (z[:, -1], h[:, -1]), uniform, normal)[1]
    anew = model.unroll(*later, zeros(model), uniform, normal)[1]

    whole = model.unroll(
        chunk.embedding, chunk.action, chunk.first, zeros(model), torch.empty(B, L, 0), drawn_twice(model, chunk)
    )[1]
    torch.testing.assert_close(carried, whole[:, 4:])
    assert (anew - whole[:, 4:]).abs().max() > 0.01


def drawn_twice(model, chunk):
    """The normal numbers of the first four moments as the loss draws them, then zeros."""
    generator = torch.Generator().manual_seed(0)
    torch.rand(B, 4, 0, generator=generator)
    first = torch.randn(B, 4, SMALL.latent_size, generator=generator)
    return torch.cat([first, torch.zeros(B, L - 4, SMALL.latent_size)], 1)


def test_the_endings_loss_weighs_steps_by_their_kind_and_those_that_go_on_by_their_episode():
    """A head that is indifferent: the cross entropy of every step is log 3 before the weights."""
    model, chunk = make_model(), make_chunk((1, 2))
    with torch.no_grad():
        model.endings.linear.weight.zero_()
        model.endings.linear.bias.fill_(0.3)
    weighed = replace(chunk, going_on=torch.arange(B * L).view(B, L).float())
    kinds = torch.tensor([1.0, 3.0, 5.0])

    generator = torch.Generator().manual_seed(0)
    metrics = sequence_loss(model, weighed, zeros(model), CONFIG, kinds, LIMIT, None, generator)[1]

    each = torch.where(chunk.ending == 0, weighed.going_on, kinds[chunk.ending])
    assert metrics["ending"] == pytest.approx(each[~chunk.first].mean().item() * math.log(3.0), rel=1e-5)


def test_the_rewards_loss_is_that_of_the_kind_and_the_time_that_came():
    """A head that predicts the number of the step, and 5, 7 or 9 more by kind; ordinary rewards are less by 1."""
    model, chunk = make_model(replace(SMALL, head_layers=())), make_chunk((1, 2))
    with torch.no_grad():
        model.reward.linear.weight.zero_()
        model.reward.linear.weight[:, -1] = LIMIT
        model.reward.linear.bias.copy_(torch.tensor([5.0, 7.0, 9.0]))
        model.reward.spread.fill_(1.0)
    reward = torch.tensor([4.0, 7.0, 9.0])[chunk.ending] + chunk.step
    assert set(chunk.ending.unique().tolist()) == {0, 1, 2}

    metrics = loss_of(model, replace(chunk, reward=torch.where(chunk.first, 99.0, reward)), CONFIG)[1]

    assert metrics["reward"] == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("length", 0),
        ("kl_scale", -1.0),
        ("kl_balance", 1.1),
        ("free_nats", -0.1),
        ("decoded", 0),
        ("reconstruction_scale", float("nan")),
        ("image_gradient", -0.5),
        ("reward_gradient", 2.0),
        ("prior_share", 1.5),
        ("dropout", 1.0),
        ("overshooting", 0),
        ("overshooting", 1.5),
        ("episode_balance", -1.0),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"expected {name}.*got {value}"):
        SequenceTraining(**{name: value})


def test_both_kinds_of_distribution_are_tested_here():
    assert {make_model(sizes).posterior_kind for sizes in SIZES.values()} == {Gaussian, Categorical}
