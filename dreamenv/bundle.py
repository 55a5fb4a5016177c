"""Worlds on disk: config.json, world.safetensors, a model card, and a manifest of SHA-256 sums; no code."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from dreamenv.errors import BundleError
from dreamenv.files import remove_partial, sha256, write_bytes, write_json
from dreamenv.models.memory import State
from dreamenv.world import StartBank, World, WorldConfig, build_models

WEIGHTS = "world.safetensors"
CONFIG = "config.json"
CARD = "README.md"
MANIFEST = "manifest.json"
T = TypeVar("T")


def save(world: World, folder: str | Path, card: str | None = None) -> None:
    """Writes a world; weights are stored in half precision, so :func:`load` to go on with what others will get.

    Args:
        world: The world.
        folder: Made when missing.
        card: The model card; a short one is written by default.

    Raises:
        OSError: If the disk refuses.
    """
    folder = Path(folder)
    write_json(folder / CONFIG, TypeAdapter(WorldConfig).dump_python(world.config, mode="json"))
    write_bytes(folder / WEIGHTS, safetensors.torch.save(_tensors(world)))
    write_bytes(folder / CARD, (card or _card(world)).encode())
    write_json(folder / MANIFEST, manifest(folder, (CONFIG, WEIGHTS, CARD)))
    remove_partial(folder)


def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> World:
    """Loads a world.

    Args:
        name_or_path: The name of a world that ships with dreamenv, such as ``"sidewalk"``, or a folder.
        device: Where it will compute, ``"cuda"`` for example.

    Returns:
        The world, in evaluation mode.

    Raises:
        BundleError: If it is missing, damaged, or not a world; names the file and the reason.
        ValueError: If there is no such device.
    """
    folder = find(name_or_path)
    verify(folder, (CONFIG, WEIGHTS))
    config = read_config(folder / CONFIG, WorldConfig)
    tensors = {name: _widen(tensor) for name, tensor in read_tensors(folder / WEIGHTS).items()}
    try:
        vision, memory = build_models(config)
        vision.load_state_dict(_under("vision.", tensors))
        vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # or each convolution reorders them
        memory.load_state_dict(_under("memory.", tensors))
        bank = StartBank(tensors["bank.mean"], tensors["bank.log_variance"], State(**_under("bank.branches.", tensors)))
        world = World(config, vision.eval(), memory.eval(), bank, folder)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / WEIGHTS} does not fit its {CONFIG}: {error}") from None
    return world.to(device)


def find(name_or_path: str | Path) -> Path:
    """Returns the folder of a shipped world or of a path.

    Raises:
        BundleError: If there is no world; names the shipped ones.
    """
    path = Path(name_or_path)
    if (path / CONFIG).is_file():
        return path
    shipped = Path(str(files("dreamenv"))) / "worlds"
    if path.name == str(name_or_path) and (shipped / path.name / CONFIG).is_file():
        return shipped / path.name
    names = ", ".join(sorted(folder.parent.name for folder in shipped.glob(f"*/{CONFIG}"))) or "none"
    raise BundleError(
        f"expected the name of a shipped world ({names}) or a folder with a {CONFIG}, got {str(name_or_path)!r}"
    )


def manifest(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Sums of the named files of ``folder``."""
    return {name: sha256(folder / name) for name in names}


def verify(folder: Path, required: tuple[str, ...]) -> None:
    """Checks every file of a bundle against its manifest, which has to list the ``required`` ones.

    Raises:
        BundleError: If a file is missing or was changed.
    """
    try:
        sums = TypeAdapter(dict[str, str]).validate_json((folder / MANIFEST).read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        raise BundleError(f"{folder / MANIFEST} cannot be read: {error}") from None
    missing = [name for name in required if name not in sums]
    if missing:
        raise BundleError(f"{folder / MANIFEST} does not list {', '.join(missing)}")
    for name, expected in sums.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise BundleError(f"{folder / MANIFEST} lists {name!r}, which is not a file beside it")
        if sha256(path) != expected:
            raise BundleError(f"{path} is damaged: expected SHA-256 {expected}, got {sha256(path)}")


def copy_bundle(source: Path, target: Path) -> None:
    """Copies a saved world or agent, its manifest last, so that a half-made copy is refused rather than used.

    Raises:
        BundleError: If ``source`` is damaged.
    """
    verify(source, ())
    sums = TypeAdapter(dict[str, str]).validate_json((source / MANIFEST).read_bytes())
    for name in (*sums, MANIFEST):
        write_bytes(target / name, (source / name).read_bytes())


def world_id(world: World) -> str:
    """SHA-256 over the sums of a saved world's config and weights; empty for a world that was never saved."""
    if world.path is None:
        return ""
    sums = sha256(world.path / CONFIG) + sha256(world.path / WEIGHTS)
    return hashlib.sha256(sums.encode()).hexdigest()


def read_config(path: Path, kind: type[T]) -> T:
    """Reads a JSON file into a dataclass, refusing unknown keys and wrong types.

    Raises:
        BundleError: If it cannot be read.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True, extra="forbid")
    except (OSError, ValidationError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from None


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Reads a safetensors file.

    Raises:
        BundleError: If it cannot be read.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from None


def _tensors(world: World) -> dict[str, torch.Tensor]:
    bank = {"mean": world.bank.mean, "log_variance": world.bank.log_variance}
    branches = {name: getattr(world.bank.branches, name) for name in ("z", "h", "c", "step")}
    groups = {
        "vision.": world.vision.state_dict(),
        "memory.": world.memory.state_dict(),
        "bank.": bank,
        "bank.branches.": branches,
    }
    everything = {prefix + name: tensor for prefix, group in groups.items() for name, tensor in group.items()}
    facts = {f"memory.{name}" for name, _ in world.memory.named_buffers()}  # ranges of rewards and actions stay exact
    narrowed = {name: tensor if name in facts else _narrow(tensor) for name, tensor in everything.items()}
    return {name: tensor.cpu().contiguous() for name, tensor in narrowed.items()}


def _narrow(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _widen(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _card(world: World) -> str:
    config = world.config
    return (
        f"# A dream of {config.env_id}\n\n"
        f"Frames {config.frame_shape}, z {world.latent_size}, h {world.memory.hidden_size}, "
        f"{config.memory.components} Gaussians ({config.memory.mixture}), "
        f"endings {', '.join(config.endings) or 'none'}, "
        f"{len(world.bank.mean)} real first frames.\n\n"
        "```python\nimport dreamenv, gymnasium\n"
        'env = gymnasium.make("dreamenv:Dream-v0", world="this folder")\n```\n\n'
        f"Config:\n\n```json\n{json.dumps(TypeAdapter(WorldConfig).dump_python(config, mode='json'), indent=2)}\n```\n"
    )
