"""Random numbers of a batch: one independent, restartable stream per environment."""

import numpy as np
import pytest
import torch

from dreamenv.envs.streams import BLOCK, NoiseStreams
from dreamenv.models.noise import NoiseSpec

Z = 4


def streams(num_envs, seed=None):
    result = NoiseStreams(num_envs, NoiseSpec(uniform=Z, normal=Z))
    if seed is not None:
        result.reset(np.arange(num_envs), [seed + i for i in range(num_envs)])
    return result


def draw(source, steps, rows):
    """(steps, rows, 2 Z + 1) numbers."""
    noise = [source.draw(np.asarray(rows)) for _ in range(steps)]
    return torch.stack([torch.cat([one.uniform, one.normal], dim=1) for one in noise])


def test_shapes_and_types():
    noise = streams(3, 0).draw(np.arange(3))
    assert (noise.uniform.shape, noise.normal.shape) == ((3, Z + 1), (3, Z))
    assert noise.uniform.dtype == noise.normal.dtype == torch.float32


@pytest.mark.parametrize("num_envs", [2, 3, 7])
def test_numbers_do_not_depend_on_how_many_environments_there_are(num_envs):
    alone, among = draw(streams(1, 5), 40, [0]), draw(streams(num_envs, 4), 40, range(num_envs))
    assert torch.equal(alone[:, 0], among[:, 1])


@pytest.mark.parametrize("others", [1, 3, BLOCK, BLOCK + 5])
def test_numbers_do_not_depend_on_the_others_draws(others):
    quiet, busy = streams(3, 0), streams(3, 0)
    draw(busy, others, [0, 2])
    assert torch.equal(draw(busy, 2 * BLOCK, [1]), draw(quiet, 2 * BLOCK, [1]))


@pytest.mark.parametrize("before", [1, BLOCK - 1, BLOCK, BLOCK + 3])
def test_a_seed_restarts_a_stream_and_leaves_the_others(before):
    source, untouched = streams(3, 0), streams(3, 0)
    draw(source, before, range(3))
    draw(untouched, before, range(3))
    source.reset(np.array([1]), [None, 1, None])
    after, expected = draw(source, BLOCK + 2, range(3)), draw(untouched, BLOCK + 2, range(3))
    assert torch.equal(after[:, 1], draw(streams(1, 1), BLOCK + 2, [0])[:, 0])
    assert torch.equal(after[:, [0, 2]], expected[:, [0, 2]])


def test_a_seed_of_none_goes_on():
    source, untouched = streams(2, 0), streams(2, 0)
    draw(source, 3, range(2))
    draw(untouched, 3, range(2))
    source.reset(np.arange(2), [None, None])
    assert torch.equal(draw(source, BLOCK, range(2)), draw(untouched, BLOCK, range(2)))


def test_different_seeds_give_different_numbers():
    numbers = draw(streams(20, 0), 1, range(20))[0]
    assert len(torch.unique(numbers, dim=0)) == 20


def test_unseeded_streams_differ_from_each_other_and_from_run_to_run():
    one, other = draw(streams(2), 1, range(2))[0], draw(streams(2), 1, range(2))[0]
    assert len(torch.unique(torch.cat([one, other]), dim=0)) == 4


def test_numbers_are_never_repeated():
    numbers = draw(streams(1, 0), 10 * BLOCK, [0])[:, 0]
    assert len(torch.unique(numbers, dim=0)) == 10 * BLOCK


def test_drawn_numbers_do_not_change_afterwards():
    source = streams(2, 0)
    noise = source.draw(np.arange(2))
    kept = noise.uniform.clone(), noise.normal.clone()
    draw(source, 3 * BLOCK, range(2))
    assert torch.equal(noise.uniform, kept[0])
    assert torch.equal(noise.normal, kept[1])


def test_moments_of_the_numbers():
    numbers = draw(streams(50, 0), 200, range(50)).flatten(0, 1)
    uniform, normal = numbers[:, : Z + 1], numbers[:, Z + 1 :]
    assert uniform.min() >= 0.0
    assert uniform.max() < 1.0
    assert torch.allclose(uniform.mean(0), torch.tensor(0.5), atol=0.015)
    assert torch.allclose(uniform.var(0), torch.tensor(1 / 12), atol=0.005)
    assert torch.allclose(normal.mean(0), torch.tensor(0.0), atol=0.05)
    assert torch.allclose(normal.std(0), torch.tensor(1.0), atol=0.04)
    correlation = torch.corrcoef(numbers.T) - torch.eye(2 * Z + 1)
    assert correlation.abs().max() < 0.05
