"""Looking into a world: quantities against closed forms, and the page."""

import dataclasses
import json
import math
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch.utils.tensorboard import SummaryWriter

import dreamenv.cli.run
from dreamenv.bundle import world_id
from dreamenv.config import build_model
from dreamenv.data.episodes import Episode
from dreamenv.foundation.errors import BundleError, StoreError
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.models.noise import Noise
from dreamenv.real.spec import StoreSpec
from dreamenv.recordings import record
from dreamenv.reports import quantities
from dreamenv.reports.calibration import EDGES, calibration_curve, calibration_error, precision_recall
from dreamenv.reports.inspect import inspect
from dreamenv.reports.logs import Curve, read_agents, read_curves, read_settings, read_trainings
from dreamenv.reports.memory import trace_mixture
from dreamenv.reports.page import PageFigure, Row, Section, render
from dreamenv.reports.page_agents import agents_section
from dreamenv.reports.page_curves import _wide
from dreamenv.reports.page_prediction import prediction_section
from dreamenv.reports.prediction import read_predictions
from dreamenv.reports.quantities import (
    autocorrelation,
    autocorrelation_time,
    chance_dependence,
    dependence,
    effective_rank,
    effective_sample_size,
    numerical_rank,
    off_diagonal,
)
from dreamenv.reports.results import InspectConfig, Pictures, kinds_of, measure
from dreamenv.reports.samples import cut_windows, kind_counts, sample_sizes
from dreamenv.reports.strips import film_strip, representative_episodes, room
from dreamenv.reports.tables import inspection_table
from dreamenv.training.balance import balance_endings, kind_weights
from dreamenv.training.memory import MemoryTraining, _cut
from dreamenv.world import World

QUICK = InspectConfig(held_out=12, open_loop_episodes=3, frames=60, hsic_frames=40)
SECTIONS = ("prediction", "vision", "memory", "heads", "agents")


@pytest.fixture(scope="module")
def store(dot_folder):
    return dreamenv.EpisodeStore(dot_folder / "episodes")


@pytest.fixture(scope="module")
def held_out(dot_world, store):
    _, episodes = store.split()
    return episodes, dot_world.follow(record(dot_world.model, episodes, dot_world.config), seed=None)


@pytest.fixture(scope="module")
def home(dot_folder, dot_agent_folder, tmp_path_factory):
    """Logs of the dot world's training and of an agent's, with gradients in them."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(dot_folder / "training", folder / "training")
    shutil.copytree(dot_agent_folder, folder / "agents" / "linear")
    for part, names in {"vision": ("reconstruction", "kl"), "memory": ("mixture", "repulsion")}.items():
        log(folder / "training" / part, {f"gradient/{name}": [3.0, 2.0] for name in (*names, "cosine")})
    return folder


@pytest.fixture(scope="module")
def inspected(dot_world, store, home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    return inspect(dot_world, store, folder, QUICK, logs=home), folder


def log(folder, curves, **settings):
    with SummaryWriter(str(folder), **settings) as writer:
        for name, values in curves.items():
            for step, value in enumerate(values):
                writer.add_scalar(name, value, step)


class Page(HTMLParser):
    """Reads a page; checks that every element is closed where it should be."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.titles, self.images, self.links = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.open += [] if tag in self.VOID else [tag]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.images += [attributes] if tag == "img" else []
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h3":
            self.titles.append(data)


# --- rank and dependence


@pytest.mark.parametrize("dimensions", [1, 2, 7])
def test_the_effective_rank_of_isotropic_data_is_its_dimension(dimensions):
    cross = np.concatenate([np.eye(dimensions), -np.eye(dimensions)]) + 5.0
    assert effective_rank(cross) == pytest.approx(dimensions)
    assert numerical_rank(cross) == dimensions


def test_the_effective_rank_is_that_of_its_definition():
    """Singular values in the ratio 2 : 1 : 1 have the entropy 1.5 log 2."""
    axes = np.diag([2.0, 1.0, 1.0])
    assert effective_rank(np.concatenate([axes, -axes])) == pytest.approx(2.0**1.5)


