"""Files that are written atomically: temporary name, fsync, rename, fsync of the folder."""

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
SETTLED = 2.0  # seconds within which two changes may have equal times, because file systems round them


def write_bytes(path: Path, data: bytes) -> None:
    """Writes one piece of data like :func:`write_parts`."""
    write_parts(path, [data])


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Replaces a file atomically: a reader sees the old file or the new one, never a part.

    Args:
        path: The file; its folder is created if necessary.
        parts: The whole content, in pieces.

    Raises:
        StorageError: If the file cannot be written; the previous file is then unchanged.
    """
    with storing(path):
        _replace(path, parts)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Converts an ``OSError`` into an error that names ``path``.

    Raises:
        StorageError: For every ``OSError``.
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
    """Writes a folder's list of files to the disk, so that it survives a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically; nan and infinity are errors."""
    write_bytes(path, to_json(value))


def to_json(value: Any) -> bytes:
    """Returns indented JSON; nan and infinity are errors."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def lock_folder(folder: Path, busy: Exception) -> FileLock:
    """Locks a folder against other processes until the lock is released. Creates the folder if necessary.

    Args:
        folder: The file ``.lock`` is created in it and stays there.
        busy: Raised if another process has the lock.

    Returns:
        The lock; the caller releases it.

    Raises:
        StorageError: If the file cannot be created.
    """
    lock = FileLock(folder / ".lock")
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Timeout):  # a subclass of OSError, which storing() would convert
            lock.acquire(timeout=0)
    if not lock.is_locked:
        raise busy
    return lock


def remove_partial(folder: Path) -> None:
    """Deletes the temporary files of interrupted writes in ``folder``."""
    for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
        leftover.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class VerifiedFiles:
    """Records the files of a folder that had the right SHA-256, so that only new and changed files are hashed.

    A file counts as unchanged if its size, inode and times of change are the same; a copy is therefore hashed again. A
    file that changed within the last two seconds is hashed, but not recorded. Damage that leaves all of these equal,
    such as that of a failing disk, is only found after ``.verified.json`` is deleted.

    Args:
        folder: The record ``.verified.json`` is written here; if that fails, every file is hashed every time.
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
        """Writes the record of the checked files, if it changed."""
        if self._found != self._known:
            with contextlib.suppress(OSError):
                write_json(self._path, self._found)
