"""Imports the wrappers that a recipe names; checks that a recipe from the file of a world imports nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import gymnasium as gym

from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.foundation.recipe import EnvRecipe


def wrap(env: gym.Env, names: Sequence[str]) -> gym.Env:
    """Imports wrappers named ``module:name`` and applies them in order.

    Raises:
        UnsupportedEnvironmentError: If a wrapper does not exist, needs further arguments, or does not return an
            environment.
    """
    for name in names:
        wrapper = _find(name)
        try:
            wrapped = wrapper(env)
        except TypeError as error:
            raise UnsupportedEnvironmentError(
                f"expected a wrapper with the environment as its only argument, got {name!r}: {error}; write a "
                "function that passes its other arguments, and name that function"
            ) from error
        if not isinstance(wrapped, gym.Env):
            raise UnsupportedEnvironmentError(
                f"expected a wrapper that returns an environment, got {type(wrapped).__name__} from {name!r}"
            )
        env = wrapped
    return env


def check_named_by_world(recipe: EnvRecipe) -> None:
    """Checks that making the environment of a world imports no module, because its files may be untrusted.

    Args:
        recipe: The recipe in the files; ``module:name`` is allowed if ``module`` is already imported.

    Raises:
        UnsupportedEnvironmentError: If a module would be imported; names it.
    """
    named = [recipe.id.rpartition(":"), *(name.partition(":") for name in recipe.wrappers)]
    missing = sorted({module for module, colon, _ in named if colon and module not in sys.modules})
    if missing:
        raise UnsupportedEnvironmentError(
            f"this world names {str(recipe)!r}, and a world may not import anything: if you know "
            f"{' and '.join(map(repr, missing))}, import it first; on the command line with "
            f"{' '.join(f'--import {module}' for module in missing)}"
        )


def _find(name: str) -> Callable[[gym.Env], Any]:
    """Imports a wrapper class or function, and checks that it is safe to call although a file names it.

    Reads ``vars`` of the module, because ``getattr`` may run a module's ``__getattr__``, which may import others.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Any = vars(importlib.import_module(module)).get(attribute)
    except ModuleNotFoundError as error:
        raise UnsupportedEnvironmentError(f"expected an installed wrapper module:name, got {name!r}: {error}") from None
    if isinstance(found, type) and issubclass(found, gym.Wrapper):
        return found
    standard = module.partition(".")[0] in sys.stdlib_module_names
    if isinstance(found, FunctionType) and found.__module__ == module and not standard:
        return found
    raise UnsupportedEnvironmentError(
        f"expected a wrapper module:name, a class derived from gymnasium.Wrapper or a function named with the module "
        f"that defines it; got {name!r}, which is {'not there' if found is None else repr(found)}"
    )
