"""Scores as text, CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.groups import GROUPS, GroupScore
from dreamenv.evaluate.rounds import Round, best_round
from dreamenv.evaluate.scores import Place, Score
from dreamenv.foundation.files import write_bytes, write_json

_LISTS = ("returns", "lengths", "successes", "seeds")
_ROUND_COLUMNS: dict[str, tuple[Place, bool]] = {  # place, deterministic
    "dream, greedy": ("dream", True),
    "real, greedy": ("real", True),
    "real, sampling": ("real", False),  # older records have it
}


def comparison_table(comparison: Comparison, style: str = "simple") -> str:
    """A row per policy and place, 79 columns wide at most; ``style`` is one of tabulate's formats."""
    return scores_table(sorted(comparison.scores, key=_order), style)


def scores_table(scores: Iterable[Score], style: str = "simple") -> str:
    """A row per score."""
    rows = [
        (
            score.policy,
            "real" if score.temperature is None else f"dream {score.temperature:g}",
            "-" if score.success is None else f"{score.success:.2f}",
            short(score.mean),
            short(score.std),
            f"[{short(score.low)}, {short(score.high)}]",
            f"{score.length:.0f}",
        )
        for score in scores
    ]
    headers = ("policy", "place", "success", "return", "std", "95% interval", "steps")
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True)


def groups_table(groups: Iterable[GroupScore], style: str = "simple") -> str:
    """A row per group and policy; groups without episodes have none."""
    rows = [
        (
            score.group,
            score.policy,
            len(score.seeds),
            "-" if score.success is None else f"{score.success:.2f}",
            "-" if score.low is None or score.high is None else f"[{score.low:.2f}, {score.high:.2f}]",
        )
        for score in sorted(groups, key=lambda score: (GROUPS.index(score.group), score.baseline, score.policy))
        if score.seeds
    ]
    headers = ("real episodes", "policy", "count", "success", "95% interval")
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True)


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes ``comparison.json``, with every episode, and ``comparison.csv``, a line per score."""
    write_json(folder / "comparison.json", dataclasses.asdict(comparison))
    file = io.StringIO()
    names = [field.name for field in dataclasses.fields(Score) if field.name not in _LISTS]
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(score) for score in comparison.scores)
    write_bytes(folder / "comparison.csv", file.getvalue().encode())


def rounds_table(rounds: Sequence[Round], style: str = "simple") -> str:
    """A row per round of an iteration, the best marked; success and mean return."""
    kept = best_round(rounds)
    scores = [
        {(score.place, score.deterministic): _brief(score) for score in one.comparison.scores if not score.baseline}
        for one in rounds
    ]
    columns = {name: key for name, key in _ROUND_COLUMNS.items() if any(key in named for named in scores)}
    timed = [one for one in rounds if one.seconds is not None]
    rows = [
        (
            one.number,
            f"{one.frames:,}",
            *([f"{one.seconds:.0f}" if one.seconds is not None else "-"] if timed else []),
            *(named.get(key, "-") for key in columns.values()),
            "kept" if one is kept else "",
        )
        for one, named in zip(rounds, scores, strict=True)
    ]
    headers = ("round", "frames", *(["seconds"] if timed else []), *columns, "")
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True)


def short(value: float) -> str:
    """A number with about three digits."""
    return f"{value:.3f}" if abs(value) < 10.0 else f"{value:.1f}" if abs(value) < 100.0 else f"{value:.0f}"


def _brief(score: Score) -> str:
    return f"{'-' if score.success is None else f'{score.success:.2f}'} / {short(score.mean)}"


def _order(score: Score) -> tuple[bool, str, float]:
    """The agent before the baselines; then by policy, dreams from cold to hot, reality last."""
    temperature = float("inf") if score.temperature is None else score.temperature
    return score.baseline, score.policy, temperature
