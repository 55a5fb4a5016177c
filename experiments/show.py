"""Rows of studies as tables and pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

Row = dict[str, Any]
Columns = Mapping[str, Callable[[list[Row]], str]]  # head -> cell of the rows of one line


@dataclass(frozen=True)
class Layout:
    """How the rows of a study are shown.

    Attributes:
        name: Of the files, without their ending.
        keys: Entries by which rows are grouped into the table's lines -> heads of their columns.
        columns: The other columns.
        places: Scores that are plotted -> what the legend calls them; without any there is no plot.
        labels: Of the plot's axes.
    """

    name: str
    keys: Mapping[str, str]
    columns: Columns = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, str] = ("", "mean return")


def grouped(rows: Sequence[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """The rows of every line, in the order in which they come up."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def table(rows: Sequence[Row], keys: Mapping[str, str], columns: Columns) -> str:
    """One line per group of rows."""
    lines = [
        [f"{key:,}" if isinstance(key, int) else key for key in group] + [cell(of) for cell in columns.values()]
        for group, of in grouped(rows, *keys).items()
    ]
    return tabulate(lines, (*keys.values(), *columns), disable_numparse=True)


def span(values: Sequence[float], digits: int = 3) -> str:
    """Mean, and the lowest and the highest of several values in brackets."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def spread(scores: Sequence[Row]) -> str:
    """Success by :func:`span`, where the world knows one, and mean return."""
    success = [score["success"] for score in scores]
    return f"{'-' if None in success else span(success, 2)} / {np.mean([score['mean'] for score in scores]):.3f}"


def first(form: str) -> Callable[[list[Any]], str]:
    """The first value, formatted; nothing if it is None."""
    return lambda values: "" if values[0] is None else form.format(values[0])


def cells(of: Callable[[list[Any]], str], heads: Mapping[str, str] | Sequence[str]) -> Columns:
    """Columns of entries of the rows, by the same rule: an entry's name -> head; empty where no row has the entry."""

    def cell(name: str, rows: list[Row]) -> str:
        values = [row[name] for row in rows if name in row]
        return of(values) if values else ""

    names = heads if isinstance(heads, Mapping) else {name: name for name in heads}
    return {head: partial(cell, name) for name, head in names.items()}


def plot_agents(rows: Sequence[Row], layout: Layout, path: Path, floor: tuple[str, float] | None = None) -> None:
    """One point per agent and place, with the 95% interval of its mean return; agents of one setting stand together.

    The floor is the name and the mean return of a policy that learned nothing, for a dotted line.
    """
    groups = grouped(rows, "setting")
    figure = Figure(figsize=(max(10.0, float(len(groups))), 4.8), layout="constrained")
    axes = figure.subplots()
    for number, (place, label) in enumerate(layout.places.items()):
        middle = 0.7 * ((number + 0.5) / len(layout.places) - 0.5)
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
    axes.set_xticks(range(len(groups)), [fill(name, 12) for (name,) in groups], fontsize="small")
    axes.set(xlabel=layout.labels[0], ylabel=layout.labels[1], title="Every agent, 95% intervals")
    axes.grid(alpha=0.3, axis="y")
    figure.legend(loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)
