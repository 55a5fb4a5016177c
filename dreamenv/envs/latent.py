"""Reality seen through a world: a thin shell over ``World.observe``."""

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
from dreamenv.envs.dream import DreamEnv
from dreamenv.envs.dream_vector import DreamVectorEnv, observation_space
from dreamenv.envs.settings import (
    check_action,
    check_actions,
    check_count,
    check_options,
    check_render_mode,
    check_reset_mask,
    check_seed,
    matrix_dtype,
    time_limit,
    with_time_limit,
)
from dreamenv.envs.streams import NoiseStreams, seeds_of
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.real.frames import check_frames
from dreamenv.real.make import make_reality
from dreamenv.world import World

_ENTRY_POINT = f"{__name__}:make_latent"
_FIRST = np.zeros(1, np.int64)  # the only row of a batch of one


class LatentObservation(gym.Wrapper):
    """Replaces the frames of a real environment by [z, h], the observation of the dream.

    The vector twin is :class:`VectorLatentObservation`.

    Args:
        env: An environment with the frames and actions of the world.
        world: A world, the name of a shipped one, or a folder.

    Raises:
        UnsupportedEnvironmentError: If frames or actions are not the world's.

    Example:
        >>> import dreamenv, gymnasium as gym
        >>> env = dreamenv.LatentObservation(dreamenv.make_real("MiniWorld-Sidewalk-v0"), "sidewalk")
        >>> env.observation_space.shape
        (576,)
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}
    render_mode: str | None = None  # of its own: the real environment may need another one to draw its frames

    def __init__(self, env: gym.Env, world: World | str | Path) -> None:
        super().__init__(env)
        self.render_mode = env.render_mode and "rgb_array"
        self.world = as_world(world)
        check_spaces(self.world, env.observation_space, env.action_space)
        self.observation_space = observation_space(self.world)
        self.action_space = self.world.config.action.space
        self._streams = NoiseStreams(1, self.world.model.prior_noise)
        self._done = False
        self._state: State | None = None
        self._frame: NDArray[np.uint8] | None = None

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """What made it; ``max_episode_steps`` is the world's where no smaller one was asked for."""
        made = self.unwrapped.spec
        if (
            made is not None and made.entry_point == _ENTRY_POINT
        ):  # wrappers of the real environment may hold an older one
            return _limited(made, self.world)
        return _limited(super().spec, self.world)

    @torch.inference_mode()
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins a real episode; h is 0. The seed fixes the draws of z as well.

        Raises:
            gymnasium.error.Error: If the seed is neither None nor a Python integer >= 0; the episode at hand goes on.
            SettingsError: If the options are no dict; likewise. What is in it is for the real environment to judge.
        """
        check_seed(seed)
        check_options(options)
        frame, info = self.env.reset(seed=seed, options=options)
        check_frames(frame, self.world.config.frame_shape)
        self._frame = frame
        self._done = False
        self._streams.reset(_FIRST, seed)
        self._state = self.world.start(self._there(self._frame[None]), self._noise())
        return self._observation(), info

    @torch.inference_mode()
    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Takes a real step; z is drawn from V's posterior given the frame, h comes from what was before it.

        Raises:
            InvalidAction: If the space does not contain the action; the real environment does not see it.
            ResetNeeded: Before the first reset, and after an end.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before step")
        if self._done:
            raise gym.error.ResetNeeded("expected reset before step: the episode has ended")
        actions = check_action(action, self.world.config.action)
        real = _real_actions(actions[0], self.env.action_space)
        frame, reward, terminated, truncated, info = self.env.step(real)
        check_frames(frame, self.world.config.frame_shape)
        self._frame = frame
        self._state = self.world.observe(
            self._state, self._there(actions), self._there(self._frame[None]), self._noise()
        )
        self._done = bool(terminated or truncated)
        return self._observation(), float(reward), bool(terminated), bool(truncated), info

    def render(self) -> NDArray[np.uint8] | None:
        """Draws the real frame with V's reconstruction of it to its right, (H, 2 W, 3) uint8."""
        if self._state is None or self._frame is None:
            raise gym.error.ResetNeeded("expected reset before render")
        with torch.inference_mode():
            return np.concatenate([self._frame, self.world.decode(self._state)[0]], axis=1)

    def branch(self, **kwargs: Any) -> DreamEnv:
        """Makes a dream whose episodes all begin at this very moment.

        Args:
            kwargs: Go to :class:`DreamEnv`.

        Raises:
            ResetNeeded: If no episode has begun.
        """
        if self._state is None or self._frame is None:
            raise gym.error.ResetNeeded("expected reset before branch")
        return DreamEnv(self.world, start=self._state, **kwargs)

    def _observation(self) -> NDArray[np.float32]:
        assert self._state is not None
        return self.world.features(self._state)[0].cpu().numpy()

    def _noise(self) -> Noise:
        return self._streams.draw(_FIRST).to(self.world.device)

    def _there(self, array: NDArray) -> torch.Tensor:
        return as_tensor(array, self.world.device)