def test_rank_one_data_has_rank_one():
    line = np.random.default_rng(0).normal(size=(50, 1)) * [[3.0, -1.0, 0.5]] + [[1.0, 2.0, 3.0]]
    assert effective_rank(line) == pytest.approx(1.0, abs=1e-6)
    assert numerical_rank(line) == 1
    assert numerical_rank(line.astype(np.float32)) == 1


def test_what_never_varies_has_no_rank():
    assert effective_rank(np.ones((10, 3))) == 0.0
    assert numerical_rank(np.ones((10, 3))) == 0


def test_the_effective_rank_knows_no_scale_and_no_rotation():
    generator = np.random.default_rng(1)
    samples = generator.normal(size=(100, 4)) * [4.0, 2.0, 1.0, 0.1]
    rotation = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    assert effective_rank(7.0 * samples @ rotation) == pytest.approx(effective_rank(samples))
    assert 1.0 < effective_rank(samples) < 4.0


def plain_hsic(x, y):
    """Equation 5 of Song et al. (2012), term by term."""
    n = len(x)
    kernels = []
    for values in (x, y):
        distance = np.abs(values[:, None] - values[None])
        median = np.median(distance[np.triu_indices(n, 1)])
        kernel = np.exp(-(distance**2) / (2.0 * median**2))
        np.fill_diagonal(kernel, 0.0)
        kernels.append(kernel)
    k, other = kernels
    one = np.ones(n)
    mixed = one @ k @ one * (one @ other @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ other) + mixed - 2.0 / (n - 2) * one @ k @ other @ one) / (n * (n - 3))


def test_dependence_is_the_unbiased_hsic_normalised():
    samples = np.random.default_rng(0).normal(size=(30, 3))
    samples[:, 2] += samples[:, 0]
    found = dependence(samples)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        x, y = samples[:, i], samples[:, j]
        expected = plain_hsic(x, y) / math.sqrt(plain_hsic(x, x) * plain_hsic(y, y))
        assert found[i, j] == pytest.approx(expected)
    assert np.allclose(found, found.T)
    assert np.allclose(found.diagonal(), 1.0)


def test_independent_dimensions_have_no_dependence_on_average():
    """An estimate with a bias would not be 0 on so few samples."""
    values = [off_diagonal(dependence(np.random.default_rng(seed).normal(size=(12, 6)))) for seed in range(60)]
    mean, error = np.mean(values), np.std(values) / math.sqrt(np.size(values))
    assert abs(mean) < 5.0 * error
    assert error < 0.01


def test_dependence_without_correlation_is_found():
    x, y = np.random.default_rng(0).normal(size=(2, 200))
    found = dependence(np.stack([x, x**2, y], 1))
    assert found[0, 1] > 0.2
    assert max(abs(found[0, 2]), abs(found[1, 2])) < 0.03


def test_copies_depend_wholly_and_constants_not_at_all():
    x = np.random.default_rng(0).normal(size=100)
    found = dependence(np.stack([x, 2.0 - 3.0 * x, np.full(100, 4.0)], 1))
    assert found[0, 1] == pytest.approx(1.0)
    assert found[2].tolist() == [0.0, 0.0, 0.0]


def test_chance_is_what_remains_of_dependence_after_shuffling():
    x = np.random.default_rng(0).normal(size=150)
    copies = np.stack([x] * 8, 1)
    chance = chance_dependence(copies, seed=0)
    assert 0.0 < chance < 0.05
    assert chance == chance_dependence(copies, seed=0) != chance_dependence(copies, seed=1)
    assert chance_dependence(copies[:, :1], seed=0) == 0.0


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="at least 4 samples for HSIC, got 3"):
        dependence(np.eye(3))


# --- effective sample sizes


