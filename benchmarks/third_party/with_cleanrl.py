"""CleanRL: its ppo.py, with the lines changed that Gym and Gymnasium disagree on; none of them is about dreams.

The release on PyPI, 1.2.0, is written for Gym 0.23. Today's ppo.py already has the first four changes.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from outcome import expect, report

STEPS = 4096
CHANGES = {
    "import gym\n": "import gymnasium as gym\n",
    "        env.seed(seed)\n": "",
    "envs.reset()": "envs.reset(seed=args.seed)[0]",
    "next_obs, reward, done, info = envs.step(action.cpu().numpy())": (
        "next_obs, reward, terminated, truncated, info = envs.step(action.cpu().numpy()); done = terminated | truncated"
    ),
    "for item in info:": (
        'for item in [{"episode": {k: v[done][0] for k, v in info["episode"].items()}}] if "episode" in info else []:'
    ),
}


def changed_source() -> str:
    """The installed ppo.py with the changes."""
    source = Path(importlib.util.find_spec("cleanrl").submodule_search_locations[0], "ppo.py").read_text()
    for old, new in CHANGES.items():
        expect(source.count(old) == 1, f"one line {old!r} in ppo.py", source.count(old))
        source = source.replace(old, new)
    return source


def train(env_id: str) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ppo.py").write_text(changed_source())
        command = [sys.executable, "ppo.py", "--env-id", env_id, "--total-timesteps", str(STEPS)]
        done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    returns = [float(value) for value in re.findall(r"episodic_return=(\S+)", done.stdout)]
    expect(len(returns) > 10 and max(returns) <= 1.001, "more than ten episodes with returns of at most 1", returns)
    return STEPS, f"ppo.py with {len(CHANGES)} changed lines; {len(returns)} episodes"


if __name__ == "__main__":
    report("cleanrl", {"CleanRL, ppo.py": lambda: train("dreamenv:DreamSidewalk-v0")})
