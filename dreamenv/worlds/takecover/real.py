"""The real game: fireballs to dodge, a point for every step survived (Ha and Schmidhuber 2018, section 4)."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamenv.foundation.errors import UnsupportedEnvironmentError

SIDE = 64  # pixels of a frame
LEFT, STAY, RIGHT = range(3)  # in the order of World Models, whose controller cuts one output into these
_BUTTONS = (2, 0, 1)  # what the game calls them
BAND = (0, 24, 160, 104)  # left, top, right, bottom of what matters on a screen of 160 x 120


class TakeCoverFrames(gym.Wrapper):
    """Shows (64, 64, 3) uint8 frames of the game, without floor and ceiling next to the player.

    Actions are LEFT, STAY and RIGHT. The game has no screen left when the player is dead: the last frame of an episode
    is the one before, again.

    Args:
        env: ``VizdoomTakeCover-v1``, drawn in 160 x 120 pixels.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self._frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        self._process = os.getpid()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begins an episode.

        Raises:
            UnsupportedEnvironmentError: In a process that was forked later, which would share the running game.
        """
        self._check_process()
        observation, info = self.env.reset(seed=seed, options=options)
        self._frame = _prepare(observation["screen"])
        return self._frame.copy(), info

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Takes a step: 0 goes left, 1 stays, 2 goes right; refuses forked processes as :meth:`reset` does."""
        self._check_process()
        observation, reward, terminated, truncated, info = self.env.step(_BUTTONS[action])
        if not terminated:
            self._frame = _prepare(observation["screen"])
        return self._frame.copy(), float(reward), terminated, truncated, info

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise UnsupportedEnvironmentError(
                "expected a game that was made in this process, got one that a parent process made and still plays: "
                "make the environment after the fork"
            )


def make_takecover(render_mode: str | None = None) -> gym.Env:
    """Makes the game: skill 4, every frame a step, +1 a step, no end but death.

    Args:
        render_mode: None or ``"rgb_array"``.

    Raises:
        UnsupportedEnvironmentError: If vizdoom is not installed.
    """
    try:
        from vizdoom import ScreenResolution
        from vizdoom.gymnasium_wrapper.gymnasium_env_defns import VizdoomScenarioEnv
    except ModuleNotFoundError as error:
        raise UnsupportedEnvironmentError(
            f"the real DoomTakeCover needs vizdoom ({error}): pip install 'dreamenv[vizdoom]'"
        ) from None
    game = VizdoomScenarioEnv(
        "take_cover.cfg",
        max_buttons_pressed=1,
        render_mode=render_mode,
        screen_resolution=ScreenResolution.RES_160X120,
        doom_config_path=os.devnull,  # or the game leaves a file in the working directory
    )
    return TakeCoverFrames(game)


def _prepare(screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(screen).crop(BAND).resize((SIDE, SIDE), Image.Resampling.BOX))
