"""Inspection of every kind of world model: errors in pixels against closed forms, and the pages."""

import dataclasses
import json
import math
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import dreamenv
from dreamenv.config import build_model
from dreamenv.models.bank import StartBank
from dreamenv.models.latent import Gaussian
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.models.rssm.model import RSSM
from dreamenv.recordings import record
from dreamenv.reports.held_out import measure_held_out
from dreamenv.reports.inspect import inspect
from dreamenv.reports.one_step import report_one_step
from dreamenv.reports.page_rssm import rssm_rows
from dreamenv.reports.quantities import perplexity_of_average, root_mean_square_of_pairs, spread_of
from dreamenv.reports.results import InspectConfig
from dreamenv.reports.rssm import inspect_rssm, read_rssm
from dreamenv.reports.strips import film_strip
from dreamenv.reports.summary import report
from dreamenv.reports.tables import inspection_table, report_text
from dreamenv.world import Trace, World

QUICK = InspectConfig(held_out=12, open_loop_episodes=3, frames=60, hsic_frames=40)


@pytest.fixture(scope="module")
def store(dot_folder):
    return dreamenv.EpisodeStore(dot_folder / "episodes")


@pytest.fixture(scope="module")
def held_out(store):
    return store.split()[1]


@pytest.fixture(scope="module")
def inspected(rssm_world, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    return inspect(rssm_world, store, folder, QUICK), folder


def follow(world, episodes):
    return world.follow(record(world.model, episodes, world.config), seed=None)


# --- quantities


def test_classes_that_are_equally_frequent_are_all_in_use():
    uniform = np.full((5, 2, 4), 0.25)
    in_turn = np.eye(4)[np.arange(20) % 4][:, None]
    never_changing = np.eye(4)[np.zeros(20, int)][:, None]
    assert perplexity_of_average(uniform) == pytest.approx([4.0, 4.0])
    assert perplexity_of_average(np.concatenate([in_turn, never_changing], 1)) == pytest.approx([4.0, 1.0])
    assert perplexity_of_average(in_turn[:10:2]) == pytest.approx(
        math.exp(0.6 * math.log(5 / 3) + 0.4 * math.log(5 / 2))
    )


def test_distances_of_all_pairs():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(7, 3)), 2.0 + generator.normal(size=(5, 3))
    pairs = (one[:, None] - other[None]) ** 2
    assert root_mean_square_of_pairs(one, other) == pytest.approx(math.sqrt(pairs.mean()))


def test_a_spread_is_a_mean_with_quantiles():
    found = spread_of(np.arange(101.0))
    assert dataclasses.astuple(found) == pytest.approx((50.0, 10.0, 50.0, 90.0))


# --- one step, in pixels


@dataclass(frozen=True, eq=False)
class Foreseen(Trace):
    """A trace whose priors are its posteriors."""

    @property
    def priors(self):
        return self.posteriors.rows(slice(1, None))


def test_the_ratio_is_one_where_prior_and_posterior_are_equal(rssm_world, held_out):
    traces = follow(rssm_world, held_out[:5])
    foreseen = [Foreseen(one.model, one.recording, one.states, one.posteriors, one.limit) for one in traces]
    found = report_one_step(foreseen, held_out[:5], count=20)
    assert found.frames == 20
    assert found.prior_error == found.posterior_error > 0.0
    assert found.ratio == 1.0


def test_errors_are_those_of_decoded_frames(dot_world, held_out):
    """With a posterior without variance the error is that of the mode, at the frame after each step."""
    traces = follow(dot_world, held_out[:4])
    certain = [
        replace(one, posteriors=Gaussian(one.posteriors.mean, torch.full_like(one.posteriors.mean, -200.0)))
        for one in traces
    ]
    found = report_one_step(certain, held_out[:4], count=10_000)
    real = np.concatenate([episode.observations[1:] for episode in held_out[:4]]) / 255.0
    with torch.inference_mode():
        drawn = np.concatenate([dot_world.decode(one.after) for one in traces]) / 255.0
    assert found.frames == len(real)
    assert found.posterior_error == pytest.approx(((drawn - real) ** 2).mean(), rel=1e-5)
    assert found.mean_frame_error == pytest.approx(((real - real.mean(0)) ** 2).mean(), rel=1e-5)
    assert found.ratio == pytest.approx(found.prior_error / found.posterior_error) and found.ratio > 1.0
    assert report_one_step(certain, held_out[:4], count=10_000) == found


