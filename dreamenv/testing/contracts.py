"""Contracts: what every world model, dream, policy and vision model keeps. Subclass one, and pytest runs its tests.

Example:
    >>> from dreamenv.testing import WorldContract
    >>> class TestMyWorld(WorldContract):
    ...     def make_world(self):
    ...         return dreamenv.load("runs/mine")
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from torch import Tensor

from dreamenv.bundle import load, save
from dreamenv.engine.packed import compiled
from dreamenv.envs.dream import DreamEnv
from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.models.base import State
from dreamenv.models.mdnrnn.vision import Vision
from dreamenv.models.noise import Noise
from dreamenv.rollouts import Policy
from dreamenv.world import World

STEPS, BATCH = 6, 4
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}  # rounding differs with the number of rows


class WorldContract(ABC):
    """What every kind of world model keeps, seen through a world."""

    @abstractmethod
    def make_world(self) -> World:
        """Makes a world, trained or not, with at least one moment in the middle of an episode in its bank."""

    def make_frames(self, world: World, count: int) -> Tensor:
        """Makes frames of the real environment, (count, H, W, 3) uint8; random ones unless overridden."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(256, (count, *world.config.frame_shape), dtype=torch.uint8, generator=generator)

    def test_reality_and_dream_share_h(self) -> None:
        """One real trajectory through both verbs has the same h, if the dream is given the real z."""
        world = self.make_world()
        frames, actions = self.make_frames(world, STEPS + 1), self._actions(world, STEPS)
        real = dreamed = world.start(frames[:1])
        for index in range(STEPS):
            action = actions[index, None]
            dreamed, _ = world.imagine(replace(dreamed, z=real.z), action, 1.0, self._noise(world, 1, index))
            real = world.observe(real, action, frames[index + 1, None])
            torch.testing.assert_close((dreamed.h, dreamed.carry, dreamed.step), (real.h, real.carry, real.step))

    def test_following_is_step_by_step(self) -> None:
        """A recorded episode, followed at once beside a shorter one, ends where single steps end."""
        world = self.make_world()
        model, spec = world.model, world.model.posterior_noise
        frames, actions = self.make_frames(world, STEPS + 1), self._actions(world, STEPS)
        noise = Noise.draw(STEPS + 1, spec, torch.Generator().manual_seed(0))
        embedding, half = model.embed(frames), STEPS // 2
        parts = [embedding, embedding[: half + 1]], [actions, actions[:half]], [noise, noise.rows(slice(half + 1))]
        (states, _), (shorter, _) = model.follow(*parts)
        one = replace(world, model=model).start(frames[:1], noise.rows(slice(1)))
        for index in range(STEPS):
            torch.testing.assert_close(states.rows(slice(index, index + 1)).parts, one.parts, **CLOSE)
            rows = slice(index + 1, index + 2)
            one = world.observe(one, actions[index, None], frames[rows], noise.rows(rows))
        torch.testing.assert_close(states.rows(slice(-1, None)).parts, one.parts, **CLOSE)
        torch.testing.assert_close(shorter.parts, states.rows(slice(half + 1)).parts, **CLOSE)

    def test_a_row_of_a_batch_is_the_row_alone(self) -> None:
        """A single dream is a batch of one."""
        world = self.make_world()
        state, actions, noise = self._moment(world), self._actions(world, BATCH), self._noise(world, BATCH)
        moved, transition = world.imagine(state, actions, 1.0, noise)
        for row in range(BATCH):
            one = slice(row, row + 1)
            alone, brought = world.imagine(state.rows(one), actions[one], 1.0, noise.rows(one))
            torch.testing.assert_close(alone.parts, moved.rows(one).parts, **CLOSE)
            torch.testing.assert_close(brought.reward, transition.reward[one], **CLOSE)
            assert brought.ending.equal(transition.ending[one])

    def test_the_compiled_model_agrees(self) -> None:
        """The model laid out for speed makes the same step, up to rounding."""
        world = self.make_world()
        state, actions, noise = self._moment(world), self._actions(world, BATCH), self._noise(world, BATCH)
        quick = replace(world, model=compiled(world.model))
        (plain, one), (packed, other) = (w.imagine(state, actions, 0.7, noise) for w in (world, quick))
        torch.testing.assert_close(plain.parts, packed.parts, **CLOSE)
        torch.testing.assert_close(one.outlook.endings, other.outlook.endings, **CLOSE)
        torch.testing.assert_close(one.reward, other.reward, **CLOSE)

    def test_temperature_zero_is_without_noise(self) -> None:
        """At temperature 0 the next z does not depend on the random numbers; at 1 it may."""
        world = self.make_world()
        state, actions = self._moment(world), self._actions(world, BATCH)
        cold = [world.imagine(state, actions, 0.0, self._noise(world, BATCH, seed))[0].z for seed in range(3)]
        assert cold[0].equal(cold[1]) and cold[0].equal(cold[2])

    def test_temperature_touches_the_prior_only(self) -> None:
        """H does not depend on the temperature of the step, and the z of reality on no temperature at all."""
        world = self.make_world()
        state, actions, noise = self._moment(world), self._actions(world, BATCH), self._noise(world, BATCH)
        cold, hot = (world.imagine(state, actions, temperature, noise)[0] for temperature in (0.1, 2.0))
        assert cold.h.equal(hot.h) and cold.carry.equal(hot.carry)

    def test_endings_are_probabilities_and_rewards_finite(self) -> None:
        """The outlook of a dreamed step has one probability and one reward for each way to end."""
        world = self.make_world()
        outlook = world.imagine(self._moment(world), self._actions(world, BATCH), 1.0, self._noise(world, BATCH))[
            1
        ].outlook
        kinds = 1 + len(world.config.endings)
        assert outlook.endings.shape == outlook.rewards.shape == (BATCH, kinds)
        assert ((outlook.endings >= 0) & (outlook.endings <= 1)).all() and outlook.rewards.isfinite().all()
        torch.testing.assert_close(outlook.endings.sum(1), torch.ones(BATCH), **CLOSE)

    def test_states_are_drawn_as_frames(self) -> None:
        """A state is drawn in the shape of the real environment's frames."""
        world = self.make_world()
        frames = world.decode(self._moment(world))
        assert frames.shape == (BATCH, *world.config.frame_shape) and frames.dtype == np.uint8

    def test_observations_lie_within_their_bounds(self) -> None:
        """Dreams stay within the observation space, hot ones too."""
        world = self.make_world()
        low, high = world.view.bounds(world.model, world.config.max_episode_steps)
        state = self._moment(world)
        for step in range(STEPS):
            state, _ = world.imagine(state, self._actions(world, BATCH, step), 3.0, self._noise(world, BATCH, step))
            seen = world.features(state).detach().numpy()
            assert ((seen >= low) & (seen <= high)).all()

    def test_a_saved_world_goes_on_the_same(self, tmp_path: Path) -> None:
        """A world that was saved and loaded makes the same step, up to half precision; again saved, the same bits."""
        world = self.make_world()
        save(world, tmp_path / "once")
        loaded = load(tmp_path / "once")
        save(loaded, tmp_path / "twice")
        again = load(tmp_path / "twice")
        state, actions, noise = self._moment(loaded), self._actions(world, BATCH), self._noise(world, BATCH)
        (first, brought), (second, _) = (w.imagine(state, actions, 0.0, noise) for w in (loaded, again))
        original, _ = world.imagine(state, actions, 0.0, noise)
        assert all(one.equal(other) for one, other in zip(first.parts, second.parts, strict=True))
        torch.testing.assert_close(original.h, first.h, rtol=1e-2, atol=1e-2)
        assert brought.reward.isfinite().all() and loaded.config.model == world.config.model

    def test_copies_go_on_the_same(self) -> None:
        """A deep copy makes the same step, bit for bit."""
        world = self.make_world()
        state, actions, noise = self._moment(world), self._actions(world, BATCH), self._noise(world, BATCH)
        for quick in (world, replace(world, model=compiled(world.model))):
            expected = quick.imagine(state, actions, 1.0, noise)[0].parts
            found = deepcopy(quick).imagine(state, actions, 1.0, noise)[0].parts
            assert all(one.equal(other) for one, other in zip(expected, found, strict=True))

    def _moment(self, world: World) -> State:
        return world.sample_start(self._noise(world, BATCH, 7), branched=0.5)

    def _noise(self, world: World, batch: int, seed: int = 0) -> Noise:
        return Noise.draw(batch, world.model.prior_noise, torch.Generator().manual_seed(seed))

    def _actions(self, world: World, count: int, seed: int = 0) -> Tensor:
        generator = np.random.default_rng(seed)
        return torch.from_numpy(np.stack([world.config.action.sample(generator) for _ in range(count)]))


