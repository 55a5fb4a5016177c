"""The papers' claims about the RSSM, on the memory task: one change of how the dynamics are learned each.

See `rssm.claims`. A few minutes of joint training do not learn this task, so these worlds learn in stages: encoder,
posterior and decoder first, then the dynamics. Claims about the posterior's training cannot be tested that way.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import dreamenv
from dreamenv.training.rssm import RSSMTraining
from experiments.memory.inputs import GAUSSIAN, side_known
from experiments.rssm import claims
from experiments.show import Row, cells, span

SETTINGS: dict[str, dict[str, Any]] = {
    claims.BASE: {},
    "stochastic": claims.SETTINGS["stochastic"],
    "no gradient of rewards": {"dynamics": {"reward_gradient": 0.0, "ending_gradient": 0.0}},
    "deterministic": claims.SETTINGS["deterministic"],
    "categorical": claims.SETTINGS["categorical"],
    "overshooting 5": {"dynamics": {"overshooting": 5}},
}


@dataclass(frozen=True, kw_only=True)
class Claims(claims.Claims):
    """What is measured."""

    root: Path = Path("runs/memory_claims")
    settings: tuple[str, ...] = tuple(SETTINGS)
    train: RSSMTraining = GAUSSIAN
    ppo: dreamenv.PPOConfig = dreamenv.PPOConfig(timesteps=200_000, temperature=1.0)

    changes: ClassVar[dict[str, dict[str, Any]]] = SETTINGS
    layout = replace(
        claims.Claims.layout,
        columns={**claims.Claims.layout.columns, **cells(lambda shares: span(shares, 2), ("side known",))},
    )

    def make(self, setting: str, seed: int) -> Row:
        """As on any task; beside it, whether the world knows the right side at the fork."""
        row = super().make(setting, seed)
        world = dreamenv.load(self.folder(setting, seed))
        return {**row, "side known": side_known(world, dreamenv.EpisodeStore(self.frames(seed)))}
