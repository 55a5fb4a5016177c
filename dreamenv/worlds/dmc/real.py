"""The real environments: the DeepMind Control suite, seen in pictures, with actions held for some steps.

They call dm_control itself: Shimmy's wrapper gives observations as a Dict and repeats no actions, so it would need a
wrapper of the same length around it, and one more package.
"""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from dreamenv.foundation.errors import RenderingError, SettingsError, UnsupportedEnvironmentError
from dreamenv.real.libraries import prepare_headless
from dreamenv.worlds.dmc.tasks import STEPS, TASKS

SIDE = 64  # pixels of a frame
CAMERA = 0
SHADOWS = 512  # pixels of the map of shadows; the suite's 2,048 look the same and take longer without a GPU
_LARGEST_SEED = 2**32 - 1  # of NumPy's RandomState, from which the suite draws


class ControlEnv(gym.Env[NDArray[np.uint8], NDArray[np.float32]], EzPickle):
    """A task of the suite: (64, 64, 3) uint8 frames, and actions in the task's own float32 Box.

    One step holds the action for ``action_repeat`` environment steps, or until the episode ends. It pays the sum of
    their rewards, each in [0, 1], and draws the last of them. After 1,000 environment steps the episode is truncated;
    it is terminated only if the task itself ends it, with a discount of 0. A copy is a new environment, to be reset
    first.

    Args:
        domain: Domain of the suite, such as ``"cartpole"``.
        task: Task of the domain, such as ``"swingup"``.
        action_repeat: Environment steps for which an action is held.
        render_mode: None or ``"rgb_array"``, whose pictures are the frames.

    Raises:
        UnsupportedEnvironmentError: If dm_control is not installed, or the suite has no such task.
        RenderingError: If OpenGL is missing; names the Debian packages.
        SettingsError: If ``action_repeat`` is not in 1 to 1,000.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, domain: str, task: str, action_repeat: int, render_mode: str | None = None) -> None:
        EzPickle.__init__(self, domain, task, action_repeat, render_mode)
        if isinstance(action_repeat, bool) or not isinstance(action_repeat, int) or not 1 <= action_repeat <= STEPS:
            raise SettingsError(f"expected an action_repeat of 1 to {STEPS:,} steps, got {action_repeat!r}")
        self._task = _load(domain, task)
        self._repeat, self.render_mode = action_repeat, render_mode
        bounds = self._task.action_spec()
        low, high = (np.broadcast_to(bound, bounds.shape) for bound in (bounds.minimum, bounds.maximum))
        self.action_space = gym.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        self.observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self._running, self._steps = False, 0
        self._frame: NDArray[np.uint8] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begins an episode. A seed fixes it; without one the task's generator goes on.

        Raises:
            SettingsError: If the seed is above 2^32 - 1.
        """
        super().reset(seed=seed)
        if seed is not None:
            if seed > _LARGEST_SEED:
                raise SettingsError(f"expected a seed of at most {_LARGEST_SEED:,}, got {seed:,}")
            self._task.task.random.seed(seed)
        self._task.reset()
        self._running, self._steps = True, 0
        return self._draw(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Holds (A,) ``action`` and draws the last of its environment steps; raises errors as :meth:`advance`."""
        reward, terminated, truncated = self.advance(action)
        return self._draw(), reward, terminated, truncated, {}

    def advance(self, action: NDArray[np.float32]) -> tuple[float, bool, bool]:
        """Holds (A,) ``action`` without drawing; returns the sum of rewards, ``terminated`` and ``truncated``.

        Raises:
            gymnasium.error.InvalidAction: If the action is not in the action space.
            gymnasium.error.ResetNeeded: Before the first reset, and after the end of an episode.
        """
        held = np.asarray(action, np.float32)
        if not self.action_space.contains(held):
            raise gym.error.InvalidAction(f"expected an action in {self.action_space}, got {action!r}")
        if not self._running:
            raise gym.error.ResetNeeded("expected a reset before this step, as no episode is under way")
        reward, discount = 0.0, 1.0
        for _ in range(self._repeat):
            result = self._task.step(held)
            reward, discount = reward + float(result.reward), float(result.discount)
            self._steps += 1
            self._running = not result.last() and self._steps < STEPS
            if not self._running:
                break
        terminated = discount == 0.0
        return reward, terminated, not self._running and not terminated

    def render(self) -> NDArray[np.uint8] | None:
        """Returns a copy of the latest frame, (64, 64, 3) uint8; None without a render mode.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        if self.render_mode is None:
            return None
        if self._frame is None:
            raise gym.error.ResetNeeded("expected a reset before this picture")
        return self._frame.copy()

    def close(self) -> None:
        """Frees the simulation and its OpenGL context."""
        self._running = False
        self._task.physics.free()

    def _draw(self) -> NDArray[np.uint8]:
        _forget_current_context()
        self._frame = np.array(self._task.physics.render(SIDE, SIDE, camera_id=CAMERA))
        return self._frame.copy()


def make_published(name: str, render_mode: str | None = None) -> gym.Env:
    """Makes a task of the table with its action repeat.

    Args:
        name: Key of :data:`TASKS`.
        render_mode: As for :class:`ControlEnv`; so are the errors.
    """
    return ControlEnv(*TASKS[name], render_mode=render_mode)


def _load(domain: str, task: str) -> Any:
    """Makes a task of the suite. Without a display MuJoCo draws by EGL, unless ``MUJOCO_GL`` is set already."""
    prepare_headless()
    try:
        from dm_control import suite
    except ModuleNotFoundError as error:
        raise UnsupportedEnvironmentError(
            f"tasks of the DeepMind Control suite need dm_control ({error}): pip install 'dreamenv[dmc]'"
        ) from None
    except (ImportError, AttributeError, RuntimeError) as error:  # PyOpenGL without libEGL fails by an AttributeError
        raise RenderingError(
            f"the DeepMind Control suite cannot draw with MUJOCO_GL={os.environ.get('MUJOCO_GL')}: OpenGL is missing "
            f"or broken ({error}). On Debian or Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri"
        ) from error
    if (domain, task) not in suite.ALL_TASKS:
        known = [name for place, name in suite.ALL_TASKS if place == domain]
        expected = (
            f"one of the tasks {known} of {domain!r}" if known else f"a domain in {sorted(suite.TASKS_BY_DOMAIN)}"
        )
        raise UnsupportedEnvironmentError(f"expected {expected}, got domain {domain!r} and task {task!r}")
    made = suite.load(domain, task)
    made.physics.model.vis.quality.shadowsize = SHADOWS
    return made


def _forget_current_context() -> None:
    """Makes the next picture switch to its own OpenGL context.

    dm_control (1.0.50) remembers which context it made current last, and switches only to another one. After Miniworld
    has drawn in the same thread, it would draw in Miniworld's context.
    """
    from dm_control._render import base

    base._CURRENT_CONTEXT_FOR_THREAD.clear()
    base._CURRENT_THREAD_FOR_CONTEXT.clear()
