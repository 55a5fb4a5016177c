"""Settings of the actor-critic in imagination, and the published ones as presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_args

from dreamenv.agents.actor_critic.distributions import BoxKind
from dreamenv.agents.dreams import DreamConfig
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import Count, Range, Share, Weight, check_choice


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig(DreamConfig):
    """How an actor and a critic learn in imagination (Hafner et al. 2019, Dreamer; 2020, DreamerV2).

    Beside the settings of :class:`DreamConfig`, of which ``num_envs`` is the number of starts in an update, and
    ``action_penalty`` must be 0: that cost depends on the age of a dream, which the critic does not see. "Papers" and
    "codes" below are those of V1 and V2; "own" is this package's choice, measured as a whole in
    ``docs/planning-and-imagination.md``.

    Attributes:
        branched_starts: Share of starts in the middle of a real episode; own.
        updates: Gradient steps; own. A run that is to go on keeps its number, as its learning rates fall to 0 with
            them.
        horizon: H, imagined steps from every start; papers.
        gamma: Discount of a step; V1's, and that of V2's code for DeepMind Control.
        td_lambda: Weight of longer returns, see :func:`dreamenv.agents.actor_critic.returns.lambda_returns`; papers.
        actor_learning_rate: Peak of Adam's learning rate for the actor, see :class:`dreamenv.training.fit.FitConfig`;
            own.
        critic_learning_rate: Likewise for the critic; own.
        gradient_clip: Largest norm of the actor's gradient, and of the critic's; codes.
        ent_coef: Weight of the entropy bonus, per nat; V2's code for Atari.
        dynamics_gradient: Share of the gradient through the dynamics, V2's 1 - rho: 0 is REINFORCE with a baseline
            (V2 for discrete actions), 1 the gradient of the returns through the world model (V1, and V2 for continuous
            actions), in between the mix of both.
        slow_fraction: Share by which the slow critic, which gives targets and baseline, moves to the critic at every
            ``slow_interval``; 1 copies it (V1 and V2); a small share every update is V3's rule for its own slow critic.
        slow_interval: Updates between these moves. V1 has no slow critic: 1, with ``slow_fraction`` 1.
        least_return_range: Divide advantages and returns by their range, the moving mean of the distance from the 5th
            to the 95th percentile, but by no less than this number; own, 1 in V3, no division if None (V1, V2).
        value_unit: The critic's network computes values in this unit; where it is of the order of the returns, outputs
            are of the order of 1. 1 in papers and codes.
        net_arch: Hidden layers of the actor and of the critic, with ELU; own.
        box: Distribution over actions of a Box: a normal one squashed by tanh (V1), or truncated (V2's code).
        initial_deviation: Standard deviation of Box actions at the start, before tanh or truncation; own, 5 in V1.
    """

    branched_starts: Share = 0.7
    updates: Count = 1000
    horizon: Count = 15
    gamma: Share = 0.99
    td_lambda: Share = 0.95
    actor_learning_rate: Weight = 5e-4
    critic_learning_rate: Weight = 5e-4
    gradient_clip: Weight = 100.0
    ent_coef: Weight = 1e-3
    dynamics_gradient: Share = 0.0
    slow_fraction: Annotated[float, Range(0, 1, without_low=True)] = 0.02
    slow_interval: Count = 1
    least_return_range: Annotated[float, Range(0, without_low=True)] | None = 0.1
    value_unit: Annotated[float, Range(0, without_low=True)] = 1.0
    net_arch: tuple[Count, ...] = (128, 128)
    box: BoxKind = "tanh-normal"
    initial_deviation: Annotated[float, Range(0, 100, without_low=True)] = 0.5

    def __post_init__(self) -> None:
        """Refuses settings that this training does not have."""
        super().__post_init__()
        check_choice("box", self.box, get_args(BoxKind))
        costs = self.action_penalty if isinstance(self.action_penalty, tuple) else (self.action_penalty,)
        if any(costs):
            raise SettingsError(
                "expected action_penalty 0 for the actor-critic, whose critic does not see the age of a dream, "
                f"got {self.action_penalty}"
            )


# The published trainings. Numbers of updates and shares of first frames are this package's own, and so are learning
# rates that fall to 0 as a cosine, and torch's epsilon of Adam.
PRESETS: dict[str, ActorCriticConfig] = {
    "dreamer-v1": ActorCriticConfig(
        num_envs=2500,  # paper and code: every state of 50 sequences of 50
        actor_learning_rate=8e-5,  # paper and code
        critic_learning_rate=8e-5,  # likewise
        ent_coef=0.0,  # paper and code
        dynamics_gradient=1.0,  # paper and code
        slow_fraction=1.0,  # no slow critic
        least_return_range=None,  # paper and code
        net_arch=(300, 300, 300),  # paper; the code has 4 of 400 for the actor, 3 of 400 for the critic
        initial_deviation=5.0,  # code
    ),
    "dreamer-v2": ActorCriticConfig(  # for DeepMind Control
        num_envs=800,  # code: every state of 16 sequences of 50; the paper has 50 of 50
        actor_learning_rate=8e-5,  # code
        critic_learning_rate=8e-5,  # code
        ent_coef=1e-4,  # paper
        dynamics_gradient=1.0,  # paper
        slow_fraction=1.0,  # paper and code
        slow_interval=100,  # paper and code
        least_return_range=None,  # paper and code
        net_arch=(400, 400, 400, 400),  # code
        box="truncated-normal",  # code
        initial_deviation=1.1,  # code
    ),
    "dreamer-v2-atari": ActorCriticConfig(
        num_envs=800,  # code
        gamma=0.999,  # code and the paper's text; its table has 0.995
        actor_learning_rate=4e-5,  # paper and code
        critic_learning_rate=1e-4,  # paper and code
        ent_coef=1e-3,  # paper and code
        dynamics_gradient=0.0,  # paper and code
        slow_fraction=1.0,  # paper and code
        slow_interval=100,  # paper and code
        least_return_range=None,  # paper and code
        net_arch=(400, 400, 400, 400),  # code
    ),
}
