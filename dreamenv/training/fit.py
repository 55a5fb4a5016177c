"""The one training loop: progress bar, TensorBoard, checkpoints, exact resume."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dreamenv.foundation.errors import DivergenceError
from dreamenv.foundation.processor import bfloat16_is_fast
from dreamenv.foundation.progress import progress
from dreamenv.foundation.ranges import Natural, Settings, Share, Weight
from dreamenv.training.checkpoint import CHECKPOINT_SECONDS, alone_in, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_EVERY = 10  # steps between entries of the log
Metrics = dict[str, float]
Loss = Callable[[int, torch.Generator], tuple[Tensor, Metrics]]


@dataclass(frozen=True)
class FitConfig(Settings):
    """How a model is fitted.

    Attributes:
        steps: Gradient steps.
        learning_rate: Peak of Adam's learning rate; it warms up for ``warmup_steps`` and falls to 0 as a cosine.
        warmup_steps: Steps until the peak.
        weight_decay: Decoupled weight decay (AdamW).
        gradient_clip: Largest norm of the gradient.
        momentum: Adam's beta 1.
        precision: ``bfloat16`` runs matrix products in autocast, with float32 weights. On processors where float32 is
            faster, products are in float32 all the same.

    Raises:
        SettingsError: If a setting is out of range.
    """

    steps: Natural
    learning_rate: Weight = 1e-3
    warmup_steps: Natural = 50
    weight_decay: Weight = 0.0
    gradient_clip: Weight = 100.0
    momentum: Share = 0.9
    precision: Literal["float32", "bfloat16"] = "bfloat16"


Parts = Sequence[tuple[nn.Module, FitConfig]]


def fit(
    model: nn.Module,
    loss: Loss,
    config: FitConfig,
    folder: Path,
    identity: object,
    seed: int = 0,
    parts: Parts | None = None,
    span: tuple[int, int] | None = None,
) -> None:
    """Minimises ``loss``; resumes from the checkpoint in ``folder`` if there is one.

    Args:
        model: Changed in place.
        loss: ``loss(step, generator)`` draws its batch from the generator; it returns a scalar and the metrics to log.
        config: Settings.
        folder: For two checkpoints and TensorBoard's event files.
        identity: JSON-able description of data and model; a checkpoint of another identity is refused.
        seed: Step i draws from a generator seeded with (seed, i), so that a resumed run repeats an uninterrupted one.
        parts: Modules of the model whose weights are optimised, each with settings of its own in place of ``config``,
            except for steps and precision; ``identity`` describes them. All weights, by ``config``, if None.
        span: For a run without a planned end, in several calls: the step at which the run begins, and the one before
            which this call ends. Learning rates then stay at their peak, and ``config.steps`` is not read.

    Raises:
        ResumeError: If the checkpoint belongs to other settings or data, or another process is at work there.
        DivergenceError: If the loss, its gradient, a weight or a buffer is not finite. Such numbers are never saved:
            the last checkpoint stays, and the same command resumes from it.
    """
    with alone_in(folder):
        run = _Run(config, 0, config.steps) if span is None else _Run(dataclasses.replace(config, steps=0), *span)
        _fit(model, loss, run, folder, identity, seed, parts or [(model, config)])


@dataclass(frozen=True)
class _Run:
    """Steps of a call of :func:`fit`; the learning rates of ``config`` fall to 0 unless it has no steps."""

    config: FitConfig
    begin: int
    end: int


def _fit(model: nn.Module, loss: Loss, run: _Run, folder: Path, identity: object, seed: int, parts: Parts) -> None:
    config = run.config
    optimizer = torch.optim.AdamW([_group(module, part) for module, part in parts], fused=True)
    fingerprint = json.dumps([dataclasses.asdict(config), seed, identity])
    first = load_checkpoint(folder, model, optimizer, fingerprint) or run.begin
    if first == run.end:
        model.eval()
        return
    saved, saved_step = time.monotonic(), first
    check_weights(model, optimizer, folder.name, first, saved_step)
    device = next(model.parameters()).device
    rounded = config.precision == "bfloat16" and bfloat16_is_fast(device)
    model.train()
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=first) as writer:
        bar = progress(iterable=range(first, run.end), initial=first, total=run.end, unit="step", desc=folder.name)
        for step in bar:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)  # the low 32 bits count
            with torch.autocast(device.type, torch.bfloat16, enabled=rounded):
                value, metrics = loss(step, generator)
            if not torch.isfinite(value):
                terms = ", ".join(f"{name} {term:.4g}" for name, term in metrics.items())
                raise not_finite(f"the loss of {folder.name} is {value.item()} at step {step} ({terms})", saved_step)
            norm = _differentiate(optimizer, value, parts)
            if not torch.isfinite(norm):
                raise not_finite(f"the gradient of {folder.name} has norm {norm.item()} at step {step}", saved_step)
            _update(optimizer, step, config.steps, parts)
            if step % LOG_EVERY == 0:
                _log(writer, bar, step, value, metrics)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                check_weights(model, optimizer, folder.name, step + 1, saved_step)
                writer.flush()  # or the log of steps that are not repeated may be lost
                save_checkpoint(folder, model, optimizer, fingerprint, step + 1)
                saved, saved_step = time.monotonic(), step + 1
    check_weights(model, optimizer, folder.name, run.end, saved_step)
    save_checkpoint(folder, model, optimizer, fingerprint, run.end)
    model.eval()


def learning_rate_at(step: int, config: FitConfig) -> float:
    """Linear warm-up to the peak, then half a cosine down to 0 (Loshchilov and Hutter 2016, without restarts).

    Without a number of steps, the rate stays at its peak.
    """
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if not config.steps:
        return config.learning_rate * warm
    return config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / config.steps))


def not_finite(what: str, saved_step: int) -> DivergenceError:
    """Makes the error of a training with numbers that are not finite.

    Args:
        what: Names the number, the model and the step.
        saved_step: Steps of the last checkpoint.
    """
    return DivergenceError(
        f"{what}; expected finite numbers. Nothing of this was saved: the same command goes on from step {saved_step}. "
        "If it stops there again, look at the data, or lower the learning rate"
    )


def check_weights(model: nn.Module, optimizer: torch.optim.Optimizer, name: str, step: int, saved_step: int) -> None:
    """Checks that a checkpoint after ``step`` steps holds finite numbers only.

    Raises:
        DivergenceError: Names the first weight, buffer or part of the optimizer's state that is not finite.
    """
    tensors = dict(model.state_dict())
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"the optimizer's {key} {index}": tensor for key, tensor in state.items()}
    spoiled = [key for key, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if spoiled:
        raise not_finite(f"{spoiled[0]} of {name} is not finite after {step} steps", saved_step)


def _group(module: nn.Module, config: FitConfig) -> dict[str, Any]:
    """The optimizer's options for the weights of a module."""
    return {
        "params": list(module.parameters()),
        "lr": config.learning_rate,
        "betas": (config.momentum, 0.999),
        "weight_decay": config.weight_decay,
    }


def _differentiate(optimizer: torch.optim.Optimizer, value: Tensor, parts: Parts) -> Tensor:
    """Writes the clipped gradient of each part into its parameters; returns the largest norm before clipping."""
    optimizer.zero_grad()
    value.backward()
    return torch.stack([nn.utils.clip_grad_norm_(m.parameters(), part.gradient_clip) for m, part in parts]).max()


def _update(optimizer: torch.optim.Optimizer, step: int, steps: int, parts: Parts) -> None:
    for group, (_, part) in zip(optimizer.param_groups, parts, strict=True):
        group["lr"] = learning_rate_at(step, dataclasses.replace(part, steps=steps))
    optimizer.step()


def _log(writer: SummaryWriter, bar: tqdm, step: int, value: Tensor, metrics: Metrics) -> None:
    metrics = {"loss": value.item(), **metrics}
    for name, scalar in metrics.items():
        writer.add_scalar(name, scalar, step)
    shown = {name: f"{scalar:.4g}" for name, scalar in metrics.items() if "/" not in name}
    bar.set_postfix(shown, refresh=False)
