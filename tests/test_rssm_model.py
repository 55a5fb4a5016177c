"""An RSSM: its recurrent cells against independent formulas, and what h and z of a moment depend on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rssm_settings import BOX, DISCRETE, READS_H, SIZES, SMALL, make_actions, make_model

from dreamenv.models.base import State
from dreamenv.models.latent import Z_BOUND
from dreamenv.models.noise import Noise
from dreamenv.models.rssm.model import RSSM
from dreamenv.models.rssm.networks import CELLS, Linear

INPUTS, H, B = 5, 7, 4
EACH_SIZES = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def layer_norm_gru(state, x, h):
    """Dreamer V2's GRUCell: one normalisation over all gates, the reset gate acts on the candidate's input."""
    gates = np.concatenate([x, h], 1) @ state["linear.weight"].T + state["linear.bias"]
    gates = (gates - gates.mean(1, keepdims=True)) / np.sqrt(gates.var(1, keepdims=True) + 1e-5)
    reset, candidate, update = np.split(gates * state["norm.weight"] + state["norm.bias"], 3, axis=1)
    update = sigmoid(update - 1.0)
    return update * np.tanh(sigmoid(reset) * candidate) + (1.0 - update) * h


def block_gru(state, x, h):
    """TensorFlow's GRUBlockCell: r, u = sigmoid(W [x, h] + b); c = tanh(V [x, r h] + d); h' = (1 - u) c + u h."""
    gates = sigmoid(np.concatenate([x, h], 1) @ state["gates.weight"].T + state["gates.bias"])
    reset, update = np.split(gates, 2, axis=1)
    candidate = np.tanh(np.concatenate([x, reset * h], 1) @ state["candidate.weight"].T + state["candidate.bias"])
    return (1.0 - update) * candidate + update * h


def two_bias_gru(state, x, h):
    """Keras's GRUCell with reset_after, of Dreamer V1: the reset gate acts on the product with h, bias included."""
    own, past = x @ state["weight_ih"].T + state["bias_ih"], h @ state["weight_hh"].T + state["bias_hh"]
    (r, u, c), (reset, update, candidate) = np.split(own, 3, axis=1), np.split(past, 3, axis=1)
    update = sigmoid(u + update)
    return (1.0 - update) * np.tanh(c + sigmoid(r + reset) * candidate) + update * h


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "formula"), [("layer-norm", layer_norm_gru), ("gru-block", block_gru), ("gru", two_bias_gru)]
)
def test_cells_are_their_formulas(name, formula):
    generator = torch.Generator().manual_seed(0)
    cell = CELLS[name](INPUTS, H)
    for parameter in cell.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x, h = torch.randn(B, INPUTS, generator=generator), torch.randn(B, H, generator=generator)
    state = {key: tensor.double().numpy() for key, tensor in cell.state_dict().items()}

    expected = formula(state, x.double().numpy(), h.double().numpy())

    np.testing.assert_allclose(cell(x, h).numpy(), expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", CELLS)
def test_h_stays_within_one(name):
    cell, h = CELLS[name](INPUTS, H), torch.zeros(B, H)
    for parameter in cell.parameters():
        parameter.mul_(1000.0)  # saturates every gate
    largest = 0.0
    for seed in range(200):
        h = cell(10.0 * torch.randn(B, INPUTS, generator=torch.Generator().manual_seed(seed)), h)
        assert h.abs().max() <= 1.0
        largest = max(largest, float(h.abs().max()))
    assert largest > 0.99


@pytest.mark.parametrize("inputs", range(1, 9))
def test_the_linear_layer_is_torchs(inputs):
    layer, x = Linear(inputs, 3), torch.randn(2, 6, inputs)

    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)


def run_on(model, lengths, action=DISCRETE, scale=1.0):
    """Embeddings, actions and noise of episodes of so many frames."""
    generator = torch.Generator().manual_seed(1)
    embeddings = [scale * torch.randn(n, model.encoder.size, generator=generator) for n in lengths]
    actions = [make_actions(action, n - 1, seed=n) for n in lengths]
    return embeddings, actions, [Noise.draw(n, model.posterior_noise, generator) for n in lengths]


def joined(embeddings, actions, noise):
    """The same episodes one after the other, as :meth:`RSSM.unroll` reads them."""
    action = torch.cat([torch.cat([part[:1], part]) for part in actions])
    first = torch.cat([torch.arange(len(part)) == 0 for part in embeddings])
    uniform, normal = torch.cat([one.latent for one in noise]), torch.cat([one.normal for one in noise])
    return [part[None] for part in (torch.cat(embeddings), action, first, uniform, normal)]


@torch.no_grad()
@EACH_SIZES
@pytest.mark.parametrize("action", [DISCRETE, BOX], ids=["discrete", "box"])
@pytest.mark.parametrize("split", [None, 3, 5], ids=["in one piece", "within an episode", "between two"])
def test_unrolling_over_the_border_of_episodes_is_following_each_alone(sizes, action, split):
    model = make_model(sizes, action)
    parts = run_on(model, (5, 6, 2), action)
    embedding, actions, first, uniform, normal = joined(*parts)
    start = torch.full((1, model.latent_size), 3.0), torch.ones(1, model.hidden_size)  # of another episode
    spans, zs, hs, latents = [slice(0, split), slice(split or 13, 13)], [], [], []

    for span in spans if split else spans[:1]:
        part = (one[:, span] for one in (embedding, actions, first))
        z, h, posterior = model.unroll(*part, start, uniform[:, span], normal[:, span])
        start = z[:, -1], h[:, -1]
        zs, hs, latents = [*zs, z[0]], [*hs, h[0]], [*latents, posterior.rows(0)]

    states, posteriors = zip(*model.follow(*parts), strict=True)
    followed = State.cat(states)
    close = {"atol": 1e-5, "rtol": 0.0}
    torch.testing.assert_close(torch.cat(zs), followed.z, **close)
    torch.testing.assert_close(torch.cat(hs), followed.h, **close)
    for name in vars(posteriors[0]):
        theirs = torch.cat([getattr(one, name) for one in posteriors])
        torch.testing.assert_close(torch.cat([getattr(one, name) for one in latents]), theirs, **close)
    assert not followed.h[[0, 5, 11]].any() and followed.h[[1, 6, 12]].any(1).all()


