"""Tiny recurrent state-space models, and recordings for them."""

from dataclasses import replace

import torch

from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.models.rssm.model import build_rssm
from dreamenv.recordings import Recording

DISCRETE, BOX = ActionSpec(n=3), ActionSpec(low=(-1.0, 0.0), high=(1.0, 2.0))
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
