"""The training loop: an interrupted run ends bitwise where an uninterrupted one does."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from dreamenv.foundation.errors import ResumeError
from dreamenv.training import fit as module
from dreamenv.training.checkpoint import checkpoints, differences, load_checkpoint, save_checkpoint
from dreamenv.training.fit import FitConfig, fit, learning_rate_at

STEPS = 12
CONFIG = FitConfig(steps=STEPS, learning_rate=0.05, warmup_steps=4, precision="float32")
RARELY = 1e9


@pytest.fixture(autouse=True)
def checkpoints_after_every_step(monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)


class Interruption(Exception):
    """Stands for whatever ends a process."""


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def make_loss(model, fail_at=None, failure=KeyboardInterrupt, seen=None):
    def loss(step, generator):
        if step == fail_at:
            raise failure
        x = torch.randn(16, 2, generator=generator)
        if seen is not None:
            seen.append((step, x))
        value = (model(x).squeeze(-1) - x.prod(1)).square().mean()
        return value, {"squared_error": value.item()}

    return loss


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def fitted(folder, config=CONFIG):
    model = make_model()
    fit(model, make_loss(model), config, folder, "data")
    return weights(model)


def interrupt(folder, step, config=CONFIG):
    model = make_model()
    with pytest.raises(KeyboardInterrupt):
        fit(model, make_loss(model, fail_at=step), config, folder, "data")


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("step", [0, 1, 5, STEPS - 1])
def test_an_interrupted_run_ends_bitwise_like_an_uninterrupted_one(tmp_path, step, precision):
    config = dataclasses.replace(CONFIG, precision=precision, weight_decay=0.1)
    interrupt(tmp_path / "interrupted", step, config)

    assert same(fitted(tmp_path / "interrupted", config), fitted(tmp_path / "whole", config))


def test_parts_of_a_model_have_learning_rates_and_clips_of_their_own(tmp_path):
    """The first layer stands still, the last one learns; the layer that is in no part stands still too."""
    model, before = make_model(), make_model()
    model.insert(1, nn.Linear(8, 8))
    middle = model[1].weight.detach().clone()
    still = dataclasses.replace(CONFIG, learning_rate=0.0)

    fit(model, make_loss(model), still, tmp_path, "data", parts=[(model[0], still), (model[3], CONFIG)])

    assert torch.equal(model[0].weight, before[0].weight) and torch.equal(model[1].weight, middle)
    assert not torch.equal(model[3].weight, before[2].weight)


def test_one_part_by_the_same_settings_is_the_whole(tmp_path):
    model = make_model()
    fit(model, make_loss(model), CONFIG, tmp_path / "part", "data", parts=[(model, CONFIG)])

    assert same(weights(model), fitted(tmp_path / "whole"))


def test_the_gradient_of_each_part_is_clipped_alone(tmp_path, monkeypatch):
    norms, original = [], torch.optim.AdamW.step

    def step(optimizer, *args):
        norms.append([torch.stack([p.grad.norm() for p in group["params"]]).norm() for group in optimizer.param_groups])
        return original(optimizer, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    model, tight = make_model(), dataclasses.replace(CONFIG, gradient_clip=1e-4)
    fit(model, make_loss(model), CONFIG, tmp_path, "data", parts=[(model[0], tight), (model[2], CONFIG)])

    assert all(first.item() == pytest.approx(1e-4, rel=0.05) and last > 1e-2 for first, last in norms)


def test_a_processor_on_which_bfloat16_is_slow_trains_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda _: False)
    rounded = dataclasses.replace(CONFIG, precision="bfloat16")

    assert same(fitted(tmp_path / "rounded", rounded), fitted(tmp_path / "plain"))


def test_a_run_interrupted_twice_ends_bitwise_the_same(tmp_path):
    interrupt(tmp_path / "interrupted", 3)
    interrupt(tmp_path / "interrupted", 9)

    assert same(fitted(tmp_path / "interrupted"), fitted(tmp_path / "whole"))


def test_steps_since_the_last_checkpoint_are_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", RARELY)
    interrupt(tmp_path / "interrupted", 7)

    assert same(fitted(tmp_path / "interrupted"), fitted(tmp_path / "whole"))


def test_a_resumed_run_does_not_repeat_steps(tmp_path):
    interrupt(tmp_path, 7)
    model, seen = make_model(), []

    fit(model, make_loss(model, seen=seen), CONFIG, tmp_path, "data")

    assert [step for step, _ in seen] == list(range(7, STEPS))


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = fitted(tmp_path)
    model = make_model()

    fit(model, make_loss(model, fail_at=0, failure=Interruption), CONFIG, tmp_path, "data")

    assert same(weights(model), first)


def test_a_finished_run_is_in_evaluation_mode(tmp_path):
    for _ in range(2):
        model = make_model()
        fit(model, make_loss(model), CONFIG, tmp_path, "data")
        assert not model.training


def test_every_step_draws_anew(tmp_path):
    model, seen = make_model(), []
    fit(model, make_loss(model, seen=seen), CONFIG, tmp_path, "data")

    assert len({x.numpy().tobytes() for _, x in seen}) == STEPS


def test_other_seeds_draw_otherwise(tmp_path):
    batches = []
    for seed in (0, 1):
        model, seen = make_model(), []
        fit(model, make_loss(model, seen=seen), CONFIG, tmp_path / str(seed), "data", seed)
        batches.append(seen)

    assert all(not torch.equal(a, b) for _, a in batches[0] for _, b in batches[1])


def test_the_global_generator_is_left_alone(tmp_path):
    model = make_model()
    torch.manual_seed(5)
    before = torch.get_rng_state()

    fit(model, make_loss(model), CONFIG, tmp_path, "data")

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("change", [{"steps": 13}, {"learning_rate": 0.1}, {"precision": "bfloat16"}], ids=str)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, change):
    fitted(tmp_path)
    model = make_model()
    before = weights(model)

    with pytest.raises(ResumeError, match="other settings or data"):
        fit(model, make_loss(model), dataclasses.replace(CONFIG, **change), tmp_path, "data")

    assert same(weights(model), before)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    fitted(tmp_path)
    model = make_model()

    with pytest.raises(ResumeError, match=f"delete {tmp_path}"):
        fit(model, make_loss(model), CONFIG, tmp_path, "other data")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path, value):
    model = make_model()
    loss = make_loss(model)

    def spoiled(step, generator):
        result, metrics = loss(step, generator)
        return (result * value if step == 6 else result), metrics

    with pytest.raises(FloatingPointError, match=f"the loss of .* is {value} at step 6"):
        fit(model, spoiled, CONFIG, tmp_path, "data")

    assert same(fitted(tmp_path), fitted(tmp_path / "whole"))


@pytest.mark.parametrize("at", [6, STEPS - 1])
def test_a_gradient_that_is_not_finite_spoils_no_checkpoint(tmp_path, at):
    model = make_model()
    loss = make_loss(model)

    def spoiled(step, generator):
        value, metrics = loss(step, generator)
        infinite_slope = (0.0 * model[0].weight).square().sum().sqrt()
        return (value + infinite_slope if step == at else value), metrics

    with pytest.raises(FloatingPointError, match=f"the gradient of .* at step {at};.*goes on from step {at}"):
        fit(model, spoiled, CONFIG, tmp_path, "data")

    assert all(weight.isfinite().all() for weight in weights(model))
    assert same(fitted(tmp_path), fitted(tmp_path / "whole"))


def damage(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path):
    interrupt(tmp_path / "interrupted", 7)
    newest, before = checkpoints(tmp_path / "interrupted")
    damage(newest)

    with pytest.warns(UserWarning, match=f"{newest} was damaged"):
        found = fitted(tmp_path / "interrupted")

    assert same(found, fitted(tmp_path / "whole"))


def test_damaged_checkpoints_are_no_fresh_start_unasked(tmp_path):
    interrupt(tmp_path, 7)
    for path in checkpoints(tmp_path):
        damage(path)

    with pytest.warns(UserWarning), pytest.raises(ResumeError, match="all checkpoints .* begins anew"):
        fitted(tmp_path)


def test_two_generations_of_checkpoints_are_kept(tmp_path):
    fitted(tmp_path)

    steps = [int(path.name.split("-")[1]) for path in checkpoints(tmp_path)]
    assert steps == [STEPS, STEPS - 1]


def test_fitting_minimises(tmp_path):
    model = make_model()
    config = dataclasses.replace(CONFIG, steps=300)
    generator = torch.Generator().manual_seed(9)
    before, _ = make_loss(model)(0, generator)

    fit(model, make_loss(model), config, tmp_path, "data")

    after, _ = make_loss(model)(0, generator)
    assert after < 0.3 * before


def test_gradients_are_clipped_to_their_norm(tmp_path):
    model = nn.Linear(3, 1, bias=False)
    norms = []
    model.weight.register_post_accumulate_grad_hook(lambda weight: norms.append(weight.grad))

    config = dataclasses.replace(CONFIG, steps=3, gradient_clip=0.5)
    fit(model, lambda step, generator: (100.0 * model.weight.sum(), {}), config, tmp_path, "data")

    assert norms[-1].norm().item() == pytest.approx(0.5, rel=1e-4)


def test_the_learning_rate_warms_up_from_its_first_share():
    config = FitConfig(steps=100_000, learning_rate=2.0, warmup_steps=50)

    assert learning_rate_at(0, config) == pytest.approx(2.0 / 50)
    assert learning_rate_at(24, config) == pytest.approx(1.0, rel=1e-4)
    assert learning_rate_at(49, config) == pytest.approx(2.0, rel=1e-4)


def test_the_learning_rate_falls_to_zero():
    config = FitConfig(steps=1000, learning_rate=2.0, warmup_steps=50)
    rates = [learning_rate_at(step, config) for step in range(1001)]

    assert rates[500] == pytest.approx(1.0)
    assert rates[1000] == pytest.approx(0.0, abs=1e-12)
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert max(rates) <= 2.0


def test_no_warm_up_begins_at_the_peak():
    assert learning_rate_at(0, FitConfig(steps=100, learning_rate=2.0, warmup_steps=0)) == 2.0


def test_progress_is_logged_for_tensorboard(tmp_path):
    fitted(tmp_path)

    assert any("tfevents" in path.name and path.stat().st_size > 100 for path in tmp_path.iterdir())


def test_a_missing_checkpoint_is_step_zero(tmp_path):
    model = make_model()
    before = weights(model)

    step = load_checkpoint(tmp_path / "none", model, torch.optim.AdamW(model.parameters()), "same")

    assert step == 0
    assert same(weights(model), before)


def test_what_a_killed_save_left_goes_when_the_training_is_resumed(tmp_path, monkeypatch):
    model = nn.Linear(40, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # dies before it removes the oldest
        for step in (1, 2, 3):
            save_checkpoint(tmp_path, model, optimizer, "same", step)
    (tmp_path / ".partial-1").write_bytes(b"half")
    newest = checkpoints(tmp_path)[:2]

    load_checkpoint(tmp_path, model, optimizer, "same")

    assert sorted(tmp_path.iterdir()) == sorted(newest)


def test_a_checkpoint_restores_buffers(tmp_path):
    path = tmp_path
    model, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    model.running_mean.fill_(7.0)
    save_checkpoint(path, model, torch.optim.AdamW(model.parameters()), "same", 3)

    step = load_checkpoint(path, other, torch.optim.AdamW(other.parameters()), "same")

    assert step == 3
    assert torch.equal(other.running_mean, model.running_mean)


def test_what_differs_is_named_and_nothing_else():
    found = [{"steps": 2000, "momentum": 0.9}, 0, [["Dot-v0", "one", "two"], {"batch_size": 16}]]
    expected = [{"steps": 4000, "momentum": 0.9}, 1, [["Dot-v0", "one", "two", "three"], {"batch_size": 16}]]
    named = ("steps 2000 there, 4000 here", "seed or data 0 there, 1 here", "3 entries of seed or data there, 4 here")
    assert differences(found, expected) == ", ".join(named)
    assert differences(found, found) == ""


def test_a_run_in_spans_keeps_its_rate_and_ends_as_in_one_span(tmp_path):
    def end(folder, spans):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = nn.Linear(3, 1)

        def loss(step, generator):
            return model(torch.randn(8, 3, generator=generator)).square().mean(), {}

        for span in spans:
            fit(model, loss, FitConfig(steps=0, precision="float32"), folder, "data", span=span)
        return model.state_dict(), int(checkpoints(folder)[0].stem.split("-")[1])

    whole, parts = end(tmp_path / "whole", [(5, 65)]), end(tmp_path / "parts", [(5, 20), (5, 65)])
    assert whole[1] == parts[1] == 65
    assert all(torch.equal(whole[0][name], parts[0][name]) for name in whole[0])
    rate = FitConfig(steps=0, learning_rate=0.5, warmup_steps=10)
    assert [learning_rate_at(step, rate) for step in (4, 9, 10_000)] == [0.25, 0.5, 0.5]
