"""V and M with the layers of World Models (Ha and Schmidhuber 2018, appendix), for comparison with the paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.heads import EndingHead, RewardHead, scale_action
from dreamenv.models.latent import Mixture
from dreamenv.models.mdnrnn.memory import Memory, MemoryConfig
from dreamenv.models.mdnrnn.vision import Vision, VisionConfig, split_posterior

SIDE = 64  # pixels of the paper's frames
_CHANNELS = (3, 32, 64, 128, 256)
_CODE = 1024  # features before z, and after it


class PaperVAE(Vision):
    """The VAE of World Models: 4,348,547 parameters for z of 32 (its car race), 4,446,915 for 64 (DoomTakeCover).

    Convolutions of kernel 4 and stride 2 without padding; the decoder grows 1 x 1 to 64 x 64 by kernels 5, 5, 6, 6.

    Args:
        config: Sizes; frames of 64 x 64 pixels only, channels as they are.

    Raises:
        SettingsError: If the config has other frames or channels.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        if config.frame_shape != (SIDE, SIDE, 3) or config.channels != _CHANNELS[1:]:
            raise SettingsError(f"expected frames {(SIDE, SIDE, 3)} and channels {_CHANNELS[1:]}, got {config}")
        self.config = config
        stages = zip(_CHANNELS, _CHANNELS[1:], strict=False)
        convolutions = [layer for one, two in stages for layer in (nn.Conv2d(one, two, 4, stride=2), nn.ReLU())]
        self.encoder = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(_CODE, 2 * config.latent_size))
        self.expand = nn.Linear(config.latent_size, _CODE)
        self.first = nn.Linear(_CODE, 128 * 5 * 5, bias=False)  # a deconvolution of 1 x 1 features, four times faster
        self.first_bias = nn.Parameter(torch.zeros(128))
        self.decoder = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 5, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 6, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 6, stride=2),
            nn.Sigmoid(),
        )

    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Vision.encode_pixels`."""
        return split_posterior(self.encoder(pixels.contiguous(memory_format=torch.channels_last)))

    def decode_pixels(self, z: Tensor) -> Tensor:
        """See :meth:`Vision.decode_pixels`."""
        inner = self.first(self.expand(z)).view(-1, 128, 5, 5) + self.first_bias[:, None, None]
        return self.decoder(inner.contiguous(memory_format=torch.channels_last))


class PaperMemory(Memory):
    """The MDN-RNN of World Models: without reward head, 422,368 parameters for CarRacing, 1,678,785 for DoomTakeCover.

    Beside z the LSTM reads the action as one number (or one for each dimension of a continuous one) and, where M
    predicts endings, a flag of the first step after a restart. Gates have one bias, every kind of ending one logit.

    Args:
        config: Sizes.
        latent_size: Z.
        action: The action space.
        endings: Number of ways a step can end, "goes on" included.
    """

    low: Tensor
    high: Tensor

    def __init__(self, config: MemoryConfig, latent_size: int, action: ActionSpec, endings: int) -> None:
        super().__init__()
        self.config, self.latent_size, self.hidden_size = config, latent_size, config.hidden_size
        low, high = ((0.0,), (max(action.n - 1.0, 1.0),)) if action.discrete else (action.low, action.high)
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("high", torch.tensor(high))
        self._flags, self._actions = endings > 1, action.n
        inputs = latent_size + len(low) + self._flags + 1  # the weights of a constant input are the bias
        self.lstm = nn.LSTM(inputs, config.hidden_size, batch_first=True, bias=False)
        outputs = Mixture.parameter_count(config.mixture, config.components, latent_size)
        self.mixture = nn.Linear(config.hidden_size, outputs)
        self.endings = EndingHead(config.hidden_size, endings, continue_logit=not self._flags)
        self.reward = RewardHead(config.hidden_size, endings)

    def inputs(self, z: Tensor, action: Tensor, restart: Tensor) -> Tensor:
        """See :meth:`Memory.inputs`: z, action, flag of a restart, and 1."""
        if self._actions and action.is_floating_point():  # one-hot vectors
            action = action @ torch.arange(self._actions, dtype=action.dtype, device=action.device)
        number = scale_action(action.to(z.dtype).view(*z.shape[:-1], -1), self.low, self.high)
        flags = [restart[..., None].to(z.dtype)] if self._flags else []
        return torch.cat([z, number, *flags, torch.ones_like(z[..., :1])], dim=-1)
