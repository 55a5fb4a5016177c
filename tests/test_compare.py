"""Comparing an agent in the dream and in reality, and what is written about it."""

import csv
import dataclasses
import functools
import importlib
import json
import subprocess
import sys
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium.vector import AutoresetMode
from PIL import Image

import dreamenv
from dreamenv import CompareConfig, DreamVectorEnv, PPOConfig, as_vec_env, compare, load_agent, train_ppo
from dreamenv.config import WorldConfig, build_model
from dreamenv.evaluate import film as film_module
from dreamenv.evaluate.choose import ChooseConfig
from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.film import write_film
from dreamenv.evaluate.plots import plot_comparison
from dreamenv.evaluate.scores import (
    ConstantPolicy,
    Score,
    UniformPolicy,
    bootstrap_interval,
    is_success,
    score,
    summarise,
)
from dreamenv.evaluate.sight import HorizonConfig, score_by_sight
from dreamenv.evaluate.tables import comparison_table, write_comparison
from dreamenv.rollouts import Outcome
from dreamenv.world import World

compare_module = sys.modules["dreamenv.evaluate.compare"]

CONFIG = CompareConfig(temperatures=(0.5, 1.0), episodes=12, num_envs=5)


@pytest.fixture(scope="module")
def agent(dot_agent_folder):
    return load_agent(dot_agent_folder)


@pytest.fixture(scope="module")
def comparison(dot_world, agent):
    return compare(dot_world, agent, CONFIG, name="dots")


@pytest.fixture(scope="module")
def always(dot_world):
    """The action that the blind policy takes."""
    return int(np.argmax(dot_world.config.action_prior))


@pytest.fixture(scope="module")
def policies(always):
    return ["agent, greedy", "agent, sampling", "uniform random", f"always action {always}"]


def by_row(comparison):
    return {(one.policy, one.temperature): one for one in comparison.scores}


def made_up(mean=0.5, temperature=1.0, length=20.0, **changes):
    return Score(
        policy="agent, sampling",
        place="real" if temperature is None else "dream",
        temperature=temperature,
        seeds=(90_000, 90_099),
        mean=mean,
        std=abs(mean),
        low=-abs(mean),
        high=abs(mean),
        success=1.0,
        success_low=0.9,
        success_high=1.0,
        length=length,
        returns=(mean,),
        lengths=(int(length),),
        successes=(True,),
        deterministic=False,
        baseline=False,
        **changes,
    )


def outcome(reward=1.0, terminated=True):
    return Outcome(
        index=0, seed=0, episode_return=reward, final_reward=reward, length=3, terminated=terminated, trajectory=None
    )


def success_config(success_reward):
    return WorldConfig("x", (16, 32, 3), dreamenv.foundation.spaces.ActionSpec(n=3), 20, success_reward=success_reward)


def test_every_policy_is_scored_at_every_temperature_and_in_reality(comparison, policies):
    rows = by_row(comparison)
    assert len(rows) == len(comparison.scores) == 4 * 3
    assert set(rows) == {(policy, temperature) for policy in policies for temperature in (0.5, 1.0, None)}
    assert all(row.place == ("real" if row.temperature is None else "dream") for row in comparison.scores)


def test_numbers_of_a_row_follow_from_its_episodes(comparison):
    for row in comparison.scores:
        assert row.seeds == (90_000, 90_011)
        assert len(row.returns) == len(row.lengths) == len(row.successes) == 12
        assert row.mean == pytest.approx(np.mean(row.returns))
        assert row.std == pytest.approx(np.std(row.returns))
        assert row.length == pytest.approx(np.mean(row.lengths))
        assert row.success == pytest.approx(np.mean(row.successes))
        assert row.low <= row.mean <= row.high
        assert row.success_low <= row.success <= row.success_high
        assert all(1 <= length <= 20 for length in row.lengths)


