"""How far a dream can be followed."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from dreamenv import EpisodeStore, load_agent, open_loop
from dreamenv.cli.run import main
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.envs.pseudo import PseudoDream, make_pseudo_dream
from dreamenv.evaluate.sight import HorizonConfig, score_by_sight
from dreamenv.real.make import make_real_vector
from dreamenv.recordings import record
from dreamenv.reports.model_report import report_memory
from dreamenv.reports.tables import open_loop_table

LEFT, STAY = 0, 2


@pytest.fixture(scope="module")
def held_out(dot_world, dot_folder):
    _, episodes = EpisodeStore(dot_folder / "episodes").split()
    return dot_world.follow(record(dot_world.model, episodes, dot_world.config), seed=None)


def play(env, steps):
    observations = [env.reset(seed=3)[0]]
    return np.stack([*observations, *(env.step(np.full(3, STAY))[0] for _ in range(steps))])


def test_seeing_every_frame_is_the_latent_environment(dot_world):
    latent = make_latent_vector(dot_world, 3, AutoresetMode.DISABLED)
    assert np.array_equal(play(make_pseudo_dream(dot_world, 3, every=1), 8), play(latent, 8))


def test_every_kth_frame_is_seen_and_the_others_are_dreamed(dot_world):
    real = play(make_latent_vector(dot_world, 3, AutoresetMode.DISABLED), 8)[:, :, :8]
    pseudo = play(make_pseudo_dream(dot_world, 3, every=4), 8)[:, :, :8]
    same = [np.allclose(a, b, atol=1e-5) for a, b in zip(real, pseudo, strict=True)]
    assert same == [True, False, False, False, True, False, False, False, True]


def test_rewards_and_endings_are_the_real_ones(dot_world):
    pseudo, real = make_pseudo_dream(dot_world, 3, every=100), make_real_vector("dot_env:Dot-v0", 3)
    pseudo.reset(seed=0)
    real.reset(seed=0)
    for _ in range(20):
        mine, theirs = pseudo.step(np.full(3, LEFT)), real.step(np.full(3, LEFT))
        assert all(np.array_equal(a, b) for a, b in zip(mine[1:4], theirs[1:4], strict=True))
        if (done := mine[2] | mine[3]).any():
            pseudo.reset(options={"reset_mask": done}, seed=5)
            real.reset(options={"reset_mask": done}, seed=5)


def test_settings_out_of_range_are_refused(dot_world):
    with pytest.raises(ValueError, match="every of at least 1, got 0"):
        make_pseudo_dream(dot_world, 1, every=0)
    with pytest.raises(ValueError, match="expected a temperature"):
        PseudoDream(make_real_vector("dot_env:Dot-v0", 1), dot_world, every=2, temperature=-1.0)


def test_one_step_ahead_is_what_the_report_on_m_says(dot_world, held_out):
    (first,) = open_loop(dot_world, held_out, HorizonConfig(horizons=(1,)))
    report = report_memory(held_out, dot_world.config)
    assert first.steps == report.steps
    assert first.reward_error == pytest.approx(report.reward_error, abs=1e-4)
    for mine, theirs in zip(first.endings, report.endings, strict=True):
        assert (mine.kind, mine.count) == (theirs.kind, theirs.count)
        assert mine.predicted == pytest.approx(theirs.predicted, abs=1e-2)


def test_the_farther_the_less_is_known(dot_world, held_out):
    results = open_loop(dot_world, held_out, HorizonConfig(horizons=(1, 2, 8)))
    assert [result.horizon for result in results] == [1, 2, 8]
    assert [result.steps for result in results] == [
        sum(max(len(episode) - horizon + 1, 0) for episode in held_out) for horizon in (1, 2, 8)
    ]
    assert results[0].z_error < results[1].z_error < results[2].z_error


def test_horizons_beyond_every_episode_are_left_out(dot_world, held_out):
    assert [r.horizon for r in open_loop(dot_world, held_out, HorizonConfig(horizons=(1, 500)))] == [1]


def test_an_agent_that_sees_less_wins_less(dot_world, dot_agent_folder):
    scores = score_by_sight(dot_world, load_agent(dot_agent_folder), HorizonConfig(every=(1, 50), temperature=3.0))
    assert scores[1].success > scores[50].success
    assert {score.place for score in scores.values()} == {"real"}


def test_the_command_writes_tables_and_picture(dot_folder, dot_agent_folder, tmp_path, capsys):
    command = ["horizon", "--world", str(dot_folder), "--agent", str(dot_agent_folder), "--out", str(tmp_path)]
    assert main([*command, "--episodes", "4", "--every", "1", "8", "--horizons", "1", "4"]) == 0
    written = json.loads((tmp_path / "horizon.json").read_text())
    assert list(written["sight"]) == ["1", "8"] and [loop["horizon"] for loop in written["open_loop"]] == [1, 4]
    assert (tmp_path / "horizon.png").stat().st_size > 5000
    out = capsys.readouterr().out
    assert "every 8" in out and "predicted" in out


def test_steps_that_all_end_alike_have_no_curve_and_no_ordinary_reward(dot_world, held_out):
    recordings = [one.recording for one in held_out]
    ends = [dataclasses.replace(e, ending=torch.full_like(e.ending, 1)) for e in recordings]
    ends = [dataclasses.replace(one, recording=e) for one, e in zip(held_out, ends, strict=True)]
    (found,) = open_loop(dot_world, ends, HorizonConfig(horizons=(1,)))
    assert found.reward_error is None
    assert [ending.auc for ending in found.endings] == [None] * len(dot_world.config.endings)
    rows = [line.split() for line in open_loop_table([found]).splitlines()[2:]]
    assert len(rows) == len(dot_world.config.endings)
    assert all(row[3] == row[-1] == "-" for row in rows)  # reward error and AUC


def test_without_episodes_there_are_no_open_loop_predictions(dot_folder, dot_agent_folder, tmp_path, capsys):
    for name in ("config.json", "world.safetensors", "README.md", "manifest.json"):
        shutil.copy(dot_folder / name, tmp_path)
    command = ["horizon", "--world", str(tmp_path), "--agent", str(dot_agent_folder), "--episodes", "2"]

    assert main([*command, "--every", "1"]) == 0

    (written,) = (tmp_path / "horizon").glob("*/horizon.json")
    assert json.loads(written.read_text())["open_loop"] == []
    assert "predicted" not in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"num_envs": 0}, {"every": (0,)}, {"horizons": (0, 1)}], ids=str)
def test_nothing_is_played_with_settings_out_of_range(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        HorizonConfig(**wrong)
