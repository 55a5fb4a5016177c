"""Moving worlds between devices."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch

from dreamenv.foundation.errors import SettingsError
from dreamenv.world import World


def on_device(world: World, device: str | torch.device) -> World:
    """Copies a world to a device; a world that is there already is returned as it is.

    Args:
        world: Not changed.
        device: By its name in torch: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Raises:
        SettingsError: If torch cannot compute there.
    """
    if check_device(device) == world.device:
        return world
    model, bank = deepcopy(world.model).to(device), world.bank.to(device)
    identity = world.identity and replace(world.identity, model=model, bank=bank)
    return replace(world, model=model, bank=bank, identity=identity)


def check_device(device: str | torch.device) -> torch.device:
    """Checks that torch can compute on a device.

    Returns:
        The device, with its index.

    Raises:
        SettingsError: If it cannot.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"expected a device that torch has here, got {str(device)!r}: {error}") from None
