"""What all contestants have in common: the sizes of the shipped world, and its spaces for peers that ask for an env."""

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

LATENT = 64
HIDDEN = 512
GAUSSIANS = 5
ACTIONS = 3


class Spaces(gym.Env):
    """The spaces of an environment that is never stepped."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (LATENT,), np.float32)
    action_space = gym.spaces.Discrete(ACTIONS)


def draw_actions(num_envs: int, count: int = 64) -> NDArray[np.int64]:
    """Draws (count, N) random actions."""
    return np.random.default_rng(0).integers(ACTIONS, size=(count, num_envs))


def one_hot(actions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Turns actions into (..., A) vectors, as the models of some peers take them."""
    return np.eye(ACTIONS, dtype=np.float32)[actions]
