"""Scores of baselines, stored in files: comparisons on the same seeds play them once."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv
from pydantic import TypeAdapter, ValidationError

from dreamenv.evaluate.groups import GroupScore
from dreamenv.evaluate.scores import Score
from dreamenv.foundation.errors import StorageError
from dreamenv.foundation.files import to_json, write_json


@dataclass(frozen=True)
class Row:
    """One row of a comparison.

    Attributes:
        score: The score of a policy in one place.
        groups: The score by group of episodes; empty in dreams.
    """

    score: Score
    groups: tuple[GroupScore, ...] = ()


def stored_or_played(folder: Path | None, facts: list[Any], play: Callable[[], Row]) -> Row:
    """Reads a row that an earlier call stored, or plays and stores it.

    Args:
        folder: Folder of stored rows; if None, or if it cannot be written, nothing is stored.
        facts: Everything that the row depends on, as JSON values.
        play: Plays the episodes of the row.

    Returns:
        The row.
    """
    if folder is None:
        return play()
    path = folder / f"{hashlib.sha256(to_json(facts)).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValidationError):  # if it is missing or damaged, the row is played again
        return TypeAdapter(Row).validate_json(path.read_bytes(), strict=True, extra="ignore")
    row = play()
    with contextlib.suppress(StorageError):
        write_json(path, {"facts": facts, **dataclasses.asdict(row)})
    return row


def source(env: VectorEnv) -> str | None:
    """SHA-256 of the file that defines the real environment, as its author may change it under the same id."""
    with contextlib.suppress(AttributeError, TypeError, OSError):
        path = inspect.getsourcefile(type(env.unwrapped.envs[0].unwrapped))  # type: ignore[attr-defined]
        return hashlib.sha256(Path(path or "").read_bytes()).hexdigest()
    return None
