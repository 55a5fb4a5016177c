"""Contracts of world models, dreams, policies and visions; subclass one, and pytest runs its tests.

Example:
    >>> from dreamenv.testing import WorldContract
    >>> class TestMyWorld(WorldContract):
    ...     def make_world(self):
    ...         return dreamenv.load("runs/mine")
"""

from dreamenv.testing.dream import DreamContract as DreamContract
from dreamenv.testing.policy import PolicyContract as PolicyContract
from dreamenv.testing.vision import VisionContract as VisionContract
from dreamenv.testing.world import WorldContract as WorldContract
