"""Shares of a loss's terms in the gradient, and the warning of a V that collapsed."""

import math
import warnings

import pytest
import torch
from dot_env import HEIGHT, WIDTH
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dreamenv
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.pixels import reconstruction_spread
from dreamenv.training.fit import FitConfig
from dreamenv.training.gradients import gradient_facts
from dreamenv.training.vision import VisionTraining, _remedy, train_vision


def test_norms_and_cosine_are_those_of_the_gradients():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([1.0], requires_grad=True)
    found = gradient_facts({"a": 3.0 * x[0] + 4.0 * y.sum(), "b": 2.0 * x[0] + 2.0 * x[1]}, [x, y])
    assert found["gradient/a"] == pytest.approx(5.0)
    assert found["gradient/b"] == pytest.approx(math.sqrt(8.0))
    assert found["gradient/cosine"] == pytest.approx(6.0 / (5.0 * math.sqrt(8.0)))


def test_opposed_terms_and_terms_without_a_gradient():
    x = torch.tensor([2.0], requires_grad=True)
    assert gradient_facts({"a": x.sum(), "b": -x.square().sum()}, [x])["gradient/cosine"] == pytest.approx(-1.0)
    none = gradient_facts({"a": x.sum(), "b": 0.0 * x.sum()}, [x])
    assert (none["gradient/b"], none["gradient/cosine"]) == (0.0, 0.0)


def test_the_whole_gradient_can_still_be_taken_afterwards():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    terms = {"a": x.square().sum(), "b": x.sum()}
    gradient_facts(terms, [x])
    sum(terms.values()).backward()
    assert x.grad.tolist() == [3.0, 5.0]


def test_spread_of_exact_and_of_grey_reconstructions():
    real = torch.rand(20, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert reconstruction_spread(real, real) == pytest.approx(1.0)
    assert reconstruction_spread(real, real.mean(0, keepdim=True).expand_as(real)) == pytest.approx(0.0, abs=1e-9)
    assert reconstruction_spread(real, 0.5 * real) == pytest.approx(0.25)


def trained(dot_folder, folder, steps=200, **settings):
    train, _ = dreamenv.EpisodeStore(dot_folder / "episodes").split()
    model = VisionConfig((HEIGHT, WIDTH, 3), latent_size=8, channels=(16, 32))
    fit = FitConfig(steps=steps, learning_rate=3e-3, precision="float32")
    return train_vision(train, VisionTraining(model=model, fit=fit, batch_size=32, **settings), folder, [])


def test_a_v_that_collapses_warns_and_names_the_remedy(dot_folder, tmp_path):
    with pytest.warns(UserWarning, match=r"V has collapsed: .* Lower beta"):
        trained(dot_folder, tmp_path, beta=1e4, beta_warmup=0.0)


def test_the_remedy_for_a_v_of_few_steps_is_more_of_them(dot_folder, tmp_path):
    with pytest.warns(UserWarning, match=r"V has collapsed: .*alike\. 4 steps are few: train for longer"):
        trained(dot_folder, tmp_path, steps=4)


def test_the_remedy_for_a_v_of_many_steps_is_not_more_of_them():
    assert _remedy(VisionTraining(fit=FitConfig(steps=2000))).startswith("Lower beta")
    assert _remedy(VisionTraining(fit=FitConfig(steps=2000), adversarial=True)).startswith("Give the optimisation a")


def test_training_logs_the_share_of_each_term_and_does_not_warn_of_a_healthy_v(dot_folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(dot_folder, tmp_path, beta_warmup=0.5)
    log = EventAccumulator(str(tmp_path)).Reload()
    kl = [event.value for event in log.Scalars("gradient/kl")]
    assert [event.step for event in log.Scalars("gradient/reconstruction")] == list(range(0, 200, 10))
    assert kl[0] == 0.0 < kl[1]  # beta grows from 0
    assert all(-1.0 <= event.value <= 1.0 for event in log.Scalars("gradient/cosine"))
