"""Damaged bundles of RSSMs, and sizes that no network has, raise typed errors that say what was expected."""

import json
import shutil
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from rssm_settings import BOX, DISCRETE, SIZES, SMALL, make_model

from dreamenv.bundle import CONFIG, WEIGHTS, load, save
from dreamenv.config import WorldConfig
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.foundation.files import sha256, write_json
from dreamenv.foundation.manifest import MANIFEST
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.latent import Categorical, Gaussian
from dreamenv.models.rssm.config import PLANET, RSSMConfig
from dreamenv.training.rssm import FramesTraining, RSSMTraining
from dreamenv.world import World

CATEGORICAL = SIZES["categorical"]


@torch.no_grad()
def make_world(sizes=SMALL, action=DISCRETE):
    config = WorldConfig("Any-v0", SMALL.frame_shape, action, 20, sizes, ("same", "better"), ("sample", "threshold"))
    model = make_model(sizes, action).eval()
    first = model.posterior(model.initial(4), torch.randn(4, SMALL.embedding_size))
    h = torch.tanh(torch.randn(3, SMALL.hidden_size))
    return World(config, model, StartBank(first, State(first.mode()[:3], h, torch.empty(3, 0), torch.arange(3))))


def change(folder, model=None, tensors=None, **facts):
    """Changes facts, sizes and tensors of a bundle as somebody would who also corrects its manifest."""
    config = json.loads((folder / CONFIG).read_text())
    config["model"] |= model or {}
    (folder / CONFIG).write_text(json.dumps(config | facts))
    known = safetensors.torch.load_file(folder / WEIGHTS)
    changed = {name: make(known[name]) for name, make in (tensors or {}).items()}
    safetensors.torch.save_file(known | changed, folder / WEIGHTS)
    names = json.loads((folder / MANIFEST).read_text())
    write_json(folder / MANIFEST, {name: sha256(folder / name) for name in names})


@pytest.fixture(params=[SMALL, CATEGORICAL], ids=["Gaussian", "categorical"])
def bundle(request, tmp_path):
    save(make_world(request.param), tmp_path / "world")
    return tmp_path / "world"


def test_a_bundle_that_only_its_manifest_was_renewed_of_still_loads(bundle):
    before = load(bundle)
    change(bundle)

    again = load(bundle)

    assert all(torch.equal(*parts) for parts in zip(before.bank.first.parts, again.bank.first.parts, strict=True))


@pytest.mark.parametrize("kept", [SMALL, CATEGORICAL], ids=["weights of a Gaussian", "weights of a categorical"])
def test_weights_of_the_other_kind_of_latent_are_refused(tmp_path, kept):
    other = CATEGORICAL if kept is SMALL else SMALL
    save(make_world(kept), tmp_path)
    change(tmp_path, {"latent": other.latent})

    with pytest.raises(BundleError, match=f"(?s){WEIGHTS} does not fit its {CONFIG}.*size mismatch"):
        load(tmp_path)


def test_a_bank_of_the_other_kind_of_latent_is_refused(tmp_path):
    save(make_world(SMALL), tmp_path / "one")
    save(make_world(CATEGORICAL), tmp_path / "other")
    tensors = {n: safetensors.torch.load_file(tmp_path / n / WEIGHTS) for n in ("one", "other")}
    mixed = {n: t for n, t in tensors["other"].items() if n != "bank.logits"}
    mixed |= {n: t for n, t in tensors["one"].items() if n in ("bank.mean", "bank.log_variance")}
    shutil.copytree(tmp_path / "other", tmp_path / "mixed")
    safetensors.torch.save_file(mixed, tmp_path / "mixed" / WEIGHTS)
    change(tmp_path / "mixed")

    with pytest.raises(BundleError, match=r"expected logits as the bank's first frames, got log_variance, mean"):
        load(tmp_path / "mixed")


@pytest.mark.parametrize(
    "action",
    [{"n": 2}, {"n": 4}, {"low": [-1.0] * 3, "high": [1.0] * 3}, {"low": [0.0], "high": [1.0]}],
    ids=str,
)
def test_another_action_space_is_refused(bundle, action):
    change(bundle, action={"n": None, "low": None, "high": None} | action)

    with pytest.raises(BundleError, match=f"{WEIGHTS} does not fit its {CONFIG}|{CONFIG} cannot be read"):
        load(bundle)


def test_a_discrete_action_space_for_a_box_is_refused(tmp_path):
    save(make_world(action=BOX), tmp_path)
    change(tmp_path, action={"n": 2, "low": None, "high": None})

    with pytest.raises(BundleError, match="does not fit|cannot be read"):
        load(tmp_path)


CHANGES = {
    "logits of another number of classes": {"bank.logits": lambda t: t[..., :3].contiguous()},
    "logits of another number of variables": {"bank.logits": lambda t: t[:, :5].contiguous()},
    "flat logits": {"bank.logits": lambda t: t.flatten(1)},
    "no first frame": {"bank.logits": lambda t: t[:0]},
    "logits that are not finite": {"bank.logits": lambda t: t / 0.0},
    "whole numbers as logits": {"bank.logits": lambda t: t.long()},
    "z of another size": {"bank.branches.z": lambda t: t[:, :-1].contiguous()},
    "h of another size": {"bank.branches.h": lambda t: t[:, :-1].contiguous()},
    "a carry": {"bank.branches.c": lambda t: torch.zeros(len(t), 1)},
    "weights of another shape": {"cell.linear.weight": lambda t: t[1:].contiguous()},
}


