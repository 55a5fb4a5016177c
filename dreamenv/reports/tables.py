"""Results as text, CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.groups import GROUPS, GroupScore
from dreamenv.evaluate.rounds import Round, best_round
from dreamenv.evaluate.scores import Place, Score
from dreamenv.foundation.files import write_bytes, write_json
from dreamenv.reports.horizon import OpenLoop
from dreamenv.reports.model_report import SUMMED_STEPS, MemoryReport
from dreamenv.reports.vision_report import VisionReport
from dreamenv.verdict.signals import FEW_SUCCESSES
from dreamenv.verdict.trust import Trust

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
            _short(score.mean),
            _short(score.std),
            f"[{_short(score.low)}, {_short(score.high)}]",
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
    rows = [
        (
            one.number,
            f"{one.frames:,}",
            *(named.get(key, "-") for key in columns.values()),
            "kept" if one is kept else "",
        )
        for one, named in zip(rounds, scores, strict=True)
    ]
    return tabulate(rows, ("round", "frames", *columns, ""), tablefmt=style, disable_numparse=True)


def open_loop_table(results: Sequence[OpenLoop]) -> str:
    """A row per horizon and kind of ending, if any: is its frequency right, is it told apart from other steps?"""
    rows: list[tuple[object, ...]] = []
    for result in results:
        facts = (result.horizon, result.steps, f"{result.z_error:.3f}", _exact(result.reward_error))
        endings = [(e.kind, e.count, f"{e.predicted:.1f}", _exact(e.auc)) for e in result.endings]
        rows += [(*facts, *ending) for ending in endings] or [facts]
    columns = ("ending", "count", "predicted", "AUC") if any(result.endings for result in results) else ()
    return tabulate(rows, ("horizon", "steps", "z error", "reward error", *columns), disable_numparse=True)


def vision_table(report: VisionReport) -> str:
    """V's report: the averages, then the regions in which a detail could be lost."""
    rows = [
        (
            region.colour,
            f"{region.pixels[0]}-{region.pixels[1] - 1}" if region.pixels[1] < 1_000_000 else f"{region.pixels[0]}+",
            region.frames,
            f"{region.squared_error:.4f}",
            f"{region.saturation:.2f}",
            f"{region.reconstructed:.2f}",
        )
        for region in report.regions
    ]
    headers = ("regions", "pixels", "frames", "squared error", "colour", "reconstructed")
    title = (
        f"V, {report.frames} held-out frames: squared error {report.squared_error:.4f}, "
        f"spread {report.spread:.2f} of the frames', KL {report.kl:.1f} nats, "
        f"{report.active_dimensions} active dimensions"
    )
    if report.squared_error_beside is not None:
        title += f"; with skips, squared error {report.squared_error_beside:.4f}"
    return f"{title}\n{tabulate(rows, headers, disable_numparse=True)}" if rows else title


def memory_table(report: MemoryReport, learned: Mapping[str, int] | None = None) -> str:
    """M's report: the averages, then every kind of ending, if there is any.

    Args:
        report: The report.
        learned: Episodes with each kind of ending that M learned from, for a column of its own.

    Returns:
        The table.
    """
    rows = [
        (
            ending.kind,
            *(() if learned is None else (learned.get(ending.kind, 0),)),
            ending.count,
            f"{ending.predicted:.1f}",
            *("-" if x is None else f"{x:.2f}" for x in (ending.precision, ending.recall)),
            *map(_exact, (ending.auc, ending.reward_error)),
        )
        for ending in report.endings
    ]
    columns = () if learned is None else ("learned from",)
    headers = ("ending", *columns, "count", "predicted", "precision", "recall", "AUC", "reward error")
    title = f"M, {report.steps} held-out steps: NLL {report.nll:.4f} per dimension, reward error "
    title += f"{_exact(report.reward_error)}{_explained(report)}"
    return f"{title}\n{tabulate(rows, headers, disable_numparse=True)}" if rows else title


