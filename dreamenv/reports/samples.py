"""How much independent information the training batches of V and M hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.data.episodes import Episode, evenly_spaced_frames
from dreamenv.models.pixels import colour_bins, rare_colour_table
from dreamenv.reports.quantities import autocorrelation, autocorrelation_time, effective_sample_size
from dreamenv.training.balance import draw_weights, going_on_weights, kind_weights
from dreamenv.training.memory import MemoryTraining, window_spans
from dreamenv.training.vision import VisionTraining

FRAMES = 1000  # whose colours are counted
T = TypeVar("T", VisionTraining, MemoryTraining)


@dataclass(frozen=True)
class Windows:
    """The windows that M's batches are drawn from.

    Attributes:
        length: Steps, (W,).
        kind: Index of the kind of ending of the last step, (W,); 0 goes on.
        draw: Weights with which they are drawn, (W,).
    """

    length: NDArray[np.int64]
    kind: NDArray[np.int64]
    draw: NDArray[np.floating]


@dataclass(frozen=True)
class SampleSizes:
    """Effective sample sizes of training batches: what a gradient is an average over.

    Attributes:
        assumed: Whether the settings are the defaults, because no checkpoint has those of the training.
        frames: Frames in a batch of V, drawn independently with equal probability.
        frames_effective: What they are worth by Kish's formula, as frames with rare colours weigh more in the loss.
        windows: Windows that M's batches are drawn from.
        windows_effective: How many equally likely ones are as varied (Kish), as rare endings are drawn more often.
        steps: Expected steps in a batch of M.
        correlation_time: Steps within an episode that are worth one independent step, read from the autocorrelation
            of M's negative log-likelihood: what the gradient averages.
        steps_effective: Expected steps over that time, but no less than one for each window.
        ending_effective: What the expected steps are worth to the ending head by Kish's formula, as steps with rare
            endings weigh more in its loss, and other steps of their windows less.
    """

    assumed: bool
    frames: int
    frames_effective: float
    windows: int
    windows_effective: float
    steps: float
    correlation_time: float
    steps_effective: float
    ending_effective: float


def sample_sizes(
    episodes: Sequence[Episode],
    kinds: NDArray[np.int64],
    likelihoods: Sequence[NDArray[np.floating]],
    vision: Mapping[str, Any],
    memory: Mapping[str, Any],
) -> SampleSizes:
    """Computes the effective sample sizes of the batches that a world was trained on.

    Args:
        episodes: The training episodes.
        kinds: Index of the kind of ending of each, (E,).
        likelihoods: M's negative log-likelihood at every step of some episodes, (T,) each.
        vision: Settings of V's training, as :func:`dreamenv.reports.logs.read_settings` has them; may be empty.
        memory: Those of M's.

    Returns:
        The sizes.
    """
    see, remember = _settings(VisionTraining(), vision), _settings(MemoryTraining(), memory)
    lengths = np.array([len(episode) for episode in episodes])
    windows = cut_windows(lengths, kinds, remember.window, remember.episode_balance)
    probability = windows.draw / windows.draw.sum()
    steps = remember.batch_size * float(probability @ windows.length)
    time = autocorrelation_time(autocorrelation(likelihoods))
    weights = kind_weights(kind_counts(lengths, kinds), remember.step_balance).double().numpy()
    colours = _colour_weights(episodes, see) if see.rare_colours and not see.adversarial else np.ones(1)
    return SampleSizes(
        assumed=not (vision and memory),
        frames=see.batch_size,
        frames_effective=see.batch_size * effective_sample_size(colours) / len(colours),
        windows=len(windows.length),
        windows_effective=effective_sample_size(windows.draw),
        steps=steps,
        correlation_time=time,
        steps_effective=max(steps / time, float(remember.batch_size)),
        ending_effective=_ending_sample_size(windows, weights, steps),
    )


def cut_windows(lengths: NDArray[np.int64], kinds: NDArray[np.int64], window: int, balance: float) -> Windows:
    """The windows of episodes of (E,) lengths with endings of (E,) kinds, see :class:`MemoryTraining`."""
    cuts = [[last - first for first, last in window_spans(length, window)] for length in lengths]
    kind = np.concatenate([[0] * (len(cut) - 1) + [end] for cut, end in zip(cuts, kinds, strict=True)]).astype(int)
    return Windows(np.concatenate(cuts), kind, draw_weights(torch.from_numpy(kind), balance).double().numpy())


def _ending_sample_size(windows: Windows, weights: NDArray[np.floating], steps: float) -> float:
    """What ``steps`` expected steps are worth to the ending head, by the (kinds + 1,) weights of kinds in its loss."""
    drawn, ends = windows.draw * (steps / (windows.draw @ windows.length)), windows.kind > 0
    going = windows.length - ends
    balanced = going_on_weights(torch.from_numpy(windows.draw), torch.from_numpy(going)).numpy()
    counts = np.concatenate([drawn * going, drawn[ends]])
    return effective_sample_size(np.concatenate([weights[0] * balanced, weights[windows.kind[ends]]]), counts)


def kind_counts(lengths: NDArray[np.int64], kinds: NDArray[np.int64]) -> torch.Tensor:
    """How many steps of episodes of (E,) lengths end in each kind of ending, (kinds + 1,); column 0 goes on."""
    steps = np.bincount(kinds)
    steps[0] = lengths.sum() - steps[1:].sum()
    return torch.from_numpy(steps)


def _settings(defaults: T, known: Mapping[str, Any]) -> T:
    """Settings from a checkpoint of whatever version: what it does not name has its default."""
    simple = {f.name for f in dataclasses.fields(defaults)} - {"model", "fit"}
    return dataclasses.replace(defaults, **{name: known[name] for name in simple & set(known)})


def _colour_weights(episodes: Sequence[Episode], config: VisionTraining) -> NDArray[np.floating]:
    """Mean weights of the pixels of evenly spaced frames, (N,)."""
    pixels = torch.from_numpy(evenly_spaced_frames(episodes, FRAMES))
    return rare_colour_table(pixels, config.colour_weights)[colour_bins(pixels)].mean((1, 2)).numpy()
