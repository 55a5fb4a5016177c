"""Worlds on disk: what is loaded is what was saved, or nothing."""

import dataclasses
import json
import os
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
import safetensors.torch
import torch

import dreamenv.bundle
from dreamenv.bundle import CARD, CONFIG, WEIGHTS, load, save, world_id
from dreamenv.config import WorldConfig, build_model
from dreamenv.engine.packed import compiled
from dreamenv.foundation.errors import BundleError
from dreamenv.foundation.files import sha256, write_json
from dreamenv.foundation.manifest import MANIFEST
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.model import MDNRNN, MDNRNNConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.noise import Noise
from dreamenv.world import World, showing

FILES = (CONFIG, WEIGHTS, CARD, MANIFEST)
LISTED = (CONFIG, WEIGHTS, CARD)
ACTIONS = {"discrete": ActionSpec(n=3), "box": ActionSpec(low=(-1.0, 0.25), high=(1.0, 2.0))}


def random_world(action=ACTIONS["discrete"], mixture="per_dim", seed=0):
    config = WorldConfig(
        env_id="Any-v0",
        frame_shape=(16, 20, 3),
        action=action,
        max_episode_steps=30,
        model=MDNRNNConfig(VisionConfig((8, 10, 3), 4, (4,)), MemoryConfig(8, 2, mixture)),
        endings=("same", "better"),
        ending_rules=("sample", "threshold"),
        ordinary_reward=-0.1,
        success_reward=0.35,
        temperature=1.15,
    )
    torch.manual_seed(seed)
    model = build_model(config).eval()
    model.memory.endings.shift.copy_(torch.tensor([0.5, -1.0, 2.0]))
    model.memory.reward.fit_range(torch.tensor([-0.1, -0.1, 0.0, 0.2, 0.8]), torch.tensor([0, 0, 1, 2, 2]))
    branches = State(torch.randn(6, 4), torch.randn(6, 8).tanh(), torch.randn(6, 8), torch.arange(6))
    return World(config, model, StartBank(Gaussian(torch.randn(9, 4), torch.randn(9, 4)), branches))


@pytest.fixture
def bundle(tmp_path):
    """A folder with a saved world."""
    folder = tmp_path / "bundle"
    save(random_world(), folder)
    return folder


def flip(path, position, bit=0):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(bytes(data))


def manifest(folder, names):
    return {name: sha256(folder / name) for name in names}


def read_config(folder):
    return json.loads((folder / CONFIG).read_text())


def write_config(folder, config):
    """Replaces the config as somebody would who also corrects the manifest."""
    (folder / CONFIG).write_text(json.dumps(config))
    write_json(folder / MANIFEST, manifest(folder, LISTED))


def edit_config(folder, **changes):
    """Changes the config; vision and memory are parts of its model."""
    config = read_config(folder)
    parts = {name: changes.pop(name) for name in ("vision", "memory") if name in changes}
    write_config(folder, {**config, "model": config["model"] | parts, **changes})


def to_first_format(folder):
    """Gives a saved world the config that the first format had: no kind, vision and memory beside the rest."""
    config = read_config(folder)
    model = config.pop("model")
    assert model.pop("kind") == "mdnrnn"
    write_config(folder, config | model)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


@torch.no_grad()
def live(world):
    """Features, rewards, ending probabilities and a drawing of a few observed and imagined steps."""
    generator = torch.Generator().manual_seed(3)
    frames = torch.randint(256, (3, 5, 16, 20, 3), generator=generator, dtype=torch.uint8)
    action = torch.tensor([0, 1, 2, 0, 1])
    if not world.config.action.discrete:
        action = torch.rand(5, world.config.action.size, generator=generator)
    state = world.observe(world.observe(world.start(frames[0]), action, frames[1]), action, frames[2])
    dreamed, transition = world.imagine(state, action, 0.0, Noise.draw(5, world.model.prior_noise, generator))
    probabilities = world.model.memory.endings.probabilities(dreamed.h)
    drawing = torch.from_numpy(world.decode(dreamed)).float() / 255.0
    return world.features(state), world.features(dreamed), transition.reward, probabilities, drawing


