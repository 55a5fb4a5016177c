"""Contracts that world models, dreams, policies and visions keep; subclass one, and pytest runs its tests."""

from dreamenv.testing.contracts import DreamContract as DreamContract
from dreamenv.testing.contracts import PolicyContract as PolicyContract
from dreamenv.testing.contracts import VisionContract as VisionContract
from dreamenv.testing.contracts import WorldContract as WorldContract
