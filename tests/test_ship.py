"""A finished run becomes a world of the package, its record and the README's table."""

import json
import shutil

import pytest

import dreamenv
from dreamenv.bundle import copy_bundle
from dreamenv.cli.run import main
from dreamenv.reports.summary import report
from tools import ship_world

README = "before\n<!-- results:begin -->\nan old table\n<!-- results:end -->\nafter\n"


@pytest.fixture(scope="module")
def run(dot_world, dot_folder, dot_agent_folder, tmp_path_factory):
    """A run whose agent was chosen and compared."""
    run = shutil.copytree(dot_folder, tmp_path_factory.mktemp("runs") / ship_world.SHOWN)
    report(dot_world, dreamenv.EpisodeStore(run / "episodes"), run / "training")
    agent, few = run / "agents" / "ppo", ["--episodes", "3", "--num-envs", "2"]
    world = ["--world", str(run)]
    assert main(["choose", *world, "--agents", str(dot_agent_folder), "--keep", str(agent), *few]) == 0
    assert main(["compare", *world, "--agent", str(agent), "--temperatures", "0.5", "1.0", *few]) == 0
    return run


@pytest.fixture
def shipped(run, tmp_path, monkeypatch):
    """A repository into which the run was shipped."""
    (tmp_path / "docs" / "images").mkdir(parents=True)
    (tmp_path / "README.md").write_text(README)
    monkeypatch.setattr(ship_world, "ROOT", tmp_path)
    ship_world.main(run)
    return tmp_path


def test_the_world_and_its_agent_are_in_the_package(shipped, run, dot_world):
    package = shipped / "dreamenv" / "worlds" / ship_world.SHOWN
    world = dreamenv.load(package)
    assert world.config == dot_world.config
    dreamenv.load_agent(package / "agents" / "ppo")
    store = dreamenv.EpisodeStore(run / "episodes")
    card = (package / "README.md").read_text()
    assert f"Trained on {store.num_frames:,} real frames ({len(store)} episodes)" in card
    assert not list(package.rglob("*episodes*"))  # they are large, and can be collected anew


def test_the_record_holds_choice_and_comparison(shipped, run, dot_agent_folder):
    record = shipped / "docs" / "results" / ship_world.SHOWN
    copied = (record / "ppo" / "comparison.json").read_text()
    assert copied == (run / "compare" / "ppo" / "comparison.json").read_text()
    assert list(json.loads((record / "ppo" / "choice.json").read_text())) == [str(dot_agent_folder)]
    assert not (record / "linear").exists()  # of which the run has none


def test_the_table_of_the_readme_is_replaced(shipped):
    text = (shipped / "README.md").read_text()
    assert text.startswith("before\n<!-- results:begin -->\n`")
    assert text.endswith("\n<!-- results:end -->\nafter\n")
    assert "an old table" not in text
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("| ")]
    places = {policy: {place for name, place in rows if name == policy} for policy, _ in rows}
    assert places["agent, greedy"] == places["agent, sampling"] == {"dream 0.5", "dream 1", "real"}
    assert places["uniform random"] == {"real"}  # the same in every dream: once is enough


def test_an_rssm_ships_with_the_error_of_its_own_pictures(rssm_world, dot_folder, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "rssm"
    shutil.copytree(dot_folder / "episodes", run / "episodes")
    copy_bundle(rssm_world.path, run)
    errors = report(rssm_world, dreamenv.EpisodeStore(run / "episodes"), run / "training").one_step
    monkeypatch.setattr(ship_world, "ROOT", tmp_path)

    ship_world.main(run)

    package = tmp_path / "dreamenv" / "worlds" / "rssm"
    assert dreamenv.load(package).config == rssm_world.config
    assert f"Held-out squared error {errors.posterior_error:.4f}," in (package / "README.md").read_text()
