"""Checkpoints of a model and its optimizer as safetensors."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from dreamenv.errors import ResumeError
from dreamenv.files import write_bytes

CHECKPOINT_SECONDS = 20.0  # between checkpoints: what a killed process may lose


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str, step: int
) -> None:
    """Writes weights, buffers and the optimizer's state after ``step`` steps.

    Args:
        path: The file.
        model: Its state is stored.
        optimizer: Over the model's parameters.
        fingerprint: What a resuming run must have in common.
        step: Steps done.
    """
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in state.items()}
    write_bytes(path, safetensors.torch.save(tensors, {"fingerprint": fingerprint, "step": str(step)}))


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> int:
    """Restores what :func:`save_checkpoint` wrote; does nothing where there is no file.

    Returns:
        Steps done, 0 without a checkpoint.

    Raises:
        ResumeError: If the checkpoint belongs to a run with another fingerprint.
    """
    if not path.exists():
        return 0
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata["fingerprint"] != fingerprint:
            raise ResumeError(
                f"{path} belongs to a run with other settings or data: it has {metadata['fingerprint']}, "
                f"this run has {fingerprint}; delete {path.parent} to train anew"
            )
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    model.load_state_dict({name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(metadata["step"])
