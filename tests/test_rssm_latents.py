"""The distributions of an RSSM's z against independent formulas."""

import math

import pytest
import torch
from rssm_settings import SMALL, make_model
from torch.distributions import Independent, Normal, OneHotCategorical, kl_divergence

from dreamenv.models.latent import Categorical, Gaussian, Mixture
from dreamenv.models.rssm.config import RSSMConfig


def gaussian(seed, *shape):
    mean, log_variance = torch.randn(2, *shape, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Gaussian(mean, 2.0 * log_variance)


def categorical(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return Categorical(2.0 * torch.randn(*shape, 4, 6, generator=generator, dtype=torch.float64))


def normal_of(latent):
    return Normal(latent.mean, (0.5 * latent.log_variance).exp())


@pytest.mark.parametrize("shape", [(3,), (2, 3)], ids=str)
def test_gaussian_formulas_are_those_of_torch(shape):
    one, other = gaussian(0, *shape), gaussian(1, *shape)
    theirs = normal_of(one)
    standard = Normal(torch.zeros_like(one.mean), torch.ones_like(one.mean))

    torch.testing.assert_close(one.kl(other), kl_divergence(theirs, normal_of(other)))
    torch.testing.assert_close(one.kl_from_standard(), kl_divergence(theirs, standard))
    torch.testing.assert_close(one.entropy(), theirs.entropy())
    torch.testing.assert_close(one.log_probability(other.mean), Independent(theirs, 1).log_prob(other.mean))


@pytest.mark.parametrize("shape", [(3,), (2, 3)], ids=str)
def test_categorical_formulas_are_those_of_torch(shape):
    one, other = categorical(0, *shape), categorical(1, *shape)
    theirs, z = OneHotCategorical(logits=one.logits), other.mode()
    uniform = OneHotCategorical(logits=torch.zeros_like(one.logits))
    expected = theirs.log_prob(z.unflatten(-1, (4, 6))).sum(-1)

    torch.testing.assert_close(one.kl(other), kl_divergence(theirs, OneHotCategorical(logits=other.logits)))
    torch.testing.assert_close(one.kl_from_standard(), kl_divergence(theirs, uniform))
    torch.testing.assert_close(one.entropy(), theirs.entropy())
    torch.testing.assert_close(one.log_probability(z), expected)


def test_a_divergence_from_itself_is_zero_and_otherwise_depends_on_the_direction():
    for make in (gaussian, categorical):
        one, other = make(0, 3), make(1, 3)
        torch.testing.assert_close(one.kl(one), torch.zeros_like(one.kl(one)))
        assert (one.kl(other) > 0.0).all()
        assert not torch.allclose(one.kl(other), other.kl(one))


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_classes_are_drawn_as_often_as_the_temperature_says(tau):
    count, logits = 40_000, torch.tensor([[2.0, 0.0, 1.0, -1.0], [0.0, 0.1, 0.2, -9.0]])
    uniform = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    latent = Categorical(logits.expand(count, 2, 4))

    z = latent.sample(torch.full((count,), tau), uniform, uniform[:, :0]).unflatten(1, (2, 4))

    expected = torch.softmax(logits / tau, -1) if tau else torch.eye(4)[logits.argmax(-1)]
    assert torch.equal(z.sum(-1), torch.ones(count, 2))
    torch.testing.assert_close(z.mean(0), expected, atol=4.0 * 0.5 / math.sqrt(count), rtol=0.0)


def test_every_variable_has_a_random_number_of_its_own():
    count = 4000
    uniform = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))

    z = Categorical(torch.zeros(count, 3, 2)).sample(None, uniform, uniform[:, :0]).unflatten(1, (3, 2))[..., 0]

    correlations = torch.corrcoef(z.T) - torch.eye(3)
    assert correlations.abs().max() < 4.0 / math.sqrt(count)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_gaussian_draws_have_the_variance_that_the_temperature_says(tau):
    count, latent = 20_000, gaussian(0)
    normal = torch.randn(count, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = Gaussian(latent.mean.expand(count, 5), latent.log_variance.expand(count, 5))

    z = rows.sample(torch.full((count,), tau, dtype=torch.float64), normal[:, :0], normal)

    standardised = (z - latent.mean) * (-0.5 * latent.log_variance).exp()
    torch.testing.assert_close(standardised.mean(0), torch.zeros(5).double(), atol=0.05, rtol=0.0)
    torch.testing.assert_close(standardised.var(0), torch.full((5,), tau).double(), atol=0.05 * tau, rtol=0.0)


def test_at_temperature_zero_equally_likely_classes_do_not_depend_on_the_random_numbers():
    logits = torch.tensor([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0 - 1e-6]])
    latent = Categorical(logits.expand(5, 2, 3))
    for u in (0.0, 0.4, 0.6, 1.0 - 2.0**-24):
        z = latent.sample(torch.zeros(5), torch.full((5, 2), u), torch.empty(5, 0))
        assert torch.equal(z, latent.mode())


def test_rows_of_one_batch_have_temperatures_of_their_own():
    latent = Categorical(torch.tensor([3.0, 0.0, 0.0]).expand(4, 1, 3))
    uniform = torch.full((4, 1), 0.99)

    classes = latent.sample(torch.tensor([0.0, 1.0, 0.0, 5.0]), uniform, torch.empty(4, 0)).argmax(1)

    assert classes.tolist() == [0, 2, 0, 2]


