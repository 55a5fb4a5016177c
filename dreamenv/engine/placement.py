"""Where a world computes."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch

from dreamenv.foundation.errors import SettingsError
from dreamenv.world import World


def on_device(world: World, device: str | torch.device) -> World:
    """The same world on a device; later changes of the weights are not followed.

    Args:
        world: Stays where it is.
        device: As torch names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Raises:
        SettingsError: If torch does not have it.
    """
    if check_device(device) == world.device:
        return world
    model, bank = deepcopy(world.model).to(device), world.bank.to(device)
    identity = world.identity and replace(world.identity, model=model, bank=bank)
    return replace(world, model=model, bank=bank, identity=identity)


def check_device(device: str | torch.device) -> torch.device:
    """Makes sure that torch can compute there.

    Raises:
        SettingsError: If it cannot.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"expected a device that torch has here, got {str(device)!r}: {error}") from None
