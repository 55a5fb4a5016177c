"""The chapter on the predictions of any kind of world model."""

from __future__ import annotations

from collections.abc import Sequence

from dreamenv.foundation.figures import PAGE, REFERENCE, new_panel, png
from dreamenv.reports.model_report import SUMMED_STEPS
from dreamenv.reports.one_step import OneStepReport
from dreamenv.reports.page import PageFigure, Row, Section
from dreamenv.reports.page_curves import losses_figure
from dreamenv.reports.page_frames import reconstructions_figure, strip_figures
from dreamenv.reports.prediction import PredictionInspection
from dreamenv.reports.results import Inspection, Pictures
from dreamenv.reports.strips import FilmStrip


def prediction_section(inspection: Inspection, pictures: Pictures) -> Section:
    """Makes the chapter on predictions one step ahead and on dreams from real moments."""
    return Section(
        anchor="prediction",
        title="Prediction",
        intro=f"What the world model predicts, on {inspection.prediction.report.steps} steps of {inspection.episodes} "
        "episodes that it was not trained on. Every kind of world model has these numbers.",
        rows=prediction_rows(inspection),
        figures=(
            *_strips(inspection, pictures.strips),
            _open_loop(inspection),
            *(() if inspection.vision else (reconstructions_figure(pictures.reconstructions), _no_samples())),
            *_other_losses(inspection),
        ),
    )


def prediction_rows(inspection: Inspection) -> tuple[Row, ...]:
    """The numbers."""
    report, error = inspection.prediction.report, inspection.prediction.report.reward_error
    return (
        *_one_step_rows(inspection.prediction.one_step),
        Row(
            "NLL, nats per dimension",
            f"{report.nll:.3f}",
            "low; to be compared between worlds with the same encoder only",
        ),
        Row(
            "Reward error of ordinary steps",
            "-" if error is None else f"{error:.4f}",
            "small beside the rewards of the task",
        ),
        Row(
            f"R2 of these rewards: per step, over {SUMMED_STEPS} steps",
            ", ".join("-" if r2 is None else f"{r2:.2f}" for r2 in (report.reward_r2, report.reward_sum_r2)),
            "1 is perfect, 0 no better than their mean; returns depend on the sums; a dash where rewards do not vary",
        ),
    )


def _one_step_rows(report: OneStepReport) -> tuple[Row, ...]:
    return (
        Row(
            "Squared error, posterior",
            f"{report.posterior_error:.5f}",
            f"far below {report.mean_frame_error:.5f}, the error of one mean picture for all frames; decoded from a z "
            "that is drawn with the frame itself in sight: what encoder and decoder cost",
        ),
        Row(
            "Squared error, prior after one step",
            f"{report.prior_error:.5f}",
            "little above the one of the posterior: frames decoded from a z that is drawn before the frame comes. At "
            "the error of the mean picture or above it, the prior predicts nothing",
        ),
        Row(
            "Ratio of the two",
            "-" if report.ratio is None else f"{report.ratio:.2f}",
            "near 1, where a dreamed step costs nothing; at 2 a single step costs as much as the decoder. It compares "
            "kinds of world models on the same episodes; chance in the environment raises it for all of them. Where "
            "the error of the posterior is that of the mean picture it says nothing: z is ignored",
        ),
    )


def _strips(inspection: Inspection, strips: Sequence[FilmStrip]) -> tuple[PageFigure, ...]:
    return strip_figures(strips, inspection.config.horizons)


def _open_loop(inspection: Inspection) -> PageFigure:
    title = "Open-loop error by horizon"
    if not inspection.prediction.open_loop:
        return PageFigure(title, f"Missing: no held-out episode goes on for {min(inspection.config.horizons)} steps.")
    return PageFigure(
        title,
        "Root mean square distance, per dimension, of the dreamed z from the posterior's mode for the real frame, for "
        f"dreams that branch off at every step of {min(inspection.config.open_loop_episodes, inspection.episodes)} "
        "episodes. Dotted: a draw from the posterior of the very frame. Dashed: one of any other frame.",
        "One step on it is close to the dotted line, and it rises slowly. A curve at the dashed line knows no more of "
        "what came than a frame picked at random; one above it dreams of frames that do not exist.",
        _draw_open_loop(inspection.prediction),
    )


def _no_samples() -> PageFigure:
    return PageFigure(
        "Effective sample sizes",
        "Left out: they describe the training batches of V and M, and this world model is of another kind.",
    )


def _other_losses(inspection: Inspection) -> tuple[PageFigure, ...]:
    """Losses of a world model that has no chapter of its own, one figure for each folder of logs."""
    if inspection.vision or inspection.rssm:
        return ()
    good = "All errors fall and level off."
    stages = inspection.training.items()
    return tuple(losses_figure(f"Loss over training: {stage}", curves, good) for stage, curves in stages)


def _draw_open_loop(prediction: PredictionInspection) -> bytes:
    """Distance of the dreamed z from the real one by horizon, between a perfect dream's and a stranger's."""
    figure, axes = new_panel(3.2)
    horizons = [loop.horizon for loop in prediction.open_loop]
    axes.plot(horizons, [loop.z_error for loop in prediction.open_loop], "o-", color=PAGE.colours[0], label="dream")
    axes.axhline(prediction.error_of_strangers, label="an unrelated frame", **REFERENCE)
    axes.axhline(prediction.error_of_noise, label="a perfect dream", **(REFERENCE | {"linestyle": ":"}))
    axes.set(xscale="log", xlabel="steps dreamed", ylabel="distance in z", ylim=(0.0, None))
    axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
    axes.minorticks_off()
    axes.legend(fontsize=9)
    return png(figure)
