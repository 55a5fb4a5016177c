"""V: sizes, resizing, and the terms of its loss."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal
from torch.distributions.kl import kl_divergence as torch_kl

from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.vision import ConvVAE, VisionConfig
from dreamenv.models.pixels import at_size, colour_bins, rare_colour_table, to_pixels

NO_CLIP = (0.0, float("inf"))


def vae(height, width, channels=(4, 8)):
    torch.manual_seed(0)
    return ConvVAE(VisionConfig((height, width, 3), latent_size=5, channels=channels))


def frames(count, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, height, width, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("channels", [(4, 8), (4, 4, 4, 8)])
@pytest.mark.parametrize("size", [(60, 80), (64, 64), (16, 32), (45, 61), (17, 31)])
def test_decoded_frames_have_the_size_of_the_encoded_ones(size, channels):
    vision = vae(*size, channels)

    mean, log_variance = vision.encode(frames(2, *size))
    pixels = vision.decode_pixels(mean)

    assert mean.shape == log_variance.shape == (2, 5)
    assert pixels.shape == (2, 3, *size)
    assert 0.0 <= pixels.min() <= pixels.max() <= 1.0


def test_the_layers_of_world_models():
    vision = ConvVAE(VisionConfig((64, 64, 3), latent_size=32))
    encoder = [layer.weight.shape for layer in vision.encoder if hasattr(layer, "weight")]

    assert encoder[:4] == [(32, 3, 4, 4), (64, 32, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4)]
    assert encoder[4] == (2 * 32, 256 * 4 * 4)


@pytest.mark.parametrize("size", [(15, 64), (64, 15), (1, 1)])
def test_frames_too_small_for_the_convolutions_are_refused(size):
    with pytest.raises(ValueError, match="at least 16 pixels a side"):
        ConvVAE(VisionConfig((*size, 3)))


def test_the_smallest_frames_work():
    vision = vae(16, 16, channels=(2, 2, 2, 2))

    assert vision.decode_pixels(vision.encode(frames(1, 16, 16))[0]).shape == (1, 3, 16, 16)


def test_frames_of_its_own_size_are_only_scaled():
    own = frames(2, 16, 32)

    torch.testing.assert_close(vae(16, 32).to_pixels(own), own.permute(0, 3, 1, 2) / 255.0)


@pytest.mark.parametrize("size", [(32, 64), (8, 16), (23, 41)])
def test_frames_of_another_size_are_resized(size):
    vision = vae(16, 32)
    flat = torch.tensor([0, 128, 255], dtype=torch.uint8).expand(2, *size, 3)

    pixels = vision.to_pixels(flat)

    assert pixels.shape == (2, 3, 16, 32)
    torch.testing.assert_close(pixels, (torch.tensor([0, 128, 255]) / 255.0).view(1, 3, 1, 1).expand(2, 3, 16, 32))


def test_frames_resized_once_are_the_pixels_of_frames_resized_anew_but_for_rounding():
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 256, (2, 16, 32, 3), generator=generator, dtype=torch.uint8)
    assert at_size(real, (16, 32)) is real
    resized = at_size(real, (8, 8))
    assert resized.shape == (2, 8, 8, 3) and resized.dtype == torch.uint8
    assert (to_pixels(resized, (8, 8)) - to_pixels(real, (8, 8))).abs().max() <= 0.5 / 255.0 + 1e-6


def test_resizing_keeps_left_and_right_apart():
    picture = torch.zeros(1, 32, 64, 3, dtype=torch.uint8)
    picture[:, :, 32:] = 255

    pixels = vae(16, 32).to_pixels(picture)

    assert pixels[..., :14].max() < 0.05 < 0.95 < pixels[..., 18:].min()


@pytest.mark.parametrize("size", [(16, 32), (60, 80), (7, 9)])
def test_decode_draws_frames_of_the_size_asked_for(size):
    drawn = vae(16, 32).decode(torch.randn(3, 5), (*size, 3))

    assert drawn.shape == (3, *size, 3)
    assert drawn.dtype == torch.uint8
    assert drawn.is_contiguous()


def test_decode_rounds_pixels_to_the_nearest_level():
    vision = vae(16, 32)
    z = torch.randn(2, 5)

    pixels = vision.decode_pixels(z).permute(0, 2, 3, 1) * 255.0

    assert (vision.decode(z, (16, 32, 3)).float() - pixels).abs().max() <= 0.5001


def test_frames_are_encoded_independently_of_the_batch():
    vision, batch = vae(16, 32).eval(), frames(4, 16, 32)

    torch.testing.assert_close(vision.encode(batch)[0][2:3], vision.encode(batch[2:3])[0])


def test_log_variances_are_bounded():
    vision = vae(16, 32)
    with torch.no_grad():
        vision.encoder[-1].bias.copy_(torch.cat([torch.zeros(5), torch.tensor([-1e4, -20.0, 0.0, 20.0, 1e4])]))
        vision.encoder[-1].weight.zero_()

    assert vision.encode(frames(1, 16, 32))[1].tolist() == [[-10.0, -10.0, 0.0, 10.0, 10.0]]


def test_kl_divergence_matches_torch():
    mean, log_variance = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))

    reference = torch_kl(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))

    torch.testing.assert_close(Gaussian(mean, log_variance).kl_from_standard(), reference)


def test_samples_have_the_mean_and_variance_of_the_posterior():
    mean, log_variance = torch.tensor([2.0, -1.0]), torch.tensor([0.0, 2.0 * np.log(3.0)], dtype=torch.float32)

    z = Gaussian(mean, log_variance).at(torch.randn(50_000, 2, generator=torch.Generator().manual_seed(0)))

    torch.testing.assert_close(z.mean(0), mean, atol=0.05, rtol=0.0)
    torch.testing.assert_close(z.std(0), torch.tensor([1.0, 3.0]), atol=0.0, rtol=0.02)


def two_colours(rare_pixels):
    picture = torch.zeros(1, 10, 10, 3, dtype=torch.uint8)
    picture[0].view(-1, 3)[:rare_pixels] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    return picture


@pytest.mark.parametrize("picture", [two_colours(0), two_colours(1), two_colours(50), frames(3, 16, 32)])
def test_the_mean_pixel_weighs_one_before_clipping(picture):
    weights = rare_colour_table(picture, NO_CLIP)[colour_bins(picture)]

    assert weights.mean().item() == pytest.approx(1.0, abs=1e-3)


def test_weights_are_one_over_the_root_of_the_share():
    picture = two_colours(4)
    weights = rare_colour_table(picture, NO_CLIP)[colour_bins(picture)]

    assert (weights[0, 0, 0] / weights[0, 9, 9]).item() == pytest.approx((96 / 4) ** 0.5, rel=1e-4)


def test_rarer_colours_weigh_more():
    weights = [rare_colour_table(two_colours(count), NO_CLIP)[7 * 64].item() for count in (1, 5, 20, 80)]

    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 5.0 > 1.0 > weights[-1]


def test_weights_are_clipped_and_finite_for_unseen_colours():
    table = rare_colour_table(two_colours(1), (0.5, 20.0))

    assert table.shape == (512,)
    assert 0.5 <= table.min() <= table.max() <= 20.0


def test_colours_are_binned_in_eighths():
    colours = torch.tensor([[0, 0, 0], [31, 31, 31], [32, 0, 0], [0, 32, 0], [0, 0, 32], [255, 255, 255]])

    assert colour_bins(colours.to(torch.uint8)).tolist() == [0, 0, 64, 8, 1, 511]


def test_a_v_without_skips_draws_the_same_beside_real_frames():
    vision, z = vae(16, 32), torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    beside = vision.to_pixels(frames(2, 16, 32))
    assert torch.equal(vision.decode_beside(z, beside), vision.decode_pixels(z))
