"""Stable-Baselines3 in the dream: a vector environment for it, training, and agents stored without pickle."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor, nn

from dreamenv.agents.dreams import DreamConfig, make_dreams
from dreamenv.agents.evolve import log_action_prior
from dreamenv.agents.hold import Held, hold
from dreamenv.agents.store import AgentConfig, check_kind, save_agent
from dreamenv.bundle import as_world, world_id
from dreamenv.errors import BundleError
from dreamenv.progress import progress
from dreamenv.ranges import check_range
from dreamenv.spaces import ActionSpec
from dreamenv.training.checkpoint import CHECKPOINT_SECONDS, alone_in, load_checkpoint, save_checkpoint
from dreamenv.training.fit import check_weights, not_finite
from dreamenv.world import World

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    name: getattr(stable_baselines3, name) for name in ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")
}

_POLICY_DEFAULTS: dict[str, dict[str, Any]] = {
    "DDPG": {"n_critics": 1}
}  # settings of a policy its algorithm insists on


@dataclass(frozen=True, kw_only=True)
class PPOConfig(DreamConfig):
    """How PPO is trained in the dream; beside the settings of :class:`DreamConfig`.

    Attributes:
        timesteps: Decisions in all, as many dream steps unless actions are held. A run that is to go on keeps its
            number, as its learning rate falls to 0 with them.
        n_steps: Decisions in every dream per update.
        batch_size: Of a gradient step.
        n_epochs: Passes over each update's data.
        learning_rate: At the start; falls linearly to 0.
        gamma: Discount from one decision to the next.
        ent_coef: Weight of the entropy bonus.
        net_arch: Hidden layers of policy and value.
        normalize_reward: Divide rewards by the running standard deviation of the discounted return, for worlds that pay
            more than about 1 an episode (VecNormalize of Stable-Baselines3; a resumed run measures it anew).
        action_repeat: Steps that the agent holds every action for, in the dream and in reality.
    """

    timesteps: int = 1_600_000
    n_steps: int = 64
    batch_size: int = 2048
    n_epochs: int = 6
    learning_rate: float = 5e-4
    gamma: float = 0.99
    ent_coef: float = 0.0005
    net_arch: tuple[int, ...] = (128, 128)
    normalize_reward: bool = False
    action_repeat: int = 1

    def __post_init__(self) -> None:
        """Refuses settings that no training can have."""
        super().__post_init__()
        counts = ("timesteps", "n_steps", "n_epochs", "net_arch", "action_repeat")
        check_range(self, 1, math.inf, *counts)
        check_range(self, 2, math.inf, "batch_size")
        check_range(self, 0, math.inf, "learning_rate", "ent_coef")
        check_range(self, 0, 1, "gamma")
        if self.num_envs * self.n_steps < 2:
            raise ValueError(f"expected num_envs * n_steps of at least 2, got {self.num_envs} * {self.n_steps}")


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


def train_ppo(world: World | str | Path, folder: str | Path, config: PPOConfig | None = None) -> SB3Agent:
    """Trains PPO (Schulman et al. 2017) in a world's dream; goes on from the checkpoint of an earlier call.

    Args:
        world: The world to dream in, the name of a shipped one, or a folder.
        folder: Takes the agent, two generations of checkpoints and TensorBoard's event files.
        config: Settings.

    Returns:
        The agent as it was saved.

    Raises:
        ResumeError: If the folder holds a run with other settings or in another world, or another process is at work
            there.
        FloatingPointError: If a reward, an observation, the loss or a weight is not finite. No checkpoint ever holds
            such a number: the last one stays, and the same command goes on from it.
    """
    config, folder = config or PPOConfig(), Path(folder)
    seen = as_world(world).showing(config.inputs)
    with alone_in(folder):
        check_kind(folder, "sb3")
        return _train_ppo(seen, folder, config)


def _train_ppo(world: World, folder: Path, config: PPOConfig) -> SB3Agent:
    env: VecEnv = VecMonitor(as_vec_env(make_dreams(world, config, AutoresetMode.SAME_STEP), config.action_repeat))
    if config.normalize_reward:
        env = VecNormalize(env, norm_obs=False, gamma=config.gamma)
    model = stable_baselines3.PPO(
        "MlpPolicy",
        env,
        learning_rate=lambda remaining: config.learning_rate * remaining,
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        ent_coef=config.ent_coef,
        policy_kwargs={"net_arch": list(config.net_arch)},
        tensorboard_log=str(folder),
        seed=config.seed,
        device=world.device,
    )
    if world.config.action_prior:
        with torch.no_grad():
            bias = model.policy.get_parameter("action_net.bias")
            bias.add_(torch.as_tensor(log_action_prior(world.config)).to(bias))
    fingerprint = json.dumps([dataclasses.asdict(config), world_id(world)])
    done = load_checkpoint(folder, model.policy, model.policy.optimizer, fingerprint)
    if done:  # else the dreams of the beginning would come again
        model.set_random_seed(int(np.random.SeedSequence((config.seed, done)).generate_state(1)[0]))
    if done < config.timesteps:
        progress = _Progress(folder, fingerprint, config, done)
        model.num_timesteps = done
        model.learn(config.timesteps - done, callback=progress, reset_num_timesteps=False, tb_log_name="ppo")
        save_checkpoint(folder, model.policy, model.policy.optimizer, fingerprint, config.timesteps)
    return save_sb3(model, folder, world, config.action_repeat)


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
        ValueError: If the policy has settings other than a plain ``net_arch``, or sees observations that VecNormalize
            scaled, which could not be read back, or does not fit the world.
    """
    name = type(model).__name__
    if name not in ALGORITHMS:
        raise ValueError(f"expected one of the algorithms {', '.join(ALGORITHMS)}, got {name}")
    if getattr(model, "use_sde", False):
        raise ValueError("expected a model without state-dependent exploration, got use_sde=True")
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None and normalizer.norm_obs:
        raise ValueError("expected a model that sees observations as they are, got VecNormalize with norm_obs=True")
    own = {"use_sde": False, **_POLICY_DEFAULTS.get(name, {})}  # what the algorithm sets itself
    optimizer = ("optimizer_class", "optimizer_kwargs")
    extra = {key: value for key, value in model.policy_kwargs.items() if key not in ("net_arch", *optimizer)}
    net_arch = model.policy_kwargs.get("net_arch")
    plain = net_arch is None or (isinstance(net_arch, list) and all(isinstance(width, int) for width in net_arch))
    if not plain or any(key not in own or own[key] != value for key, value in extra.items()):
        raise ValueError(f"expected policy_kwargs with at most a list of widths as net_arch, got {model.policy_kwargs}")
    expected = ((world.feature_size,), world.config.action.space)
    came = (model.observation_space.shape, ActionSpec.from_space(model.action_space).space)
    if came != expected:
        raise ValueError(f"expected a model of observations and actions {expected}, got {came}")
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

    Args:
        env: A vector environment that resets in the same step.
        action_repeat: Steps that every action is held for; their rewards add up. Where an episode ends before, the rest
            of the steps are the first ones of the next, whose rewards do not count.

    Returns:
        A ``VecEnv``; ``terminal_observation`` and ``TimeLimit.truncated`` are in the infos of finished episodes.

    Raises:
        ValueError: If the autoreset mode is another one.
    """
    return _VecEnv(env, action_repeat)


def _clip(actions: NDArray, space: gym.Space) -> NDArray:
    """Actions within the bounds of a Box; those that Stable-Baselines3 scales to it exceed them by rounding."""
    return np.clip(actions, space.low, space.high) if isinstance(space, gym.spaces.Box) else actions


class _VecEnv(VecEnv):
    def __init__(self, env: VectorEnv, action_repeat: int) -> None:
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise ValueError(f"expected autoreset mode SAME_STEP, got {env.metadata.get('autoreset_mode')}")
        self.env, self._action_repeat = env, action_repeat
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> NDArray:
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observation, _ = self.env.reset(seed=seeds, options=self._options[0] or None)  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        return observation

    def set_options(self, options: list[dict] | dict | None = None) -> None:
        if isinstance(options, list) and any(other != options[0] for other in options):
            raise ValueError(f"expected the same options for all environments, which are reset as one, got {options}")
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


class _Progress(BaseCallback):
    """Progress bar, checkpoints, an exact end, and an early one where numbers go wrong."""

    def __init__(self, folder: Path, fingerprint: str, config: PPOConfig, done: int) -> None:
        super().__init__()
        self._folder, self._fingerprint, self._config, self._saved_step = folder, fingerprint, config, done

    def _on_training_start(self) -> None:
        optimizer = self.model.policy.optimizer
        self._hooks = [
            optimizer.register_step_pre_hook(lambda *_: self._check_norm("gradient")),
            optimizer.register_step_post_hook(lambda *_: self._check_norm("weights")),
        ]
        self._saved = time.monotonic()
        self._bar = progress(total=self._config.timesteps, initial=self.model.num_timesteps, unit="step", desc="ppo")

    def _on_step(self) -> bool:
        self._check("the rewards", self.locals["rewards"])
        self._check("the observations", self.locals["new_obs"])
        return True

    def _on_rollout_end(self) -> None:
        for what in ("advantages", "returns"):
            self._check(f"the {what}", getattr(self.locals["rollout_buffer"], what))

    def _check_norm(self, what: Literal["gradient", "weights"]) -> None:
        """Before and after every gradient step: the norm is quick, and not finite where a number is not."""
        weights = list(self.model.policy.parameters())
        tensors = weights if what == "weights" else [w.grad for w in weights if w.grad is not None]
        self._check(f"the norm of the {what}", nn.utils.get_total_norm(tensors))

    def _check_weights(self) -> None:
        """Before every checkpoint."""
        policy = self.model.policy
        check_weights(policy, policy.optimizer, "ppo", self.model.num_timesteps, self._saved_step)

    def _check(self, what: str, values: Tensor | NDArray) -> None:
        if not torch.as_tensor(values).isfinite().all():
            raise not_finite(f"{what} of ppo: not finite at step {self.model.num_timesteps}", self._saved_step)

    def _on_rollout_start(self) -> None:
        self._bar.update(self.model.num_timesteps - self._bar.n)
        episodes = list(self.model.ep_info_buffer or [])
        if episodes:
            mean = {key: float(np.mean([episode[key] for episode in episodes])) for key in ("r", "l")}
            self._bar.set_postfix({"return": f"{mean['r']:.3f}", "length": f"{mean['l']:.1f}"}, refresh=False)
        if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
            self._check_weights()
            policy = self.model.policy
            save_checkpoint(self._folder, policy, policy.optimizer, self._fingerprint, self.model.num_timesteps)
            self._saved, self._saved_step = time.monotonic(), self.model.num_timesteps

    def _on_training_end(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._check_weights()
        self._bar.update(self.model.num_timesteps - self._bar.n)
        self._bar.close()
