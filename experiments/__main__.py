"""Runs a study: ``python -m experiments NAME [OPTIONS]``; without a name it lists the studies."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import tyro

STUDIES = {  # module -> the class with its options
    "trust.frontier": "Frontier",
    "trust.rounds": "Rounds",
    "trust.ablation": "Ablation",
    "trust.temperature": "Temperature",
    "trust.starved": "Starved",
    "trust.zoo": "Zoo",
    "trust.failures": "Failures",
    "post.visions": "Visions",
    "post.repulsion": "Repulsion",
    "post.inputs": "Inputs",
    "takecover.temperature": "Temperature",
    "takecover.rounds": "Rounds",
    "takecover.ablation": "Ablation",
    "takecover.fireballs": "Fireballs",
    "takecover.births": "Births",
    "takecover.monsters": "Monsters",
}


def main(arguments: Sequence[str]) -> None:
    """Runs the study that the arguments name."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return
    torch.set_num_threads(1)
    parse(*arguments).run()


def parse(name: str, *options: str) -> Any:
    """A study with its options."""
    if name not in STUDIES:
        sys.exit(f"expected one of these studies, got {name!r}:\n{overview()}")
    module = importlib.import_module(f"experiments.{name}")
    description = (module.__doc__ or "").strip()
    kind = getattr(module, STUDIES[name])
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
