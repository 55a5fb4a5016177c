"""Environments in processes: the same data as without, no wait without end when one dies, and nothing left behind."""

import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.forkserver import _forkserver
from pathlib import Path

import numpy as np
import pytest

from dreamenv import CollectConfig, EpisodeStore, make_real
from dreamenv.data.collect import collect
from dreamenv.foundation.errors import WorkerError
from dreamenv.real.make import make_real_vector
from dreamenv.real.workers import WorkerVectorEnv

DOT, SIDEWALK = "dot_env:Dot-v0", "MiniWorld-Sidewalk-v0"


def shards(folder):
    """Names of all shards in the order of collection; every name carries the SHA-256 of its content."""
    return list(EpisodeStore(folder).shard_names)


@pytest.mark.timeout(900)
def test_processes_collect_the_same_frames_of_a_drawn_environment(tmp_path, cases, figure):
    episodes, crowd = cases(2, 256), cases(3, 8)
    for name, num_envs, processes in (("alone", 1, False), ("crowd", crowd, False), ("processes", 2, True)):
        config = CollectConfig(frames=75 * episodes, num_envs=num_envs, processes=processes)
        frames = collect(SIDEWALK, tmp_path / name, config).num_frames
    names = {name: shards(tmp_path / name) for name in ("alone", "crowd", "processes")}
    same = names["alone"] == names["crowd"] == names["processes"]
    figure(f"{frames:,} frames of 1 environment, {crowd} beside each other, and 2 processes: same bits", same, True)
    assert same
    assert all(names.values())


class Killer(threading.Thread):
    """Waits, at least until something is ready, then kills any one worker of this process."""

    def __init__(self, rng, ready):
        super().__init__(daemon=True)
        self.rng, self.ready, self.delay, self.time = rng, ready, rng.uniform(0, 0.5), None

    def run(self):
        time.sleep(self.delay)
        while not (self.ready() and (workers := multiprocessing.active_children())):
            time.sleep(0.001)
        victim = workers[self.rng.integers(len(workers))]
        self.time = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)


def children(pid):
    """Ids of the processes that a process began, and that are not gone yet."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(folder.name))
    return found


@pytest.mark.timeout(1800)
def test_a_worker_killed_at_any_time_is_an_error_at_once_and_what_was_stored_stays(
    tmp_path, monkeypatch, cases, figure
):
    kills = cases(8, 500)
    reported, closing, errors, lost, orphans, shards_kept = [], [], [], 0, 0, 0
    append, close = EpisodeStore.append, WorkerVectorEnv.close

    def reporting_append(store, episodes):
        append(store, episodes)
        reported.extend(episode.seed for episode in episodes)

    def timed_close(env, **kwargs):
        begin = time.monotonic()
        close(env, **kwargs)
        closing.append(time.monotonic() - begin)

    whole = CollectConfig(frames=6_000, shard_episodes=6)
    collect(DOT, tmp_path / "whole", whole)
    reference = shards(tmp_path / "whole")
    monkeypatch.setattr(EpisodeStore, "append", reporting_append)
    monkeypatch.setattr(WorkerVectorEnv, "close", timed_close)
    for case in range(kills):
        folder, rng = tmp_path / str(case), np.random.default_rng(case)
        config = CollectConfig(frames=10**9, shard_episodes=6, num_envs=int(rng.integers(1, 4)), processes=True)
        reported.clear()
        killer = Killer(rng, ready=lambda case=case: case % 2 == 0 or reported)  # every second one has stored something
        killer.start()
        with pytest.raises(WorkerError, match="killed by signal 9"):
            collect(DOT, folder, config)
        errors.append(time.monotonic() - killer.time)
        orphans += len(multiprocessing.active_children()) + len(children(_forkserver._forkserver_pid))
        kept = [episode.seed for episode in EpisodeStore(folder)] if folder.exists() else []
        names = shards(folder) if folder.exists() else []
        lost += len(set(reported) - set(kept))
        assert names[: len(reference)] == reference[: len(names)], f"case {case}: other episodes than without a kill"
        shards_kept += len(kept) // 6
    figure(f"{kills} workers killed: seconds to the error, at most", f"{max(errors):.2f}", "10")
    figure(f"{kills} workers killed: seconds of close, at most", f"{max(closing):.2f}", "5")
    figure(f"{kills} workers killed: processes left", orphans, 0)
    figure(f"{kills} workers killed, {shards_kept:,} shards reported as stored: episodes lost", lost, 0)
    assert (orphans, lost) == (0, 0)
    assert max(errors) < 10
    assert max(closing, default=0) < 5
    assert shards_kept >= kills // 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("pending", [False, True])
def test_closing_ends_workers_that_cannot_answer(number, pending):
    env = make_real_vector(DOT, 3, processes=True)
    env.reset(seed=0)
    pids = [process.pid for process in env.env.processes]
    os.kill(pids[1], number)
    if pending and number is signal.SIGKILL:
        env.env.processes[1].join()
        with pytest.raises(WorkerError):
            env.step(np.zeros(3, int))
    elif pending:
        env.env.step_async(np.zeros(3, int))
    begin = time.monotonic()
    env.close()
    assert time.monotonic() - begin < 5
    assert not set(pids) & set(children(_forkserver._forkserver_pid))


def gone(pid):
    """Whether a process has ended; nobody may have asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def within(seconds, condition):
    """Waits until ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_a_killed_fork_server_is_replaced():
    env = make_real_vector(DOT, 2, processes=True)
    pids = [process.pid for process in env.env.processes]
    before, _ = env.reset(seed=0)
    server = _forkserver._forkserver_pid
    os.kill(server, signal.SIGKILL)
    assert np.array_equal(env.reset(seed=0)[0], before)
    env.close()
    assert within(10, lambda: gone(server))
    with contextlib.suppress(WorkerError):  # what was sent to it before it was missed
        make_real_vector(DOT, 2, processes=True).close()
    env = make_real_vector(DOT, 2, processes=True)
    assert np.array_equal(env.reset(seed=0)[0], before)
    env.close()
    assert within(10, lambda: all(map(gone, pids)))


NOWHERE = subprocess.DEVNULL
COLLECTION = """
from dreamenv.data.collect import collect
from dreamenv import CollectConfig
if __name__ == "__main__":
    collect("dot_env:Dot-v0", {folder!r}, CollectConfig(frames=10**9, num_envs=3, processes=True))