def test_kish():
    assert effective_sample_size(np.full(9, 0.3)) == pytest.approx(9.0)
    assert effective_sample_size([5.0, 0.0, 0.0]) == 1.0
    assert effective_sample_size([1.0, 1.0, 0.0, 0.0]) == 2.0
    assert effective_sample_size([3.0, 1.0]) == pytest.approx(1.6)
    assert effective_sample_size([3.0, 1.0], counts=[2, 5]) == pytest.approx(effective_sample_size([3] * 2 + [1] * 5))


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0]])
def test_kish_refuses_what_are_no_weights(weights):
    with pytest.raises(ValueError, match="expected non-negative weights"):
        effective_sample_size(weights)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_the_time_of_an_autoregressive_process(decay):
    exact = decay ** np.arange(400.0)
    assert autocorrelation_time(exact) == pytest.approx((1.0 + decay) / (1.0 - decay))


def test_the_time_is_read_from_a_simulated_process():
    noise = np.random.default_rng(0).normal(size=(200, 600))
    series = 3.0 + lfilter([1.0], [1.0, -0.8], noise)[:, 100:]
    assert autocorrelation_time(autocorrelation(list(series))) == pytest.approx(9.0, rel=0.1)


def test_autocorrelation_pools_stretches():
    stretches = [np.array([1.0, 2.0, 4.0]), np.array([3.0, 0.0])]
    mean = np.mean([1.0, 2.0, 4.0, 3.0, 0.0])
    a, b = (stretch - mean for stretch in stretches)
    variance = (a @ a + b @ b) / 5
    expected = [1.0, (a[:-1] @ a[1:] + b[0] * b[1]) / 3 / variance, a[0] * a[2] / variance]
    assert autocorrelation(stretches) == pytest.approx(expected)


def test_what_never_varies_or_alternates_is_counted_once():
    assert autocorrelation([np.ones(5)]).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert autocorrelation_time(autocorrelation([np.ones(5)])) == 1.0
    assert autocorrelation_time(autocorrelation([np.array([1.0, -1.0] * 20)])) == 1.0


@pytest.mark.parametrize("window", [7, 200])
def test_windows_and_weights_are_those_of_the_training(dot_world, held_out, window):
    episodes, traces = held_out
    lengths, kinds = np.array([len(e) for e in episodes]), kinds_of(episodes, dot_world.config)
    config = MemoryTraining(window=window)
    theirs = [part for trace in traces for part in _cut(trace.recording, window)]
    balance = balance_endings(theirs, 3, config.episode_balance, config.step_balance)
    mine = cut_windows(lengths, kinds, window, config.episode_balance)
    assert mine.length.tolist() == [len(part) for part in theirs]
    assert mine.draw == pytest.approx(balance.draw.numpy())
    assert kind_weights(kind_counts(lengths, kinds), config.step_balance).numpy() == pytest.approx(
        balance.kinds.numpy()
    )


def test_a_kind_of_ending_without_steps_shifts_no_probability(held_out):
    windows = [part for trace in held_out[1] for part in _cut(trace.recording, 200) if not part.ending.any()]

    assert balance_endings(windows, 3, 0.5, 0.3).shift[1:].tolist() == [0.0, 0.0]


def test_without_balance_and_correlation_all_samples_count(dot_world, held_out):
    episodes, traces = held_out
    plain = {"batch_size": 4, "episode_balance": 0.0, "step_balance": 0.0, "of another version": 1}
    kinds = kinds_of(episodes, dot_world.config)
    flat = [np.ones(len(trace)) for trace in traces]
    found = sample_sizes(episodes, kinds, flat, {"batch_size": 10, "rare_colours": False}, plain)
    steps = 4 * np.mean([len(e) for e in episodes])
    assert not found.assumed
    assert (found.frames, found.frames_effective) == (10, 10.0)
    assert found.windows_effective == pytest.approx(found.windows) == len(episodes)
    assert found.steps == pytest.approx(steps)
    assert found.steps_effective == pytest.approx(steps)
    assert found.ending_effective == pytest.approx(steps)


def test_balance_and_correlation_cost_samples(dot_world, held_out):
    episodes, traces = held_out
    slow = [np.linspace(0.0, 1.0, len(trace)) for trace in traces]
    found = sample_sizes(episodes, kinds_of(episodes, dot_world.config), slow, {}, {"episode_balance": 2.0})
    assert found.assumed
    assert found.frames_effective < found.frames == 128
    assert found.windows_effective < 0.9 * found.windows
    assert found.steps_effective < 0.5 * found.steps
    assert found.ending_effective < found.steps


