"""The contract of agents, see :class:`dreamenv.testing.PolicyContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from dreamenv.models.noise import Noise
from dreamenv.rollouts import Policy
from dreamenv.testing.model import BATCH
from dreamenv.world import World


class PolicyContract(ABC):
    """What every kind of agent keeps: Stable-Baselines3's ``predict``."""

    @abstractmethod
    def make_policy(self) -> tuple[Policy, World]:
        """Makes an agent, and the world whose observations it reads."""

    def test_its_actions_are_in_the_space(self) -> None:
        """It acts on batches and on single observations, greedily and by drawing."""
        policy, world = self.make_policy()
        space, seen = world.config.action.space, self._observations(world)
        for deterministic in (True, False):
            actions, _ = policy.predict(seen, None, np.ones(BATCH, bool), deterministic)
            assert len(actions) == BATCH and all(space.contains(action) for action in np.asarray(actions))
            single, _ = policy.predict(seen[0], deterministic=deterministic)
            assert space.contains(np.asarray(single, space.dtype))

    def test_greedy_actions_are_repeatable_and_do_not_depend_on_the_batch(self) -> None:
        """The greedy action for an observation does not depend on the rest of the batch."""
        policy, world = self.make_policy()
        seen = self._observations(world)
        whole, again, alone = (policy.predict(part, None, None, True)[0] for part in (seen, seen, seen[1:2]))
        np.testing.assert_array_equal(whole, again)
        np.testing.assert_allclose(np.asarray(whole)[1:2], alone, rtol=1e-4, atol=1e-4)

    def _observations(self, world: World) -> np.ndarray:
        noise = Noise.draw(BATCH, world.model.prior_noise, torch.Generator().manual_seed(0))
        return world.features(world.sample_start(noise)).detach().numpy()
