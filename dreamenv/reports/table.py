"""The numbers of an inspection as text."""

from __future__ import annotations

from tabulate import tabulate

from dreamenv.reports.page_agents import agent_rows
from dreamenv.reports.page_heads import head_rows
from dreamenv.reports.page_memory import memory_rows
from dreamenv.reports.page_vision import vision_rows
from dreamenv.reports.results import Inspection


def inspection_table(inspection: Inspection) -> str:
    """A row per number; what good looks like, the page says."""
    groups = {"V": vision_rows, "M": memory_rows, "heads": head_rows, "C": agent_rows}
    rows = [(part, row.name, row.value) for part, read in groups.items() for row in read(inspection)]
    return tabulate(rows, ("", "quantity", "value"), disable_numparse=True)
