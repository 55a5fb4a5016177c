"""What holds for everything on disk: episodes come back bit for bit, worlds as half precision keeps them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dreamenv.bundle import load, save
from dreamenv.config import WorldConfig, build_model
from dreamenv.data.episodes import Episode
from dreamenv.data.store import VALIDATION_EVERY, EpisodeStore
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.model import MDNRNNConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.noise import Noise
from dreamenv.real.spec import StoreSpec
from dreamenv.world import World

ACTIONS = [
    ActionSpec(n=1),
    ActionSpec(n=7),
    ActionSpec(low=(-1.0,), high=(1.0,)),
    ActionSpec(low=(0.1, -5.3), high=(2.0, 1e5)),
]
SOME = settings(max_examples=max(5, settings.default.max_examples // 5))  # each takes a while


@st.composite
def specs(draw):
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), 3)
    return StoreSpec(draw(st.text(max_size=8)), shape, draw(st.sampled_from(ACTIONS)))


@st.composite
def episodes(draw, spec):
    """An episode with any pictures, rewards (-0.0 and the smallest included) and names."""
    length = draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    return Episode(
        observations=generator.integers(0, 256, (length + 1, *spec.frame_shape), dtype=np.uint8),
        actions=np.stack([spec.action.sample(generator) for _ in range(length)]),
        rewards=draw(
            arrays.arrays(np.float32, length, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
        ),
        terminated=draw(st.booleans()),
        truncated=draw(st.booleans()),
        seed=draw(st.integers(-(2**63), 2**63 - 1)),
        policy=draw(st.text(max_size=8)),
    )


@st.composite
def shards(draw):
    spec = draw(specs())
    return spec, draw(st.lists(st.lists(episodes(spec), min_size=1, max_size=4), max_size=4))


def content(episode):
    """All of an episode, to the last bit, as something that can be compared."""
    parts = (episode.observations, episode.actions, episode.rewards)
    facts = (episode.terminated, episode.truncated, episode.seed, episode.policy)
    return [(part.dtype.str, part.shape, part.tobytes()) for part in parts], facts


@given(shards())
def test_whatever_is_appended_comes_back_bit_for_bit(given_shards):
    spec, appended = given_shards
    expected = [content(episode) for shard in appended for episode in shard]
    with TemporaryDirectory() as folder:
        store = EpisodeStore.create(Path(folder), spec)
        for shard in appended:
            store.append(shard)
        for opened in (store, EpisodeStore(folder)):
            assert [content(episode) for episode in opened] == expected
            assert opened.spec == spec


@given(shards())
def test_lengths_and_frames_are_those_of_the_episodes(given_shards):
    spec, appended = given_shards
    with TemporaryDirectory() as folder:
        store = EpisodeStore.create(Path(folder), spec)
        for shard in appended:
            store.append(shard)
        flat = [episode for shard in appended for episode in shard]
        assert store.lengths.tolist() == [len(episode) for episode in flat]
        assert store.num_frames == sum(len(episode.observations) for episode in flat)
        assert len(store) == len(flat) and len(store.shard_names) == len(appended)


@given(st.lists(st.integers(1, 15), min_size=1, max_size=6))
def test_no_episode_changes_sides_however_the_data_grows(sizes):
    spec = StoreSpec("Any-v0", (1, 1, 3), ActionSpec(n=1))
    sides = {}
    with TemporaryDirectory() as folder:
        store = EpisodeStore.create(Path(folder), spec)
        for size in sizes:
            first = len(store)
            store.append([blank(seed) for seed in range(first, first + size)])
            if len(store) < VALIDATION_EVERY:
                continue
            training, validation = EpisodeStore(folder).split()
            assert len(validation) == len(store) // VALIDATION_EVERY
            found = {e.seed: "training" for e in training} | {e.seed: "validation" for e in validation}
            assert len(found) == len(store) and sides.items() <= found.items()
            sides = found


def blank(seed):
    frames, steps = np.zeros((2, 1, 1, 3), np.uint8), np.zeros(1, np.int64)
    return Episode(frames, steps, np.zeros(1, np.float32), True, False, seed, "")


@st.composite
def worlds(draw):
    """A world with random weights, of any kind and small size."""
    latent, hidden = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    kinds = draw(st.lists(st.sampled_from(["worse", "same", "better"]), unique=True, max_size=3))
    rules = draw(st.lists(st.sampled_from(["sample", "threshold"]), min_size=len(kinds), max_size=len(kinds)))
    config = WorldConfig(
        env_id=draw(st.text(max_size=8)),
        frame_shape=(draw(st.integers(4, 20)), draw(st.integers(4, 20)), 3),
        action=draw(st.sampled_from(ACTIONS)),
        max_episode_steps=draw(st.integers(1, 1000)),
        model=MDNRNNConfig(
            VisionConfig((8, 12, 3), latent, (4, 6), kind=draw(st.sampled_from(["conv", "unet"]))),
            MemoryConfig(hidden, draw(st.integers(1, 4)), draw(st.sampled_from(["per_dim", "joint"]))),
        ),
        endings=tuple(kinds),
        ending_rules=tuple(rules),
        ordinary_reward=draw(st.floats(-1.0, 1.0)),
        success_reward=draw(st.none() | st.floats(-1.0, 1.0)),
        temperature=draw(st.floats(0.0, 3.0)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(draw(st.integers(0, 1000)))
        model = build_model(config)
        model.memory.endings.shift.copy_(torch.randn(1 + len(kinds)))
        model.memory.reward.fit_range(torch.randn(3 * (1 + len(kinds))), torch.arange(1 + len(kinds)).repeat(3))
        count, starts = draw(st.integers(0, 4)), draw(st.integers(1, 4))
        mean, log_variance = torch.randn(2, starts, latent)
        moments = (torch.randn(count, latent), torch.randn(count, hidden).tanh(), torch.randn(count, hidden))
    bank = StartBank(Gaussian(mean, log_variance), State(*moments, torch.arange(count)))
    return World(config, model.eval(), bank)


@torch.no_grad()
def lives(world):
    """States, features, rewards and chances of endings along one observed and one greedily dreamed step."""
    generator = torch.Generator().manual_seed(0)
    spec, batch = world.config.action, 6
    frames = torch.randint(256, (2, batch, *world.config.frame_shape), generator=generator, dtype=torch.uint8)
    action = torch.arange(batch) % spec.n if spec.discrete else torch.tensor(spec.low).expand(batch, -1)
    seen = world.observe(world.start(frames[0]), action, frames[1])
    dreamed, transition = world.imagine(seen, action, 0.0, Noise.draw(batch, world.model.prior_noise, generator))
    chances = world.model.memory.endings.probabilities(dreamed.h)
    started = world.sample_start(Noise.draw(batch, world.model.prior_noise, generator), 0.5)
    return world.features(seen), world.features(dreamed), chances, world.features(started), transition


@SOME
@given(worlds())
def test_saving_what_was_loaded_gives_the_same_bytes(world):
    with TemporaryDirectory() as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        save(world, first)
        save(load(first), second)

        names = sorted(path.name for path in first.iterdir())
        assert names == sorted(path.name for path in second.iterdir())
        assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]
        assert load(first).config == world.config


@SOME
@given(worlds())
def test_a_loaded_world_is_the_saved_one_in_half_precision(world):
    facts = {name for name, _ in world.model.named_buffers()}
    with TemporaryDirectory() as folder:
        save(world, folder)
        loaded = load(folder)

    original, kept = (w.model.state_dict() for w in (world, loaded))
    assert original.keys() == kept.keys()
    for name, tensor in original.items():
        exact = name in facts or not tensor.is_floating_point()
        assert torch.equal(kept[name], tensor if exact else tensor.half().float())
    *features, transition = lives(world)
    *again, transition_again = lives(loaded)
    for before, after in zip(features, again, strict=True):
        torch.testing.assert_close(after, before, rtol=2e-2, atol=2e-2)
    same = transition.ending == transition_again.ending
    torch.testing.assert_close(transition_again.reward[same], transition.reward[same], rtol=2e-2, atol=2e-2)
