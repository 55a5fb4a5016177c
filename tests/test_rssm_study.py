"""The studies of kinds of world models run from frames to their tables, and keep what is done."""

import json
import re
from dataclasses import replace

import pytest
from benchmark_runs import run_experiment
from dot_settings import DOT_COLLECT, DOT_TRAIN

import dreamenv
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.rssm import FramesTraining, RSSMTraining
from dreamenv.training.rssm_loss import SequenceTraining
from experiments.rssm import transfer

FEW = FitConfig(steps=2, precision="float32")
SEQUENCES = SequenceTraining(FEW, batch_size=2, length=6)
SIZES = RSSMConfig(frame_shape=(16, 32, 3), channels=(4, 8), embedding_size=8, latent_size=4, hidden_size=16, units=16)
TINY = RSSMTraining(model=SIZES, frames=FramesTraining(FEW, batch_size=4), dynamics=SEQUENCES, heads=SEQUENCES)
PPO = "--ppo.timesteps 64 --ppo.n-steps 8 --ppo.num-envs 4 --ppo.batch-size 32"


@pytest.fixture
def tiny(monkeypatch):
    """Trainings of seconds in place of the studied ones."""
    hasty = replace(
        DOT_TRAIN,
        vision=replace(DOT_TRAIN.vision, fit=FEW),
        memory=replace(DOT_TRAIN.memory, fit=FEW),
    )
    monkeypatch.setattr(transfer, "KINDS", {"mdnrnn": hasty, "gaussian": TINY})
    monkeypatch.setattr(
        transfer.dreamenv, "CollectConfig", lambda **given: replace(DOT_COLLECT, **given), raising=False
    )


def test_kinds_are_compared_on_the_same_frames(tiny, tmp_path, capsys):
    settings = f"""--env dot_env:Dot-v0 --root {tmp_path} --processes 0 --frames 400 --budgets 400 200 --seeds 1
        --agent-seeds 0 1 --kinds mdnrnn gaussian --real-episodes 2 {PPO}"""

    printed = run_experiment(capsys, "rssm.transfer", settings)

    rows = json.loads((tmp_path / "transfer.json").read_text())
    assert [(row["budget"], row["kind"], row["agent seed"]) for row in rows] == [
        (400, "gaussian", 0),
        (400, "gaussian", 1),
        (400, "mdnrnn", 0),
        (400, "mdnrnn", 1),
        (200, "gaussian", 1),
        (200, "mdnrnn", 1),
    ]
    assert all(row["world"]["processor"] > 0 and row["agent"]["processor"] > 0 for row in rows)
    stores = [dreamenv.EpisodeStore(tmp_path / "seed1" / str(budget) / "episodes") for budget in (200, 400)]
    assert stores[0].num_frames <= 200 < stores[1].num_frames <= 400
    assert run_experiment(capsys, "rssm.transfer", settings) == printed  # nothing is made again


@pytest.fixture
def dots(tmp_path):
    dreamenv.collect("dot_env:Dot-v0", tmp_path / "dots" / "episodes", replace(DOT_COLLECT, frames=500))
    return tmp_path / "dots"


def test_claims_are_tested_one_change_at_a_time(dots, tmp_path, capsys):
    fits = "--train.joint.fit.steps 2 --train.heads.fit.steps 2 --train.joint.decoded 4 --train.joint.batch-size 2"
    sizes = "--train.model.frame-shape 16 32 3 --train.model.channels 4 8 --train.model.hidden-size 16"
    run_experiment(
        capsys,
        "rssm.claims",
        f"""--root {tmp_path} --processes 0 --seeds 0 --episodes {dots / "episodes"} --real-episodes 2 {PPO}
        {fits} {sizes} --settings Gaussian categorical deterministic""",
    )

    rows = json.loads((tmp_path / "claims.json").read_text())
    assert [row["setting"] for row in rows] == ["Gaussian", "categorical", "deterministic"]
    models = [dreamenv.load(tmp_path / f"{row['setting']}-seed0").config.model for row in rows]
    assert [model.latent for model in models] == ["gaussian", "categorical", "gaussian"]
    assert [model.transition for model in models] == ["both", "both", "deterministic"]


def test_temperatures_are_compared_by_entropy(dots, dot_folder, tmp_path, capsys):
    dreamenv.train(dots, TINY)
    run_experiment(
        capsys,
        "rssm.temperatures",
        f"""--episodes {dots / "episodes"} --worlds {dots} {dot_folder} --root {tmp_path} --later 2 --shown 0 1
        --temperatures 0.5 1 2 --draws 4""",
    )

    rows = json.loads((tmp_path / "temperatures.json").read_text())
    entropies = [row["entropy of z, nats, less that at 1"] for row in rows]
    for cold, one, hot in (entropies[:3], entropies[3:]):
        assert cold < one == 0.0 < hot
    assert entropies[0] == pytest.approx(0.5 * 4 * -0.6931, abs=1e-3)  # four Gaussian dimensions
    assert (tmp_path / f"{dots.name}.png").exists()


def test_motion_is_predicted_where_an_action_is_blocked(dots, dot_folder, capsys):
    """Action 2 of the dot environment always leaves the dot where it is."""
    printed = run_experiment(capsys, "rssm.blocked", f"--episodes {dots / 'episodes'} --worlds {dot_folder} --action 2")

    head, _, row = printed.strip().splitlines()
    values = dict(zip(re.split(r"\s{2,}", head.strip()), re.split(r"\s{2,}", row.strip()), strict=True))
    steps = sum(int((episode.actions == 2).sum()) for episode in dreamenv.EpisodeStore(dots / "episodes").split()[1])
    assert (
        int(values["free, steps"]) == 0 and int(values["blocked, steps"]) + int(values["blocked again, steps"]) == steps
    )
