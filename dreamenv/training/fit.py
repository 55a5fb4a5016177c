"""The one training loop: progress bar, TensorBoard, checkpoints, exact resume."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from dreamenv.progress import progress
from dreamenv.training.checkpoint import CHECKPOINT_SECONDS, load_checkpoint, save_checkpoint

LOG_EVERY = 10  # steps between entries of the log
Metrics = dict[str, float]
Loss = Callable[[int, torch.Generator], tuple[Tensor, Metrics]]


@dataclass(frozen=True)
class FitConfig:
    """How a model is fitted.

    Attributes:
        steps: Gradient steps.
        learning_rate: Peak of Adam's learning rate; it warms up for ``warmup_steps`` and falls to 0 as a cosine.
        warmup_steps: Steps until the peak.
        weight_decay: Decoupled weight decay (AdamW).
        gradient_clip: Largest norm of the gradient.
        momentum: Adam's beta 1.
        precision: ``bfloat16`` runs matrix products in autocast, with float32 weights.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    weight_decay: float = 0.0
    gradient_clip: float = 100.0
    momentum: float = 0.9
    precision: Literal["float32", "bfloat16"] = "bfloat16"


def fit(model: nn.Module, loss: Loss, config: FitConfig, folder: Path, identity: object, seed: int = 0) -> None:
    """Minimises ``loss``; goes on from the checkpoint in ``folder`` if there is one.

    Args:
        model: Changed in place.
        loss: ``loss(step, generator)`` draws its batch from the generator and returns a scalar with what to log.
        config: Settings.
        folder: Takes two generations of checkpoints and TensorBoard's event files.
        identity: JSON-able description of data and model; a checkpoint of another identity is refused.
        seed: Step i draws from a generator seeded with (seed, i), so that a resumed run repeats an uninterrupted one.

    Raises:
        ResumeError: If the checkpoint belongs to other settings or data.
        FloatingPointError: If the loss or its gradient is not finite; the last checkpoint stays.
    """
    betas, decay = (config.momentum, 0.999), config.weight_decay
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, betas, weight_decay=decay, fused=True)
    fingerprint = json.dumps([dataclasses.asdict(config), seed, identity])
    first = load_checkpoint(folder, model, optimizer, fingerprint)
    if first == config.steps:
        model.eval()
        return
    saved = time.monotonic()
    device = next(model.parameters()).device
    model.train()
    with SummaryWriter(str(folder), purge_step=first) as writer:
        bar = progress(
            iterable=range(first, config.steps), initial=first, total=config.steps, unit="step", desc=folder.name
        )
        for step in bar:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)  # the low 32 bits count
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                value, metrics = loss(step, generator)
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"the loss of {folder.name} is {value.item()} at step {step}; checkpoint: {folder}"
                )
            norm = _update(model, optimizer, value, step, config)
            if not torch.isfinite(norm):
                raise FloatingPointError(
                    f"the gradient of {folder.name} has norm {norm.item()} at step {step}; checkpoint: {folder}"
                )
            if step % LOG_EVERY == 0:
                _log(writer, bar, step, value, metrics)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_checkpoint(folder, model, optimizer, fingerprint, step + 1)
                saved = time.monotonic()
    save_checkpoint(folder, model, optimizer, fingerprint, config.steps)
    model.eval()


def warm_start(model: nn.Module, source: nn.Module | None) -> None:
    """Copies the tensors of ``source`` that ``model`` has under the same name with the same shape."""
    known = {} if source is None else source.state_dict()
    own = model.state_dict()
    model.load_state_dict({n: known[n] if n in known and known[n].shape == t.shape else t for n, t in own.items()})


def learning_rate_at(step: int, config: FitConfig) -> float:
    """Linear warm-up to the peak, then half a cosine down to 0 (Loshchilov and Hutter 2016, without restarts)."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / config.steps))


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, value: Tensor, step: int, config: FitConfig) -> Tensor:
    optimizer.zero_grad()
    value.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(step, config)
    optimizer.step()
    return norm


def _log(writer: SummaryWriter, bar: tqdm, step: int, value: Tensor, metrics: Metrics) -> None:
    metrics = {"loss": value.item(), **metrics}
    for name, scalar in metrics.items():
        writer.add_scalar(name, scalar, step)
    shown = {name: f"{scalar:.4g}" for name, scalar in metrics.items() if "/" not in name}
    bar.set_postfix(shown, refresh=False)
