"""Tiny recurrent state-space models, recordings and chunks for them."""

from dataclasses import replace

import torch

from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.models.rssm.model import build_rssm
from dreamenv.recordings import Recording
from dreamenv.training.balance import balance_endings
from dreamenv.training.rssm_loss import sequence_loss
from dreamenv.training.streams import Streams

DISCRETE, BOX = ActionSpec(n=3), ActionSpec(low=(-1.0, 0.0), high=(1.0, 2.0))
B, L, LIMIT = 2, 9, 20  # sizes of chunks, and a time limit
KINDS = torch.ones(3)
ALONE = {"kl_scale": 0.0, "ending_weight": 0.0, "reward_weight": 0.0, "reconstruction_scale": 0.0}
SMALL = RSSMConfig(
    frame_shape=(16, 32, 3), channels=(4, 8), embedding_size=5, latent_size=6, classes=4, hidden_size=8, units=7
)
READS_H = replace(SMALL, posterior_reads_h=True, posterior_layers=1)
SIZES = {
    "Gaussian": SMALL,
    "Gaussian, h read": READS_H,
    "categorical": replace(SMALL, latent="categorical"),
    "categorical, h read": replace(READS_H, latent="categorical", unimix=0.01),
}


def make_model(sizes=SMALL, action=DISCRETE, kinds=3, seed=0):
    """A model of random weights, large enough that its parts depend on each other."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = build_rssm(sizes, action, kinds)
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


def make_actions(action, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if action.discrete:
        return torch.randint(action.n, shape, generator=generator)
    low, high = torch.tensor(action.low), torch.tensor(action.high)
    return low + (high - low) * torch.rand(*shape, action.size, generator=generator)


def make_recording(steps, size=SMALL.embedding_size, action=DISCRETE, ending=0, seed=0):
    """An episode of random embeddings and rewards; its last step ends as ``ending`` says."""
    generator = torch.Generator().manual_seed(seed)
    endings = torch.zeros(steps, dtype=torch.int64)
    endings[-1] = ending
    return Recording(
        torch.randn(steps + 1, size, generator=generator),
        make_actions(action, steps, seed=seed),
        torch.randn(steps, generator=generator),
        endings,
        torch.arange(1, steps + 1),
    )


def make_chunk(lengths=(3, 5), number=0, size=SMALL.embedding_size):
    recordings = [make_recording(n, size, ending=1 + i % 2, seed=i) for i, n in enumerate(lengths)]
    return Streams(recordings, balance_endings(recordings, 3, 0.5, 0.3), B, L, number + 1, 0).chunk(number)


def zeros(model):
    return torch.zeros(B, model.latent_size), torch.zeros(B, model.hidden_size)


def loss_of(model, chunk, config, reconstruction=None, seed=0):
    return sequence_loss(
        model, chunk, zeros(model), config, KINDS, LIMIT, reconstruction, torch.Generator().manual_seed(seed)
    )


def unrolled(model, chunk, seed=0):
    """z, h, posteriors and priors of a chunk."""
    generator, spec = torch.Generator().manual_seed(seed), model.posterior_noise
    uniform = torch.rand(B, L, spec.uniform, generator=generator)
    normal = torch.randn(B, L, spec.normal, generator=generator)
    z, h, posterior = model.unroll(chunk.embedding, chunk.action, chunk.first, zeros(model), uniform, normal)
    return z, h, posterior, model.prior_of(h)


def leaves(latent):
    return type(latent)(*(part.detach().clone().requires_grad_() for part in latent.parts))


def gradient_norms(model, value):
    """Norm of the gradient of each part of the model."""
    model.zero_grad()
    value.backward()
    norms = {}
    for name, parameter in model.named_parameters():
        part = name.partition(".")[0]
        found = 0.0 if parameter.grad is None else float(parameter.grad.norm())
        norms[part] = norms.get(part, 0.0) + found
    return norms