class DreamContract(ABC):
    """What every dream environment keeps."""

    @abstractmethod
    def make_world(self) -> World:
        """Makes the world to dream in."""

    def test_gymnasium_accepts_it(self) -> None:
        """Gymnasium's own checker has nothing to say."""
        check_env(DreamEnv(self.make_world()), skip_render_check=True)

    def test_the_same_seed_gives_the_same_episode(self) -> None:
        """``reset(seed=s)`` fixes the whole episode, and another seed gives another one."""
        episodes = [self._play(DreamEnv(self.make_world()), seed) for seed in (3, 3, 4)]
        assert np.array_equal(episodes[0], episodes[1]) and not np.array_equal(episodes[0], episodes[2])

    def test_environment_i_of_a_vector_is_the_single_one_with_seed_s_plus_i(self) -> None:
        """The native vector is Gymnasium's synchronous vector of single dreams, resets and endings included."""
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
        """What follows a snapshot follows it again after :meth:`restore`."""
        env = DreamVectorEnv(self.make_world(), BATCH)
        env.reset(seed=1)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(STEPS)]
        snapshot = env.snapshot()
        once = [env.step(action)[0] for action in actions]
        env.restore(snapshot)
        again = [env.step(action)[0] for action in actions]
        np.testing.assert_array_equal(once, again)

    def _play(self, env: gym.Env, seed: int) -> np.ndarray:
        env.action_space.seed(0)
        seen = [env.reset(seed=seed)[0]]
        for _ in range(STEPS):
            observation, *_, terminated, truncated, _ = env.step(env.action_space.sample())
            seen.append(observation)
            if terminated or truncated:
                seen.append(env.reset()[0])
        return np.stack(seen[: STEPS + 1])