@pytest.mark.parametrize("u", [0.0, 1.0 - 2.0**-24], ids=["least", "largest"])
def test_a_class_without_probability_is_never_drawn(u):
    logits = torch.tensor([-1e6, 0.0, 0.1, -1e6])

    z = Categorical(logits.expand(1, 1, 4)).sample(None, torch.full((1, 1), u), torch.empty(1, 0))

    assert z.argmax().item() == (1 if u == 0.0 else 2)


@pytest.mark.parametrize("tau", [None, 0.5])
def test_straight_through_draws_are_one_hot_with_the_gradient_of_the_probabilities(tau):
    plain = categorical(0, 3).logits.float()
    uniform, weights = torch.rand(3, 4), torch.randn(3, 24)
    temperature = None if tau is None else torch.full((3,), tau)
    logits, same = plain.clone().requires_grad_(), plain.clone().requires_grad_()

    z = Categorical(logits).sample(temperature, uniform, uniform[:, :0])
    (z * weights).sum().backward()

    (torch.softmax(same / (tau or 1.0), -1).flatten(1) * weights).sum().backward()
    assert torch.equal(z.detach(), Categorical(plain).sample(temperature, uniform, uniform[:, :0]))
    assert set(z.detach().unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(logits.grad, same.grad)


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_no_class_has_less_than_its_share_of_the_uniform_probability(share):
    sizes = RSSMConfig(**vars(SMALL) | {"latent": "categorical", "unimix": share})
    model = make_model(sizes)
    with torch.no_grad():
        model.prior_parameters.weight.mul_(1e5)  # its own probabilities are 0 and 1
        h = torch.randn(50, sizes.hidden_size)
        mixed = model.prior_of(h).log_probabilities().exp()
        plain = torch.softmax(model.prior_parameters(model.prior_layers(h)).unflatten(-1, (6, 4)), -1)

    assert plain.min() < 1e-6
    assert mixed.min() >= share / 4 - 1e-7
    torch.testing.assert_close(mixed, (1.0 - share) * plain + share / 4)
    torch.testing.assert_close(mixed.sum(-1), torch.ones(50, 6))


@pytest.mark.parametrize("least", [0.0, 0.1])
@pytest.mark.parametrize("deviation", ["softplus", "sigmoid"])
def test_deviations_are_those_of_the_formula_and_at_least_the_least(deviation, least):
    model = make_model(RSSMConfig(**vars(SMALL) | {"deviation": deviation, "least_deviation": least}))
    raw = torch.linspace(-8.0, 8.0, 12).double()
    with torch.no_grad():
        model.prior_parameters.weight.zero_()
        model.prior_parameters.bias.copy_(raw)
        latent = model.prior_of(torch.zeros(1, SMALL.hidden_size))

    spread = raw[6:]
    formulas = {"softplus": (1.0 + spread.exp()).log(), "sigmoid": 2.0 / (1.0 + (-0.5 * spread).exp())}
    found = (0.5 * latent.log_variance[0].double()).exp()
    torch.testing.assert_close(found, formulas[deviation] + least, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(latent.mean[0].double(), raw[:6], rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("deviation", ["softplus", "sigmoid"])
def test_outputs_without_bounds_still_have_finite_distributions(deviation):
    model = make_model(RSSMConfig(**vars(SMALL) | {"deviation": deviation, "least_deviation": 0.0}))
    with torch.no_grad():
        model.prior_parameters.weight.zero_()
        model.prior_parameters.bias.copy_(torch.tensor([-1e30, 1e30]).repeat(6))
        latent = model.prior_of(torch.zeros(1, SMALL.hidden_size))

    assert all(part.isfinite().all() for part in latent.parts)
    assert latent.kl(latent).eq(0.0).all() and latent.log_probability(latent.mean).isfinite().all()


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_a_tempered_distribution_is_the_one_that_is_drawn_from(temperature):
    """Draws at a temperature have the mean and the variance, or the shares, of draws from the tempered distribution."""
    generator, count = torch.Generator().manual_seed(0), 20_000
    uniform = torch.rand(count, 2, generator=generator)
    normal = torch.randn(count, 2, generator=generator)
    gaussian = Gaussian(torch.tensor([0.3, -2.0]), torch.tensor([-1.0, 0.5]))
    mixture = Mixture(
        torch.tensor([[0.0, 1.0], [1.0, -0.5]]), torch.tensor([[-2.0, 1.0], [3.0, 4.0]]), torch.full((2, 2), -0.5)
    )
    categorical = Categorical(torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]]))
    for latent in (gaussian, mixture, categorical):
        many = type(latent)(*(part.expand(count, *part.shape) for part in latent.parts))
        drawn = many.sample(torch.full((count,), temperature), uniform, normal)
        expected = many.tempered(temperature).sample(None, uniform.flip(0), normal.flip(0))
        torch.testing.assert_close(drawn.mean(0), expected.mean(0), rtol=0.03, atol=0.03)
        torch.testing.assert_close(drawn.var(0), expected.var(0), rtol=0.05, atol=0.02)
        assert not torch.allclose(many.sample(None, uniform, normal).var(0), expected.var(0), rtol=0.1)
