"""Scores of policies that see nothing, kept in files: every comparison on the same seeds has the same ones."""

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
        score: Of a policy in one place.
        groups: The same split by what went on in the episodes; empty in dreams.
    """

    score: Score
    groups: tuple[GroupScore, ...] = ()


def kept(folder: Path | None, facts: list[Any], play: Callable[[], Row]) -> Row:
    """Reads a row that an earlier call stored, or plays and stores it.

    Args:
        folder: Of such rows; if None, or where it cannot be written, nothing is stored.
        facts: All that the row depends on, as JSON has it.
        play: Makes the row.

    Returns:
        The row.
    """
    if folder is None:
        return play()
    path = folder / f"{hashlib.sha256(to_json(facts)).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValidationError):  # missing or damaged: it is played again
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
