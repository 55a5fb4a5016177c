"""How a real environment is made: arguments and wrappers, from the command line into worlds and their reality."""

import dataclasses
import json
import sys

import gymnasium as gym
import numpy as np
import pytest
from picture_env import Mirror, PictureEnv

import dreamenv
from dreamenv import EnvRecipe, make_real
from dreamenv.bundle import CONFIG
from dreamenv.cli.commands.iterate import Iterate
from dreamenv.cli.run import main
from dreamenv.data.store import EpisodeStore
from dreamenv.envs.pseudo import make_pseudo_dream
from dreamenv.evaluate.choose import ChooseConfig, choose
from dreamenv.evaluate.film import write_film
from dreamenv.evaluate.scores import ConstantPolicy
from dreamenv.evaluate.sight import HorizonConfig, score_by_sight
from dreamenv.foundation.errors import BundleError, UnsupportedEnvironmentError
from dreamenv.foundation.manifest import read_files, write_files
from dreamenv.foundation.recipe import parse_kwargs
from dreamenv.real.make import make_reality, make_reality_vector

PICTURE, MIRROR = "picture_env:Picture-v0", "picture_env:Mirror"


def mirrored(world):
    """The world as it would be if its episodes had been collected through a wrapper, with an argument."""
    made = {"env_id": PICTURE, "env_kwargs": {"infos": True}, "wrappers": ("picture_env:mirror",)}
    return dreamenv.World(dataclasses.replace(world.config, **made), world.model, world.bank)


@pytest.mark.parametrize(
    ("pairs", "kwargs"),
    [
        ([], {}),
        (
            ["size=8", "rate=0.5", "name=it", "mode=rgb_array"],
            {"size": 8, "rate": 0.5, "name": "it", "mode": "rgb_array"},
        ),
        (["a=true", "b=False", "c=null", "d=None", "e="], {"a": True, "b": False, "c": None, "d": None, "e": ""}),
        (["a=[1, 2]", 'b={"c": 3}', 'd="8"', "e=x=y"], {"a": [1, 2], "b": {"c": 3}, "d": "8", "e": "x=y"}),
        (["a=NaN", "b=-Infinity"], {"a": "NaN", "b": "-Infinity"}),
    ],
)
def test_arguments_are_json_or_else_strings(pairs, kwargs):
    assert parse_kwargs(pairs) == kwargs


@pytest.mark.parametrize("pairs", [["size"], ["=8"], ["a b=3"], ["a=1", "a=2"]])
def test_other_arguments_are_refused(pairs):
    with pytest.raises(ValueError, match="expected arguments of the environment as key=value, each key once; got"):
        parse_kwargs(pairs)


@pytest.mark.parametrize("value", [object(), float("nan"), np.int64(3), {1: {2, 3}}], ids=str)
def test_arguments_that_no_file_can_hold_are_refused(value):
    with pytest.raises(ValueError, match="expected arguments of X-v0 that JSON can hold"):
        EnvRecipe("X-v0", {"it": value})


@pytest.mark.parametrize("name", ["mirror", "module:", ":mirror", ""])
def test_wrappers_without_module_or_name_are_refused(name):
    with pytest.raises(ValueError, match="expected wrappers as module:name, got"):
        EnvRecipe("X-v0", wrappers=(name,))


def test_arguments_are_those_that_a_file_gives_back():
    recipe = EnvRecipe("X-v0", {"size": (8, 8)})
    assert recipe == EnvRecipe("X-v0", {"size": [8, 8]})
    assert hash(recipe) == hash(EnvRecipe("X-v0", {"size": [8, 8]}))
    assert str(EnvRecipe("X-v0", {"size": 8}, ("a:b",))) == "X-v0, size=8, wrapped by a:b"


def test_wrappers_are_applied_in_order_and_seen_by_the_world():
    env = make_real(EnvRecipe(PICTURE, {}, ("picture_env:mirror", "gymnasium.wrappers:RecordEpisodeStatistics")))
    assert isinstance(env.env, gym.wrappers.RecordEpisodeStatistics)
    plain = make_real(PICTURE)
    assert np.array_equal(env.reset(seed=0)[0], plain.reset(seed=0)[0][:, ::-1])


