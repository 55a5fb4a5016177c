"""The mixture density against torch.distributions, and its temperature against the formula."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from dreamenv.models.latent import LOG_SCALE_RANGE, Mixture

KINDS = pytest.mark.parametrize("kind", ["per_dim", "joint"])
COMPONENTS, SIZE = 5, 4
DRAWS = 40_000
LAST_BELOW_ONE = 1.0 - 2.0**-24


def mixture_of(kind, batch=(), components=COMPONENTS, size=SIZE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(*batch, Mixture.parameter_count(kind, components, size), generator=generator)
    return Mixture.split(raw, kind, components, size)


def many(logits, means, log_scales, draws=DRAWS):
    """The mixture of (K, Z) parameters ``draws`` times."""
    return Mixture(*(torch.tensor(part).expand(draws, -1, -1) for part in (logits, means, log_scales)))


def noise(size, draws=DRAWS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(draws, size, generator=generator), torch.randn(draws, size, generator=generator)


def test_log_probability_per_dimension_matches_torch():
    mixture = mixture_of("per_dim", (3, 2))
    z = torch.randn(3, 2, SIZE, generator=torch.Generator().manual_seed(1))
    reference = MixtureSameFamily(
        Categorical(logits=mixture.logits.mT), Normal(mixture.means.mT, mixture.log_scales.exp().mT)
    )

    torch.testing.assert_close(mixture.log_probability(z), reference.log_prob(z).sum(-1))


def test_log_probability_of_a_joint_mixture_matches_torch():
    mixture = mixture_of("joint", (3, 2))
    z = torch.randn(3, 2, SIZE, generator=torch.Generator().manual_seed(1))
    components = Independent(Normal(mixture.means, mixture.log_scales.exp()), 1)
    reference = MixtureSameFamily(Categorical(logits=mixture.logits.squeeze(-1)), components)

    torch.testing.assert_close(mixture.log_probability(z), reference.log_prob(z))


@KINDS
def test_the_density_integrates_to_one(kind):
    mixture = mixture_of(kind, size=1)
    grid = torch.linspace(-30.0, 30.0, 20_001)

    density = mixture.log_probability(grid[:, None]).exp()

    assert torch.trapezoid(density, grid).item() == pytest.approx(1.0, abs=1e-4)


@KINDS
def test_far_away_points_have_a_finite_log_probability(kind):
    assert torch.isfinite(Mixture.log_probability(mixture_of(kind), torch.full((SIZE,), 1e4)))


def test_one_component_is_the_same_per_dimension_and_jointly():
    means, log_scales, z = torch.randn(3, 1, 2, SIZE, generator=torch.Generator().manual_seed(0))[:, 0]
    parts = means[:1], log_scales[:1]

    per_dim = Mixture.log_probability(Mixture(torch.zeros(1, SIZE), *parts), z[0])
    joint = Mixture.log_probability(Mixture(torch.zeros(1, 1), *parts), z[0])

    torch.testing.assert_close(per_dim, joint)


@pytest.mark.parametrize(("kind", "count"), [("per_dim", 960), ("joint", 645)])
def test_parameter_counts_of_the_navigation_world(kind, count):
    assert Mixture.parameter_count(kind, components=5, latent_size=64) == count


@KINDS
def test_split_parameters_has_the_shapes_it_promises(kind):
    mixture = mixture_of(kind, (7, 3))

    assert mixture.logits.shape == (7, 3, COMPONENTS, SIZE if kind == "per_dim" else 1)
    assert mixture.means.shape == mixture.log_scales.shape == (7, 3, COMPONENTS, SIZE)


@KINDS
def test_split_parameters_uses_every_output_once(kind):
    raw = torch.arange(float(Mixture.parameter_count(kind, 2, 1))).requires_grad_()
    mixture = Mixture.split(raw, kind, 2, 1)

    (mixture.logits.sum() + mixture.means.sum()).backward()

    assert raw.grad.tolist() == [1.0, 1.0, 0.0] * 2


@KINDS
def test_scales_are_bounded(kind):
    raw = (
        torch.tensor([-1e6, 1e6])
        .repeat_interleave(Mixture.parameter_count(kind, COMPONENTS, SIZE))
        .unflatten(0, (2, -1))
    )

    low, high = Mixture.split(raw, kind, COMPONENTS, SIZE).log_scales

    assert (low.unique().item(), high.unique().item()) == LOG_SCALE_RANGE


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 1.15, 2.0])
def test_component_shares_are_the_tempered_softmax(temperature):
    logits = [[0.0], [0.4], [-0.3]]
    mixture = many(logits, [[-100.0], [0.0], [100.0]], [[-6.0]] * 3)

    z = mixture.sample(torch.full((DRAWS,), temperature), *noise(1)).squeeze(-1)

    shares = torch.bincount((z / 100.0).round().long() + 1, minlength=3) / DRAWS
    expected = torch.softmax(torch.tensor(logits).squeeze(-1) / temperature, 0)
    torch.testing.assert_close(shares, expected, atol=4 * 0.5 / math.sqrt(DRAWS), rtol=0.0)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 1.15, 2.0])
def test_noise_is_scaled_by_the_square_root_of_the_temperature(temperature):
    mixture = many([[0.0, 0.0]], [[3.0, -1.0]], [[0.0, math.log(2.0)]])

    z = mixture.sample(torch.full((DRAWS,), temperature), *noise(2))

    torch.testing.assert_close(z.mean(0), torch.tensor([3.0, -1.0]), atol=0.06, rtol=0.0)
    torch.testing.assert_close(z.std(0), math.sqrt(temperature) * torch.tensor([1.0, 2.0]), atol=0.0, rtol=0.02)


@KINDS
@pytest.mark.parametrize("uniform", [0.0, 0.5, LAST_BELOW_ONE])
def test_temperature_zero_is_the_mean_of_the_likeliest_component(kind, uniform):
    mixture = mixture_of(kind, (200,))
    likeliest = mixture.logits.argmax(-2, keepdim=True).expand(-1, -1, SIZE)

    z = mixture.sample(torch.zeros(200), torch.full((200, SIZE), uniform), torch.randn(200, SIZE))

    torch.testing.assert_close(z, mixture.means.gather(-2, likeliest).squeeze(-2))


@KINDS
@pytest.mark.parametrize("uniform", [0.0, LAST_BELOW_ONE])
def test_a_component_without_weight_is_never_drawn(kind, uniform):
    mixture = mixture_of(kind, (50,))
    mixture.logits[:, [0, -1]] = -1e4
    mixture.means[:] = torch.arange(COMPONENTS)[:, None]

    z = mixture.sample(torch.ones(50), torch.full((50, SIZE), uniform), torch.zeros(50, SIZE))

    assert ((z > 0) & (z < COMPONENTS - 1)).all()


@pytest.mark.parametrize("components", [256, 257, 1024])
def test_any_of_many_components_can_be_drawn(components):
    likeliest = torch.arange(components)
    logits = torch.where(torch.eye(components, dtype=torch.bool), 0.0, -1e4)[..., None]
    means = likeliest.float()[:, None].expand(components, components, 1)
    mixture = Mixture(logits, means, torch.zeros_like(means))

    z = mixture.sample(torch.ones(components), torch.full((components, 1), 0.5), torch.zeros(components, 1))

    assert torch.equal(z.squeeze(-1).long(), likeliest)


def test_every_row_has_its_own_temperature():
    mixture = many([[0.0]], [[0.0]], [[0.0]], draws=3)
    temperature = torch.tensor([0.0, 1.0, 4.0])

    z = mixture.sample(temperature, torch.full((3, 1), 0.5), torch.ones(3, 1))

    assert z.squeeze(-1).tolist() == [0.0, 1.0, 2.0]


def test_a_joint_mixture_draws_one_component_for_all_dimensions():
    mixture = many([[0.0], [0.0]], [[-100.0] * 6, [100.0] * 6], [[-6.0] * 6] * 2)

    z = mixture.sample(torch.ones(DRAWS), *noise(6))

    signs = z.sign()
    assert (signs == signs[:, :1]).all()
    assert signs[:, 0].mean().abs() < 0.02


def test_a_mixture_per_dimension_draws_every_dimension_alone():
    mixture = many([[0.0] * 2, [0.0] * 2], [[-100.0] * 2, [100.0] * 2], [[-6.0] * 2] * 2)

    signs = mixture.sample(torch.ones(DRAWS), *noise(2)).sign()

    assert signs.mean(0).abs().max() < 0.02
    assert signs.prod(1).mean().abs() < 0.02


@KINDS
def test_samples_at_temperature_one_have_the_density_of_the_mixture(kind):
    mixture = mixture_of(kind, size=1)
    batch = Mixture(*(part.expand(DRAWS, -1, -1) for part in (mixture.logits, mixture.means, mixture.log_scales)))
    grid = torch.linspace(-30.0, 30.0, 20_001)
    density = mixture.log_probability(grid[:, None]).exp()

    z = batch.sample(torch.ones(DRAWS), *noise(1)).squeeze(-1)

    below = torch.cumulative_trapezoid(density, grid)
    for share in (0.1, 0.5, 0.9):
        quantile = grid[torch.searchsorted(below, share) + 1]
        assert (z < quantile).float().mean().item() == pytest.approx(share, abs=0.01)


@KINDS
def test_sampling_is_a_function_of_its_noise(kind):
    mixture = mixture_of(kind, (8,))
    arguments = torch.ones(8), torch.rand(8, SIZE), torch.randn(8, SIZE)

    torch.testing.assert_close(mixture.sample(*arguments), mixture.sample(*arguments), rtol=0.0, atol=0.0)


@pytest.mark.parametrize("weights", [1, SIZE])
@pytest.mark.parametrize(("top", "entropy"), [(0.0, math.log(COMPONENTS)), (1e4, 0.0)])
def test_weight_entropy_limits(weights, top, entropy):
    logits = torch.zeros(3, COMPONENTS, weights)
    logits[:, 0] = top
    mixture = Mixture(logits, torch.zeros(3, COMPONENTS, SIZE), torch.zeros(3, COMPONENTS, SIZE))

    torch.testing.assert_close(mixture.weight_entropy(), torch.full((3,), entropy))


@KINDS
def test_weight_entropy_matches_torch(kind):
    mixture = mixture_of(kind, (6,))

    torch.testing.assert_close(mixture.weight_entropy(), Categorical(logits=mixture.logits.mT).entropy().mean(-1))


def two(distance, log_scales=(0.0, 0.0)):
    """Two components of one dimension, so far apart."""
    return Mixture(torch.zeros(2, 1), torch.tensor([[0.0], [distance]]), torch.tensor([[s] for s in log_scales]))


@pytest.mark.parametrize(("distance", "log_scales"), [(0.0, (0.0, 0.0)), (1.5, (0.3, -0.7)), (-4.0, (1.0, 0.5))])
def test_overlap_is_the_integral_of_the_root_of_both_densities(distance, log_scales):
    mixture = two(distance, log_scales)
    x = torch.linspace(-40.0, 40.0, 400_001, dtype=torch.float64)
    densities = [
        Normal(mean.double(), scale.double().exp()).log_prob(x)
        for mean, scale in zip(mixture.means, mixture.log_scales, strict=True)
    ]
    expected = torch.trapezoid(torch.exp(0.5 * sum(densities)), x)

    assert mixture.overlap().item() == pytest.approx(expected.item(), rel=1e-5)


def test_overlap_is_one_for_equal_components_and_vanishes_far_apart():
    assert Mixture.overlap(two(0.0)) == 1.0
    assert Mixture.overlap(two(1000.0)) == 0.0
    assert Mixture.overlap(two(0.0, LOG_SCALE_RANGE)) > 0.0
    assert torch.isfinite(Mixture.overlap(two(1e6, (LOG_SCALE_RANGE[0],) * 2)))


@KINDS
def test_overlap_knows_no_order_no_scale_and_no_shift(kind):
    mixture = mixture_of(kind, (3, 2))
    order = torch.tensor([2, 0, 4, 1, 3])
    shuffled = Mixture(*(part[..., order, :] for part in mixture.parts))
    moved = Mixture(mixture.logits, 7.0 * mixture.means + 3.0, mixture.log_scales + math.log(7.0))

    assert mixture.overlap().shape == (3, 2)
    assert ((mixture.overlap() > 0.0) & (mixture.overlap() <= 1.0)).all()
    torch.testing.assert_close(shuffled.overlap(), mixture.overlap())
    torch.testing.assert_close(moved.overlap(), mixture.overlap())


@KINDS
def test_less_overlap_means_components_farther_apart(kind):
    mixture = mixture_of(kind)
    means = (0.01 * mixture.means).requires_grad_()
    before = means.detach().var(-2).sum()
    for _ in range(50):
        (gradient,) = torch.autograd.grad(
            Mixture.overlap(Mixture(mixture.logits, means, mixture.log_scales)).sum(), means
        )
        means = (means - gradient).detach().requires_grad_()

    assert means.var(-2).sum() > 10.0 * before


def test_live_components_are_those_that_weigh_something():
    weights = torch.tensor([0.5, 0.4, 0.06, 0.04, 0.0]).log()[:, None]
    parts = torch.zeros(2, 5, 1)
    mixture = Mixture(weights.expand(2, 5, 3), parts.expand(2, 5, 3), parts.expand(2, 5, 3))

    assert mixture.live_components().tolist() == [3.0, 3.0]
    assert mixture.live_components(threshold=0.45).tolist() == [1.0, 1.0]
