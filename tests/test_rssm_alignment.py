"""Actions, frames, rewards and endings are paired as they happened, in a game in which the action decides them all.

A step with action a leads to a frame with a stripe at a, pays ``REWARDS[a]``, and ends the episode with probability
``HAZARDS[a]``. Low losses would not prove this: the frames of other steps are predicted well, too, on average.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rssm_settings import DISCRETE

from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode
from dreamenv.models.base import State
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.recordings import record
from dreamenv.training.fit import FitConfig
from dreamenv.training.kinds import TrainingJob
from dreamenv.training.rssm import FramesTraining, RSSMTraining, train_rssm
from dreamenv.training.rssm_loss import SequenceTraining

SHAPE, LIMIT = (6, 9, 3), 12
REWARDS, HAZARDS = np.array([-1.0, 0.0, 2.0], np.float32), np.array([0.0, 0.0, 0.25])
SIZES = RSSMConfig(SHAPE, channels=(8,), embedding_size=16, latent_size=4, classes=4, hidden_size=16, units=16)
NONE = FitConfig(steps=0)


def fit_of(steps):
    return FitConfig(steps=steps, learning_rate=1e-2, warmup_steps=10, precision="float32")


SEQUENCES = SequenceTraining(fit=fit_of(300), batch_size=16, length=10, ending_weight=5.0)
LEFT_OUT = replace(SEQUENCES, fit=NONE)
STAGED = RSSMTraining(
    model=SIZES,
    rare_colours=False,
    frames=FramesTraining(fit=fit_of(200), batch_size=32, reconstruction_scale=2.0),
    dynamics=SEQUENCES,
    heads=replace(SEQUENCES, fit=fit_of(100)),
)
JOINT = replace(
    STAGED,
    model=replace(SIZES, latent="categorical", posterior_reads_h=True, decoder_reads_h=True, unimix=0.01),
    frames=FramesTraining(fit=NONE),
    joint=SEQUENCES,
    dynamics=LEFT_OUT,
    heads=LEFT_OUT,
)
WAYS = {"in stages": STAGED, "jointly": JOINT}


def stripe(action):
    """The frame that an action leads to; that of -1, a first frame, has no stripe."""
    frame = np.full(SHAPE, 30, np.uint8)
    if action >= 0:
        frame[:, 3 * action : 3 * action + 3] = 220
    return frame


def play(seed, shift=0):
    """An episode of random actions; with ``shift``, the recorded actions are those of other steps."""
    generator = np.random.default_rng(seed)
    actions = generator.integers(0, 3, LIMIT)
    ends = np.flatnonzero(generator.random(LIMIT) < HAZARDS[actions])
    length = 1 + ends[0] if len(ends) else LIMIT
    actions = actions[:length]
    return Episode(
        observations=np.stack([stripe(action) for action in (-1, *actions)]),
        actions=np.roll(actions, shift),
        rewards=REWARDS[actions],
        terminated=bool(len(ends)),
        truncated=not len(ends),
        seed=seed,
        policy="",
    )


def world_config(settings):
    return WorldConfig("Stripe-v0", SHAPE, DISCRETE, LIMIT, settings.model, ("better",), ("sample",))


def learn(settings, folder, shift=0):
    job = TrainingJob([play(seed, shift) for seed in range(120)], world_config(settings), folder, [shift])
    return train_rssm(settings, job).model


@torch.no_grad()
def steps_of(model, settings):
    """The states after each step of held-out episodes with z from the prior, and what was there: (N,) each."""
    episodes = [play(seed) for seed in range(1000, 1040)]
    recordings = record(model, episodes, world_config(settings))
    followed = model.follow([one.embedding for one in recordings], [one.action for one in recordings])
    before = State.cat([states.rows(slice(0, -1)) for states, _ in followed])
    actions = [torch.from_numpy(episode.actions) for episode in episodes]
    moved = model.advance(before, torch.cat(actions))
    nothing = torch.tensor([-1])
    earlier = torch.cat([torch.cat([nothing, part[:-1]]) for part in actions])
    later = torch.cat([torch.cat([part[1:], nothing]) for part in actions])
    return replace(moved, z=model.prior(moved).mode()), torch.cat(actions), earlier, later


def distance(drawn, actions):
    """Mean difference of pixels (N,) from the frames of actions."""
    frames = torch.from_numpy(np.stack([stripe(int(action)) for action in actions]))
    return (drawn.float() - frames.float()).abs().mean((1, 2, 3))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {way: learn(settings, tmp_path_factory.mktemp("stripes")) for way, settings in WAYS.items()}


@pytest.fixture(params=WAYS)
def learned(request, models):
    model = models[request.param]
    return model, *steps_of(model, WAYS[request.param])


@torch.no_grad()
def test_a_step_is_drawn_as_the_frame_that_its_own_action_leads_to(learned):
    model, states, actions, earlier, later = learned
    drawn = model.decode(states, SHAPE)

    assert distance(drawn, actions).quantile(0.99) < 30.0
    for others in (earlier, later):
        told_apart = others != actions
        assert distance(drawn, others)[told_apart].min() > 45.0


@torch.no_grad()
def test_reward_and_ending_are_those_of_the_step_that_arrived(learned):
    model, states, actions, earlier, later = learned
    outlook = model.outlook(states, states.step / LIMIT)
    rewards, hazards = torch.from_numpy(REWARDS), torch.from_numpy(HAZARDS).float()

    error = (outlook.rewards[:, 0] - rewards[actions]).abs()
    assert error.quantile(0.95) < 0.2
    for others in (earlier, later):
        known = others >= 0
        assert (outlook.rewards[known, 0] - rewards[others[known]]).abs().mean() > 0.5
    for action in range(3):
        found = outlook.endings[actions == action, 1].mean()
        assert found == pytest.approx(hazards[action].item(), abs=0.1)


def test_actions_of_the_step_before_in_the_data_are_noticed(models, tmp_path):
    """The check of the check above: the same training on shifted actions predicts much worse frames."""
    errors = []
    for model in (models["in stages"], learn(STAGED, tmp_path, shift=1)):
        states, actions, *_ = steps_of(model, STAGED)
        errors.append(distance(model.decode(states, SHAPE), actions).mean().item())

    right, wrong = errors
    assert wrong > 4.0 * right
