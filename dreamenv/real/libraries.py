"""Tables of known environment libraries, and the preparations that each library needs."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

from dreamenv.real.opengl import isolate_drawing

_REGISTERED_BY = {  # id prefix -> the module whose import registers the id
    "MiniWorld-": "miniworld",
    "MiniGrid-": "minigrid",
    "BabyAI-": "minigrid",
}
_DRAWN_BY = {"miniworld.miniworld": "MiniWorldEnv"}  # the module that calls OpenGL -> its base class
_TARGET_OF = {"MiniWorld-": "box"}  # id prefix -> the environment's attribute that holds the target


def prepare_headless() -> None:
    """Sets pyglet and MuJoCo to draw without a screen, and Mesa in the calling thread, where there is no display.

    Call it before anything imports pyglet's windows or MuJoCo. Mesa draws small frames faster than it wakes other
    threads (docs/results/speed.md). Values of ``LP_NUM_THREADS`` and ``MUJOCO_GL`` that are already set stay. Only
    Mesa's driver for the processor reads the former.
    """
    if os.environ.get("DISPLAY"):
        return
    if importlib.util.find_spec("pyglet"):
        import pyglet

        pyglet.options["headless"] = True
    os.environ.setdefault("LP_NUM_THREADS", "0")
    os.environ.setdefault("MUJOCO_GL", "egl")


def register_environments(env_id: str) -> None:
    """Imports the known module, if any, that registers ``env_id`` with Gymnasium."""
    for prefix, module in _REGISTERED_BY.items():
        if env_id.startswith(prefix):
            importlib.import_module(module)


def isolate_known_drawing() -> None:
    """Isolates the OpenGL objects of the known libraries that are imported."""
    for name, base in _DRAWN_BY.items():
        if library := sys.modules.get(name):
            isolate_drawing(library, base)


def target_attribute(env_id: str) -> str | None:
    """Returns the attribute of an environment that holds its target; None for unknown environments."""
    return next((name for prefix, name in _TARGET_OF.items() if env_id.startswith(prefix)), None)
