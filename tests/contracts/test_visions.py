"""Every kind of V keeps the contract of ``dreamenv.testing``."""

import pytest

from dreamenv.models.mdnrnn.model import build_vision
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.testing import VisionContract

KINDS = {
    "conv": VisionConfig((16, 32, 3), 6, (4, 8)),
    "conv, odd sizes": VisionConfig((15, 21, 3), 5, (4, 8)),
    "unet": VisionConfig((16, 32, 3), 6, (4, 8), "unet"),
    "paper": VisionConfig((64, 64, 3), 6, kind="paper"),
}


@pytest.mark.parametrize("kind", KINDS)
class TestVisions(VisionContract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind):
        self._config = KINDS[kind]

    def make_vision(self):
        return build_vision(self._config)
