"""Runs the jobs of a study side by side, stores each row once, and shows all rows as a table and a picture."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic_core import to_jsonable_python

from dreamenv.foundation.files import write_json
from experiments.show import Layout, Row, plot_agents, table
from experiments.worlds import identity

MADE_WITH = "made with"  # entry of a stored row
Job = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Jobs(ABC):
    """What is measured. A study lists its jobs, makes one row in each, and lays the rows out.

    The descriptions of options that several studies have stand here; studies inherit them.

    Attributes:
        root: Takes everything.
        processes: Jobs side by side, each on one core; 0 runs them one by one in this process.
        settings: Which of them; all by default.
        seeds: One agent of every setting each.
        world: A folder, or the name of a shipped world.
        episodes: Per score.
        real_episodes: Per score.
        collect: The real frames.
        train: V and M, but for what a setting says.
        ppo: PPO in the dream, but for the seed and what a setting says.
        evolve: CMA-ES in the dream, but for the seed and what a setting says.
    """

    root: Path
    processes: int = 2
    layout: ClassVar[Layout]

    def run(self) -> None:
        """Prepares, makes all rows, and reports them; whatever is there already is not made again."""
        self.prepare()
        self.report(in_parallel(self.measure, self.jobs(), self.processes))

    def prepare(self) -> None:  # noqa: B027 (most studies need nothing)
        """Makes what the jobs share."""

    @abstractmethod
    def jobs(self) -> list[Job]:
        """Arguments of :meth:`measure`, one tuple per row."""

    @abstractmethod
    def measure(self, *job: Any) -> Any:
        """Makes the row of one job with :func:`once`."""

    def options(self, *names: str) -> dict[str, Any]:
        """Those that a row depends on."""
        return {name: getattr(self, name) for name in names}

    def report(self, rows: list[Row]) -> None:
        """Writes, prints and draws the rows."""
        self.show(rows)

    def show(
        self,
        rows: list[Row],
        others: Sequence[Row] = (),
        floor: tuple[str, float] | None = None,
        record: dict[str, Any] | None = None,
    ) -> None:
        """Writes the record (the rows by default), prints the table, and draws the agents if the layout has places.

        Other rows, such as that of a random policy, are in the table only. The floor is drawn as a line.
        """
        write_json(self.root / f"{self.layout.name}.json", record or rows)
        print(table([*rows, *others], self.layout.keys, self.layout.columns))
        if self.layout.places:
            plot_agents(rows, self.layout, self.root / f"{self.layout.name}.png", floor)


@dataclass(frozen=True, kw_only=True)
class Study(Jobs):
    """What is measured: every setting with every seed."""

    settings: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    depends: ClassVar[tuple[str, ...]]  # options that rows depend on

    def jobs(self) -> list[Job]:
        return [(setting, seed) for seed in self.seeds for setting in self.settings]

    def measure(self, setting: str, seed: int) -> Row:
        path, make = self.folder(setting, seed) / "scores.json", partial(self.make, setting, seed)
        return {"setting": setting, "seed": seed, **once(path, make, **self.made_with(setting, seed))}

    @abstractmethod
    def make(self, setting: str, seed: int) -> Row:
        """What is stored of one setting with one seed."""

    def folder(self, setting: str, seed: int) -> Path:
        """Of the row, and of what it is made from."""
        return self.root / f"{slug(setting)}-seed{seed}"

    def made_with(self, setting: str, seed: int) -> dict[str, Any]:
        """What the row depends on beside setting and seed; of a world, its identity."""
        options = self.options(*self.depends)
        return {**options, "world": identity(options["world"])} if "world" in options else options


def in_parallel(make: Callable[..., Any], jobs: Sequence[Job], processes: int) -> list[Any]:
    """Calls a function once per job, in processes of one thread each; with none, in this process, as it is."""
    if processes == 0:
        return [make(*job) for job in jobs]
    with get_context("spawn").Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.starmap(make, jobs, chunksize=1)


def once(path: Path, make: Callable[[], Row], **settings: Any) -> Row:
    """The row stored in a file; made and stored if there is none, with the settings that it depends on.

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


def slug(setting: str) -> str:
    """A setting as part of a file's name."""
    return setting.replace(",", "").replace(":", "").replace(" ", "-")
