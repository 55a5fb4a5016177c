"""The contract of a world model's operations, see :class:`dreamenv.testing.WorldContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamenv.models.base import State, WorldModel
from dreamenv.models.latent import Z_BOUND, Latent
from dreamenv.models.noise import Noise, NoiseSpec
from dreamenv.world import World

STEPS, BATCH = 6, 4
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}  # rounding differs with the number of rows


class ModelContract(ABC):
    """What the operations of every kind of world model keep."""

    @abstractmethod
    def make_world(self) -> World:
        """Makes a world, trained or not, with at least one moment in the middle of an episode in its bank."""

    def make_frames(self, world: World, count: int) -> Tensor:
        """Makes frames of the real environment, (count, height, width, 3) uint8; random ones unless overridden."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(256, (count, *world.config.frame_shape), dtype=torch.uint8, generator=generator)

    @torch.no_grad()
    def test_episodes_begin_without_a_past(self) -> None:
        """Before the first frame all of a state is 0, and a start does not depend on earlier episodes."""
        world = self.make_world()
        model, frames = world.model, self.make_frames(world, BATCH)
        state = model.initial(BATCH)
        sizes = model.latent_size, model.hidden_size, model.carry_size
        assert [part.shape for part in state.parts] == [*((BATCH, size) for size in sizes), (BATCH,)]
        assert [part.dtype for part in state.parts] == [*[torch.float32] * 3, torch.int64]
        assert not any(part.any() for part in state.parts)
        first = world.start(frames)
        world.imagine(first, self._actions(world, BATCH), 1.0, self._noise(world, BATCH))
        again = world.start(frames)
        assert all(one.equal(other) for one, other in zip(first.parts, again.parts, strict=True))
        assert not (again.h.any() or again.carry.any() or again.step.any())

    @torch.no_grad()
    def test_a_step_moves_h_carry_and_step_alone(self) -> None:
        """``advance`` counts the step, keeps z and all shapes, and leaves its argument as it was."""
        world = self.make_world()
        state = self._moment(world)
        before = State.cat([state])  # a copy
        moved = world.model.advance(state, self._actions(world, BATCH))
        assert all(one.equal(other) for one, other in zip(state.parts, before.parts, strict=True))
        assert moved.z.equal(state.z) and moved.step.equal(state.step + 1)
        assert [(part.shape, part.dtype) for part in moved.parts] == [(part.shape, part.dtype) for part in before.parts]
        assert all(part.isfinite().all() for part in moved.parts)

    @torch.no_grad()
    def test_a_step_reads_the_action_and_z(self) -> None:
        """Other actions lead to other h, and so do other z."""
        world = self.make_world()
        state, noise = self._moment(world), self._noise(world, BATCH, 7)
        action = self._actions(world, BATCH)
        moved = world.model.advance(state, action)
        other_z = replace(state, z=world.start(self.make_frames(world, BATCH), noise).z.flip(0))
        found = [self._differs(moved, world.model.advance(other_z, action)) or other_z.z.equal(state.z)]
        others = [self._actions(world, BATCH, seed) for seed in range(1, 20)]
        found += [any(self._differs(moved, world.model.advance(state, other)) for other in others)]
        single = world.config.action.discrete and world.config.action.n == 1
        assert found[0], "expected h or carry to depend on z"
        assert found[1] or single, "expected h or carry to depend on the action"

    @torch.no_grad()
    def test_distributions_do_not_read_z(self) -> None:
        """Neither prior nor posterior reads the z of the state: both are there to draw it."""
        world = self.make_world()
        model, state = world.model, world.model.advance(self._moment(world), self._actions(world, BATCH))
        embedding, other = model.embed(self.make_frames(world, BATCH)), replace(state, z=1.0 - state.z.flip(0))
        for one, two in (
            (model.prior(state), model.prior(other)),
            (model.posterior(state, embedding), model.posterior(other, embedding)),
        ):
            assert all(part.equal(its) for part, its in zip(one.parts, two.parts, strict=True))

    @torch.no_grad()
    def test_draws_of_z(self) -> None:
        """Priors and posteriors draw z by as many random numbers as declared; without a temperature, at 1."""
        world = self.make_world()
        model, state = world.model, world.model.advance(self._moment(world), self._actions(world, BATCH))
        self._check_draws(model, model.prior(state), model.prior_noise)
        posterior = model.posterior(state, model.embed(self.make_frames(world, BATCH)))
        assert type(posterior) is model.posterior_kind
        self._check_draws(model, posterior, model.posterior_noise)

    def _check_draws(self, model: WorldModel, latent: Latent, spec: NoiseSpec) -> None:
        noise = Noise.draw(BATCH, spec, torch.Generator().manual_seed(0))
        uniform, normal, ones = noise.latent[:, : spec.uniform], noise.normal, torch.ones(BATCH)
        z = latent.sample(None, uniform, normal)
        assert z.shape == (BATCH, model.latent_size) and z.dtype == torch.float32 and z.isfinite().all()
        torch.testing.assert_close(latent.sample(ones, uniform, normal), z, **CLOSE)
        torch.testing.assert_close(latent.draw(noise), z.clamp(-Z_BOUND, Z_BOUND), **CLOSE)
        mode = latent.sample(0.0 * ones, uniform, normal)
        torch.testing.assert_close(latent.mode(), mode, **CLOSE)
        torch.testing.assert_close(latent.draw(None), mode.clamp(-Z_BOUND, Z_BOUND), **CLOSE)
        density = latent.log_probability(z)
        assert density.shape == (BATCH,) and density.isfinite().all()
        for index in range(BATCH):
            alone = latent.rows(slice(index, index + 1))
            torch.testing.assert_close(alone.log_probability(z[index, None]), density[index, None], **CLOSE)

    @torch.no_grad()
    def test_posteriors_read_the_frames(self) -> None:
        """Embeddings are float32, one for each frame alone, and other frames have other posteriors."""
        world = self.make_world()
        model, frames = world.model, self.make_frames(world, BATCH)
        embedding = model.embed(frames)
        assert embedding.dim() == 2 and len(embedding) == BATCH and embedding.dtype == torch.float32
        torch.testing.assert_close(torch.cat([model.embed(frames[i, None]) for i in range(BATCH)]), embedding, **CLOSE)
        state = model.initial(BATCH)
        one, other = model.posterior(state, embedding), model.posterior(state, embedding.flip(0))
        assert not all(part.equal(its) for part, its in zip(one.parts, other.parts, strict=True))

    @torch.no_grad()
    def test_predict_is_the_prior_and_the_outlook(self) -> None:
        """``predict`` draws z from the prior, then reads the outlook of the state with this z."""
        world = self.make_world()
        model, state = world.model, world.model.advance(self._moment(world), self._actions(world, BATCH))
        noise, elapsed = self._noise(world, BATCH), state.step / world.config.max_episode_steps
        z, outlook = model.predict(state, elapsed, lambda prior: prior.draw(noise))
        torch.testing.assert_close(z, model.prior(state).draw(noise), **CLOSE)
        expected = model.outlook(replace(state, z=z), elapsed)
        torch.testing.assert_close(outlook.endings, expected.endings, **CLOSE)
        torch.testing.assert_close(outlook.rewards, expected.rewards, **CLOSE)

    def _differs(self, one: State, other: State) -> bool:
        return not (one.h.equal(other.h) and one.carry.equal(other.carry))

    def _moment(self, world: World) -> State:
        return world.sample_start(self._noise(world, BATCH, 7), branched=0.5)

    def _noise(self, world: World, batch: int, seed: int = 0) -> Noise:
        return Noise.draw(batch, world.model.prior_noise, torch.Generator().manual_seed(seed))

    def _actions(self, world: World, count: int, seed: int = 0) -> Tensor:
        generator = np.random.default_rng(seed)
        return torch.from_numpy(np.stack([world.config.action.sample(generator) for _ in range(count)]))
