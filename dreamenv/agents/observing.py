"""An agent of the dream acting on real frames, with some noise, to collect what it meets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.data.explore import CorrelatedNoise, ExplorationConfig
from dreamenv.envs.latent import as_tensor
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.seeds import spawn_short
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.rollouts import Policy
from dreamenv.world import World, seen_by

Disturb = Callable[[NDArray], NDArray]


class ObservingAgent:
    """An agent that sees frames through its world. One per batch of episodes.

    Args:
        world: What turns frames into features.
        agent: Who acts on them.
        noise: Strengths of the noise, one is drawn for each episode. Of discrete actions: the probability of a random
            one. Of a Box: the standard deviation of correlated Gaussian noise on the agent's action, in shares of half
            the box, because a uniform action now and then stops whatever has to move on.
        seeds: The seed of every episode, in the order in which episodes begin.
        sampling: Whether the agent draws its actions, else they are greedy. Its generator begins anew with every
            episode, so it can act in one episode at a time only.
    """

    def __init__(
        self, world: World, agent: Policy, noise: Sequence[float], seeds: Sequence[int], sampling: bool = False
    ) -> None:
        self._world, self._agent, self._noise, self._seeds = seen_by(world, agent), agent, noise, list(seeds)
        self._sampling = sampling
        self._begun = 0
        self._episodes: dict[int, tuple[Disturb, np.random.Generator]] = {}

    @torch.inference_mode()
    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses actions for (B, H, W, 3) uint8 frames; ``state`` is the world's and the agent's.

        Raises:
            SettingsError: If an agent that draws its actions is asked for those of several episodes.
        """
        if self._sampling and len(observation) > 1:
            raise SettingsError(f"expected one environment for an agent that draws actions, got {len(observation)}")
        for slot in np.flatnonzero(episode_start).tolist():
            seed = self._seeds[min(self._begun, len(self._seeds) - 1)]
            noise, generator = self._draw(seed)
            self._episodes[slot] = self._disturb(noise, generator), generator
            self._begun += 1
            if self._sampling:
                self._agent.set_random_seed(spawn_short(seed, "behaviour"))  # type: ignore[attr-defined]
        before, held = (None, None) if state is None else state
        now = self._observe(as_tensor(observation, self._world.device), before, episode_start)
        features = self._world.features(now).cpu().numpy()
        decided, held = self._agent.predict(features, held, episode_start, not self._sampling)
        actions = np.array(decided)
        for slot, (disturb, _) in self._episodes.items():
            actions[slot] = disturb(actions[slot])
        return actions, ((now, actions), held)

    def name(self, seed: int) -> str:
        """Says with how much noise the agent acts in the episode with this seed."""
        return f"agent({self._draw(seed)[0]:g})"

    def _draw(self, seed: int) -> tuple[float, np.random.Generator]:
        generator = np.random.default_rng([seed, 2])
        return float(generator.choice(self._noise)), generator

    def _disturb(self, noise: float, generator: np.random.Generator) -> Disturb:
        action = self._world.config.action
        if action.discrete:
            return lambda decided: action.sample(generator) if generator.random() < noise else decided
        return CorrelatedNoise(action, noise, ExplorationConfig.correlation, generator).around

    def _observe(self, frames: torch.Tensor, state: tuple[State, NDArray] | None, begins: NDArray[np.bool_]) -> State:
        noise = self._draw_noise(len(frames))
        if state is None:
            return self._world.start(frames, noise)
        before, actions = state
        now = self._world.observe(before, as_tensor(actions, self._world.device), frames, noise)
        rows = as_tensor(np.flatnonzero(begins), self._world.device)
        return now.with_rows(rows, self._world.start(frames[rows], noise.rows(rows))) if len(rows) else now

    def _draw_noise(self, batch: int) -> Noise:
        """Random numbers that draw z, of each episode's own generator."""
        spec = self._world.model.posterior_noise
        normal, uniform = torch.zeros(batch, spec.normal), torch.zeros(batch, 1 + spec.uniform)  # no ending is drawn
        for slot, (_, generator) in self._episodes.items():
            normal[slot] = torch.from_numpy(generator.standard_normal(spec.normal, dtype=np.float32))
            uniform[slot, 1:] = torch.from_numpy(generator.random(spec.uniform, dtype=np.float32))
        return Noise(uniform, normal).to(self._world.device)
