"""The published trainings of RSSMs, as settings: each says whether the paper, the code, or this package chose a value.

Sizes are those of the authors' code, with the published numbers of parameters (``models/rssm/config.py``). Numbers of
steps are this package's own: the published ones (100 updates for each of 1,000 episodes) take days on a processor. The
learning rate falls to 0 as a cosine, and Adam's epsilon is torch's; both are this package's own as well. PlaNet's noise
in frames of 5 bits is left out.
"""

from __future__ import annotations

from dataclasses import replace

from dreamenv.models.rssm.config import DREAMER_V1, DREAMER_V2, PLANET, RSSMConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.kinds import register_preset
from dreamenv.training.rssm import FramesTraining, RSSMTraining
from dreamenv.training.rssm_loss import SequenceTraining

STEPS = 5000  # own
_LEFT_OUT = FitConfig(steps=0)
_JOINT = SequenceTraining(
    fit=FitConfig(steps=STEPS, precision="float32"),
    batch_size=50,  # papers and codes of PlaNet and V1, paper of V2; its code has 16
    length=50,  # papers and codes
    kl_scale=1.0,  # V1 and V2's code for DMC; PlaNet
    first_frames=True,  # codes
    reconstruction_scale=0.5,  # a unit variance: half the squared error, summed over pixels
    ending_weight=5.0,  # V2's code for Atari; PlaNet and V1 predict no endings
    prior_share=0.0,  # codes: heads learn from posteriors
    episode_balance=0.0,  # codes: no balance
    step_balance=0.0,  # likewise
)


def _jointly(model: RSSMConfig, joint: SequenceTraining) -> RSSMTraining:
    """All parts learn together from sequences, as published; no other stage."""
    left_out = replace(joint, fit=_LEFT_OUT)
    frames = FramesTraining(fit=_LEFT_OUT)
    return RSSMTraining(
        model=model, rare_colours=False, frames=frames, joint=joint, latents=left_out, dynamics=left_out, heads=left_out
    )


PRESETS: dict[str, RSSMTraining] = {
    "planet": _jointly(
        PLANET,
        replace(
            _JOINT,
            fit=replace(_JOINT.fit, learning_rate=1e-3, gradient_clip=1000.0),  # paper and code
            kl_balance=0.5,  # none
            free_nats=3.0,  # paper and code
            reward_weight=5.0,  # the code's scale of 10, times half of the squared error; the paper has 1
        ),
    ),
    "dreamer-v1": _jointly(
        DREAMER_V1,
        replace(
            _JOINT,
            fit=replace(_JOINT.fit, learning_rate=6e-4, gradient_clip=100.0),  # paper and code
            kl_balance=0.5,  # none
            free_nats=3.0,  # paper and code, after the mean
            reward_weight=0.5,  # a scale of 1, times half of the squared error
        ),
    ),
    "dreamer-v2": _jointly(
        DREAMER_V2,
        replace(
            _JOINT,
            fit=replace(_JOINT.fit, learning_rate=3e-4, gradient_clip=100.0, weight_decay=1e-6),  # code for DMC
            batch_size=16,  # code
            kl_balance=0.8,  # paper and code
            free_nats=1.0,  # code for DMC
            reward_weight=0.5,  # a scale of 1, times half of the squared error
        ),
    ),
}

for _name, _settings in PRESETS.items():
    register_preset(_name, _settings)
