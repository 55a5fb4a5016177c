"""Sizes of an RSSM, and the published presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import PART, Count, Natural, Range, Settings, Weight, check_choice

Part = Annotated[float, PART]
Width = Annotated[int, Range(1, integer=True, empty=True)]
Network = Literal["conv", "dreamer"]
LatentKind = Literal["gaussian", "categorical"]
Activation = Literal["relu", "elu", "silu"]
Cell = Literal["gru", "gru-block", "layer-norm"]
TransitionKind = Literal["both", "deterministic", "stochastic"]
Deviation = Literal["softplus", "sigmoid"]


@dataclass(frozen=True)
class RSSMConfig(Settings):
    """Sizes and layers of an :class:`dreamenv.models.rssm.model.RSSM`; the defaults are this package's own.

    Attributes:
        frame_shape: (height, width, 3) that the encoder works on; other frames are resized to it.
        grey: Work on grey frames (Dreamer V2 on Atari); for the network ``dreamer`` only.
        network: ``conv`` is the encoder and decoder of the ConvVAE, for frames of any size; ``dreamer`` those of
            PlaNet and Dreamer, for frames of 64 x 64.
        channels: Output channels of the encoder's convolutions; the decoder mirrors them.
        embedding_size: Outputs of a linear layer after the encoder; 0 for none, as published.
        latent: Kind of distribution of z.
        latent_size: Dimensions of a Gaussian z, or number of categorical variables.
        classes: Of each categorical variable.
        hidden_size: H, units of the recurrent network.
        units: Width of the layers before the recurrent network, and before prior and posterior.
        activation: After every layer that is not a convolution.
        convolution_activation: After convolutions; the network ``conv`` has ReLU only.
        gru: ``gru`` has two biases per gate (Dreamer V1), ``gru-block`` one (PlaNet), ``layer-norm`` normalises the
            gates together (Dreamer V2).
        prior_layers: Hidden layers between h and the prior's parameters.
        posterior_layers: Hidden layers between [h, embedding] and the posterior's parameters.
        posterior_reads_h: Whether the posterior reads h beside the embedding.
        decoder_reads_h: Whether the decoder reads h beside z.
        transition: ``both`` is the RSSM. ``deterministic`` draws no z: it is the mean. ``stochastic`` has no memory
            but z: h of a step is computed from a zero h (PlaNet, figure 2).
        deviation: Standard deviations of a Gaussian: softplus(x) + ``least_deviation`` (PlaNet, Dreamer V1), or
            2 sigmoid(x / 2) + ``least_deviation`` (Dreamer V2).
        least_deviation: See ``deviation``.
        unimix: Share of uniform probabilities in categorical ones (Dreamer V3). It belongs to the distribution, so a
            temperature acts on the mixed probabilities.
        head_layers: Widths of the hidden layers of the reward head, and of the ending head.
        published_heads: One reward for all ways a step can end, without the elapsed time as an input, and no logit for
            "goes on".
    """

    frame_shape: tuple[Count, Count, Count] = (60, 80, 3)
    grey: bool = False
    network: Network = "conv"
    channels: tuple[Count, ...] = (32, 64, 128, 256)
    embedding_size: Natural = 256
    latent: LatentKind = "gaussian"
    latent_size: Count = 64
    classes: Count = 32
    hidden_size: Count = 256
    units: Count = 256
    activation: Activation = "elu"
    convolution_activation: Activation = "relu"
    gru: Cell = "layer-norm"
    prior_layers: Natural = 1
    posterior_layers: Natural = 0
    posterior_reads_h: bool = False
    decoder_reads_h: bool = False
    transition: TransitionKind = "both"
    deviation: Deviation = "softplus"
    least_deviation: Weight = 0.1
    unimix: Part = 0.0
    head_layers: tuple[Width, ...] = ()
    published_heads: bool = False

    def __post_init__(self) -> None:
        """Refuses sizes out of range."""
        super().__post_init__()
        for name, kind in _CHOICES.items():
            check_choice(name, getattr(self, name), get_args(kind))
        sizes = (*self.frame_shape, *self.channels, *self.head_layers, self.z_size, self.classes, self.units)
        if max(*sizes, self.hidden_size, self.embedding_size) > 2**14 or tuple(self.frame_shape[2:]) != (3,):
            raise SettingsError(f"expected RGB frames and sizes up to {2**14:,}; got {self}")
        if len(self.channels) > 12 or max(self.prior_layers, self.posterior_layers, len(self.head_layers)) > 12:
            raise SettingsError(f"expected at most 12 layers in a row; got {self}")
        if self.network == "dreamer" and (self.frame_shape[:2] != (64, 64) or len(self.channels) != 4):
            raise SettingsError(
                f"expected frames of 64 x 64 and four channels for the network 'dreamer', got {self.frame_shape} and "
                f"{self.channels}"
            )
        if self.network == "conv" and (self.grey or self.convolution_activation != "relu"):
            raise SettingsError(
                "expected frames in colour and the convolution_activation 'relu' for the network 'conv', got grey "
                f"{self.grey} and {self.convolution_activation!r}"
            )
        if self.latent == "categorical" and self.transition == "deterministic":
            raise SettingsError("expected a gaussian latent for a deterministic transition, got a categorical one")

    @property
    def z_size(self) -> int:
        """Z, the length of z."""
        return self.latent_size * (self.classes if self.latent == "categorical" else 1)


_CHOICES = {
    "network": Network,
    "latent": LatentKind,
    "activation": Activation,
    "convolution_activation": Activation,
    "gru": Cell,
    "transition": TransitionKind,
    "deviation": Deviation,
}
_PUBLISHED = RSSMConfig(  # paper and code of all three
    frame_shape=(64, 64, 3),
    network="dreamer",
    channels=(32, 64, 128, 256),
    embedding_size=0,
    latent_size=30,
    hidden_size=200,
    units=200,
    prior_layers=1,
    posterior_layers=1,
    posterior_reads_h=True,
    decoder_reads_h=True,
    deviation="softplus",
    least_deviation=0.1,
    published_heads=True,
)
PLANET = replace(  # the code; the paper has a reward head of 2 x 200
    _PUBLISHED, activation="relu", convolution_activation="relu", gru="gru-block", head_layers=(300, 300, 300)
)
DREAMER_V1 = replace(  # the code; the paper has heads of three layers of 300
    _PUBLISHED, activation="elu", convolution_activation="relu", gru="gru", head_layers=(400, 400)
)
DREAMER_V2 = replace(  # the code's dmc_vision
    _PUBLISHED,
    channels=(48, 96, 192, 384),
    latent="categorical",
    latent_size=32,
    classes=32,
    activation="elu",
    convolution_activation="elu",
    gru="layer-norm",
    head_layers=(400, 400, 400, 400),
)
DREAMER_V2_ATARI = replace(DREAMER_V2, grey=True, hidden_size=600, units=600)  # the paper and the code
