"""The real environment: MiniGrid's memory task, seen in pictures, with three actions.

A cue, a key or a ball, lies in a room. A corridor leads from the room to a fork with a key on one side and a ball on
the other. Going to the side of the object that equals the cue succeeds, the other side fails, and both end the episode.
The agent starts beside the cue, which is in view, and looks along the corridor.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from dreamenv.foundation.errors import UnsupportedEnvironmentError

LEFT, RIGHT, FORWARD = range(3)
SIZE = 11  # tiles; the smallest whose cue cannot be seen from the fork
STEPS = 100  # of an episode; MiniGrid allows 605
START = 1, SIZE // 2  # column and row; the cue lies one row above


class StartAtCue(gym.Wrapper):
    """Starts episodes beside the cue; MiniGrid starts anywhere between cue and fork.

    Args:
        env: The memory task of MiniGrid, not wrapped.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode."""
        _, info = self.env.reset(seed=seed, options=options)
        task: Any = self.env.unwrapped
        task.agent_pos = np.array(START)
        return task.gen_obs(), info


class Moves(gym.ActionWrapper):
    """Keeps the actions LEFT, RIGHT (turns) and FORWARD; the task needs none of MiniGrid's other four.

    Args:
        env: An environment of MiniGrid.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.action_space = gym.spaces.Discrete(3)

    def action(self, action: Any) -> Any:
        """Returns the action, whose number is MiniGrid's own.

        Raises:
            gymnasium.error.InvalidAction: If it is none of the three.
        """
        if not self.action_space.contains(np.int64(action)):
            raise gym.error.InvalidAction(f"expected an action in {self.action_space}, got {action!r}")
        return action


def make_memory(render_mode: str | None = None) -> gym.Env:
    """Makes the task: 56 x 56 frames of the 7 x 7 tiles before the agent, 1 - 0.9 * steps / STEPS for success, else 0.

    Args:
        render_mode: None, or ``"rgb_array"``, whose pictures show all tiles.

    Raises:
        UnsupportedEnvironmentError: If minigrid is not installed.
    """
    try:
        from minigrid.envs.memory import MemoryEnv
        from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper
    except ModuleNotFoundError as error:
        raise UnsupportedEnvironmentError(
            f"the memory task needs minigrid ({error}): pip install 'dreamenv[minigrid]'"
        ) from None
    task = MemoryEnv(size=SIZE, max_steps=STEPS, render_mode=render_mode)
    return Moves(ImgObsWrapper(RGBImgPartialObsWrapper(StartAtCue(task))))
