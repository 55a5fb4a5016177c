"""Recorded episodes with embedded frames: a frame is embedded once, and z is drawn anew at every use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.config import WorldConfig
from dreamenv.data.endings import Kind, kind_of
from dreamenv.data.episodes import Episode
from dreamenv.foundation.processor import bfloat16_is_fast
from dreamenv.models.base import WorldModel

FRAMES = 256  # embedded at once


@dataclass(frozen=True, eq=False)
class Recording:
    """An episode of T steps with embedded frames.

    Attributes:
        embedding: Embeddings of the frames, (T + 1, E) float32, see :meth:`dreamenv.models.base.WorldModel.embed`.
        action: (T,) int64 or (T, A) float32.
        reward: (T,) float32.
        ending: (T,) int64, kind of ending of every step; 0 goes on, k is ``config.endings[k - 1]``.
        step: (T,) int64, number of every step in its episode, from 1.
    """

    embedding: Tensor
    action: Tensor
    reward: Tensor
    ending: Tensor
    step: Tensor

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.action)

    def to(self, device: str | torch.device) -> Recording:
        """Copies the recording to a device."""
        return Recording(*(getattr(self, field.name).to(device) for field in fields(self)))

    def span(self, first: int, last: int) -> Recording:
        """Steps ``first`` to ``last`` - 1, counted from 0, with the frames before and after each."""
        rest = (self.action, self.reward, self.ending, self.step)
        return Recording(self.embedding[first : last + 1], *(part[first:last] for part in rest))


@torch.no_grad()
def record(model: WorldModel | None, episodes: Sequence[Episode], config: WorldConfig) -> list[Recording]:
    """Embeds the frames of episodes, and classifies their endings; the recordings are on the processor.

    Without a model, embeddings are empty, (T + 1, 0).
    """
    return [_record(model, episode, config.endings, config.ordinary_reward) for episode in episodes]


def embed(model: WorldModel, frames: NDArray[np.uint8]) -> Tensor:
    """What the posteriors of a model read of (N, height, width, 3) frames, (N, E) float32, on the processor."""
    parts = torch.from_numpy(frames).to(model.device).split(FRAMES)
    with torch.autocast(parts[0].device.type, torch.bfloat16, enabled=bfloat16_is_fast(parts[0].device)):
        return torch.cat([model.embed(part).float() for part in parts]).cpu()


def _record(model: WorldModel | None, episode: Episode, endings: Sequence[Kind], ordinary_reward: float) -> Recording:
    embedding = torch.empty(len(episode) + 1, 0) if model is None else embed(model, episode.observations)
    ending = torch.zeros(len(episode), dtype=torch.int64)
    ending[-1] = ending_index(episode, endings, ordinary_reward)
    action, reward = torch.from_numpy(episode.actions), torch.from_numpy(episode.rewards)
    return Recording(embedding, action, reward, ending, torch.arange(1, len(episode) + 1))


def ending_index(episode: Episode, endings: Sequence[Kind], ordinary_reward: float) -> int:
    """Kind of ending of an episode, as models number them; 0 after a truncation, or if the model has no such kind."""
    kind = kind_of(episode.terminated, float(episode.rewards[-1]), ordinary_reward)
    return endings.index(kind) + 1 if kind in endings else 0
