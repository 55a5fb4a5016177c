"""Which signs tell lying dreams from honest ones? How the rows of the zoo are halved, and what is read from a half."""

import numpy as np
import scipy.stats
import torch
from tabulate import tabulate

from dreamenv.reports.model_report import area_under_curve
from dreamenv.verdict.judgement import LIMITS, Sign, light
from experiments.show import Row, grouped

RIDGES = (1.0, 10.0, 100.0)
CANDIDATES = ("round trip", "novelty", *(f"shortfall, ridge {ridge:g}" for ridge in RIDGES))
COLOURS = ("green", "amber", "red")  # of the verdict, as the numbers 0, 1 and 2


def halves(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Every second agent, in each world in random order: what signs are chosen by, and what they are judged by."""
    generator = np.random.default_rng(0)
    mixed = [of[index] for of in grouped(rows, "world").values() for index in generator.permutation(len(of))]
    return mixed[0::2], mixed[1::2]


def real(row: Row) -> float:
    return row["validation greedy"]["mean"]


def lying(rows: list[Row], share: float) -> np.ndarray:
    """Which dreams promise so much that reality pays less than this share of it."""
    return np.array([row["dream"] - real(row) > (1.0 - share) * abs(row["dream"]) for row in rows])


def judgement(rows: list[Row]) -> str:
    """How well every sign, the largest of them, and the verdict's colour tell the lying dreams from the others."""
    shares = (0.5, 0.9)
    lines = []
    columns = {name: [row[name] for row in rows] for name in (*LIMITS, *CANDIDATES)}
    columns |= {"doubt": [doubt(row) for row in rows], "colours": [colour(row) for row in rows]}
    for name, column in columns.items():
        values = np.array(column, np.float64)
        kept = [(real(row) - row["dream"]) / max(abs(row["dream"]), 1e-6) for row in rows]
        correlation = scipy.stats.spearmanr(values, kept).statistic
        lines.append((name, f"{correlation:.2f}", *(separation(values, lying(rows, share)) for share in shares)))
    paid = [real(row) for row in rows]
    correlations = [
        scipy.stats.spearmanr([row[name] for row in rows], paid).statistic for name in ("dream", "believed")
    ]
    counts = ", ".join(f"{lying(rows, share).sum()} get less than {share:.0%} of their dream" for share in shares)
    heads = ("sign", "rank correlation with (real - dream) / dream", *(f"AUC below {share:.0%}" for share in shares))
    return (
        f"{len(rows)} agents, {counts}; rank correlation of the real return with the dreamed one "
        f"{correlations[0]:.2f}, with what the records leave of it {correlations[1]:.2f}\n"
        + tabulate(lines, heads, disable_numparse=True)
    )


def separation(values: np.ndarray, kind: np.ndarray) -> str:
    """Area under the ROC curve; none if all are of one kind."""
    if kind.all() or not kind.any():
        return "-"
    return f"{area_under_curve(torch.from_numpy(values[kind]), torch.from_numpy(values[~kind])):.3f}"


def doubt(row: Row) -> float:
    """The largest of the signs that `dreamenv trust` uses."""
    return max(Sign(name, row[name], limits).doubt for name, limits in LIMITS.items())


def colour(row: Row) -> int:
    """The verdict as a number: 0 for green, 1 for amber, 2 for red."""
    return COLOURS.index(light(doubt(row)))
