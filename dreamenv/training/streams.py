"""Batches of sequences for recurrent models: endless streams of episodes, read chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dreamenv.recordings import Recording
from dreamenv.training.balance import EndingBalance


@dataclass(frozen=True)
class Chunk:
    """L consecutive moments of B streams.

    A moment is a frame, with the action, the reward and the ending of the step that led to it. A first frame has none
    of these: they are 0 there.

    Attributes:
        index: Number of the moment among those of all episodes, (B, L) int64.
        embedding: Embedding of the frame, (B, L, E).
        action: (B, L) int64 or (B, L, A) float32.
        reward: (B, L).
        ending: (B, L) int64, 0 where the episode went on or was truncated.
        step: Steps since the episode began, (B, L) int64.
        going_on: Weight of a step that goes on in the ending head's loss, (B, L).
    """

    index: Tensor
    embedding: Tensor
    action: Tensor
    reward: Tensor
    ending: Tensor
    step: Tensor
    going_on: Tensor

    @property
    def first(self) -> Tensor:
        """Whether an episode begins here, (B, L) bool."""
        return self.step == 0

    def to(self, device: str | torch.device) -> Chunk:
        """The same moments on another device."""
        return Chunk(*(getattr(self, field.name).to(device) for field in fields(self)))


class Streams:
    """B endless streams: each plays whole episodes one after the other, drawn by their kind of ending.

    Chunk i follows chunk i - 1, so a state can be carried from one to the next, and no moment of an episode is left
    out. Which episodes a stream plays depends on the seed and on B, L and ``chunks``.

    Args:
        episodes: The episodes.
        balance: Weights by which they are drawn.
        batch_size: B.
        length: L, moments in a chunk.
        chunks: How many chunks can be read.
        seed: Of the draws.
        anywhere: Whether a stream's first episode begins at any of its moments, each as likely as another; else at its
            first frame. Streams of episodes of one length would otherwise be at the same step of them for ever.
    """

    def __init__(
        self,
        episodes: Sequence[Recording],
        balance: EndingBalance,
        batch_size: int,
        length: int,
        chunks: int,
        seed: int,
        anywhere: bool = False,
    ) -> None:
        self._batch, self._length = batch_size, length
        lengths = torch.tensor([len(one) + 1 for one in episodes])
        self._behind = lengths.cumsum(0)  # number of the moment behind the last of each episode
        generator = torch.Generator().manual_seed(seed)
        count = max(chunks * length // int(lengths.min()) + 1 + anywhere, 1)
        drawn = torch.multinomial(balance.draw, batch_size * count, replacement=True, generator=generator)
        self._episodes = drawn.view(batch_size, count)
        self._ends = lengths[self._episodes].cumsum(1)
        if anywhere:  # moments before the start do not count
            share = torch.rand(batch_size, 1, generator=generator)
            self._ends -= (share * lengths[self._episodes[:, :1]]).long()
        self._moments = Chunk(
            index=torch.arange(int(lengths.sum())),
            embedding=torch.cat([one.embedding for one in episodes]),
            action=_after_first([one.action for one in episodes]),
            reward=_after_first([one.reward for one in episodes]),
            ending=_after_first([one.ending for one in episodes]),
            step=_after_first([one.step for one in episodes]),
            going_on=balance.going_on.repeat_interleave(lengths),
        )

    def chunk(self, number: int) -> Chunk:
        """Chunk ``number``, from 0, of every stream."""
        moment = torch.arange(number * self._length, (number + 1) * self._length).expand(self._batch, -1).contiguous()
        which = torch.searchsorted(self._ends, moment, right=True)
        index = self._behind[self._episodes.gather(1, which)] + moment - self._ends.gather(1, which)
        return Chunk(*(getattr(self._moments, field.name)[index] for field in fields(Chunk)))


def _after_first(parts: Sequence[Tensor]) -> Tensor:
    """Joins what belongs to steps, with a 0 for the first frame of each episode."""
    return torch.cat([torch.cat([part.new_zeros(1, *part.shape[1:]), part]) for part in parts])
