"""Does a world know that it is blocked? Predicted motion where an action left the real frame as it was.

An agent that is stuck in reality may be free in a dream that predicts motion all the same. For steps of one action in
held-out episodes, the table has the mean absolute difference of the pictures before and after the step, from 0 to 1, as
the prior's mode predicts it: where the real frame changed, where it did not, and where it had not changed in the step
before either. A world that knows it is blocked predicts 0 in the last.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

import dreamenv
from dreamenv.recordings import record
from experiments.show import Row


@dataclass(frozen=True, kw_only=True)
class Blocked:
    """What is measured.

    Attributes:
        episodes: A folder of episodes; those held out from training are used.
        worlds: Folders, or names of shipped worlds.
        action: The discrete action.
    """

    episodes: Path
    worlds: tuple[str, ...] = ("sidewalk",)
    action: int = 2

    def run(self) -> None:
        torch.set_num_threads(1)
        _, held_out = dreamenv.EpisodeStore(self.episodes).split()
        print(tabulate([self.measure(name, held_out) for name in self.worlds], headers="keys", floatfmt=".4f"))

    @torch.inference_mode()
    def measure(self, name: str, episodes: list[dreamenv.Episode]) -> Row:
        """One world's row."""
        world, found = dreamenv.load(name), defaultdict(list)
        traces = world.follow(record(world.model, episodes, world.config), seed=None)
        for episode, trace in zip(episodes, traces, strict=True):
            predicted = world.decode(replace(trace.after, z=trace.priors.draw(None)))
            motion = np.abs(predicted / 255.0 - world.decode(trace.states)[:-1] / 255.0).mean((1, 2, 3))
            still = (episode.observations[1:] == episode.observations[:-1]).all((1, 2, 3))
            chosen = episode.actions == self.action
            again = np.append(False, (still & chosen)[:-1])
            for case, steps in {"free": ~still, "blocked": still & ~again, "blocked again": still & again}.items():
                found[case].extend(motion[chosen & steps])
        means = {case: float(np.mean(values)) if values else float("nan") for case, values in found.items()}
        counts = {f"{case}, steps": len(values) for case, values in found.items()}
        return {"world": name, **means, **counts, "again / free": means["blocked again"] / means["free"]}
