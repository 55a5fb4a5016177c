"""Streams of episodes: nothing of an episode is lost or doubled, and chunks go on where the last one stopped."""

import pytest
import torch
from rssm_settings import BOX, DISCRETE, make_recording

from dreamenv.recordings import Recording
from dreamenv.training.balance import balance_endings
from dreamenv.training.streams import Chunk, Streams

B, L = 3, 4


def streams_of(recordings, chunks, seed=0, length=L, batch=B):
    return Streams(recordings, balance_endings(recordings, 3, 0.5, 0.3), batch, length, chunks, seed)


def episodes(lengths=(1, 2, 5, 9), action=DISCRETE):
    """Episodes whose last steps end by chance: 0 is a truncation."""
    return [make_recording(n, action=action, ending=i % 3, seed=i) for i, n in enumerate(lengths)]


def played(streams, chunks):
    """All chunks of each stream, joined."""
    parts = [vars(streams.chunk(number)) for number in range(chunks)]
    return Chunk(**{name: torch.cat([part[name] for part in parts], 1) for name in parts[0]})


def cut(chunk, row):
    """The episodes of one stream, as (begin, end) of its moments; the last one may be unfinished."""
    begins = chunk.first[row].nonzero().flatten().tolist()
    return list(zip(begins, [*begins[1:], chunk.first.shape[1]], strict=True))


@pytest.mark.parametrize("action", [DISCRETE, BOX], ids=["discrete", "box"])
@pytest.mark.parametrize("length", [1, 4, 50])
def test_every_moment_of_a_drawn_episode_comes_once_and_in_order(action, length):
    recordings, chunks = episodes(action=action), 200 // length
    offsets = torch.tensor([0, *[len(one) + 1 for one in recordings]]).cumsum(0).tolist()
    chunk = played(streams_of(recordings, chunks, length=length), chunks)
    drawn = set()

    for row in range(B):
        spans = cut(chunk, row)
        assert spans[0][0] == 0
        for begin, end in spans:
            which = offsets.index(int(chunk.index[row, begin]))
            one, count = recordings[which], end - begin
            drawn.add(which)
            assert count == len(one) + 1 or (end == spans[-1][1] and count <= len(one))
            assert chunk.index[row, begin:end].tolist() == list(range(offsets[which], offsets[which] + count))
            assert chunk.step[row, begin:end].tolist() == list(range(count))
            assert torch.equal(chunk.embedding[row, begin:end], one.embedding[:count])
            for name in ("action", "reward", "ending"):
                moments = getattr(chunk, name)[row, begin:end]
                assert torch.equal(moments[1:], getattr(one, name)[: count - 1])
                assert not moments[0].any()  # nothing led to a first frame
    assert drawn == set(range(len(recordings)))


def test_last_steps_are_there_with_their_ending_and_reward():
    recordings = [make_recording(n, ending=kind, seed=n) for n, kind in ((3, 0), (4, 1), (6, 2))]
    chunk = played(streams_of(recordings, 40), 40)
    last = {3: (0, 3), 8: (1, 4), 15: (2, 6)}  # number of the moment: ending, step

    for index, (kind, step) in last.items():
        found = chunk.index == index
        assert found.any()
        assert chunk.ending[found].unique().tolist() == [kind]
        assert chunk.step[found].unique().tolist() == [step]
        assert chunk.reward[found].unique().tolist() == [float(recordings[kind].reward[-1])]
    others = ~torch.isin(chunk.index, torch.tensor(list(last)))
    assert not chunk.ending[others].any()


def test_a_seed_repeats_and_another_differs():
    recordings = episodes()
    one, again, other = (played(streams_of(recordings, 10, seed), 10).index for seed in (0, 0, 1))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len({tuple(row.tolist()) for row in one}) == B  # streams side by side differ too


def test_a_chunk_does_not_depend_on_those_read_before():
    streams, fresh = streams_of(episodes(), 10), streams_of(episodes(), 10)
    for number in range(9):
        streams.chunk(number)

    assert torch.equal(streams.chunk(7).index, fresh.chunk(7).index)


def test_the_last_chunk_is_full_even_if_all_episodes_have_one_step():
    recordings = [make_recording(1, seed=seed) for seed in range(3)]
    chunks = 2000

    chunk = streams_of(recordings, chunks, length=51, batch=8).chunk(chunks - 1)

    assert chunk.index.shape == (8, 51)
    assert torch.equal(chunk.step, (torch.arange(51) + (chunks - 1) * 51).remainder(2).expand(8, 51))
    assert torch.equal(chunk.first, chunk.step == 0)


def test_episodes_with_rare_endings_are_drawn_more_often_and_weighed_less():
    """Nine episodes go on to their end, one ends: drawn by share ** -1, half of those drawn end."""
    recordings = [make_recording(4, ending=int(i == 0), seed=i) for i in range(10)]
    balance = balance_endings(recordings, 3, 1.0, 0.0)
    chunk = played(Streams(recordings, balance, 16, 50, 10, 0), 10)

    share = (chunk.index < 5).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.05)
    going = (chunk.ending == 0) & ~chunk.first
    weights = chunk.going_on[going]
    of_the_rare = chunk.index[going] < 5
    # the rare episode has three of the 39 steps that go on; the weights restore that share
    assert (weights[of_the_rare].sum() / weights.sum()).item() == pytest.approx(3 / 39, abs=0.02)


def test_recordings_with_continuous_actions_keep_their_shape():
    steps = torch.arange(1, 4)
    one = Recording(torch.zeros(4, 2), torch.rand(3, 2), torch.rand(3), torch.zeros(3, dtype=torch.int64), steps)

    chunk = streams_of([one], 2).chunk(0)

    assert chunk.action.shape == (B, L, 2) and chunk.action.dtype == torch.float32
    assert torch.equal(chunk.action[0, 1:], one.action)


def test_streams_that_begin_anywhere_are_at_different_steps_and_miss_nothing_after_it():
    """Episodes of one length: streams that begin at first frames would be at the same step for ever."""
    recordings = [make_recording(9, ending=0, seed=i) for i in range(4)]
    balance = balance_endings(recordings, 3, 0.0, 0.0)
    together = Streams(recordings, balance, 32, 10, 5, 0).chunk(3)
    apart = Streams(recordings, balance, 32, 10, 5, 0, anywhere=True)
    assert all(len(together.step[:, t].unique()) == 1 for t in range(10))
    assert len(apart.chunk(0).step[:, 0].unique()) > 5
    step = torch.cat([apart.chunk(number).step for number in range(5)], 1)
    assert torch.equal(step[:, 1:], (step[:, :-1] + 1) % 10)
