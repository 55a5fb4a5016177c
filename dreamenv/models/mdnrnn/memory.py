"""M, the memory: an LSTM that predicts the next z, the reward and the ending from z and the action."""

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
from dreamenv.models.heads import EndingHead, Rescale, RewardHead
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
        """Refuses sizes out of range."""
        if not (0 < self.hidden_size <= 2**14 and 0 < self.components <= 2**10):
            raise SettingsError(
                f"expected hidden_size from 1 to {2**14:,} and components from 1 to {2**10:,}; got {self}"
            )


class Memory(nn.Module, ABC):
    """An LSTM with a mixture density output and heads for reward and ending; a kind of M defines the LSTM's inputs."""

    config: MemoryConfig
    latent_size: int
    hidden_size: int
    lstm: nn.LSTM
    mixture: nn.Linear
    endings: EndingHead
    reward: RewardHead

    @abstractmethod
    def inputs(self, z: Tensor, action: Tensor, restart: Tensor) -> Tensor:
        """Inputs of the LSTM, (..., I) float32.

        Args:
            z: (..., Z).
            action: (...) int64 or (..., A) float32; one-hot vectors of discrete actions are (..., n) float32.
            restart: Whether it is the first step after a restart, (...) bool.
        """

    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Runs one step; a state of zeros is one after a restart.

        Args:
            z: (B, Z).
            action: (B,) int64 or (B, A) float32.
            h: (B, H).
            c: Cell state, (B, H).

        Returns:
            The next h and c.
        """
        restart = ((h == 0.0) & (c == 0.0)).all(1)
        return torch.lstm_cell(self.inputs(z, action, restart), (h, c), *self.lstm.all_weights[0])

    def unroll(self, z: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Runs :meth:`advance` from a state of zeros along whole sequences, in one call; only training uses it.

        Training needs the gradient and the speed of one call for all steps; everything else calls
        :meth:`dreamenv.models.base.WorldModel.follow`.

        Args:
            z: (B, T, Z).
            action: (B, T) int64 or (B, T, A) float32.

        Returns:
            h after every step, (B, T, H), and the last c, (B, H).
        """
        restart = torch.zeros(z.shape[:-1], dtype=torch.bool, device=z.device)
        restart[:, 0] = True
        h, (_, c) = self.lstm(self.inputs(z, action, restart))
        return h, c.squeeze(0)

    def prior(self, h: Tensor) -> Mixture:
        """Mixture over the next z, of batch shape (...), from (..., H) h."""
        return Mixture.split(self.mixture(h), self.config.mixture, self.config.components, self.latent_size)

    def outlook(self, h: Tensor, elapsed: Tensor) -> Outlook:
        """Reads the heads of ending and reward from (B, H) h and the elapsed share (B,) of the time limit."""
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
        self.embedding = ActionEmbedding(action.n) if action.discrete else Rescale(action)
        self.lstm = nn.LSTM(latent_size + action.size, config.hidden_size, batch_first=True)
        outputs = Mixture.parameter_count(config.mixture, config.components, latent_size)
        self.mixture = nn.Linear(config.hidden_size, outputs)
        self.endings = EndingHead(config.hidden_size, endings)
        self.reward = RewardHead(config.hidden_size, endings)

    def inputs(self, z: Tensor, action: Tensor, restart: Tensor) -> Tensor:
        """See :meth:`Memory.inputs`: z and the embedded action, (..., Z + A)."""
        return torch.cat([z, self.embedding(action)], dim=-1)


class ActionEmbedding(nn.Embedding):
    """An embedding with torch's own initial weights; on the meta device none, as drawing there imports a compiler.

    Args:
        actions: n, the number of actions and of features.
    """

    def __init__(self, actions: int) -> None:
        weight = torch.empty(actions, actions)
        super().__init__(actions, actions, _weight=weight if weight.is_meta else torch.randn(actions, actions))

    def forward(self, action: Tensor) -> Tensor:
        """Features (..., n) of (...) int64 actions, or of (..., n) float32 one-hot vectors."""
        return embed_action(action, self.weight)


def embed_action(action: Tensor, weight: Tensor) -> Tensor:
    """Selects rows of a table (n, F) by discrete actions.

    Args:
        action: (...) int64, or one-hot vectors (..., n) float32, which gradients reach.
        weight: The table.

    Returns:
        (..., F), of the table's dtype.
    """
    return action.to(weight.dtype) @ weight if action.is_floating_point() else F.embedding(action, weight)


def one_step_loss(mixture: Mixture, next_z: Tensor) -> Tensor:
    """Negative log-likelihood of the next z (..., Z) under its prediction, in nats per latent dimension, (...)."""
    return -mixture.log_probability(next_z) / next_z.shape[-1]
