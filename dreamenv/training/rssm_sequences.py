"""Sequences of recorded episodes as an RSSM learns from them: chunks, embeddings, errors of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from dreamenv.config import WorldConfig
from dreamenv.models.rssm.model import RSSM
from dreamenv.recordings import Recording
from dreamenv.training.balance import balance_endings
from dreamenv.training.fit import Metrics
from dreamenv.training.frames import frames_at, pixel_errors
from dreamenv.training.rssm_loss import SequenceTraining, sequence_loss
from dreamenv.training.streams import Chunk, Streams


@dataclass(frozen=True, eq=False)
class Pictures:
    """The frames of all episodes.

    Attributes:
        frames: (T + 1, height, width, 3) uint8 of every episode, on the processor; resized to the model's size before,
            or every update does it again.
        table: Weights of colours, see :func:`dreamenv.training.frames.colour_table`.
    """

    frames: Sequence[Tensor]
    table: Tensor


class Carried(nn.Module):
    """A module, and the state between two chunks of the streams that it learns from, so that checkpoints hold both.

    Args:
        model: What learns.
        sizes: The RSSM in it.
        batch: Number of streams.
    """

    z: Tensor
    h: Tensor

    def __init__(self, model: nn.Module, sizes: RSSM, batch: int) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("z", torch.zeros(batch, sizes.latent_size))
        self.register_buffer("h", torch.zeros(batch, sizes.hidden_size))

    def forget(self) -> None:
        """Sets the state to 0."""
        self.z.zero_()
        self.h.zero_()


class Sequences:
    """Chunks of episodes, and the loss of a model on them; sets what the model's heads are told about the episodes.

    Args:
        model: The model, on the device where it learns.
        facts: Kinds of endings, time limit.
        recordings: The episodes.
        pictures: Their frames.
        config: Settings.
        chunks: How many chunks can be read.
        seed: Of the draws of episodes.
        anywhere: See :class:`dreamenv.training.streams.Streams`.
    """

    def __init__(
        self,
        model: RSSM,
        facts: WorldConfig,
        recordings: Sequence[Recording],
        pictures: Pictures,
        config: SequenceTraining,
        chunks: int,
        seed: int,
        anywhere: bool = False,
    ) -> None:
        self._model, self._facts, self._pictures, self._config = model, facts, pictures, config
        balance = balance_endings(recordings, 1 + len(facts.endings), config.episode_balance, config.step_balance)
        model.endings.shift.copy_(balance.shift)
        model.reward.fit_range(torch.cat([r.reward for r in recordings]), torch.cat([r.ending for r in recordings]))
        self._kinds = balance.kinds.to(model.device)
        self._streams = Streams(recordings, balance, config.batch_size, config.length, chunks, seed, anywhere)

    def chunk(self, number: int) -> Chunk:
        """Chunk ``number``, from 0, on the model's device."""
        return self._streams.chunk(number).to(self._model.device)

    def loss(
        self, chunk: Chunk, carried: Carried, generator: torch.Generator, *, encode: bool = True, decode: bool = True
    ) -> tuple[Tensor, Metrics, Tensor, Tensor]:
        """Computes the loss of a chunk; carries the state on.

        Args:
            chunk: The chunk.
            carried: Its state is read and changed.
            generator: Of all random numbers.
            encode: Whether frames are embedded by the encoder, which then learns; else embeddings are the recorded.
            decode: Whether pixels are decoded and count.

        Returns:
            As :func:`dreamenv.training.rssm_loss.sequence_loss`, but for z and h as two tensors.
        """
        model = self._model
        if encode:
            pixels = model.to_pixels(frames_at(self._pictures.frames, chunk.index.flatten().cpu()).to(model.device))
            chunk = replace(chunk, embedding=model.encoder(pixels).float().unflatten(0, chunk.index.shape))
        device = model.device.type
        rounded = torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False):  # the small layers of the recurrence are slower in bfloat16
            value, metrics, (z, h) = sequence_loss(
                model,
                chunk,
                (carried.z.clone(), carried.h.clone()),
                self._config,
                self._kinds,
                self._facts.max_episode_steps,
                partial(self._errors, chunk, rounded) if decode else None,
                generator,
            )
        carried.z[:], carried.h[:] = z[:, -1], h[:, -1]
        return value, metrics, z, h

    def _errors(self, chunk: Chunk, rounded: bool, features: Tensor, chosen: Tensor) -> Tensor:
        """Weighted squared errors (N,) of what the decoder draws from (N, Z + H) features at (N,) chosen moments."""
        model = self._model
        frames = frames_at(self._pictures.frames, chunk.index.flatten()[chosen].cpu())
        z, h = features.split([model.latent_size, model.hidden_size], -1)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=rounded):
            drawn = model.decode_pixels(z, h)
        return pixel_errors(drawn, model.to_pixels(frames.to(model.device)), self._pictures.table)[0]
