"""Frames of real environments: checked against their space, and converted to (H, W, 3) uint8 RGB."""

from __future__ import annotations

from typing import Any, TypeGuard

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from dreamenv.foundation.errors import UnsupportedEnvironmentError

_LEAST = 16  # pixels on a side; smaller arrays in a Dict, or without colours, are codes, not pictures
_RENDER = (
    "let it draw its frames: --env-kwargs render_mode=rgb_array --wrappers gymnasium.wrappers:AddRenderObservation "
    "(in Python: EnvRecipe)"
)


class RGBObservation(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Converts the observations of an environment to RGB frames, and checks the frames against their space.

    RGB frames are unchanged. The one image of a Dict becomes the frame; greyscale becomes three equal channels;
    channel-first images become channel-last.

    Args:
        env: An environment whose observations contain one uint8 image.

    Raises:
        UnsupportedEnvironmentError: If there is no such image, or several; the message names a remedy.

    Attributes:
        conversion: Describes how other observations become RGB frames; empty for RGB frames.
    """

    def __init__(self, env: gym.Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self._key, self._space = _image_of(env.observation_space)
        self._bounded = bool((self._space.low > 0).any() or (self._space.high < 255).any())
        self.conversion = _describe_conversion(env.observation_space, self._key, self._space.shape)
        if self.conversion:
            height, width, _ = _to_rgb(np.zeros(self._space.shape, np.uint8)).shape
            self.observation_space = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begins an episode."""
        result = self.env.reset(seed=seed, options=options)
        observation, info = _checked("reset", result, "observation, info")
        return self.observation(observation), info

    def step(self, action: Any) -> tuple[NDArray[np.uint8], Any, bool, bool, dict[str, Any]]:
        """Takes a step."""
        result = _checked("step", self.env.step(action), "observation, reward, terminated, truncated, info")
        return self.observation(result[0]), *result[1:]

    def observation(self, observation: Any) -> NDArray[np.uint8]:
        """Returns the frame, (H, W, 3) uint8.

        Raises:
            UnsupportedEnvironmentError: If its dtype, shape or range differs from the space.
        """
        frame = observation if self._key is None else observation[self._key]
        check_frames(frame, self._space.shape)
        if self._bounded and not self._space.contains(frame):
            raise UnsupportedEnvironmentError(
                f"expected frames in {self._space}, as the observation space says, got values from {frame.min()} to "
                f"{frame.max()}; correct the bounds of the space or the frames"
            )
        return _to_rgb(frame)


def check_frames(frames: Any, shape: tuple[int, ...]) -> None:
    """Checks that frames are uint8 of this shape.

    Without this check, vectors would convert floats in [0, 1] to black frames, and V would encode those.

    Raises:
        UnsupportedEnvironmentError: If they are not; the message names a remedy.
    """
    if isinstance(frames, np.ndarray) and frames.dtype == np.uint8 and frames.shape == shape:
        return
    expected = f"expected frames {shape} uint8, as the observation space says"
    if not isinstance(frames, np.ndarray):
        raise UnsupportedEnvironmentError(f"{expected}; got {type(frames).__name__}; return a NumPy array")
    found = f"{expected}; got {frames.shape} {frames.dtype}"
    if frames.dtype == np.uint8 or not frames.size:
        raise UnsupportedEnvironmentError(f"{found}; correct the space or the frames")
    scale = "(255 * frame).round()" if frames.dtype.kind == "f" and frames.max() <= 1 else "frame"
    raise UnsupportedEnvironmentError(
        f"{found}, values from {frames.min()} to {frames.max()}; return {scale}.astype(numpy.uint8)"
    )


def _checked(method: str, result: Any, names: str) -> tuple[Any, ...]:
    """Checks that a method returned as many values as Gymnasium requires; older gym versions returned fewer."""
    count = len(result) if isinstance(result, tuple) else 1
    if count != len(names.split(", ")):
        kind = f"{count} values" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"expected {method} to return ({names}), as Gymnasium requires, got {kind}")
    return result


