"""M, the memory: predicts the next z, reward and ending from z, action and its own recurrent state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pad_sequence

from dreamenv.errors import SettingsError
from dreamenv.models import mdn
from dreamenv.models.heads import ActionHead, EndingHead, RewardHead, scale_action
from dreamenv.spaces import ActionSpec


@dataclass(frozen=True)
class State:
    """Where a batch of episodes stands, in reality and in the dream alike.

    ``h`` has consumed every z and action before ``z``, not ``z`` itself; it is 0 at the start of an episode.

    Attributes:
        z: Latent of the current frame, (B, Z) float32.
        h: Output of the recurrent network, (B, H) float32.
        c: Cell state of the recurrent network, (B, H) float32.
        step: Steps since the episode began, (B,) int64.
    """

    z: Tensor
    h: Tensor
    c: Tensor
    step: Tensor

    @classmethod
    def cat(cls, parts: Sequence[State]) -> State:
        """Joins batches."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in ("z", "h", "c", "step")))

    def rows(self, index: Tensor | slice) -> State:
        """Takes rows by (K,) int64 index or slice."""
        return State(self.z[index], self.h[index], self.c[index], self.step[index])

    def to(self, device: str | torch.device) -> State:
        """The same states on another device."""
        return State(*(getattr(self, name).to(device) for name in ("z", "h", "c", "step")))

    def put_rows_(self, index: Tensor, other: State) -> State:
        """As :meth:`with_rows`, but in place: only for tensors that nobody else holds."""
        for name in ("z", "h", "c", "step"):
            getattr(self, name).index_copy_(0, index, getattr(other, name))
        return self

    def with_rows(self, index: Tensor, other: State) -> State:
        """Replaces the rows at (K,) int64 ``index`` by those of ``other``, of batch size K."""
        return State(
            self.z.index_copy(0, index, other.z),
            self.h.index_copy(0, index, other.h),
            self.c.index_copy(0, index, other.c),
            self.step.index_copy(0, index, other.step),
        )


@dataclass(frozen=True)
class MemoryConfig:
    """Sizes of M.

    Attributes:
        hidden_size: H, units of the LSTM.
        components: Gaussians in a mixture.
        mixture: One mixture per latent dimension (World Models' code), or one joint over z.
        kind: ``mdnrnn`` is the MDNRNN, ``paper`` World Models' own PaperMDNRNN.
        predict_action: Predict the next action of the collecting policies as well; the dream does not use it.
    """

    hidden_size: int = 512
    components: int = 5
    mixture: mdn.MixtureKind = "per_dim"
    kind: Literal["mdnrnn", "paper"] = "mdnrnn"
    predict_action: bool = False

    def __post_init__(self) -> None:
        """Refuses sizes that no M has."""
        if not (0 < self.hidden_size <= 2**14 and 0 < self.components <= 2**10):
            raise SettingsError(
                f"expected hidden_size from 1 to {2**14:,} and components from 1 to {2**10:,}; got {self}"
            )


@dataclass(frozen=True)
class Outlook:
    """What M expects of a step.

    Attributes:
        mixture: Over the next z, of batch shape (B,).
        endings: Calibrated probabilities of the ways it can end, (B, K); column 0 is "goes on".
        rewards: What it pays, for each of them, in the environment's units, (B, K).
    """

    mixture: mdn.Mixture
    endings: Tensor
    rewards: Tensor


