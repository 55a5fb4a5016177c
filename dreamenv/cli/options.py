"""How commands read their options."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import tyro

from dreamenv.foundation.recipe import EnvRecipe, parse_kwargs

DEFAULT_KIND = "mdnrnn"  # of world models: V and M
Flat = tyro.conf.arg(name="")  # the options of a nested dataclass, without a prefix
Texts = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction]  # several at once, or the option again


def read_recipe(env: str, kwargs: Sequence[Sequence[str]], wrappers: Sequence[Sequence[str]]) -> EnvRecipe:
    """Makes a recipe of the options --env, --env-kwargs and --wrappers."""
    return EnvRecipe(env, parse_kwargs(list(itertools.chain(*kwargs))), tuple(itertools.chain(*wrappers)))
