"""Worlds on disk: config.json, world.safetensors, a model card, and a manifest of SHA-256 sums; no code."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from torch import nn

from dreamenv.config import WorldConfig, build_model
from dreamenv.engine.placement import on_device
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.foundation.files import to_json
from dreamenv.foundation.manifest import MANIFEST, read_files, write_files
from dreamenv.foundation.recipe import to_plain
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.registry import ModelKind, kind_of_config, model_kind
from dreamenv.world import Identity, World

WEIGHTS = "world.safetensors"
CONFIG = "config.json"
CARD = "README.md"
_BANK = "bank."  # prefix of the names of its tensors; all others belong to the model
_DROPPED = "memory.action."  # a head of the first format that no dream used
_STATE = ("z", "h", "c", "step")  # the parts of a state, by their names in files
_MAX_DIMENSIONS = 4
_TYPES = (torch.float16, torch.float32, torch.int64)
T = TypeVar("T")


def save(world: World, folder: str | Path, card: str | None = None) -> None:
    """Writes a world; weights are stored in half precision, so :func:`load` it to continue with the stored numbers.

    Args:
        world: The world.
        folder: Made when missing; a world in it is replaced as a whole or not at all.
        card: The model card; a short one is written by default.

    Raises:
        StorageError: If writing fails.
        SettingsError: If a number is not finite, or a tensor is of a type that bundles do not hold; nothing is written.
    """
    write_files(Path(folder), {**_contents(world), CARD: (card or _card(world)).encode()})


def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> World:
    """Loads a world; its files cannot run code, see SECURITY.md.

    Args:
        name_or_path: The name of a world that ships with dreamenv, such as ``"sidewalk"``, or a folder.
        device: Device of the world, ``"cuda"`` for example.

    Returns:
        The world, in evaluation mode.

    Raises:
        BundleError: If it is missing, damaged, or not a world; the message names the file and the reason.
        SettingsError: If torch has no such device.
    """
    folder = find(name_or_path)
    contents = read_files(folder, (CONFIG, WEIGHTS))
    config = parse_world_config(contents[CONFIG], folder / CONFIG)
    tensors = parse_tensors(contents[WEIGHTS], folder / WEIGHTS)
    try:
        world = build_world(config, tensors)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / WEIGHTS} does not fit its {CONFIG}: {error}") from None
    identity = Identity(_identity(contents), config, world.model, world.bank)
    return on_device(replace(world, path=folder, identity=identity), device)


def as_world(world: World | str | Path) -> World:
    """Returns a world unchanged, and loads one that is given by name or folder, see :func:`load`."""
    return world if isinstance(world, World) else load(world)


def find(name_or_path: str | Path) -> Path:
    """Returns the folder of a shipped world or of a path.

    Raises:
        BundleError: If there is no world; the message names the shipped ones.
    """
    path = Path(name_or_path)
    if (path / MANIFEST).is_file():
        return path
    shipped = Path(str(files("dreamenv"))) / "worlds"
    if path.name == str(name_or_path) and (shipped / path.name / MANIFEST).is_file():
        return shipped / path.name
    names = ", ".join(sorted(folder.parent.name for folder in shipped.glob(f"*/{MANIFEST}"))) or "none"
    raise BundleError(
        f"expected the name of a shipped world ({names}) or a folder with a {MANIFEST}, got {str(name_or_path)!r}"
    )


def copy_bundle(source: Path, target: Path) -> None:
    """Copies a saved world or agent; the contents of ``target`` are replaced as a whole or not at all.

    Raises:
        BundleError: If ``source`` is damaged.
    """
    write_files(target, read_files(source, ()))


def world_id(world: World) -> str:
    """SHA-256 over the sums of a world's config and weights, as they were loaded or as :func:`save` writes them."""
    known = world.identity
    if known and (known.config, known.model, known.bank) == (world.config, world.model, world.bank):
        return known.sha256
    return _identity(_contents(world))


