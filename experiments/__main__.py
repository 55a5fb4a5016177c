"""Runs a study: ``python -m experiments NAME [OPTIONS]``; without a name it lists the studies."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

GROUPS = {
    "trust": ("frontier", "rounds", "ablation", "temperature", "starved", "zoo", "failures"),
    "memory": ("inputs", "episode", "claims"),
    "post": ("visions", "repulsion", "inputs"),
    "takecover": ("temperature", "rounds", "ablation", "fireballs", "births", "monsters"),
    "rssm": ("transfer", "temperatures", "blocked", "claims"),
    "online": ("control", "parts", "dreams"),
}
STUDIES = tuple(f"{group}.{name}" for group, names in GROUPS.items() for name in names)


def main(arguments: Sequence[str]) -> None:
    """Runs the study that the arguments name."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return
    parse(*arguments).run()


def parse(name: str, *options: str) -> Any:
    """A study with its options."""
    if name not in STUDIES:
        sys.exit(f"expected one of these studies, got {name!r}:\n{overview()}")
    module = importlib.import_module(f"experiments.{name}")
    description = (module.__doc__ or "").strip()
    kind = getattr(module, name.partition(".")[2].capitalize())
    return tyro.cli(kind, args=options, prog=f"python -m experiments {name}", description=description)


def overview() -> str:
    """Name and question of every study; imports none of them."""
    lines = ["usage: python -m experiments NAME [OPTIONS]    (NAME --help lists the options)", ""]
    for name in STUDIES:
        path = Path(__file__).parent / f"{name.replace('.', '/')}.py"
        summary = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        lines.append(f"  {name:22} {summary}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