class Stepper(Protocol):
    """What a dream needs of M."""

    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Memory.advance`."""
        ...

    def outlook(self, h: Tensor, elapsed: Tensor) -> Outlook:
        """See :meth:`Memory.outlook`."""
        ...


class Memory(nn.Module, ABC):
    """A recurrent prior over z with heads for reward, ending and, as an option, the next action."""

    config: MemoryConfig
    latent_size: int
    mixture: nn.Linear
    endings: EndingHead
    reward: RewardHead
    action: ActionHead | None
    hidden_size: int

    @abstractmethod
    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One recurrent step: (B, Z) z and (B,) or (B, A) actions move (B, H) h and c on."""

    @abstractmethod
    def unroll(self, z: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Runs :meth:`advance` from h = 0 along (B, T, Z) and (B, T) or (B, T, A): all h and the last c."""

    def prior(self, h: Tensor) -> mdn.Mixture:
        """Mixture over the next z given (..., H)."""
        return mdn.split_parameters(self.mixture(h), self.config.mixture, self.config.components, self.latent_size)

    def outlook(self, h: Tensor, elapsed: Tensor) -> Outlook:
        """Reads all heads: from (B, H) h and the (B,) share of the time limit that is over."""
        return Outlook(self.prior(h), self.endings.probabilities(h), self.reward.rewards(h, elapsed))


class MDNRNN(Memory):
    """LSTM with a mixture density output (World Models, Ha and Schmidhuber 2018).

    Args:
        config: Sizes.
        latent_size: Z.
        action: The action space; discrete actions are embedded, continuous ones enter scaled to [-1, 1].
        endings: Number of ways a step can end, "goes on" included.
    """

    def __init__(self, config: MemoryConfig, latent_size: int, action: ActionSpec, endings: int) -> None:
        super().__init__()
        self.config, self.latent_size, self.hidden_size = config, latent_size, config.hidden_size
        self.embedding = _embedding(action.n) if action.discrete else _Rescale(action)
        self.lstm = nn.LSTM(latent_size + action.size, config.hidden_size, batch_first=True)
        outputs = mdn.parameter_count(config.mixture, config.components, latent_size)
        self.mixture = nn.Linear(config.hidden_size, outputs)
        self.endings = EndingHead(config.hidden_size, endings)
        self.reward = RewardHead(config.hidden_size, endings)
        self.action = ActionHead(config.hidden_size, action) if config.predict_action else None

    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Memory.advance`."""
        return torch.lstm_cell(self.input(z, action), (h, c), *self.lstm.all_weights[0])

    def unroll(self, z: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Memory.unroll`; the same weights, the sequence in one call."""
        h, (_, c) = self.lstm(self.input(z, action))
        return h, c.squeeze(0)

    def input(self, z: Tensor, action: Tensor) -> Tensor:
        """What the LSTM reads: z and the embedded action, (..., Z + A)."""
        return torch.cat([z, self.embedding(action)], dim=-1)


@torch.no_grad()
def states_after(memory: Memory, z: Sequence[Tensor], action: Sequence[Tensor]) -> State:
    """Where episodes stand that were followed from their first frames; they may differ in length.

    Args:
        memory: M.
        z: (T + 1, Z) latents of each of B episodes.
        action: The (T,) or (T, A) actions between them.

    Returns:
        The states at the last latents, of batch size B.
    """
    steps = torch.tensor([len(actions) for actions in action], device=z[0].device)
    order = steps.argsort(descending=True)  # so that those still under way are always the first rows
    latents = pad_sequence([z[index] for index in order])
    actions = pad_sequence([action[index] for index in order])
    h, c = latents.new_zeros(2, len(z), memory.hidden_size)
    for step in range(int(steps.max())):
        going = int((steps > step).sum())
        h[:going], c[:going] = memory.advance(latents[step, :going], actions[step, :going], h[:going], c[:going])
    back = order.argsort()
    return State(torch.stack([latent[-1] for latent in z]), h[back], c[back], steps)


def _embedding(actions: int) -> nn.Embedding:
    """An embedding with the weights of torch's own; those, drawn on the meta device, cost the import of a compiler."""
    return nn.Embedding.from_pretrained(torch.randn(actions, actions), freeze=False)


class _Rescale(nn.Module):
    """Scales a bounded continuous action to [-1, 1]."""

    low: Tensor
    high: Tensor

    def __init__(self, action: ActionSpec) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(action.low))
        self.register_buffer("high", torch.tensor(action.high))

    def forward(self, action: Tensor) -> Tensor:
        return scale_action(action, self.low, self.high)


def one_step_loss(mixture: mdn.Mixture, next_z: Tensor) -> Tensor:
    """Negative log-likelihood of the next z (..., Z) in nats per latent dimension, (...), under what was predicted."""
    return -mdn.log_probability(mixture, next_z) / next_z.shape[-1]


def weighted_cross_entropy(logits: Tensor, kind: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of (..., K) logits and (...) kinds, each step weighted by its kind's (K,) weight; shape (...)."""
    losses = F.cross_entropy(logits.flatten(0, -2).float(), kind.flatten(), reduction="none")
    return (losses * weights[kind.flatten()]).view(kind.shape)
