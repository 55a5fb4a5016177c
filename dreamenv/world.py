"""A world: a world model, facts about the real environment, and a bank of real starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.config import WorldConfig
from dreamenv.foundation.errors import SettingsError
from dreamenv.models.bank import StartBank
from dreamenv.models.base import Outlook, State, Transition, WorldModel
from dreamenv.models.heads import decide_ending
from dreamenv.models.latent import Latent
from dreamenv.models.noise import Noise
from dreamenv.models.view import Input, View
from dreamenv.recordings import Recording


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded episode of T steps, followed by a world model.

    Attributes:
        model: The world model.
        recording: The episode.
        states: The states at its T + 1 frames.
        posteriors: The distributions that their z were drawn from, of batch shape (T + 1,).
        limit: The time limit, in steps.
    """

    model: WorldModel
    recording: Recording
    states: State
    posteriors: Latent
    limit: int

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.recording)

    @property
    def after(self) -> State:
        """The states after each of the T steps."""
        return self.states.rows(slice(1, None))

    @property
    @torch.no_grad()
    def priors(self) -> Latent:
        """The model's predictions of z after each step, of batch shape (T,)."""
        return self.model.prior(self.after)

    @property
    @torch.no_grad()
    def outlook(self) -> Outlook:
        """The model's predictions of ending and reward for each step, (T, kinds)."""
        return self.model.outlook(self.after, self.after.step / self.limit)


@dataclass(frozen=True, eq=False)
class Identity:
    """Identity of a world that was loaded; a world with another config, model or bank is another world.

    Attributes:
        sha256: See :func:`dreamenv.bundle.world_id`.
        config: Config of the loaded world.
        model: Its model.
        bank: Its bank.
    """

    sha256: str
    config: WorldConfig
    model: WorldModel
    bank: StartBank


