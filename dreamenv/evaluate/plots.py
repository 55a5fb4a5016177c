"""The plots of scores: by temperature, and by round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.rounds import Round
from dreamenv.evaluate.scores import Score
from dreamenv.foundation.figures import FILE, draw_interval, draw_level, new_pair, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Measure = Literal["return", "success"]
MEASURES: dict[Measure, str] = {"return": "mean return", "success": "success rate"}


def plot_comparison(comparison: Comparison, path: Path) -> None:
    """Draws return and success by temperature: dreams as lines, reality as bands in the same colours."""
    figure, left, right = new_pair()
    policies = list(dict.fromkeys(score.policy for score in comparison.scores))
    for axes, (measure, label) in zip((left, right), MEASURES.items(), strict=True):
        for colour, policy in zip(FILE.colours, policies, strict=False):
            _draw_policy(axes, [score for score in comparison.scores if score.policy == policy], colour, measure)
        axes.set(xlabel="temperature of the dream", ylabel=label)
        axes.grid(alpha=0.3)
    if left.get_legend_handles_labels()[0]:
        left.legend(fontsize=8, title="line: dream, dashes: reality", title_fontsize=8)
    episodes = comparison.config.episodes
    figure.suptitle(f"{comparison.env_id}: {comparison.agent}, {episodes} episodes each, 95% intervals", fontsize=11)
    write_figure(figure, path)


def plot_rounds(rounds: Sequence[Round], path: Path) -> None:
    """Draws return and success of the greedy agent, in its dream and in reality, by the real frames learned from."""
    figure, left, right = new_pair()
    frames = [one.frames for one in rounds]
    for axes, (measure, label) in zip((left, right), MEASURES.items(), strict=True):
        places = {"real": [one.real for one in rounds], "dream": [one.dream for one in rounds]}
        for colour, (place, scores) in zip(FILE.colours, places.items(), strict=False):
            draw_interval(axes, frames, [interval(score, measure) for score in scores], colour, place)
        axes.set(xlabel="real frames", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle("Rounds on validation seeds, greedy agent, 95% intervals", fontsize=11)
    write_figure(figure, path)


def interval(score: Score, measure: Measure) -> tuple[float, float, float]:
    """Mean, lower and upper end of its 95% interval; NaN, which leaves a gap in a line, if success is unknown."""
    if measure == "return":
        return score.mean, score.low, score.high
    values = (score.success, score.success_low, score.success_high)
    return tuple(np.nan if value is None else value for value in values)  # type: ignore[return-value]


def _draw_policy(axes: Axes, scores: list[Score], colour: str, measure: Measure) -> None:
    dreams = {score.temperature: score for score in scores if score.temperature is not None}
    if dreams:
        values = [interval(dreams[temperature], measure) for temperature in sorted(dreams)]
        draw_interval(axes, sorted(dreams), values, colour, scores[0].policy, markersize=4)
    for score in scores:
        if score.place == "real":
            draw_level(axes, interval(score, measure), colour)
