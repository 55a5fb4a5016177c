"""Training V on frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from dreamenv.episodes import Episode
from dreamenv.models.vision import (
    ConvVAE,
    Vision,
    VisionConfig,
    colour_bins,
    kl_divergence,
    rare_colour_table,
    sample_latent,
)
from dreamenv.training.fit import FitConfig, Metrics, fit, warm_start


@dataclass(frozen=True)
class VisionTraining:
    """How V is trained: scale * weighted squared error + beta * KL, summed over pixels and latent dimensions.

    Attributes:
        model: Sizes of V.
        fit: The optimisation.
        batch_size: Frames per step.
        reconstruction_scale: Weight of the squared error.
        beta: Weight of the KL term.
        beta_warmup: Share of the steps in which beta grows from 0 to its value.
        rare_colours: Weigh pixel errors by the rareness of their colour; without it small things vanish from dreams.
        colour_weights: Smallest and largest of these weights.
    """

    model: VisionConfig = field(default_factory=VisionConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=2000))
    batch_size: int = 128
    reconstruction_scale: float = 10.0
    beta: float = 1.0
    beta_warmup: float = 0.1
    rare_colours: bool = True
    colour_weights: tuple[float, float] = (0.5, 20.0)


def train_vision(
    episodes: Sequence[Episode],
    config: VisionTraining,
    folder: Path,
    identity: object,
    source: Vision | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Vision:
    """Trains V on the frames of ``episodes``; resumes from ``folder``.

    Args:
        episodes: Training episodes.
        config: Settings.
        folder: Checkpoints and TensorBoard.
        identity: JSON-able description of the data, and of ``source``.
        source: V to begin with; a fresh one if None.
        seed: Of everything random.
        device: Where to train.

    Returns:
        The trained V, in evaluation mode.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vision = ConvVAE(config.model)
    warm_start(vision, source)
    vision.to(device)
    frames = [torch.from_numpy(episode.observations) for episode in episodes]
    table = _colour_table(frames, config, seed).to(device)
    warmup_steps = max(1.0, config.beta_warmup * config.fit.steps)

    def loss(step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        batch = _sample_frames(frames, config.batch_size, generator).to(device)
        target = vision.to_pixels(batch)
        mean, log_variance = (part.float() for part in vision.encode_pixels(target))
        z = sample_latent(mean, log_variance, torch.randn(mean.shape, generator=generator).to(device))
        error = (vision.decode_pixels(z).float() - target).square().sum(1)
        weighted = (error * table[colour_bins(_as_frames(target))]).sum((1, 2)).mean()
        kl = kl_divergence(mean, log_variance).sum(1).mean()
        beta = config.beta * min(1.0, step / warmup_steps)
        value = config.reconstruction_scale * weighted + beta * kl
        return value, {
            "squared_error": error.mean().item() / 3,
            "weighted_error": weighted.item(),
            "kl": kl.item(),
        }

    fit(vision, loss, config.fit, folder, [identity, dataclasses.asdict(config)], seed)
    return vision.eval()


def _colour_table(frames: list[Tensor], config: VisionTraining, seed: int) -> Tensor:
    if not config.rare_colours:
        return torch.ones(512)
    sample = _sample_frames(frames, 2000, torch.Generator().manual_seed(seed))
    return rare_colour_table(sample, config.colour_weights)


def _sample_frames(frames: list[Tensor], count: int, generator: torch.Generator) -> Tensor:
    ends = torch.tensor([len(episode) for episode in frames]).cumsum(0)
    draws = torch.randint(int(ends[-1]), (count,), generator=generator)
    episode = torch.searchsorted(ends, draws, right=True)
    return torch.stack([frames[e][d - ends[e]] for e, d in zip(episode.tolist(), draws.tolist(), strict=True)])


def _as_frames(pixels: Tensor) -> Tensor:
    return (pixels * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1)
