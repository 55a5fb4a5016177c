"""Episodes as M sees them: encoded once by V, sampled anew at every use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.config import WorldConfig
from dreamenv.endings import Kind, kind_of
from dreamenv.episodes import Episode
from dreamenv.models.vision import Vision, sample_latent
from dreamenv.processor import bfloat16_is_fast


@dataclass(frozen=True, eq=False)
class LatentEpisode:
    """An episode as M sees it.

    Attributes:
        mean: Posterior means of z, (T + 1, Z) float32.
        log_variance: Their log-variances, (T + 1, Z) float32.
        action: (T,) int64 or (T, A) float32.
        reward: (T,) float32.
        ending: (T,) int64, index of the kind of ending of every step; 0 goes on.
        step: (T,) int64, number of every step in its episode, from 1.
    """

    mean: Tensor
    log_variance: Tensor
    action: Tensor
    reward: Tensor
    ending: Tensor
    step: Tensor

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.action)


@torch.no_grad()
def encode_episodes(vision: Vision, episodes: Sequence[Episode], config: WorldConfig) -> list[LatentEpisode]:
    """Encodes episodes with V, and names the kind of every step's ending."""
    return [_encode(vision, episode, config.endings, config.ordinary_reward) for episode in episodes]


def _encode(vision: Vision, episode: Episode, endings: Sequence[Kind], ordinary_reward: float) -> LatentEpisode:
    frames = torch.from_numpy(episode.observations).to(vision.device)
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=bfloat16_is_fast(frames.device)):
        codes = map(vision.encode, frames.split(256))
        mean, log_variance = (torch.cat(parts).cpu() for parts in zip(*codes, strict=True))
    ending = torch.zeros(len(episode), dtype=torch.int64)
    ending[-1] = ending_index(episode, endings, ordinary_reward)
    action, reward = torch.from_numpy(episode.actions), torch.from_numpy(episode.rewards)
    return LatentEpisode(mean, log_variance, action, reward, ending, torch.arange(1, len(episode) + 1))


def ending_index(episode: Episode, endings: Sequence[Kind], ordinary_reward: float) -> int:
    """The kind of an episode's ending as M numbers them; 0 where time ran out, or no training episode ended so."""
    kind = kind_of(episode.terminated, float(episode.rewards[-1]), ordinary_reward)
    return endings.index(kind) + 1 if kind in endings else 0


def draw_latents(episode: LatentEpisode, generator: torch.Generator, steps: int | None = None) -> Tensor:
    """Draws z from the posterior of every frame of an episode, as M's training does.

    Args:
        episode: The episode.
        generator: Of the draws.
        steps: T, the steps to follow it for; all of them if None.

    Returns:
        z, (T + 1, Z).
    """
    frames = None if steps is None else steps + 1
    mean, log_variance = episode.mean[:frames], episode.log_variance[:frames]
    return sample_latent(mean, log_variance, torch.randn(mean.shape, generator=generator))