def test_a_model_that_draws_one_picture_has_the_ratio_one(dot_world, held_out):
    model = deepcopy(dot_world.model)
    model.decode = lambda state, shape: torch.zeros(len(state.z), *shape, dtype=torch.uint8)
    found = report_one_step(follow(replace(dot_world, model=model), held_out[:3]), held_out[:3], count=50)
    assert found.ratio == 1.0 and found.posterior_error > found.mean_frame_error


# --- the report of a training


def test_the_report_of_a_training_has_the_errors_of_every_kind(rssm_world, dot_world, store, tmp_path):
    for world, name in ((rssm_world, "World model, "), (dot_world, "M, ")):
        result = report(world, store, tmp_path)
        text = report_text(result)
        assert f"\n{name}" in f"\n{text}"
        assert text.splitlines()[-1].startswith("decoded after one step, ")
        assert f"ratio {result.one_step.ratio:.2f};" in text
        assert json.loads((tmp_path / "report.json").read_text())["one_step"]["ratio"] == result.one_step.ratio
        assert (tmp_path / "reconstructions.png").stat().st_size > 1000


# --- the chapter of an RSSM


def test_a_small_rssm_learns(inspected):
    """The numbers of the page tell it from a model that ignores its frames."""
    one_step = inspected[0].prediction.one_step
    assert one_step.posterior_error < one_step.mean_frame_error


def test_the_numbers_of_an_rssm_make_sense(inspected, rssm_world):
    result, _ = inspected
    rssm, prediction = result.rssm, result.prediction
    assert (result.kind, result.vision, result.memory, result.samples) == ("rssm", None, None, None)
    assert sum(rssm.kl_of_variable) == pytest.approx(rssm.kl.mean, rel=1e-4)
    assert 0.0 <= rssm.kl.low <= rssm.kl.middle <= rssm.kl.high
    assert rssm.kl.mean < rssm.kl_of_first.mean
    assert 0.0 < prediction.error_of_noise < prediction.error_of_strangers
    assert len(rssm.by_step.kl) == 21 and rssm.by_step.kl[0].mean == pytest.approx(rssm.kl_of_first.mean)
    if rssm_world.config.model.latent == "gaussian":
        assert (rssm.classes, rssm.perplexity) == (None, None)
        assert 1 < int(rssm.active.sum()) <= 8
    else:
        assert (rssm.classes, rssm.variance, rssm.active) == (8, None, None)
        assert all(1.0 <= value <= 8.0 for value in rssm.perplexity) and max(rssm.perplexity) > 1.5
        assert 0.0 <= rssm.entropy.low <= rssm.entropy.high <= math.log(8)


def test_readings_are_posteriors_and_priors_at_every_frame(rssm_world, held_out):
    traces = follow(rssm_world, held_out[:3])
    readings = read_rssm(rssm_world.model, traces)
    assert readings.step.tolist() == [step for episode in held_out[:3] for step in range(len(episode) + 1)]
    first = len(held_out[0]) + 1
    expected = traces[0].posteriors.rows(slice(1, None)).kl(traces[0].priors)
    assert readings.kl[1:first] == pytest.approx(expected.numpy(), abs=1e-5)
    with torch.inference_mode():
        blank = rssm_world.model.prior(rssm_world.model.initial(1))
    assert readings.kl[:1] == pytest.approx(traces[0].posteriors.rows(slice(1)).kl(blank).numpy(), abs=1e-5)