def _explained(report: MemoryReport) -> str:
    """What the reward error of varying rewards is to be judged by."""
    if report.reward_r2 is None:
        return ""
    summed = "" if report.reward_sum_r2 is None else f", {report.reward_sum_r2:.2f} summed over {SUMMED_STEPS} steps"
    return f" (R2 against the mean: {report.reward_r2:.2f} per step{summed})"


def trust_table(trust: Trust) -> str:
    """The verdict with its reasons, every sign, and the gaps."""
    rows = [
        (sign.light, sign.name, f"{sign.value:.2f}", f"{sign.limits.amber:g}, {sign.limits.red:g}", sign.limits.says)
        for sign in trust.signs
    ]
    parts = [tabulate(rows, ("", "sign", "value", "amber, red from", "a warning means that"), disable_numparse=True)]
    if trust.gaps:
        gaps = [
            (
                f"{gap.temperature:g}",
                gap.quantity,
                *(_short(value) for value in (gap.dream, gap.real, gap.difference)),
                f"[{_short(gap.low)}, {_short(gap.high)}]",
            )
            for gap in trust.gaps
        ]
        heads = ("temperature", "quantity", "dream", "real", "gap", "95% interval")
        parts.append(tabulate(gaps, heads, disable_numparse=True))
        parts.append(f"The dream of temperature {trust.best_temperature:g} predicts the real return best.")
    if trust.failures:
        promised = sum(failure.promised for failure in trust.failures) / len(trust.failures)
        stuck = sum(not failure.terminated for failure in trust.failures)
        parts.append(
            f"From the middle of {len(trust.failures)} real failures ({stuck} ran out of time) the dream promises "
            f"success in {promised:.0%} of cases."
        )
    return "\n\n".join([*parts, _verdict(trust)])


def trust_facts(trust: Trust) -> dict[str, Any]:
    """Everything but the pictures, as JSON has it; a sign that is not a number has no value."""
    lists = {
        name: [dataclasses.asdict(part) for part in getattr(trust, name)] for name in ("signs", "gaps", "failures")
    }
    for sign in lists["signs"]:
        sign["value"] = None if math.isnan(sign["value"]) else sign["value"]
    facts = {
        "light": trust.light,
        "reasons": trust.reasons,
        "believed": trust.believed,
        "recorded_successes": trust.successes,
        "best_temperature": trust.best_temperature,
    }
    return {**facts, **lists, "dream": dataclasses.asdict(trust.dream)}


def _verdict(trust: Trust) -> str:
    if trust.light == "green":
        nothing = " But no dreamed episode ended well: there is hardly anything to believe."
        fails = trust.dream.success == 0.0
        return f"GREEN: no sign speaks against the dreamed return of {_short(trust.dream.mean)}.{nothing * fails}"
    promise, believed = _short(trust.dream.mean), _short(trust.believed)
    if trust.light == "cannot tell":
        return f"CANNOT TELL whether the dreamed return of {promise} can be believed: {'; '.join(trust.reasons)}."
    few = trust.successes is not None and trust.successes < FEW_SUCCESSES
    count = f" Only {trust.successes} recorded episodes ended well: so few confirm hardly any dream, true or not."
    return (
        f"{trust.light.upper()}: {'; '.join(trust.reasons)}. "
        f"Of the dreamed return of {promise} the records leave {believed}.{count if few else ''}"
    )


def _brief(score: Score) -> str:
    return f"{'-' if score.success is None else f'{score.success:.2f}'} / {_short(score.mean)}"


def _exact(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10.0 else f"{value:.1f}" if abs(value) < 100.0 else f"{value:.0f}"


def _order(score: Score) -> tuple[bool, str, float]:
    """The agent before the baselines; then by policy, dreams from cold to hot, reality last."""
    temperature = float("inf") if score.temperature is None else score.temperature
    return score.baseline, score.policy, temperature
