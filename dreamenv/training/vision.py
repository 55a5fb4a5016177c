"""Training V on frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from dreamenv.data.episodes import Episode
from dreamenv.foundation.ranges import Count, Settings, Share, Weight
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.model import build_vision
from dreamenv.models.mdnrnn.vision import Vision, VisionConfig
from dreamenv.training.fit import LOG_EVERY, FitConfig, Metrics, fit
from dreamenv.training.frames import colour_table, pixel_errors, sample_frames, warn_of_collapse
from dreamenv.training.gradients import gradient_facts
from dreamenv.training.vision_gan import VAEGAN
from dreamenv.training.warm import warm_start

ENOUGH_STEPS = 500  # in the first steps V draws the same frame for every input; on Sidewalk for about 100 steps


@dataclass(frozen=True)
class VisionTraining(Settings):
    """How V is trained: scale * weighted squared error + beta * KL, summed over pixels and latent dimensions.

    Attributes:
        model: Sizes of V.
        fit: The optimisation.
        batch_size: Frames per step.
        reconstruction_scale: Weight of the squared error.
        beta: Weight of the KL term.
        beta_warmup: Share of the steps in which beta grows from 0 to its value.
        rare_colours: Weight pixel errors by the rareness of their colour; without it small things vanish from dreams.
        colour_weights: Smallest and largest of these weights.
        adversarial: Train as a VAE-GAN instead: errors are measured in features of a discriminator, and colours have
            equal weights. Set the momentum of the optimisation to 0.5 (Radford et al. 2015); with 0.9 the training of
            decoder and discriminator oscillates, and V collapses.
        gamma: Weight of these errors in the loss of a VAE-GAN's decoder; deceiving the discriminator has weight 1.

    Raises:
        SettingsError: If a setting is out of range.
    """

    model: VisionConfig = field(default_factory=VisionConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=2000))
    batch_size: Count = 128
    reconstruction_scale: Weight = 10.0
    beta: Weight = 1.0
    beta_warmup: Share = 0.1
    rare_colours: bool = True
    colour_weights: tuple[Weight, Weight] = (0.5, 20.0)
    adversarial: bool = False
    gamma: Weight = 1.0


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
        source: V whose weights the training starts with; fresh ones if None.
        seed: Of everything random.
        device: Where to train.

    Returns:
        The trained V, in evaluation mode.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vision = build_vision(config.model)
        model: nn.Module = VAEGAN(vision) if config.adversarial else vision
    warm_start(vision, source)
    model.to(device)
    frames = [torch.from_numpy(episode.observations) for episode in episodes]
    table = colour_table(frames, config.colour_weights if config.rare_colours else None, seed).to(device)
    warmup_steps = max(1.0, config.beta_warmup * config.fit.steps)

    def loss(step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        pixels = vision.to_pixels(sample_frames(frames, config.batch_size, generator).to(device))
        beta = config.beta * min(1.0, step / warmup_steps)
        if isinstance(model, VAEGAN):
            normal, prior = _normal(pixels, config, generator), _normal(pixels, config, generator)
            value, terms = model.loss(pixels, normal, prior, beta, config.reconstruction_scale, config.gamma)
            return value, {name: term.item() for name, term in terms.items()}
        return _plain_loss(vision, pixels, table, beta, config, step, generator)

    fit(model, loss, config.fit, folder, [identity, dataclasses.asdict(config)], seed)
    sample = sample_frames(frames, 256, torch.Generator().manual_seed(seed)).to(device)
    _warn_of_collapse(vision.eval(), sample, config)
    return vision


def _plain_loss(
    vision: Vision,
    pixels: Tensor,
    table: Tensor,
    beta: float,
    config: VisionTraining,
    step: int,
    generator: torch.Generator,
) -> tuple[Tensor, Metrics]:
    """Weighted squared error plus KL, and the metrics to log."""
    mean, log_variance, output = vision(pixels, _normal(pixels, config, generator), generator)
    errors, squared = pixel_errors(output, pixels, table)
    weighted = errors.mean()
    kl = Gaussian(mean, log_variance).kl_from_standard().sum(1).mean()
    terms = {"reconstruction": config.reconstruction_scale * weighted, "kl": beta * kl}
    facts = {"squared_error": squared.item(), "weighted_error": weighted.item(), "kl": kl.item()}
    if step % LOG_EVERY == 0:
        facts |= gradient_facts(terms, (mean, log_variance))
    return terms["reconstruction"] + terms["kl"], facts


def _normal(pixels: Tensor, config: VisionTraining, generator: torch.Generator) -> Tensor:
    return torch.randn(len(pixels), config.model.latent_size, generator=generator).to(pixels.device)


@torch.no_grad()
def _warn_of_collapse(vision: Vision, frames: Tensor, config: VisionTraining) -> None:
    pixels = vision.to_pixels(frames)
    warn_of_collapse("V", pixels, vision.decode_pixels(vision.encode_pixels(pixels)[0]), _remedy(config))


def _remedy(config: VisionTraining) -> str:
    """Advice against a collapse."""
    steps = config.fit.steps
    few = f"{steps} steps are few: train for longer (fit.steps) before anything else. " if steps < ENOUGH_STEPS else ""
    if config.adversarial:
        return f"{few}Give the optimisation a momentum of 0.5 (fit.momentum)."
    return (
        f"{few}Lower beta, let it grow for longer (beta_warmup), or raise reconstruction_scale; TensorBoard shows the "
        "share of each term in the gradient."
    )
