"""Processes that are forked: dreams go on in them, and what cannot go on says so instead of waiting without end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dreamenv
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.worlds.takecover.real import TakeCoverFrames

START = """
import os, multiprocessing, gymnasium as gym, numpy as np, torch, dreamenv
torch.set_num_threads(2)  # whatever the machine has: one thread hides that the others do not survive a fork
"""
DREAMS = """
context = multiprocessing.get_context("fork")
env, agent = gym.make("dreamenv:DreamSidewalk-v0"), dreamenv.load_agent({agent!r})
first = env.reset(seed=0)[0]
decided = agent.predict(first, deterministic=True)[0]
seen = [env.step(2)[0], env.step(2)[0]]
env.reset(seed=0)

def go_on(queue):
    again = agent.predict(first, deterministic=True)[0]
    queue.put(again == decided and np.allclose(env.step(2)[0], seen[0], atol=1e-4))

queue = context.Queue()
context.Process(target=go_on, args=(queue,)).start()
assert queue.get()
vector = gym.make_vec("dreamenv:DreamSidewalk-v0", num_envs=2, vectorization_mode="async")
vector.reset(seed=0)
vector.step(np.array([2, 2]))
assert np.allclose(vector.step(np.array([2, 2]))[0][0], seen[1], atol=1e-4)
print(*[process.pid for process in vector.processes], flush=True)
os.kill(os.getpid(), 9)
"""
DRAWING = """
env = dreamenv.make_real("MiniWorld-Sidewalk-v0")
env.reset(seed=0)
if os.fork():
    os.wait()
else:
    for draw in (lambda: env.step(0), env.reset, lambda: dreamenv.make_real("MiniWorld-Sidewalk-v0")):
        try:
            draw()
        except dreamenv.foundation.errors.RenderingError as error:
            print(error, flush=True)
    os._exit(0)
"""


def run(script, **variables):
    """What a script prints in a process of its own, which is ended with its children if it hangs."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "DISPLAY")}
    command = [sys.executable, "-W", "ignore", "-c", START + script]
    process = subprocess.Popen(
        command, env={**environment, **variables}, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        return process.communicate(timeout=100)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"hangs; printed {process.communicate()[0]}")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_dreams_and_agents_go_on_in_forked_processes_which_end_with_their_parent():
    agent = Path(dreamenv.__file__).parent / "worlds/sidewalk/agents/ppo"
    workers = run(DREAMS.format(agent=str(agent))).split()
    assert len(workers) == 2
    for _ in range(600):
        if not any(map(is_running, workers)):
            return
        time.sleep(0.1)
    pytest.fail(f"orphans: {workers}")


def test_drawing_in_a_process_forked_from_one_that_draws_with_threads_is_refused_at_once():
    refused = run(DRAWING, LP_NUM_THREADS="2").splitlines()
    assert len(refused) == 3
    assert all("forked" in line and "'forkserver'" in line for line in refused)


def test_a_game_that_a_parent_process_plays_is_refused(monkeypatch):
    game = TakeCoverFrames(dreamenv.make_real("dot_env:Dot-v0"))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for act in (game.reset, lambda: game.step(0)):
        with pytest.raises(UnsupportedEnvironmentError, match="made in this process"):
            act()