@dataclass(frozen=True, eq=False, repr=False)
class World:
    """A trained world model with the verbs of a simulator.

    Attributes:
        config: Facts about the real environment, rules of endings, sizes of the model.
        model: The world model.
        bank: The real moments that dreams start from.
        view: The parts of a state that agents see.
        path: The folder it was loaded from, if any.
        identity: Its identity, if it was loaded.

    Raises:
        SettingsError: If its parts do not fit each other.
    """

    config: WorldConfig
    model: WorldModel
    bank: StartBank
    view: View = View()
    path: Path | None = None
    identity: Identity | None = None

    def __post_init__(self) -> None:
        """Refuses parts that do not fit each other."""
        config = self.config
        if len(set(config.endings)) != len(config.endings) or len(config.endings) != len(config.ending_rules):
            raise SettingsError(f"expected one rule per ending, got {config.endings} and {config.ending_rules}")
        self.bank.check(self.model)
        self.view.check(self.model)

    def __repr__(self) -> str:
        """Names the environment, the sizes and the folder."""
        sizes = f"z {self.model.latent_size}, h {self.model.hidden_size}"
        return f"World({self.config.env_id}, {sizes}, {self.bank.size} starts, from {self.path})"

    @property
    def device(self) -> torch.device:
        """Device of the bank, and of the model."""
        return self.bank.branches.z.device

    @property
    def feature_size(self) -> int:
        """F, the length of an agent's observation: Z + H for [z, h]."""
        return sum(self.view.sizes(self.model))

    def features(self, state: State) -> Tensor:
        """Observations of agents, (B, F) float32: [z, h] by default."""
        return self.view.features(state)

    def start(self, frames: Tensor, noise: Noise | None = None) -> State:
        """Starts real episodes; h is 0.

        Args:
            frames: First frames, (B, height, width, 3) uint8, on any device.
            noise: See :meth:`observe`.
        """
        return self._see(self.model.initial(len(frames)), frames, noise)

    def sample_start(self, noise: Noise, branched: float = 0.0) -> State:
        """Starts dreams at moments of the bank.

        Args:
            noise: One row per dream.
            branched: Probability of a start in the middle of a real episode.

        Returns:
            States of batch size B; the z of first frames are drawn from their posteriors.
        """
        first = (noise.uniform[:, 0] * self.bank.size).long()
        z = self.bank.first.rows(first).draw(noise)
        state = replace(self.model.initial(len(z)), z=z)
        if not branched or not len(self.bank.branches.step):
            return state
        branch = (noise.uniform[:, 0] * len(self.bank.branches.step)).long()
        chosen = torch.nonzero(noise.uniform[:, 1] < branched).flatten()
        return state.with_rows(chosen, self.bank.branches.rows(branch[chosen]))

    def observe(self, state: State, action: Tensor, frames: Tensor, noise: Noise | None = None) -> State:
        """Runs a real step: the recurrent step gives h, the new frame gives z.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32, taken in ``state``.
            frames: The frames that followed, (B, height, width, 3) uint8, on any device.
            noise: Random numbers that draw z from its posterior, as in World Models; z is the mode if None. The model
                and the agents of its dream were trained on drawn z.

        Returns:
            The next state.
        """
        return self._see(self.model.advance(state, action), frames, noise)

    def _see(self, state: State, frames: Tensor, noise: Noise | None) -> State:
        posterior = self.model.posterior(state, self.model.embed(frames.to(self.device)))
        return replace(state, z=posterior.draw(noise))

    def imagine(
        self, state: State, action: Tensor, temperature: float | Tensor, noise: Noise, mask: Tensor | None = None
    ) -> tuple[State, Transition]:
        """Runs a dreamed step: the recurrent step gives h, the prior gives z, the heads give reward and ending.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32.
            temperature: A number or (B,), non-negative, see :meth:`dreamenv.models.latent.Latent.sample`; endings are
                not tempered.
            noise: The random numbers of this step.
            mask: Dropout: (B, H) factors of the h that prior and heads read. The next state has the whole h.

        Returns:
            The next state, and the reward and ending of the step.
        """
        moved, outlook = self.foresee(state, action, temperature, noise, mask)
        ending = decide_ending(outlook.endings, self.config.ending_rules, noise.ending)
        reward = outlook.rewards.gather(1, ending[:, None]).squeeze(1)
        return moved, Transition(reward, ending, outlook)

    def foresee(
        self, state: State, action: Tensor, temperature: float | Tensor, noise: Noise, mask: Tensor | None = None
    ) -> tuple[State, Outlook]:
        """Runs a dreamed step up to the probabilities of its endings, for planning and learning in imagination.

        Args:
            state: Of batch size B.
            action: As for :meth:`imagine`.
            temperature: Likewise.
            noise: Likewise; its number for the ending is not read.
            mask: Likewise.

        Returns:
            The state after the step as if the episode went on, and the predicted endings and rewards of the step.
        """
        moved = self.model.advance(state, action)
        read = moved if mask is None else replace(moved, h=moved.h * mask)
        tau = torch.as_tensor(temperature, dtype=moved.h.dtype, device=moved.h.device).expand(len(moved.h))

        def draw(prior: Latent) -> Tensor:
            return prior.draw(noise, tau)

        z, outlook = self.model.predict(read, moved.step / self.config.max_episode_steps, draw)
        return replace(moved, z=z), outlook

    def state_of(self, features: Tensor) -> State:
        """Rebuilds states from observations; parts that agents do not see are 0.

        Args:
            features: (B, F) observations.
        """
        names = {"z": "z", "h": "h", "c": "carry", "step": "step"}
        split = zip(self.view.inputs, features.split(self.view.sizes(self.model), dim=1), strict=True)
        parts = {names[name]: part for name, part in split}
        if "step" in parts:
            parts["step"] = parts["step"][:, 0].round().long()
        return replace(self.model.initial(len(features)), **parts)

    @torch.no_grad()
    def follow(self, recordings: Sequence[Recording], seed: int | None = 0) -> list[Trace]:
        """Runs the model along recorded episodes, as one batch; a dream can start at any of the states.

        Args:
            recordings: The episodes.
            seed: Of the draws of z from its posterior at every frame; z is the mode if None.

        Returns:
            One trace for each episode.
        """
        generator, spec, noise = torch.Generator(), self.model.posterior_noise, None
        if seed is not None:
            generator.manual_seed(seed)
            noise = [Noise.draw(len(one) + 1, spec, generator).to(self.device) for one in recordings]
        moved = [one.to(self.device) for one in recordings]
        followed = self.model.follow([one.embedding for one in moved], [one.action for one in moved], noise)
        limit = self.config.max_episode_steps
        return [Trace(self.model, one, *found, limit) for one, found in zip(moved, followed, strict=True)]

    @torch.no_grad()
    def replay(self, frames: Tensor, action: Tensor, seed: int = 0) -> State:
        """Runs the model along a recorded episode; a dream can start at its last state.

        Args:
            frames: (T + 1, height, width, 3) uint8, on any device.
            action: (T,) int64 or (T, A) float32, taken between them.
            seed: Of the draws of z from its posterior at every frame.

        Returns:
            The state at the last frame, of batch size 1.
        """
        noise = Noise.draw(len(frames), self.model.posterior_noise, torch.Generator().manual_seed(seed))
        embedding = self.model.embed(frames.to(self.device))
        states, _ = self.model.follow([embedding], [action.to(self.device)], [noise.to(self.device)])[0]
        return states.rows(slice(-1, None))

    def decode(self, state: State) -> NDArray[np.uint8]:
        """Decodes states to frames of the real environment's size, (B, height, width, 3) uint8."""
        return self.model.decode(state, self.config.frame_shape).cpu().numpy()


def showing(world: World, inputs: Sequence[Input]) -> World:
    """Returns the world with other observations, see :class:`dreamenv.models.view.View`."""
    return replace(world, view=View(tuple(inputs)))


def seen_by(world: World, agent: object) -> World:
    """Returns the world with the agent's ``inputs`` as observations; unchanged if the agent has no such attribute."""
    return showing(world, getattr(agent, "inputs", world.view.inputs))
