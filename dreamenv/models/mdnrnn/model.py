"""V and M of World Models (Ha and Schmidhuber 2018) as one world model: z comes from the frame alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import Outlook, State, WorldModel
from dreamenv.models.latent import Gaussian, Mixture
from dreamenv.models.mdnrnn.memory import LSTMMemory, Memory, MemoryConfig
from dreamenv.models.mdnrnn.paper import PaperMemory, PaperVAE
from dreamenv.models.mdnrnn.unet import UNetVAE
from dreamenv.models.mdnrnn.vision import ConvVAE, Vision, VisionConfig
from dreamenv.models.noise import NoiseSpec
from dreamenv.models.registry import register_model

VISIONS: dict[str, Callable[[VisionConfig], Vision]] = {"conv": ConvVAE, "unet": UNetVAE, "paper": PaperVAE}
MEMORIES: dict[str, Callable[..., Memory]] = {"mdnrnn": LSTMMemory, "paper": PaperMemory}


@dataclass(frozen=True)
class MDNRNNConfig:
    """Sizes of an :class:`MDNRNN`.

    Attributes:
        vision: Sizes of V.
        memory: Sizes of M.
    """

    vision: VisionConfig = field(default_factory=VisionConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)


class MDNRNN(WorldModel):
    """A variational autoencoder V and a recurrent mixture density network M, trained one after the other.

    Embeddings are the means and log-variances of V's posterior, (B, 2 Z).

    Args:
        vision: V.
        memory: M.
    """

    posterior_kind = Gaussian

    def __init__(self, vision: Vision, memory: Memory) -> None:
        super().__init__()
        self.vision, self.memory = vision, memory
        self.latent_size, self.hidden_size = memory.latent_size, memory.hidden_size
        self.carry_size = memory.hidden_size
        self.prior_noise = NoiseSpec(uniform=memory.latent_size, normal=memory.latent_size)
        self.posterior_noise = NoiseSpec(uniform=0, normal=memory.latent_size)

    def embed(self, frames: Tensor) -> Tensor:
        """See :meth:`WorldModel.embed`."""
        return torch.cat(self.vision.encode(frames), dim=1)

    def posterior(self, state: State, embedding: Tensor) -> Gaussian:
        """See :meth:`WorldModel.posterior`; it does not read the state."""
        return Gaussian(*embedding.chunk(2, dim=-1))

    def advance(self, state: State, action: Tensor) -> State:
        """See :meth:`WorldModel.advance`."""
        h, carry = self.memory.advance(state.z, action, state.h, state.carry)
        return State(state.z, h, carry, state.step + 1)

    def prior(self, state: State) -> Mixture:
        """See :meth:`WorldModel.prior`."""
        return self.memory.prior(state.h)

    def outlook(self, state: State, elapsed: Tensor) -> Outlook:
        """See :meth:`WorldModel.outlook`; it reads h only."""
        return self.memory.outlook(state.h, elapsed)

    def decode(self, state: State, frame_shape: tuple[int, int, int]) -> Tensor:
        """See :meth:`WorldModel.decode`; it reads z only."""
        return self.vision.decode(state.z, frame_shape)


def build_vision(config: VisionConfig) -> Vision:
    """Builds V with fresh weights."""
    return VISIONS[config.kind](config)


def build_memory(config: MDNRNNConfig, action: ActionSpec, kinds: int) -> Memory:
    """Builds M with fresh weights; ``kinds`` is the number of ways a step can end, "goes on" included."""
    return MEMORIES[config.memory.kind](config.memory, config.vision.latent_size, action, kinds)


def build_mdnrnn(config: MDNRNNConfig, action: ActionSpec, kinds: int) -> MDNRNN:
    """Builds V and M with fresh weights, see :class:`dreamenv.models.registry.ModelKind`."""
    vision = build_vision(config.vision)
    return MDNRNN(vision, build_memory(config, action, kinds))


register_model("mdnrnn", MDNRNNConfig, build_mdnrnn)
