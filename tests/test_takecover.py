"""DoomTakeCover: the real game as World Models has it, and the policies that see nothing."""

import json
import re
import sys

import numpy as np
import pytest
from benchmark_runs import run_experiment, same
from gymnasium.utils.env_checker import check_env
from PIL import Image

import dreamenv
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.real.make import describe
from dreamenv.worlds.takecover.fireballs import fireball_pixels
from dreamenv.worlds.takecover.policies import HeldPolicy, SweepPolicy
from dreamenv.worlds.takecover.real import LEFT, RIGHT, STAY

FRAME = (64, 64, 3)


@pytest.fixture
def game(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # the game makes a folder where it runs
    env = dreamenv.make_real("TakeCover-v0")
    yield env
    env.close()


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_it_is_an_environment_by_gymnasiums_own_check(game):
    check_env(game, skip_render_check=True)


def test_a_world_is_told_frames_actions_and_time_limit(game):
    spec = describe(game, "TakeCover-v0")

    assert (spec.frame_shape, spec.action.n, spec.max_episode_steps) == (FRAME, 3, 2100)


def test_every_step_pays_one_and_death_is_the_end(game):
    frame, _ = game.reset(seed=1)
    rewards, terminated = [], False
    while not terminated:
        before = frame
        frame, reward, terminated, truncated, _ = game.step(STAY)
        rewards.append(reward)
        assert frame.shape == FRAME and frame.dtype == np.uint8 and not truncated

    assert set(rewards) == {1.0} and 50 < len(rewards) < 1000
    assert np.array_equal(frame, before) and frame.any()


def test_the_same_seed_is_the_same_episode(game):
    def play():
        frames = [game.reset(seed=7)[0]]
        return np.stack(frames + [game.step(action)[0] for action in [LEFT, RIGHT, STAY] * 12])

    first = play()
    game.reset(seed=8)
    assert np.array_equal(play(), first)


@pytest.mark.parametrize(("action", "buttons"), [(LEFT, [1, 0]), (STAY, [0, 0]), (RIGHT, [0, 1])])
def test_actions_go_left_stay_and_go_right(game, action, buttons):
    game.reset(seed=0)
    game.step(action)

    assert game.unwrapped.game.get_last_action() == buttons


def test_without_vizdoom_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)

    with pytest.raises(UnsupportedEnvironmentError, match=r"pip install 'dreamenv\[vizdoom\]'"):
        dreamenv.make_real("TakeCover-v0")


class TestBlindPolicies:
    def test_a_sweep_turns_after_half_a_period_and_starts_anew_with_its_episode(self):
        policy, state, acted = SweepPolicy(2), None, []
        for start in ([1, 1], [0, 0], [0, 0], [0, 1], [0, 0], [0, 0]):
            actions, state = policy.predict(np.zeros((2, 5)), state, np.array(start, bool))
            acted.append(actions.tolist())

        assert [a for a, _ in acted] == [RIGHT, RIGHT, LEFT, LEFT, RIGHT, RIGHT]
        assert [b for _, b in acted] == [RIGHT, RIGHT, LEFT, RIGHT, RIGHT, LEFT]

    def test_a_sweep_of_no_steps_is_refused(self):
        with pytest.raises(ValueError, match="at least one step"):
            SweepPolicy(0)

    def test_held_actions_last_up_to_their_limit_and_are_uniform(self):
        policy, state, acted = HeldPolicy(hold=4, seed=3), None, []
        for _ in range(4000):
            action, state = policy.predict(np.zeros((1, 5)), state, np.array([not acted]))
            acted.append(int(action[0]))
        changes = np.flatnonzero(np.diff(acted)) + 1

        assert np.bincount(acted) / 4000 == pytest.approx([1 / 3] * 3, abs=0.05)
        assert np.diff(changes).mean() == pytest.approx(2.5 * 1.5, rel=0.15)  # a third of the draws goes on as before

    def test_the_same_seed_holds_the_same_actions(self):
        policy = HeldPolicy()

        def play():
            policy.set_random_seed(5)
            state, acted = None, []
            for step in range(50):
                action, state = policy.predict(np.zeros((3, 5)), state, np.full(3, step == 0))
                acted.append(action)
            return np.stack(acted)

        assert np.array_equal(play(), play())


def test_fireballs_are_bright_and_yellow():
    frames = np.full((3, 8, 8, 3), 90, np.uint8)
    frames[1, 2:4, 2:4] = (255, 220, 100)
    frames[2, 0] = (255, 255, 255)

    assert fireball_pixels(frames).tolist() == [0, 4, 0]


def test_one_command_leads_from_nothing_to_the_table_and_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the game makes a folder where it runs
    settings = f"""--root {tmp_path}/run --processes 0 --seeds 0 --settings 1 --blind "always stay" --episodes 1
        --collect.frames 3500 --collect.shard-episodes 10
        --train.vision.fit.steps 1 --train.vision.batch-size 2 --train.vision.model.channels 4 4 8 8
        --train.memory.fit.steps 1 --train.memory.model.hidden-size 8 --train.memory.batch-size 2
        --ppo.timesteps 64 --ppo.n-steps 8 --ppo.num-envs 4 --ppo.batch-size 32
        --evolve.generations 1 --evolve.population 2 --evolve.episodes 1 --evolve.evaluation-episodes 1"""

    printed = [run_experiment(capsys, "takecover.temperature", settings) for _ in range(2)]

    found = json.loads((tmp_path / "run" / "takecover.json").read_text())
    assert [row["setting"] for row in found["rows"]] == ["1", "linear"]
    assert all(row["test greedy"]["mean"] >= 1.0 for row in found["rows"] + found["blind"])
    assert "1145 \u00b1 690" in printed[0] and printed[0] == printed[1]
    assert (tmp_path / "run" / "takecover.png").stat().st_size > 0


