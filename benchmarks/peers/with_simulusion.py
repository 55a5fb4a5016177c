"""simulusion: its MDN-RNN world model, stepped as a batch, and its `WorldModelEnv`, which holds one episode."""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from simulusion.envs import WorldModelEnv
from simulusion.models.mdrnn import MDRNNCell
from simulusion.vision.VAE.ConvVAE import ConvVAE
from simulusion.world_model import MDRNNWorldModel, State
from sizes import ACTIONS, GAUSSIANS, HIDDEN, LATENT, draw_actions, one_hot


def make_model() -> MDRNNWorldModel:
    """A world model with random weights, but for the bias of the end, which says that no episode ever ends."""
    cell = MDRNNCell(LATENT, ACTIONS, HIDDEN, GAUSSIANS)
    torch.nn.init.constant_(cell.gmm_linear.bias[-1:], -10.0)
    return MDRNNWorldModel(ConvVAE(img_channels=3, latent_size=LATENT), cell)


def start(model: MDRNNWorldModel, num_envs: int) -> State:
    """The state after a first frame each."""
    frames = np.random.default_rng(0).random((num_envs, 1, 3, 64, 64), np.float32)
    return model.encode(frames)


def world_model(num_envs: int) -> Callable[[], object]:
    """A step: `MDRNNWorldModel.step`, the only way to advance many episodes at once."""
    model = make_model()
    actions = cycle(one_hot(draw_actions(num_envs)))
    state = start(model, num_envs)

    def step() -> object:
        nonlocal state
        transition = model.step(state, next(actions))
        state = transition.state
        return transition

    return step


def features(state: State) -> torch.Tensor:
    """Puts [z, h] of one episode together."""
    return torch.cat([state["z"], state["h"]], -1)[0]


def make_env(model: MDRNNWorldModel) -> WorldModelEnv:
    """An environment with the two callables that its documentation asks for."""

    def reset() -> dict[str, Any]:
        state = start(model, 1)
        return {"state": state, "observation": features(state)}

    def transition(model: MDRNNWorldModel, state: State, action: torch.Tensor) -> dict[str, Any]:
        result = model.step(state, action)
        return {
            "state": result.state,
            "observation": features(result.state),
            "reward": result.reward,
            "terminated": result.terminated,
        }

    return WorldModelEnv(
        model,
        gym.spaces.Box(-np.inf, np.inf, (LATENT + HIDDEN,), np.float32),
        gym.spaces.Box(0.0, 1.0, (ACTIONS,), np.float32),
        reset_fn=reset,
        transition_fn=transition,
    )


def world_model_env(num_envs: int) -> Callable[[], object]:
    """A step: `WorldModelEnv.step`, in Gymnasium's `SyncVectorEnv` if there are several."""
    model = make_model()
    actions = one_hot(draw_actions(num_envs))
    if num_envs == 1:
        env: Any = make_env(model)
        drawn = cycle(actions[:, 0])
    else:
        env = gym.vector.SyncVectorEnv([lambda: make_env(model)] * num_envs)
        drawn = cycle(actions)
    env.reset(seed=0)
    return lambda: env.step(next(drawn))
