"""What the experiments have in common: worlds made once, agents scored once, on the same seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from matplotlib.figure import Figure
from pydantic_core import to_jsonable_python

import dreamenv
from dreamenv.bundle import world_id
from dreamenv.config import build_memory
from dreamenv.envs.latent import make_latent_vector
from dreamenv.evaluate.choose import VALIDATION_SEED
from dreamenv.evaluate.compare import TEST_SEED
from dreamenv.evaluate.scores import Score, score
from dreamenv.files import write_json
from dreamenv.world import World

ENV = "MiniWorld-Sidewalk-v0"
NARROW = dreamenv.ExplorationConfig(
    bump_and_turn=0.8,
    preference=0.2,
    sticky=0.0,
    noise=(0.0, 0.05, 0.05, 0.15),
    preference_strength=(2.5, 2.5),
    patience=(0,),
)
MADE_WITH = "made with"  # entry of a stored row
Row = dict[str, Any]


def once(path: Path, make: Callable[[], Row], **settings: Any) -> Row:
    """The row stored in a file; made and stored if there is none.

    Args:
        path: The file.
        make: Makes the row.
        settings: What the row depends on beside the file's place: the world, numbers of episodes, trainings.

    Returns:
        The row.

    Raises:
        ValueError: If the row in the file was made with other settings.
    """
    expected = to_jsonable_python(settings)
    if not path.exists():
        write_json(path, {**make(), MADE_WITH: expected})
    row, found = stored(path)
    if found != expected:
        differing = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
        raise ValueError(
            f"expected a row made with these settings in {path}, got one with other {', '.join(differing)}: "
            "choose another --root, or remove the file"
        )
    return row


def stored(path: Path) -> tuple[Row, Row]:
    """A row stored by :func:`once`, and the settings that it was made with."""
    row = json.loads(path.read_text())
    return row, row.pop(MADE_WITH, {})


def identity(world: str | Path) -> str:
    """Of a stored world: the row of another one does not count."""
    return world_id(dreamenv.load(world))


def with_fresh_memory(world: World, seed: int) -> World:
    """The same V with an M of random weights: what a training that keeps V begins with."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return World(world.config, world.vision, build_memory(world.config), world.bank)


def real_scores(world: dreamenv.World, agent: dreamenv.Policy, episodes: int) -> Row:
    """Greedy and sampling, on validation seeds, for choosing, and on test seeds, for the table."""
    env = make_latent_vector(world, 8, AutoresetMode.DISABLED)
    row = {
        key: value
        for first, side in ((VALIDATION_SEED, "validation"), (TEST_SEED, "test"))
        for key, value in both_ways(env, agent, range(first, first + episodes), world.config, side).items()
    }
    env.close()
    return row


def validation_scores(world: dreamenv.World, agent: dreamenv.Policy, episodes: int) -> Row:
    """Greedy and sampling, on validation seeds only."""
    env = make_latent_vector(world, 8, AutoresetMode.DISABLED)
    row = both_ways(env, agent, range(VALIDATION_SEED, VALIDATION_SEED + episodes), world.config, "validation")
    env.close()
    return row


def dream_scores(world: dreamenv.World, agent: dreamenv.Policy, episodes: int, **dream: Any) -> Row:
    """Greedy and sampling in the dream, on as many seeds."""
    env = dreamenv.DreamVectorEnv(world, min(episodes, 100), autoreset_mode=AutoresetMode.DISABLED, **dream)
    return both_ways(env, agent, range(TEST_SEED, TEST_SEED + episodes), world.config, "dream")


def both_ways(env: Any, agent: dreamenv.Policy, seeds: range, config: dreamenv.WorldConfig, side: str) -> Row:
    """One row entry for the greedy and one for the sampling agent."""
    return {
        f"{side} {how}": facts(score(env, agent, seeds, config, name=how, deterministic=how == "greedy"))
        for how in ("greedy", "sampling")
    }


def facts(found: Score) -> Row:
    """What a table needs of a score; success is None where the world knows none."""
    return {fact: getattr(found, fact) for fact in ("success", "mean", "std", "low", "high", "length")}


def spread(rows: list[Row], place: str) -> str:
    """A table's cell: success as the mean of the rows, with the lowest and the highest in brackets, and mean return."""
    success = [row[place]["success"] for row in rows]
    mean = np.mean([row[place]["mean"] for row in rows])
    if None in success:
        return f"- / {mean:.3f}"
    return f"{np.mean(success):.2f} ({min(success):.2f}-{max(success):.2f}) / {mean:.3f}"


def by_setting(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of every setting, in the order in which they come up."""
    return {name: [row for row in rows if row["setting"] == name] for name in dict.fromkeys(r["setting"] for r in rows)}


def plot_agents(
    rows: list[Row],
    places: dict[str, str],
    path: Path,
    labels: tuple[str, str],
    floor: tuple[str, float] | None = None,
) -> None:
    """One point per agent and place, with the 95% interval of its mean return.

    Args:
        rows: The agents; those of one setting stand together.
        places: Which of their scores, and what the legend calls them.
        path: Of the picture.
        labels: Of the horizontal and the vertical axis.
        floor: Name and mean return of a policy that learned nothing, for a dotted line.
    """
    groups = by_setting(rows)
    figure = Figure(figsize=(max(10.0, float(len(groups))), 4.8), layout="constrained")
    axes = figure.subplots()
    for number, (place, label) in enumerate(places.items()):
        middle = 0.7 * ((number + 0.5) / len(places) - 0.5)
        points = [
            (x + middle + 0.07 * (n - (len(of) - 1) / 2), row[place])
            for x, of in enumerate(groups.values())
            for n, row in enumerate(of)
        ]
        means = np.array([score["mean"] for _, score in points])
        errors = [means - [score["low"] for _, score in points], [score["high"] for _, score in points] - means]
        errors = np.maximum(errors, 0.0)  # equal returns, whose mean is rounded
        spots = [spot for spot, _ in points]
        axes.errorbar(spots, means, errors, fmt="o", ms=4, color=f"C{number}", label=label)
    if floor:
        axes.axhline(floor[1], color="black", linestyle=":", label=floor[0])
    axes.set_xticks(range(len(groups)), [fill(name, 12) for name in groups], fontsize="small")
    axes.set(xlabel=labels[0], ylabel=labels[1], title="Every agent, 95% intervals")
    axes.grid(alpha=0.3, axis="y")
    figure.legend(loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)