@torch.no_grad()
def test_unrolling_bounds_z_as_following_does():
    model = make_model()
    parts = run_on(model, (6,), scale=30.0)
    embedding, action, first, uniform, normal = joined(*parts)
    start = torch.zeros(1, model.latent_size), torch.zeros(1, model.hidden_size)

    z, h, _ = model.unroll(embedding, action, first, start, uniform, normal)

    (states, _), *_ = model.follow(*parts)
    assert z.abs().max() == Z_BOUND
    torch.testing.assert_close(z[0], states.z)
    torch.testing.assert_close(h[0], states.h)


@EACH_SIZES
def test_gradients_do_not_cross_the_border_of_episodes(sizes):
    model = make_model(sizes)
    embedding, action, first, uniform, normal = joined(*run_on(model, (3, 4)))
    start = torch.randn(1, model.latent_size), torch.randn(1, model.hidden_size)
    embedding.requires_grad_()

    _, h, _ = model.unroll(embedding, action, first, start, uniform, normal)
    h[:, -1].sum().backward()

    assert (embedding.grad[0].abs().sum(1) > 0).tolist() == [False] * 3 + [True] * 3 + [False]


@torch.no_grad()
@EACH_SIZES
@pytest.mark.parametrize("t", range(1, 5))
def test_h_depends_on_the_actions_that_led_to_it_alone(sizes, t):
    model = make_model(sizes)
    embedding, action, first, uniform, normal = joined(*run_on(model, (5,)))
    start, other = (torch.zeros(1, model.latent_size), torch.zeros(1, model.hidden_size)), action.clone()
    other[:, t] = (other[:, t] + 1) % 3

    one, two = (model.unroll(embedding, actions, first, start, uniform, normal)[1] for actions in (action, other))

    changed = (one != two).any(-1)[0]
    assert changed.tolist() == [step >= t for step in range(5)]


def step_between(model, h, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return model.step(torch.randn(2, model.latent_size, generator=generator), torch.tensor([0, 2]), h)


@torch.no_grad()
@pytest.mark.parametrize("sizes", [SMALL, READS_H])
def test_only_the_stochastic_transition_has_no_memory_but_z(sizes):
    h = torch.rand(2, sizes.hidden_size)
    for transition in ("both", "deterministic", "stochastic"):
        model = make_model(replace(sizes, transition=transition))
        same = torch.equal(step_between(model, h), step_between(model, -h))
        assert same == (transition == "stochastic")
        assert not torch.equal(step_between(model, h), step_between(model, h, seed=1))


@torch.no_grad()
@pytest.mark.parametrize("sizes", [SMALL, READS_H])
def test_the_deterministic_transition_draws_no_z(sizes):
    spreads = {}
    for transition in ("both", "deterministic"):
        model = make_model(replace(sizes, transition=transition))
        state = replace(model.initial(100), h=torch.rand(1, sizes.hidden_size).expand(100, -1))
        embedding = torch.ones(100, model.encoder.size)
        noise = Noise.draw(100, model.prior_noise, torch.Generator().manual_seed(0))
        drawn = [model.prior(state).draw(noise), model.posterior(state, embedding).draw(noise)]
        spreads[transition] = max(float(z.std(0).max()) for z in drawn)
    assert spreads["deterministic"] < 1e-4 < 0.1 < spreads["both"]


def test_the_divergence_of_a_deterministic_z_is_half_the_squared_distance():
    model = make_model(replace(SMALL, transition="deterministic"))
    h = torch.randn(3, SMALL.hidden_size)
    prior, posterior = model.prior_of(h), model.posterior_of(h, torch.randn(3, model.encoder.size))

    expected = 0.5 * (prior.mean - posterior.mean).square().sum(1)

    torch.testing.assert_close(model.divergence(posterior, prior), expected)


@torch.no_grad()
def test_what_posterior_and_decoder_read_is_as_the_sizes_say():
    h, frames = torch.rand(2, SMALL.hidden_size), torch.randint(256, (2, 16, 32, 3), dtype=torch.uint8)
    for reads in (False, True):
        model: RSSM = make_model(replace(SMALL, posterior_reads_h=reads, decoder_reads_h=reads))
        states = [replace(model.initial(2), h=sign * h, z=torch.ones(2, SMALL.latent_size)) for sign in (1, -1)]
        embedding = model.embed(frames)
        one, two = (model.posterior(state, embedding).mode() for state in states)
        assert torch.equal(one, two) != reads
        one, two = (model.decoder(model_input(model, state)) for state in states)
        assert torch.equal(one, two) != reads
        assert torch.equal(one, model.decode_pixels(states[0].z, states[0].h))


def model_input(model, state):
    return torch.cat([state.z, state.h], 1) if model.config.decoder_reads_h else state.z
