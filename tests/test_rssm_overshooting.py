"""Latent overshooting against a slow loop."""

from dataclasses import replace

import pytest
import torch
from rssm_settings import ALONE, SIZES, B, L, gradient_norms, leaves, loss_of, make_chunk, make_model, unrolled

from dreamenv.training.rssm_loss import SequenceTraining, overshooting

CONFIG = SequenceTraining(prior_share=0.0)
EACH_SIZES = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)


@torch.no_grad()
def slow_overshooting(model, chunk, z, h, posterior, distance, generator):
    """Rolls the prior forward from every moment by itself."""
    spec, noises = model.posterior_noise, []
    for _ in range(distance):
        uniform = torch.rand(B, L, spec.uniform, generator=generator)
        noises.append((uniform, torch.randn(B, L, spec.normal, generator=generator)))
    found = {gap: [] for gap in range(2, distance + 1)}
    for row in range(B):
        for begin in range(L):
            now_z, now_h = z[row, begin][None], h[row, begin][None]
            for gap in range(1, min(distance, L - 1 - begin) + 1):
                t = begin + gap
                if chunk.first[row, t]:
                    break
                now_h = model.step(now_z, chunk.action[row, t][None], now_h)
                prior = model.prior_of(now_h)
                target = type(posterior)(*(part[row, t][None] for part in posterior.parts))
                if gap > 1:
                    found[gap].append(target.kl(prior).sum())
                uniform, normal = noises[gap - 1]
                now_z = prior.sample(None, uniform[row, t][None], normal[row, t][None])
    return {gap: torch.stack(values) for gap, values in found.items() if values}


@EACH_SIZES
@pytest.mark.parametrize("distance", [2, 4, 30])
def test_overshooting_is_the_slow_loop_within_episodes(sizes, distance):
    model, chunk = make_model(sizes), make_chunk()
    z, h, posterior, _ = unrolled(model, chunk)
    reached = min(distance, L - 1)
    assert chunk.first[:, 1:].any(1).all()  # borders to cross

    value = overshooting(model, chunk, z, h, posterior, distance, torch.Generator().manual_seed(3))

    each = slow_overshooting(model, chunk, z, h, posterior, reached, torch.Generator().manual_seed(3))
    expected = sum(values.mean() for values in each.values())
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
    assert value > 0.0


def test_distance_one_is_no_overshooting_and_its_priors_are_those_of_the_sequence():
    model, chunk = make_model(), make_chunk()
    z, h, posterior, _ = unrolled(model, chunk)
    assert overshooting(model, chunk, z, h, posterior, 1, torch.Generator()) == 0.0
    only = replace(CONFIG, **ALONE | {"kl_scale": 1.0, "overshooting_weight": 0.0})

    values = [loss_of(model, chunk, replace(only, overshooting=distance))[0].item() for distance in (1, 2, 4)]

    assert values == pytest.approx([values[0], values[0] / 2, values[0] / 4])


def test_overshooting_does_not_train_the_posteriors_that_are_its_targets():
    model, chunk = make_model(), make_chunk()
    z, h, posterior, _ = unrolled(model, chunk)
    target = leaves(posterior)
    z, h = z.detach().requires_grad_(), h.detach().requires_grad_()

    value = overshooting(model, chunk, z, h, target, 3, torch.Generator().manual_seed(0))
    value.backward()

    assert all(part.grad is None for part in target.parts)
    assert gradient_norms(model, overshooting(model, chunk, z, h, target, 3, torch.Generator()))["cell"] > 0.0
    assert z.grad.any() and h.grad.any()
