"""The chapter on agents."""

from __future__ import annotations

from dreamenv.reports.logs import AgentLog
from dreamenv.reports.page import PageFigure, Row, Section
from dreamenv.reports.page_curves import draw_curves
from dreamenv.reports.results import Inspection


def agents_section(inspection: Inspection) -> Section:
    """Makes the chapter on how agents learned in the dream."""
    logs = inspection.agents
    intro = "Agents that were trained in this world's dream. dreamenv compare measures them in reality."
    if not logs:
        nothing = PageFigure(
            "Agents",
            "Missing: the world's folder has no agents. Train one: dreamenv evolve, dreamenv ppo.",
        )
        return Section("agents", "C: agents", intro, figures=(nothing,))
    figures = tuple(figure for log in logs for figure in _figures(log))
    return Section("agents", "C: agents", intro, agent_rows(inspection), figures)


def agent_rows(inspection: Inspection) -> tuple[Row, ...]:
    """The numbers."""
    return tuple(row for log in inspection.agents if log.returns for row in _rows(log))


def _rows(log: AgentLog) -> tuple[Row, ...]:
    last = log.returns[-1]
    rows = [
        Row(
            f"{log.name}: dream return at the end",
            f"{last.values[-1]:.3f}",
            f"near the task's best, after {last.steps[-1]:,} {log.unit}; {last.name}",
        )
    ]
    if log.sigma_squared is not None:
        begin, end = log.sigma_squared.values[0], log.sigma_squared.values[-1]
        rows.append(Row(f"{log.name}: sigma squared", f"{begin:.2g} to {end:.2g}", "neither exploding nor at 0 early"))
    return tuple(rows)


def _figures(log: AgentLog) -> tuple[PageFigure, ...]:
    if not log.returns:
        nothing = "Missing: its folder holds no record of a training. Those of planners, votes and copies never do."
        return (PageFigure(log.name, nothing),)
    warning = (
        "" if log.same_world is not False else " This agent was trained in another world, or in one since replaced."
    )
    evolved = log.sigma_squared is not None
    candidates = (
        " The candidates' mean follows the best one, and the agent on fixed seeds is not below their mean."
        if evolved
        else ""
    )
    figures = [
        PageFigure(
            f"{log.name}: cumulative reward",
            f"Return of dreams over {log.unit}, action penalties included: "
            f"{', '.join(curve.name for curve in log.returns)}.{warning}",
            f"It rises and levels off near the best that the task allows.{candidates} A return above what reality can "
            "pay is a dream being exploited.",
            draw_curves(log.returns, log.unit, "return"),
        )
    ]
    if log.sigma_squared is not None:
        figures.append(
            PageFigure(
                f"{log.name}: sigma squared",
                f"The square of CMA-ES's step size over {log.unit}.{warning}",
                "It moves slowly, and falls in the end as the search narrows down. A fast fall while returns are low "
                "is a search that gave up early: begin with a larger sigma or more dreams per candidate. Steady "
                "growth means that fitness is mostly noise, or that the best is still far away.",
                draw_curves([log.sigma_squared], log.unit, "sigma squared", log=True),
            )
        )
    return tuple(figures)
