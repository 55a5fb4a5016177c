"""rl_zoo3: trains PPO by its command line, then reads what it wrote."""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from outcome import expect, report
from stable_baselines3 import PPO

STEPS = 4096
# rl_zoo3 looks ids up before Gymnasium does, so it imports the package by an option, not by the prefix of the id.
OPTIONS = "--gym-packages dreamenv --env DreamSidewalk-v0 --algo ppo --conf-file ppo.yml -f logs --eval-freq 2048"
SETTINGS = """
DreamSidewalk-v0:
  n_timesteps: 4096
  n_envs: 4
  policy: MlpPolicy
  n_steps: 256
  batch_size: 256
"""


def train() -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ppo.yml").write_text(SETTINGS)
        command = [sys.executable, "-m", "rl_zoo3.train", *OPTIONS.split(), "--eval-episodes", "2"]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
        model = PPO.load(next(Path(folder, "logs").rglob("DreamSidewalk-v0.zip")))
        expect(model.num_timesteps == STEPS, f"{STEPS} steps", model.num_timesteps)
        rows = [row for path in Path(folder, "logs").rglob("*.monitor.csv") for row in csv.reader(path.open())]
        lengths = [int(row[1]) for row in rows if row and row[0][0] not in "#r"]
        expect(bool(lengths) and max(lengths) <= 150, "episodes of at most 150 steps", lengths)
    return STEPS, f"training and evaluation by the command line; {len(lengths)} episodes"


if __name__ == "__main__":
    report("rl_zoo3", {"rl_zoo3, PPO": train})
