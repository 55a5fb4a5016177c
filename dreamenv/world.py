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
from dreamenv.models.base import Outlook, State, WorldModel
from dreamenv.models.heads import decide_ending
from dreamenv.models.latent import Latent
from dreamenv.models.noise import Noise
from dreamenv.models.view import Input, View
from dreamenv.recordings import Recording


@dataclass(frozen=True)
class Transition:
    """What a dreamed step brought besides its state.

    Attributes:
        reward: (B,) float32, in the real environment's units.
        ending: (B,) int64: 0 goes on, k > 0 is ``config.endings[k - 1]``.
        outlook: The probabilities and rewards that both were drawn from.
    """

    reward: Tensor
    ending: Tensor
    outlook: Outlook

    @property
    def terminated(self) -> Tensor:
        """(B,) bool: whether the world ended the episode."""
        return self.ending > 0

    @classmethod
    def cat(cls, transitions: Sequence[Transition]) -> Transition:
        """Joins batches."""
        reward, ending = (torch.cat([getattr(one, name) for one in transitions]) for name in ("reward", "ending"))
        return cls(reward, ending, Outlook.cat([one.outlook for one in transitions]))

    def rows(self, index: Tensor | slice) -> Transition:
        """Takes rows by (K,) int64 index or slice."""
        return Transition(self.reward[index], self.ending[index], self.outlook.rows(index))

    def spread(self, rows: Tensor, size: int) -> Transition:
        """Puts K rows at their (K,) int64 places among ``size``; the others are 0."""
        parts = (self.reward, self.ending, self.outlook.endings, self.outlook.rewards)
        reward, ending, *outlook = (part.new_zeros(size, *part.shape[1:]).index_copy(0, rows, part) for part in parts)
        return Transition(reward, ending, Outlook(*outlook))


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded episode of T steps, followed by a world model.

    Attributes:
        model: The world model.
        recording: The episode.
        states: Where it stood at each of its T + 1 frames.
        posteriors: What each z was drawn from, of batch shape (T + 1,).
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
        """The states that the T steps led to."""
        return self.states.rows(slice(1, None))

    @property
    def priors(self) -> Latent:
        """What the model expected of the z that each step led to, of batch shape (T,)."""
        return self.model.prior(self.after)

    @property
    def outlook(self) -> Outlook:
        """How the model expected each step to end, and what it expected it to pay, (T, K)."""
        return self.model.outlook(self.after, self.after.step / self.limit)


@dataclass(frozen=True, eq=False)
class Identity:
    """Which saved world some parts are; another config, model or bank beside them is another world.

    Attributes:
        sha256: See :func:`dreamenv.bundle.world_id`.
        config: Of the world that was loaded.
        model: Likewise.
        bank: Likewise.
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
        bank: Where dreams begin.
        view: What of a state agents see.
        path: The folder it was loaded from, if any.
        identity: Which saved world it is, if it was loaded.
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
        """Names the environment, the sizes and where the world came from."""
        sizes = f"z {self.model.latent_size}, h {self.model.hidden_size}"
        return f"World({self.config.env_id}, {sizes}, {self.bank.size} starts, from {self.path})"

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.bank.branches.z.device

    @property
    def feature_size(self) -> int:
        """F, the length of an agent's observation: Z + H for [z, h]."""
        return sum(self.view.sizes(self.model))

    def features(self, state: State) -> Tensor:
        """What an agent sees: (B, F) float32, [z, h] by default."""
        return self.view.features(state)

    def start(self, frames: Tensor, noise: Noise | None = None) -> State:
        """Begins episodes with real first frames, (B, H, W, 3) uint8, of any device; h is 0.

        For ``noise`` see :meth:`observe`.
        """
        return self._see(self.model.initial(len(frames)), frames, noise)

    def sample_start(self, noise: Noise, branched: float = 0.0) -> State:
        """Begins dreams with moments of the bank.

        Args:
            noise: One row per dream.
            branched: Probability of beginning in the middle of a real episode.

        Returns:
            States of batch size B; first frames are drawn anew from their posterior over z.
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
        """Moves on in reality: h from what was, z from the frame that came.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32, taken in ``state``.
            frames: (B, H, W, 3) uint8 that followed, of any device.
            noise: Random numbers that draw z from its posterior, as in World Models; None takes its mode. The model and
                the agents of its dream were trained on drawn ones.

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
        """Moves on in the dream: h from what was, z from the prior, reward and ending from the heads.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32.
            temperature: A number or (B,), non-negative, see :meth:`dreamenv.models.latent.Latent.sample`; endings are
                not tempered.
            noise: The random numbers of this step.
            mask: (B, H), multiplies the h that prior, endings and reward are read from: dropout. The recurrence and the
                next state keep h whole.

        Returns:
            The next state, and what the step brought.
        """
        moved = self.model.advance(state, action)
        read = moved if mask is None else replace(moved, h=moved.h * mask)
        tau = torch.as_tensor(temperature, dtype=moved.h.dtype, device=moved.h.device).expand(len(moved.h))

        def draw(prior: Latent) -> Tensor:
            return prior.draw(noise, tau)

        z, outlook = self.model.predict(read, moved.step / self.config.max_episode_steps, draw)
        ending = decide_ending(outlook.endings, self.config.ending_rules, noise.ending)
        reward = outlook.rewards.gather(1, ending[:, None]).squeeze(1)
        return replace(moved, z=z), Transition(reward, ending, outlook)

    def state_of(self, features: Tensor, step: Tensor) -> State:
        """The states that observations show; parts that agents do not see are 0.

        Args:
            features: (B, F) observations.
            step: Steps since the episodes began, (B,) int64.
        """
        state = replace(self.model.initial(len(features)), step=step)
        names = {"z": "z", "h": "h", "c": "carry"}
        parts = zip(self.view.inputs, features.split(self.view.sizes(self.model), dim=1), strict=True)
        return replace(state, **{names[name]: part for name, part in parts})

    @torch.no_grad()
    def follow(self, recordings: Sequence[Recording], seed: int | None = 0) -> list[Trace]:
        """Follows recorded episodes, as one batch; a dream can branch off any of their states.

        Args:
            recordings: The episodes.
            seed: Of the draws of z from its posterior at every frame; None takes the posteriors' modes.

        Returns:
            One trace for each.
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
        """Follows a recorded episode from its first frame; a dream can branch off where it stops.

        Args:
            frames: (T + 1, H, W, 3) uint8, of any device.
            action: (T,) int64 or (T, A) float32, taken between them.
            seed: Of the draws of z from its posterior at every frame.

        Returns:
            Where the episode stands after the last frame; batch size 1.
        """
        noise = Noise.draw(len(frames), self.model.posterior_noise, torch.Generator().manual_seed(seed))
        embedding = self.model.embed(frames.to(self.device))
        states, _ = self.model.follow([embedding], [action.to(self.device)], [noise.to(self.device)])[0]
        return states.rows(slice(-1, None))

    def decode(self, state: State) -> NDArray[np.uint8]:
        """Draws states as frames of the real environment's size, (B, H, W, 3) uint8."""
        return self.model.decode(state, self.config.frame_shape).cpu().numpy()


def showing(world: World, inputs: Sequence[Input]) -> World:
    """The same world with other observations, see :class:`dreamenv.models.view.View`."""
    return replace(world, view=View(tuple(inputs)))


def seen_by(world: World, agent: object) -> World:
    """The same world with the observations that an agent was trained on, if it says which."""
    return showing(world, getattr(agent, "inputs", world.view.inputs))
