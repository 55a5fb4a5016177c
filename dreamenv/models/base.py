"""What every kind of world model can do, and the values it works on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from dreamenv.models.latent import Latent
from dreamenv.models.noise import Noise, NoiseSpec


@dataclass(frozen=True)
class State:
    """Where a batch of episodes stands, in reality and in the dream alike.

    ``h`` has consumed every z and action before ``z``, not ``z`` itself; it is 0 at the start of an episode.

    Attributes:
        z: Latent of the current frame, (B, Z) float32.
        h: What the recurrent network puts out, (B, H) float32.
        carry: What it keeps beside h, an LSTM's cell state for example, (B, C) float32; (B, 0) if nothing.
        step: Steps since the episode began, (B,) int64.
    """

    z: Tensor
    h: Tensor
    carry: Tensor
    step: Tensor

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z, h, carry and step."""
        return self.z, self.h, self.carry, self.step

    @classmethod
    def cat(cls, states: Sequence[State]) -> State:
        """Joins batches."""
        return cls(*(torch.cat(parts) for parts in zip(*(state.parts for state in states), strict=True)))

    def rows(self, index: Tensor | slice) -> State:
        """Takes rows by (K,) int64 index or slice."""
        return State(*(part[index] for part in self.parts))

    def to(self, device: str | torch.device) -> State:
        """The same states on another device."""
        return State(*(part.to(device) for part in self.parts))

    def put_rows_(self, index: Tensor, other: State) -> State:
        """As :meth:`with_rows`, but in place: only for tensors that nothing else refers to."""
        for own, new in zip(self.parts, other.parts, strict=True):
            own.index_copy_(0, index, new)
        return self

    def with_rows(self, index: Tensor, other: State) -> State:
        """Replaces the rows at (K,) int64 ``index`` by those of ``other``, of batch size K."""
        pairs = zip(self.parts, other.parts, strict=True)
        return State(*(own.index_copy(0, index, new) for own, new in pairs))


@dataclass(frozen=True)
class Outlook:
    """What a model expects of a step, before anything is drawn.

    Attributes:
        endings: Calibrated probabilities of the ways it can end, (B, K); column 0 is "goes on".
        rewards: What it pays for each of them, in the environment's units, (B, K).
    """

    endings: Tensor
    rewards: Tensor

    @classmethod
    def cat(cls, outlooks: Sequence[Outlook]) -> Outlook:
        """Joins batches."""
        return cls(torch.cat([one.endings for one in outlooks]), torch.cat([one.rewards for one in outlooks]))

    def rows(self, index: Tensor | slice) -> Outlook:
        """Takes rows by (K,) int64 index or slice."""
        return Outlook(self.endings[index], self.rewards[index])

    @property
    def expected_reward(self) -> Tensor:
        """Mean reward over the ways the step can end, (B,)."""
        return (self.endings * self.rewards).sum(1)


