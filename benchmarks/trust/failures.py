"""How do agents fail in the real Sidewalk? Their failures by kind, and a picture of them.

Run `python -m benchmarks.trust.failures --world WORLD --agents FOLDER ...`. Greedy agents, validation seeds. Kinds: the
agent steps into the "street"; or the time is up and it is still at the "start", or on the "way", or it has "passed" the
box without touching it. The picture shows failed episodes, what V makes of every frame below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from tabulate import tabulate

import dreamenv
from benchmarks.study import Row
from dreamenv.evaluate.choose import VALIDATION_SEED
from dreamenv.files import write_json
from dreamenv.progress import progress

SHOWN = (0, 10, 20, 50, 100, 149)  # steps in the picture
START = 2.0  # metres along the sidewalk in which episodes begin
REACH = 0.5  # metres before the box from where on an agent beside it has passed it
KINDS = ("street", "start", "way", "passed")


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What is looked at.

    Attributes:
        world: A folder, or the name of a shipped world.
        agents: Folders of its agents, or names of shipped ones.
        root: Takes everything.
        episodes: Real episodes of every agent.
        rows: Failed episodes of every agent in the picture.
    """

    world: str
    agents: tuple[str, ...]
    root: Path = Path("runs/failures")
    episodes: int = 100
    rows: int = 6


def main(study: Failures) -> None:
    torch.set_num_threads(1)
    world = dreamenv.load(study.world)
    env = dreamenv.LatentObservation(dreamenv.make_real(world.config.env_id), world)
    rows = []
    for name in study.agents:
        agent = dreamenv.load_agent(name)
        seeds = range(VALIDATION_SEED, VALIDATION_SEED + study.episodes)
        played = [play(env, agent, seed) for seed in progress(iterable=seeds, total=len(seeds), desc=Path(name).name)]
        failed = [episode for episode in played if episode["kind"] != "success"]
        plot(failed[: study.rows], study.root / f"{Path(name).name}.png")
        rows.append({"agent": name, "episodes": [(e["seed"], e["kind"], e["length"]) for e in failed]})
    env.close()
    write_json(study.root / "failures.json", rows)
    print(table(rows))


def play(env: dreamenv.LatentObservation, agent: dreamenv.Policy, seed: int) -> Row:
    """One real episode: how it ended, and some of its frames above what V makes of them."""
    observation, _ = env.reset(seed=seed)
    frames, length, done = [], 0, False
    while not done:
        if length in SHOWN:
            frames.append(np.concatenate(np.split(np.asarray(env.render()), 2, axis=1), axis=0))
        action, _ = agent.predict(observation[None], deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action[0])
        length, done = length + 1, terminated or truncated
    return {"seed": seed, "kind": kind(env.unwrapped, reward, terminated), "length": length, "frames": frames}


def kind(sidewalk: Any, reward: float, terminated: bool) -> str:
    along, box = sidewalk.agent.pos[2], sidewalk.box.pos[2]
    if reward > 0:
        return "success"
    if terminated:
        return "street"
    return "start" if along < START else "passed" if along > box - REACH else "way"


def table(rows: list[Row]) -> str:
    """Failures of every agent by kind."""
    lines = [
        (row["agent"], len(row["episodes"]), *(sum(e[1] == kind for e in row["episodes"]) for kind in KINDS))
        for row in rows
    ]
    return tabulate(lines, ("agent", "failures", *KINDS), disable_numparse=True)


def plot(episodes: list[Row], path: Path) -> None:
    """Real frames, and V's reconstructions below them."""
    if not episodes:
        return
    figure = Figure(figsize=(9.0, 2.2 * len(episodes)), layout="constrained")
    grid = figure.subplots(len(episodes), len(SHOWN), squeeze=False)
    for line, episode in zip(grid, episodes, strict=True):
        for axes, step, frame in zip(line, SHOWN, episode["frames"], strict=False):
            axes.imshow(frame)
            axes.set_title(f"step {step}", fontsize=8)
        line[0].set_ylabel(f"{episode['seed']}: {episode['kind']}", fontsize=8)
        for axes in line:
            axes.set(xticks=[], yticks=[], frame_on=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)


if __name__ == "__main__":
    main(tyro.cli(Failures))
