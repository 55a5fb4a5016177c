"""The planner of PlaNet (Hafner et al. 2018): the cross-entropy method on imagined returns chooses every action."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.agents.plans import Plans, plans_of, shift
from dreamenv.agents.registry import register_agent
from dreamenv.agents.store import AgentConfig, check_kind, save_agent
from dreamenv.bundle import (
    CONFIG,
    as_world,
    build_world,
    dump_world_config,
    parse_config,
    parse_world_config,
    tensors_of,
)
from dreamenv.engine.blocks import CACHED
from dreamenv.engine.packed import compiled
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.foundation.seeds import spawn
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.noise import Noise, NoiseSpec
from dreamenv.world import World, showing

Value = Callable[[State], Tensor]
_ROWS_OF_ACCELERATOR = 2**16  # imagined at once there: enough to fill it, in bounded memory


@dataclass(frozen=True)
class Episodes:
    """The state of :meth:`Planner.predict`: where the episodes of a batch are.

    Attributes:
        index: Number of each episode, in the order in which episodes began, (B,) int64.
        begun: Episodes begun so far.
        plan: Centres of the last search, (B, H, ...); None without warm starts.
    """

    index: NDArray[np.int64]
    begun: int
    plan: Tensor | None


class Planner:
    """Plans every action anew in a world's dream, without a policy.

    It reads [z, h], the carry of a model that has one, and the step, so that an observation is a whole state of the
    world. Random numbers are computed from the seed, the episode's number and the step. Therefore an episode does not
    depend on the others of its batch, except for the rounding of matrix products, or if time is limited.

    Args:
        world: The world to plan in, the name of a shipped one, or a folder.
        config: Settings.
        value: Value (B,) of states (B rows), added at the end of a plan for all later rewards; none if None. It is not
            stored with the agent.

    Attributes:
        world: The world, with the agent's observations.
        config: The settings.
        inputs: What the agent sees of a state.
    """

    def __init__(
        self, world: World | str | Path, config: PlannerConfig | None = None, value: Value | None = None
    ) -> None:
        world = as_world(world)
        self.config = config or PlannerConfig()
        self.world = showing(world, ("z", "h", "c", "step") if world.model.carry_size else ("z", "h", "step"))
        self.inputs = self.world.view.inputs
        self._compiled = replace(self.world, model=compiled(self.world.model))
        self._value = value
        self._rows = CACHED.size if world.device.type == "cpu" else _ROWS_OF_ACCELERATOR
        self.set_random_seed(self.config.seed)

    @property
    def stochastic(self) -> bool:
        """Whether actions that are not greedy differ from greedy ones."""
        return self.world.config.action.discrete or self.config.exploration > 0.0

    def set_random_seed(self, seed: int) -> None:
        """Replaces the seed of the settings."""
        self._seed = seed

    @torch.inference_mode()
    def predict(
        self,
        observation: NDArray,
        state: Episodes | None = None,
        episode_start: NDArray | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray, Episodes]:
        """Chooses actions; see :class:`dreamenv.rollouts.Policy`.

        Without ``state`` every episode begins; without ``episode_start`` as well, all have the same random numbers.

        Raises:
            SettingsError: If the observations are not (B, F) or (F,), or the state is that of another batch.
        """
        features = torch.as_tensor(np.atleast_2d(observation), dtype=torch.float32)
        if features.shape[1:] != (self.world.feature_size,):
            seen = ", ".join(self.inputs)
            raise SettingsError(
                f"expected observations (B, {self.world.feature_size}) of {seen}, got {np.shape(observation)}; "
                "environments of the planner's world show them"
            )
        begins = np.zeros(len(features), bool) if episode_start is None else np.asarray(episode_start, bool)
        episodes = self._continue(state, begins, alone=episode_start is None)
        now = self.world.state_of(features.to(self.world.device))
        generators = [
            np.random.default_rng(spawn(self._seed, "plans", 1, index, step))
            for index, step in zip(episodes.index.tolist(), now.step.tolist(), strict=True)
        ]
        plans = self._search(now, self._first_plans(episodes, begins), generators)
        actions = plans.first(None if deterministic else generators, self.config.exploration)
        after = replace(episodes, plan=plans.centre if self.config.warm_start else None)
        return (actions if np.ndim(observation) > 1 else actions[0]), after

    def _continue(self, state: Episodes | None, begins: NDArray[np.bool_], alone: bool) -> Episodes:
        """Numbers the episodes that begin; without a state all do, and all are number 0 if ``alone``."""
        batch = len(begins)
        if state is None:
            return Episodes(np.zeros(batch, np.int64) if alone else np.arange(batch), 1 if alone else batch, None)
        if len(state.index) != batch:
            raise SettingsError(f"expected the state of a batch of {batch}, got that of {len(state.index)}")
        index = np.where(begins, state.begun + begins.cumsum() - 1, state.index)
        return Episodes(index, state.begun + int(begins.sum()), state.plan)

    def _first_plans(self, episodes: Episodes, begins: NDArray[np.bool_]) -> Plans:
        """The distributions with which a search begins: wide ones, or around the previous plan of an episode."""
        action, kind = self.world.config.action, plans_of(self.world.config.action)
        centre = kind.middle(action, len(begins), self.config.horizon)
        if episodes.plan is not None:
            wide = torch.from_numpy(begins).view(-1, 1, 1)
            centre = torch.where(wide, centre, shift(episodes.plan, centre[:, :1]))
        return kind.around(action, self.config.smoothing, centre)

    def _search(self, state: State, plans: Plans, generators: Sequence[np.random.Generator]) -> Plans:
        """Refits the distributions, block by block of environments, until all iterations are done or time is up."""
        begin, size = time.monotonic(), max(1, self._rows // self.config.candidates)
        blocks = [slice(first, first + size) for first in range(0, len(generators), size)]
        parts = [plans.rows(rows) for rows in blocks]
        for _ in range(self.config.iterations):
            parts = [
                self._iterate(state.rows(rows), part, generators[rows])
                for rows, part in zip(blocks, parts, strict=True)
            ]
            if self.config.seconds is not None and time.monotonic() - begin >= self.config.seconds:
                break
        return plans.cat(parts)

    def _iterate(self, state: State, plans: Plans, generators: Sequence[np.random.Generator]) -> Plans:
        """Draws, scores and refits once, for a block of environments."""
        drawn = plans.draw(generators, self.config.candidates)
        parts = [self._score(state, plans.to_actions(part), generators) for part in drawn.split(self._rows, 1)]
        best = torch.cat(parts, 1).topk(self.config.elites, 1).indices.cpu()
        return plans.refit(drawn[torch.arange(len(drawn))[:, None], best])

    def _score(self, state: State, plans: NDArray, generators: Sequence[np.random.Generator]) -> Tensor:
        """Imagined returns (B, J) of (B, J, H, ...) plans; row b J + j of the imagined batch is plan j of state b."""
        (batch, count), device = plans.shape[:2], self.world.device
        rows = torch.arange(batch, device=device).repeat_interleave(count)
        spec = self._compiled.model.prior_noise
        found = imagined_returns(
            self._compiled,
            state.rows(rows),
            torch.from_numpy(plans).to(device).flatten(0, 1),
            lambda: _draw(spec, generators, count).to(device),
            temperature=self.config.temperature,
            discount=self.config.discount,
            value=self._value,
        )
        return found.view(batch, count)


def imagined_returns(
    world: World,
    state: State,
    actions: Tensor,
    draw: Callable[[], Noise],
    *,
    temperature: float = 1.0,
    discount: float = 1.0,
    value: Value | None = None,
) -> Tensor:
    """Expected returns of plans along one trajectory of the prior each.

    The sum over steps t of discount^t * survival_t * expected reward_t, where survival_t is the product of the
    predicted probabilities that steps 0 to t - 1 do not end the episode. Steps after the real time limit pay nothing.

    Args:
        world: The world to plan in.
        state: States of R rows.
        actions: (R, H) int64 or (R, H, A) float32.
        draw: Returns the random numbers of a step, of R rows.
        temperature: Of the prior.
        discount: Of rewards, from one step to the next.
        value: As for :class:`Planner`; multiplied by discount^H * survival_H, and 0 at the time limit.

    Returns:
        (R,) float32.
    """
    limit = world.config.max_episode_steps
    weight = torch.ones_like(state.h[:, 0])
    total = torch.zeros_like(weight)
    for step in range(actions.shape[1]):
        weight = torch.where(state.step < limit, weight, 0.0)
        state, outlook = world.foresee(state, actions[:, step], temperature, draw())
        total += weight * outlook.expected_reward
        weight = weight * discount * outlook.endings[:, 0]
    if value is not None:
        total += torch.where(state.step < limit, weight, 0.0) * value(state)
    return total


def _draw(spec: NoiseSpec, generators: Sequence[np.random.Generator], count: int) -> Noise:
    """Random numbers of one step of ``count`` candidates for each environment, by its own generator."""
    uniform = [generator.random((count, spec.columns), np.float32) for generator in generators]
    normal = [generator.standard_normal((count, spec.normal), np.float32) for generator in generators]
    return Noise(torch.from_numpy(np.concatenate(uniform)), torch.from_numpy(np.concatenate(normal)))


def save_planner(folder: str | Path, world: World | str | Path, config: PlannerConfig | None = None) -> Planner:
    """Makes a planner and writes it, with the weights of its world model as bundles hold them.

    Args:
        folder: Takes the agent; a planner in it is replaced as a whole or not at all.
        world: As for :class:`Planner`.
        config: Settings.

    Returns:
        The planner.

    Raises:
        ResumeError: If the folder holds an agent of another kind.
        StorageError: If writing fails.
    """
    planner = Planner(world, config)
    check_kind(Path(folder), "planner")
    world, bank = planner.world, planner.world.bank
    only = StartBank(bank.first.rows(slice(1)), bank.branches.rows(slice(0)))  # a plan needs no start
    details = {"planner": asdict(planner.config), "world": dump_world_config(world.config)}
    save_agent(Path(folder), AgentConfig.of("planner", world, details=details), tensors_of(replace(world, bank=only)))
    return planner


def read_planner(config: AgentConfig, tensors: dict[str, Tensor]) -> Planner:
    """Builds a planner from its files.

    Raises:
        BundleError: If they do not fit each other.
    """
    try:
        settings, facts = (json.dumps(config.details[name]).encode() for name in ("planner", "world"))
        path = Path(CONFIG)
        world = build_world(parse_world_config(facts, path), tensors)
        planner = Planner(world, parse_config(settings, PlannerConfig, path))
    except BundleError:
        raise
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"not a planner: {error}") from None
    _check_facts(config, planner.world)
    return planner


def _check_facts(config: AgentConfig, world: World) -> None:
    own: dict[str, Any] = {
        "env_id": world.config.env_id,
        "feature_size": world.feature_size,
        "action": world.config.action,
        "inputs": world.view.inputs,
    }
    stored = {name: getattr(config, name) for name in own}
    wrong = [f"{name} {value}, got {stored[name]}" for name, value in own.items() if stored[name] != value]
    if wrong:
        raise BundleError(f"not a planner of its world: expected {'; '.join(wrong)}")


def _make(world: World, folder: Path, settings: PlannerConfig, source: Any) -> Planner:
    return save_planner(folder, world, settings)


register_agent("planner", read=read_planner, settings=PlannerConfig, train=_make)
