"""Trainings of RSSMs: they repeat and resume bitwise, and each stage changes its own parts alone."""

from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from rssm_settings import BOX, DISCRETE, SIZES, SMALL

from dreamenv.bundle import CONFIG, WEIGHTS
from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode
from dreamenv.data.store import VALIDATION_EVERY, EpisodeStore
from dreamenv.foundation.errors import ResumeError, SettingsError
from dreamenv.models.bank import StartBank
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.model import MDNRNNConfig, build_mdnrnn
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.rssm.model import build_rssm
from dreamenv.real.spec import StoreSpec
from dreamenv.training import fit as fit_module
from dreamenv.training import rssm as rssm_module
from dreamenv.training import rssm_sequences as sequences_module
from dreamenv.training.checkpoint import checkpoints
from dreamenv.training.fit import FitConfig
from dreamenv.training.kinds import TrainingJob
from dreamenv.training.rssm import DYNAMICS, HEADS, LATENTS, STAGES, FramesTraining, RSSMTraining, train_rssm
from dreamenv.training.rssm_loss import SequenceTraining
from dreamenv.training.world import train
from dreamenv.world import World

SQUARES = 40  # frames with a bright square somewhere
SHAPE = SMALL.frame_shape
FIT = FitConfig(steps=3, precision="float32")
SEQUENCES = SequenceTraining(FIT, batch_size=3, length=5, overshooting=2, dropout=0.3)
HASTY = RSSMTraining(
    model=replace(SMALL, head_layers=(6,)),
    frames=FramesTraining(FIT, batch_size=4),
    joint=SEQUENCES,
    latents=replace(SEQUENCES, decoded=4),
    dynamics=SEQUENCES,
    heads=SEQUENCES,
    branches=5,
)
NONE = FitConfig(steps=0)


def only(*stages, settings=HASTY):
    """The settings with steps in these stages alone."""
    return replace(
        settings, **{name: replace(getattr(settings, name), fit=NONE) for name in STAGES if name not in stages}
    )


def make_episode(seed, action=DISCRETE, endings=True):
    """Twelve random steps; every third episode ends well, every third badly, unless no step ends one."""
    generator = np.random.default_rng(seed)
    kind, rewards = seed % 3 if endings else 2, np.zeros(12, np.float32)
    rewards[-1] = float(kind == 0)
    frames = generator.integers(0, 256, (13, *SHAPE), dtype=np.uint8)
    actions = np.stack([action.sample(generator) for _ in range(12)])
    return Episode(frames, actions, rewards, kind < 2, kind == 2, seed, "")


def fill(folder, action=DISCRETE, endings=True):
    store = EpisodeStore.create(folder / "episodes", StoreSpec("Any-v0", SHAPE, action))
    store.append([make_episode(seed, action, endings) for seed in range(3 * VALIDATION_EVERY)])


def bundle_of(folder):
    return [(folder / name).read_bytes() for name in (WEIGHTS, CONFIG)]


def config_of(settings=HASTY, endings=("same", "better"), action=DISCRETE):
    return WorldConfig("Any-v0", SHAPE, action, 12, settings.sizes, endings, ("sample",) * len(endings))


def learn(settings, folder, source=None, **facts):
    job = TrainingJob([make_episode(seed) for seed in range(9)], config_of(settings, **facts), folder, [], source)
    return train_rssm(settings, job).model


def test_training_repeats_bitwise_whatever_the_global_generator_is_at(tmp_path):
    for seed, name in enumerate(("first", "again")):
        fill(tmp_path / name)
        torch.manual_seed(seed)
        train(tmp_path / name, HASTY)

    assert bundle_of(tmp_path / "first") == bundle_of(tmp_path / "again")


def test_two_seeds_differ(tmp_path):
    one, other = (learn(replace(HASTY, seed=seed), tmp_path / str(seed)).state_dict() for seed in (0, 1))

    same = [name for name in one if torch.equal(one[name], other[name])]
    assert all(name.startswith(("endings.shift", "reward.")) or "bias" not in name for name in same)
    assert not [name for name in same if name.endswith("weight")]


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_training_interrupted_within_a_stage_ends_bitwise_the_same(tmp_path, monkeypatch, stage, kind):
    """It is stopped in the last step of the stage; checkpoints are written after every step."""
    settings = only(stage, "heads", settings=replace(HASTY, model=SIZES[kind]))
    name, module = ("pixel_errors", rssm_module) if stage == "frames" else ("sequence_loss", sequences_module)
    original, calls = getattr(module, name), []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == FIT.steps:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    whole = learn(settings, tmp_path / "whole").state_dict()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, name, interrupted)
        patch.setattr(fit_module, "CHECKPOINT_SECONDS", -1.0)
        learn(settings, tmp_path / "interrupted")
    newest = checkpoints(tmp_path / "interrupted" / stage)[0]
    resumed = learn(settings, tmp_path / "interrupted").state_dict()

    assert newest.name.startswith(f"checkpoint-{FIT.steps - 1:010d}")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    if stage != "frames":
        held = safetensors.torch.load_file(newest)
        assert held["model/z"].any() and held["model/h"].any()  # the streams were within episodes


