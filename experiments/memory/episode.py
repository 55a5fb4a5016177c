"""Draws real episodes of an agent, and below each the dream that begins in it at a chosen step with the same actions.

Before that step the lower row shows what V draws of the real frames.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import dreamenv
from dreamenv.agents.observing import ObservingAgent
from dreamenv.data.endings import kind_of
from dreamenv.data.episodes import Episode as Recorded
from dreamenv.data.player import Player
from dreamenv.foundation.seeds import VALIDATION_SEED
from dreamenv.real.make import make_reality_vector
from dreamenv.reports.strips import FilmStrip, film_strip
from dreamenv.world import World


@dataclass(frozen=True, kw_only=True)
class Episode:
    """What is drawn.

    Attributes:
        world: A folder.
        agent: A folder.
        seeds: Of the real episodes.
        dreamed: Steps dreamed, the last ones of every episode.
        dream_seed: Of the dreams.
        picture: The file.
    """

    world: Path = Path("runs/memory/mdnrnn-seed0")
    agent: Path = Path("runs/memory/mdnrnn-seed0/agents/zh")
    seeds: tuple[int, ...] = (VALIDATION_SEED, VALIDATION_SEED + 2)  # a ball and a key as cue
    dreamed: int = 8
    dream_seed: int = 0
    picture: Path = Path("runs/memory/episode.png")

    def run(self) -> None:
        torch.set_num_threads(1)
        world, agent = dreamenv.load(self.world), dreamenv.load_agent(self.agent)
        episodes = play(world, agent, self.seeds)
        strips = [film_strip(world, e, kind(world, e), range(1, self.dreamed + 1), self.dream_seed) for e in episodes]
        self.picture.parent.mkdir(parents=True, exist_ok=True)
        draw(world, episodes, strips).savefig(self.picture, dpi=80)
        for strip, episode in zip(strips, episodes, strict=True):
            print(f"seed {strip.seed}: {strip.kind} after {len(episode)} steps; dream ends: {strip.dream_end}")
        print(self.picture)


def play(world: World, agent: dreamenv.Policy, seeds: tuple[int, ...]) -> list[Recorded]:
    """Greedy real episodes of an agent, in the order of the seeds."""
    player = Player(partial(make_reality_vector, world.config.recipe, 1))
    actor = ObservingAgent(world, agent, (0.0,), seeds)
    found = dict(player.play(seeds, actor, True, lambda frames: None))
    player.env.close()
    return [found[seed] for seed in seeds]


def kind(world: World, episode: Recorded) -> str:
    """How an episode ended."""
    return kind_of(episode.terminated, float(episode.rewards[-1]), world.config.ordinary_reward)


def draw(world: World, episodes: list[Recorded], strips: list[FilmStrip]) -> Figure:
    """Two rows for each episode: real frames; V's drawings, from the start of the dream on the dreamed frames."""
    columns = 1 + max(len(episode) for episode in episodes)
    figure = Figure(figsize=(0.95 * columns, 2.1 * len(episodes)), layout="constrained")
    grid = figure.subplots(2 * len(episodes), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, (episode, strip) in enumerate(zip(episodes, strips, strict=True)):
        seen = world.decode(world.start(torch.from_numpy(episode.observations[: strip.start + 1])))
        for row, frames in enumerate((episode.observations, np.concatenate([seen, strip.dreamed[1:]]))):
            for step, frame in enumerate(frames):
                axes = grid[2 * number + row, step]
                axes.imshow(frame)
                dreamed = row and step > strip.start
                axes.set_title("dream" if dreamed else "V" if row else f"{step}", fontsize=8, pad=2)
    return figure
