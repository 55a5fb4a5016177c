"""Measurements of worlds as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from dreamenv.reports.held_out import WorldReport
from dreamenv.reports.horizon import OpenLoop
from dreamenv.reports.model_report import SUMMED_STEPS, MemoryReport
from dreamenv.reports.one_step import OneStepReport
from dreamenv.reports.page_agents import agent_rows
from dreamenv.reports.page_heads import head_rows
from dreamenv.reports.page_memory import memory_rows
from dreamenv.reports.page_prediction import prediction_rows
from dreamenv.reports.page_rssm import rssm_rows
from dreamenv.reports.page_vision import vision_rows
from dreamenv.reports.results import Inspection
from dreamenv.reports.vision_report import VisionReport


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


def memory_table(report: MemoryReport, learned: Mapping[str, int] | None = None, name: str = "M") -> str:
    """What a world model expects of steps: the averages, then every kind of ending, if there is any.

    Args:
        report: The report.
        learned: Episodes with each kind of ending that it learned from, for a column of its own.
        name: Of the model.

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
    title = f"{name}, {report.steps} held-out steps: NLL {report.nll:.4f} per dimension, reward error "
    title += f"{_exact(report.reward_error)}{_explained(report)}"
    return f"{title}\n{tabulate(rows, headers, disable_numparse=True)}" if rows else title


def _explained(report: MemoryReport) -> str:
    """What the reward error of varying rewards is to be judged by."""
    if report.reward_r2 is None:
        return ""
    summed = "" if report.reward_sum_r2 is None else f", {report.reward_sum_r2:.2f} summed over {SUMMED_STEPS} steps"
    return f" (R2 against the mean: {report.reward_r2:.2f} per step{summed})"


def _exact(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def one_step_line(report: OneStepReport) -> str:
    """Errors in pixels after one step, on one line."""
    ratio = "-" if report.ratio is None else f"{report.ratio:.2f}"
    return (
        f"decoded after one step, {report.frames} held-out frames: squared error {report.posterior_error:.5f} from the "
        f"posterior, {report.prior_error:.5f} from the prior, ratio {ratio}; the mean frame has "
        f"{report.mean_frame_error:.5f}"
    )


def report_text(report: WorldReport) -> str:
    """The report on a trained world of any kind."""
    vision = [] if report.vision is None else [vision_table(report.vision)]
    name = "World model" if report.vision is None else "M"
    return "\n\n".join([*vision, memory_table(report.memory, report.learned, name), one_step_line(report.one_step)])


def inspection_table(inspection: Inspection) -> str:
    """A row per number; what good looks like, the page says."""
    rssm = () if inspection.rssm is None else rssm_rows(inspection.rssm)
    groups = {
        "prediction": prediction_rows(inspection),
        "V": vision_rows(inspection),
        "M": memory_rows(inspection),
        "RSSM": rssm,
        "heads": head_rows(inspection),
        "C": agent_rows(inspection),
    }
    rows = [(part, row.name, row.value) for part, found in groups.items() for row in found]
    return tabulate(rows, ("", "quantity", "value"), disable_numparse=True)