def test_the_carried_state_matters(tmp_path, monkeypatch):
    """The check of the check above: a training that forgets the state between chunks ends with other bits."""
    settings = only("dynamics")
    whole = learn(settings, tmp_path / "whole").state_dict()
    original = sequences_module.sequence_loss

    def forgetful(model, chunk, start, *rest):
        return original(model, chunk, tuple(torch.zeros_like(part) for part in start), *rest)

    monkeypatch.setattr(sequences_module, "sequence_loss", forgetful)
    anew = learn(settings, tmp_path / "anew").state_dict()

    assert not torch.equal(whole["cell.linear.weight"], anew["cell.linear.weight"])


@pytest.mark.parametrize("stage", STAGES)
def test_other_settings_of_a_stage_are_refused_and_those_of_later_ones_are_not(tmp_path, stage):
    learn(HASTY, tmp_path)
    changed = replace(getattr(HASTY, stage), batch_size=2)

    with pytest.raises(ResumeError, match=f"{stage}.*batch_size 3 there, 2 here|{stage}.*batch_size 4 there, 2 here"):
        learn(replace(HASTY, **{stage: changed}), tmp_path)
    for name in STAGES[STAGES.index(stage) :]:
        for path in checkpoints(tmp_path / name):
            path.unlink()
    learn(replace(HASTY, **{stage: changed}), tmp_path)  # the earlier stages are kept


LEARNED = {
    "frames": {"encoder", "posterior_parameters", "decoder"},
    "joint": {"encoder", *LATENTS},
    "latents": set(LATENTS),
    "dynamics": set(DYNAMICS),
    "heads": set(HEADS),
}