def test_one_command_plays_rounds_and_tests_agents_of_the_best(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the game makes a folder where it runs
    settings = f"""--root {tmp_path}/run --processes 0 --seeds 3 4 --episodes 2
        --rounds.frames 3500 --rounds.rounds 1 --rounds.round-frames 300
        --rounds.episodes 2 --rounds.memory-steps 1 --rounds.collect.shard-episodes 10
        --rounds.train.vision.fit.steps 1 --rounds.train.vision.batch-size 2
        --rounds.train.vision.model.channels 4 4 8 8 --rounds.train.memory.fit.steps 1
        --rounds.train.memory.model.hidden-size 8 --rounds.train.memory.batch-size 2 --rounds.train.branches 16
        --rounds.ppo.timesteps 64 --rounds.ppo.n-steps 8 --rounds.ppo.num-envs 4 --rounds.ppo.batch-size 32"""

    printed = [run_experiment(capsys, "takecover.rounds", settings) for _ in range(2)]

    rows = [json.loads((tmp_path / f"run/agents/seed{seed}/scores.json").read_text()) for seed in (3, 4)]
    best = max(rows, key=lambda row: row["validation greedy"]["mean"])
    first = next(line for line in printed[0].splitlines() if line.split()[:1] in (["3"], ["4"]))
    assert first.split()[0] == str(best["seed"]) and f"{best['test greedy']['mean']:.0f} (" in first
    assert printed[0] == printed[1]
    assert (tmp_path / "run" / "rounds.png").stat().st_size > 0
    assert len(dreamenv.load(tmp_path / "run").bank.branches.step) == 16


def test_an_ablation_changes_one_thing_and_keeps_what_comes_before_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the game makes a folder where it runs
    small = """--processes 0 --seeds 0 --episodes 1 --collect.frames 3500 --collect.shard-episodes 10
        --train.vision.fit.steps 1 --train.vision.batch-size 2 --train.vision.model.channels 4 4 8 8
        --train.memory.fit.steps 1 --train.memory.model.hidden-size 8 --train.memory.batch-size 2 --train.branches 16
        --ppo.timesteps 64 --ppo.n-steps 8 --ppo.num-envs 4 --ppo.batch-size 32"""
    base, root = tmp_path / "base", tmp_path / "changed"
    held, threshold = "actions held 1 to 20, 80 or 160 steps", "death where it is likelier than not"

    unchanged = f"--root {base} --settings '1.15, short dreams' --blind 'always stay' --no-linear"
    changes = f"--base {base} --root {root} --settings '{held}' '{threshold}'"

    run_experiment(capsys, "takecover.temperature", f"{unchanged} {small}")
    run_experiment(capsys, "takecover.ablation", f"{changes} {small}")

    rows = json.loads((root / "ablation.json").read_text())
    assert [row["setting"] for row in rows] == ["as it is", held, threshold]
    assert (root / "ablation.png").stat().st_size > 0
    folders = (base, root / "actions-held-1-to-20-80-or-160-steps", root / "death-where-it-is-likelier-than-not")
    before, other_data, other_rule = map(dreamenv.load, folders)
    assert same(before.model.vision, other_data.model.vision) and same(before.model.vision, other_rule.model.vision)
    assert same(before.model.memory, other_rule.model.memory) and not same(before.model.memory, other_data.model.memory)
    steps = [world.bank.branches.step.tolist() for world in (before, other_data, other_rule)]
    assert steps[0] != steps[1] and steps[0] == steps[2]
    assert (before.config.ending_rules, other_rule.config.ending_rules) == (("sample",), ("threshold",))


def test_it_is_measured_that_the_shipped_v_draws_fireballs_but_no_monsters(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the game makes a folder where it runs
    printed = run_experiment(capsys, "takecover.monsters", "--episodes 6 --columns 3")

    names, _, row = (re.split(r"  +", line.strip()) for line in printed.splitlines()[:3])
    found = dict(zip(names, row, strict=True))
    assert int(found["monsters"]) > 50 and float(found["monsters: drawn"]) < 0.2
    assert int(found["fireballs"]) > 5 and float(found["fireballs: drawn"]) > 0.4
    with Image.open(tmp_path / "runs" / "monsters.png") as picture:
        assert picture.size == (3 * 128, 2 * 128)


def test_births_in_dreams_are_held_against_the_recorded_ones(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the game makes a folder where it runs
    exploration = dreamenv.ExplorationConfig(bump_and_turn=0.0, preference=0.0, sticky=1.0)
    settings = dreamenv.CollectConfig(frames=3000, num_envs=2, shard_episodes=10, exploration=exploration)
    dreamenv.collect("TakeCover-v0", tmp_path, settings)

    printed = run_experiment(capsys, "takecover.births", f"--episodes {tmp_path} --every 10 --horizons 2 30")

    rows = {row[1]: row[2:] for row in (re.split(r"  +", line.strip()) for line in printed.splitlines()[2:])}
    with_one, without = ([float(cell) for cell in rows[what]] for what in ("a fireball", "none"))
    assert min(with_one[0], without[0]) > 0
    for soon in (1, 3):  # really, and dreamed
        assert with_one[soon] > without[soon]
