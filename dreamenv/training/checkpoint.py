"""Checkpoints of a model and its optimizer as safetensors; two generations are kept."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from dreamenv.foundation.errors import ResumeError
from dreamenv.foundation.files import lock_folder, remove_partial, write_bytes

CHECKPOINT_SECONDS = 20.0  # between checkpoints: the most work that a killed process loses
GENERATIONS = 2


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Locks the folder that a training writes to.

    Raises:
        ResumeError: If another process has locked it.
    """
    lock = lock_folder(folder, ResumeError(f"another process is at work in {folder}; wait for it, or stop it"))
    try:
        yield
    finally:
        lock.release()


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str, step: int
) -> None:
    """Writes weights, buffers and the optimizer's state after ``step`` steps; keeps the last two checkpoints.

    A file's name contains the steps and the SHA-256 of its content, so a single rename publishes the checkpoint.

    Args:
        folder: Made when missing.
        model: Its state is stored.
        optimizer: Over the model's parameters.
        fingerprint: Description of settings and data; a run that resumes must have the same.
        step: Steps done.

    Raises:
        StorageError: If writing fails; earlier checkpoints are then intact.
    """
    tensors = {"step": torch.tensor(step)}
    tensors |= {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in state.items()}
    data = safetensors.torch.save(tensors, {"fingerprint": fingerprint})  # one entry: several come in any order
    write_bytes(folder / f"checkpoint-{step:010d}-{sha256(data).hexdigest()}.safetensors", data)
    _remove_old(folder)


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> int:
    """Restores the newest checkpoint of :func:`save_checkpoint`; does nothing if there is none.

    A damaged checkpoint is removed, with a warning, and the one before it is restored. Leftovers of a save that was
    killed are removed as well: a third checkpoint, or a part of a file.

    Returns:
        Steps done, 0 without a checkpoint.

    Raises:
        ResumeError: If the checkpoint belongs to a run with another fingerprint, or all are damaged.
    """
    paths = checkpoints(folder)
    if not paths:
        return 0
    for path in paths:
        data = path.read_bytes()
        if sha256(data).hexdigest() == path.stem.rpartition("-")[2]:
            break
        path.unlink()
        warnings.warn(
            f"{path} was damaged and is removed: its content did not match the SHA-256 in its name", stacklevel=2
        )
    else:
        raise ResumeError(f"all checkpoints in {folder} were damaged and are removed; the same command begins anew")
    found = fingerprint_of(path)
    if found != fingerprint:
        raise ResumeError(
            f"{path} belongs to a run with other settings or data: "
            f"{differences(json.loads(found), json.loads(fingerprint))}; delete {folder} to train anew"
        )
    tensors = safetensors.torch.load(data)
    model.load_state_dict({name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    _remove_old(folder)
    return int(tensors["step"])


def differences(found: Any, expected: Any) -> str:
    """Differences of two JSON values in one line, such as "steps 2000 there, 4000 here"."""
    return ", ".join(_differences(found, expected, "seed or data"))


def _differences(found: Any, expected: Any, name: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in {**found, **expected}:
            yield from _differences(found.get(key), expected.get(key), key)
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) == len(expected):
            for one, other in zip(found, expected, strict=True):
                yield from _differences(one, other, name)
        else:
            yield f"{len(found)} entries of {name} there, {len(expected)} here"
    elif found != expected:
        yield f"{name} {found} there, {expected} here"


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, most steps first."""
    return sorted(folder.glob("checkpoint-*.safetensors"), reverse=True)


def _remove_old(folder: Path) -> None:
    for old in checkpoints(folder)[GENERATIONS:]:
        old.unlink(missing_ok=True)
    remove_partial(folder)


def fingerprint_of(path: Path) -> str:
    """Reads the fingerprint of a checkpoint.

    Raises:
        SafetensorError: If it is damaged.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        return file.metadata()["fingerprint"]