@pytest.mark.parametrize("reads", [False, True], ids=["h not read", "h read"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_changes_its_parts_alone(tmp_path, stage, reads):
    sizes = replace(HASTY.model, posterior_reads_h=reads, decoder_reads_h=reads, posterior_layers=int(reads))
    settings = replace(HASTY, model=sizes)
    before = learn(only(settings=settings), tmp_path / "before").state_dict()
    after = learn(only(stage, settings=settings), tmp_path / "after")

    changed = {name.partition(".")[0] for name, p in after.named_parameters() if not torch.equal(p, before[name])}
    everything = {name.partition(".")[0] for name, _ in after.named_parameters()}
    expected = LEARNED[stage] | ({"posterior_layers"} if stage == "frames" else set())
    assert changed == expected & everything
    assert {"encoder", *LATENTS} >= everything
    assert all(parameter.requires_grad for parameter in after.parameters())
    assert not after.training


def test_stages_without_steps_are_left_out(tmp_path):
    learn(only("dynamics"), tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["dynamics"]


def test_without_any_step_the_model_is_the_fresh_one_of_the_seed(tmp_path):
    model = learn(only(), tmp_path).state_dict()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = build_rssm(HASTY.model, DISCRETE, 3).state_dict()

    assert all(torch.equal(model[name], fresh[name]) for name in model)


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("published", [False, True], ids=["own heads", "published heads"])
@pytest.mark.parametrize("endings", [False, True], ids=["no endings", "endings"])
def test_every_kind_is_trained_on_continuous_actions_and_dreams(tmp_path, kind, published, endings):
    fill(tmp_path, BOX, endings)
    sizes = replace(SIZES[kind], published_heads=published, decoder_reads_h=True)

    world = train(tmp_path, replace(HASTY, model=sizes))

    assert world.config.endings == (("same", "better") if endings else ())
    assert world.model.rescale.high.tolist() == list(BOX.high)
    state = world.start(torch.from_numpy(make_episode(0).observations))
    outlook = world.model.outlook(world.model.advance(state, torch.zeros(13, 2)), torch.zeros(13))
    assert outlook.endings.shape == (13, 3 if endings else 1)
    torch.testing.assert_close(outlook.endings.sum(1), torch.ones(13))
    assert world.bank.size == 3 * VALIDATION_EVERY - 3 and len(world.bank.branches.step) == 5


def source_of(model, config):
    first = model.posterior(model.initial(2), torch.randn(2, SMALL.embedding_size))
    return World(config, model, StartBank(first, model.initial(1)))


@torch.no_grad()
def make_source(settings=HASTY, endings=("same", "better")):
    config = config_of(settings, endings)
    model = build_rssm(settings.model, DISCRETE, 1 + len(endings))
    return source_of(model.eval(), config)


def test_a_warm_start_begins_with_the_weights_of_the_source(tmp_path):
    source = make_source()
    begun = learn(only(), tmp_path, source).state_dict()

    theirs = source.model.state_dict()
    assert all(torch.equal(begun[name], theirs[name]) for name in begun if not name.startswith("reward.s"))


def test_a_warm_start_matches_the_rows_of_heads_by_kind_of_ending(tmp_path):
    settings = replace(HASTY, model=SMALL)
    source = make_source(settings, ("worse", "better"))
    begun, alone = (learn(only(settings=settings), tmp_path / n, s) for n, s in (("begun", source), ("alone", None)))

    for head in ("endings", "reward"):
        rows, theirs, first = (getattr(m, head).linear.weight for m in (begun, source.model, alone))
        assert torch.equal(rows[0], theirs[0])  # goes on
        assert torch.equal(rows[1], first[1])  # same, which the source does not know
        assert torch.equal(rows[2], theirs[2])  # better


@pytest.mark.parametrize("endings", [(), ("same",), ("better",), ("worse", "same", "better")], ids=str)
@pytest.mark.parametrize("published", [False, True], ids=["own heads", "published heads"])
def test_a_warm_start_has_the_rewards_of_steps_that_go_on(tmp_path, published, endings):
    """Published heads have one reward for all kinds, and none for the ending of a world without endings."""
    settings = replace(HASTY, model=replace(SMALL, published_heads=published))
    source = make_source(settings, endings)

    begun = learn(only(settings=settings), tmp_path, source)

    assert torch.equal(begun.reward.linear.weight[0], source.model.reward.linear.weight[0])
    assert torch.equal(begun.reward.linear.bias[0], source.model.reward.linear.bias[0])
    assert torch.equal(begun.cell.linear.weight, source.model.cell.linear.weight)


def test_a_source_of_another_kind_is_refused(tmp_path):
    sizes = MDNRNNConfig(VisionConfig(SHAPE, 4, (4,)), MemoryConfig(8, 2))
    config = replace(config_of(), model=sizes)
    model = build_mdnrnn(sizes, DISCRETE, 3).eval()
    with torch.no_grad():
        first = model.posterior(model.initial(2), torch.randn(2, 8))
    source = World(config, model, StartBank(first, model.initial(1)))

    with pytest.raises(SettingsError, match="expected a source of an RSSM, got a MDNRNN"):
        learn(HASTY, tmp_path, source)
    with pytest.raises(ValueError, match="expected a source of V and M, got a RSSM"):
        fill(tmp_path)
        train(tmp_path, source=make_source())


@pytest.mark.parametrize("gru", ["gru", "gru-block", "layer-norm"])
@pytest.mark.parametrize("kind", SIZES)
def test_products_in_bfloat16_leave_the_state_in_float32(tmp_path, monkeypatch, kind, gru):
    monkeypatch.setattr(fit_module, "bfloat16_is_fast", lambda device: True)
    sizes = replace(SIZES[kind], gru=gru, decoder_reads_h=True)
    rounded = FitConfig(steps=2, precision="bfloat16")
    settings = replace(HASTY, model=sizes, **{name: replace(getattr(HASTY, name), fit=rounded) for name in STAGES})

    model = learn(settings, tmp_path)

    held = safetensors.torch.load_file(checkpoints(tmp_path / "joint")[0])
    assert {held[f"model/{name}"].dtype for name in "zh"} == {torch.float32}
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in model.state_dict().values())


def test_a_later_round_has_half_of_the_steps():
    settings = RSSMTraining()
    later = settings.later()
    assert (later.frames.fit.steps, later.dynamics.fit.steps) == (
        settings.frames.fit.steps // 2,
        settings.dynamics.fit.steps // 2,
    )
    assert later.model == settings.model and later.frames.beta == settings.frames.beta


def squares():
    """Episodes of frames that differ by the place of a bright square."""
    generator, frames = np.random.default_rng(0), np.full((3, SQUARES, *SHAPE), 40, np.uint8)
    for frame in frames.reshape(-1, *SHAPE):
        row, column = generator.integers(0, 4, 2)
        frame[4 * row : 4 * row + 4, 8 * column : 8 * column + 8] = 220
    rest = np.zeros(SQUARES - 1, np.int64), np.zeros(SQUARES - 1, np.float32)
    return [Episode(frames[seed], *rest, True, False, seed, "") for seed in range(3)]


def codes_of_squares(folder, **frames):
    """How many different z the trained encoder finds for the squares, which have sixteen places."""
    fit = FitConfig(steps=400, learning_rate=3e-3, precision="float32")
    stage = FramesTraining(fit, batch_size=64, beta_warmup=0.3, **frames)
    settings = only("frames", settings=replace(HASTY, model=SIZES["categorical"], frames=stage))
    job = TrainingJob(squares(), config_of(settings, endings=("same",)), folder, [], None)
    model = train_rssm(settings, job).model
    seen = torch.from_numpy(np.concatenate([episode.observations for episode in squares()]))
    with torch.no_grad():
        return len(model.posterior(model.initial(len(seen)), model.embed(seen)).mode().unique(dim=0))


def test_a_large_first_beta_keeps_categories_apart(tmp_path):
    found, without = codes_of_squares(tmp_path / "default"), codes_of_squares(tmp_path / "none", first_beta=0.0)

    assert found >= 8 and without < found


def test_an_encoder_that_learned_nothing_is_reported(tmp_path):
    with pytest.warns(UserWarning, match=r"The encoder has collapsed: .* raise frames\.first_beta"):
        learn(only("frames", settings=replace(HASTY, model=SIZES["categorical"])), tmp_path)
