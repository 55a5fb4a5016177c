"""One dream as a Gymnasium environment: a batch of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from dreamenv.envs.actions import check_action
from dreamenv.envs.dream_batch import Snapshot
from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.envs.settings import check_reset_options
from dreamenv.models.base import State
from dreamenv.world import World


class DreamEnv(gym.Env):
    """One dream: a :class:`DreamVectorEnv` of one.

    :meth:`close` has no effect and may be called several times.

    Args:
        world: A world, the name of a shipped one, or a folder.
        temperature: Non-negative number, or a pair (low, high) from which each episode draws its own; the world's
            default if None. ``reset(options={"temperature": ...})`` replaces it, for later episodes as well.
        branched_starts: Probability that an episode begins in the middle of a real one.
        start: State in which every episode begins, of batch size 1; the world's bank of real moments if None.
        dropout: Share of h that M's heads do not see, drawn for each episode.
        max_episode_steps: Truncates after this many steps of the dream's own, see :class:`DreamVectorEnv`. The argument
            of ``gymnasium.make``, which adds a wrapper instead, has the same effect.
        dtype: Of M's matrix products, see :class:`DreamVectorEnv`.
        batch_invariant: Compute the bits that the episode has in every batch, see :class:`DreamVectorEnv`.
        device: Device of the computation, see :class:`DreamVectorEnv`.
        render_mode: None or ``"rgb_array"``: the decoded dream.

    Example:
        >>> import gymnasium as gym
        >>> env = gym.make("dreamenv:DreamSidewalk-v0", temperature=1.15)
        >>> observation, info = env.reset(seed=0)
        >>> observation.shape
        (576,)
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(
        self,
        world: World | str | Path,
        *,
        temperature: float | tuple[float, float] | None = None,
        branched_starts: float = 0.0,
        start: State | None = None,
        dropout: float = 0.0,
        max_episode_steps: int | None = None,
        dtype: str = "float32",
        batch_invariant: bool = False,
        device: str | torch.device | None = None,
        render_mode: str | None = None,
    ) -> None:
        self._dreams = DreamVectorEnv(
            world,
            temperature=temperature,
            branched_starts=branched_starts,
            start=start,
            dropout=dropout,
            max_episode_steps=max_episode_steps,
            dtype=dtype,
            batch_invariant=batch_invariant,
            device=device,
            autoreset_mode=AutoresetMode.DISABLED,
            render_mode=render_mode,
        )
        self.world, self.render_mode = self._dreams.world, render_mode
        self.observation_space = self._dreams.single_observation_space
        self.action_space = self._dreams.single_action_space

    @property
    def spec(self) -> EnvSpec | None:
        """The spec from ``gymnasium.make``; ``max_episode_steps`` is the time limit of the dream."""
        return self._dreams.spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._dreams.spec = spec

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins an episode; ``options={"temperature": ...}`` sets the temperature of this and later episodes.

        Raises:
            SettingsError: If an option is unknown or invalid; the present episode is unchanged.
            gymnasium.error.Error: If the seed is neither None nor a Python integer >= 0; the episode is unchanged.
        """
        check_reset_options(options, 1)
        super().reset(seed=seed)
        observation, info = self._dreams.reset(seed=seed, options=options)
        return observation[0], {"temperature": info["temperature"][0]}  # a NumPy scalar: TorchRL reads its dtype

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Dreams one step.

        Raises:
            InvalidAction: If the space does not contain the action; the episode is unchanged.
            ResetNeeded: Before the first reset, and after an end.
        """
        actions = check_action(action, self.world.config.action)
        observation, reward, terminated, truncated, info = self._dreams.step(actions)
        information = {"temperature": info["temperature"][0]}
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), information

    def render(self) -> NDArray[np.uint8] | None:
        """Draws the dream, (H, W, 3) uint8; None without a render mode."""
        frames = self._dreams.render()
        return None if frames is None else frames[0]

    def snapshot(self) -> Snapshot:
        """Copies the state of the dream, see :meth:`DreamVectorEnv.snapshot`."""
        return self._dreams.snapshot()

    def restore(self, snapshot: Snapshot) -> NDArray[np.float32]:
        """Returns to a snapshot; returns the (Z + H,) observation at it."""
        return self._dreams.restore(snapshot)[0]