@pytest.mark.parametrize("name", CHANGES)
def test_tensors_that_do_not_fit_are_refused(tmp_path, name):
    save(make_world(CATEGORICAL), tmp_path)
    change(tmp_path, tensors=CHANGES[name])

    with pytest.raises(BundleError, match=f"(?s){WEIGHTS} (does not fit|holds).*(expected|size mismatch|not finite)"):
        load(tmp_path)


@pytest.mark.parametrize(
    "sizes",
    [
        {"network": "dreamer"},
        {"network": "none"},
        {"latent": "mixture"},
        {"gru": "lstm"},
        {"classes": 0},
        {"classes": 2**20},
        {"latent_size": 2**14},
        {"channels": []},
        {"channels": [4] * 13},
        {"hidden_size": -1},
        {"hidden_size": 8.5},
        {"unimix": 1.0},
        {"grey": True},
        {"convolution_activation": "elu"},
        {"frame_shape": [16, 32]},
        {"frame_shape": [16, 32, 1]},
        {"frame_shape": [1, 1, 3]},
        {"transition": "deterministic"},
        {"carry_size": 3},
    ],
    ids=str,
)
def test_sizes_out_of_range_in_a_bundle_are_refused(tmp_path, sizes):
    save(make_world(CATEGORICAL), tmp_path)
    change(tmp_path, sizes)

    with pytest.raises(BundleError, match=f"{CONFIG}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"frame_shape": (60, 80, 3)}, r"expected frames of 64 x 64.*got \(60, 80, 3\)"),
        ({"frame_shape": (64, 64, 1)}, "expected RGB frames"),
        ({"frame_shape": (64, 64)}, "expected RGB frames"),
        ({"channels": (32, 64, 128)}, r"four channels.*got .*\(32, 64, 128\)"),
        ({"network": "conv", "grey": True}, "expected frames in colour.*got grey True"),
        ({"network": "conv", "convolution_activation": "silu"}, "expected .*'relu'.*got.*'silu'"),
        ({"network": "vit"}, "expected network 'conv' or 'dreamer', got 'vit'"),
        ({"latent": "mixture"}, "expected latent 'gaussian' or 'categorical', got 'mixture'"),
        ({"activation": "tanh"}, "expected activation 'relu', 'elu' or 'silu', got 'tanh'"),
        ({"gru": "lstm"}, "expected gru 'gru', 'gru-block' or 'layer-norm', got 'lstm'"),
        ({"transition": "none"}, "expected transition.*got 'none'"),
        ({"deviation": "exp"}, "expected deviation.*got 'exp'"),
        ({"least_deviation": -0.1}, "expected least_deviation.*got -0.1"),
        ({"unimix": 1.0}, "expected unimix.*got 1.0"),
        ({"latent_size": 0}, "expected latent_size.*got 0"),
        ({"units": 2**14 + 1}, "expected .*sizes up to 16,384"),
        ({"latent": "categorical", "latent_size": 2**10, "classes": 2**10}, "expected .*sizes up to 16,384"),
        ({"prior_layers": 13}, "expected at most 12 layers"),
        ({"posterior_layers": -1}, "expected posterior_layers.*got -1"),
        ({"head_layers": (0,)}, "expected head_layers"),
        ({"latent": "categorical", "transition": "deterministic"}, "expected a gaussian latent"),
    ],
    ids=str,
)
def test_sizes_out_of_range_are_refused(sizes, message):
    with pytest.raises(SettingsError, match=message):
        replace(PLANET, **sizes)


@pytest.mark.parametrize("network", ["conv", "dreamer"])
def test_frames_of_another_size_are_resized(network):
    sizes = PLANET if network == "dreamer" else SMALL
    model = make_model(replace(sizes, latent_size=4, hidden_size=8, units=8)).eval()
    frames = torch.randint(256, (2, 60, 80, 3), dtype=torch.uint8)

    with torch.no_grad():
        state = replace(model.initial(2), z=model.posterior(model.initial(2), model.embed(frames)).mode())
        drawn = model.decode(state, (60, 80, 3))

    assert drawn.shape == frames.shape and drawn.dtype == torch.uint8


def test_frames_too_small_for_the_convolutions_are_refused():
    with pytest.raises(SettingsError, match=r"expected frames of at least 64 pixels a side, got \(16, 32, 3\)"):
        make_model(replace(SMALL, channels=(4,) * 6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda: RSSMTraining(colour_weights=(-1.0, 2.0)), "expected colour_weights"),
        (lambda: RSSMTraining(branches=0), "expected branches"),
        (lambda: FramesTraining(batch_size=0), "expected batch_size"),
        (lambda: FramesTraining(beta=-1.0), "expected beta"),
        (lambda: FramesTraining(beta_warmup=1.5), "expected beta_warmup"),
    ],
)
def test_settings_of_the_training_out_of_range_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        settings()


def test_a_world_whose_bank_is_of_the_other_kind_is_refused():
    world = make_world(CATEGORICAL)
    zero = torch.zeros(2, world.model.latent_size)

    with pytest.raises(SettingsError, match="expected Categorical first frames, got Gaussian"):
        replace(world, bank=replace(world.bank, first=Gaussian(zero, zero)))
    with pytest.raises(SettingsError, match=r"expected the bank's first logits \(2, 6, 4\)"):
        replace(world, bank=replace(world.bank, first=Categorical(torch.zeros(2, 4, 6))))


def test_the_defaults_are_in_range():
    assert RSSMConfig() == RSSMConfig(**vars(RSSMConfig())) and RSSMTraining().sizes == RSSMConfig()
