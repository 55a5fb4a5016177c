"""The commands: each calls the package, says what was written and what to do next."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from gymnasium.vector import AutoresetMode

from dreamenv.agents.evolve import EvolveConfig, evolve
from dreamenv.agents.load import load_agent
from dreamenv.agents.ppo import PPOConfig, train_ppo
from dreamenv.agents.sb3 import SB3Agent
from dreamenv.agents.store import check_kind, find_agent, read_agent
from dreamenv.agents.vote import VotingAgent, save_vote
from dreamenv.bundle import copy_bundle, load, world_id
from dreamenv.data.collect import CollectConfig, collect
from dreamenv.data.endings import ending_kinds
from dreamenv.data.store import FAILURES, EpisodeStore
from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.evaluate.choose import ChooseConfig, choose
from dreamenv.evaluate.compare import CompareConfig, compare
from dreamenv.evaluate.rounds import best_round
from dreamenv.evaluate.scores import score
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.files import write_json
from dreamenv.foundation.manifest import MANIFEST
from dreamenv.foundation.recipe import EnvRecipe, parse_kwargs
from dreamenv.foundation.seeds import spawn
from dreamenv.recordings import record
from dreamenv.reports.film import write_film
from dreamenv.reports.horizon import HorizonConfig, OpenLoop, open_loop, score_by_sight
from dreamenv.reports.inspect import inspect
from dreamenv.reports.plots import plot_comparison, plot_horizons, plot_rounds, plot_strip
from dreamenv.reports.results import InspectConfig
from dreamenv.reports.summary import report
from dreamenv.reports.table import inspection_table
from dreamenv.reports.tables import (
    comparison_table,
    groups_table,
    memory_table,
    open_loop_table,
    rounds_table,
    scores_table,
    trust_facts,
    trust_table,
    vision_table,
    write_comparison,
)
from dreamenv.rollouts import Policy
from dreamenv.rounds import IterateConfig, iterate
from dreamenv.training.mdnrnn import TrainConfig
from dreamenv.training.world import train
from dreamenv.verdict.trust import TrustConfig, trust
from dreamenv.world import World, seen_by, showing

DREAMS = 100  # that a finished training is tried in
Flat = tyro.conf.arg(name="")
Texts = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction]  # several at once, or the option again


def collect_command(
    env: str,
    world: Path,
    env_kwargs: Texts = (),
    wrappers: Texts = (),
    config: Annotated[CollectConfig, Flat] = CollectConfig(),  # noqa: B008
) -> None:
    """Collect real episodes with exploring policies.

    Args:
        env: Gymnasium id of the real environment; module:id for one that a module registers.
        world: Folder of the world to be.
        env_kwargs: Arguments of the environment, key=value; values are JSON, else strings.
        wrappers: Functions or classes that wrap the environment, module:name, such as
            gymnasium.wrappers:AddRenderObservation.
        config: Settings.
    """
    store = collect(_recipe(env, env_kwargs, wrappers), world / "episodes", config)
    successes = ending_kinds(store).count("better")
    _say(f"{store.num_frames:,} frames, {len(store):,} episodes, {successes} successes in {store.folder}")
    if store.failures:
        _say(f"failed episodes, set aside: {len(store.failures)}, see {store.folder / FAILURES}")
    if not successes:
        _say("no episode ended with more reward than its steps pay: where the task has a goal, dreams will not have it")
    _next(["train", "--world", world])


def train_command(
    world: Path,
    device: str = "cpu",
    config: Annotated[TrainConfig, Flat] = TrainConfig(),  # noqa: B008
) -> None:
    """Train V and M on the collected episodes, and report on held-out ones.

    Args:
        world: Folder with the episodes; takes the world.
        device: Where to train, as torch names it: cpu, cuda.
        config: Settings.
    """
    trained = train(world, config, device=device)
    result = report(trained, EpisodeStore(world / "episodes"), world / "training")
    vision = "" if result.vision is None else f"{vision_table(result.vision)}\n\n"
    _say(f"{vision}{memory_table(result.memory, result.learned)}\n")
    _say(f"world in {world}; report.json and reconstructions.png in {world / 'training'}")
    _next(["evolve", "--world", world], ["ppo", "--world", world])


def evolve_command(
    world: str,
    agent: Path | None = None,
    device: str = "cpu",
    config: Annotated[EvolveConfig, Flat] = EvolveConfig(),  # noqa: B008
) -> None:
    """Evolve a linear controller with CMA-ES in the dream.

    Args:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder for the agent; agents/linear in the world's folder by default.
        device: Where to dream and train, as torch names it: cpu, cuda.
        config: Settings.
    """
    folder, loaded = agent or _home(world) / "agents" / "linear", load(world, device)
    evolved = evolve(loaded, folder, config)
    _say(f"linear controller in {folder}")
    _say_dreamed(loaded, evolved, config.seed)
    _next(["compare", "--world", world, "--agent", folder])


def ppo_command(
    world: str,
    agent: Path | None = None,
    device: str = "cpu",
    config: Annotated[PPOConfig, Flat] = PPOConfig(),  # noqa: B008
) -> None:
    """Train Stable-Baselines3's PPO in the dream.

    Args:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder for the agent; agents/ppo in the world's folder by default.
        device: Where to dream and train, as torch names it: cpu, cuda.
        config: Settings.
    """
    folder, loaded = agent or _home(world) / "agents" / "ppo", load(world, device)
    trained = train_ppo(loaded, folder, config)
    _say(f"PPO agent after {config.timesteps * config.action_repeat:,} dream steps in {folder}")
    _say_dreamed(loaded, trained, config.seed)
    _next(["compare", "--world", world, "--agent", folder])


def _say_dreamed(world: World, agent: Policy, seed: int) -> None:
    """Says what an agent gets in the dream it was trained in, and whether that is nothing."""
    env = DreamVectorEnv(seen_by(world, agent), DREAMS, autoreset_mode=AutoresetMode.DISABLED)
    seeds = spawn(seed, "evaluation", DREAMS)
    found = score(env, agent, seeds, world.config, name="greedy", deterministic=True)
    success = "" if found.success is None else f"success {found.success:.2f}, "
    _say(f"in {DREAMS} greedy dreams: {success}return {found.mean:.3f} ({found.low:.3f} to {found.high:.3f})")
    if found.success == 0.0:
        _say("it met no good ending there, so it has hardly learned: try another --seed, or a longer training")


def compare_command(
    world: str,
    agent: str,
    out: Path | None = None,
    config: Annotated[CompareConfig, Flat] = CompareConfig(),  # noqa: B008
) -> None:
    """Score an agent in the dream, by temperature, and in reality.

    Args:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder of an agent, or the name of one that ships, such as sidewalk/linear.
        out: Folder for the results; compare/AGENT in the world's folder by default.
        config: Settings.
    """
    loaded = load(world)
    actor, folder = _agent_of(loaded, agent), out or _home(world) / "compare" / Path(agent).name
    home = _home(world)
    beside = folder if home.exists() and not os.access(home, os.W_OK) else home
    comparison = compare(loaded, actor, config, name=agent, baselines=beside / "baselines")
    write_comparison(comparison, folder)
    plot_comparison(comparison, folder / "comparison.png")
    write_film(loaded, actor, folder / "film.gif", seed=config.seed, temperature=loaded.config.temperature)
    _say(f"\n{comparison_table(comparison)}\n")
    if comparison.groups:
        _say(f"{groups_table(comparison.groups)}\n")
    _say(f"comparison.json, comparison.csv, comparison.png and film.gif in {folder}")


def choose_command(
    world: str,
    agents: tuple[str, ...],
    keep: Path,
    config: Annotated[ChooseConfig, Flat] = ChooseConfig(),  # noqa: B008
) -> None:
    """Try agents in reality, on validation seeds, and keep a copy of the best.

    Args:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agents: Folders of agents of this world, or names of shipped ones, such as sidewalk/linear.
        keep: Folder for the copy.
        config: Settings.
    """
    loaded = load(world)
    scores = choose(loaded, {agent: _agent_of(loaded, agent) for agent in agents}, config)
    best = next(iter(scores))
    copy_bundle(find_agent(best), keep)
    write_json(keep / "choice.json", {name: dataclasses.asdict(score) for name, score in scores.items()})
    _say(f"\n{scores_table(scores.values())}\n")
    _say(f"{best} copied to {keep}, all scores in {keep / 'choice.json'}")
    _next(["compare", "--world", world, "--agent", keep])


def vote_command(members: tuple[str, ...], agent: Path) -> None:
    """Make one agent of several that were trained alike but for their seed: their mean probabilities decide.

    Args:
        members: Folders of PPO agents of one world.
        agent: Folder for the voting agent.
    """
    check_kind(agent, "vote")
    save_vote(VotingAgent([_sb3_agent(member) for member in members]), agent)
    _say(f"{len(members)} agents vote in {agent}")


def _sb3_agent(name: str) -> SB3Agent:
    agent = load_agent(name)
    if not isinstance(agent, SB3Agent):
        raise SettingsError(f"expected agents of Stable-Baselines3, such as those of dreamenv ppo; {name} is none")
    return agent


def iterate_command(
    env: str,
    world: Path,
    env_kwargs: Texts = (),
    wrappers: Texts = (),
    config: Annotated[IterateConfig, Flat] = IterateConfig(),  # noqa: B008
) -> None:
    """Collect, train, dream and compare in rounds; the agent of a round collects for the next.

    Args:
        env: Gymnasium id of the real environment; module:id for one that a module registers.
        world: Folder of the world to be; keeps the round that was best in reality.
        env_kwargs: Arguments of the environment, key=value; values are JSON, else strings.
        wrappers: Functions or classes that wrap the environment, module:name.
        config: Settings.
    """
    rounds = iterate(_recipe(env, env_kwargs, wrappers), world, config)
    plot_rounds(rounds, world / "rounds.png")
    agent = world / "agents" / config.agent_name
    _say(f"\n{rounds_table(rounds)}\n")
    _say(f"world of round {best_round(rounds).number} in {world}, its agent in {agent}; rounds.png in {world}")
    _next(["compare", "--world", world, "--agent", agent])


def horizon_command(
    world: str,
    agent: str,
    out: Path | None = None,
    config: Annotated[HorizonConfig, Flat] = HorizonConfig(),  # noqa: B008
) -> None:
    """Show from which horizon on a dream fails: real frames seen rarely, and open-loop predictions.

    Args:
        world: Folder of a world, or the name of one that ships, such as sidewalk. Open-loop predictions need the
            folder's episodes.
        agent: Folder of an agent, or the name of one that ships, such as sidewalk/linear.
        out: Folder for the results; horizon/AGENT in the world's folder by default.
        config: Settings.
    """
    loaded = load(world)
    actor = _agent_of(loaded, agent)
    folder, episodes = out or _home(world) / "horizon" / Path(agent).name, _home(world) / "episodes"
    loops: tuple[OpenLoop, ...] = ()
    if episodes.is_dir():
        _, held_out = EpisodeStore(episodes).split()
        traces = loaded.follow(record(loaded.model, held_out, loaded.config), seed=None)
        loops = open_loop(loaded, traces, config)
        _say(f"{open_loop_table(loops)}\n")
    else:
        _say(f"no open-loop predictions: there are no recorded episodes in {episodes}")
    sight = score_by_sight(loaded, actor, config)
    scores = {str(every): dataclasses.asdict(score) for every, score in sight.items()}
    write_json(folder / "horizon.json", {"sight": scores, "open_loop": [dataclasses.asdict(loop) for loop in loops]})
    plot_horizons(sight, loops, folder / "horizon.png")
    _say(f"\n{scores_table(sight.values())}\n")
    _say(f"horizon.json and horizon.png in {folder}")


def trust_command(
    world: str,
    agent: str,
    episodes: Path | None = None,
    out: Path | None = None,
    config: Annotated[TrustConfig, Flat] = TrustConfig(),  # noqa: B008
) -> None:
    """Say whether an agent's dream can be believed: green, amber, red, or that the records cannot tell, with reasons.

    Args:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder of an agent, or the name of one that ships, such as sidewalk/linear.
        episodes: Folder of the recorded real episodes; episodes in the world's folder by default.
        out: Folder for the results; trust/AGENT in the world's folder by default.
        config: Settings.
    """
    folder, loaded = out or _home(world) / "trust" / Path(agent).name, load(world)
    records = _episodes_of(loaded, episodes or _home(world) / "episodes")
    result = trust(loaded, _agent_of(loaded, agent), records, config)
    write_json(folder / "trust.json", trust_facts(result))
    plot_strip(result.strip, folder / "strip.png")
    _say(f"\n{trust_table(result)}\n")
    _say(f"trust.json, and strip.png with the strangest moments, in {folder}")


def inspect_command(
    world: str,
    episodes: Path | None = None,
    out: Path | None = None,
    config: Annotated[InspectConfig, Flat] = InspectConfig(),  # noqa: B008
) -> None:
    """Look into a world: a page with every diagnostic of V, M, heads and agents, and what good looks like.

    Args:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        episodes: Folder of recorded real episodes; episodes in the world's folder by default.
        out: Folder for the results; inspection in the world's folder by default.
        config: Settings.
    """
    home, loaded = _home(world), load(world)
    folder = out or home / "inspection"
    result = inspect(loaded, _episodes_of(loaded, episodes or home / "episodes"), folder, config, logs=home)
    _say(f"\n{inspection_table(result)}\n")
    _say(f"inspection.html, a page to open in a browser, and inspection.json in {folder}")


COMMANDS: dict[str, Any] = {
    "collect": collect_command,
    "train": train_command,
    "evolve": evolve_command,
    "ppo": ppo_command,
    "vote": vote_command,
    "choose": choose_command,
    "compare": compare_command,
    "iterate": iterate_command,
    "horizon": horizon_command,
    "trust": trust_command,
    "inspect": inspect_command,
}


def _home(world: str) -> Path:
    """Where results for a world go: its own folder, or runs/NAME for one that ships."""
    return Path(world) if (Path(world) / MANIFEST).is_file() else Path("runs") / world


def _agent_of(world: World, name: str) -> Policy:
    """Loads an agent; says so if it was trained in another world.

    Raises:
        SettingsError: If it is for another environment, or a world of another size.
    """
    facts = read_agent(name)[0]
    if facts.env_id != world.config.env_id:
        raise SettingsError(f"expected an agent for {world.config.env_id}, got one for {facts.env_id} in {name}")
    if facts.feature_size != (size := showing(world, facts.inputs).feature_size):
        raise SettingsError(f"expected an agent for {size} features, got one for {facts.feature_size} in {name}")
    if facts.world != (own := world_id(world)):
        note = (
            f"note: {name} was trained in world {facts.world[:12]}, this is {own[:12]}: [z, h] may mean something else"
        )
        print(note, file=sys.stderr)
    return load_agent(name)


def _episodes_of(world: World, folder: Path) -> EpisodeStore:
    """Opens the recorded episodes of a world.

    Raises:
        SettingsError: If there are none, as worlds that ship have none.
    """
    if not folder.is_dir():
        collect = _shell_command(["collect", *_env_options(world.config.recipe), "--world", folder.parent])
        raise SettingsError(
            f"expected recorded episodes in {folder}, got none: collect some with {collect}, or say where they are "
            "with --episodes"
        )
    return EpisodeStore(folder)


def _env_options(recipe: EnvRecipe) -> list[str]:
    """The options of collect that say how an environment is made."""
    kwargs = [f"{name}={json.dumps(value)}" for name, value in recipe.kwargs.items()]
    options = {"--env": [recipe.id], "--env-kwargs": kwargs, "--wrappers": recipe.wrappers}
    return [text for option, values in options.items() if values for text in (option, *values)]


def _recipe(env: str, kwargs: Sequence[Sequence[str]], wrappers: Sequence[Sequence[str]]) -> EnvRecipe:
    """What the options of a command say of an environment."""
    return EnvRecipe(env, parse_kwargs(list(itertools.chain(*kwargs))), tuple(itertools.chain(*wrappers)))


def _say(text: str) -> None:
    print(text)


def _next(*commands: Sequence[str | Path]) -> None:
    """Says what to call next: one of these commands."""
    print(f"next: {'   or   '.join(map(_shell_command, commands))}")


def _shell_command(arguments: Sequence[str | Path]) -> str:
    """A command of dreamenv, quoted so that it can be pasted into a shell."""
    return shlex.join(["dreamenv", *map(str, arguments)])