class VectorLatentObservation(VectorWrapper):
    """Replaces the frames of a real vector environment by (N, Z + H) features; V sees all frames as one batch.

    Args:
        env: A vector environment, of any autoreset mode; with ``SAME_STEP``, ``info["final_obs"]`` has [z, h] as well.
        world: A world, the name of a shipped one, or a folder.
        dtype: Of the matrix products of V and M, see :class:`DreamVectorEnv`; with ``"int8"`` V keeps to float32.

    Raises:
        UnsupportedEnvironmentError: If frames or actions do not fit, or its metadata have no autoreset mode.
        SettingsError: If there is no such type.
    """

    render_mode: str | None = None  # its own: what the real environments draw are the frames that V sees

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
        """What made it; ``max_episode_steps`` is the world's where no smaller one was asked for."""
        return _limited(super().spec, self.world)

    @torch.inference_mode()
    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins real episodes, of all environments or of those in ``options["reset_mask"]``.

        Raises:
            gymnasium.error.Error: If a seed is neither None nor an integer >= 0; the episodes at hand go on.
            SettingsError: If there is not one for each environment, or the options are no dict or the mask is none;
                likewise. What else is in the options is for the real environments to judge.
            ResetNeeded: If the first reset leaves environments out.
        """
        seeds, given = seeds_of(seed, self.num_envs), check_options(options)
        mask = check_reset_mask(given, self.num_envs)
        if self._state is None and not mask.all():
            raise gym.error.ResetNeeded("expected a reset of all environments first, got a reset_mask")
        whole: Any = seed if seed is None or isinstance(seed, int) else seeds  # not every environment takes a list
        frames, info = self.env.reset(seed=whole, options=None if options is None else given)
        check_frames(frames, (self.num_envs, *self.world.config.frame_shape))
        self._frames = frames
        rows = self._rows[mask]
        self._streams.reset(rows, seeds)
        self._start(frames, rows, self._streams.draw(rows).to(self.world.device))
        self._done[mask] = False
        return self._observation(), info

    @torch.inference_mode()
    def step(self, actions: NDArray) -> tuple[NDArray[np.float32], NDArray, NDArray, NDArray, dict[str, Any]]:
        """Takes real steps.

        Raises:
            InvalidAction: If an action is not in the space; no real environment sees any.
            ResetNeeded: Before the first reset, and with autoreset disabled after an end.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before step")
        if self._done.any() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(f"expected reset of environments {np.flatnonzero(self._done)}, which are done")
        action = check_actions(actions, self.world.config.action, self.num_envs)
        real = _real_actions(action.cpu().numpy(), self.env.single_action_space)
        frames, reward, terminated, truncated, info = self.env.step(real)
        check_frames(frames, (self.num_envs, *self.world.config.frame_shape))
        device, noise = self.world.device, self._streams.draw(self._rows).to(self.world.device)
        done = terminated | truncated
        reset = done if self.autoreset_mode is AutoresetMode.SAME_STEP else np.zeros(self.num_envs, bool)
        last = _with_rows(frames, reset, info["final_obs"]) if reset.any() else frames
        self._state = self._advance(self._state, action.to(device), as_tensor(last, device), noise)
        self._frames = frames
        if self._done.any():
            self._start(frames, self._rows[self._done], noise.rows(as_tensor(self._done, device)))
        if reset.any():
            info = {**info, "final_obs": self._final(reset)}
            self._start(frames, self._rows[reset], self._streams.draw(self._rows[reset]).to(device))
        self._done = done & ~reset
        return self._observation(), reward, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """Draws every real frame with V's reconstruction to its right, (H, 2 W, 3) uint8 each."""
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before render")
        with torch.inference_mode():
            return tuple(np.concatenate([self._frames, self.world.decode(self._state)], axis=2))

    def branch(self, **kwargs: Any) -> DreamVectorEnv:
        """Makes dreams that all begin where these environments stand, see :meth:`LatentObservation.branch`."""
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before branch")
        return DreamVectorEnv(self.world, self.num_envs, start=self._state, **kwargs)

    def _advance(self, state: State, action: torch.Tensor, frames: torch.Tensor, noise: Noise) -> State:
        return self._compiled.observe(state, action, frames, noise)

    def _final(self, done: NDArray[np.bool_]) -> NDArray:
        """The last observations of episodes that are over, as Gymnasium gives them: (N,) objects, None elsewhere."""
        observation, final = self._observation(), np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(done):
            final[row] = observation[row].copy()
        return final

    def _start(self, frames: NDArray[np.uint8], rows: NDArray[np.int64], noise: Noise) -> None:
        start = self._compiled.start(as_tensor(frames[rows], self.world.device), noise)
        index = as_tensor(rows, self.world.device)
        self._state = start if self._state is None else self._state.with_rows(index, start)

    def _observation(self) -> NDArray[np.float32]:
        assert self._state is not None
        return self.world.features(self._state).cpu().numpy()


