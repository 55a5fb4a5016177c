"""Networks of an RSSM: recurrent cells, encoders and decoders, layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dreamenv.models.convolutions import conv_stages, stage_sizes, up_convolution
from dreamenv.models.rssm.config import RSSMConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU}
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


class Linear(nn.Linear):
    """A linear layer in which the bits of a row do not depend on its place in the batch.

    MKL rounds rows by their alignment in memory, unless their length is a multiple of four numbers.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """As torch's own."""
        missing = -self.in_features % 4
        if not missing:
            return super().forward(inputs)
        return F.linear(F.pad(inputs, (0, missing)), F.pad(self.weight, (0, missing)), self.bias)


def layers(inputs: int, widths: tuple[int, ...], activation: str) -> nn.Sequential:
    """Linear layers, each with its activation; no layer at all for no width."""
    sizes = (inputs, *widths)
    pairs = zip(sizes, sizes[1:], strict=False)
    return nn.Sequential(*(part for one, two in pairs for part in (Linear(one, two), ACTIVATIONS[activation]())))


class BlockGRUCell(nn.Module):
    """A GRU with one bias per gate (TensorFlow's GRUBlockCell, in PlaNet): the reset gate acts on h itself.

    Args:
        inputs: Size of the input.
        hidden_size: H.
    """

    def __init__(self, inputs: int, hidden_size: int) -> None:
        super().__init__()
        self.gates = Linear(inputs + hidden_size, 2 * hidden_size)
        self.candidate = Linear(inputs + hidden_size, hidden_size)

    def forward(self, inputs: Tensor, h: Tensor) -> Tensor:
        """The next h, (B, H), from (B, I) inputs and (B, H) h."""
        reset, update = torch.sigmoid(self.gates(torch.cat([inputs, h], -1)).to(h.dtype)).chunk(2, -1)
        candidate = torch.tanh(self.candidate(torch.cat([inputs, reset * h], -1)).to(h.dtype))
        return torch.lerp(candidate, h, update)


class LayerNormGRUCell(nn.Module):
    """A GRU whose gates are normalised together (Dreamer V2): the reset gate acts on the candidate.

    The update gate has a constant bias of -1, so that it begins by remembering.

    Args:
        inputs: Size of the input.
        hidden_size: H.
    """

    def __init__(self, inputs: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = Linear(inputs + hidden_size, 3 * hidden_size)
        self.norm = nn.LayerNorm(3 * hidden_size)

    def forward(self, inputs: Tensor, h: Tensor) -> Tensor:
        """The next h, (B, H), from (B, I) inputs and (B, H) h."""
        reset, candidate, update = self.norm(self.linear(torch.cat([inputs, h], -1)).to(h.dtype)).chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        return torch.lerp(h, candidate, torch.sigmoid(update - 1.0))


CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "gru": nn.GRUCell,
    "gru-block": BlockGRUCell,
    "layer-norm": LayerNormGRUCell,
}


class Encoder(nn.Module):
    """Encodes pixels as embeddings.

    Args:
        config: Sizes.
    """

    def __init__(self, config: RSSMConfig) -> None:
        super().__init__()
        self._grey = config.grey
        if config.network == "conv":
            height, width = stage_sizes(config)[-1]
            stack = [layer for stage in conv_stages(config) for layer in stage]
            features = config.channels[-1] * height * width
        else:
            channels = (1 if config.grey else 3, *config.channels)
            pairs, activation = zip(channels, channels[1:], strict=False), ACTIVATIONS[config.convolution_activation]
            stack = [part for one, two in pairs for part in (nn.Conv2d(one, two, 4, stride=2), activation())]
            features = 4 * config.channels[-1]
        self.convolutions = nn.Sequential(*stack, nn.Flatten())
        self.linear = nn.Linear(features, config.embedding_size) if config.embedding_size else nn.Identity()
        self.size = config.embedding_size or features

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, E) from pixels (B, 3, height, width) in [0, 1]."""
        centred = (grey(pixels) if self._grey else pixels) - 0.5
        return self.linear(self.convolutions(centred.contiguous(memory_format=torch.channels_last)))


class ConvDecoder(nn.Module):
    """The decoder of the ConvVAE, for frames of any size.

    Args:
        inputs: Size of the features that it draws.
        config: Sizes.
    """

    def __init__(self, inputs: int, config: RSSMConfig) -> None:
        super().__init__()
        self._shape = (config.channels[-1], *stage_sizes(config)[-1])
        stack: list[nn.Module] = []
        for level in range(len(config.channels), 0, -1):
            stack += [nn.ReLU(), up_convolution(config, level)]
        self.expand = nn.Linear(inputs, self._shape[0] * self._shape[1] * self._shape[2])
        self.convolutions = nn.Sequential(*stack, nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        """Pixels (B, 3, height, width) in [0, 1] from (B, inputs) features."""
        inner = self.expand(features).view(-1, *self._shape)
        return self.convolutions(inner.contiguous(memory_format=torch.channels_last))


class DreamerDecoder(nn.Module):
    """The decoder of PlaNet and Dreamer, from 1 x 1 to 64 x 64 by kernels 5, 5, 6, 6; its output has no bounds.

    Args:
        inputs: Size of the features that it draws.
        config: Sizes.
    """

    def __init__(self, inputs: int, config: RSSMConfig) -> None:
        super().__init__()
        activation, depth = ACTIVATIONS[config.convolution_activation], config.channels[0]
        code, self._first = 4 * config.channels[-1], (4 * depth, 5, 5)
        self.expand = nn.Linear(inputs, code)
        self.first = nn.Linear(code, 4 * depth * 25, bias=False)  # a deconvolution of 1 x 1 features, much faster
        self.first_bias = nn.Parameter(torch.zeros(4 * depth))
        self.convolutions = nn.Sequential(
            activation(),
            nn.ConvTranspose2d(4 * depth, 2 * depth, 5, stride=2),
            activation(),
            nn.ConvTranspose2d(2 * depth, depth, 6, stride=2),
            activation(),
            nn.ConvTranspose2d(depth, 1 if config.grey else 3, 6, stride=2),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Pixels (B, 3, 64, 64), around [0, 1], from (B, inputs) features."""
        inner = self.first(self.expand(features)).view(-1, *self._first) + self.first_bias[:, None, None]
        pixels = self.convolutions(inner.contiguous(memory_format=torch.channels_last)) + 0.5
        return pixels.expand(-1, 3, -1, -1)


DECODERS: dict[str, Callable[[int, RSSMConfig], nn.Module]] = {"conv": ConvDecoder, "dreamer": DreamerDecoder}


def grey(pixels: Tensor) -> Tensor:
    """Luminance (B, 1, height, width) of (B, 3, height, width) pixels."""
    return torch.einsum("bchw,c->bhw", pixels, pixels.new_tensor(_LUMINANCE))[:, None]