"""


def alive(mark):
    """How many processes carry a mark in their environment."""
    found = 0
    for folder in Path("/proc").iterdir():
        try:
            found += folder.name.isdigit() and mark in (folder / "environ").read_bytes()
        except OSError:
            continue
    return found


@pytest.mark.timeout(900)
def test_a_collection_killed_itself_leaves_no_process(tmp_path, cases, figure):
    kills, left, episodes = cases(1, 20), 0, tmp_path / "episodes"
    (tmp_path / "collection.py").write_text(COLLECTION.format(folder=str(episodes)))
    for case in range(kills):
        mark = f"DREAMENV_STRESS={os.getpid()}-{case}"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | dict([mark.split("=")])
        with subprocess.Popen(
            [sys.executable, "collection.py"], cwd=tmp_path, env=environment, stderr=NOWHERE
        ) as running:
            try:
                deadline = time.monotonic() + 120
                # it, fork server, resource tracker, two workers; and something stored
                while alive(mark.encode()) < 5 or not list(episodes.glob("*.safetensors")):
                    assert running.poll() is None and time.monotonic() < deadline, f"case {case}: no workers came"
                    time.sleep(0.05)
                time.sleep(np.random.default_rng(case).uniform(0, 1))
            finally:
                running.kill()
        within(10, lambda mark=mark: not alive(mark.encode()))
        left += alive(mark.encode())
    figure(f"{kills} collections killed: processes left after 10 s", left, 0)
    assert left == 0
    assert list(EpisodeStore(episodes))


def opengl_objects():
    """Numbers of display lists, textures, render buffers, buffers (up to 20,000 of each) and contexts alive."""
    from pyglet import gl

    gc.collect()
    gl._shadow_window.switch_to()
    kinds = (gl.glIsList, gl.glIsTexture, gl.glIsRenderbuffer, gl.glIsBuffer)
    contexts = sum(issubclass(type(thing), gl.Context) for thing in gc.get_objects())
    return [sum(map(bool, map(kind, range(1, 20_001)))) for kind in kinds] + [contexts]


def resident():
    """Main memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.timeout(900)
def test_making_and_closing_environments_leaves_nothing_behind(cases, figure):
    cycles = cases(15, 200)

    def cycle(seed):
        env = make_real(SIDEWALK, render_mode="rgb_array")
        env.reset(seed=seed)
        env.step(2)
        env.render()
        env.close()

    for seed in range(5):
        cycle(seed)
    before, memory, files = opengl_objects(), resident(), len(os.listdir("/proc/self/fd"))
    for seed in range(cycles):
        cycle(seed)
    grown = [now - then for now, then in zip(opengl_objects(), before, strict=True)]
    megabytes, opened = resident() - memory, len(os.listdir("/proc/self/fd")) - files
    made = f"{cycles} environments made and closed"
    figure(f"{made}: lists, textures, render buffers, buffers, contexts left", grown, [0] * 5)
    figure(f"{made}: memory grown by (MB)", f"{megabytes:.1f}", "below 50")
    figure(f"{made}: files left open", opened, 0)
    assert grown == [0] * 5
    assert megabytes < 50
    assert opened == 0
