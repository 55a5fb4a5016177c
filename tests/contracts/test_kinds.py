"""Kinds of world models of a user: registration, bundles, and sizes of 0."""

import json
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

import dreamenv
from dreamenv.bundle import dump_world_config, parse_world_config, save
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.models import registry
from dreamenv.models.bank import StartBank
from dreamenv.models.base import WorldModel
from dreamenv.models.latent import Z_BOUND, Gaussian
from dreamenv.models.mdnrnn.model import MDNRNNConfig
from dreamenv.models.noise import Noise, NoiseSpec
from dreamenv.models.registry import register_model
from dreamenv.recordings import record
from dreamenv.training import kinds
from dreamenv.training.kinds import WorldTraining, register_world_model
from dreamenv.training.mdnrnn import TrainConfig
from dreamenv.world import showing


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    monkeypatch.setattr(kinds, "_TRAININGS", dict(kinds._TRAININGS))
    monkeypatch.setattr(kinds, "_SETTINGS", dict(kinds._SETTINGS))


@dataclass(frozen=True)
class Sizes:
    cells: int = 3


@dataclass(frozen=True)
class Settings(WorldTraining):
    pass


def build(config, action, kinds):
    raise NotImplementedError


def train(settings, job):
    raise NotImplementedError


def test_a_name_belongs_to_one_kind():
    register_model("mine", Sizes, build)
    register_model("mine", Sizes, build)
    for config, its_build in ((MDNRNNConfig, build), (Sizes, train)):
        with pytest.raises(SettingsError, match="expected a new name for a kind of world model, got 'mine'"):
            register_model("mine", config, its_build)
    assert registry.model_kind("mine").config is Sizes


def test_a_definition_that_runs_again_replaces_itself():
    cell = "@dataclass(frozen=True)\nclass Cell:\n    size: int = 1\n\ndef make(*_):\n    pass\n"
    for _ in range(2):
        scope = {"dataclass": dataclass, "__name__": "__main__"}
        exec(cell, scope)
        register_model("cell", scope["Cell"], scope["make"])
    assert registry.kind_of_config(scope["Cell"]()).build is scope["make"]


def test_classes_belong_to_one_kind():
    with pytest.raises(SettingsError, match="expected sizes of a class of its own for 'mine', got the class of 'mdnr"):
        register_model("mine", MDNRNNConfig, build)
    with pytest.raises(SettingsError, match="expected settings of a class of its own for 'mine', got TrainConfig"):
        register_world_model("mine", config=Sizes, build=build, settings=TrainConfig, train=train)
    with pytest.raises(SettingsError, match="expected a subclass of WorldTraining as settings"):
        register_world_model("mine", config=Sizes, build=build, settings=Sizes, train=train)
    with pytest.raises(SettingsError, match="expected a dataclass of sizes for 'mine'"):
        register_model("mine", dict, build)
    assert "mine" not in registry._KINDS and kinds.trainer_of(TrainConfig()) is not train


def test_a_name_leads_to_the_latest_settings():
    assert kinds.settings_of("mdnrnn") is TrainConfig
    with pytest.raises(SettingsError, match="expected a kind of world model among .*mdnrnn.*, got 'mine'"):
        kinds.settings_of("mine")
    register_world_model("mine", config=Sizes, build=build, settings=Settings, train=train)
    assert kinds.settings_of("mine") is Settings and "mine" in kinds.kind_names()


@pytest.mark.parametrize("missing", ["vision", "memory"])
@pytest.mark.parametrize("first_format", [False, True])
def test_missing_sizes_are_an_error(dot_world, tmp_path, missing, first_format):
    facts = json.loads(json.dumps(dump_world_config(dot_world.config)))
    del facts["model"][missing]
    if first_format:
        facts |= {name: part for name, part in facts.pop("model").items() if name != "kind"}
    with pytest.raises(BundleError, match=f"config.json cannot be read: expected {missing} in its model"):
        parse_world_config(json.dumps(facts).encode(), tmp_path / "config.json")


def table_world(example, grid, prepare):
    """The grid's world with a model that ``prepare`` added tensors to, of a kind that is registered."""

    @dataclass(frozen=True)
    class OtherSizes(example.TableConfig):
        pass

    def build_other(config, action, kinds):
        table = example.build_table(config, action, kinds)
        prepare(table)
        return table

    register_model("other", OtherSizes, build_other)
    model = deepcopy(grid.model)
    prepare(model)
    return replace(grid, config=replace(grid.config, model=OtherSizes()), model=model, identity=None)


def test_integer_buffers_are_stored(example, grid, tmp_path):
    world = table_world(example, grid, lambda model: model.register_buffer("counts", torch.arange(3)))
    save(world, tmp_path)
    assert dreamenv.load(tmp_path).model.counts.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bool, torch.int32])
