"""The contract of vision models, see :class:`dreamenv.testing.VisionContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from dreamenv.models.mdnrnn.vision import Vision


class VisionContract(ABC):
    """What every V keeps."""

    @abstractmethod
    def make_vision(self) -> Vision:
        """Makes a V, trained or not."""

    def test_frames_become_gaussians_over_z(self) -> None:
        """Means and log-variances of frames of any size, finite, in float32."""
        vision = self.make_vision().eval()
        height, width, _ = vision.config.frame_shape
        for shape in ((height, width), (height + 7, width + 3)):
            mean, log_variance = vision.encode(torch.randint(256, (3, *shape, 3), dtype=torch.uint8))
            assert mean.shape == log_variance.shape == (3, vision.config.latent_size)
            assert mean.dtype == torch.float32 and mean.isfinite().all() and log_variance.isfinite().all()

    def test_z_becomes_frames_of_any_size(self) -> None:
        """Decoded frames are uint8, of the requested shape."""
        vision = self.make_vision().eval()
        z = torch.zeros(2, vision.config.latent_size)
        for shape in (vision.config.frame_shape, (11, 23, 3)):
            frames = vision.decode(z, shape)
            assert frames.shape == (2, *shape) and frames.dtype == torch.uint8

    def test_training_has_a_gradient_everywhere(self) -> None:
        """Every weight takes part in the reconstruction or in the posterior."""
        vision = self.make_vision().train()
        pixels = torch.rand(4, 3, *vision.config.frame_shape[:2])
        normal, generator = torch.randn(4, vision.config.latent_size), torch.Generator().manual_seed(0)
        mean, log_variance, output = vision(pixels, normal, generator)
        ((output - pixels).square().mean() + mean.square().mean() + log_variance.square().mean()).backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in vision.parameters())
