"""The dot environment as other people's environments are: other observations, frames unlike their space, odd infos."""

import gymnasium as gym
import numpy as np
from dot_env import HEIGHT, WIDTH, DotEnv

RGB = gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
CODES = gym.spaces.Box(0, 255, (7, 7, 3), np.uint8)
SPACES = {
    "rgb": RGB,
    "grey": gym.spaces.Box(0, 255, (HEIGHT, WIDTH), np.uint8),
    "grey, last": gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 1), np.uint8),
    "grey, first": gym.spaces.Box(0, 255, (1, HEIGHT, WIDTH), np.uint8),
    "first": gym.spaces.Box(0, 255, (3, HEIGHT, WIDTH), np.uint8),
    "dict": gym.spaces.Dict({"direction": gym.spaces.Discrete(4), "image": RGB, "mission": gym.spaces.Text(9)}),
    "codes": gym.spaces.Dict({"direction": gym.spaces.Discrete(4), "image": CODES}),
    "two": gym.spaces.Dict({"left": RGB, "right": RGB}),
    "float": gym.spaces.Box(0, 1, (HEIGHT, WIDTH, 3), np.float32),
    "stack": gym.spaces.Box(0, 255, (4, HEIGHT, WIDTH), np.uint8),
    "dark": gym.spaces.Box(0, 100, (HEIGHT, WIDTH, 3), np.uint8),
}


class PictureEnv(DotEnv):
    """Observes what a space of ``SPACES`` says, or what it does not say: ``wrong`` is a type or ``"shape"``."""

    def __init__(self, kind="rgb", wrong="", infos=False, wrong_at=0):
        super().__init__()
        self.observation_space = SPACES[kind]
        self._kind, self._wrong, self._infos, self._wrong_at = kind, wrong, infos, wrong_at
        self._time = 0

    def reset(self, *, seed=None, options=None):
        frame, _ = super().reset(seed=seed)
        return self._observe(frame), self._info()

    def step(self, action):
        frame, *rest, _ = super().step(action)
        return self._observe(frame), *rest, self._info()

    def _info(self):
        if not self._infos:
            return {}
        return {"seen": np.zeros(self._time % 3), "found": None if self._time % 2 else 1, "by": {"who": None}}

    def _observe(self, frame):
        if self._wrong and self._time >= self._wrong_at:
            return _spoil(frame, self._wrong)
        grey = frame.max(2)
        shown = {
            "grey": grey,
            "grey, last": grey[:, :, None],
            "grey, first": grey[None],
            "first": frame.transpose(2, 0, 1),
        }
        if self._kind == "dict":
            return {"direction": 1, "image": frame, "mission": "go"}
        return shown.get(self._kind, frame)


def _spoil(frame, wrong):
    if wrong == "shape":
        return frame[:-1]
    if wrong == "list":
        return frame.tolist()
    return (frame / 255).astype(wrong) if wrong.startswith("float") else frame.astype(wrong)


class Mirror(gym.ObservationWrapper):
    """Swaps left and right."""

    def observation(self, observation):
        return observation[:, ::-1]


def mirror(env):
    return Mirror(env)


def choose(env):
    return gym.wrappers.FilterObservation(env, ["left"])


def to_bytes(env):
    box = gym.spaces.Box(0, 255, env.observation_space.shape, np.uint8)
    return gym.wrappers.TransformObservation(env, lambda frame: (255 * frame).round().astype(np.uint8), box)


def nothing(env):
    return 3


gym.register("Picture-v0", PictureEnv, disable_env_checker=True)
