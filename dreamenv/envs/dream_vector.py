"""Dreams as a Gymnasium vector environment: checks, spaces, autoreset, infos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from dreamenv.bundle import as_world
from dreamenv.engine.placement import on_device
from dreamenv.envs.actions import check_actions
from dreamenv.envs.dream_batch import DreamBatch, DreamSettings, Snapshot
from dreamenv.envs.settings import (
    check_autoreset_mode,
    check_mask,
    check_render_mode,
    check_reset_options,
    check_start,
    check_temperature,
    matrix_dtype,
    time_limit,
    with_time_limit,
)
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import COUNT, PART, SHARE, check_choice
from dreamenv.models.base import State
from dreamenv.world import World


class DreamVectorEnv(VectorEnv):
    """N dreams that advance as one batch.

    Observations are [z, h], (N, Z + H) float32; actions are those of the real environment. The world model decides
    ``terminated``; the time limit sets ``truncated``. Environment i of a vector seeded with s draws the same random
    numbers as a single :class:`DreamEnv` seeded with s + i. :meth:`close` sets ``closed`` and has no other effect.

    Args:
        world: A world, the name of a shipped one, or a folder.
        num_envs: N.
        temperature: Non-negative number, (N,) array, or a pair (low, high) from which each episode draws its own; the
            world's default if None. ``reset(options={"temperature": ...})`` replaces it, for later episodes as well.
        branched_starts: Probability that an episode begins in the middle of a real one.
        start: States in which all episodes begin, of batch size 1 or N, see :meth:`dreamenv.World.replay` and
            :meth:`LatentObservation.branch`; the world's bank of real moments if None.
        dropout: Share of h that M's heads do not see, drawn for each episode: a second way to make a dream uncertain,
            see :meth:`dreamenv.World.imagine`.
        max_episode_steps: Truncates a dream after this many steps of its own, wherever it began. With None or -1 only
            the real environment's time limit applies, which includes the real steps before a branched start. Short
            dreams that branch off real moments stay close to the training data of M (Janner et al. 2019).
        dtype: Of M's matrix products: ``"float32"``; ``"bfloat16"``, on some processors twice as fast and on others
            slower; or ``"int8"``, on the processor only, and faster on all that were tried. Both round to two or three
            digits. Observations are float32 in any case.
        batch_invariant: Compute the same bits for an episode in a batch of any size. This is slower, most of all in
            small batches: the number of dreams is padded to a multiple of 32.
        device: Device of the computation, for example ``"cuda"``; the world's if None. Devices other than ``"cpu"``
            draw other numbers from the same seeds.
        tensors: Return observations and accept actions as torch tensors on the device; rewards and flags stay arrays.
            The observations can be used in autograd.
        autoreset_mode: See ``gymnasium.vector.AutoresetMode``.
        render_mode: None or ``"rgb_array"``: the decoded dream.

    Raises:
        BundleError: If the world cannot be loaded.
        SettingsError: If a setting is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}
    _spec: EnvSpec | None = None

    def __init__(
        self,
        world: World | str | Path,
        num_envs: int = 1,
        *,
        temperature: float | tuple[float, float] | NDArray | None = None,
        branched_starts: float = 0.0,
        start: State | None = None,
        dropout: float = 0.0,
        max_episode_steps: int | None = None,
        dtype: str = "float32",
        batch_invariant: bool = False,
        device: str | torch.device | None = None,
        tensors: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        num_envs = COUNT.check("num_envs", num_envs)
        branched_starts = SHARE.check("branched_starts", branched_starts)
        dropout = PART.check("dropout", dropout)
        self.num_envs, self.render_mode = num_envs, check_render_mode(render_mode)
        self.world = as_world(world)
        self.world = self.world if device is None else on_device(self.world, device)
        self.autoreset_mode = check_autoreset_mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(self.world)
        self.single_action_space = self.world.config.action.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        default = self.world.config.temperature if temperature is None else temperature
        settings = DreamSettings(
            start=check_start(start, self.world, num_envs, branched_starts),
            branched_starts=branched_starts,
            dropout=dropout,
            max_steps=time_limit(self.world.config.max_episode_steps, max_episode_steps),
            dtype=matrix_dtype(dtype),
            batch_invariant=check_choice("batch_invariant", batch_invariant, (False, True)),
        )
        self._dreams = DreamBatch(self.world, num_envs, check_temperature(default, num_envs), settings)
        self._tensors = check_choice("tensors", tensors, (False, True))

    @property
    def branched_starts(self) -> float:
        """Probability that an episode begins in the middle of a real one."""
        return self._dreams.settings.branched_starts

    @property
    def spec(self) -> EnvSpec | None:
        """The spec from ``gymnasium.make_vec``; ``max_episode_steps`` is the time limit of a dream."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = with_time_limit(spec, self._dreams.settings.max_steps)

    @torch.inference_mode()
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins episodes with real first frames.

        Args:
            seed: An integer (environment i is seeded with seed + i), one for each, or None to continue the streams.
            options: ``temperature``: number, (N,) or (low, high); ``reset_mask``: (N,) bool, which environments to
                reset.

        Returns:
            (N, Z + H) observations, and infos with the temperatures.

        Raises:
            SettingsError: If there are not N seeds, or an option is unknown or invalid; the dreams are unchanged.
            gymnasium.error.Error: If a seed is neither None nor an integer >= 0; the dreams are unchanged.
            ResetNeeded: If the first reset does not include all environments.
        """
        mask, temperature_range = check_reset_options(options, self.num_envs)
        if self._dreams.state is None and not mask.all():
            raise gym.error.ResetNeeded("expected a reset of all environments first, got a reset_mask")
        self._dreams.reset(mask, seed, temperature_range)
        return self._observation(), self._info()

    @torch.inference_mode()
    def step(
        self, actions: NDArray | torch.Tensor
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Dreams one step in every environment; finished ones restart as the autoreset mode says.

        Args:
            actions: One for each environment, of the single space; equal numbers of another type are accepted, see
                :func:`dreamenv.envs.settings.check_actions`.

        Returns:
            Observations, rewards, terminated, truncated and infos, as in Gymnasium.

        Raises:
            InvalidAction: If an action is not in the space; the dreams are unchanged.
            ResetNeeded: Before the first reset, and with autoreset disabled after an end.
        """
        dreams = self._dreams
        if dreams.state is None:
            raise gym.error.ResetNeeded("expected reset before step")
        if self.autoreset_mode is AutoresetMode.DISABLED and dreams.done.any():
            raise gym.error.ResetNeeded(f"expected reset of environments {np.flatnonzero(dreams.done)}, which are done")
        if not dreams.active.any():
            raise gym.error.ResetNeeded("expected reset before step: all environments are idle")
        action = check_actions(actions, self.world.config.action, self.num_envs).to(dreams.device)
        resetting = dreams.done & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        reward, terminated, truncated = dreams.step(action, resetting)
        observation, info = self._observation(), self._info()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and dreams.done.any():
            observation, info = self._reset_done(observation, info)
        return observation, reward, terminated, truncated, info

    def set_temperature(self, temperature: float | tuple[float, float] | NDArray) -> None:
        """Sets the temperature of all later episodes, for example by a schedule of a training.

        Args:
            temperature: Non-negative number, (N,) array, or a pair (low, high).

        Raises:
            SettingsError: If it is out of range.
        """
        self._dreams.set_temperature_range(check_temperature(temperature, self.num_envs))

    def leave(self, mask: NDArray[np.bool_]) -> None:
        """Makes environments idle until they are reset: steps do not compute them, pay 0 and do not end them.

        Saves computation when fewer episodes are left than environments.

        Args:
            mask: (N,) bool, which environments become idle.

        Raises:
            SettingsError: If the autoreset mode is not DISABLED, or the mask is not (N,) bool.
        """
        if self.autoreset_mode is not AutoresetMode.DISABLED:
            raise SettingsError(f"expected autoreset mode DISABLED, got {self.autoreset_mode}")
        mask = check_mask(mask, self.num_envs)
        self._dreams.set_active(self._dreams.active & ~mask)
        self._dreams.done[mask] = False

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draws every dream, (H, W, 3) uint8 each; None without a render mode."""
        if self.render_mode is None:
            return None
        if self._dreams.state is None:
            raise gym.error.ResetNeeded("expected reset before render")
        with torch.inference_mode():
            return tuple(self.world.decode(self._dreams.state))

    @torch.inference_mode(False)  # so that its tensors can be used in autograd
    def snapshot(self) -> Snapshot:
        """Copies the state of all dreams. :meth:`restore` continues bitwise from it, also in a copy of the process.

        Raises:
            ResetNeeded: If no episode has begun.
        """
        if self._dreams.state is None:
            raise gym.error.ResetNeeded("expected reset before snapshot")
        return self._dreams.snapshot()

    def restore(self, snapshot: Snapshot) -> NDArray[np.float32]:
        """Returns to a snapshot of an environment of this world and size.

        Returns:
            The (N, Z + H) observations at the snapshot.

        Raises:
            SettingsError: If the snapshot is of another size.
        """
        expected, got = (self.num_envs, self.world.feature_size), self.world.features(snapshot.state).shape
        if expected != got:
            raise SettingsError(f"expected a snapshot of {expected} features, got {tuple(got)}")
        if (snapshot.mask is not None) != self._dreams.has_dropout:
            kind = "with" if self._dreams.has_dropout else "without"
            raise SettingsError(f"expected a snapshot of dreams {kind} dropout")
        self._dreams.restore(snapshot)
        return self._observation()

    def _reset_done(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """SAME_STEP: moves the final observations to the infos, and begins the next episodes."""
        done = self._dreams.done
        final = np.full(self.num_envs, None, dtype=object)
        with torch.inference_mode(False):  # as in _observation
            for row in np.flatnonzero(done):
                final[row] = observation[row].clone() if self._tensors else observation[row].copy()
        self._dreams.restart_done()
        final_info = {"temperature": info["temperature"].copy(), "_temperature": done.copy()}
        extra = {"final_obs": final, "_final_obs": done, "final_info": final_info, "_final_info": done.copy()}
        return self._observation(), {**self._info(), **extra}

    def _observation(self) -> Any:
        state = self._dreams.state
        assert state is not None
        if not self._tensors:
            return self.world.features(state).cpu().numpy()
        with torch.inference_mode(False):  # a new tensor that can be used in autograd
            return self.world.features(state)

    def _info(self) -> dict[str, Any]:
        return {
            "temperature": self._dreams.reported_temperature.copy(),
            "_temperature": np.ones(self.num_envs, bool),
        }


def observation_space(world: World) -> gym.spaces.Box:
    """Returns the space of [z, h], the same in the dream and in reality."""
    low, high = world.view.bounds(world.model, world.config.max_episode_steps)
    return gym.spaces.Box(low, high, dtype=np.float32)
