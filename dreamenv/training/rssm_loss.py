"""The losses of an RSSM on chunks of sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from dreamenv.foundation.ranges import PART, Count, Settings, Share, Weight
from dreamenv.models.heads import mean_per_kind, weighted_cross_entropy
from dreamenv.models.latent import Categorical, Gaussian
from dreamenv.models.rssm.model import RSSM
from dreamenv.training.fit import FitConfig, Metrics
from dreamenv.training.streams import Chunk

Distribution = Gaussian | Categorical
Reconstruction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class SequenceTraining(Settings):
    """How an RSSM is trained on sequences: reconstruction + KL + ending_weight * cross entropy + reward_weight * error.

    Attributes:
        fit: The optimisation; 0 steps leave this stage out.
        batch_size: Sequences side by side.
        length: Steps of them per update; the state is carried to the next update.
        kl_scale: Weight of the KL divergence of posterior and prior, summed over z.
        kl_balance: Share of the KL that trains the prior; the rest trains the posterior (Dreamer V2, algorithm 2). With
            0.5 both have the whole gradient, as in PlaNet and Dreamer V1.
        free_nats: The KL, a mean over the batch, is not trained below this.
        first_frames: Whether the KL of first frames counts, as published. Dreams begin with a posterior there.
        decoded: Moments per update that a stage with a decoder decodes, drawn at random; all, as published, if None.
            Decoding costs most of an update.
        reconstruction_scale: Weight of the squared error of pixels, in a stage that decodes.
        ending_weight: Weight of the ending head's cross entropy.
        reward_weight: Weight of the reward head's squared error, standardised and averaged within each kind of ending.
        image_gradient: Share of the reconstruction's gradient that reaches z and h (0 in an ablation of Dreamer V2).
        reward_gradient: Share of the reward head's gradient that reaches z and h, likewise.
        ending_gradient: Share of the ending head's.
        prior_share: Share of the moments at which the heads read a z from the prior, as in the dream.
        dropout: Share of z and h that the heads do not see.
        overshooting: Largest distance D of latent overshooting (PlaNet, equation 7): priors that were rolled forward
            from posteriors up to D steps ago are trained as well. 1 is none.
        overshooting_weight: Weight of distances above 1, relative to 1 for the distance 1.
        episode_balance: See :class:`dreamenv.training.memory.MemoryTraining`; here for whole episodes.
        step_balance: See :class:`dreamenv.training.memory.MemoryTraining`.
    """

    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=2000, learning_rate=3e-3, precision="float32"))
    batch_size: Count = 32
    length: Count = 50
    kl_scale: Weight = 1.0
    kl_balance: Share = 0.8
    free_nats: Weight = 0.0
    first_frames: bool = False
    decoded: Count | None = None
    reconstruction_scale: Weight = 10.0
    ending_weight: Weight = 100.0
    reward_weight: Weight = 2.0
    image_gradient: Share = 1.0
    reward_gradient: Share = 1.0
    ending_gradient: Share = 1.0
    prior_share: Share = 0.5
    dropout: Annotated[float, PART] = 0.0
    overshooting: Count = 1
    overshooting_weight: Weight = 1.0
    episode_balance: Weight = 0.5
    step_balance: Weight = 0.3


def sequence_loss(
    model: RSSM,
    chunk: Chunk,
    start: tuple[Tensor, Tensor],
    config: SequenceTraining,
    kinds: Tensor,
    limit: int,
    reconstruction: Reconstruction | None,
    generator: torch.Generator,
) -> tuple[Tensor, Metrics, tuple[Tensor, Tensor]]:
    """Computes the loss of a chunk.

    Args:
        model: The model.
        chunk: The data.
        start: z (B, Z) and h (B, H) at the moment before the chunk.
        config: Weights of the terms.
        kinds: Weights of the kinds of endings, (kinds,).
        limit: The time limit, in steps.
        reconstruction: Errors of pixels, (N,), of features z and h that the decoder reads, (N, Z + H), and numbers (N,)
            of their moments in the flat chunk; None in a stage that does not decode.
        generator: Of all random numbers.

    Returns:
        The loss, its terms, and the drawn z (B, L, Z) and h (B, L, H), without gradient.
    """
    uniform, normal = draw_noise(model, chunk.first.shape, generator)
    z, h, posterior = model.unroll(chunk.embedding, chunk.action, chunk.first, start, uniform, normal)
    prior = model.prior_of(h)
    counted = torch.ones_like(chunk.first) if config.first_frames else ~chunk.first
    divergence = model.divergence(posterior, prior)
    value = config.kl_scale * balanced_kl(model, posterior, prior, counted, config)
    metrics = {
        "kl": _mean(divergence, ~chunk.first).item(),
        "kl of first frames": _mean(divergence, chunk.first).item(),
    }
    if config.overshooting > 1:
        far = overshooting(model, chunk, z, h, posterior, config.overshooting, generator)
        value = (value + config.kl_scale * config.overshooting_weight * far) / config.overshooting
        metrics["overshooting"] = far.item() / (config.overshooting - 1)
    features = torch.cat([z, h], -1)
    if reconstruction is not None:
        error = _decoded_error(features, config, reconstruction, generator)
        value = value + config.reconstruction_scale * error
        metrics["reconstruction"] = error.item()
    drawn = model.draw(prior, *draw_noise(model, chunk.first.shape, generator)).detach()
    from_prior = torch.rand(chunk.first.shape, generator=generator).to(z.device) < config.prior_share
    read = torch.cat([torch.where(from_prior[..., None], drawn, z), h], -1)
    heads, terms = _head_losses(model, _dropped(read, config.dropout, generator), chunk, config, kinds, limit)
    return value + heads, metrics | terms, (z.detach(), h.detach())


def _decoded_error(
    features: Tensor, config: SequenceTraining, reconstruction: Reconstruction, generator: torch.Generator
) -> Tensor:
    """Mean error of the pixels at the moments that are decoded, from (B, L, Z + H) features."""
    flat = features.flatten(0, 1)
    chosen = torch.randperm(len(flat), generator=generator)[: config.decoded].to(flat.device)
    return reconstruction(_share(flat[chosen], config.image_gradient), chosen).mean()


def _head_losses(
    model: RSSM, features: Tensor, chunk: Chunk, config: SequenceTraining, kinds: Tensor, limit: int
) -> tuple[Tensor, Metrics]:
    """Cross entropy of endings and squared error of rewards, of the moments that steps led to."""
    steps = ~chunk.first
    read, ending, going_on = features[steps], chunk.ending[steps], chunk.going_on[steps]
    if not len(ending):
        return features.sum() * 0.0, {}
    logits = model.endings(model.ending_layers(_share(read, config.ending_gradient)))
    losses = weighted_cross_entropy(logits, ending, kinds)
    cross_entropy = torch.where(ending == 0, losses * going_on, losses).mean()
    own = model.reward_layers(_share(read, config.reward_gradient))
    predicted = model.reward(own, chunk.step[steps] / limit).float().gather(-1, ending[:, None]).squeeze(-1)
    error = predicted - model.reward.standardise(chunk.reward[steps], ending)
    reward = mean_per_kind(error.square(), ending, len(kinds))
    value = config.ending_weight * cross_entropy + config.reward_weight * reward
    return value, {"ending": cross_entropy.item(), "reward": reward.item()}


def balanced_kl(
    model: RSSM, posterior: Distribution, prior: Distribution, counted: Tensor, config: SequenceTraining
) -> Tensor:
    """KL divergence, a scalar in nats, whose gradients for prior and posterior are weighed (Dreamer V2, algorithm 2).

    Args:
        model: The model.
        posterior: Of batch shape (B, L).
        prior: Likewise.
        counted: Moments that count, (B, L) bool.
        config: Balance and free nats.
    """

    def mean(one: Distribution, other: Distribution) -> Tensor:
        return _mean(model.divergence(one, other), counted).clamp(min=config.free_nats)

    if config.kl_balance == 0.5:
        return mean(posterior, prior)
    for_prior, for_posterior = mean(_stopped(posterior), prior), mean(posterior, _stopped(prior))
    return config.kl_balance * for_prior + (1.0 - config.kl_balance) * for_posterior


def overshooting(
    model: RSSM, chunk: Chunk, z: Tensor, h: Tensor, posterior: Distribution, distance: int, generator: torch.Generator
) -> Tensor:
    """Sum over the distances 2 to D of the KL divergence of posteriors from priors rolled forward (PlaNet, eq. 7).

    Args:
        model: The model.
        chunk: The data.
        z: Draws from the posteriors, (B, L, Z).
        h: (B, L, H).
        posterior: Of batch shape (B, L); its gradient is stopped.
        distance: D.
        generator: Of the draws.

    Returns:
        A scalar, in nats. A distance counts where no episode begins on the way.
    """
    total, alive, target = z.new_zeros(()), torch.ones_like(chunk.first), _stopped(posterior)
    for gap in range(1, min(distance, z.shape[1] - 1) + 1):
        action = chunk.action[:, gap:]
        z, h, alive = z[:, : action.shape[1]], h[:, : action.shape[1]], alive[:, : action.shape[1]]
        alive = alive & ~chunk.first[:, gap:]
        h = model.step(z.flatten(0, 1), action.flatten(0, 1), h.flatten(0, 1)).unflatten(0, alive.shape)
        prior = model.prior_of(h)
        if gap > 1:
            total = total + _mean(model.divergence(_shifted(target, gap), prior), alive)
        uniform, normal = draw_noise(model, chunk.first.shape, generator)
        z = model.draw(prior, uniform[:, gap:], normal[:, gap:])
    return total


def _stopped(latent: Distribution) -> Distribution:
    return type(latent)(*(part.detach() for part in latent.parts))


def _shifted(latent: Distribution, gap: int) -> Distribution:
    """The distributions from moment ``gap`` on."""
    return type(latent)(*(part[:, gap:] for part in latent.parts))


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Mean of the values that count; 0 without any."""
    return torch.where(counted, values, 0.0).sum() / counted.sum().clamp(min=1)


def _share(features: Tensor, share: float) -> Tensor:
    """The same features, of whose gradient a share passes."""
    return features if share == 1.0 else torch.lerp(features.detach(), features, share)


def _dropped(features: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The features, of which a share is 0; torch's own dropout draws from the global generator."""
    if not share:
        return features
    kept = torch.rand(features.shape, generator=generator).to(features.device) >= share
    return features * kept / (1.0 - share)


def draw_noise(model: RSSM, shape: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Uniform and normal numbers for a draw of z at each of some moments, (*shape, U) and (*shape, N)."""
    spec = model.posterior_noise
    uniform = torch.rand(*shape, spec.uniform, generator=generator)
    normal = torch.randn(*shape, spec.normal, generator=generator)
    return uniform.to(model.device), normal.to(model.device)
