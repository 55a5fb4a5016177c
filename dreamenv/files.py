"""Files that are either whole or absent: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

TEMPORARY_PREFIX = ".partial-"


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces ``path`` by ``data`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: Where the file shall stand; its folder is made when missing.
        data: The whole content.

    Raises:
        OSError: If the disk refuses; the previous file is then intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically; nan and infinity are refused."""
    write_bytes(path, to_json(value))


def to_json(value: Any) -> bytes:
    """Indented JSON; nan and infinity are refused."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def lock_folder(folder: Path, busy: Exception) -> FileLock:
    """Keeps other processes from working in a folder, which is made when missing, until the lock is released.

    Args:
        folder: Takes a file ``.lock``, which stays there.
        busy: Raised if somebody else has it.

    Returns:
        The lock, to be released.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise busy from None
    return lock


def remove_partial(folder: Path) -> None:
    """Deletes what an interrupted :func:`write_bytes` left in ``folder``."""
    for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
        leftover.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