@pytest.mark.parametrize(
    ("wrapper", "says"),
    [
        ("picture_env:nothing", "expected a wrapper that returns an environment, got int"),
        ("picture_env:absent", "which is not there"),
        ("picture_env:SPACES", "a class derived from gymnasium.Wrapper or a function"),
        ("no_such_module:mirror", "expected an installed wrapper module:name, got 'no_such_module:mirror'"),
        ("gymnasium.wrappers:ResizeObservation", "with the environment as its only argument.*missing.*'shape'"),
        ("os:abort", "a function named with the module that defines it"),
        ("shutil:rmtree", "a function named with the module that defines it"),
        ("dreamenv.bundle:read_files", "a function named with the module that defines it"),
        ("builtins:exit", "a function named with the module that defines it"),
    ],
)
def test_other_wrappers_are_refused_and_the_environment_closed(monkeypatch, wrapper, says):
    closed = []
    monkeypatch.setattr(PictureEnv, "close", lambda env: closed.append(env))
    with pytest.raises(UnsupportedEnvironmentError, match=says):
        make_real(EnvRecipe(PICTURE, {}, (wrapper,)))
    assert len(closed) == 1


def test_an_unknown_argument_of_a_recipe_is_refused_by_name():
    with pytest.raises(UnsupportedEnvironmentError, match="expected the arguments .*'colour'"):
        make_real(EnvRecipe(PICTURE, {"colour": "red"}))


def test_a_time_limit_among_the_arguments_is_that_of_the_world(tmp_path):
    recipe = EnvRecipe(PICTURE, {"max_episode_steps": 4})
    store = dreamenv.collect(recipe, tmp_path, dreamenv.CollectConfig(frames=20, num_envs=2, shard_episodes=3))
    assert store.spec.max_episode_steps == 4
    assert store.lengths.max() == 4


def test_the_command_line_takes_arguments_and_wrappers_into_the_store(tmp_path, capsys):
    command = ["collect", "--env", PICTURE, "--world", str(tmp_path), "--frames", "40", "--num-envs", "2"]
    options = ["--shard-episodes", "2", "--env-kwargs", "kind=rgb", "infos=true", "--env-kwargs", "wrong_at=3"]
    assert main([*command, *options, "--wrappers", "picture_env:mirror", MIRROR]) == 0
    spec = EpisodeStore(tmp_path / "episodes").spec
    assert spec.env_kwargs == {"kind": "rgb", "infos": True, "wrong_at": 3}
    assert spec.wrappers == ("picture_env:mirror", MIRROR)
    assert main([*command, *options]) == 2
    assert "cannot add episodes of" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["collect", "iterate"])
def test_an_argument_without_a_value_is_wrong_input(tmp_path, capsys, name):
    assert main([name, "--env", PICTURE, "--world", str(tmp_path), "--env-kwargs", "size"]) == 2
    assert "expected arguments of the environment as key=value" in capsys.readouterr().err


def test_iterations_hand_the_recipe_on(tmp_path, monkeypatch):
    handed = []
    monkeypatch.setattr("dreamenv.rounds.iterate.iterate", lambda recipe, *_: handed.append(recipe) or sys.exit())
    with pytest.raises(SystemExit):
        Iterate(PICTURE, tmp_path, (("kind=dict",),), ((MIRROR,),)).run()
    assert handed == [EnvRecipe(PICTURE, {"kind": "dict"}, (MIRROR,))]


def test_a_store_and_a_world_of_an_id_alone_have_the_files_of_before(dot_world, dot_folder, tmp_path):
    for facts in (json.loads((dot_folder / "episodes" / "spec.json").read_text()), _config_of(dot_world, tmp_path)):
        assert facts.keys().isdisjoint({"env_kwargs", "wrappers"})


def _config_of(world, folder):
    dreamenv.save(world, folder)
    return json.loads((folder / CONFIG).read_text())


def test_a_world_keeps_arguments_and_wrappers(dot_world, tmp_path):
    dreamenv.save(mirrored(dot_world), tmp_path)
    again = dreamenv.load(tmp_path)
    assert again.config.recipe == EnvRecipe(PICTURE, {"infos": True}, ("picture_env:mirror",))
    assert again.config == mirrored(dot_world).config
    assert "wrapped by picture_env:mirror" in (tmp_path / "README.md").read_text().splitlines()[0]


def test_training_hands_them_from_the_store_to_the_world(dot_folder):
    from dot_settings import DOT_TRAIN

    from dreamenv.training.world import world_config_of

    store = EpisodeStore(dot_folder / "episodes")
    store.spec = dataclasses.replace(store.spec, env_kwargs={"infos": True}, wrappers=(MIRROR,))
    assert world_config_of(store, list(store), DOT_TRAIN).recipe == store.spec.recipe