def _contents(world: World) -> dict[str, bytes]:
    return {CONFIG: to_json(dump_world_config(world.config)), WEIGHTS: safetensors.torch.save(tensors_of(world))}


def _identity(contents: dict[str, bytes]) -> str:
    return sha256("".join(sha256(contents[name]).hexdigest() for name in (CONFIG, WEIGHTS)).encode()).hexdigest()


def dump_world_config(config: WorldConfig) -> dict[str, Any]:
    """A world's config as JSON values; its ``model`` names the kind of world model."""
    kind = kind_of_config(config.model)
    sizes = TypeAdapter(kind.config).dump_python(config.model, mode="json")
    return {**to_plain(replace(config, model=None)), "model": {"kind": kind.name, **sizes}}


def parse_world_config(data: bytes, path: Path) -> WorldConfig:
    """Parses a world's config; also of the first format, whose only kind of world model was V and M.

    Args:
        data: Contents of ``path``, JSON.
        path: For messages.

    Raises:
        BundleError: If it is no such config, or its kind of world model is not registered.
    """
    facts = parse_config(data, dict[str, Any], path)
    kind, model = _take_model(facts, path)
    facts["model"] = None
    model_json, facts_json = (json.dumps(part).encode() for part in (model, facts))  # to_json would refuse nan itself
    sizes: Any = parse_config(model_json, kind.config, path)
    config = parse_config(facts_json, WorldConfig, path)
    return replace(config, model=sizes)


def _take_model(facts: dict[str, Any], path: Path) -> tuple[ModelKind, dict[str, Any]]:
    """Removes the JSON of the world model's sizes from that of a world; returns its kind, and the sizes."""
    if "model" in facts:
        model = facts.pop("model")
    else:  # the first format
        model = {"kind": "mdnrnn", **{part: facts.pop(part) for part in ("vision", "memory") if part in facts}}
        if isinstance(model.get("memory"), dict):
            model["memory"].pop("predict_action", None)  # an option that no dream used
    try:
        kind = model_kind(model.pop("kind", None) if isinstance(model, dict) else None)
    except SettingsError as error:
        raise BundleError(f"{path} cannot be read: {error}; import the module that registers it first") from None
    missing = [field.name for field in fields(kind.config) if field.init and field.name not in model]
    if missing:
        raise BundleError(f"{path} cannot be read: expected {', '.join(missing)} in its model, got {sorted(model)}")
    return kind, model


def parse_config(data: bytes, kind: type[T], path: Path) -> T:
    """Parses JSON as a dataclass; refuses unknown keys, wrong types and values out of range.

    Args:
        data: Contents of ``path``, JSON.
        kind: The dataclass.
        path: For messages.

    Raises:
        BundleError: If it does not describe such a dataclass.
    """
    try:
        return TypeAdapter(kind).validate_json(data, strict=True, extra="forbid")
    except ValidationError as error:
        raise BundleError(f"{path} cannot be read: {error}") from None