def test_a_deterministic_z_has_no_entropies():
    sizes = RSSMConfig(frame_shape=(8, 8, 3), channels=(4,), transition="deterministic", latent_size=3, hidden_size=5)
    model = RSSM(sizes, dreamenv.foundation.spaces.ActionSpec(n=2), 1).eval()
    embedding = torch.randn(4, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states, posteriors = model.follow([embedding], [torch.zeros(3, dtype=torch.int64)])[0]
        rssm = inspect_rssm(model, [Trace(model, None, states, posteriors, 10)])
        expected = model.divergence(posteriors, model.prior(states))[1:].mean()
    assert not rssm.drawn and rssm.kl.mean == pytest.approx(float(expected), rel=1e-5)
    assert not any("ntropy" in row.name for row in rssm_rows(rssm))


def test_the_page_of_an_rssm(inspected, rssm_world):
    result, folder = inspected
    text = (folder / "inspection.html").read_text()
    places = [text.index(f'<section id="{name}">') for name in ("prediction", "rssm", "heads", "agents")]
    assert places == sorted(places)
    assert 'id="vision"' not in text and 'id="memory"' not in text
    use = {"gaussian": "KL by dimension of z", "categorical": "Classes in use by variable"}
    for title in (
        "Film strip: an episode that ended better",
        "Open-loop error by horizon",
        "Reconstructions",
        "KL along episodes",
        use[rssm_world.config.model.latent],
        *(f"Losses over training: stage {stage}" for stage in ("frames", "dynamics", "heads")),
        "Calibration",
    ):
        assert f"<h3>{title}</h3>\n<img" in text, title
    assert "they describe the training batches of V and M" in text
    assert text.count("<strong>What good looks like:</strong>") == text.count("<img")
    table = inspection_table(result)
    assert "Ratio of the two" in table and "KL of posterior and prior" in table


def test_the_numbers_of_an_rssm_are_written(inspected):
    result, folder = inspected
    written = json.loads((folder / "inspection.json").read_text())
    assert set(written) == {field.name for field in dataclasses.fields(result)}
    assert (written["kind"], written["vision"]) == ("rssm", None)
    assert written["rssm"]["kl"]["mean"] == result.rssm.kl.mean
    assert written["prediction"]["one_step"]["ratio"] == result.prediction.one_step.ratio
    assert list(written["training"]) == ["dynamics", "frames", "heads"]


def test_an_rssm_without_logs_has_a_page(rssm_world, store, tmp_path):
    result = inspect(replace(rssm_world, path=None), store, tmp_path, replace(QUICK, held_out=4))
    assert result.training == {}
    assert "no event files of this training" in (tmp_path / "inspection.html").read_text()


def test_a_strip_of_decoded_frames_reads_the_states_of_the_episode(rssm_world, held_out):
    episode = max(held_out, key=len)
    strip = film_strip(rssm_world, episode, "same", (1, 4), seed=0)
    (trace,) = follow(rssm_world, [episode])
    with torch.inference_mode():
        expected = rssm_world.decode(trace.states)
    assert np.array_equal(strip.seen, expected[[len(episode) - 4, len(episode) - 3, len(episode)]])


def test_frames_of_a_model_whose_decoder_and_posterior_read_h_have_the_h_of_their_episode(dot_world, store, tmp_path):
    """Weights are random and large; with h = 0 other frames would be drawn."""
    reads_h = {"posterior_reads_h": True, "decoder_reads_h": True, "posterior_layers": 1}
    sizes = RSSMConfig(frame_shape=(16, 32, 3), channels=(4, 8), latent_size=6, hidden_size=8, units=7, **reads_h)
    config = replace(dot_world.config, model=sizes)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = build_model(config).eval()
        for parameter in model.parameters():
            parameter.mul_(2.0)
        state = model.initial(5)
        first = model.posterior(state, torch.randn(5, model.encoder.size))
    world = World(config, model, StartBank(first, state))
    measured = measure_held_out(world, *store.split())
    episodes, traces = measured.episodes, measured.traces
    episode = max(episodes, key=len)
    strip = film_strip(world, episode, "same", (1, 4), seed=0)
    with torch.inference_mode():
        expected = world.decode(next(t for t, e in zip(traces, episodes, strict=True) if e is episode).states)
        second = world.decode(traces[0].states)[1:2]
        alone = world.decode(world.start(torch.from_numpy(episodes[0].observations[1:2])))
    assert np.array_equal(strip.seen, expected[[len(episode) - 4, len(episode) - 3, len(episode)]])
    assert np.array_equal(measured.decoded(np.array([1])), second) and not np.array_equal(second, alone)
    assert inspect(world, store, tmp_path, replace(QUICK, held_out=4)).rssm.kl.mean > 0.0
