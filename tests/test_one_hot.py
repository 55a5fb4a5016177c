"""Discrete actions as one-hot vectors, through which gradients reach them."""

import pytest
import torch
from rssm_settings import DISCRETE, SIZES, make_actions, make_model

from dreamenv.engine.packed import compiled
from dreamenv.models.base import State
from dreamenv.models.heads import scale_action, unscale_action
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.models.mdnrnn.paper import PaperMemory


@pytest.mark.parametrize("kind", ["V and M", "paper", "packed", *SIZES])
def test_one_hot_actions_make_the_steps_of_their_numbers_and_have_gradients(kind, dot_world):
    model = make_model(SIZES[kind]) if kind in SIZES else dot_world.model
    if kind == "packed":
        model = compiled(model)
    elif kind == "paper":
        paper = PaperMemory(MemoryConfig(hidden_size=32, components=2), model.latent_size, DISCRETE, 3)
        model = MDNRNN(model.vision, paper)
    generator, sizes = torch.Generator().manual_seed(0), (model.latent_size, model.hidden_size, model.carry_size)
    state = State(*(torch.rand(6, size, generator=generator) for size in sizes), torch.zeros(6, dtype=torch.int64))
    action = make_actions(DISCRETE, 6)
    one_hot = torch.nn.functional.one_hot(action, 3).float().requires_grad_()

    def advanced(taken):
        return model.advance(state, taken).h

    with torch.no_grad():
        assert torch.allclose(advanced(one_hot), advanced(action), atol=1e-6)
        assert not torch.allclose(advanced(one_hot), advanced((action + 1) % 3), atol=1e-3)
    if kind != "packed":  # for steps without gradients
        advanced(one_hot).sum().backward()
        assert one_hot.grad.abs().sum() > 0


def test_a_scaled_action_is_scaled_back():
    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 4.0])
    action = torch.tensor([[-1.0, 4.0], [0.5, 1.0]])
    assert torch.allclose(unscale_action(scale_action(action, low, high), low, high), action)
    assert unscale_action(torch.tensor([-1.5, 1.5]), low, high).tolist() == [-1.0, 4.0]
