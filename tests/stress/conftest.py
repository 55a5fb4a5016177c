"""Promises under stress: few cases in `make test`, all of them in `make stress`, which prints a table of figures."""

from collections.abc import Callable

import pytest
from tabulate import tabulate

Figure = tuple[str, str, str]
FIGURES = pytest.StashKey[list[Figure]]()


def pytest_addoption(parser):
    parser.addoption("--stress", action="store_true", help="run every case, and print the table of figures")


@pytest.fixture
def cases(request) -> Callable[[int, int], int]:
    """``cases(quick, full)``: how many cases this run tries."""
    full_run = request.config.getoption("--stress", default=False)
    return lambda quick, full: full if full_run else quick


@pytest.fixture
def figure(request) -> Callable[[str, object, object], None]:
    """``figure(what, found, target)``: one row of the table that `make stress` prints."""

    def record(what, found, target):
        request.config.stash.setdefault(FIGURES, []).append((what, str(found), str(target)))

    return record


def pytest_terminal_summary(terminalreporter, config):
    figures = config.stash.get(FIGURES, [])
    if figures and config.getoption("--stress", default=False):
        terminalreporter.write_line(tabulate(figures, ("promise", "found", "target"), disable_numparse=True))