class WorldModel(nn.Module, ABC):
    """A latent dynamics model with heads for reward and ending; batched, and without a memory between calls.

    A step runs :meth:`advance`, then z is drawn: from :meth:`prior` in the dream, from :meth:`posterior` in reality.

    Attributes:
        latent_size: Z.
        hidden_size: H.
        carry_size: C, see :class:`State`.
        prior_noise: Random numbers that a draw of z from the prior takes.
        posterior_noise: Random numbers that a draw of z from a posterior takes.
        posterior_kind: Class of the posteriors.
    """

    latent_size: int
    hidden_size: int
    carry_size: int
    prior_noise: NoiseSpec
    posterior_noise: NoiseSpec
    posterior_kind: type[Latent]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    def initial(self, batch: int) -> State:
        """The state of ``batch`` episodes before their first frame: z, h, carry and step are 0."""
        device, sizes = self.device, (self.latent_size, self.hidden_size, self.carry_size)
        z, h, carry = (torch.zeros(batch, size, device=device) for size in sizes)
        return State(z, h, carry, torch.zeros(batch, dtype=torch.int64, device=device))

    @abstractmethod
    def embed(self, frames: Tensor) -> Tensor:
        """What posteriors read of (B, H, W, 3) uint8 frames, (B, E) float32; it depends on the frames alone."""

    @abstractmethod
    def advance(self, state: State, action: Tensor) -> State:
        """The one recurrent step, in reality and in the dream.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32.

        Returns:
            The state with h, carry and step of the next moment; its z is still that of the moment before.
        """

    @abstractmethod
    def posterior(self, state: State, embedding: Tensor) -> Latent:
        """Distribution of z given the frame of this moment.

        Args:
            state: Advanced, or initial at a first frame; its z is not read.
            embedding: What :meth:`embed` returns for the frames, (B, E).
        """

    @abstractmethod
    def prior(self, state: State) -> Latent:
        """Distribution of z given an advanced state, whose z is not read."""

    @abstractmethod
    def outlook(self, state: State, elapsed: Tensor) -> Outlook:
        """How the step that led to a state ends, and what it pays.

        Args:
            state: Advanced, with the z of its moment.
            elapsed: Share of the time limit that is over, (B,) in [0, 1].
        """

    @abstractmethod
    def decode(self, state: State, frame_shape: tuple[int, int, int]) -> Tensor:
        """Draws states as (B, H, W, 3) uint8 frames of shape ``frame_shape``."""

    def predict(self, state: State, elapsed: Tensor, draw: Callable[[Latent], Tensor]) -> tuple[Tensor, Outlook]:
        """Draws z from the prior, then reads the heads; a compiled model may read both from one product.

        Args:
            state: Advanced, of batch size B.
            elapsed: Share of the time limit that is over, (B,) in [0, 1].
            draw: Draws (B, Z) from a distribution.

        Returns:
            z and the outlook.
        """
        z = draw(self.prior(state))
        return z, self.outlook(replace(state, z=z), elapsed)

    def follow(
        self, embeddings: Sequence[Tensor], actions: Sequence[Tensor], noise: Sequence[Noise] | None = None
    ) -> list[tuple[State, Latent]]:
        """Follows recorded episodes as one batch; they may differ in length.

        Args:
            embeddings: What :meth:`embed` returns for the T + 1 frames of each episode, (T + 1, E).
            actions: (T,) int64 or (T, A) float32 for each.
            noise: T + 1 rows of random numbers for each, which draw z from its posteriors; None takes their modes.

        Returns:
            For each episode its T + 1 states, and the posterior of each z.
        """
        lengths = torch.tensor([len(part) for part in embeddings])
        order = lengths.argsort(descending=True).tolist()  # so that episodes under way are always the first rows
        frames = pad_sequence([embeddings[index] for index in order])
        padded = pad_sequence([actions[index] for index in order])
        draws = None if noise is None else Noise.pad([noise[index] for index in order])
        moments: list[tuple[State, Latent]] = []
        state = self.initial(len(order))
        for step in range(len(frames)):
            rows = slice(int((lengths > step).sum()))
            state = state.rows(rows)
            latent = self.posterior(state, frames[step, rows])
            state = replace(state, z=latent.draw(None if draws is None else draws.rows((step, rows))))
            moments.append((state, latent))
            if step < len(padded):
                going = slice(int((lengths > step + 1).sum()))
                state = self.advance(state.rows(going), padded[step, going])
        parts = zip(*((*state.parts, *latent.parts) for state, latent in moments), strict=True)
        columns = [pad_sequence(list(part), batch_first=True) for part in parts]  # (T + 1, B, ...)
        followed = {}
        for row, index in enumerate(order):
            z, h, carry, steps, *latent_parts = (column[: int(lengths[index]), row] for column in columns)
            followed[index] = State(z, h, carry, steps), self.posterior_kind(*latent_parts)
        return [followed[index] for index in range(len(order))]
