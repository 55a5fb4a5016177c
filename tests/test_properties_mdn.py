"""What holds for every mixture density, whatever its parameters: against SciPy, and by exact quadrature."""

import math

import numpy as np
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dreamenv.models.latent import Mixture

STEPS = 500  # of the uniform numbers' grid


def floats(shape, bound):
    return arrays.arrays(np.float32, shape, elements=st.floats(-bound, bound, width=32)).map(torch.from_numpy)


@st.composite
def mixtures(draw, least=1):
    """A mixture of batch shape (2,), with parameters from tiny to absurd."""
    kind, components = draw(st.sampled_from(["per_dim", "joint"])), draw(st.integers(least, 6))
    size, bound = draw(st.integers(1, 4)), draw(st.sampled_from([0.125, 3.0, 60.0]))
    raw = draw(floats((2, Mixture.parameter_count(kind, components, size)), bound))
    return Mixture.split(raw, kind, components, size)


@st.composite
def mixtures_and_orders(draw):
    """A mixture, and the same one with its components in another order."""
    mixture = draw(mixtures(least=2))
    order = torch.tensor(draw(st.permutations(range(mixture.means.shape[-2]))))
    return mixture, Mixture(*(part[:, order] for part in mixture.parts))


def doubles(mixture):
    return Mixture(*(part.double() for part in mixture.parts))


def moments(mixture, temperature):
    """Mean and variance of z, (B, Z): every component with weight softmax(logits / T) and variance T s^2."""
    weights = torch.softmax(mixture.logits / temperature, dim=-2)
    mean = (weights * mixture.means).sum(-2)
    spread = (2.0 * mixture.log_scales).exp() * temperature + (mixture.means - mean.unsqueeze(-2)).square()
    return mean, (weights * spread).sum(-2)


def drawn_on_a_grid(mixture, temperature):
    """Samples (2 STEPS, Z) at evenly spread uniform numbers, and at normal numbers -1 and 1, of variance 1 as well."""
    size = mixture.means.shape[-1]
    uniform = ((torch.arange(STEPS) + 0.5) / STEPS).double().repeat(2)[:, None].expand(-1, size)
    normal = torch.tensor([-1.0, 1.0]).double().repeat_interleave(STEPS)[:, None].expand(-1, size)
    many = Mixture(*(part[:1].expand(2 * STEPS, -1, -1) for part in mixture.parts))
    return many.sample(torch.full((2 * STEPS,), temperature).double(), uniform, normal)


