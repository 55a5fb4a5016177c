"""Several real environments seen through a world: observations are [z, h] instead of frames."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from dreamenv.bundle import as_world
from dreamenv.engine.packed import compiled
from dreamenv.envs.actions import check_actions
from dreamenv.envs.dream_vector import DreamVectorEnv, observation_space
from dreamenv.envs.latent import LatentObservation, as_tensor, check_spaces, limited_spec, real_actions
from dreamenv.envs.settings import check_options, check_render_mode, check_reset_mask, matrix_dtype
from dreamenv.envs.streams import NoiseStreams, seeds_of
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.foundation.ranges import COUNT
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.real.frames import check_frames
from dreamenv.real.make import make_reality
from dreamenv.world import World


class VectorLatentObservation(VectorWrapper):
    """Replaces the frames of a real vector environment by (N, Z + H) features; V encodes all frames in one batch.

    Args:
        env: A vector environment, of any autoreset mode; with ``SAME_STEP``, ``info["final_obs"]`` has [z, h] as well.
        world: A world, the name of a shipped one, or a folder.
        dtype: Of the matrix products of V and M, see :class:`DreamVectorEnv`; with ``"int8"`` V computes in float32.

    Raises:
        UnsupportedEnvironmentError: If frames or actions do not fit, or the metadata have no autoreset mode.
        SettingsError: If the dtype is unknown.
    """

    render_mode: str | None = None  # independent of that of the real environments, which draw the frames for V

    def __init__(self, env: VectorEnv, world: World | str | Path, dtype: str = "float32") -> None:
        super().__init__(env)
        self.world = as_world(world)
        self._compiled = replace(self.world, model=compiled(self.world.model, matrix_dtype(dtype)))
        check_spaces(self.world, env.single_observation_space, env.single_action_space)
        self.autoreset_mode = env.metadata.get("autoreset_mode")
        if not isinstance(self.autoreset_mode, AutoresetMode):
            raise UnsupportedEnvironmentError(
                f"expected an environment with an AutoresetMode in its metadata, got {self.autoreset_mode!r}"
            )
        self.metadata = {**LatentObservation.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(self.world)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self.single_action_space = self.world.config.action.space
        self.action_space = batch_space(self.single_action_space, env.num_envs)
        self._done = np.zeros(env.num_envs, bool)
        self._rows = np.arange(env.num_envs)
        self._streams = NoiseStreams(env.num_envs, self.world.model.prior_noise)
        self._state: State | None = None

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """The spec it was made from; ``max_episode_steps`` is at most the world's."""
        return limited_spec(super().spec, self.world)

    @torch.inference_mode()
    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins real episodes, of all environments or of those in ``options["reset_mask"]``.

        Raises:
            gymnasium.error.Error: If a seed is neither None nor an integer >= 0; the episodes are unchanged.
            SettingsError: If the number of seeds is not N, the options are not a dict or the mask is invalid; the
                episodes are unchanged. The real environments check the other options.
            ResetNeeded: If the first reset does not include all environments.
        """
        seeds, checked = seeds_of(seed, self.num_envs), check_options(options)
        mask = check_reset_mask(checked, self.num_envs)
        if self._state is None and not mask.all():
            raise gym.error.ResetNeeded("expected a reset of all environments first, got a reset_mask")
        passed: Any = seed if seed is None or isinstance(seed, int) else seeds  # some environments accept no list
        frames, info = self.env.reset(seed=passed, options=None if options is None else checked)
        check_frames(frames, (self.num_envs, *self.world.config.frame_shape))
        self._frames = frames
        rows = self._rows[mask]
        self._streams.reset(rows, seeds)
        self._reset_rows(frames, rows, self._streams.draw(rows).to(self.world.device))
        self._done[mask] = False
        return self._observation(), info

    @torch.inference_mode()
    def step(self, actions: NDArray) -> tuple[NDArray[np.float32], NDArray, NDArray, NDArray, dict[str, Any]]:
        """Takes real steps.

        Raises:
            InvalidAction: If an action is not in the space; no real environment steps.
            ResetNeeded: Before the first reset, and with autoreset disabled after an end.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before step")
        if self._done.any() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(f"expected reset of environments {np.flatnonzero(self._done)}, which are done")
        action = check_actions(actions, self.world.config.action, self.num_envs)
        real = real_actions(action.cpu().numpy(), self.env.single_action_space)
        frames, reward, terminated, truncated, info = self.env.step(real)
        check_frames(frames, (self.num_envs, *self.world.config.frame_shape))
        device, noise = self.world.device, self._streams.draw(self._rows).to(self.world.device)
        done = terminated | truncated
        reset = done if self.autoreset_mode is AutoresetMode.SAME_STEP else np.zeros(self.num_envs, bool)
        last = _with_rows(frames, reset, info["final_obs"]) if reset.any() else frames
        self._state = self._advance(self._state, action.to(device), as_tensor(last, device), noise)
        self._frames = frames
        if self._done.any():
            self._reset_rows(frames, self._rows[self._done], noise.rows(as_tensor(self._done, device)))
        if reset.any():
            info = {**info, "final_obs": self._final_observations(reset)}
            self._reset_rows(frames, self._rows[reset], self._streams.draw(self._rows[reset]).to(device))
        self._done = done & ~reset
        return self._observation(), reward, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """Draws every real frame with V's reconstruction to its right, (H, 2 W, 3) uint8 each."""
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before render")
        with torch.inference_mode():
            return tuple(np.concatenate([self._frames, self.world.decode(self._state)], axis=2))

    def branch(self, **kwargs: Any) -> DreamVectorEnv:
        """Makes dreams in which every episode begins at the current moment, see :meth:`LatentObservation.branch`."""
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before branch")
        return DreamVectorEnv(self.world, self.num_envs, start=self._state, **kwargs)

    def _advance(self, state: State, action: torch.Tensor, frames: torch.Tensor, noise: Noise) -> State:
        return self._compiled.observe(state, action, frames, noise)

    def _final_observations(self, done: NDArray[np.bool_]) -> NDArray:
        """Returns the last observations of finished episodes in Gymnasium's form: (N,) objects, None elsewhere."""
        observation, final = self._observation(), np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(done):
            final[row] = observation[row].copy()
        return final

    def _reset_rows(self, frames: NDArray[np.uint8], rows: NDArray[np.int64], noise: Noise) -> None:
        start = self._compiled.start(as_tensor(frames[rows], self.world.device), noise)
        index = as_tensor(rows, self.world.device)
        self._state = start if self._state is None else self._state.with_rows(index, start)

    def _observation(self) -> NDArray[np.float32]:
        assert self._state is not None
        return self.world.features(self._state).cpu().numpy()


def make_latent_vector(
    world: World | str | Path,
    num_envs: int = 1,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    dtype: str = "float32",
    render_mode: str | None = None,
    **kwargs: Any,
) -> VectorLatentObservation:
    """Makes N real environments of a world in this process with [z, h] as observations; ``kwargs`` go to each."""
    num_envs, render_mode = COUNT.check("num_envs", num_envs), check_render_mode(render_mode)
    world = as_world(world)
    make = functools.partial(
        make_reality, world.config.recipe, **kwargs
    )  # not a lambda, because it has to be picklable
    envs = SyncVectorEnv([make] * num_envs, autoreset_mode=autoreset_mode)
    try:
        env = VectorLatentObservation(envs, world, dtype)
    except Exception:
        envs.close()
        raise
    env.render_mode = render_mode
    return env


def _with_rows(frames: NDArray, mask: NDArray[np.bool_], rows: NDArray) -> NDArray:
    """Returns a copy of frames, with those in the mask replaced by frames from an (N,) array of objects."""
    frames = frames.copy()
    frames[mask] = np.stack(rows[mask].tolist())
    return frames
