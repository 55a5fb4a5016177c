"""V with skips: its size, that it draws with and without them, and that dreams draw without."""

import dataclasses

import pytest
import torch
from dot_env import HEIGHT, WIDTH

import dreamenv
from dreamenv.models.bank import StartBank
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.model import MDNRNN, MDNRNNConfig, build_memory
from dreamenv.models.mdnrnn.unet import UNetVAE
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.reports.vision_report import report_vision
from dreamenv.training.fit import FitConfig
from dreamenv.training.vision import VisionTraining, train_vision

NAVIGATION_PARAMETERS = 3_679_725
SMALL = VisionConfig((HEIGHT, WIDTH, 3), latent_size=4, channels=(8, 16), kind="unet")


def unet(size, channels=(4, 8)):
    torch.manual_seed(0)
    return UNetVAE(VisionConfig((*size, 3), latent_size=5, channels=channels, kind="unet"))


def pixels(count, size, seed=0):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def learned(dot_folder, tmp_path_factory):
    """A V with skips trained on the dot environment, and held-out episodes."""
    train, held_out = dreamenv.EpisodeStore(dot_folder / "episodes").split()
    fit = FitConfig(steps=300, learning_rate=3e-3, precision="float32")
    training = VisionTraining(model=SMALL, fit=fit, batch_size=64)
    return train_vision(train, training, tmp_path_factory.mktemp("unet"), []), held_out


def test_it_has_the_size_of_the_navigation_world():
    count = sum(parameter.numel() for parameter in UNetVAE(VisionConfig(kind="unet")).parameters())
    assert count == 3_688_483
    assert abs(count / NAVIGATION_PARAMETERS - 1.0) < 0.02


@pytest.mark.parametrize("channels", [(4, 8), (4, 4, 4, 8)])
@pytest.mark.parametrize("size", [(60, 80), (16, 32), (45, 61), (17, 31)])
def test_frames_of_every_size_come_back_in_it(size, channels):
    vision, real = unet(size, channels), pixels(2, size)
    mean, log_variance = vision.encode_pixels(real)
    assert mean.shape == log_variance.shape == (2, 5)
    for drawn in (vision.decode_pixels(mean), vision.decode_beside(mean, real)):
        assert drawn.shape == real.shape
        assert 0.0 <= drawn.min() <= drawn.max() <= 1.0


def test_without_skips_the_picture_depends_on_z_alone_with_them_on_the_frame():
    vision, z = unet((16, 32)), torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    first, second = pixels(2, (16, 32)), pixels(2, (16, 32), seed=1)
    assert not torch.allclose(vision.decode_beside(z, first), vision.decode_beside(z, second), atol=1e-4)
    assert not torch.allclose(vision.decode_pixels(z), vision.decode_beside(z, first), atol=1e-4)
    none, every = [None] * 2, vision.features(first)
    zeros = [torch.zeros_like(feature) for feature in every]
    assert torch.equal(vision.decode_merged(z, zeros), vision.decode_merged(z, none))
    one_scale = [vision.decode_merged(z, mix) for mix in ([every[0], None], [None, every[1]])]
    assert not any(torch.allclose(one, vision.decode_pixels(z), atol=1e-4) for one in one_scale)


def test_training_drops_all_skips_of_half_of_the_samples_and_each_of_the_others(monkeypatch):
    vision, seen = unet((16, 16)), []
    monkeypatch.setattr(UNetVAE, "decode_merged", lambda self, z, skips: seen.append(skips) or z)
    monkeypatch.setattr(UNetVAE, "features", lambda self, x: [torch.ones(len(x), 4, 8, 8), torch.ones(len(x), 8, 4, 4)])
    count = 4000
    vision(pixels(count, (16, 16)), torch.zeros(count, 5), torch.Generator().manual_seed(0))
    large, small = (feature.flatten(1) for feature in seen[0])
    for feature in (large, small):
        assert set(feature.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(feature.amax(1), feature.amin(1))  # a sample keeps a scale whole or not at all
    kept = torch.stack([large[:, 0], small[:, 0]], dim=1)
    share = {
        pair: float((kept == torch.tensor(pair)).all(1).double().mean()) for pair in ((0, 0), (0, 1), (1, 0), (1, 1))
    }
    assert share[0, 0] == pytest.approx(0.5 + 0.125, abs=0.03)
    assert [share[pair] for pair in ((0, 1), (1, 0), (1, 1))] == pytest.approx([0.125] * 3, abs=0.02)


def test_it_learns_to_draw_without_skips_and_better_with_them(learned):
    vision, held_out = learned
    found = report_vision(vision, held_out)
    assert found.squared_error < 0.006
    assert found.squared_error_beside < 0.9 * found.squared_error
    assert found.spread == pytest.approx(1.0, abs=0.3)


@pytest.fixture
def unet_world(dot_world, learned):
    """The dot world with a V with skips; its M does not know that V."""
    config = dataclasses.replace(dot_world.config, model=MDNRNNConfig(SMALL, dot_world.config.model.memory))
    memory = build_memory(config.model, config.action, 1 + len(config.endings)).eval()
    first, branches = dot_world.bank.first, dot_world.bank.branches
    bank = StartBank(
        Gaussian(first.mean[:, :4], first.log_variance[:, :4]), dataclasses.replace(branches, z=branches.z[:, :4])
    )
    return dataclasses.replace(dot_world, config=config, model=MDNRNN(learned[0], memory), bank=bank)


def test_a_world_with_it_survives_its_files(unet_world, tmp_path):
    dreamenv.save(unet_world, tmp_path)
    again = dreamenv.load(tmp_path)
    assert isinstance(again.model.vision, UNetVAE)
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    one, other = (world.model.vision.decode_pixels(z) for world in (again, unet_world))
    torch.testing.assert_close(one, other, atol=0.01, rtol=0.0)


def test_dreams_are_drawn_from_z_alone(unet_world):
    env = dreamenv.DreamEnv(unet_world, render_mode="rgb_array")
    z = torch.from_numpy(env.reset(seed=0)[0][None, :4])
    with torch.no_grad():
        drawn = unet_world.model.vision.decode(z, unet_world.config.frame_shape)
    assert torch.equal(torch.from_numpy(env.render()), drawn[0])
