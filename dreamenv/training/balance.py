"""Balance of rare endings in training: which sequences are drawn, how much their steps weigh, and what that shifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.recordings import Recording


def draw_weights(kind: Tensor, balance: float) -> Tensor:
    """Weights (W,) by which windows are drawn, from the kinds (W,) of their last steps."""
    return (torch.bincount(kind) / len(kind))[kind] ** -balance


def kind_weights(steps: Tensor, balance: float) -> Tensor:
    """Weights (kinds,) of kinds of endings in the ending head's loss, from their numbers of steps (kinds,)."""
    return ((steps.clamp(min=1) / steps.max()) ** -balance).float()


def going_on_weights(draw: Tensor, steps: Tensor) -> Tensor:
    """Weights (W,) in the ending head's loss of steps that go on, by window; 1 on average over those drawn.

    Args:
        draw: Weights (W,) by which windows are drawn.
        steps: Number of steps that go on, by window, (W,).
    """
    return (draw.double() @ steps.double() / steps.sum().clamp(min=1) / draw).float()


@dataclass(frozen=True)
class EndingBalance:
    """Weights that balance kinds of endings.

    Attributes:
        draw: Weights by which sequences are drawn, (W,).
        going_on: Weights in the ending head's loss of a sequence's steps that go on, (W,).
        kinds: Weights of the kinds of endings in that loss, (kinds,).
        shift: Shift of the logits that the weights cause, (kinds,); 0 for a kind without steps.
    """

    draw: Tensor
    going_on: Tensor
    kinds: Tensor
    shift: Tensor


def balance_endings(
    windows: Sequence[Recording], kinds: int, episode_balance: float, step_balance: float
) -> EndingBalance:
    """Computes the weights, and the shift that they cause in the ending head's logits.

    A window that is drawn more often brings more of all its steps, not only of its ending. Steps shortly before an
    ending would then have shifted logits too, by another amount than other steps, and no constant could correct both.
    So the weight of steps that go on is divided by the factor by which their window is drawn more often.

    Args:
        windows: Sequences of steps, of which only the last may end an episode.
        kinds: Ways a step can end, "goes on" included.
        episode_balance: A window is drawn with probability ~ (share of its kind of ending) ** -episode_balance.
        step_balance: A kind of ending has the weight (share of its steps) ** -step_balance.
    """
    last = torch.stack([window.ending[-1] for window in windows])
    draw = draw_weights(last, episode_balance)
    counts = torch.stack([torch.bincount(window.ending, minlength=kinds) for window in windows]).double()
    steps = counts.sum(0)
    weights = kind_weights(steps, step_balance)
    seen = (counts * draw[:, None]).sum(0) / draw.sum() * weights
    shift = torch.where(steps > 0, (seen / (steps / steps.sum())).log(), 0.0)
    return EndingBalance(draw, going_on_weights(draw, counts[:, 0]), weights, shift)