def make_latent(world: World | str | Path, render_mode: str | None = None, **kwargs: Any) -> LatentObservation:
    """Makes the real environment of a world, seen through it; ``kwargs`` go to the real environment."""
    render_mode, world = check_render_mode(render_mode), as_world(world)
    real = make_reality(world.config.recipe, **kwargs)
    try:
        env = LatentObservation(real, world)
    except Exception:
        real.close()
        raise
    env.render_mode = render_mode
    return env


def make_latent_vector(
    world: World | str | Path,
    num_envs: int = 1,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    dtype: str = "float32",
    render_mode: str | None = None,
    **kwargs: Any,
) -> VectorLatentObservation:
    """Makes N real environments of a world in this process, seen through it as one batch; ``kwargs`` go to them."""
    num_envs, render_mode = check_count("num_envs", num_envs), check_render_mode(render_mode)
    world = as_world(world)
    make = functools.partial(make_reality, world.config.recipe, **kwargs)  # no lambda, to be picklable
    envs = SyncVectorEnv([make] * num_envs, autoreset_mode=autoreset_mode)
    try:
        env = VectorLatentObservation(envs, world, dtype)
    except Exception:
        envs.close()
        raise
    env.render_mode = render_mode
    return env


def as_tensor(array: NDArray, device: torch.device) -> torch.Tensor:
    """Copies an array, which may be a read-only or flipped view, to a device."""
    return torch.from_numpy(np.array(array)).to(device)


def _limited(spec: EnvSpec | None, world: World) -> EnvSpec | None:
    if spec is None:
        return None
    steps = time_limit(world.config.max_episode_steps, spec.kwargs.get("max_episode_steps"))  # by make_vec
    return with_time_limit(spec, time_limit(steps, spec.max_episode_steps))


def _with_rows(frames: NDArray, mask: NDArray[np.bool_], rows: NDArray) -> NDArray:
    """A copy of frames in which those of a mask are others, from an array of objects."""
    frames = frames.copy()
    frames[mask] = np.stack(rows[mask].tolist())
    return frames


def _real_actions(actions: NDArray, space: gym.Space) -> NDArray:
    """Actions of a world in the type of the real environment's space, and in its bounds, which float32 may round."""
    if not isinstance(space, gym.spaces.Box):
        return actions
    return np.clip(actions.astype(space.dtype), space.low, space.high)


def check_spaces(world: World, observation: gym.Space, action: gym.Space) -> None:
    """Refuses environments that do not fit a world.

    Raises:
        UnsupportedEnvironmentError: Names what the world expects and what came.
    """
    expected = (world.config.frame_shape, world.config.action)
    bytes_expected = getattr(observation, "dtype", None) == np.uint8
    if not bytes_expected or observation.shape != expected[0] or ActionSpec.from_space(action) != expected[1]:
        raise UnsupportedEnvironmentError(
            f"this world was trained on {world.config.env_id}: expected frames {expected[0]} and actions "
            f"{expected[1].space}, uint8; got frames {observation.shape} {getattr(observation, 'dtype', '')} "
            f"and actions {action}"
        )
