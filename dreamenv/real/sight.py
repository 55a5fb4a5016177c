"""Position of the agent in a real environment, and whether its target is in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from dreamenv.real.libraries import target_attribute

_UNIT_BOX = np.stack(np.meshgrid([-0.5, 0.0, 0.5], [0.0, 0.5, 1.0], [-0.5, 0.0, 0.5]), -1).reshape(-1, 3)  # (27, 3)


@dataclass(frozen=True)
class Sight:
    """Position of the agent, and whether its target is in the frame; for evaluations, never for training.

    Attributes:
        position: On the ground, (x, z), in the environment's unit of length.
        heading: In radians; grows beyond a full turn.
        in_view: Whether some part of the target is within the frame and not hidden by a wall.
    """

    position: tuple[float, float]
    heading: float
    in_view: bool


def sight(env: gym.Env) -> Sight | None:
    """Reads the position of the agent in a real environment, and whether its target is in view.

    The occlusion queries of the library (2.1.0) test only a small cube at the foot of the target, so a target directly
    before the agent counts as hidden. They also cost nearly as much as a step. This function computes the view itself.

    Args:
        env: A real environment that was reset.

    Returns:
        The sight; None if the environment exposes no positions or does not have exactly one target.
    """
    world: Any = env.unwrapped
    target = _target(world)
    if target is None:
        return None
    agent = world.agent
    return Sight((float(agent.pos[0]), float(agent.pos[2])), float(agent.dir), _in_view(world, target))


def _target(world: Any) -> Any:
    """Returns the target; None if there is none, or if other entities have its type."""
    name = target_attribute(world.spec.id if world.spec else "")
    target = getattr(world, name, None) if name else None
    same_type = [entity for entity in world.entities if type(entity) is type(target)] if target else []
    return target if len(same_type) == 1 else None


def _in_view(world: Any, target: Any) -> bool:
    """Returns whether one of 27 points of the target is within the camera's field of view and before all walls."""
    camera, (height, width, _) = world.agent, world.observation_space.shape
    eye, ahead, right = camera.cam_pos, camera.cam_dir, camera.right_vec
    axes = np.stack([target.dir_vec, (0.0, 1.0, 0.0), target.right_vec])
    points = target.pos + (_UNIT_BOX * target.size) @ axes - eye
    depth, across, along = (points @ axis for axis in (ahead, right, np.cross(right, ahead)))
    reach = depth * np.tan(np.radians(camera.cam_fov_y) / 2)
    inside = (depth > 0) & (abs(along) < reach) & (abs(across) < reach * width / height)
    return bool(inside.any()) and not _hidden(points[inside], world.wall_segs - eye).all()


def _hidden(points: NDArray, walls: NDArray) -> NDArray[np.bool_]:
    """Returns for each of (P, 3) points whether one of (W, 2, 3) walls hides it from the origin.

    Walls count as infinitely high.
    """
    ends, points = walls[:, :, (0, 2)], points[:, None, (0, 2)]
    start, end = ends[:, 0], ends[:, 1]
    astride = _cross(points, start) * _cross(points, end) < 0  # the ends of the wall are on both sides of the view line
    behind = _cross(end - start, -start) * _cross(end - start, points - start) < 0  # the wall separates eye and point
    return (astride & behind).any(1)


def _cross(one: NDArray, other: NDArray) -> NDArray:
    """Returns the cross products of (..., 2) vectors."""
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