# --- calibration, precision and recall


def test_a_calibrated_predictor_is_found_calibrated():
    generator = np.random.default_rng(0)
    probability = generator.random(100_000) ** 3
    bins = calibration_curve(probability, generator.random(100_000) < probability)
    assert len(bins) == len(EDGES) - 1
    assert calibration_error(bins) < 0.005
    assert sum(b.low <= b.predicted <= b.high for b in bins) >= len(bins) - 2
    assert all(b.low < b.observed < b.high for b in bins)


def test_a_predictor_that_is_too_sure_is_found_out():
    probability = np.array([0.9] * 10 + [0.05] * 30)
    truth = np.array([True, False] * 5 + [False] * 30)
    bins = calibration_curve(probability, truth)
    assert [b.count for b in bins] == [30, 10]
    assert [b.observed for b in bins] == [0.0, 0.5]
    assert calibration_error(bins) == pytest.approx((10 * 0.4 + 30 * 0.05) / 40)
    assert bins[1].high < 0.9
    assert calibration_error(calibration_curve(probability[:0], truth[:0])) is None


def test_bins_hold_their_lower_edge_and_the_last_one_both():
    bins = calibration_curve(np.array([0.0, 0.5, 1.0]), np.array([False, True, True]), edges=(0.0, 0.5, 1.0))
    assert [(b.count, b.predicted) for b in bins] == [(1, 0.0), (2, 0.75)]


def test_precision_and_recall_of_a_case_made_by_hand():
    curve = precision_recall(np.array([0.6, 0.9, 0.7, 0.8]), np.array([False, True, True, False]))
    assert curve.threshold == (0.9, 0.7)
    assert curve.precision == pytest.approx((1.0, 2.0 / 3.0))
    assert curve.recall == (0.5, 1.0)
    assert curve.average == pytest.approx(0.5 + 0.5 * 2.0 / 3.0)


def test_equal_probabilities_are_called_together():
    curve = precision_recall(np.full(4, 0.3), np.array([True, False, False, True]))
    assert (curve.threshold, curve.precision, curve.recall) == ((0.3,), (0.5,), (1.0,))


def test_without_anything_to_find_there_is_no_curve():
    curve = precision_recall(np.array([0.1, 0.2]), np.array([False, False]))
    assert (curve.threshold, curve.average) == ((), None)


# --- M's mixtures and its dreams


def test_the_trace_is_what_m_predicts(dot_world, held_out):
    recording = held_out[1][0].recording
    mean, _ = recording.embedding.chunk(2, dim=1)
    trace = trace_mixture(held_out[1][0], dimension=3)
    with torch.inference_mode():
        h, _ = dot_world.model.memory.unroll(mean[None, :-1], recording.action[None])
        mixture = dot_world.model.memory.prior(h[0, 2])
    assert np.array(trace.means)[:, 2] == pytest.approx(mixture.means[:, 3].numpy(), abs=1e-5)
    assert np.array(trace.scales)[:, 2] == pytest.approx(mixture.log_scales[:, 3].exp().numpy(), abs=1e-5)
    assert np.array(trace.weights).sum(0) == pytest.approx(np.ones(len(recording)))
    assert trace.z == tuple(mean[1:, 3].tolist())
    assert 0.0 <= min(trace.entropy) <= max(trace.entropy) <= math.log(3) + 1e-6


def test_readings_are_those_of_the_report(dot_world, held_out):
    _, traces = held_out
    readings = read_predictions(traces)
    report = dreamenv.reports.model_report.report_memory(traces, dot_world.config)
    assert np.concatenate(readings.nll).mean() == pytest.approx(report.nll, abs=1e-5)
    assert readings.probabilities.sum(0)[1:].tolist() == pytest.approx([e.predicted for e in report.endings], rel=1e-4)
    assert [len(nll) for nll in readings.nll] == [len(trace) for trace in traces]


def test_horizons_leave_a_real_step():
    assert room(16, (50, 15, 1, 16)) == (1, 15)
    assert room(1, (1, 5)) == ()


