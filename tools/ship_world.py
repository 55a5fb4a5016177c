"""Puts a finished run into the package, and its record into docs/results; ``make ship`` runs it.

The run's folder has the name that the world is to ship under; of its agents those ship that were chosen.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

import dreamenv
from dreamenv.bundle import CARD, CONFIG, WEIGHTS, copy_bundle
from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.tables import comparison_table
from dreamenv.foundation.manifest import read_files, write_files

ROOT = Path(__file__).parents[1]
AGENTS = ("ppo", "linear")
SHOWN = "sidewalk"  # the world whose results and film stand in the README
BLOCK = re.compile(r"(<!-- results:begin -->\n).*?(<!-- results:end -->)", re.DOTALL)


def main(run: Path) -> None:
    """Ships the world of ``run``, its agents, tables, plots and films."""
    name = run.name
    world, package, record = dreamenv.load(run), ROOT / "dreamenv" / "worlds" / name, ROOT / "docs" / "results" / name
    records = {agent: run / "compare" / agent / "comparison.json" for agent in AGENTS}
    comparisons = {agent: _read(path) for agent, path in records.items() if path.exists()}
    tables = "\n".join(map(_section, comparisons.values()))
    card = f"# A dream of {world.config.env_id}\n\n{_facts(run)}\n\n{tables}"
    write_files(package, read_files(run, (CONFIG, WEIGHTS)) | {CARD: card.encode()})
    for agent in AGENTS:
        if (run / "agents" / agent / "choice.json").exists():
            copy_bundle(run / "agents" / agent, package / "agents" / agent)
            _copy(run / "agents" / agent, record / agent, ("choice.json",))
    for agent in comparisons:
        _copy(run / "compare" / agent, record / agent, ("comparison.json", "comparison.csv", "comparison.png"))
    _copy(run / "training", record, ("report.json", "reconstructions.png"))
    if name == SHOWN:
        _show(run, "\n".join(_section(_without_blind_dreams(comparison)) for comparison in comparisons.values()))
    print(f"shipped {package} and {record}")


def _show(run: Path, tables: str) -> None:
    images = ROOT / "docs" / "images"
    shutil.copyfile(run / "compare" / "ppo" / "film.gif", images / "film.gif")
    shutil.copyfile(run / "compare" / "ppo" / "comparison.png", images / "comparison.png")
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: f"{match[1]}{tables}{match[2]}", readme.read_text()))


def _read(path: Path) -> Comparison:
    return TypeAdapter(Comparison).validate_json(path.read_bytes())


def _without_blind_dreams(comparison: Comparison) -> Comparison:
    """Policies that see nothing in reality only: enough to hold an agent against."""
    kept = [score for score in comparison.scores if not score.baseline or score.temperature is None]
    return replace(comparison, scores=tuple(kept))


def _section(comparison: Comparison) -> str:
    config = comparison.config
    seeds = f"seeds {config.seed:,} to {config.seed + config.episodes - 1:,}"
    return (
        f"`{comparison.agent}`, {config.episodes} episodes per row, {seeds}, "
        f"commit {_commit(comparison)}:\n\n"
        f"{comparison_table(comparison, 'github')}\n"
    )


def _commit(comparison: Comparison) -> str:
    commit, mark, _ = (comparison.commit or "unknown").partition("-dirty")
    return commit[:12] + " with local changes" * bool(mark)


def _facts(run: Path) -> str:
    report = json.loads((run / "training" / "report.json").read_text())
    store = dreamenv.EpisodeStore(run / "episodes")
    kinds = {kind["kind"]: (kind["recall"], kind["precision"]) for kind in report["memory"]["endings"]}
    heads = "; ".join(
        f"{kind}: recall {recall:.2f}, precision {precision:.2f}" for kind, (recall, precision) in kinds.items()
    )
    vision, one_step = report["vision"], report["one_step"]
    error = vision["squared_error"] if vision else one_step["posterior_error"]  # an RSSM has no V
    return (
        f"Trained on {store.num_frames:,} real frames ({len(store)} episodes). "
        f"Held-out squared error {error:.4f}, "
        f"endings at the exact step: {heads}."
    )


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, target / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
