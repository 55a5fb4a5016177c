"""Files that are either whole or absent: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dreamenv.foundation.errors import StorageError

TEMPORARY_PREFIX = ".partial-"
SETTLED = 2.0  # seconds after a change in which another one may leave the same times, as file systems round them


def write_bytes(path: Path, data: bytes) -> None:
    """Writes one piece of data like :func:`write_parts`."""
    write_parts(path, [data])


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Replaces ``path`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: Where the file shall stand; its folder is made when missing.
        parts: The whole content, one piece after the other.

    Raises:
        StorageError: If the disk refuses; the previous file is then intact.
    """
    with storing(path):
        _replace(path, parts)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turns a refusal of the disk into an error that names ``path``.

    Raises:
        StorageError: If the disk refuses.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}") from error


def _replace(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
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

    Raises:
        StorageError: If the disk refuses.
    """
    lock = FileLock(folder / ".lock")
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Timeout):  # an OSError, too
            lock.acquire(timeout=0)
    if not lock.is_locked:
        raise busy
    return lock


def remove_partial(folder: Path) -> None:
    """Deletes what an interrupted :func:`write_bytes` left in ``folder``."""
    for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
        leftover.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class VerifiedFiles:
    """Remembers which files of a folder had the right SHA-256, so that only new and changed ones are hashed.

    A file counts as unchanged while its size, inode and times of change are the same; so a copy is hashed anew. A file
    that changed within the last two seconds is hashed, but not remembered. What damages a file without the file system
    knowing, such as a failing disk, is found once ``.verified.json`` is deleted.

    Args:
        folder: Keeps the record ``.verified.json``; if it cannot be written there, every file is hashed every time.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".verified.json"
        self._known: dict[str, list[int]] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._path.read_bytes())
            self._known = known if isinstance(known, dict) else {}
        self._found: dict[str, list[int]] = {}

    def check(self, path: Path, expected: str) -> bool:
        """Whether the SHA-256 of a file in the folder is ``expected``."""
        state = path.stat()
        fingerprint = [state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns]
        if self._known.get(path.name) != fingerprint and sha256(path) != expected:
            return False
        if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > SETTLED * 1e9:
            self._found[path.name] = fingerprint
        return True

    def save(self) -> None:
        """Writes the record, if it changed, for the files that were checked."""
        if self._found != self._known:
            with contextlib.suppress(OSError):
                write_json(self._path, self._found)
