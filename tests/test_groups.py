"""Real episodes in groups: what an environment tells, who belongs where, and what compare makes of it."""

import dataclasses
import json
import runpy
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

import dreamenv
from dreamenv import CompareConfig, compare, make_real
from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.groups import GROUPS, LOST_STEPS, STUCK_STEPS, SightLog, Track, group_scores, groups_of
from dreamenv.evaluate.scores import ConstantPolicy, Score, UniformPolicy
from dreamenv.evaluate.tables import groups_table, write_comparison
from dreamenv.real.make import make_real_vector
from dreamenv.real.sight import sight

ROOT = Path(__file__).parents[1]
SIDEWALK = "MiniWorld-Sidewalk-v0"
LEFT, RIGHT, FORWARD = range(3)
SHOWN = ("hidden", "lost", "stuck")


def track(in_view, moved=None, turned=None):
    """Frames as a string, V where the target is in view; by default every step moves and turns."""
    steps = len(in_view) - 1
    moved = np.ones(steps) if moved is None else np.asarray(moved, float)
    turned = np.ones(steps) if turned is None else np.asarray(turned, float)
    along = np.concatenate([[0.0], np.cumsum(moved)])
    return Track(
        positions=np.stack([along, np.full_like(along, 3.0)], 1),
        headings=np.concatenate([[0.0], np.cumsum(turned)]),
        in_view=np.array([letter == "V" for letter in in_view]),
    )


def walk(*parts):
    """``walk(3, -20, 1)``: three steps that move, 20 that do not, one that does; nothing is ever lost."""
    moved = np.concatenate([np.full(abs(part), part > 0) for part in parts])
    return track("V" * (len(moved) + 1), moved)


def made_up(successes, known=True, first=80_000):
    share = float(np.mean(successes)) if known else None
    last = first + len(successes) - 1
    zeros = (0.0,) * len(successes)
    return Score(
        "agent, greedy", "real", None, (first, last), 0.0, 0.0, 0.0, 0.0, share, share, share, 1.0,
        zeros, (1,) * len(successes), tuple(successes), True, False,
    )  # fmt: skip


def red_pixels(frame):
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    return int(((red > 60) & (green < 0.35 * red) & (blue < 0.35 * red)).sum())


@pytest.fixture(scope="module")
def sidewalk():
    env = make_real(SIDEWALK)
    yield env
    env.close()


@pytest.fixture(scope="module")
def comparison():
    config = CompareConfig(temperatures=(), episodes=2, num_envs=2, seed=70_000)
    return compare("sidewalk", dreamenv.load_agent("sidewalk/linear"), config)


@pytest.fixture(scope="module")
def dot_comparison(continuous_world):
    agent = dreamenv.LinearAgent(np.zeros((1, 40)), np.zeros(1), continuous_world.config.action)
    return compare(continuous_world, agent, CompareConfig(temperatures=(), episodes=4, num_envs=2))


@pytest.mark.parametrize(("in_view", "group"), [("V.V", "visible"), (".VV", "hidden"), ("..", "hidden")])
def test_the_first_frame_alone_says_visible_or_hidden(in_view, group):
    assert groups_of(track(in_view)) == (group,)


@pytest.mark.parametrize(
    ("parts", "stuck"),
    [
        ((-STUCK_STEPS,), True),
        ((1 - STUCK_STEPS,), False),
        ((5, -STUCK_STEPS, 5), True),
        ((5, 1 - STUCK_STEPS, 5), False),
        ((5, -STUCK_STEPS), True),
        ((5, 1 - STUCK_STEPS), False),
        ((1 - STUCK_STEPS, 5), False),
        ((-15, 1, -15), False),
        ((1 - STUCK_STEPS, 1, -STUCK_STEPS), True),
        ((40,), False),
    ],
)
def test_stuck_is_twenty_steps_in_a_row_without_a_change_of_position(parts, stuck):
    assert STUCK_STEPS == 20
    assert ("stuck" in groups_of(walk(*parts))) is stuck


def test_walking_there_and_back_is_not_stuck():
    assert groups_of(track("V" * 61, moved=[1, -1] * 30)) == ("visible",)


@pytest.mark.parametrize("turned", [0, 1])
def test_turning_on_the_spot_is_stuck_as_is_walking_against_a_wall(turned):
    steps = [turned] * STUCK_STEPS
    assert "stuck" in groups_of(track("V" * (STUCK_STEPS + 1), [0] * STUCK_STEPS, steps))


@pytest.mark.parametrize(
    ("in_view", "lost"),
    [
        ("VV.....", True),
        ("VV....", False),
        ("V.....V", True),
        ("V....V", False),
        ("V....V....V", False),
        ("V....V.....V", True),
        ("..V.....V..", True),
        (".......V", False),
        (".......", False),
        ("VVVVVVV", False),
        ("V", False),
    ],
)
def test_lost_is_five_steps_out_of_view_after_it_was_in_view(in_view, lost):
    assert LOST_STEPS == 5
    assert ("lost" in groups_of(track(in_view))) is lost


