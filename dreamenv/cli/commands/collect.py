"""dreamenv collect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.cli.options import Flat, Texts, read_recipe
from dreamenv.cli.output import say, say_next
from dreamenv.data.collect import CollectConfig


@dataclass(frozen=True)
class Collect:
    """Collect real episodes with exploring policies.

    Attributes:
        env: Gymnasium id of the real environment; module:id for one that a module registers.
        world: Folder for the world.
        env_kwargs: Arguments of the environment, key=value; values are JSON, else strings.
        wrappers: Functions or classes that wrap the environment, module:name, such as
            gymnasium.wrappers:AddRenderObservation.
        config: Settings.
    """

    env: str
    world: Path
    env_kwargs: Texts = ()
    wrappers: Texts = ()
    config: Annotated[CollectConfig, Flat] = CollectConfig()

    def run(self) -> None:
        """Collects, and prints the numbers of frames, episodes, successes and failures."""
        from dreamenv.data.collect import collect
        from dreamenv.data.endings import ending_kinds
        from dreamenv.data.store import FAILURES

        recipe = read_recipe(self.env, self.env_kwargs, self.wrappers)
        store = collect(recipe, self.world / "episodes", self.config)
        successes = ending_kinds(store).count("better")
        say(f"{store.num_frames:,} frames, {len(store):,} episodes, {successes} successes in {store.folder}")
        if store.failures:
            say(f"failed episodes, set aside: {len(store.failures)}, see {store.folder / FAILURES}")
        if not successes:
            say(
                "no episode ended with more reward than its steps pay: where the task has a goal, dreams will not have "
                "it"
            )
        say_next(["train", "--world", self.world])