@pytest.mark.parametrize("mixture", ["per_dim", "joint"])
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_loaded_world_lives_like_the_saved_one(tmp_path, action, mixture):
    world = random_world(action, mixture)
    save(world, tmp_path)

    for original, loaded in zip(live(world), live(load(tmp_path)), strict=True):
        torch.testing.assert_close(loaded, original, atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_the_config_round_trips(tmp_path, action):
    world = random_world(action)
    save(world, tmp_path)

    assert load(tmp_path).config == world.config


def test_a_saved_world_names_its_kind_of_model(bundle):
    config = read_config(bundle)

    assert config["model"]["kind"] == "mdnrnn"
    assert sorted(config["model"]) == ["kind", "memory", "vision"] and not {"memory", "vision"} & set(config)
    assert isinstance(load(bundle).model, MDNRNN)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("added", [{}, {"predict_action": False}], ids=str)
def test_a_world_of_the_first_format_is_loaded_as_it_was(tmp_path, action, added):
    save(random_world(action), tmp_path)
    now = load(tmp_path)
    to_first_format(tmp_path)
    config = read_config(tmp_path)
    write_config(tmp_path, config | {"memory": config["memory"] | added})
    first = load(tmp_path)

    assert first.config == now.config
    assert all(torch.equal(a, b) for a, b in zip(live(first), live(now), strict=True))


@pytest.mark.parametrize("name", ["sidewalk", "takecover"])
def test_the_shipped_worlds_of_the_first_format_are_loaded_unchanged(name):
    world = load(name)
    config, tensors = read_config(world.path), safetensors.torch.load_file(world.path / WEIGHTS)

    assert "model" not in config
    config["memory"].pop("predict_action", None)  # an option that is gone
    sizes = json.loads(json.dumps(dataclasses.asdict(world.config.model)))
    assert all(sizes[part].items() >= config[part].items() for part in ("vision", "memory"))
    first, branches = world.bank.first, world.bank.branches
    bank = {"mean": first.mean, "log_variance": first.log_variance}
    bank |= {f"branches.{name}": part for name, part in zip("z h c step".split(), branches.parts, strict=True)}
    loaded = {**world.model.state_dict(), **{f"bank.{name}": tensor for name, tensor in bank.items()}}
    assert set(loaded) == set(tensors)
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in tensors.items())


@pytest.mark.parametrize("model", [{"kind": "oracle"}, {}, {"kind": None}, [], "mdnrnn", 5], ids=str)
def test_an_unknown_kind_of_model_is_refused_and_the_known_ones_named(bundle, model):
    edit_config(bundle, model=model)

    with pytest.raises(BundleError, match=f"{bundle / CONFIG} cannot be read: expected a kind of world model .*mdnrnn"):
        load(bundle)


@pytest.mark.parametrize("name", ["vision", "memory"])
@pytest.mark.parametrize("first", [True, False])
def test_a_config_without_the_sizes_of_a_part_is_refused(bundle, name, first):
    if first:
        to_first_format(bundle)
    config = read_config(bundle)
    del (config if first else config["model"])[name]
    write_config(bundle, config)

    with pytest.raises(BundleError, match=str(bundle)):
        load(bundle)


def test_the_bank_round_trips(tmp_path):
    world = random_world()
    save(world, tmp_path)
    bank = load(tmp_path).bank

    torch.testing.assert_close(bank.first.mean, world.bank.first.mean, atol=0.0, rtol=1e-3)
    torch.testing.assert_close(bank.first.log_variance, world.bank.first.log_variance, atol=0.0, rtol=1e-3)
    torch.testing.assert_close(bank.branches.h, world.bank.branches.h, atol=0.0, rtol=1e-3)
    assert torch.equal(bank.branches.step, world.bank.branches.step)


def test_saving_what_was_loaded_is_bitwise_stable(bundle, tmp_path):
    save(load(bundle), tmp_path / "again")

    assert contents(tmp_path / "again") == contents(bundle)


def test_a_trained_world_is_bitwise_stable_too(dot_folder, dot_world, tmp_path):
    save(dot_world, tmp_path)

    assert contents(tmp_path) == contents(dot_folder)


def test_weights_are_loaded_as_float32_and_in_evaluation_mode(bundle):
    world = load(bundle)
    parameters = [*world.model.state_dict().values(), world.bank.first.mean]

    assert {tensor.dtype for tensor in parameters} == {torch.float32}
    assert not world.model.vision.training and not world.model.memory.training


@pytest.mark.parametrize("reward", [-0.1, 123.4, 1e5])
def test_a_constant_reward_survives_saving(tmp_path, reward):
    world = random_world()
    world.model.memory.reward.fit_range(torch.full((3,), reward), torch.zeros(3, dtype=torch.int64))
    save(world, tmp_path)

    rewards = load(tmp_path).model.memory.reward.rewards(torch.randn(5, 8), torch.rand(5))[:, 0]

    assert (rewards == torch.tensor(reward)).all()


def test_bounds_of_actions_survive_saving(tmp_path):
    world = random_world(ActionSpec(low=(-1e5,), high=(1e5,)))
    save(world, tmp_path)

    scaled = load(tmp_path).model.memory.embedding(torch.tensor([[-1e5], [0.0], [1e5]]))

    assert scaled.tolist() == [[-1.0], [0.0], [1.0]]