@pytest.mark.parametrize("step", range(7))
def test_a_target_is_lost_by_turning_only(step):
    turned = np.arange(7) == step  # frames 2 to 6 lack the target: steps 1 to 5 led to them
    assert ("lost" in groups_of(track("VV.....V", turned=turned))) is (1 <= step <= 5)


def test_an_episode_can_be_in_several_groups():
    frames = "." + "V" * 4 + "." * 30
    moved = [1] * 10 + [0] * 24
    assert groups_of(track(frames, moved)) == ("hidden", "lost", "stuck")


def test_every_group_has_the_success_of_its_episodes():
    tracks = [track("VV"), track(".V"), track(".V"), walk(-20), track("..")]
    scores = {score.group: score for score in group_scores(made_up([True, True, False, False, False]), tracks)}

    assert tuple(scores) == GROUPS
    assert {name: score.seeds for name, score in scores.items()} == {
        "visible": (80_000, 80_003), "hidden": (80_001, 80_002, 80_004), "lost": (), "stuck": (80_003,)
    }  # fmt: skip
    assert scores["visible"].success == 0.5
    assert scores["hidden"].success == pytest.approx(1 / 3)
    assert scores["stuck"].success == 0.0
    assert (scores["lost"].success, scores["lost"].low, scores["lost"].high) == (None, None, None)


def test_intervals_are_wilsons():
    (visible, *_) = group_scores(made_up([True] * 3 + [False]), [track("V")] * 4)
    share, count, z = 0.75, 4, 1.959963985
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))

    assert (visible.low, visible.high) == pytest.approx((middle - half, middle + half))


def test_a_world_that_knows_no_success_still_counts():
    visible, hidden, *_ = group_scores(made_up([False, False], known=False), [track("V"), track(".")])
    assert (visible.seeds, hidden.seeds) == ((80_000,), (80_001,))
    assert (visible.success, visible.low, visible.high) == (None, None, None)


def test_repeats_of_the_last_seed_are_left_out():
    (visible, *_) = group_scores(made_up([True, False]), [track("V")] * 5)
    assert (visible.seeds, visible.success) == ((80_000, 80_001), 0.5)


def test_the_target_is_said_to_be_in_view_when_the_frame_shows_it(sidewalk):
    generator, agree, seen = np.random.default_rng(0), [], []
    for step in range(200):
        if step % 10 == 0:
            frame, _ = sidewalk.reset(seed=70_000 + step)
        else:
            frame, *_ = sidewalk.step(generator.integers(3))
        seen.append(red_pixels(frame) > 0)
        agree.append(sight(sidewalk).in_view == seen[-1])
    assert 0.1 < np.mean(seen) < 0.9
    assert np.mean(agree) >= 0.98


def test_a_target_right_before_the_agent_is_in_view(sidewalk):
    sidewalk.reset(seed=0)
    world = sidewalk.unwrapped
    world.agent.pos = world.box.pos - np.array([0.0, 0.0, 1.5])
    world.agent.dir = -np.pi / 2  # towards growing z
    assert red_pixels(world.render_obs()) > 300
    assert sight(sidewalk).in_view
    world.agent.dir = np.pi / 2
    assert red_pixels(world.render_obs()) == 0
    assert not sight(sidewalk).in_view


@pytest.mark.parametrize("distance", [1.5, 4.0])
def test_the_edges_of_the_frame_are_those_of_the_view(sidewalk, distance):
    sidewalk.reset(seed=0)
    world = sidewalk.unwrapped
    world.agent.pos = world.box.pos - np.array([0.0, 0.0, distance])
    agree = []
    for world.agent.dir in np.linspace(0, 2 * np.pi, 120):
        agree.append((red_pixels(world.render_obs()) > 0) == sight(sidewalk).in_view)
    assert sum(agree) >= 118  # a field of view that is a step of 3 degrees off at both sides has 116


def test_walls_hide_the_target():
    env = make_real("MiniWorld-FourRooms-v0")
    agree, seen = [], []
    for seed in range(150):
        frame, _ = env.reset(seed=seed)
        seen.append(red_pixels(frame) > 0)
        agree.append(sight(env).in_view == seen[-1])
    env.close()
    assert 5 < sum(seen) < 75
    assert np.mean(agree) >= 0.98


def test_turning_leaves_the_position_and_walking_the_heading(sidewalk):
    sidewalk.reset(seed=70_003)
    before = sight(sidewalk)
    sidewalk.step(LEFT)
    turned = sight(sidewalk)
    sidewalk.step(RIGHT)
    back = sight(sidewalk)
    assert before.position == turned.position == back.position
    assert turned.heading - before.heading == pytest.approx(np.radians(15))
    assert back.heading == pytest.approx(before.heading)

    sidewalk.unwrapped.agent.dir = -np.pi / 2
    sidewalk.step(FORWARD)
    walked = sight(sidewalk)
    assert walked.heading == -np.pi / 2
    assert np.subtract(walked.position, before.position) == pytest.approx([0.0, 0.15], abs=1e-6)


