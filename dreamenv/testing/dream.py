"""The contract of dream environments, see :class:`dreamenv.testing.DreamContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from dreamenv.envs.dream import DreamEnv
from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.testing.model import BATCH, STEPS
from dreamenv.world import World


class DreamContract(ABC):
    """What every dream environment keeps."""

    @abstractmethod
    def make_world(self) -> World:
        """Makes the world to dream in."""

    def test_gymnasium_accepts_it(self) -> None:
        """Gymnasium's own checker accepts it."""
        check_env(DreamEnv(self.make_world()), skip_render_check=True)

    def test_the_same_seed_gives_the_same_episode(self) -> None:
        """``reset(seed=s)`` fixes the whole episode; another seed gives another episode."""
        episodes = [self._play(DreamEnv(self.make_world()), seed) for seed in (3, 3, 4)]
        assert np.array_equal(episodes[0], episodes[1]) and not np.array_equal(episodes[0], episodes[2])

    def test_environment_i_of_a_vector_is_the_single_one_with_seed_s_plus_i(self) -> None:
        """The native vector equals Gymnasium's synchronous vector of single dreams, also at resets and endings."""
        world = self.make_world()
        native = DreamVectorEnv(world, BATCH, batch_invariant=True)
        single = SyncVectorEnv([lambda: DreamEnv(world, batch_invariant=True)] * BATCH)
        both = native.reset(seed=5)[0], single.reset(seed=5)[0]
        native.action_space.seed(0)
        for _ in range(3 * STEPS):
            np.testing.assert_array_equal(*both)
            actions = native.action_space.sample()
            one, other = native.step(actions), single.step(actions)
            both = one[0], other[0]
            for mine, theirs in zip(one[1:4], other[1:4], strict=True):
                assert np.allclose(mine, theirs)

    def test_a_snapshot_goes_on_bit_for_bit(self) -> None:
        """After :meth:`restore` the same steps follow as after the snapshot, in two modes and with every setting."""
        settings: dict[str, Any] = {"dropout": 0.3, "branched_starts": 0.5, "temperature": (0.5, 1.5)}
        for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            for given in ({}, settings | {"max_episode_steps": STEPS // 2}):
                env = DreamVectorEnv(self.make_world(), BATCH, autoreset_mode=mode, **given)
                env.reset(seed=1)
                env.action_space.seed(0)
                actions = [env.action_space.sample() for _ in range(STEPS)]
                snapshot = env.snapshot()
                once = [env.step(action)[0] for action in actions]
                env.restore(snapshot)
                again = [env.step(action)[0] for action in actions]
                np.testing.assert_array_equal(once, again)
                assert all(env.observation_space.contains(seen) for seen in once)

    def _play(self, env: gym.Env, seed: int) -> np.ndarray:
        env.action_space.seed(0)
        seen = [env.reset(seed=seed)[0]]
        for _ in range(STEPS):
            observation, *_, terminated, truncated, _ = env.step(env.action_space.sample())
            seen.append(observation)
            if terminated or truncated:
                seen.append(env.reset()[0])
        return np.stack(seen[: STEPS + 1])
