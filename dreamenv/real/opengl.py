"""Isolates OpenGL objects that Miniworld environments of one process share, and frees them on close."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from dreamenv.foundation.errors import RenderingError


@functools.cache
def isolate_drawing(library: ModuleType, base: str) -> None:
    """Gives every Miniworld environment its own OpenGL display list, and makes ``close`` free its OpenGL objects.

    Miniworld (2.1.0) compiles walls and other static objects into display list 1. All environments of a process share
    their OpenGL objects, so each environment drew the walls of the one that was reset last. The patch replaces list 1
    by a list for each OpenGL context. ``close`` of the library frees nothing, which leaks about 36 MB per environment.

    Drawing hangs in a forked process whose parent has drawn with threads or on a screen. There, environments raise an
    error instead.

    Args:
        library: The module that calls OpenGL, ``miniworld.miniworld``.
        base: Name of the base class of its environments.
    """
    from pyglet import gl

    cls = getattr(library, base)
    compile_list, close = cls._render_static, cls.close

    def compile_own_list(env: Any) -> None:
        env.shadow_window.switch_to()  # the library draws in the environment's context, but compiles in the current one
        gl.current_context.static_list = getattr(gl.current_context, "static_list", None) or gl.glGenLists(1)
        compile_list(env)

    def close_and_free(env: Any) -> None:
        close(env)
        if env.shadow_window.context:
            _free(env)

    def own_list(number: int) -> int:
        return getattr(gl.current_context, "static_list", number)

    patches = {
        "glNewList": lambda number, mode: gl.glNewList(own_list(number), mode),
        "glCallList": lambda number: gl.glCallList(own_list(number)),
        "glDeleteLists": lambda number, count: gl.glDeleteLists(own_list(number), count),
    }
    vars(library).update(patches)
    cls._render_static, cls.close = compile_own_list, close_and_free
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: None if _survives_fork() else _disable(cls))


def _survives_fork() -> bool:
    """Returns whether OpenGL still works in this forked process. Mesa does if it is headless and has no threads."""
    import pyglet

    tasks = Path(f"/proc/{os.getppid()}/task").glob("*/comm")  # of the parent, because a forked process has one thread
    threads = any("llvmpipe-" in task.read_text() for task in tasks)
    mesa = "llvmpipe" in pyglet.gl.gl_info.get_renderer()
    return mesa and pyglet.options["headless"] and not threads


def _disable(cls: Any) -> None:
    """Makes all methods that draw raise an error in this process."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise RenderingError(
            "expected to draw in a process that was not forked from one that draws, as its threads and its screen are "
            "missing here: start processes by 'spawn' or 'forkserver', or set LP_NUM_THREADS=0 and unset DISPLAY"
        )

    cls.__init__ = cls.reset = cls.step = cls.render = refuse
    cls.close = lambda env: None


def _free(env: Any) -> None:
    """Deletes the display list of an environment, its frame buffers with their attachments, and its context."""
    from pyglet import gl

    def attached(attachment: int) -> ctypes.Array:
        name, kind = gl.GLint(), gl.GL_FRAMEBUFFER_ATTACHMENT_OBJECT_NAME
        gl.glGetFramebufferAttachmentParameteriv(gl.GL_FRAMEBUFFER, attachment, kind, ctypes.byref(name))
        return (gl.GLuint * 1)(name.value)

    env.shadow_window.switch_to()
    for frame in (env.obs_fb.multi_fbo, env.obs_fb.final_fbo, env.vis_fb.multi_fbo, env.vis_fb.final_fbo):
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, frame)
        gl.glDeleteTextures(1, attached(gl.GL_COLOR_ATTACHMENT0))
        gl.glDeleteRenderbuffers(1, attached(gl.GL_DEPTH_ATTACHMENT))
        gl.glDeleteFramebuffers(1, ctypes.byref(frame))
    gl.glDeleteLists(getattr(gl.current_context, "static_list", 0), 1)
    env.shadow_window.close()