def test_every_kind_of_ending_has_its_episode(dot_world, held_out):
    _, traces = held_out
    chosen = representative_episodes(traces, (1, 3, 50), kinds=3)
    kinds = [int(traces[index].recording.ending[-1]) for index in chosen]
    assert kinds == sorted(set(int(trace.recording.ending[-1]) for trace in traces))
    assert all(len(traces[index]) > 3 for index in chosen)


def test_a_strip_shows_reality_and_the_dream_from_the_same_moment(dot_world, held_out):
    episode = max(held_out[0], key=len)
    strip = film_strip(dot_world, episode, "same", (1, 4, 50), seed=0)
    start = len(episode) - 4
    assert (strip.start, strip.horizons) == (start, (0, 1, 4))
    assert np.array_equal(strip.real, episode.observations[[start, start + 1, start + 4]])
    replayed = torch.from_numpy(episode.observations[: start + 1]), torch.from_numpy(episode.actions[:start])
    with torch.inference_mode():
        assert np.array_equal(strip.dreamed[0], dot_world.decode(dot_world.replay(*replayed))[0])


@pytest.mark.parametrize("actions", [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]])
def test_a_strip_dreams_the_actions_that_were_taken(dot_world, held_out, actions):
    longest = max(held_out[0], key=len)
    episode = dataclasses.replace(longest, observations=longest.observations[:5], actions=np.array(actions))
    strip = film_strip(dot_world, episode, "same", (1, 2), seed=0)
    generator, taken = torch.Generator().manual_seed(0), torch.tensor(actions)
    with torch.inference_mode():
        state = dot_world.replay(torch.from_numpy(episode.observations[:3]), taken[:2])
        for column, step in enumerate((2, 3), start=1):
            state, _ = dot_world.imagine(
                state, taken[step : step + 1], 1.0, Noise.draw(1, dot_world.model.prior_noise, generator)
            )
            assert np.array_equal(strip.dreamed[column], dot_world.decode(state)[0])


