"""The study of the memory task, on the dot environment: rows of every setting, and the picture of episodes."""

import json
import shlex
from dataclasses import replace

import pytest
from benchmark_runs import run_experiment
from dot_env import HEIGHT, WIDTH
from dot_settings import DOT_COLLECT, DOT_TRAIN

import dreamenv
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.rssm import FramesTraining, RSSMTraining
from dreamenv.training.rssm_loss import SequenceTraining
from experiments.memory import inputs

SMALL = "--env dot_env:Dot-v0 --seeds 0 --processes 0 --real-episodes 2 --collect.frames 800"
PPO = "--ppo.timesteps 64 --ppo.n-steps 8 --ppo.num-envs 4 --ppo.batch-size 32"


RSSM = RSSMTraining(
    model=RSSMConfig(
        frame_shape=(HEIGHT, WIDTH, 3), channels=(8, 16), embedding_size=8, latent_size=8, hidden_size=16, units=16
    ),
    frames=FramesTraining(fit=FitConfig(steps=2), batch_size=8),
    dynamics=SequenceTraining(fit=FitConfig(steps=2), batch_size=4, length=8),
    heads=SequenceTraining(fit=FitConfig(steps=2), batch_size=4, length=8),
)


@pytest.fixture(autouse=True)
def dot_kinds(monkeypatch):
    vision, memory = (replace(part, fit=replace(part.fit, steps=2)) for part in (DOT_TRAIN.vision, DOT_TRAIN.memory))
    monkeypatch.setitem(inputs.KINDS, "rssm", RSSM)
    monkeypatch.setitem(inputs.KINDS, "mdnrnn", replace(DOT_TRAIN, vision=vision, memory=memory))


@pytest.mark.parametrize("kind", ["mdnrnn", "rssm"])
def test_every_setting_has_a_row_and_rows_are_made_once(kind, tmp_path, capsys):
    options = f"--root {tmp_path} --kind {kind} {SMALL} {PPO}"
    printed = [run_experiment(capsys, "memory.inputs", options) for _ in range(2)]

    rows = json.loads((tmp_path / "inputs.json").read_text())
    assert [row["setting"] for row in rows] == list(inputs.SETTINGS)
    assert printed[0].splitlines()[-3:] == printed[1].splitlines()[-3:]
    assert all(0 <= row["test greedy"]["success"] <= 1 for row in rows)

    world = tmp_path / f"{kind}-seed0"
    settings = f"--world {world} --agent {world}/agents/zh --picture {tmp_path}/episode.png"
    assert "dream ends" in run_experiment(capsys, "memory.episode", f"{settings} --dreamed 3 --seeds 80000")
    assert (tmp_path / "episode.png").stat().st_size > 0


def test_claims_are_tested_on_the_memory_of_worlds(tmp_path, capsys):
    episodes, chosen = tmp_path / "episodes", ["Gaussian", "stochastic", "no gradient of rewards"]
    dreamenv.collect("dot_env:Dot-v0", episodes, replace(DOT_COLLECT, frames=800))
    fits = "--train.frames.fit.steps 2 --train.dynamics.fit.steps 2 --train.heads.fit.steps 2"
    sizes = f"--train.model.frame-shape {HEIGHT} {WIDTH} 3 --train.model.channels 4 8 --train.model.hidden-size 16"
    run_experiment(
        capsys,
        "memory.claims",
        f"""--root {tmp_path} --processes 0 --seeds 0 --episodes {episodes} --real-episodes 2 {PPO}
        {fits} {sizes} --settings {shlex.join(chosen)}""",
    )

    rows = json.loads((tmp_path / "claims.json").read_text())
    assert [row["setting"] for row in rows] == chosen
    assert all(0 <= row["side known"] <= 1 and row["ratio"] > 0 for row in rows)
    model = dreamenv.load(tmp_path / "stochastic-seed0").config.model
    assert (model.transition, model.hidden_size) == ("stochastic", 16)
