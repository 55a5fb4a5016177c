"""The interface of every kind of world model, and the values that it reads and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from dreamenv.models.latent import Latent
from dreamenv.models.noise import Noise, NoiseSpec


@dataclass(frozen=True)
class State:
    """One moment of a batch of episodes, real or dreamed.

    ``h`` summarises every z and action before this moment, but not the ``z`` of this moment; it is 0 at the start of an
    episode.

    Attributes:
        z: Latent of the current frame, (B, Z) float32.
        h: Output of the recurrent network, (B, H) float32 in [-1, 1].
        carry: The rest of the recurrent state, an LSTM's cell state for example, (B, C) float32. C is 0 for a model
            whose recurrent state is h alone.
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
        """Joins batches along the first dimension."""
        return cls(*(torch.cat(parts) for parts in zip(*(state.parts for state in states), strict=True)))

    def rows(self, index: Tensor | slice) -> State:
        """Selects rows by (R,) int64 index or slice."""
        return State(*(part[index] for part in self.parts))

    def to(self, device: str | torch.device) -> State:
        """The same states on another device."""
        return State(*(part.to(device) for part in self.parts))

    def put_rows_(self, index: Tensor, other: State) -> State:
        """As :meth:`with_rows`, but writes into these tensors; call it only if nothing else refers to them."""
        for own, new in zip(self.parts, other.parts, strict=True):
            own.index_copy_(0, index, new)
        return self

    def with_rows(self, index: Tensor, other: State) -> State:
        """Replaces the rows at (R,) int64 ``index`` by those of ``other``, of batch size R."""
        pairs = zip(self.parts, other.parts, strict=True)
        return State(*(own.index_copy(0, index, new) for own, new in pairs))


@dataclass(frozen=True)
class Outlook:
    """The ending and the reward that a model predicts for a step, before the ending is drawn.

    Attributes:
        endings: Calibrated probabilities of the ways a step can end, (B, kinds) float32; column 0 is "goes on".
        rewards: Predicted reward for each of these ways, in the environment's units, (B, kinds) float32.
    """

    endings: Tensor
    rewards: Tensor

    @classmethod
    def cat(cls, outlooks: Sequence[Outlook]) -> Outlook:
        """Joins batches along the first dimension."""
        return cls(torch.cat([one.endings for one in outlooks]), torch.cat([one.rewards for one in outlooks]))

    def rows(self, index: Tensor | slice) -> Outlook:
        """Selects rows by (R,) int64 index or slice."""
        return Outlook(self.endings[index], self.rewards[index])

    @property
    def expected_reward(self) -> Tensor:
        """Mean reward over the ways the step can end, (B,)."""
        return (self.endings * self.rewards).sum(1)


@dataclass(frozen=True)
class Transition:
    """Reward and ending of a dreamed step.

    Attributes:
        reward: (B,) float32, in the real environment's units.
        ending: (B,) int64: 0 goes on, k > 0 is ``endings[k - 1]`` of the world's config.
        outlook: The probabilities of all endings and their rewards; the ending was drawn from these.
    """

    reward: Tensor
    ending: Tensor
    outlook: Outlook

    @property
    def terminated(self) -> Tensor:
        """Whether the step ended the episode, (B,) bool."""
        return self.ending > 0

    @classmethod
    def cat(cls, transitions: Sequence[Transition]) -> Transition:
        """Joins batches along the first dimension."""
        reward, ending = (torch.cat([getattr(one, name) for one in transitions]) for name in ("reward", "ending"))
        return cls(reward, ending, Outlook.cat([one.outlook for one in transitions]))

    def rows(self, index: Tensor | slice) -> Transition:
        """Selects rows by (R,) int64 index or slice."""
        return Transition(self.reward[index], self.ending[index], self.outlook.rows(index))

    def spread(self, rows: Tensor, size: int) -> Transition:
        """Writes R rows to their (R,) int64 places in a batch of ``size``; all other rows are 0."""
        parts = (self.reward, self.ending, self.outlook.endings, self.outlook.rewards)
        reward, ending, *outlook = (part.new_zeros(size, *part.shape[1:]).index_copy(0, rows, part) for part in parts)
        return Transition(reward, ending, Outlook(*outlook))


