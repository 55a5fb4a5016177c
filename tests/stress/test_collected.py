"""What a collecting process has reported as stored stays stored, whenever it is killed, and nothing is stored twice."""

import os
import random
import signal

import pytest
from killing import DONE, run_in_child

from dreamenv import CollectConfig, EpisodeStore
from dreamenv.data.collect import collect
from dreamenv.foundation.errors import StoreError
from dreamenv.foundation.files import TEMPORARY_PREFIX

DOT = "dot_env:Dot-v0"
CONFIG = CollectConfig(frames=1500, num_envs=4, shard_episodes=4)


def collect_and_report(folder, report, monkeypatch):
    """Collects; writes the name of every shard into a pipe as soon as the store says that it is stored."""
    append = EpisodeStore.append

    def reported(store, episodes):
        append(store, episodes)
        os.write(report, store.shard_names[-1].encode() + b"\n")

    monkeypatch.setattr(EpisodeStore, "append", reported)  # in the child only
    collect(DOT, folder, CONFIG)


@pytest.mark.timeout(1800)
def test_a_collection_killed_at_any_moment_loses_nothing_it_reported(tmp_path, monkeypatch, cases, figure):
    whole = collect(DOT, tmp_path / "whole", CONFIG).shard_names
    generator, wanted, kills, shards, number, stored = random.Random(0), cases(15, 1000), 0, 0, 0, set()
    while kills < wanted:
        folder = tmp_path / str(number)
        read, write = os.pipe()
        delay = generator.uniform(0, 0.5)
        outcome = run_in_child(lambda folder=folder, write=write: collect_and_report(folder, write, monkeypatch), delay)
        os.close(write)
        with os.fdopen(read) as pipe:
            stored |= set(pipe.read().split())
        assert outcome in (DONE, -signal.SIGKILL)
        kills += outcome != DONE
        found = EpisodeStore(folder).shard_names if stored else []
        assert stored <= set(found), f"kill {kills}: {len(stored - set(found))} shards were lost"
        assert found == whole[: len(found)], f"kill {kills}"
        if outcome == DONE:
            assert not list(folder.glob(f"{TEMPORARY_PREFIX}*"))
            number, shards, stored = number + 1, shards + len(found), set()

    figure("SIGKILLs of a collection; reported shards lost", f"{kills:,}; 0 of {shards:,}", "1,000; 0")
    assert len(whole) > 10


def test_two_processes_cannot_collect_into_one_store(tmp_path):
    spec = collect(DOT, tmp_path, CONFIG).spec
    before = EpisodeStore(tmp_path).shard_names
    held = EpisodeStore.create(tmp_path, spec)

    def second():
        with pytest.raises(StoreError, match=f"another process is adding episodes to {tmp_path}"):
            collect(DOT, tmp_path, CollectConfig(frames=3000))

    assert run_in_child(second) == DONE
    held.close()
    assert EpisodeStore(tmp_path).shard_names == before


def test_a_lock_dies_with_the_process_that_held_it(tmp_path):
    spec = collect(DOT, tmp_path, CONFIG).spec

    def hold():
        EpisodeStore.create(tmp_path, spec)
        signal.pause()

    assert run_in_child(hold, delay=1.0) == -signal.SIGKILL

    EpisodeStore.create(tmp_path, spec).close()
