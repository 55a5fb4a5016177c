"""CMA-ES in the dream: a whole population and all its episodes share one batch of dreams."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from tqdm import tqdm

from dreamenv.agents.dreams import DreamConfig, make_dreams
from dreamenv.agents.linear import LinearAgent, read_linear, save_linear
from dreamenv.agents.population import Population
from dreamenv.agents.prior import log_action_prior, mean_action_prior
from dreamenv.agents.registry import register_agent
from dreamenv.agents.store import check_kind
from dreamenv.bundle import as_world, world_id
from dreamenv.foundation.errors import DivergenceError, ResumeError, SettingsError
from dreamenv.foundation.files import write_json
from dreamenv.foundation.progress import progress
from dreamenv.foundation.ranges import Count, Natural, Range, Share
from dreamenv.foundation.seeds import SEEDING, spawn
from dreamenv.rollouts import rollout
from dreamenv.training.checkpoint import alone_in, differences
from dreamenv.world import World, showing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True, kw_only=True)
class EvolveConfig(DreamConfig):
    """How a linear controller is evolved; beside the settings of :class:`DreamConfig`.

    Attributes:
        generations: CMA-ES generations.
        population: Candidates per generation.
        episodes: Dreams per candidate; all candidates of a generation share their seeds.
        sigma: Initial step size.
        evaluation_every: Generations between evaluations of the distribution's mean on fixed seeds.
        evaluation_episodes: Dreams per evaluation.
        branched_starts: Share of dreams that begin in the middle of a real episode.
        hidden: Units of a hidden layer; 0 for a linear controller.
        one_output: A single output without bias, cut into the discrete actions; it knows no sampling.
    """

    generations: Count = 100
    population: Annotated[int, Range(2, integer=True)] = 64
    episodes: Count = 16
    sigma: Annotated[float, Range(0, without_low=True)] = 0.1
    evaluation_every: Count = 10
    evaluation_episodes: Count = 100
    branched_starts: Share = 0.0
    hidden: Natural = 0
    one_output: bool = False

    def __post_init__(self) -> None:
        """Refuses settings that do not fit each other."""
        super().__post_init__()
        if self.hidden and self.one_output:
            raise SettingsError(f"expected hidden 0 beside one_output, got {self.hidden}")


@dataclass(frozen=True)
class Evolution:
    """The record of a run: enough to repeat every ``tell`` and so to resume exactly.

    Attributes:
        config: Settings without ``generations``, which may grow.
        world: Identity of the world, see :func:`dreamenv.bundle.world_id`.
        fitness: Mean shaped dream return of every candidate, generation by generation.
        sigma: Step size after every generation.
        evaluations: Generation -> mean dream return of the distribution's mean, without any action penalty.
        seeding: How the run got its seeds, see :mod:`dreamenv.foundation.seeds`; 1 in records that do not say so.
    """

    config: dict[str, Any]
    world: str
    fitness: tuple[tuple[float, ...], ...] = ()
    sigma: tuple[float, ...] = ()
    evaluations: dict[int, float] = dataclasses.field(default_factory=dict)
    seeding: int = 1


def evolve(world: World | str | Path, folder: str | Path, config: EvolveConfig | None = None) -> LinearAgent:
    """Evolves a linear controller in a world's dream; goes on where an earlier call stopped.

    Args:
        world: The world to dream in, the name of a shipped one, or a folder.
        folder: Takes the agent (the distribution's mean), ``evolution.json`` and TensorBoard's event files.
        config: Settings.

    Returns:
        The agent.

    Raises:
        ResumeError: If the folder holds an evolution with other settings or in another world, or another process is
            at work there.
        DivergenceError: If a fitness, or what CMA-ES makes of it, is not finite. Nothing of that generation is
            written, and the same command repeats it.
        SettingsError: If a single output is to be cut into actions that are not discrete.
    """
    config, folder = config or EvolveConfig(), Path(folder)
    seen = showing(as_world(world), config.inputs)
    with alone_in(folder):
        check_kind(folder, "linear")
        return _evolve(seen, folder, config)


def _evolve(world: World, folder: Path, config: EvolveConfig) -> LinearAgent:
    from torch.utils.tensorboard import SummaryWriter

    record = _open_record(folder, world, config)
    strategy = _strategy(world, config)
    for fitness in record.fitness:
        strategy.tell(strategy.ask(), [-value for value in fitness])
    env = make_dreams(world, config, AutoresetMode.DISABLED, tensors=True)
    first = len(record.fitness)
    with SummaryWriter(str(folder), purge_step=first + 1) as writer:
        bar = progress(
            iterable=range(first, config.generations),
            initial=first,
            total=config.generations,
            unit="gen",
            desc="evolve",
        )
        for generation in bar:
            candidates = strategy.ask()
            fitness = _score(np.asarray(candidates), world, env, config, generation)
            _check_finite({f"the fitness of candidate {i}": value for i, value in enumerate(fitness)}, generation)
            strategy.tell(candidates, [-value for value in fitness])
            _check_finite({"the step size": strategy.sigma, "the mean": np.sum(strategy.mean)}, generation)
            record = _extend(record, fitness, strategy, world, env, config)
            _check_finite({f"the evaluation {i}": value for i, value in record.evaluations.items()}, generation)
            _log(writer, bar, record)
            writer.flush()  # or the log of a generation that is not repeated may be lost
            write_json(folder / "evolution.json", dataclasses.asdict(record))
            save_linear(_mean_agent(strategy, world, config), folder, world)
    agent = _mean_agent(strategy, world, config)
    save_linear(agent, folder, world)
    return agent


def initial_parameters(world: World, hidden: int = 0, one_output: bool = False) -> NDArray[np.float64]:
    """Zero weights, and biases that reproduce the world's action prior; see :func:`dreamenv.agents.linear.unpack`."""
    action = world.config.action
    if one_output:
        if not action.discrete:
            raise SettingsError(f"expected discrete actions to cut a single output into, got {action}")
        return np.zeros(world.feature_size)
    outputs = np.zeros((action.size, (hidden or world.feature_size) + 1))
    outputs[:, -1] = log_action_prior(world.config) if action.discrete else np.arctanh(mean_action_prior(world.config))
    return np.concatenate([np.zeros(hidden * (world.feature_size + 1)), outputs.flatten()])


def _score(
    candidates: NDArray, world: World, env: VectorEnv, config: EvolveConfig, generation: int
) -> tuple[float, ...]:
    """Mean shaped return of every candidate, on starts and noise that all candidates of a generation share."""
    seeds = spawn(config.seed, "dreams", config.episodes, generation) * len(candidates)
    draws = spawn(config.seed, "actions", 1, generation)[0]
    shape = (config.hidden, config.one_output)
    policy = Population(candidates, world.config.action, config.episodes, draws, world.device, *shape)
    returns = np.zeros(len(seeds))
    for outcome in rollout(env, policy, seeds):
        returns[outcome.index] = outcome.episode_return
    return tuple(float(value) for value in returns.reshape(len(candidates), -1).mean(1))


def _extend(
    record: Evolution,
    fitness: tuple[float, ...],
    strategy: Any,
    world: World,
    env: VectorEnv,
    config: EvolveConfig,
) -> Evolution:
    generation = len(record.fitness) + 1
    evaluations = dict(record.evaluations)
    if generation % config.evaluation_every == 0 or generation == config.generations:
        seeds = spawn(config.seed, "evaluation", config.evaluation_episodes)
        draws = spawn(config.seed, "evaluation actions", 1, generation)[0]
        parameters, action = np.asarray(strategy.mean)[None], world.config.action
        shape = (config.hidden, config.one_output)
        mean = Population(parameters, action, len(seeds), draws, world.device, *shape)
        unshaped = env.unwrapped  # a penalty guides the search; what it finds is scored without
        evaluations[generation] = float(np.mean([o.episode_return for o in rollout(unshaped, mean, seeds)]))
    sigma = (*record.sigma, float(strategy.sigma))
    return dataclasses.replace(record, fitness=(*record.fitness, fitness), sigma=sigma, evaluations=evaluations)


def _check_finite(values: Mapping[str, float], generation: int) -> None:
    for name, value in values.items():
        if not np.isfinite(value):
            raise DivergenceError(
                f"{name} is {value} in generation {generation} of evolve; expected finite numbers. Nothing of this was "
                f"saved: the same command goes on from generation {generation}"
            )


def _log(writer: SummaryWriter, bar: tqdm, record: Evolution) -> None:
    generation, fitness = len(record.fitness), record.fitness[-1]
    values = {"best": max(fitness), "mean": float(np.mean(fitness)), "sigma": record.sigma[-1]}
    if record.evaluations:
        values["evaluation"] = record.evaluations[max(record.evaluations)]
    for name, value in values.items():
        writer.add_scalar(f"evolve/{name}", value, generation)
    bar.set_postfix({name: f"{value:.3f}" for name, value in values.items()}, refresh=False)


def _strategy(world: World, config: EvolveConfig) -> Any:
    generator = np.random.default_rng(spawn(config.seed, "search", 1))
    randn: Callable[..., NDArray] = lambda *shape: generator.standard_normal(shape)  # noqa: E731
    options = {
        "popsize": config.population,
        "CMA_diagonal": True,
        "randn": randn,
        "seed": np.nan,  # any other value reseeds NumPy's global generator
        "verbose": -10,  # above that, cma reads a signals file from the working directory
        "tolfun": 0,
        "tolfunhist": 0,
        "tolstagnation": 1_000_000,
    }
    import cma  # slow to import, as it loads scipy

    return cma.CMAEvolutionStrategy(initial_parameters(world, config.hidden, config.one_output), config.sigma, options)


def _mean_agent(strategy: Any, world: World, config: EvolveConfig) -> LinearAgent:
    return LinearAgent.from_parameters(
        np.asarray(strategy.mean),
        world.config.action,
        inputs=config.inputs,
        hidden=config.hidden,
        one_output=config.one_output,
    )


def _open_record(folder: Path, world: World, config: EvolveConfig) -> Evolution:
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name != "generations"}
    fresh = Evolution(json.loads(json.dumps(settings)), world_id(world), seeding=SEEDING)
    path = folder / "evolution.json"
    if not path.exists():
        return fresh
    try:
        record = TypeAdapter(Evolution).validate_json(path.read_bytes(), extra="forbid")
    except ValidationError as error:
        raise ResumeError(f"{path} is not the record of an evolution: {error}") from None
    if (record.config, record.world, record.seeding) != (fresh.config, fresh.world, fresh.seeding):
        found, wanted = ({**e.config, "world": e.world[:12], "seeding": e.seeding} for e in (record, fresh))
        raise ResumeError(
            f"{path} belongs to a run with other settings: {differences(found, wanted)}; "
            f"choose another folder, or delete {folder} to begin anew"
        )
    return record


def _train(world: World, folder: Path, settings: EvolveConfig, source: object) -> LinearAgent:
    """Evolves; CMA-ES always begins anew, so that ``source`` is not used."""
    return evolve(world, folder, settings)


register_agent("linear", read=read_linear, settings=EvolveConfig, train=_train)