def test_a_type_that_no_bundle_holds_is_refused_when_saving(example, grid, tmp_path, dtype):
    world = table_world(example, grid, lambda model: model.register_buffer("odd", torch.ones(2, dtype=dtype)))
    with pytest.raises(SettingsError, match="expected float32 or int64 .* in odd"):
        save(world, tmp_path / "world")
    assert not (tmp_path / "world").exists()


@pytest.mark.parametrize(
    "prepare",
    [
        lambda model: model.register_buffer("low", torch.zeros(2), persistent=False),
        lambda model: setattr(model, "low", torch.zeros(2)),
        lambda model: setattr(model, "part", nn.Identity()) or setattr(model.part, "low", torch.zeros(2)),
    ],
    ids=["buffer", "attribute", "inner"],
)
def test_tensors_that_bundles_do_not_hold_are_an_error_of_loading(example, grid, tmp_path, prepare):
    save(table_world(example, grid, prepare), tmp_path)
    with pytest.raises(BundleError, match="expected parameters and persistent buffers only, got other tensors: low"):
        dreamenv.load(tmp_path)


def test_a_model_without_parameters_computes_where_its_buffers_are(grid):
    class Buffers(type(grid.model)):
        def __init__(self):
            nn.Module.__init__(self)

    assert Buffers().device == torch.device("cpu")
    model = Buffers()
    model.register_buffer("table", torch.zeros(1, device="meta"))
    assert model.device.type == "meta"


def test_agents_cannot_see_a_carry_of_size_zero(grid):
    for inputs in (("c",), ("z", "c")):
        with pytest.raises(SettingsError, match="expected inputs without c, because the world model has no carry"):
            showing(grid, inputs)


def test_a_dream_without_carry_has_every_option(grid):
    settings = {"batch_invariant": True, "dropout": 0.3, "branched_starts": 0.5}
    env = dreamenv.DreamEnv(grid, **settings)
    seen, _ = env.reset(seed=0, options={"temperature": 0.5})
    assert seen.shape == (2 * grid.model.latent_size,)
    env.step(env.action_space.sample())
    state = grid.sample_start(Noise.draw(1, grid.model.prior_noise, torch.Generator().manual_seed(0)))
    settings |= {"branched_starts": 0.0, "autoreset_mode": "Disabled"}
    vector = dreamenv.DreamVectorEnv(grid, 3, start=state, tensors=True, **settings)
    vector.reset(seed=0)
    vector.reset(seed=1, options={"reset_mask": np.array([True, False, True])})
    vector.leave(np.array([False, True, False]))
    assert vector.step(torch.zeros(3, dtype=torch.int64))[0].shape == (3, 2 * grid.model.latent_size)


def test_a_bank_of_another_kind_of_posterior_is_refused(grid):
    first = Gaussian(*[grid.bank.first.logits] * 2)
    with pytest.raises(SettingsError, match="expected OneHot first frames, got Gaussian"):
        replace(grid, bank=StartBank(first, grid.bank.branches))


def test_a_spec_of_no_random_numbers_draws_those_of_starts_and_endings():
    noise = Noise.draw(2, NoiseSpec(0, 0), torch.Generator().manual_seed(0))
    assert noise.uniform.shape == (2, 3) and noise.normal.shape == (2, 0)
    with pytest.raises(SettingsError, match=r"expected numbers >= 0 of random numbers, got NoiseSpec\(uniform=-1"):
        NoiseSpec(-1, 0)


def test_z_is_bounded_wherever_it_is_drawn(dot_world):
    """Observing frames one by one and following the recorded episode lead to the same z, in every case."""
    z, model = dot_world.model.latent_size, deepcopy(dot_world.model)
    model.embed = lambda frames: torch.cat([torch.full((len(frames), z), 50.0), torch.zeros(len(frames), z)], 1)
    frames = torch.zeros(3, *dot_world.config.frame_shape, dtype=torch.uint8)
    action = torch.from_numpy(np.stack([dot_world.config.action.sample(np.random.default_rng(0))] * 2))
    with torch.no_grad():
        followed, _ = WorldModel.follow(model, [model.embed(frames)], [action])[0]
        observed = replace(dot_world, model=model).start(frames[:1])
    assert (followed.z == Z_BOUND).all() and (observed.z == Z_BOUND).all()


def test_no_recording_has_no_trace(dot_world):
    assert dot_world.follow([]) == []


def test_what_a_trace_predicts_has_no_gradient(dot_world):
    frames = np.zeros((3, *dot_world.config.frame_shape), np.uint8)
    action = np.stack([dot_world.config.action.sample(np.random.default_rng(0))] * 2)
    episode = dreamenv.Episode(frames, action, np.zeros(2, np.float32), False, True, 0, "random")
    (trace,) = dot_world.follow(record(dot_world.model, [episode], dot_world.config))
    assert not trace.outlook.rewards.requires_grad and not trace.priors.parts[0].requires_grad
