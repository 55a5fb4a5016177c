"""Stable-Baselines3: a vector environment for it, and agents stored without pickle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor

from dreamenv.agents.hold import HeldActions, hold
from dreamenv.agents.prior import to_box, unit_box
from dreamenv.agents.raw import check_raw
from dreamenv.agents.store import AgentConfig, save_agent
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.foundation.seeds import spawn
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.world import World

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    name: getattr(stable_baselines3, name) for name in ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")
}

_POLICY_DEFAULTS: dict[str, dict[str, Any]] = {
    "DDPG": {"n_critics": 1}
}  # settings of a policy its algorithm insists on


class SB3Agent:
    """A Stable-Baselines3 policy without its algorithm; answers ``predict`` as it does, and may hold its actions.

    Args:
        policy: The policy.
        config: What is needed to build it again.
    """

    def __init__(self, policy: BasePolicy, config: AgentConfig) -> None:
        self.policy, self.config, self.inputs = policy.eval(), config, config.inputs

    @property
    def stochastic(self) -> bool:
        """Whether it draws actions unless it is asked to act greedily; DQN, DDPG and TD3 draw in training only."""
        return isinstance(self.policy, ActorCriticPolicy | SACPolicy)

    @property
    def has_probabilities(self) -> bool:
        """Whether it draws discrete actions by probabilities, as A2C and PPO do."""
        return isinstance(self.policy, ActorCriticPolicy) and self.config.action.discrete

    @property
    def networks(self) -> BasePolicy:
        """All its weights, as they are stored."""
        return self.policy

    def probabilities(self, observation: Tensor) -> Tensor:
        """Probabilities of discrete actions, (B, n), for (B, F) observations; see :attr:`has_probabilities`."""
        at: Any = self.policy.get_distribution  # of an ActorCriticPolicy
        return at(observation.to(self.policy.device)).distribution.probs.cpu()

    def predict(
        self,
        observation: NDArray,
        state: HeldActions | None = None,
        episode_start: NDArray | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray, HeldActions]:
        """Chooses actions; see :class:`dreamenv.rollouts.Policy`. Without ``state`` it decides at every step."""
        decided, _ = self.policy.predict(np.atleast_2d(observation), deterministic=deterministic)
        decided = _clip(decided, self.policy.action_space)
        if self.config.scaled_actions:
            decided = to_box(decided, self.config.action)
        actions, state = hold(decided, self.config.action_repeat, state, episode_start)
        return (actions if np.ndim(observation) > 1 else actions[0]), state


def save_sb3(
    model: BaseAlgorithm, folder: str | Path, world: World, action_repeat: int = 1, scaled_actions: bool = False
) -> SB3Agent:
    """Writes the policy of any Stable-Baselines3 model with an ``MlpPolicy``.

    Args:
        model: Trained on the features of ``world``, in the dream or in reality.
        folder: Made when missing.
        world: The world it belongs to.
        action_repeat: Steps that it was trained to hold every action for.
        scaled_actions: Whether it was trained with ``as_vec_env(..., scale_actions=True)``.

    Returns:
        The agent.

    Raises:
        SettingsError: If the policy has settings other than a plain ``net_arch``, or sees observations that a
            wrapper changed, which could not be read back, or does not fit the world.
    """
    name = type(model).__name__
    if name not in ALGORITHMS:
        raise SettingsError(f"expected one of the algorithms {', '.join(ALGORITHMS)}, got {name}")
    if getattr(model, "use_sde", False):
        raise SettingsError("expected a model without state-dependent exploration, got use_sde=True")
    own = {"use_sde": False, **_POLICY_DEFAULTS.get(name, {})}  # what the algorithm sets itself
    optimizer = ("optimizer_class", "optimizer_kwargs")
    extra = {key: value for key, value in model.policy_kwargs.items() if key not in ("net_arch", *optimizer)}
    net_arch = model.policy_kwargs.get("net_arch")
    plain = net_arch is None or (isinstance(net_arch, list) and all(isinstance(width, int) for width in net_arch))
    if not plain or any(key not in own or own[key] != value for key, value in extra.items()):
        raise SettingsError(
            f"expected policy_kwargs with at most a list of widths as net_arch, got {model.policy_kwargs}"
        )
    space = unit_box(world.config.action) if scaled_actions else world.config.action.space
    expected = ((world.feature_size,), space)
    came = (model.observation_space.shape, ActionSpec.from_space(model.action_space).space)
    if came != expected:
        raise SettingsError(f"expected a model of observations and actions {expected}, got {came}")
    check_raw(model, world)
    config = AgentConfig.of(
        "sb3",
        world,
        algorithm=name,
        net_arch=None if net_arch is None else tuple(net_arch),
        action_repeat=action_repeat,
        scaled_actions=scaled_actions,
    )
    save_agent(Path(folder), config, {name: tensor.cpu() for name, tensor in model.policy.state_dict().items()})
    return SB3Agent(model.policy, config)


def read_sb3(config: AgentConfig, tensors: dict[str, Tensor]) -> SB3Agent:
    """Builds a Stable-Baselines3 agent from its files.

    Raises:
        BundleError: If the algorithm is unknown or the tensors do not fit.
    """
    if config.algorithm not in ALGORITHMS:
        raise BundleError(f"expected one of the algorithms {', '.join(ALGORITHMS)}, got {config.algorithm!r}")
    kind = ALGORITHMS[config.algorithm].policy_aliases["MlpPolicy"]
    settings = dict(_POLICY_DEFAULTS.get(config.algorithm, {}))
    if config.net_arch is not None:
        settings["net_arch"] = list(config.net_arch)
    widths = (config.feature_size, *(config.net_arch or ()))
    if sum(map(math.prod, pairwise(widths))) > sum(tensor.numel() for tensor in tensors.values()):
        raise BundleError(f"expected the weights of layers {widths}, got fewer numbers than those have")
    space = gym.spaces.Box(-np.inf, np.inf, (config.feature_size,), np.float32)
    try:
        actions = unit_box(config.action) if config.scaled_actions else config.action.space
        policy = kind(space, actions, lambda _: 0.0, **settings)
        policy.load_state_dict(tensors)
    except (AttributeError, RuntimeError, TypeError) as error:  # the first where an algorithm has no such actions
        raise BundleError(f"not the weights of a {config.algorithm} policy: {error}") from None
    return SB3Agent(policy, config)


def as_vec_env(env: VectorEnv, action_repeat: int = 1, scale_actions: bool = False) -> VecEnv:
    """Gives Stable-Baselines3 a Gymnasium vector environment as it is: one batch, no process per environment.

    The ``seed`` of a model gives every environment a seed that it has with no other ``seed``.

    Args:
        env: A vector environment that resets in the same step; with held actions one that never resets itself and
            takes finished environments out (``leave``), as dreams do with autoreset disabled.
        action_repeat: Steps that every action is held for; their rewards add up. Where an episode ends before, its
            environment waits: every episode begins with a decision, as it does in an evaluation.
        scale_actions: Give actions of a Box on a scale of -1 to 1, for algorithms that do not scale them (PPO, A2C).

    Returns:
        A ``VecEnv``; ``terminal_observation`` and ``TimeLimit.truncated`` are in the infos of finished episodes.

    Raises:
        SettingsError: If the autoreset mode is another one, or actions to be scaled are not of a Box.
    """
    if scale_actions and not isinstance(env.single_action_space, gym.spaces.Box):
        raise SettingsError(f"expected actions of a Box to scale, got {env.single_action_space}")
    return _VecEnv(env, scale_actions) if action_repeat == 1 else _HoldingVecEnv(env, scale_actions, action_repeat)


def _clip(actions: NDArray, space: gym.Space) -> NDArray:
    """Actions within the bounds of a Box; those that Stable-Baselines3 scales to it exceed them by rounding."""
    return np.clip(actions, space.low, space.high) if isinstance(space, gym.spaces.Box) else actions


class _VecEnv(VecEnv):
    mode = AutoresetMode.SAME_STEP

    def __init__(self, env: VectorEnv, scale_actions: bool) -> None:
        if env.metadata.get("autoreset_mode") is not self.mode:
            raise SettingsError(f"expected autoreset mode {self.mode.name}, got {env.metadata.get('autoreset_mode')}")
        self.env = env
        self._scaled = ActionSpec.from_space(env.single_action_space) if scale_actions else None
        actions = unit_box(self._scaled) if self._scaled else env.single_action_space
        super().__init__(env.num_envs, env.single_observation_space, actions)

    def reset(self) -> NDArray:
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observation, _ = self.env.reset(seed=seeds, options=self._options[0] or None)  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        return observation

    def seed(self, seed: int | None = None) -> Sequence[None | int]:
        """Consecutive seeds, as Stable-Baselines3 has them, would make most environments of two models the same."""
        entropy = int(np.random.SeedSequence().entropy) if seed is None else seed  # type: ignore[arg-type]
        self._seeds = spawn(entropy, "environments", self.num_envs)  # type: ignore[assignment]
        return self._seeds

    def set_options(self, options: list[dict] | dict | None = None) -> None:
        if isinstance(options, list) and any(other != options[0] for other in options):
            raise SettingsError(
                f"expected the same options for all environments, which are reset as one, got {options}"
            )
        super().set_options(options)

    def step_async(self, actions: NDArray) -> None:
        self._actions = _clip(actions, self.action_space)
        if self._scaled:
            self._actions = to_box(self._actions, self._scaled)

    def step_wait(self) -> tuple[NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(done):
            infos[row] = _ended(info["final_obs"][row], terminated[row])
        return observation, reward.astype(np.float32), done, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("a batch of dreams has no attributes of single environments; use reset options")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("a batch of dreams has no single environments")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(self._rows(indices))

    def get_images(self) -> Sequence[NDArray | None]:
        return self.env.render() or [None] * self.num_envs  # type: ignore[return-value]

    def _rows(self, indices: None | int | Iterable[int]) -> list[int]:
        return list(self._get_indices(indices))


class _HoldingVecEnv(_VecEnv):
    """Holds actions. Environments that end meanwhile leave the batch, and all begin their next decision together."""

    mode = AutoresetMode.DISABLED

    def __init__(self, env: VectorEnv, scale_actions: bool, action_repeat: int) -> None:
        super().__init__(env, scale_actions)
        if getattr(env, "leave", None) is None:
            raise SettingsError(f"expected an environment with leave() to hold actions, got {type(env).__name__}")
        self._action_repeat = action_repeat

    def step_wait(self) -> tuple[NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        total, done = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for _ in range(self._action_repeat):
            observation, reward, terminated, truncated, _ = self.env.step(self._actions)
            total += np.where(done, 0.0, reward)
            ended = (terminated | truncated) & ~done
            for row in np.flatnonzero(ended):
                infos[row] = _ended(observation[row].copy(), terminated[row])
            done |= ended
            if ended.any():
                self.env.leave(ended)  # type: ignore[attr-defined]
            if done.all():
                break
        if done.any():
            observation, _ = self.env.reset(options={"reset_mask": done})
        return observation, total, done, infos


def _ended(final_observation: NDArray, terminated: np.bool_) -> dict[str, Any]:
    """The infos of an environment whose episode ended in this step."""
    return {"terminal_observation": final_observation, "TimeLimit.truncated": not terminated}
