"""Agents on disk: config.json, agent.safetensors and a manifest; never a pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
from pydantic import JsonValue, TypeAdapter
from torch import Tensor, nn

from dreamenv.bundle import CONFIG, parse_config, parse_tensors, world_id
from dreamenv.foundation.errors import BundleError, ResumeError, SettingsError
from dreamenv.foundation.files import to_json
from dreamenv.foundation.manifest import MANIFEST, read_files, write_files
from dreamenv.foundation.ranges import Count, Range, Settings
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.view import Input
from dreamenv.world import World

WEIGHTS = "agent.safetensors"
UNITS = Range(1, 2**16, integer=True)


@dataclass(frozen=True)
class AgentConfig(Settings):
    """Everything of an agent that is not a tensor.

    Attributes:
        kind: Name of a registered kind, see :mod:`dreamenv.agents.registry`.
        env_id: The real environment it is for.
        world: Identity of the world it was trained in, see :func:`dreamenv.bundle.world_id`.
        feature_size: F, the length of an observation.
        action: The action space.
        algorithm: Name of the Stable-Baselines3 algorithm, or "actor-critic"; empty for a linear agent.
        net_arch: Hidden layers of its networks; None for the algorithm's own default.
        members: How many vote, for an agent of the kind "vote".
        inputs: What it sees of a state, see :meth:`dreamenv.World.showing`.
        action_repeat: Steps that it holds every action for.
        scaled_actions: Whether its policy chooses Box actions on a scale of -1 to 1.
        details: Facts of its kind alone, as JSON values; the kind's reader checks them. Left out of files if empty,
            because older versions reject new keys.
    """

    kind: str
    env_id: str
    world: str
    feature_size: Annotated[int, UNITS]
    action: ActionSpec
    algorithm: str = ""
    net_arch: tuple[int, ...] | None = None
    members: Annotated[int, Range(0, 2**10, integer=True)] = 0
    inputs: tuple[Input, ...] = ("z", "h")
    action_repeat: Count = 1
    scaled_actions: bool = False
    details: dict[str, JsonValue] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuses networks that are too large to build."""
        super().__post_init__()
        layers = self.net_arch or ()
        if len(layers) > 15 or not all(UNITS.allows(units) for units in layers):
            raise SettingsError(f"expected up to 15 layers of 1 to {2**16:,} units, got {layers}")

    @classmethod
    def of(cls, kind: str, world: World, **facts: Any) -> AgentConfig:
        """Describes an agent that was trained in ``world``; ``facts`` are the other fields."""
        own = {"feature_size": world.feature_size, "action": world.config.action, "inputs": world.view.inputs}
        return cls(kind, world.config.env_id, world_id(world), **{**own, **facts})


def save_agent(folder: Path, config: AgentConfig, tensors: dict[str, Tensor]) -> None:
    """Writes an agent; one that is there already is replaced as a whole or not at all.

    Raises:
        StorageError: If the disk refuses.
    """
    facts = TypeAdapter(AgentConfig).dump_python(config, mode="json")
    contents = {
        CONFIG: to_json({name: value for name, value in facts.items() if value or name != "details"}),
        WEIGHTS: safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}),
    }
    write_files(folder, contents)


def sha256_of(networks: nn.Module) -> str:
    """SHA-256 of an agent's weights, as they are stored."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in networks.state_dict().items()}
    return sha256(safetensors.torch.save(tensors)).hexdigest()


def check_kind(folder: Path, kind: str) -> None:
    """Keeps an agent from being replaced by one of another kind.

    Raises:
        ResumeError: If the folder holds such an agent.
        BundleError: If what it holds is damaged.
    """
    if (folder / MANIFEST).is_file() and (found := read_agent(folder)[0].kind) != kind:
        raise ResumeError(f"expected a folder without an agent, or with one of kind {kind}, got {found} in {folder}")


def find_agent(name_or_path: str | Path) -> Path:
    """Returns the folder of a shipped agent or of a path.

    Raises:
        BundleError: If there is no agent; names the shipped ones.
    """
    folder = Path(name_or_path)
    if (folder / MANIFEST).is_file():
        return folder
    shipped = Path(str(files("dreamenv"))) / "worlds"
    known = {f"{c.parents[2].name}/{c.parent.name}": c.parent for c in sorted(shipped.glob(f"*/agents/*/{MANIFEST}"))}
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    names = ", ".join(known) or "none"
    raise BundleError(f"expected the name of a shipped agent ({names}) or an agent's folder, got {str(name_or_path)!r}")


def read_agent(name_or_path: str | Path) -> tuple[AgentConfig, dict[str, Tensor]]:
    """Reads an agent's files.

    Args:
        name_or_path: ``"world/agent"`` for one that ships with dreamenv, or a folder.

    Raises:
        BundleError: If it is missing or damaged; names the shipped agents.
    """
    folder = find_agent(name_or_path)
    contents = read_files(folder, (CONFIG, WEIGHTS))
    config = parse_config(contents[CONFIG], AgentConfig, folder / CONFIG)
    return config, parse_tensors(contents[WEIGHTS], folder / WEIGHTS)