def test_real_scores_are_those_of_the_real_environment(comparison, always):
    real = by_row(comparison)[f"always action {always}", None]
    env = gym.make("Dot-v0")
    for seed, episode_return, length, success in zip(
        range(90_000, 90_012), real.returns, real.lengths, real.successes, strict=True
    ):
        env.reset(seed=seed)
        total, steps, done = 0.0, 0, False
        while not done:
            _, reward, terminated, truncated, _ = env.step(always)
            total, steps, done = total + reward, steps + 1, terminated or truncated
        assert (episode_return, length, success) == (pytest.approx(total), steps, total > 0.5)


def test_dream_scores_are_those_of_dreams_at_that_temperature(dot_world, agent, comparison):
    row = by_row(comparison)["agent, greedy", 0.5]
    env = DreamVectorEnv(dot_world, 12, temperature=0.5, autoreset_mode="Disabled")
    seeds = range(90_000, 90_012)
    outcomes = sorted(dreamenv.rollout(env, agent, seeds, deterministic=True), key=lambda one: one.index)
    assert row.returns == pytest.approx([one.episode_return for one in outcomes], abs=1e-5)
    assert row.lengths == tuple(one.length for one in outcomes)


def test_the_same_call_gives_the_same_scores(dot_world, agent, comparison):
    agent.set_random_seed(123)
    np.random.seed(5)
    assert compare(dot_world, agent, CONFIG, name="dots") == comparison


def test_neither_order_nor_number_of_temperatures_changes_a_row(dot_world, agent, comparison):
    alone = compare(dot_world, agent, dataclasses.replace(CONFIG, temperatures=(1.0,)))
    assert by_row(alone)["agent, sampling", 1.0] == by_row(comparison)["agent, sampling", 1.0]
    assert by_row(alone)["uniform random", None] == by_row(comparison)["uniform random", None]


def test_greedy_real_scores_do_not_depend_on_the_number_of_environments(dot_world, agent, comparison):
    config = dataclasses.replace(CONFIG, num_envs=1, temperatures=())
    row = by_row(compare(dot_world, agent, config))["agent, greedy", None]
    assert row == by_row(comparison)["agent, greedy", None]


def test_a_stable_baselines3_agent_is_compared_reproducibly(dot_world, policies, tmp_path):
    config = PPOConfig(timesteps=256, num_envs=16, n_steps=16, batch_size=64, n_epochs=1, net_arch=(16,))
    agent = train_ppo(dot_world, tmp_path, config)
    before = torch.get_rng_state()
    one = compare(dot_world, agent, CONFIG)
    assert torch.equal(before, torch.get_rng_state())
    with torch.random.fork_rng():
        torch.manual_seed(77)
        other = compare(dot_world, agent, CONFIG)
    assert [row.policy for row in one.scores[:4]] == policies
    assert one == other


def test_greedy_rows_take_the_largest_output_and_sampling_rows_draw(dot_world):
    undecided = dreamenv.LinearAgent(np.zeros((3, 40)), np.array([0.0, 0.0, 0.01]), dot_world.config.action)
    rows = by_row(compare(dot_world, undecided, dataclasses.replace(CONFIG, temperatures=())))
    assert set(rows["agent, greedy", None].lengths) == {20}
    assert min(rows["agent, sampling", None].lengths) < 20


def test_agents_without_draws_have_no_sampling_row(continuous_world):
    agent = dreamenv.LinearAgent(np.zeros((1, 40)), np.ones(1), continuous_world.config.action)
    comparison = compare(continuous_world, agent, dataclasses.replace(CONFIG, temperatures=(1.0,), episodes=4))
    assert {row.policy for row in comparison.scores} == {"agent, greedy", "uniform random"}


def test_the_record_names_what_is_needed_to_repeat_it(dot_world, comparison):
    assert comparison.env_id == dot_world.config.env_id
    assert comparison.agent == "dots"
    assert comparison.world == dreamenv.bundle.world_id(dot_world)
    assert comparison.config == CONFIG
    assert comparison.versions["torch"] == torch.__version__
    assert comparison.commit is None or len(comparison.commit.removesuffix("-dirty")) == 40


