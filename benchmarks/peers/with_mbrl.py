"""mbrl: `ModelEnv` around its probabilistic multi-layer perceptron; it has no recurrent model on latent codes."""

from collections.abc import Callable
from itertools import cycle

import numpy as np
import torch
from mbrl.env.termination_fns import no_termination
from mbrl.models import GaussianMLP, ModelEnv, OneDTransitionRewardModel
from sizes import ACTIONS, LATENT, Spaces, draw_actions, one_hot

WIDTH = 716  # 1.68 million weights in mbrl's default of four hidden layers: the 3.36 MFLOP of a step of the dream


def model_env(num_envs: int) -> Callable[[], object]:
    """A step: `ModelEnv.step` with `sample=True`, arrays in and out, as mbrl's own algorithms call it.

    The model predicts z itself rather than its change, which a random model would let grow without end.
    """
    network = GaussianMLP(LATENT + ACTIONS, LATENT + 1, device="cpu", hid_size=WIDTH)
    model = OneDTransitionRewardModel(network, target_is_delta=False)
    env = ModelEnv(Spaces(), model, no_termination, generator=torch.Generator().manual_seed(0))
    actions = cycle(one_hot(draw_actions(num_envs)))
    state = env.reset(np.zeros((num_envs, LATENT), np.float32))

    def step() -> object:
        nonlocal state
        observation, reward, done, state = env.step(next(actions), state, sample=True)
        return observation, reward, done

    return step