def test_a_folder_holds_the_four_files_and_nothing_else(bundle):
    assert sorted(path.name for path in bundle.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_world_knows_where_it_came_from(bundle, kind):
    world = load(kind(bundle))

    assert world.path == bundle
    assert "Any-v0" in repr(world) and str(bundle) in repr(world)


def test_a_card_of_ones_own_is_kept(tmp_path):
    save(random_world(), tmp_path, card="# Mine\n")

    assert (tmp_path / CARD).read_text() == "# Mine\n"
    assert load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("name", LISTED)
def test_a_flipped_bit_is_refused_and_the_file_named(bundle, name, share):
    size = (bundle / name).stat().st_size
    flip(bundle / name, int(share * (size - 1)))

    with pytest.raises(BundleError, match=f"{bundle / name} is damaged"):
        load(bundle)


@pytest.mark.parametrize("bit", [0, 5])
def test_no_flipped_bit_of_the_manifest_passes(bundle, bit):
    original = (bundle / MANIFEST).read_bytes()
    for position in range(len(original)):
        flip(bundle / MANIFEST, position, bit)
        with pytest.raises(BundleError, match=str(bundle)):
            load(bundle)
        (bundle / MANIFEST).write_bytes(original)


@pytest.mark.parametrize("name", LISTED)
def test_a_missing_file_is_refused_and_named(bundle, name):
    (bundle / name).unlink()

    with pytest.raises(BundleError, match=name):
        load(bundle)


def test_a_missing_manifest_is_refused_and_named(bundle):
    (bundle / MANIFEST).unlink()

    with pytest.raises(BundleError, match=f"expected .* a folder with a {MANIFEST}, got '{bundle}'"):
        load(bundle)


@pytest.mark.parametrize("name", LISTED)
def test_a_truncated_file_is_refused(bundle, name):
    (bundle / name).write_bytes((bundle / name).read_bytes()[:-1])

    with pytest.raises(BundleError, match=name):
        load(bundle)


@pytest.mark.parametrize("name", ["../x", "sub/x", "..", ".", "", "/x", "nowhere"])
def test_a_manifest_that_points_elsewhere_is_refused(bundle, name):
    for path in (bundle.parent / "x", bundle / "sub" / "x"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret")
    sums = manifest(bundle, LISTED)
    write_json(bundle / MANIFEST, sums | {name: sums[CARD]})

    with pytest.raises(BundleError, match="not a file beside it"):
        load(bundle)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_manifest_that_leaves_a_file_out_is_refused(bundle, name):
    sums = manifest(bundle, LISTED)
    del sums[name]
    write_json(bundle / MANIFEST, sums)

    with pytest.raises(BundleError, match=name):
        load(bundle)


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "\x80\x04"])
def test_a_manifest_that_is_none_is_refused(bundle, text):
    (bundle / MANIFEST).write_text(text)

    with pytest.raises(BundleError, match=MANIFEST):
        load(bundle)


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown_key": 1},
        {"max_episode_steps": "20"},
        {"frame_shape": [16, 20]},
        {"endings": ["wonderful"]},
        {"action": {"n": 3, "start": 1}},
        {"env_id": None},
        {"memory": {"hidden_size": 8, "components": 2, "mixture": "per_dim", "predict_action": True}},
        {"vision": {"frame_shape": [8, 10], "latent_size": 4, "channels": [4]}},
    ],
    ids=str,
)
def test_a_config_with_unknown_keys_or_wrong_types_is_refused(bundle, changes):
    edit_config(bundle, **changes)

    with pytest.raises(BundleError, match=f"{CONFIG} cannot be read(.|\n)*{next(iter(changes))}"):
        load(bundle)


