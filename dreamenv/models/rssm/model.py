"""The recurrent state-space model (PlaNet, Hafner et al. 2018) with Gaussian or categorical latents."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import Outlook, State, WorldModel
from dreamenv.models.heads import EndingHead, Rescale, RewardHead
from dreamenv.models.latent import OUTPUT_BOUND, Z_BOUND, Categorical, Gaussian
from dreamenv.models.noise import NoiseSpec
from dreamenv.models.pixels import to_frames, to_pixels
from dreamenv.models.registry import register_model
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.models.rssm.networks import CELLS, DECODERS, Encoder, Linear, layers

_NO_DEVIATION = -20.0  # log-variance of a z that is not drawn, a standard deviation of 5e-5


class RSSM(WorldModel):
    """h' = GRU(layers([z, a]), h); prior p(z' | h'), posterior q(z' | h', encoder(frame)); heads read [z', h'].

    Features are [z, h], in this order (PlaNet, Dreamer V1 and V2). Reward and ending are those of the step that led to
    z' and h'.

    Args:
        config: Sizes.
        action: The action space; discrete actions enter as one-hot vectors, continuous ones scaled to [-1, 1].
        endings: Number of ways a step can end, "goes on" included.
    """

    def __init__(self, config: RSSMConfig, action: ActionSpec, endings: int) -> None:
        super().__init__()
        self.config, self._actions = config, action.n if action.discrete else 0
        self.latent_size, self.hidden_size, self.carry_size = config.z_size, config.hidden_size, 0
        categorical = config.latent == "categorical"
        drawn = NoiseSpec(config.latent_size, 0) if categorical else NoiseSpec(0, config.latent_size)
        self.prior_noise = self.posterior_noise = drawn
        self.posterior_kind = Categorical if categorical else Gaussian
        self.rescale = nn.Identity() if action.discrete else Rescale(action)
        outputs = config.z_size if categorical else 2 * config.z_size
        units, width = config.units, config.hidden_size
        self.enter = layers(config.z_size + action.size, (units,), config.activation)
        self.cell = CELLS[config.gru](units, width)
        self.prior_layers = layers(width, (units,) * config.prior_layers, config.activation)
        self.prior_parameters = Linear(units if config.prior_layers else width, outputs)
        self.encoder = Encoder(config)
        reads = self.encoder.size + (width if config.posterior_reads_h else 0)
        self.posterior_layers = layers(reads, (units,) * config.posterior_layers, config.activation)
        self.posterior_parameters = Linear(units if config.posterior_layers else reads, outputs)
        drawn_from = config.z_size + (width if config.decoder_reads_h else 0)
        self.decoder = DECODERS[config.network](drawn_from, config)
        reward_layers, ending_layers = config.head_layers, config.head_layers if endings > 1 else ()
        features = config.z_size + width
        self.reward_layers = layers(features, reward_layers, config.activation)
        self.reward = RewardHead((features, *reward_layers)[-1], endings, published=config.published_heads)
        self.ending_layers = layers(features, ending_layers, config.activation)
        self.endings = EndingHead((features, *ending_layers)[-1], endings, continue_logit=not config.published_heads)

    @property
    def posterior_shape(self) -> tuple[int, ...]:
        """See :attr:`WorldModel.posterior_shape`."""
        config = self.config
        return (config.latent_size, config.classes) if config.latent == "categorical" else (config.latent_size,)

    def to_pixels(self, frames: Tensor) -> Tensor:
        """Resizes (B, height, width, 3) uint8 frames to (B, 3, height, width) of the encoder, float32 in [0, 1]."""
        return to_pixels(frames, self.config.frame_shape[:2])

    def embed(self, frames: Tensor) -> Tensor:
        """See :meth:`WorldModel.embed`."""
        return self.encoder(self.to_pixels(frames)).float()

    def advance(self, state: State, action: Tensor) -> State:
        """See :meth:`WorldModel.advance`."""
        return State(state.z, self.step(state.z, action, state.h), state.carry, state.step + 1)

    def step(self, z: Tensor, action: Tensor, h: Tensor) -> Tensor:
        """The next h (B, H) from z (B, Z), action (B,) int64 or (B, A) float32, and h (B, H)."""
        return self._recur(self._entered(z, action), h)

    def _entered(self, z: Tensor, action: Tensor) -> Tensor:
        """Input of the recurrent network, (..., units)."""
        counted = self._actions > 0 and not action.is_floating_point()  # floats are one-hot already
        scaled = F.one_hot(action, self._actions).to(z.dtype) if counted else self.rescale(action)
        return self.enter(torch.cat([z, scaled], -1))

    def _recur(self, entered: Tensor, h: Tensor) -> Tensor:
        return self.cell(entered, torch.zeros_like(h) if self.config.transition == "stochastic" else h)

    def unroll(
        self,
        embedding: Tensor,
        action: Tensor,
        first: Tensor,
        start: tuple[Tensor, Tensor],
        uniform: Tensor,
        normal: Tensor,
    ) -> tuple[Tensor, Tensor, Gaussian | Categorical]:
        """Runs the model along whole sequences, with gradients; only training uses it.

        Where an episode begins, z and h before the step are 0, and so is h after it: a step from zeros alone is not
        zero.

        Args:
            embedding: Of the frames, (B, L, E).
            action: That led to them, (B, L) int64 or (B, L, A) float32.
            first: Whether an episode begins at the frame, (B, L) bool.
            start: z (B, Z) and h (B, H) before the first of the frames.
            uniform: Numbers that draw z, (B, L, U).
            normal: Likewise, (B, L, N).

        Returns:
            z (B, L, Z), h (B, L, H), and the posteriors of batch shape (B, L).
        """
        going = (~first[..., None]).to(embedding.dtype)
        if not self.config.posterior_reads_h:
            return self._unroll_drawn(embedding, action, going, start, uniform, normal)
        z, h = start
        zs, hs, latents = [], [], []
        for t in range(embedding.shape[1]):
            h = going[:, t] * self.step(going[:, t] * z, action[:, t], going[:, t] * h)
            latents.append(self.posterior_of(h, embedding[:, t]))
            z = self.draw(latents[-1], uniform[:, t], normal[:, t])
            zs.append(z)
            hs.append(h)
        parts = zip(*(latent.parts for latent in latents), strict=True)
        posterior = type(latents[0])(*(torch.stack(part, 1) for part in parts))
        return torch.stack(zs, 1), torch.stack(hs, 1), posterior

    def _unroll_drawn(
        self,
        embedding: Tensor,
        action: Tensor,
        going: Tensor,
        start: tuple[Tensor, Tensor],
        uniform: Tensor,
        normal: Tensor,
    ) -> tuple[Tensor, Tensor, Gaussian | Categorical]:
        """As :meth:`unroll`: posteriors that do not read h are drawn at once, so that only the recurrence is a loop."""
        posterior = self.posterior_of(embedding[..., :0], embedding)
        z = self.draw(posterior, uniform, normal)
        entered = self._entered(going * torch.cat([start[0][:, None], z[:, :-1]], 1), action)
        h, hs = start[1], []
        for t in range(embedding.shape[1]):
            h = going[:, t] * self._recur(entered[:, t], going[:, t] * h)
            hs.append(h)
        return z, torch.stack(hs, 1), posterior

    def prior(self, state: State) -> Gaussian | Categorical:
        """See :meth:`WorldModel.prior`."""
        return self.prior_of(state.h)

    def prior_of(self, h: Tensor) -> Gaussian | Categorical:
        """Distributions of z of batch shape (...) from h (..., H)."""
        return self._distribution(self.prior_parameters(self.prior_layers(h)))

    def posterior(self, state: State, embedding: Tensor) -> Gaussian | Categorical:
        """See :meth:`WorldModel.posterior`."""
        return self.posterior_of(state.h, embedding)

    def posterior_of(self, h: Tensor, embedding: Tensor) -> Gaussian | Categorical:
        """Distributions of z of batch shape (...) from h (..., H) and the embeddings (..., E) of frames."""
        read = torch.cat([h, embedding], -1) if self.config.posterior_reads_h else embedding
        return self._distribution(self.posterior_parameters(self.posterior_layers(read)))

    def draw(self, latent: Gaussian | Categorical, uniform: Tensor, normal: Tensor) -> Tensor:
        """Draws z (..., Z) with gradients, within the bounds that z has in dreams."""
        return latent.sample(None, uniform, normal).clamp(-Z_BOUND, Z_BOUND)

    def divergence(self, posterior: Gaussian | Categorical, prior: Gaussian | Categorical) -> Tensor:
        """KL divergence of posteriors from priors of batch shape (...), summed over z, (...), in nats.

        For a deterministic z it is half the squared distance of the means, the divergence of Gaussians of variance 1.
        """
        if self.config.transition == "deterministic":
            return 0.5 * (posterior.mode() - prior.mode()).square().sum(-1)
        of: Any = posterior
        return of.kl(prior).sum(-1)

    def _distribution(self, raw: Tensor) -> Gaussian | Categorical:
        """Bounds raw outputs of a network, so that draws and densities stay finite; nan stays nan."""
        config, raw = self.config, raw.float().clamp(-OUTPUT_BOUND, OUTPUT_BOUND)
        if config.latent == "categorical":
            logits = raw.unflatten(-1, (config.latent_size, config.classes))
            if config.unimix:
                mixed = (1.0 - config.unimix) * torch.softmax(logits, -1) + config.unimix / config.classes
                logits = mixed.log()
            return Categorical(logits)
        mean, spread = raw.chunk(2, -1)
        if config.transition == "deterministic":
            return Gaussian(mean, torch.full_like(mean, _NO_DEVIATION))
        grown = F.softplus(spread) if config.deviation == "softplus" else 2.0 * torch.sigmoid(0.5 * spread)
        return Gaussian(mean, 2.0 * (grown + config.least_deviation).clamp(min=math.exp(0.5 * _NO_DEVIATION)).log())

    def outlook(self, state: State, elapsed: Tensor) -> Outlook:
        """See :meth:`WorldModel.outlook`; it reads z and h."""
        features = torch.cat([state.z, state.h], -1)
        endings = self.endings.probabilities(self.ending_layers(features))
        return Outlook(endings, self.reward.rewards(self.reward_layers(features), elapsed))

    def decode(self, state: State, frame_shape: tuple[int, int, int]) -> Tensor:
        """See :meth:`WorldModel.decode`."""
        return to_frames(self.decode_pixels(state.z, state.h).float().clamp(0.0, 1.0), frame_shape)

    def decode_pixels(self, z: Tensor, h: Tensor) -> Tensor:
        """Draws (B, Z) z and (B, H) h as (B, 3, height, width) pixels."""
        return self.decoder(torch.cat([z, h], -1) if self.config.decoder_reads_h else z)


def build_rssm(config: RSSMConfig, action: ActionSpec, kinds: int) -> RSSM:
    """Builds an RSSM with fresh weights, see :class:`dreamenv.models.registry.ModelKind`."""
    return RSSM(config, action, kinds)


register_model("rssm", RSSMConfig, build_rssm)
