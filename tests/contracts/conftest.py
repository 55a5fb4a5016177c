import importlib.util
from pathlib import Path

import pytest

import dreamenv

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_world_model.py"


@pytest.fixture(scope="session")
def example():
    """The example of a world model that a user wrote; loading it registers the model's kind."""
    spec = importlib.util.spec_from_file_location("own_world_model", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def grid(example, tmp_path_factory):
    """A trained world of the example's kind."""
    folder = tmp_path_factory.mktemp("grid")
    dreamenv.collect("Grid-v0", folder / "episodes", dreamenv.CollectConfig(frames=3000))
    return dreamenv.train(folder, example.TableTraining())
