"""A real environment with dreamed observations between every k-th frame, to measure how long a dream is accurate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from gymnasium.vector import VectorEnv

from dreamenv.envs.latent_vector import VectorLatentObservation
from dreamenv.foundation.ranges import COUNT, TEMPERATURE
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.real.make import make_reality_vector
from dreamenv.world import World


class PseudoDream(VectorLatentObservation):
    """A real vector environment that encodes only every k-th frame; between these frames z is dreamed.

    Rewards and endings are real. With ``every=1`` it equals :class:`VectorLatentObservation`. With a large k the agent
    acts in reality on dreamed observations alone.

    Args:
        env: As for :class:`VectorLatentObservation`.
        world: A world, the name of a shipped one, or a folder.
        every: k: frames at steps 0, k, 2k, ... of an episode are encoded.
        temperature: Of the dreamed steps; the world's default if None.

    Raises:
        UnsupportedEnvironmentError: If frames, actions or the autoreset mode do not fit.
        SettingsError: If ``every`` is not an integer >= 1, or the temperature is out of range.
    """

    def __init__(
        self, env: VectorEnv, world: World | str | Path, *, every: int, temperature: float | None = None
    ) -> None:
        self.every = COUNT.check("every", every)
        super().__init__(env, world)
        value = TEMPERATURE.check("temperature", self.world.config.temperature if temperature is None else temperature)
        self._temperature = torch.full((env.num_envs,), value, dtype=torch.float64, device=self.world.device)

    def _advance(self, state: State, action: torch.Tensor, frames: torch.Tensor, noise: Noise) -> State:
        observed = super()._advance(state, action, frames, noise)
        dreamed, _ = self._compiled.imagine(state, action, self._temperature, noise)
        encoded = observed.step % self.every == 0
        return replace(observed, z=torch.where(encoded[:, None], observed.z, dreamed.z))


def make_pseudo_dream(world: World, num_envs: int, *, every: int, temperature: float | None = None) -> PseudoDream:
    """Makes a :class:`PseudoDream` of the real environments of a world, in this process, with autoreset disabled."""
    envs = make_reality_vector(world.config.recipe, num_envs)
    return PseudoDream(envs, world, every=every, temperature=temperature)
