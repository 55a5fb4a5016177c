"""Sets of files that are replaced together, and checked against a manifest of SHA-256 sums when read."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dreamenv.foundation.errors import BundleError
from dreamenv.foundation.files import remove_partial, storing, sync_folder, write_bytes, write_json

MANIFEST = "manifest.json"
NEXT = ".next-"  # prefix of new files until the manifest lists them
MAX_FILES = 16
MAX_BYTES = {".json": 2**20, ".md": 2**20, ".safetensors": 2**32}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUM = re.compile(r"[0-9a-f]{64}")


def write_files(folder: Path, contents: dict[str, bytes]) -> None:
    """Replaces the files of a folder together: after an interruption, either the old or the new files can be read.

    New files are written beside the old ones with a prefix. They are renamed after the new manifest is in place.

    Args:
        folder: Created if necessary.
        contents: Content by file name.

    Raises:
        StorageError: If a file cannot be written; the previous files are then unchanged.
    """
    with storing(folder):
        _settle(folder)
        for name, data in contents.items():
            write_bytes(folder / f"{NEXT}{name}", data)
        write_json(folder / MANIFEST, {name: sha256(data).hexdigest() for name, data in contents.items()})
        _settle(folder)
        remove_partial(folder)


def read_files(folder: Path, required: tuple[str, ...]) -> dict[str, bytes]:
    """Reads all files that the manifest of a folder lists.

    Args:
        folder: Written by :func:`write_files`, even if that was interrupted.
        required: Names that the manifest must list.

    Returns:
        Content by file name; every SHA-256 sum is checked.

    Raises:
        BundleError: If a file is missing, changed, too large, a link or a device.
    """
    sums = read_manifest(folder)
    missing = [name for name in required if name not in sums]
    if missing:
        raise BundleError(f"{folder / MANIFEST} does not list {', '.join(missing)}")
    try:
        return {name: _read_listed(folder, name, expected) for name, expected in sums.items()}
    except BundleError:
        if read_manifest(folder) == sums:
            raise
        return read_files(folder, required)  # another process replaced them


def read_manifest(folder: Path) -> dict[str, str]:
    """Returns SHA-256 sums by file name.

    Raises:
        BundleError: If there is no manifest, or if it lists too many files or a name with a path.
    """
    path = folder / MANIFEST
    try:
        return _parse(read_plain(path), path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from None


def _parse(data: bytes, path: Path) -> dict[str, str]:
    try:
        sums = TypeAdapter(dict[str, str]).validate_json(data, strict=True)
    except ValidationError as error:
        raise BundleError(f"{path} cannot be read: {error}") from None
    if len(sums) > MAX_FILES:
        raise BundleError(f"{path} lists {len(sums)} files, expected at most {MAX_FILES}")
    for name, value in sums.items():
        if not _NAME.fullmatch(name) or Path(name).suffix not in MAX_BYTES or name == MANIFEST:
            raise BundleError(f"{path} lists {name!r}, which is not a file beside it")
        if not _SUM.fullmatch(value):
            raise BundleError(f"{path} has {value!r} for {name}, expected a SHA-256 of 64 hexadecimal digits")
    return sums


def read_plain(path: Path) -> bytes:
    """Reads a regular file of limited size.

    Raises:
        OSError: If it is a link, a device or larger.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        facts, limit = os.fstat(handle), MAX_BYTES[path.suffix]
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"expected a plain file, got mode {facts.st_mode:o}")
        if facts.st_size > limit:
            raise OSError(f"expected at most {limit:,} bytes, got {facts.st_size:,}")
        return file.read()


def _read_listed(folder: Path, name: str, expected: str) -> bytes:
    """Reads a file with or without prefix; tries its final name again, because a writer may rename it meanwhile."""
    reason = "missing"
    for path in (folder / name, folder / f"{NEXT}{name}", folder / name):
        try:
            data = read_plain(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = f"not readable: {error}"
            continue
        found = sha256(data).hexdigest()
        if found == expected:
            return data
        reason = f"damaged: expected SHA-256 {expected}, got {found}"
    raise BundleError(f"{folder / name} is {reason}")


def _settle(folder: Path) -> None:
    """Renames new files that the manifest lists, and removes those of writes that ended before their manifest."""
    waiting = sorted(folder.glob(f"{NEXT}*"))
    if not waiting:
        return
    sums: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError, BundleError):  # without a manifest all new files are removed
        sums = _parse(read_plain(folder / MANIFEST), folder / MANIFEST)
    for path in waiting:
        name = path.name.removeprefix(NEXT)
        if sums.get(name) == sha256(path.read_bytes()).hexdigest():
            os.replace(path, folder / name)
        else:
            path.unlink()
    sync_folder(folder)
