"""A verdict as text, JSON and a picture."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from tabulate import tabulate

from dreamenv.evaluate.tables import short
from dreamenv.foundation.figures import plot_frames
from dreamenv.verdict.judgement import Trust
from dreamenv.verdict.signals import FEW_SUCCESSES, Strip


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
                *(short(value) for value in (gap.dream, gap.real, gap.difference)),
                f"[{short(gap.low)}, {short(gap.high)}]",
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
    """Everything but the pictures, as JSON values; a sign that is not a number becomes None."""
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
        return f"GREEN: no sign speaks against the dreamed return of {short(trust.dream.mean)}.{nothing * fails}"
    promise, believed = short(trust.dream.mean), short(trust.believed)
    if trust.light == "cannot tell":
        return f"CANNOT TELL whether the dreamed return of {promise} can be believed: {'; '.join(trust.reasons)}."
    few = trust.successes is not None and trust.successes < FEW_SUCCESSES
    count = f" Only {trust.successes} recorded episodes ended well: too few to confirm any dream."
    return (
        f"{trust.light.upper()}: {'; '.join(trust.reasons)}. "
        f"Of the dreamed return of {promise} the records leave {believed}.{count if few else ''}"
    )


def plot_strip(strip: Strip, path: Path) -> None:
    """Draws dreamed frames in a row and the most similar recorded ones below."""
    moments = zip(strip.step, strip.novelty, strict=True)
    captions = [f"step {step}\nnovelty {novelty:.2f}" for step, novelty in moments]
    plot_frames({"dreamed": strip.dreamed, "recorded": strip.recorded}, path, captions)