@pytest.mark.parametrize("wrappers", ["picture_env", 3, ["mirror"], [3]], ids=str)
def test_a_world_with_other_wrappers_is_refused(dot_world, tmp_path, wrappers):
    dreamenv.save(dot_world, tmp_path)
    files = read_files(tmp_path, ())
    facts = json.loads(files[CONFIG])
    files[CONFIG] = json.dumps({**facts, "wrappers": wrappers}).encode()
    write_files(tmp_path, files)
    with pytest.raises(BundleError, match=r"(?s)config.json cannot be read.*wrappers"):
        dreamenv.load(tmp_path)


class TestReality:
    """Whatever enters the reality of a world enters the one that it was collected in."""

    @pytest.fixture
    def resets(self, monkeypatch):
        """Counts the resets of mirrored environments, with their arguments."""
        seen, observation = [], Mirror.observation
        monkeypatch.setattr(
            Mirror, "observation", lambda env, frame: seen.append(env.unwrapped._infos) or observation(env, frame)
        )
        return seen

    def test_environments(self, dot_world, resets):
        world = mirrored(dot_world)
        for make in (
            lambda: make_reality(world.config.recipe),
            lambda: make_reality_vector(world.config.recipe, 2),
            lambda: make_pseudo_dream(world, 2, every=3),
            lambda: gym.make("dreamenv:Latent-v0", world=world),
            lambda: gym.make_vec("dreamenv:Latent-v0", num_envs=1, world=world),
        ):
            resets.clear()
            make().reset(seed=0)
            assert resets and all(resets)

    def test_evaluations(self, dot_world, dot_folder, resets, tmp_path, dot_agent_folder):
        world = mirrored(dot_world)
        store = EpisodeStore(dot_folder / "episodes")
        store.spec = dataclasses.replace(
            store.spec, env_id=PICTURE, env_kwargs={"infos": True}, wrappers=("picture_env:mirror",)
        )
        agent = ConstantPolicy(0)
        dot_agent = dreamenv.load_agent(dot_agent_folder)
        for evaluate in (
            lambda: dreamenv.compare(world, agent, dreamenv.CompareConfig((1.0,), episodes=2, num_envs=2)),
            lambda: choose(world, {"it": agent}, ChooseConfig(episodes=2)),
            lambda: score_by_sight(world, agent, HorizonConfig(every=(2,), episodes=2)),
            lambda: write_film(world, agent, tmp_path / "film.gif", seed=0, temperature=1.0),
            lambda: dreamenv.trust(world, dot_agent, store, dreamenv.TrustConfig(dreams=4, real_episodes=2)),
        ):
            resets.clear()
            evaluate()
            assert resets and all(resets)

    def test_episodes_of_another_recipe_are_refused(self, dot_world, dot_folder, dot_agent_folder, tmp_path):
        world, store = mirrored(dot_world), EpisodeStore(dot_folder / "episodes")
        with pytest.raises(ValueError, match="expected episodes of picture_env:Picture-v0, infos=True, wrapped by"):
            dreamenv.trust(world, dreamenv.load_agent(dot_agent_folder), store)
        with pytest.raises(ValueError, match="expected episodes of picture_env:Picture-v0, infos=True, wrapped by"):
            dreamenv.inspect(world, store, tmp_path)

    def test_no_module_is_imported_because_a_world_names_it(self, dot_world, tmp_path, monkeypatch):
        (tmp_path / "strange_wrappers.py").write_text("raise SystemExit('imported')\n")
        monkeypatch.syspath_prepend(tmp_path)
        config = dataclasses.replace(dot_world.config, wrappers=("strange_wrappers:wrap",))
        with pytest.raises(UnsupportedEnvironmentError, match="import.*strange_wrappers.*--import strange_wr"):
            make_reality(config.recipe)
        assert "strange_wrappers" not in sys.modules

    @pytest.mark.parametrize(
        "name", ["os:abort", "subprocess:run", "dreamenv.foundation.files:sha256_of", "builtins:print"]
    )
    def test_what_is_no_wrapper_is_not_called_because_a_world_names_it(self, dot_world, name):
        config = dataclasses.replace(dot_world.config, wrappers=(name,))
        with pytest.raises(UnsupportedEnvironmentError, match="expected a wrapper module:name"):
            make_reality(config.recipe)