@given(mixtures(), st.data())
def test_log_probability_is_scipys(mixture, data):
    z = data.draw(floats((2, mixture.means.shape[-1]), 20.0))
    means, scales = mixture.means.double().numpy(), mixture.log_scales.double().exp().numpy()
    components = scipy.stats.norm.logpdf(z.double().numpy()[:, None], means, scales)
    if mixture.logits.shape[-1] == 1:
        components = components.sum(-1, keepdims=True)
    weights = scipy.special.log_softmax(mixture.logits.double().numpy(), axis=-2)
    expected = scipy.special.logsumexp(weights + components, axis=-2).sum(-1)

    np.testing.assert_allclose(
        Mixture.log_probability(doubles(mixture), z.double()).numpy(), expected, rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(mixture.log_probability(z).numpy(), expected, rtol=1e-4, atol=1e-3)


@given(mixtures(), st.floats(0.05, 4.0))
def test_samples_have_the_moments_of_the_temperature_formula(mixture, temperature):
    mixture = doubles(mixture)
    drawn = drawn_on_a_grid(mixture, temperature)
    mean, variance = (moment[0] for moment in moments(mixture, temperature))

    # a grid of n steps misses the share of each of K components by 1 / n at most
    components, reach = mixture.means.shape[-2], mixture.means[0].abs().amax() + mixture.log_scales[0].exp().amax() * 2
    slack = float(components / STEPS * reach)
    torch.testing.assert_close(drawn.mean(0), mean, rtol=0.0, atol=slack + 1e-9)
    torch.testing.assert_close(drawn.var(0, correction=0), variance, rtol=0.0, atol=4.0 * slack * float(reach) + 1e-9)


@given(st.integers(1, 6).flatmap(lambda components: floats((1, components, 1), 4.0)), st.floats(0.05, 4.0))
def test_components_are_drawn_as_often_as_the_tempered_softmax_says(logits, temperature):
    numbered = torch.arange(logits.shape[1], dtype=torch.float64).view(1, -1, 1)
    drawn = drawn_on_a_grid(Mixture(logits.double(), numbered, torch.full_like(numbered, -60.0)), temperature)

    shares = (drawn.round() == numbered[0].T).double().mean(0)
    expected = torch.softmax(logits[0, :, 0].double() / temperature, dim=0)
    torch.testing.assert_close(shares, expected, rtol=0.0, atol=1.0 / STEPS)


@given(mixtures(), st.floats(0.05, 4.0), st.integers(0, 1000))
def test_every_sample_lies_where_one_component_puts_it(mixture, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    size = mixture.means.shape[-1]
    uniform, normal = torch.rand(2, size, generator=generator), torch.randn(2, size, generator=generator)

    z = mixture.sample(torch.full((2,), temperature), uniform, normal)

    candidates = mixture.means + mixture.log_scales.exp() * math.sqrt(temperature) * normal[:, None]
    misses = (z[:, None] - candidates).abs() / (1.0 + candidates.abs())
    if mixture.logits.shape[-1] == 1:
        misses = misses.amax(-1)
    assert (misses.amin(1) < 1e-5).all()


@given(mixtures(), st.floats(0.0, 4.0), st.integers(0, 1000))
def test_rows_are_sampled_apart(mixture, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    size = mixture.means.shape[-1]
    uniform, normal = torch.rand(2, size, generator=generator), torch.randn(2, size, generator=generator)
    temperatures = torch.tensor([temperature, 1.0])

    both = mixture.sample(temperatures, uniform, normal)

    for row in range(2):
        alone = Mixture(*(part[row : row + 1] for part in mixture.parts))
        parts = (temperatures[row : row + 1], uniform[row : row + 1], normal[row : row + 1])
        torch.testing.assert_close(alone.sample(*parts), both[row : row + 1], rtol=1e-6, atol=1e-6)


@given(mixtures_and_orders(), st.integers(0, 1000))
def test_the_order_of_components_changes_no_density_and_no_measure(pair, seed):
    mixture, other = pair
    z = torch.randn(2, mixture.means.shape[-1], generator=torch.Generator().manual_seed(seed))

    for measure in (lambda m: m.log_probability(z), Mixture.overlap, Mixture.weight_entropy, Mixture.live_components):
        torch.testing.assert_close(measure(other), measure(mixture), rtol=1e-5, atol=1e-5)


@given(mixtures_and_orders(), st.floats(0.05, 4.0))
def test_the_order_of_components_changes_no_moment_of_the_samples(pair, temperature):
    first, second = (drawn_on_a_grid(doubles(mixture), temperature) for mixture in pair)
    reach = float(first.abs().amax())

    slack = 2.0 * pair[0].means.shape[-2] / STEPS
    torch.testing.assert_close(first.mean(0), second.mean(0), rtol=0.0, atol=slack * reach + 1e-9)
    torch.testing.assert_close(first.square().mean(0), second.square().mean(0), rtol=0.0, atol=slack * reach**2 + 1e-9)


@given(mixtures(least=2))
def test_the_repulsion_is_bounded_and_has_a_finite_gradient(mixture):
    leaves = [part.clone().requires_grad_() for part in mixture.parts]

    found = Mixture.overlap(Mixture(*leaves))
    found.sum().backward()

    assert ((found >= 0.0) & (found <= 1.0 + 1e-6)).all()
    assert leaves[0].grad is None  # weights neither attract nor repel
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves[1:])


@given(mixtures(least=2), st.floats(-4.0, 4.0), st.floats(-10.0, 10.0))
def test_the_repulsion_knows_no_scale_and_no_shift(mixture, log_factor, shift):
    mixture = doubles(mixture)
    other = Mixture(mixture.logits, mixture.means * math.exp(log_factor) + shift, mixture.log_scales + log_factor)

    torch.testing.assert_close(other.overlap(), mixture.overlap(), rtol=1e-6, atol=1e-9)


@given(mixtures())
def test_entropy_and_live_components_keep_their_bounds(mixture):
    components = mixture.means.shape[-2]
    entropy, live = mixture.weight_entropy(), mixture.live_components(threshold=0.05)

    assert ((entropy >= -1e-6) & (entropy <= math.log(components) + 1e-5)).all()
    assert ((live >= 1.0) & (live <= components)).all()
    assert (entropy <= torch.log(mixture.live_components(threshold=0.0)) + 1e-4).all()


@given(mixtures(), st.data())
def test_the_likelihood_has_a_finite_gradient(mixture, data):
    leaves = [part.clone().requires_grad_() for part in mixture.parts]

    Mixture.log_probability(Mixture(*leaves), data.draw(floats((2, mixture.means.shape[-1]), 20.0))).sum().backward()

    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)