class PolicyContract(ABC):
    """What every kind of agent keeps: Stable-Baselines3's ``predict``."""

    @abstractmethod
    def make_policy(self) -> tuple[Policy, World]:
        """Makes an agent, and the world whose observations it sees."""

    def test_its_actions_are_in_the_space(self) -> None:
        """It acts on batches and on single observations, greedily and not."""
        policy, world = self.make_policy()
        space, seen = world.config.action.space, self._observations(world)
        for deterministic in (True, False):
            actions, _ = policy.predict(seen, None, np.ones(BATCH, bool), deterministic)
            assert len(actions) == BATCH and all(space.contains(action) for action in np.asarray(actions))
            single, _ = policy.predict(seen[0], deterministic=deterministic)
            assert space.contains(np.asarray(single, space.dtype))

    def test_greedy_actions_are_repeatable_and_do_not_depend_on_the_batch(self) -> None:
        """A greedy agent gives the same action to an observation, whatever stands beside it."""
        policy, world = self.make_policy()
        seen = self._observations(world)
        whole, again, alone = (policy.predict(part, None, None, True)[0] for part in (seen, seen, seen[1:2]))
        np.testing.assert_array_equal(whole, again)
        np.testing.assert_allclose(np.asarray(whole)[1:2], alone, rtol=1e-4, atol=1e-4)

    def _observations(self, world: World) -> np.ndarray:
        noise = Noise.draw(BATCH, world.model.prior_noise, torch.Generator().manual_seed(0))
        return world.features(world.sample_start(noise)).detach().numpy()


class VisionContract(ABC):
    """What every V keeps."""

    @abstractmethod
    def make_vision(self) -> Vision:
        """Makes a V, trained or not."""

    def test_frames_become_gaussians_over_z(self) -> None:
        """Means and log-variances of frames of any size, finite, in float32."""
        vision = self.make_vision().eval()
        height, width, _ = vision.config.frame_shape
        for shape in ((height, width), (height + 7, width + 3)):
            mean, log_variance = vision.encode(torch.randint(256, (3, *shape, 3), dtype=torch.uint8))
            assert mean.shape == log_variance.shape == (3, vision.config.latent_size)
            assert mean.dtype == torch.float32 and mean.isfinite().all() and log_variance.isfinite().all()

    def test_z_becomes_frames_of_any_size(self) -> None:
        """Drawings are uint8 frames of the shape that is asked for."""
        vision = self.make_vision().eval()
        z = torch.zeros(2, vision.config.latent_size)
        for shape in (vision.config.frame_shape, (11, 23, 3)):
            frames = vision.decode(z, shape)
            assert frames.shape == (2, *shape) and frames.dtype == torch.uint8

    def test_training_has_a_gradient_everywhere(self) -> None:
        """Every weight takes part in the reconstruction or in the posterior."""
        vision = self.make_vision().train()
        pixels = torch.rand(4, 3, *vision.config.frame_shape[:2])
        normal, generator = torch.randn(4, vision.config.latent_size), torch.Generator().manual_seed(0)
        mean, log_variance, output = vision(pixels, normal, generator)
        ((output - pixels).square().mean() + mean.square().mean() + log_variance.square().mean()).backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in vision.parameters())