class WorldModel(nn.Module, ABC):
    """A latent dynamics model with heads for reward and ending.

    All operations are batched, and none changes the model or its arguments: the whole state is passed in and returned.
    Each step first runs :meth:`advance`. Then z is drawn from :meth:`prior` in the dream, and from :meth:`posterior` in
    reality. A subclass sets the attributes and implements the abstract methods; :meth:`predict` may be overridden for
    speed, the other methods are final. ``docs/models.md`` shows how to write one.

    Attributes:
        latent_size: Z.
        hidden_size: H.
        carry_size: C, see :class:`State`.
        prior_noise: How many random numbers a draw of z from the prior reads.
        posterior_noise: How many random numbers a draw of z from a posterior reads.
        posterior_kind: Class of the posteriors, whose tensors have shape (B, *posterior_shape); bundles store those of
            starts.
    """

    latent_size: int
    hidden_size: int
    carry_size: int
    prior_noise: NoiseSpec
    posterior_noise: NoiseSpec
    posterior_kind: type[Latent]

    @property
    def posterior_shape(self) -> tuple[int, ...]:
        """Shape of a posterior's tensors without the batch, (Z,) for a :class:`dreamenv.models.latent.Gaussian`."""
        return (self.latent_size,)

    @property
    def device(self) -> torch.device:
        """Device of its weights and buffers; the processor if it has none."""
        tensor = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if tensor is None else tensor.device

    def initial(self, batch: int) -> State:
        """Returns the state of ``batch`` episodes before their first frame: z, h, carry and step are 0."""
        device, sizes = self.device, (self.latent_size, self.hidden_size, self.carry_size)
        z, h, carry = (torch.zeros(batch, size, device=device) for size in sizes)
        return State(z, h, carry, torch.zeros(batch, dtype=torch.int64, device=device))

    @abstractmethod
    def embed(self, frames: Tensor) -> Tensor:
        """Encodes (B, height, width, 3) uint8 frames, each alone, for :meth:`posterior`: (B, E) float32."""

    @abstractmethod
    def advance(self, state: State, action: Tensor) -> State:
        """Runs the recurrent step; reality and the dream share it.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32. Discrete actions may also be one-hot vectors, (B, n) float32: the same
                step up to rounding, through which gradients reach the action. Only gradients through the dynamics need
                this, see :mod:`dreamenv.agents.actor_critic`.

        Returns:
            The state with h, carry and step of the next moment, and with the z of the present one.
        """

    @abstractmethod
    def posterior(self, state: State, embedding: Tensor) -> Latent:
        """Returns the distribution of z given the frame of this moment, of batch shape (B,).

        Args:
            state: From :meth:`advance`, or from :meth:`initial` at a first frame; its z must not be read.
            embedding: From :meth:`embed`, (B, E).
        """

    @abstractmethod
    def prior(self, state: State) -> Latent:
        """Returns the distribution of z given a state from :meth:`advance`, whose z must not be read."""

    @abstractmethod
    def outlook(self, state: State, elapsed: Tensor) -> Outlook:
        """Predicts the ending and the reward of the step that led to a state.

        Args:
            state: From :meth:`advance`, with the z of its own moment.
            elapsed: Elapsed share of the time limit, (B,) in [0, 1].
        """

    @abstractmethod
    def decode(self, state: State, frame_shape: tuple[int, int, int]) -> Tensor:
        """Draws states as (B, height, width, 3) uint8 frames of shape ``frame_shape``."""

    def predict(self, state: State, elapsed: Tensor, draw: Callable[[Latent], Tensor]) -> tuple[Tensor, Outlook]:
        """Draws z from the prior, then reads the heads; a compiled model may compute both in one product.

        Args:
            state: From :meth:`advance`, of batch size B.
            elapsed: Elapsed share of the time limit, (B,) in [0, 1].
            draw: Draws (B, Z) from a distribution.

        Returns:
            z and the outlook.
        """
        z = draw(self.prior(state))
        return z, self.outlook(replace(state, z=z), elapsed)

    def follow(
        self, embeddings: Sequence[Tensor], actions: Sequence[Tensor], noise: Sequence[Noise] | None = None
    ) -> list[tuple[State, Latent]]:
        """Runs the model along recorded episodes, as one batch; the episodes may differ in length.

        Args:
            embeddings: For each episode the embeddings of its T + 1 frames, (T + 1, E).
            actions: (T,) int64 or (T, A) float32 for each.
            noise: T + 1 rows of random numbers for each, which draw z from its posteriors; z is their mode if None.

        Returns:
            For each episode its T + 1 states, and the posterior of each z.
        """
        if not embeddings:
            return []
        lengths = torch.tensor([len(part) for part in embeddings])
        order = lengths.argsort(descending=True).tolist()  # the episodes under way are then always the first rows
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
