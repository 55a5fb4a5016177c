"""M, the memory: predicts the next z, reward and ending from z, action and its own recurrent state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import Outlook
from dreamenv.models.heads import EndingHead, RewardHead, scale_action
from dreamenv.models.latent import Mixture, MixtureKind


@dataclass(frozen=True)
class MemoryConfig:
    """Sizes of M.

    Attributes:
        hidden_size: H, units of the LSTM.
        components: Gaussians in a mixture.
        mixture: One mixture per latent dimension (World Models' code), or one joint over z.
        kind: ``mdnrnn`` is the LSTMMemory, ``paper`` World Models' own PaperMemory.
    """

    hidden_size: int = 512
    components: int = 5
    mixture: MixtureKind = "per_dim"
    kind: Literal["mdnrnn", "paper"] = "mdnrnn"

    def __post_init__(self) -> None:
        """Refuses sizes that no M has."""
        if not (0 < self.hidden_size <= 2**14 and 0 < self.components <= 2**10):
            raise SettingsError(
                f"expected hidden_size from 1 to {2**14:,} and components from 1 to {2**10:,}; got {self}"
            )


class Memory(nn.Module, ABC):
    """A recurrent prior over z with heads for reward and ending."""

    config: MemoryConfig
    latent_size: int
    mixture: nn.Linear
    endings: EndingHead
    reward: RewardHead
    hidden_size: int

    @abstractmethod
    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One recurrent step: (B, Z) z and (B,) or (B, A) actions move (B, H) h and c on."""

    @abstractmethod
    def unroll(self, z: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Runs :meth:`advance` from h = 0 along (B, T, Z) and (B, T) or (B, T, A): all h and the last c."""

    def prior(self, h: Tensor) -> Mixture:
        """Mixture over the next z given (..., H)."""
        return Mixture.split(self.mixture(h), self.config.mixture, self.config.components, self.latent_size)

    def outlook(self, h: Tensor, elapsed: Tensor) -> Outlook:
        """Reads the heads of ending and reward from (B, H) h and the (B,) share of the time limit that is over."""
        return Outlook(self.endings.probabilities(h), self.reward.rewards(h, elapsed))


class LSTMMemory(Memory):
    """An LSTM with a mixture density output (World Models, Ha and Schmidhuber 2018).

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
        outputs = Mixture.parameter_count(config.mixture, config.components, latent_size)
        self.mixture = nn.Linear(config.hidden_size, outputs)
        self.endings = EndingHead(config.hidden_size, endings)
        self.reward = RewardHead(config.hidden_size, endings)

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


def one_step_loss(mixture: Mixture, next_z: Tensor) -> Tensor:
    """Negative log-likelihood of the next z (..., Z) in nats per latent dimension, (...), under what was predicted."""
    return -mixture.log_probability(next_z) / next_z.shape[-1]


def weighted_cross_entropy(logits: Tensor, kind: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of (..., K) logits and (...) kinds, each step weighted by its kind's (K,) weight; shape (...)."""
    losses = F.cross_entropy(logits.flatten(0, -2).float(), kind.flatten(), reduction="none")
    return (losses * weights[kind.flatten()]).view(kind.shape)
