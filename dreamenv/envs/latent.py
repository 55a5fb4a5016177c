"""A real environment seen through a world: observations are [z, h] from ``World.observe`` instead of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from dreamenv.bundle import as_world
from dreamenv.envs.actions import check_action
from dreamenv.envs.dream import DreamEnv
from dreamenv.envs.dream_vector import observation_space
from dreamenv.envs.settings import check_options, check_render_mode, check_seed, time_limit, with_time_limit
from dreamenv.envs.streams import NoiseStreams
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.real.frames import check_frames
from dreamenv.real.make import make_reality
from dreamenv.world import World

_ENTRY_POINT = f"{__name__}:make_latent"
_FIRST = np.zeros(1, np.int64)  # the index of the only row in a batch of one


class LatentObservation(gym.Wrapper):
    """Replaces the frames of a real environment by [z, h], the observation in the dream.

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
    render_mode: str | None = (
        None  # independent of that of the real environment, which may need another one to draw frames
    )

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
        """The spec it was made from; ``max_episode_steps`` is at most the world's."""
        made = self.unwrapped.spec
        if made is not None and made.entry_point == _ENTRY_POINT:  # inner wrappers may return an older spec
            return limited_spec(made, self.world)
        return limited_spec(super().spec, self.world)

    @torch.inference_mode()
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins a real episode; h is 0. The seed fixes the draws of z as well.

        Raises:
            gymnasium.error.Error: If the seed is neither None nor a Python integer >= 0; the episode is unchanged.
            SettingsError: If the options are not a dict; the episode is unchanged. The real environment checks the
                content of the options.
        """
        check_seed(seed)
        check_options(options)
        frame, info = self.env.reset(seed=seed, options=options)
        check_frames(frame, self.world.config.frame_shape)
        self._frame = frame
        self._done = False
        self._streams.reset(_FIRST, seed)
        self._state = self.world.start(self._to_device(self._frame[None]), self._noise())
        return self._observation(), info

    @torch.inference_mode()
    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Takes a real step; z is drawn from V's posterior given the frame, and h depends on earlier steps only.

        Raises:
            InvalidAction: If the space does not contain the action; the real environment does not step.
            ResetNeeded: Before the first reset, and after an end.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before step")
        if self._done:
            raise gym.error.ResetNeeded("expected reset before step: the episode has ended")
        actions = check_action(action, self.world.config.action)
        real = real_actions(actions[0], self.env.action_space)
        frame, reward, terminated, truncated, info = self.env.step(real)
        check_frames(frame, self.world.config.frame_shape)
        self._frame = frame
        self._state = self.world.observe(
            self._state, self._to_device(actions), self._to_device(self._frame[None]), self._noise()
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
        """Makes a dream in which every episode begins at the current moment.

        Args:
            **kwargs: For :class:`DreamEnv`.

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

    def _to_device(self, array: NDArray) -> torch.Tensor:
        return as_tensor(array, self.world.device)


def make_latent(world: World | str | Path, render_mode: str | None = None, **kwargs: Any) -> LatentObservation:
    """Makes the real environment of a world with [z, h] as observations; ``kwargs`` go to the real environment."""
    render_mode, world = check_render_mode(render_mode), as_world(world)
    real = make_reality(world.config.recipe, **kwargs)
    try:
        env = LatentObservation(real, world)
    except Exception:
        real.close()
        raise
    env.render_mode = render_mode
    return env


def as_tensor(array: NDArray, device: torch.device) -> torch.Tensor:
    """Copies an array to a device; the array may be read-only, or a view with negative strides."""
    return torch.from_numpy(np.array(array)).to(device)


def limited_spec(spec: EnvSpec | None, world: World) -> EnvSpec | None:
    """Returns the spec of a real environment with at most the time limit of the world."""
    if spec is None:
        return None
    steps = time_limit(world.config.max_episode_steps, spec.kwargs.get("max_episode_steps"))  # by make_vec
    return with_time_limit(spec, time_limit(steps, spec.max_episode_steps))


def real_actions(actions: NDArray, space: gym.Space) -> NDArray:
    """Converts actions to the dtype of the real space, and clips them to its bounds, which float32 may have rounded."""
    if not isinstance(space, gym.spaces.Box):
        return actions
    return np.clip(actions.astype(space.dtype), space.low, space.high)


def check_spaces(world: World, observation: gym.Space, action: gym.Space) -> None:
    """Checks that the spaces of a real environment are those of the world.

    Raises:
        UnsupportedEnvironmentError: If they are not.
    """
    expected = (world.config.frame_shape, world.config.action)
    bytes_expected = getattr(observation, "dtype", None) == np.uint8
    if not bytes_expected or observation.shape != expected[0] or ActionSpec.from_space(action) != expected[1]:
        raise UnsupportedEnvironmentError(
            f"this world was trained on {world.config.env_id}: expected frames {expected[0]} and actions "
            f"{expected[1].space}, uint8; got frames {observation.shape} {getattr(observation, 'dtype', '')} "
            f"and actions {action}"
        )
