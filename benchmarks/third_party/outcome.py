"""One row of the table for every check: whether it passed, with which versions, over how many steps."""

import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version

Check = Callable[[], tuple[int, str]]  # returns steps taken and what was checked; raises if something is wrong


def report(package: str, checks: dict[str, Check]) -> None:
    """Runs the checks of a library and prints their rows; exits with 1 if one of them failed."""
    versions = ", ".join(f"{name} {version(name)}" for name in dict.fromkeys((package, "gymnasium", "numpy", "torch")))
    passed = [_row(name, versions, check) for name, check in checks.items()]
    sys.exit(0 if all(passed) else 1)


def expect(holds: bool, expected: object, got: object) -> None:
    """Raises if a condition does not hold, with what was expected and what came."""
    if not holds:
        raise RuntimeError(f"expected {expected}, got {got}")


def _row(name: str, versions: str, check: Check) -> bool:
    try:
        steps, checked = check()
    except Exception as error:
        traceback.print_exc()
        line = (str(error).splitlines() or [""])[0].replace("|", "/")
        print(f"| {name} | fail | {versions} | | {type(error).__name__}: {line} |", flush=True)
        return False
    print(f"| {name} | ok | {versions} | {steps:,} | {checked} |", flush=True)
    return True