def _image_of(space: gym.Space) -> tuple[str | None, gym.spaces.Box]:
    """Returns the key of the image in a Dict (None for a Box), and the space of the image."""
    if isinstance(space, gym.spaces.Dict):
        images = [(key, part) for key, part in space.items() if _is_image(part, _LEAST)]
        if len(images) == 1:
            return images[0]
        raise UnsupportedEnvironmentError(f"expected RGB observations, or a Dict with one image; {_advise(space)}")
    least = 1 if isinstance(space, gym.spaces.Box) and _format(space.shape) == "RGB" else _LEAST
    if not _is_image(space, least):
        raise UnsupportedEnvironmentError(
            f"expected RGB observations Box(0, 255, (height, width, 3), uint8), got {space}; {_advise(space)}"
        )
    return None, space


def _is_image(space: gym.Space, least: int) -> TypeGuard[gym.spaces.Box]:
    """Returns whether a space is a uint8 Box of an image with at least ``least`` pixels on each side."""
    if not (isinstance(space, gym.spaces.Box) and space.dtype == np.uint8 and _format(space.shape)):
        return False
    height, width, _ = _to_rgb(np.zeros(space.shape, np.uint8)).shape
    return min(height, width) >= least


def _format(shape: tuple[int, ...]) -> str | None:
    """Names the image format that has this shape; None if no format has it."""
    if len(shape) == 3 and shape[2] == 3:
        return "RGB"
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return "greyscale"
    if len(shape) == 3 and shape[0] in (1, 3):
        return "channel-first RGB" if shape[0] == 3 else "channel-first greyscale"
    return None


def _to_rgb(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Converts an image of any of the formats to (H, W, 3); RGB images are returned unchanged."""
    if frame.ndim == 2:
        frame = frame[:, :, None]
    elif frame.shape[2] not in (1, 3):
        frame = np.ascontiguousarray(np.moveaxis(frame, 0, 2))
    return frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2)


def _describe_conversion(space: gym.Space, key: str | None, shape: tuple[int, ...]) -> str:
    """Describes the conversion of a space to frames; empty if there is none."""
    image = _format(shape)
    if key is None:
        return "" if image == "RGB" else f"{image} {shape}, turned to RGB"
    assert isinstance(space, gym.spaces.Dict)
    others = ", ".join(repr(name) for name in space if name != key) or "nothing"
    return f"{key!r} of the observations, {image} {shape}; left out: {others}"


def _advise(space: gym.Space) -> str:
    """Returns advice for observations with no image or several."""
    if isinstance(space, gym.spaces.Dict):
        return _advise_dict(space)
    shape = space.shape or ()
    if isinstance(space, gym.spaces.Box) and space.dtype != np.uint8 and _format(shape):
        return (
            "turn its pictures to bytes: --wrappers my_module:to_bytes, with def to_bytes(env): return "
            "gymnasium.wrappers.TransformObservation(env, lambda frame: (255 * frame).round().astype(numpy.uint8), "
            "gymnasium.spaces.Box(0, 255, env.observation_space.shape, numpy.uint8)), without 255 * where they do not "
            "lie in [0, 1]"
        )
    if isinstance(space, gym.spaces.Box) and space.dtype == np.uint8 and len(shape) > 2 and not _format(shape):
        return "leave out wrappers that stack frames, as M remembers; of pictures with four channels, keep three"
    return _RENDER


def _advise_dict(space: gym.spaces.Dict) -> str:
    images = [key for key, part in space.items() if _is_image(part, _LEAST)]
    found = ", ".join(f"{key!r} {part}" for key, part in space.items())
    if images:
        return (
            f"got {found}; choose one: --wrappers my_module:choose, with def choose(env): return "
            f"gymnasium.wrappers.FilterObservation(env, [{images[0]!r}])"
        )
    return (
        f"got {found}, where arrays below {_LEAST} pixels on a side contain codes, not colours; name a wrapper that "
        f"draws, for MiniGrid --wrappers minigrid.wrappers:RGBImgPartialObsWrapper; or {_RENDER}"
    )
