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

from dreamenv.agents.hold import Held, hold
from dreamenv.agents.store import AgentConfig, save_agent
from dreamenv.bundle import world_id
from dreamenv.errors import BundleError, SettingsError
from dreamenv.seeds import spawn
from dreamenv.spaces import ActionSpec
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

    def predict(
        self,
        observation: NDArray,
        state: Held | None = None,
        episode_start: NDArray | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray, Held]:
        """Chooses actions; see :class:`dreamenv.rollout.Policy`. Without ``state`` it decides at every step."""
        decided, _ = self.policy.predict(np.atleast_2d(observation), deterministic=deterministic)
        decided = _clip(decided, self.policy.action_space)
        actions, state = hold(decided, self.config.action_repeat, state, episode_start)
        return (actions if np.ndim(observation) > 1 else actions[0]), state


def save_sb3(model: BaseAlgorithm, folder: str | Path, world: World, action_repeat: int = 1) -> SB3Agent:
    """Writes the policy of any Stable-Baselines3 model with an ``MlpPolicy``.

    Args:
        model: Trained on the features of ``world``, in the dream or in reality.
        folder: Made when missing.
        world: The world it belongs to.
        action_repeat: Steps that it was trained to hold every action for.

    Returns:
        The agent.

    Raises:
        SettingsError: If the policy has settings other than a plain ``net_arch``, or sees observations that
            VecNormalize scaled, which could not be read back, or does not fit the world.
    """
    name = type(model).__name__
    if name not in ALGORITHMS:
        raise SettingsError(f"expected one of the algorithms {', '.join(ALGORITHMS)}, got {name}")
    if getattr(model, "use_sde", False):
        raise SettingsError("expected a model without state-dependent exploration, got use_sde=True")
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None and normalizer.norm_obs:
        raise SettingsError("expected a model that sees observations as they are, got VecNormalize with norm_obs=True")
    own = {"use_sde": False, **_POLICY_DEFAULTS.get(name, {})}  # what the algorithm sets itself
    optimizer = ("optimizer_class", "optimizer_kwargs")
    extra = {key: value for key, value in model.policy_kwargs.items() if key not in ("net_arch", *optimizer)}
    net_arch = model.policy_kwargs.get("net_arch")
    plain = net_arch is None or (isinstance(net_arch, list) and all(isinstance(width, int) for width in net_arch))
    if not plain or any(key not in own or own[key] != value for key, value in extra.items()):
        raise SettingsError(
            f"expected policy_kwargs with at most a list of widths as net_arch, got {model.policy_kwargs}"
        )
    expected = ((world.feature_size,), world.config.action.space)
    came = (model.observation_space.shape, ActionSpec.from_space(model.action_space).space)
    if came != expected:
        raise SettingsError(f"expected a model of observations and actions {expected}, got {came}")
    facts = (world.config.env_id, world_id(world), world.feature_size, world.config.action)
    config = AgentConfig(
        "sb3",
        *facts,
        algorithm=name,
        net_arch=None if net_arch is None else tuple(net_arch),
        inputs=world.inputs,
        action_repeat=action_repeat,
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
        policy = kind(space, config.action.space, lambda _: 0.0, **settings)
        policy.load_state_dict(tensors)
    except (AttributeError, RuntimeError, TypeError) as error:  # the first where an algorithm has no such actions
        raise BundleError(f"not the weights of a {config.algorithm} policy: {error}") from None
    return SB3Agent(policy, config)


def as_vec_env(env: VectorEnv, action_repeat: int = 1) -> VecEnv:
    """Gives Stable-Baselines3 a Gymnasium vector environment as it is: one batch, no process per environment.

    The ``seed`` of a model gives every environment a seed that it has with no other ``seed``.

    Args:
        env: A vector environment that resets in the same step.
        action_repeat: Steps that every action is held for; their rewards add up. Where an episode ends before, the rest
            of the steps are the first ones of the next, whose rewards do not count.

    Returns:
        A ``VecEnv``; ``terminal_observation`` and ``TimeLimit.truncated`` are in the infos of finished episodes.

    Raises:
        SettingsError: If the autoreset mode is another one.
    """
    return _VecEnv(env, action_repeat)


def _clip(actions: NDArray, space: gym.Space) -> NDArray:
    """Actions within the bounds of a Box; those that Stable-Baselines3 scales to it exceed them by rounding."""
    return np.clip(actions, space.low, space.high) if isinstance(space, gym.spaces.Box) else actions


class _VecEnv(VecEnv):
    def __init__(self, env: VectorEnv, action_repeat: int) -> None:
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise SettingsError(f"expected autoreset mode SAME_STEP, got {env.metadata.get('autoreset_mode')}")
        self.env, self._action_repeat = env, action_repeat
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

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

    def step_wait(self) -> tuple[NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        total, done = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for _ in range(self._action_repeat):
            observation, reward, terminated, truncated, info = self.env.step(self._actions)
            total += np.where(done, 0.0, reward)
            for row in np.flatnonzero((terminated | truncated) & ~done):
                infos[row] = {
                    "terminal_observation": info["final_obs"][row],
                    "TimeLimit.truncated": bool(truncated[row] and not terminated[row]),
                }
            done |= terminated | truncated
        return observation, total, done, infos

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