@pytest.mark.parametrize("env_id", ["MiniWorld-CollectHealth-v0", "MiniWorld-PickupObjects-v0"])
def test_environments_with_several_targets_or_none_of_a_name_tell_nothing(env_id):
    env = make_real(env_id)
    env.reset(seed=0)
    assert sight(env) is None
    env.close()


def test_other_environments_tell_nothing():
    env = gym.make("Dot-v0")
    env.reset(seed=0)
    assert sight(env) is None

    log = SightLog(make_real_vector("Dot-v0", 2))
    assert len(list(dreamenv.rollout(log, UniformPolicy(log.single_action_space), range(3)))) == 3
    assert log.take() == ()


def test_every_episode_is_written_down_in_the_order_of_seeds(sidewalk):
    log, seeds = SightLog(make_real_vector(SIDEWALK, 2)), (70_019, 70_009, 70_030, 70_028)
    outcomes = list(dreamenv.rollout(log, ConstantPolicy(FORWARD), seeds, record=True))
    tracks = log.take()
    log.close()

    assert [outcome.index for outcome in outcomes] == [1, 0, 3, 2]  # the order in which they end is another
    assert len(tracks) > 4  # the last seed was repeated
    for outcome in outcomes:
        sidewalk.reset(seed=outcome.seed)
        told = [sight(sidewalk)]
        for action in outcome.trajectory.actions:
            sidewalk.step(action)
            told.append(sight(sidewalk))
        assert tracks[outcome.index].positions.tolist() == [list(each.position) for each in told]
        assert tracks[outcome.index].headings.tolist() == [each.heading for each in told]
        assert tracks[outcome.index].in_view.tolist() == [each.in_view for each in told]
    assert log.take() == ()


def test_compare_splits_its_real_scores(comparison):
    policies = list(dict.fromkeys(score.policy for score in comparison.scores))
    assert [(score.policy, score.group) for score in comparison.groups] == [(p, g) for p in policies for g in GROUPS]
    for policy in policies:
        groups = {score.group: score for score in comparison.groups if score.policy == policy}
        score = next(score for score in comparison.scores if score.policy == policy)
        assert sorted(groups["visible"].seeds + groups["hidden"].seeds) == [70_000, 70_001]
        assert set(groups["stuck"].seeds) <= {70_000, 70_001}
        won = sum((groups[name].success or 0) * len(groups[name].seeds) for name in ("visible", "hidden"))
        assert won == pytest.approx(sum(score.successes))


def test_the_first_frame_is_the_same_for_every_policy(comparison):
    assert len({score.seeds for score in comparison.groups if score.group == "visible"}) == 1


def test_a_world_whose_environment_tells_nothing_has_no_groups(dot_comparison, tmp_path):
    assert dot_comparison.groups == ()
    write_comparison(dot_comparison, tmp_path)
    assert json.loads((tmp_path / "comparison.json").read_text())["groups"] == []


def test_groups_come_back_from_json_and_older_records_have_none(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert TypeAdapter(Comparison).validate_python(content) == comparison

    for record in (*content["scores"], *content["groups"]):
        record.pop("deterministic", None)
        del record["baseline"]
    assert TypeAdapter(Comparison).validate_python(content) == comparison

    del content["groups"]
    old = TypeAdapter(Comparison).validate_python(content)
    assert old == dataclasses.replace(comparison, groups=())


def test_the_table_has_a_row_per_group_and_policy_with_episodes(comparison):
    lines = groups_table(comparison.groups).splitlines()
    rows = [line.split("  ")[0] for line in lines[2:]]
    assert len(rows) == sum(bool(score.seeds) for score in comparison.groups)
    assert rows == sorted(rows, key=GROUPS.index)
    assert "agent, greedy" in lines[2]
    assert max(map(len, lines)) <= 79


def test_the_table_shows_count_success_and_interval():
    scores = group_scores(made_up([True] * 9 + [False]), [track("V")] * 10)
    (row,) = groups_table(scores).splitlines()[2:]
    assert row.split() == ["visible", "agent,", "greedy", "10", "0.90", "[0.60,", "0.98]"]

    (unknown,) = groups_table(group_scores(made_up([False], known=False), [track("V")])).splitlines()[2:]
    assert unknown.split()[3:] == ["1", "-", "-"]


def test_films_of_failures_are_looked_for_and_encoded():
    tool = runpy.run_path(str(ROOT / "tools" / "failure_gifs.py"))
    films = tool["find"](dreamenv.load("sidewalk"), dreamenv.load_agent("sidewalk/linear"), 1)

    assert set(films) <= set(SHOWN)
    for film in films.values():
        assert film.seed == 80_000
        assert film.frames.shape[1:] == (60, 80, 3)
    assert tool["encode"](np.zeros((4, 6, 8, 3), np.uint8)).startswith(b"GIF89a")


@pytest.mark.parametrize("group", SHOWN)
def test_the_films_in_the_docs_are_small(group):
    path = ROOT / "docs" / "images" / f"failure_{group}.gif"
    assert path.stat().st_size <= 400_000
    with Image.open(path) as film:
        assert (film.size, film.is_animated) == ((160, 120), True)
