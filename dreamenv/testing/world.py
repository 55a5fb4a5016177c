"""The contract of world models, see :class:`dreamenv.testing.WorldContract`."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dreamenv.bundle import load, save
from dreamenv.engine.packed import compiled
from dreamenv.models.noise import Noise
from dreamenv.testing.model import BATCH, CLOSE, STEPS, ModelContract


class WorldContract(ModelContract):
    """What every kind of world model keeps, alone and as part of a world."""

    def test_reality_and_dream_share_h(self) -> None:
        """One real trajectory gives the same h through both verbs, if the dream gets the real z."""
        world = self.make_world()
        frames, actions = self.make_frames(world, STEPS + 1), self._actions(world, STEPS)
        real = dreamed = world.start(frames[:1])
        for index in range(STEPS):
            action = actions[index, None]
            dreamed, _ = world.imagine(replace(dreamed, z=real.z), action, 1.0, self._noise(world, 1, index))
            real = world.observe(real, action, frames[index + 1, None])
            torch.testing.assert_close((dreamed.h, dreamed.carry, dreamed.step), (real.h, real.carry, real.step))

    def test_following_is_step_by_step(self) -> None:
        """Following an episode in a batch, beside a shorter one, leads to the states of single steps."""
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
        """The compiled model makes the same step, up to rounding."""
        world = self.make_world()
        state, actions, noise = self._moment(world), self._actions(world, BATCH), self._noise(world, BATCH)
        quick = replace(world, model=compiled(world.model))
        (plain, one), (packed, other) = (w.imagine(state, actions, 0.7, noise) for w in (world, quick))
        torch.testing.assert_close(plain.parts, packed.parts, **CLOSE)
        torch.testing.assert_close(one.outlook.endings, other.outlook.endings, **CLOSE)
        torch.testing.assert_close(one.reward, other.reward, **CLOSE)

    def test_temperature_zero_is_without_noise(self) -> None:
        """At temperature 0 the next z does not depend on the random numbers."""
        world = self.make_world()
        state, actions = self._moment(world), self._actions(world, BATCH)
        cold = [world.imagine(state, actions, 0.0, self._noise(world, BATCH, seed))[0].z for seed in range(3)]
        assert cold[0].equal(cold[1]) and cold[0].equal(cold[2])

    def test_temperature_touches_the_prior_only(self) -> None:
        """The h of a step does not depend on its temperature."""
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
        """States are decoded in the shape of the real environment's frames."""
        world = self.make_world()
        frames = world.decode(self._moment(world))
        assert frames.shape == (BATCH, *world.config.frame_shape) and frames.dtype == np.uint8

    def test_observations_lie_within_their_bounds(self) -> None:
        """Dreams stay within the observation space, at high temperature too."""
        world = self.make_world()
        low, high = world.view.bounds(world.model, world.config.max_episode_steps)
        state = self._moment(world)
        for step in range(STEPS):
            state, _ = world.imagine(state, self._actions(world, BATCH, step), 3.0, self._noise(world, BATCH, step))
            seen = world.features(state).detach().numpy()
            assert ((seen >= low) & (seen <= high)).all()

    def test_a_saved_world_goes_on_the_same(self, tmp_path: Path) -> None:
        """A loaded world makes the same step, up to half precision; saved and loaded again, with the same bits."""
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