@pytest.mark.parametrize("episodes", [0, -3])
def test_less_than_one_episode_is_refused(dot_world, agent, episodes):
    with pytest.raises(ValueError, match=f"expected episodes of at least 1, got {episodes}"):
        compare(dot_world, agent, dataclasses.replace(CONFIG, episodes=episodes))


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), "hot", (0.1, 1.0)])
def test_bad_temperatures_are_refused_before_anything_runs(dot_world, agent, temperature, monkeypatch):
    monkeypatch.setattr("dreamenv.evaluate.compare.score", None)
    with pytest.raises(ValueError, match="expected a temperature"):
        compare(dot_world, agent, dataclasses.replace(CONFIG, temperatures=(0.5, temperature)))


def test_fewer_than_one_real_environment_is_refused(dot_world, agent):
    with pytest.raises(ValueError, match="num_envs"):
        compare(dot_world, agent, dataclasses.replace(CONFIG, num_envs=0))


@pytest.mark.parametrize(
    "agent",
    [
        dreamenv.LinearAgent(np.zeros((3, 41)), np.zeros(3), dreamenv.foundation.spaces.ActionSpec(n=3)),
        dreamenv.LinearAgent(np.zeros((4, 40)), np.arange(4.0), dreamenv.foundation.spaces.ActionSpec(n=4)),
    ],
    ids=["features", "actions"],
)
def test_an_agent_of_another_world_is_refused_with_what_was_expected(dot_world, agent):
    with pytest.raises(ValueError, match="expected"):
        compare(dot_world, agent, CONFIG)


@pytest.mark.parametrize(
    ("success_reward", "reward", "terminated", "expected"),
    [
        (0.4, 0.9, True, True),
        (0.4, 0.9, False, False),
        (0.4, 0.4, True, False),
        (0.4, 0.0, True, False),
        (-0.5, 0.0, True, True),
        (None, 0.9, True, False),
    ],
)
def test_a_success_ends_by_itself_on_a_step_that_pays_more(success_reward, reward, terminated, expected):
    assert is_success(outcome(reward, terminated), success_config(success_reward)) is expected


def test_success_is_unknown_where_the_world_knows_none(dot_world, agent):
    config = dataclasses.replace(dot_world.config, success_reward=None)
    env = DreamVectorEnv(dot_world, 4, autoreset_mode="Disabled")
    row = score(env, agent, range(4), config, name="x", temperature=1.0)
    assert (row.success, row.success_low, row.success_high) == (None, None, None)


@pytest.mark.parametrize("seed", range(5))
def test_the_bootstrap_interval_contains_the_mean(seed):
    values = np.random.default_rng(seed).exponential(size=30)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    assert bootstrap_interval(values) == (low, high)


def test_the_bootstrap_interval_has_the_width_of_theory():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_equal_values_have_an_interval_without_width():
    assert bootstrap_interval(np.full(5, 0.25)) == (0.25, 0.25)
    assert bootstrap_interval(np.array([3.0])) == (3.0, 3.0)


def test_the_interval_of_a_perfect_agent_is_wilsons(dot_world):
    row = summarise([outcome()] * 100, success_config(0.5), name="x", temperature=1.0)
    assert (row.success, row.success_high) == (1.0, 1.0)
    assert row.success_low == pytest.approx(1 / (1 + 1.959964**2 / 100), abs=1e-6)


@pytest.mark.parametrize(
    "space", [gym.spaces.Discrete(3), gym.spaces.Box(-1.0, 1.0, (2,), np.float32)], ids=["discrete", "box"]
)
def test_the_uniform_policy_covers_the_space_and_repeats_itself(space):
    draws = np.concatenate([UniformPolicy(space).predict(np.zeros((1000, 4)))[0] for _ in range(2)])
    assert all(space.contains(action) for action in draws)
    assert np.array_equal(draws[:1000], draws[1000:])
    if isinstance(space, gym.spaces.Discrete):
        assert np.bincount(draws[:1000]) / 1000 == pytest.approx([1 / 3] * 3, abs=0.05)


def test_a_constant_policy_takes_its_action():
    assert ConstantPolicy(2).predict(np.zeros((3, 4)))[0].tolist() == [2, 2, 2]
    assert ConstantPolicy(np.array([0.5])).predict(np.zeros((3, 4)))[0].shape == (3, 1)