def test_the_seed_rules_the_dream(dot_world, held_out):
    episode = max(held_out[0], key=len)
    first, again, other = (film_strip(dot_world, episode, "same", (1, 8), seed).dreamed for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_short_an_episode_is_refused(dot_world, held_out):
    with pytest.raises(ValueError, match="longer than one of the horizons"):
        film_strip(dot_world, held_out[0][0], "same", (500,), seed=0)


def test_a_dream_that_ends_says_when(dot_world, held_out):
    """With goals at every step, the dream ends at once."""
    memory = dreamenv.load(dot_world.path).model.memory
    memory.endings.shift[2] -= 30.0
    world = dataclasses.replace(dot_world, model=MDNRNN(dot_world.model.vision, memory))
    episode = max(held_out[0], key=len)
    assert film_strip(world, episode, "same", (1, 4), seed=0).dream_end == (1, "better")


# --- logs


def test_a_later_note_of_a_step_counts(tmp_path):
    log(tmp_path, {"loss": [1.0, 2.0, 3.0]})
    log(tmp_path, {"loss": [float("nan"), 20.0]}, filename_suffix=".resumed")
    log(tmp_path / "deeper", {"other": [5.0]})
    curves = read_curves(tmp_path)
    assert (curves["loss"].steps, curves["loss"].values) == ((0, 1, 2), (1.0, 20.0, 3.0))
    assert curves["other"].values == (5.0,)
    assert read_curves(tmp_path / "none") == {}


def test_the_logs_of_a_training_are_read(dot_folder):
    curves = read_curves(dot_folder / "training" / "memory")
    assert {"loss", "nll", "ending", "reward"} <= set(curves)
    assert curves["nll"].steps == tuple(range(0, 400, 10))


def test_every_stage_with_event_files_is_read(dot_folder, tmp_path):
    found = read_trainings(dot_folder / "training")
    assert list(found) == ["memory", "vision"]
    assert {curve.name: curve for curve in found["memory"]} == read_curves(dot_folder / "training" / "memory")
    (tmp_path / "empty").mkdir()
    assert read_trainings(tmp_path) == read_trainings(tmp_path / "none") == {}


def test_settings_are_read_from_the_checkpoint(dot_folder, tmp_path):
    settings = read_settings(dot_folder / "training" / "memory")
    assert (settings["batch_size"], settings["window"]) == (32, 200)
    assert read_settings(tmp_path) == {}
    (tmp_path / f"checkpoint-1-{0:064x}.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="damaged"):
        read_settings(tmp_path)


def test_agents_tell_how_they_were_trained(dot_world, home, tmp_path):
    (agent,) = read_agents(home / "agents", world_id(dot_world))
    record = json.loads((home / "agents" / "linear" / "evolution.json").read_text())
    assert (agent.name, agent.unit, agent.same_world) == ("linear", "generations", True)
    best, mean, evaluated = agent.returns
    assert best.values == tuple(max(fitness) for fitness in record["fitness"])
    assert mean.values == pytest.approx([sum(fitness) / 16 for fitness in record["fitness"]])
    assert evaluated.steps == (12,)
    assert agent.sigma_squared.values == pytest.approx([sigma**2 for sigma in record["sigma"]])
    assert not read_agents(home / "agents", "another world")[0].same_world
    assert read_agents(tmp_path, "any") == ()


def test_agents_with_other_records_or_none(tmp_path):
    log(tmp_path / "ppo" / "ppo_0", {"rollout/ep_rew_mean": [0.1, 0.2], "train/loss": [9.0, 8.0]})
    log(tmp_path / "dreamer" / "actor-critic", {"return": [0.3, 0.4], "loss": [9.0, 8.0]})
    log(tmp_path / "mine", {"return": [0.3, 0.4]})
    (tmp_path / "vote").mkdir()
    critic, mine, ppo, vote = read_agents(tmp_path, "any")
    assert (critic.unit, critic.returns[0].values) == ("updates", pytest.approx((0.3, 0.4)))
    assert mine.returns == ()
    assert (ppo.unit, ppo.returns[0].values, ppo.same_world) == ("dream steps", pytest.approx((0.1, 0.2)), None)
    assert vote.returns == ()
    (tmp_path / "vote" / "evolution.json").write_text("{}")
    with pytest.raises(BundleError, match="not the record of an evolution"):
        read_agents(tmp_path, "any")


# --- the page


def test_the_page_has_every_section_and_stands_alone(inspected):
    text = (inspected[1] / "inspection.html").read_text()
    page = Page(text)
    assert [name for name in page.ids if name in SECTIONS] == list(SECTIONS)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert text.count("<strong>What good looks like:</strong>") == len(page.images) == page.tags.count("figcaption")
    assert all(image["alt"] for image in page.images)


def test_the_page_has_every_figure(inspected):
    text = (inspected[1] / "inspection.html").read_text()
    page = Page(text)
    for title in (
        "Reconstructions",
        "KL by latent dimension",
        "Spectrum of the latent means",
        "Dependence between latent dimensions",
        "V's loss over training",
        "Gradient norms of reconstruction and kl",
        "Cosine between the gradients of reconstruction and kl",
        "Film strip: an episode that ended better",
        "Open-loop error by horizon",
        "The mixture over time",
        "How evenly components are used",
        "M's losses over training",
        "Gradient norms of mixture and repulsion",
        "Cosine between the gradients of mixture and repulsion",
        "Calibration",
        "Precision and recall",
        "linear: cumulative reward",
        "linear: sigma squared",
    ):
        assert title in page.titles, title
    assert len(page.images) == len(page.titles)
    assert "Missing" not in text


def test_the_numbers_are_those_returned(inspected):
    result, folder = inspected
    written = json.loads((folder / "inspection.json").read_text())
    assert set(written) == {field.name for field in dataclasses.fields(result)}
    assert written["vision"]["kl"] == pytest.approx(result.vision.kl)
    assert written["vision"]["effective_rank"] == pytest.approx(result.vision.effective_rank)
    assert [head["report"]["kind"] for head in written["heads"]] == ["same", "better"]
    assert written["config"]["horizons"] == [1, 5, 15, 50]
    assert written["agents"][0]["name"] == "linear"


def test_the_numbers_make_sense(inspected):
    result, _ = inspected
    vision, memory, prediction = result.vision, result.memory, result.prediction
    assert sum(vision.kl) == pytest.approx(vision.report.kl, rel=1e-4)
    assert int(vision.active.sum()) == vision.report.active_dimensions > 1
    assert 1.0 < vision.effective_rank <= vision.rank <= 8
    assert 0.0 < prediction.error_of_noise < prediction.open_loop[0].z_error < prediction.error_of_strangers
    assert sum(memory.ordered_weights) == pytest.approx(1.0)
    assert list(memory.ordered_weights) == sorted(memory.ordered_weights, reverse=True)
    assert 0.0 < memory.entropy < memory.entropy_limit == math.log(3)
    assert 1.0 <= memory.live_components <= 3.0
    assert 0.0 < memory.overlap < 1.0
    assert list(memory.scale) == sorted(memory.scale)
    assert result.samples.windows_effective <= result.samples.windows
    assert not result.samples.assumed
    for head in result.heads:
        assert sum(b.count for b in head.calibration) == prediction.report.steps
        assert round(sum(b.count * b.observed for b in head.calibration)) == head.report.count


def test_an_inspection_is_repeatable(inspected, dot_world, store, home):
    again, pictures = measure(dot_world, store, QUICK, home)
    assert again == inspected[0]
    assert len(pictures.strips) == 3


def test_the_table_has_every_number(inspected):
    result, _ = inspected
    table = inspection_table(result)
    for name in ("Effective rank", "Live components", "better: calibration error", "linear: sigma squared"):
        assert name in table
    assert f"{result.vision.effective_rank:.1f}" in table


def random_episodes(spec, count, terminated, seed=0):
    generator = np.random.default_rng(seed)
    steps = 20
    for index in range(count):
        rewards = np.zeros(steps, np.float32)
        rewards[-1] = float(terminated and index % 3 == 0)
        yield Episode(
            observations=generator.integers(0, 256, (steps + 1, *spec.frame_shape)).astype(np.uint8),
            actions=np.stack([spec.action.sample(generator) for _ in range(steps)]),
            rewards=rewards,
            terminated=terminated,
            truncated=not terminated,
            seed=index,
            policy="random",
        )


def random_store(folder, world, count=30, terminated=True):
    config = world.config
    spec = StoreSpec(config.env_id, config.frame_shape, config.action)
    store = dreamenv.EpisodeStore.create(folder, spec)
    store.append(list(random_episodes(spec, count, terminated)))
    return store


def test_continuous_actions_and_missing_logs_are_no_obstacle(continuous_world, tmp_path):
    store = random_store(tmp_path / "episodes", continuous_world)
    result = inspect(str(continuous_world.path), store, tmp_path, dataclasses.replace(QUICK, horizons=(1, 5, 20, 50)))
    text = (tmp_path / "inspection.html").read_text()
    assert [name for name in Page(text).ids if name in SECTIONS] == list(SECTIONS)
    assert "the world&#x27;s folder has no event files of this training" in text
    assert "none of the scalars gradient/reconstruction, gradient/kl, gradient/cosine" in text
    assert "the world&#x27;s folder has no agents" in text
    assert (result.training, result.agents) == ({}, ())
    assert result.samples.assumed
    assert [loop.horizon for loop in result.prediction.open_loop] == [1, 5], "after 20 steps all episodes have ended"
    assert [head.report.kind for head in result.heads] == ["same", "better"]


def test_worlds_without_endings_and_with_one_component_say_so(dot_world, tmp_path):
    memory = dataclasses.replace(dot_world.config.model.memory, mixture="joint", components=1)
    sizes = dataclasses.replace(dot_world.config.model, memory=memory)
    config = dataclasses.replace(dot_world.config, endings=(), ending_rules=(), model=sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(config)
    world = World(config, model.eval(), dot_world.bank)
    result = inspect(world, random_store(tmp_path / "episodes", world, terminated=False), tmp_path, QUICK)
    assert result.heads == ()
    assert (result.memory.entropy, result.memory.overlap, result.world) == (0.0, None, world_id(world))
    text = (tmp_path / "inspection.html").read_text()
    assert "no training episode ended by itself" in text
    assert "Film strip: an episode that ran out of time" in Page(text).titles


def test_text_is_escaped():
    """Whichever of the texts were not, its element would be found."""
    names = iter(f"<b>{number} & 'more'</b>" for number in range(20))
    row = Row(next(names), next(names), next(names))
    drawn, missing = PageFigure(next(names), next(names), next(names), b"png"), PageFigure(next(names), next(names))
    section = Section("x", next(names), next(names), (row,), (drawn, missing))
    page = Page(render(next(names), next(names), [section]))
    assert "b" not in page.tags
    assert page.titles == [drawn.title, missing.title]
    assert page.images[0]["alt"] == drawn.title


def test_what_does_not_fit_is_refused(dot_world, continuous_world, store, tmp_path):
    with pytest.raises(ValueError, match="expected episodes of ContinuousDot-v0"):
        inspect(continuous_world, store, tmp_path)
    with pytest.raises(StoreError, match="at least 10 episodes"):
        inspect(dot_world, random_store(tmp_path / "few", dot_world, count=9), tmp_path)
    with pytest.raises(StoreError, match="no episodes in"):
        inspect(dot_world, dreamenv.EpisodeStore(tmp_path / "none"), tmp_path)
    assert not (tmp_path / "inspection.html").exists()


@pytest.mark.parametrize("wrong", [{"held_out": 0}, {"frames": 3}, {"horizons": ()}, {"horizons": (0, 5)}])
def test_settings_that_show_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        InspectConfig(**wrong)


def test_means_over_nothing_are_written_as_null():
    plain = dreamenv.reports.inspect._plain
    assert plain({"a": (1.0, math.nan), "b": [math.inf, "x", 2]}) == {"a": [1.0, None], "b": [None, "x", 2]}
    assert quantities.effective_rank(np.zeros((5, 2))) == 0.0


def test_an_agent_without_a_record_is_told_apart_from_one_with_another(inspected, tmp_path):
    log(tmp_path / "ppo" / "ppo_0", {"rollout/ep_rew_mean": [0.1, 0.2]})
    (tmp_path / "vote").mkdir()
    section = agents_section(dataclasses.replace(inspected[0], agents=read_agents(tmp_path, "any")))

    assert [plate.title for plate in section.figures] == ["ppo: cumulative reward", "vote"]
    assert "holds no record of a training" in section.figures[1].shows
    assert [row.name for row in section.rows] == ["ppo: dream return at the end"]


def test_held_out_episodes_too_short_to_dream_along_are_said_to_be(inspected):
    prediction = dataclasses.replace(inspected[0].prediction, open_loop=())
    pictures = Pictures(reconstructions=None, strips=())
    section = prediction_section(dataclasses.replace(inspected[0], prediction=prediction), pictures)

    missing = [plate.title for plate in section.figures if plate.shows.startswith("Missing: no held-out episode")]
    assert missing == ["Film strips", "Open-loop error by horizon"]


def test_the_command_prints_the_numbers_and_names_the_page(inspected, dot_folder, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "dreamenv.reports.inspect.inspect", lambda *given, **kwargs: asked.append((given, kwargs)) or inspected[0]
    )

    assert dreamenv.cli.run.main(["inspect", "--world", str(dot_folder), "--out", str(tmp_path)]) == 0

    (((_, store, folder, config), kwargs),) = asked
    assert (store.folder, folder, config) == (dot_folder / "episodes", tmp_path, InspectConfig())
    assert kwargs == {"logs": dot_folder}
    assert inspection_table(inspected[0]) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("second", "wide"),
    [((0.0, *[0.5] * 29), True), ((0.0, *[1.0] * 29), False), ((-0.1, *[0.5] * 29), False), ((0.0,) * 30, False)],
    ids=["much smaller, but for a warm-up", "not so small", "negative somewhere", "zero"],
)
def test_two_curves_share_a_logarithmic_scale_where_a_linear_one_would_hide_the_smaller(second, wide):
    steps = tuple(range(30))

    assert _wide([Curve("reconstruction", steps, (20.0,) * 30), Curve("kl", steps, second)]) is wide