def parse_tensors(data: bytes, path: Path) -> dict[str, torch.Tensor]:
    """Parses a safetensors file; half precision becomes single.

    Args:
        data: Contents of ``path``.
        path: For messages.

    Raises:
        BundleError: If it is no such file, or a number is not finite.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from None
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES or tensor.dim() > _MAX_DIMENSIONS:
            found = f"{tensor.dtype} with {tensor.dim()} dimensions"
            raise BundleError(
                f"{path} holds {name!r} as {found}, expected floats or int64 with {_MAX_DIMENSIONS} at most"
            )
        if not torch.isfinite(tensor).all():
            raise BundleError(f"{path} holds numbers in {name!r} that are not finite")
    return {name: _widen(tensor) for name, tensor in tensors.items()}


def build_world(config: WorldConfig, tensors: dict[str, torch.Tensor]) -> World:
    """Builds a world from :func:`tensors_of`, its model on the meta device, so that no config can allocate memory.

    Raises:
        RuntimeError, KeyError, TypeError, ValueError: If the tensors do not fit the config.
    """
    with torch.device("meta"):
        model = build_model(config)
    _fill(model, {name: tensor for name, tensor in tensors.items() if not name.startswith((_BANK, _DROPPED))})
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # or each convolution reorders them
    parts = {name.removeprefix(_BANK): tensor for name, tensor in tensors.items() if name.startswith(_BANK)}
    branches = State(*(parts.pop(f"branches.{name}") for name in _STATE))
    names = ", ".join(sorted(field.name for field in fields(model.posterior_kind)))
    if names != ", ".join(sorted(parts)):
        raise BundleError(f"expected {names} as the bank's first frames, got {', '.join(sorted(parts))}")
    return World(config, model.eval(), StartBank(model.posterior_kind(**parts), branches))


def _fill(module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Loads tensors into a module that was built on the meta device.

    Raises:
        RuntimeError: If tensors are missing, unknown or of another shape.
        TypeError: If a tensor is of another type, or the module has tensors that its state_dict does not hold.
    """
    expected = {name: tensor.dtype for name, tensor in module.state_dict().items()}
    module.load_state_dict(tensors, assign=True)
    wrong = [f"{name} ({dtype})" for name, dtype in expected.items() if tensors[name].dtype != dtype]
    if wrong:
        raise TypeError(f"expected the model's types in {', '.join(wrong)}")
    empty = [
        name
        for part in module.modules()
        for name, value in {**vars(part), **dict(part.named_buffers(recurse=False))}.items()
        if isinstance(value, torch.Tensor) and value.is_meta
    ]
    if empty:
        raise TypeError(f"expected parameters and persistent buffers only, got other tensors: {', '.join(empty)}")


def tensors_of(world: World) -> dict[str, torch.Tensor]:
    """The weights and the bank of a world as bundles hold them, most of them in half precision.

    Raises:
        SettingsError: If a number is not finite, or a tensor is of a type that bundles do not hold.
    """
    bank = vars(world.bank.first) | {
        f"branches.{name}": part for name, part in zip(_STATE, world.bank.branches.parts, strict=True)
    }
    everything = {**world.model.state_dict(), **{_BANK + name: tensor for name, tensor in bank.items()}}
    exact = {name for name, _ in world.model.named_buffers()}  # ranges of rewards and actions stay exact
    for name, tensor in everything.items():
        if tensor.dtype not in (torch.float32, torch.int64) or tensor.dim() > _MAX_DIMENSIONS:
            raise SettingsError(
                f"expected float32 or int64 of up to {_MAX_DIMENSIONS} dimensions in {name}, "
                f"got {tensor.dtype} with {tensor.dim()}"
            )
        if not torch.isfinite(tensor).all():
            raise SettingsError(f"expected finite numbers in {name}, which nobody could load otherwise")
    narrowed = {name: tensor if name in exact else _narrow(tensor) for name, tensor in everything.items()}
    return {name: tensor.cpu().contiguous() for name, tensor in narrowed.items()}


def _narrow(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision, or the tensor itself if a number is out of the range of half precision."""
    half = tensor.half() if tensor.is_floating_point() else tensor
    return half if torch.isfinite(half).all() else tensor


def _widen(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _card(world: World) -> str:
    config = world.config
    return (
        f"# A dream of {config.recipe}\n\n"
        f"Frames {config.frame_shape}, z {world.model.latent_size}, h {world.model.hidden_size}, "
        f"endings {', '.join(config.endings) or 'none'}, "
        f"{world.bank.size} real first frames.\n\n"
        "```python\nimport dreamenv, gymnasium\n"
        'env = gymnasium.make("dreamenv:Dream-v0", world="this folder")\n```\n\n'
        f"Config:\n\n```json\n{json.dumps(dump_world_config(config), indent=2)}\n```\n"
    )
