"""How do agents fail in the real Sidewalk? Their failures by kind, and a picture of them.

Greedy agents, validation seeds. Kinds: the agent steps into the "street"; or the time is up and it is still at the
"start", or on the "way", or it has "passed" the box without touching it. The picture shows failed episodes, what V
makes of every frame below it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

import dreamenv
from dreamenv.foundation.figures import plot_frames
from dreamenv.foundation.files import write_json
from dreamenv.foundation.progress import progress
from dreamenv.foundation.seeds import VALIDATION_SEED
from experiments.show import Row

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

    def run(self) -> None:
        torch.set_num_threads(1)
        world = dreamenv.load(self.world)
        env = dreamenv.LatentObservation(dreamenv.make_real(world.config.env_id), world)
        rows = []
        for name in self.agents:
            agent = dreamenv.load_agent(name)
            seeds = range(VALIDATION_SEED, VALIDATION_SEED + self.episodes)
            played = [
                play(env, agent, seed) for seed in progress(iterable=seeds, total=len(seeds), desc=Path(name).name)
            ]
            failed = [episode for episode in played if episode["kind"] != "success"]
            if shown := {f"{e['seed']}: {e['kind']}": e["frames"] for e in failed[: self.rows]}:
                plot_frames(shown, self.root / f"{Path(name).name}.png", [f"step {step}" for step in SHOWN])
            rows.append({"agent": name, "episodes": [(e["seed"], e["kind"], e["length"]) for e in failed]})
        env.close()
        write_json(self.root / "failures.json", rows)
        print(tabulate([line(row) for row in rows], ("agent", "failures", *KINDS), disable_numparse=True))


def line(row: Row) -> list[Any]:
    """Failures of an agent by kind."""
    kinds = [kind for _, kind, _ in row["episodes"]]
    return [row["agent"], len(kinds), *(kinds.count(kind) for kind in KINDS)]


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