@pytest.mark.parametrize(
    "changes",
    [
        {"memory": {"hidden_size": 9, "components": 2, "mixture": "per_dim"}},
        {"memory": {"hidden_size": 8, "components": 2, "mixture": "joint"}},
        {"endings": ["same"], "ending_rules": ["sample"]},
        {"action": {"n": 4, "low": [], "high": []}},
        {"vision": {"frame_shape": [8, 10, 3], "latent_size": 4, "channels": [4, 4]}},
        {"vision": {"frame_shape": [8, 10, 3], "latent_size": 4, "channels": [4, 4, 4, 4]}},
        {"vision": {"frame_shape": [8, 10, 3], "latent_size": -1, "channels": [4]}},
        {"memory": {"hidden_size": 0, "components": 2, "mixture": "per_dim"}},
        {"ending_rules": ["sample"]},
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_the_weights_is_refused(bundle, changes):
    edit_config(bundle, **changes)

    with pytest.raises(BundleError, match=str(bundle)):
        load(bundle)


@pytest.mark.parametrize("name", ["bank.mean", "bank.branches.step", "vision.expand.weight", "memory.endings.shift"])
def test_weights_with_a_tensor_missing_are_refused(bundle, name):
    tensors = safetensors.torch.load_file(bundle / WEIGHTS)
    del tensors[name]
    safetensors.torch.save_file(tensors, bundle / WEIGHTS)
    write_json(bundle / MANIFEST, manifest(bundle, LISTED))

    with pytest.raises(BundleError, match=WEIGHTS):
        load(bundle)


def test_weights_that_are_no_safetensors_are_refused(bundle):
    (bundle / WEIGHTS).write_bytes(b"\x80\x04 no tensors")
    write_json(bundle / MANIFEST, manifest(bundle, LISTED))

    with pytest.raises(BundleError, match=WEIGHTS):
        load(bundle)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """An installation that ships two worlds."""
    package = tmp_path / "package"
    for seed, name in enumerate(("meadow", "harbour")):
        save(random_world(seed=seed), package / "worlds" / name)
    monkeypatch.setattr(dreamenv.bundle, "files", lambda name: package)
    return package / "worlds"


def test_a_shipped_world_is_loaded_by_name(shipped):
    assert load("meadow").path == shipped / "meadow"


@pytest.mark.parametrize("name", ["sea", "worlds/meadow", "../meadow", "./no where"])
def test_a_missing_world_names_the_shipped_ones(shipped, name):
    with pytest.raises(BundleError, match=r"\(harbour, meadow\)") as error:
        load(name)

    assert repr(name) in str(error.value)


def test_the_worlds_of_this_installation_are_named():
    names = [path.parent.name for path in Path(str(files("dreamenv"))).glob(f"worlds/*/{MANIFEST}")]

    with pytest.raises(BundleError) as error:
        load("no such world")

    assert all(name in str(error.value) for name in names)


@pytest.mark.parametrize("count", range(4))
def test_saving_over_a_world_that_is_interrupted_never_mixes_two(bundle, monkeypatch, count):
    before = live(load(bundle))
    replace, calls = os.replace, iter(range(count))

    def interrupted(*names):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        replace(*names)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupted)
        save(random_world(seed=1), bundle)

    try:
        after = live(load(bundle))
    except BundleError:
        return
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_id_of_a_world_is_that_of_its_content(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "copy")
    save(random_world(seed=1), tmp_path / "other")

    assert len(world_id(load(bundle))) == 64
    assert world_id(load(bundle)) == world_id(load(tmp_path / "copy"))
    assert world_id(load(bundle)) != world_id(load(tmp_path / "other"))


def test_a_world_has_the_id_that_saving_will_give_it(tmp_path):
    world = random_world()
    save(world, tmp_path)
    assert world_id(world) == world_id(load(tmp_path)) != world_id(random_world(seed=1))


def test_a_world_keeps_the_id_that_it_was_loaded_with(tmp_path):
    save(random_world(), tmp_path)
    world = load(tmp_path)
    before = world_id(world)
    save(random_world(seed=1), tmp_path)
    packed = dataclasses.replace(world, model=compiled(world.model))
    assert world_id(world) == world_id(showing(packed, ["z"])) == before != world_id(load(tmp_path))


def is_pickled(path):
    start = path.read_bytes()[:9]
    pickle = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and start[8:] != b"{"
    return pickle or start[:2] == b"PK"


def test_nothing_that_training_writes_is_pickled(dot_folder):
    paths = [path for path in dot_folder.rglob("*") if path.is_file()]

    assert {".safetensors", ".json", ".md"} <= {path.suffix for path in paths}
    assert [path for path in paths if is_pickled(path)] == []


def test_what_torch_pickles_is_recognised(tmp_path):
    torch.save({}, tmp_path / "zip")
    torch.save({}, tmp_path / "pickle", _use_new_zipfile_serialization=False)

    assert is_pickled(tmp_path / "zip") and is_pickled(tmp_path / "pickle")


def test_numbers_beyond_half_precision_come_back_whole(tmp_path):
    world = random_world()
    with torch.no_grad():
        world.model.memory.mixture.bias[0] = 1e6

    save(world, tmp_path)

    assert load(tmp_path).model.memory.mixture.bias[0] == 1e6


def test_a_world_with_a_number_that_is_not_finite_is_not_saved(bundle):
    world = random_world(seed=1)
    with torch.no_grad():
        world.model.memory.mixture.bias[0] = torch.nan
    before = contents(bundle)

    with pytest.raises(ValueError, match="expected finite numbers in memory.mixture.bias"):
        save(world, bundle)

    assert contents(bundle) == before