def test_json_keeps_everything(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert content == json.loads(json.dumps(dataclasses.asdict(comparison)))
    assert len(content["scores"][0]["returns"]) == 12


def test_csv_has_a_line_per_score_that_agrees_with_json(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    scores = json.loads((tmp_path / "comparison.json").read_text())["scores"]
    with (tmp_path / "comparison.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(scores)
    for line, row in zip(lines, scores, strict=True):
        assert line["policy"] == row["policy"]
        assert line["temperature"] == ("" if row["temperature"] is None else str(row["temperature"]))
        for name in ("mean", "std", "low", "high", "success", "success_low", "success_high", "length"):
            assert float(line[name]) == row[name]


def test_the_table_fits_80_columns_and_lists_the_agent_first(comparison, always):
    lines = comparison_table(comparison).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 2 + 12
    assert lines[2].startswith("agent, greedy")
    order = ["agent, greedy", "agent, sampling", f"always action {always}", "uniform random"]
    assert [line.split("  ")[0].strip() for line in lines[2:]] == [policy for policy in order for _ in range(3)]
    assert ["dream 0.5" in lines[2], "dream 1" in lines[3], "real" in lines[4]] == [True] * 3


@pytest.mark.parametrize("mean", [918.546, -2086.123])
def test_the_table_fits_80_columns_with_large_returns(comparison, mean):
    scores = (made_up(mean, 1.15, length=2100.0), made_up(mean, None, length=2100.0))
    table = comparison_table(dataclasses.replace(comparison, scores=scores))
    assert max(map(len, table.splitlines())) <= 80


def test_the_table_shows_unknown_success_as_a_dash(comparison):
    unknown = dataclasses.replace(made_up(), success=None, success_low=None, success_high=None)
    assert " - " in comparison_table(dataclasses.replace(comparison, scores=(unknown,))).splitlines()[2]


@pytest.mark.parametrize("temperatures", [(0.5, 1.0), ()])
def test_the_plot_is_a_picture(comparison, tmp_path, temperatures):
    scores = tuple(row for row in comparison.scores if row.temperature in (*temperatures, None))
    plot_comparison(dataclasses.replace(comparison, scores=scores), tmp_path / "comparison.png")
    with Image.open(tmp_path / "comparison.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.size == (1100, 462)
        assert len(picture.convert("RGB").getcolors(1_000_000)) > 50


def test_the_plot_bears_unknown_successes(comparison, tmp_path):
    unknown = {"success": None, "success_low": None, "success_high": None}
    scores = tuple(dataclasses.replace(row, **unknown) for row in comparison.scores)
    plot_comparison(dataclasses.replace(comparison, scores=scores), tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").stat().st_size > 1000


def test_the_film_shows_dream_and_reality_side_by_side(dot_world, agent, tmp_path):
    write_film(dot_world, agent, tmp_path / "film.gif", seed=90_000, temperature=1.0)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.format == "GIF"
        assert film.is_animated
        assert film.size == (3 * 32 + 6 + 3 * 64, 14 + 3 * 16)
        film.seek(film.n_frames - 1)
        film.load()


def test_the_film_shows_the_first_frames_of_long_episodes(dot_world, agent, tmp_path, monkeypatch):
    monkeypatch.setattr(film_module, "LONGEST", 2)
    write_film(dot_world, agent, tmp_path / "film.gif", seed=90_000, temperature=1.0, fps=1)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames <= 3  # two, and the last one again


def test_the_film_of_long_episodes_leaves_pictures_out(dot_world, agent, tmp_path, monkeypatch):
    films = {}
    for most in (150, 4):
        monkeypatch.setattr(film_module, "PICTURES", most)
        write_film(dot_world, agent, tmp_path / "film.gif", seed=90_000, temperature=1.0, fps=1)
        with Image.open(tmp_path / "film.gif") as film:
            films[most] = film.n_frames - 1
    assert 3 <= films[4] <= 4 < films[150]


def test_the_film_begins_with_the_real_first_frame(dot_world, agent, tmp_path):
    write_film(dot_world, agent, tmp_path / "film.gif", seed=90_003, temperature=1.0)
    env = gym.make("Dot-v0")
    expected = env.reset(seed=90_003)[0].astype(int)
    with Image.open(tmp_path / "film.gif") as film:
        picture = np.asarray(film.convert("RGB")).astype(int)
    real = picture[14:, 3 * 32 + 6 : 3 * 32 + 6 + 3 * 32][::3, ::3]
    assert np.abs(real - expected).mean() < 4


def test_a_comparison_is_a_plain_record(comparison):
    assert isinstance(comparison, Comparison)
    assert dataclasses.asdict(comparison)["scores"][0]["policy"] == "agent, greedy"


def test_a_checkout_that_dreamenv_is_only_installed_in_is_not_its_own(tmp_path, monkeypatch):
    installed = tmp_path / "venv" / "dreamenv" / "compare.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    (tmp_path / ".gitignore").write_text("venv")
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init",), ("add", ".gitignore"), (*author, "commit", "-m", "theirs")):
        subprocess.run(("git", *command), cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr(compare_module, "__file__", str(installed))
    assert compare_module.commit() is None
    subprocess.run(("git", "add", "-f", installed), cwd=tmp_path, check=True)
    assert len(compare_module.commit().removesuffix("-dirty")) == 40


def test_a_live_model_is_compared_without_a_trace(dot_world):
    env = as_vec_env(DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.SAME_STEP))
    model = stable_baselines3.DQN("MlpPolicy", env, buffer_size=100, seed=0)
    config = dataclasses.replace(CONFIG, temperatures=(1.0,), episodes=4)
    seeds = list(model.env._seeds)
    np.random.seed(7)
    expected = np.random.RandomState(7).rand(3)

    first, second = (compare(dot_world, model, config) for _ in range(2))

    assert np.array_equal(np.random.rand(3), expected)
    assert model.env._seeds == seeds
    assert [row.returns for row in first.scores] == [row.returns for row in second.scores]


class Failing:
    """Acts once, then raises."""

    stochastic = False

    def __init__(self):
        self.calls = 0

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.calls += 1
        if self.calls > 3:
            raise RuntimeError("the agent fails")
        return np.zeros(len(observation), np.int64), state


@pytest.fixture
def opened(monkeypatch):
    """Every vector environment that is made, none of which may be stepped once it is closed."""
    made = []

    def watched(original):
        @functools.wraps(original)
        def make(*args, **kwargs):
            env = original(*args, **kwargs)
            step, close = env.step, env.close
            record = SimpleNamespace(closed=False)

            def checked_step(actions):
                assert not record.closed, "a closed environment was stepped"
                return step(actions)

            def noted_close(**kwargs):
                record.closed = True
                close(**kwargs)

            env.step, env.close = checked_step, noted_close
            made.append(record)
            return env

        return make

    for module, names in {
        "evaluate.compare": ("DreamVectorEnv", "make_reality_vector"),
        "evaluate.film": ("DreamVectorEnv", "make_reality_vector"),
        "verdict.trust": ("DreamVectorEnv", "make_reality_vector"),
        "evaluate.choose": ("make_reality_vector",),
        "evaluate.sight": ("make_pseudo_dream",),
    }.items():
        module = importlib.import_module(f"dreamenv.{module}")
        for name in names:
            monkeypatch.setattr(module, name, watched(getattr(module, name)))
    return made


def test_no_closed_environment_is_stepped_and_all_are_closed(dot_world, agent, opened):
    compare(dot_world, agent, dataclasses.replace(CONFIG, episodes=2))
    assert [env.closed for env in opened] == [True, True]


@pytest.mark.parametrize("evaluation", ["compare", "choose", "horizon", "film", "trust"])
def test_environments_are_closed_when_an_agent_fails(dot_world, dot_folder, opened, tmp_path, evaluation):
    calls = {
        "compare": lambda: compare(dot_world, Failing(), CONFIG),
        "choose": lambda: dreamenv.choose(dot_world, {"failing": Failing()}, ChooseConfig(episodes=4)),
        "horizon": lambda: score_by_sight(dot_world, Failing(), HorizonConfig(episodes=4)),
        "film": lambda: write_film(dot_world, Failing(), tmp_path / "film.gif", seed=0, temperature=1.0),
        "trust": lambda: dreamenv.trust(dot_world, Failing(), dreamenv.EpisodeStore(dot_folder / "episodes")),
    }
    with pytest.raises(RuntimeError, match="the agent fails"):
        calls[evaluation]()
    assert opened and all(env.closed for env in opened)


def test_the_bar_counts_steps_and_ends_full(dot_world, agent, policies, monkeypatch):
    class Bar:
        def __init__(self, total, unit, **kwargs):
            self.total, self.unit, self.n, self.moves = total, unit, 0, 0
            bars.append(self)

        def update(self, count):
            self.n, self.moves = self.n + count, self.moves + 1

        def set_postfix_str(self, *args, **kwargs):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    bars = []
    monkeypatch.setattr(compare_module, "progress", Bar)
    compare(dot_world, agent, CONFIG)
    assert bars[0].unit == "step"
    assert bars[0].n == bars[0].total == len(policies) * 3 * CONFIG.episodes * 20
    assert bars[0].moves > 10 * len(policies)  # it moves within rows, too


class Played:
    """Counts the episodes that policies that see nothing play."""

    def __init__(self, monkeypatch):
        self.steps = 0
        original = UniformPolicy.predict

        def counted(policy, observation, *args, **kwargs):
            self.steps += 1
            return original(policy, observation, *args, **kwargs)

        monkeypatch.setattr(UniformPolicy, "predict", counted)


def test_policies_that_see_nothing_are_played_once(dot_world, agent, comparison, tmp_path, monkeypatch):
    played, folder = Played(monkeypatch), tmp_path / "baselines"
    first = compare(dot_world, agent, CONFIG, baselines=folder)
    steps = played.steps
    second = compare(dot_world, agent, CONFIG, baselines=folder)
    assert steps > 0 and played.steps == steps
    assert first.scores == second.scores == comparison.scores and first.groups == second.groups
    compare(dot_world, agent, dataclasses.replace(CONFIG, temperatures=(), seed=5), baselines=folder)
    assert played.steps > steps


def test_real_baselines_serve_every_world_model_of_their_environment(dot_world, agent, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, temperatures=(), episodes=2)
    first = compare(dot_world, agent, config, baselines=tmp_path)
    memory = dataclasses.replace(dot_world.config.model.memory, components=3)
    facts = dataclasses.replace(dot_world.config, model=dataclasses.replace(dot_world.config.model, memory=memory))
    played = Played(monkeypatch)
    second = compare(World(facts, build_model(facts).eval(), dot_world.bank), agent, config, baselines=tmp_path)
    assert played.steps == 0
    assert [score for score in second.scores if "agent" not in score.policy] == [
        score for score in first.scores if "agent" not in score.policy
    ]


def test_baselines_of_an_environment_that_was_changed_are_played_again(dot_world, agent, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, temperatures=(), episodes=2)
    compare(dot_world, agent, config, baselines=tmp_path)
    played = Played(monkeypatch)
    monkeypatch.setattr(compare_module, "source", lambda env: "another text")
    compare(dot_world, agent, config, baselines=tmp_path)
    assert played.steps > 0


def test_damaged_baselines_are_played_again_and_folders_that_cannot_be_written_are_left_alone(
    dot_world, agent, tmp_path
):
    config = dataclasses.replace(CONFIG, temperatures=(), episodes=2)
    first = compare(dot_world, agent, config, baselines=tmp_path / "b")
    for path in (tmp_path / "b").iterdir():
        path.write_text("{}")
    assert compare(dot_world, agent, config, baselines=tmp_path / "b").scores == first.scores
    (tmp_path / "file").write_text("no folder")
    assert compare(dot_world, agent, config, baselines=tmp_path / "file" / "b").scores == first.scores
