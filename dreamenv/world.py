"""A world: V, M, its heads and a bank of real starts; it observes reality and imagines dreams with one state."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from dreamenv.bank import StartBank
from dreamenv.config import WorldConfig
from dreamenv.errors import SettingsError
from dreamenv.models import mdn
from dreamenv.models.heads import decide_ending
from dreamenv.models.memory import MDNRNN, Memory, State, Stepper, states_after
from dreamenv.models.packed import PackedMDNRNN
from dreamenv.models.vision import Vision, sample_latent
from dreamenv.noise import Noise

Input = Literal["z", "h", "c"]
Z_BOUND = 10.0  # ten standard deviations of the prior: never reached by a frame, a fence for hot dreams


@dataclass(frozen=True)
class Transition:
    """What a dreamed step brought besides its state.

    Attributes:
        reward: (B,) float32, in the real environment's units.
        ending: (B,) int64: 0 goes on, k > 0 is ``config.endings[k - 1]``.
    """

    reward: Tensor
    ending: Tensor

    @property
    def terminated(self) -> Tensor:
        """(B,) bool: whether the world ended the episode."""
        return self.ending > 0


class World:
    """A trained world model with the verbs of a simulator.

    Args:
        config: Sizes and facts of the real environment.
        vision: V.
        memory: M.
        bank: Where dreams begin.
        path: The folder it was loaded from, if any.
        identity: What it was when it was loaded, see :func:`dreamenv.bundle.world_id`.

    Attributes:
        inputs: What of a state agents see, in this order; see :meth:`showing`.
    """

    def __init__(
        self,
        config: WorldConfig,
        vision: Vision,
        memory: Memory,
        bank: StartBank,
        path: Path | None = None,
        identity: str | None = None,
    ) -> None:
        if len(set(config.endings)) != len(config.endings) or len(config.endings) != len(config.ending_rules):
            raise SettingsError(f"expected one rule per ending, got {config.endings} and {config.ending_rules}")
        bank.check(config.vision.latent_size, memory.hidden_size)
        self.config, self.vision, self.memory, self.bank = config, vision, memory, bank
        self.path, self.identity = path, identity
        self.inputs: tuple[Input, ...] = ("z", "h")
        self._stepper: Stepper = memory
        self._dtype = torch.float32

    def __repr__(self) -> str:
        """Names the environment, the sizes and where the world came from."""
        sizes = f"z {self.latent_size}, h {self.memory.hidden_size}"
        return f"World({self.config.env_id}, {sizes}, {len(self.bank.mean)} starts, from {self.path})"

    def packed(self, dtype: torch.dtype = torch.float32) -> World:
        """The same world laid out for speed, see :class:`dreamenv.models.packed.PackedMDNRNN`.

        An M of the paper's own kind stays as it is, in float32.

        Args:
            dtype: Of the matrix products of M and of V's encoder; with ``torch.int8`` V keeps to float32.

        Returns:
            A world that imagines and observes faster, and does not follow later changes of M's weights.

        Raises:
            SettingsError: If the type is int8 and the world is not on the processor.
        """
        other = copy(self)
        other._dtype = dtype
        other._stepper = PackedMDNRNN(self.memory, dtype) if isinstance(self.memory, MDNRNN) else self.memory
        return other

    def showing(self, inputs: Sequence[Input]) -> World:
        """The same world with other observations, such as [z], [h] or [z, c, h] (World Models compares them).

        Args:
            inputs: Names of parts of the state, each at most once.

        Raises:
            SettingsError: If they are others, or none.
        """
        if not inputs or len(set(inputs)) != len(inputs) or not set(inputs) <= set(get_args(Input)):
            raise SettingsError(f"expected some of {', '.join(get_args(Input))}, each once, got {inputs!r}")
        other = copy(self)
        other.inputs = tuple(inputs)
        return other

    def seen_by(self, agent: object) -> World:
        """The same world with the observations that an agent was trained on, if it says which."""
        return self.showing(getattr(agent, "inputs", self.inputs))

    def to(self, device: str | torch.device) -> World:
        """The same world on another device; as in :meth:`packed`, later changes are not followed.

        Args:
            device: As torch names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

        Raises:
            SettingsError: If torch does not have it.
        """
        if check_device(device) == self.device:
            return self
        bank = self.bank
        moved = StartBank(bank.mean.to(device), bank.log_variance.to(device), bank.branches.to(device))
        vision, memory = deepcopy(self.vision).to(device), deepcopy(self.memory).to(device)
        other = World(self.config, vision, memory, moved, self.path, self.identity).showing(self.inputs)
        plain = self._stepper is self.memory and self._dtype is torch.float32
        return other if plain else other.packed(self._dtype)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.bank.mean.device

    @property
    def latent_size(self) -> int:
        """Z."""
        return self.config.vision.latent_size

    @property
    def feature_size(self) -> int:
        """F, the length of an agent's observation: Z + H for [z, h]."""
        return sum(self._sizes)

    @property
    def feature_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of an observation, (F,) float32 each.

        z is cut at Z_BOUND, h lies in [-1, 1] as an LSTM's output, and c grows by less than 1 in a step.
        """
        bounds = {"z": Z_BOUND, "h": 1.0, "c": float(self.config.max_episode_steps)}
        high = np.repeat(np.array([bounds[name] for name in self.inputs], np.float32), self._sizes)
        return -high, high

    @property
    def _sizes(self) -> list[int]:
        return [self.latent_size if name == "z" else self.memory.hidden_size for name in self.inputs]

    def start(self, frames: Tensor, normal: Tensor | None = None) -> State:
        """Begins episodes with real first frames, (B, H, W, 3) uint8, of any device; h is 0.

        For ``normal`` see :meth:`observe`.
        """
        return self._start_at(self._encode(frames, normal))

    def _start_at(self, z: Tensor) -> State:
        h = z.new_zeros(len(z), self.memory.hidden_size)
        return State(z, h, h.clone(), torch.zeros(len(z), dtype=torch.int64, device=z.device))

    def sample_start(self, noise: Noise, branched: float = 0.0) -> State:
        """Begins dreams with moments of the bank.

        Args:
            noise: One row per dream.
            branched: Probability of beginning in the middle of a real episode.

        Returns:
            States of batch size B; first frames are drawn anew from their posterior over z.
        """
        first = (noise.uniform[:, 0] * len(self.bank.mean)).long()
        z = sample_latent(self.bank.mean[first], self.bank.log_variance[first], noise.normal)
        state = self._start_at(z.clamp(-Z_BOUND, Z_BOUND))
        if not branched or not len(self.bank.branches.step):
            return state
        branch = (noise.uniform[:, 0] * len(self.bank.branches.step)).long()
        chosen = torch.nonzero(noise.uniform[:, 1] < branched).flatten()
        return state.with_rows(chosen, self.bank.branches.rows(branch[chosen]))

    def observe(self, state: State, action: Tensor, frames: Tensor, normal: Tensor | None = None) -> State:
        """Moves on in reality: h from what was, z from the frame that came.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32, taken in ``state``.
            frames: (B, H, W, 3) uint8 that followed, of any device.
            normal: (B, Z) standard normal numbers that draw z from V's posterior, as in World Models; None takes its
                mean. M and the agents of its dream know drawn ones.

        Returns:
            The next state.
        """
        h, c = self._stepper.advance(state.z, action, state.h, state.c)
        return State(self._encode(frames, normal), h, c, state.step + 1)

    def _encode(self, frames: Tensor, normal: Tensor | None) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            mean, log_variance = self.vision.encode(frames.to(self.device))
        z = mean if normal is None else sample_latent(mean, log_variance, normal)
        return z.clamp(-Z_BOUND, Z_BOUND)

    @torch.no_grad()
    def replay(self, frames: Tensor, action: Tensor, seed: int = 0) -> State:
        """Follows a recorded episode from its first frame; a dream can branch off where it stops.

        Args:
            frames: (T + 1, H, W, 3) uint8, of any device.
            action: (T,) int64 or (T, A) float32, taken between them.
            seed: Of the draws of z from V's posterior of every frame.

        Returns:
            Where the episode stands after the last frame; batch size 1.
        """
        normal = torch.randn(len(frames), self.latent_size, generator=torch.Generator().manual_seed(seed))
        return states_after(self.memory, [self._encode(frames, normal.to(self.device))], [action.to(self.device)])

    def imagine(
        self, state: State, action: Tensor, temperature: float | Tensor, noise: Noise, mask: Tensor | None = None
    ) -> tuple[State, Transition]:
        """Moves on in the dream: h from what was, z from the prior, reward and ending from the heads.

        Args:
            state: Of batch size B.
            action: (B,) int64 or (B, A) float32.
            temperature: A number or (B,), non-negative, see :func:`dreamenv.models.mdn.sample`; endings are not
                tempered.
            noise: The random numbers of this step.
            mask: (B, H), multiplies the h that mixture, endings and reward are read from: dropout. The recurrence and
                the next state keep h whole.

        Returns:
            The next state, and what the step brought.
        """
        h, c = self._stepper.advance(state.z, action, state.h, state.c)
        step = state.step + 1
        outlook = self._stepper.outlook(h if mask is None else h * mask, step / self.config.max_episode_steps)
        temperature = torch.as_tensor(temperature, dtype=h.dtype, device=h.device).expand(len(h))
        z = mdn.sample(outlook.mixture, temperature, noise.uniform[:, 1:], noise.normal).clamp(-Z_BOUND, Z_BOUND)
        ending = decide_ending(outlook.endings, self.config.ending_rules, noise.uniform[:, 0])
        reward = outlook.rewards.gather(1, ending[:, None]).squeeze(1)
        return State(z, h, c, step), Transition(reward, ending)

    def features(self, state: State) -> Tensor:
        """What an agent sees: (B, F) float32, [z, h] by default."""
        return torch.cat([getattr(state, name) for name in self.inputs], dim=1)

    def decode(self, state: State, beside: Tensor | None = None) -> np.ndarray:
        """Draws states as frames of the real environment's size, (B, H, W, 3) uint8.

        Args:
            state: Of batch size B.
            beside: (B, H, W, 3) uint8 real frames, see :meth:`dreamenv.models.vision.Vision.decode`.

        Returns:
            The frames.
        """
        return self.vision.decode(state.z, self.config.frame_shape, beside).cpu().numpy()


def check_device(device: str | torch.device) -> torch.device:
    """Makes sure that torch can compute there.

    Raises:
        SettingsError: If it cannot.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"expected a device that torch has here, got {str(device)!r}: {error}") from None
