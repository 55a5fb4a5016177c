"""PPO in the dream: training, progress, checkpoints, resume."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import stable_baselines3
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize
from torch import Tensor, nn

from dreamenv.agents.dreams import make_dreams
from dreamenv.agents.ppo_config import PPOConfig as PPOConfig
from dreamenv.agents.prior import log_action_prior, mean_action_prior
from dreamenv.agents.registry import register_agent
from dreamenv.agents.sb3 import SB3Agent, as_vec_env, read_sb3, save_sb3
from dreamenv.agents.store import check_kind, sha256_of
from dreamenv.bundle import as_world, world_id
from dreamenv.config import WorldConfig
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.progress import progress
from dreamenv.foundation.seeds import SEEDING, spawn_short
from dreamenv.training.checkpoint import CHECKPOINT_SECONDS, alone_in, load_checkpoint, save_checkpoint
from dreamenv.training.fit import check_weights, not_finite
from dreamenv.world import World, showing


def train_ppo(
    world: World | str | Path, folder: str | Path, config: PPOConfig | None = None, *, source: SB3Agent | None = None
) -> SB3Agent:
    """Trains PPO (Schulman et al. 2017) in a world's dream; goes on from the checkpoint of an earlier call.

    Args:
        world: The world to dream in, the name of a shipped one, or a folder.
        folder: Takes the agent, two generations of checkpoints and TensorBoard's event files.
        config: Settings.
        source: An agent of PPO whose weights, those of the value too, the training begins with; fresh ones, at the
            world's action prior, if None.

    Returns:
        The agent as it was saved.

    Raises:
        ResumeError: If the folder holds a run with other settings or in another world, or another process is at work
            there.
        DivergenceError: If a reward, an observation, the loss or a weight is not finite. No checkpoint ever holds
            such a number: the last one stays, and the same command goes on from it.
        SettingsError: If ``source`` has other inputs, actions or layers.
    """
    config, folder = config or PPOConfig(), Path(folder)
    seen = showing(as_world(world), config.inputs)
    if source is not None:
        _check_source(source, seen, config)
    with alone_in(folder):
        check_kind(folder, "sb3")
        return _train_ppo(seen, folder, config, source)


def _train_ppo(world: World, folder: Path, config: PPOConfig, source: SB3Agent | None) -> SB3Agent:
    model = _make_model(world, folder, config)
    _begin(model, world.config, config, source)
    origin = {"seeding": SEEDING, "source": None if source is None else sha256_of(source.policy)}
    fingerprint = json.dumps([dataclasses.asdict(config), world_id(world), origin])
    done = load_checkpoint(folder, model.policy, model.policy.optimizer, fingerprint)
    if done:  # else the dreams of the beginning would come again
        model.set_random_seed(spawn_short(config.seed, "ppo", done))
    if done < config.timesteps:
        progress = _Progress(folder, fingerprint, config, done)
        model.num_timesteps = done
        model.learn(config.timesteps - done, callback=progress, reset_num_timesteps=False, tb_log_name="ppo")
        save_checkpoint(folder, model.policy, model.policy.optimizer, fingerprint, config.timesteps)
    return save_sb3(model, folder, world, config.action_repeat, _scaled(world))


def _make_model(world: World, folder: Path, config: PPOConfig) -> stable_baselines3.PPO:
    mode = AutoresetMode.SAME_STEP if config.action_repeat == 1 else AutoresetMode.DISABLED
    dreams = make_dreams(world, config, mode)
    env: VecEnv = VecMonitor(as_vec_env(dreams, config.action_repeat, _scaled(world)))
    if config.normalize_reward:
        env = VecNormalize(env, norm_obs=False, gamma=config.gamma)
    return stable_baselines3.PPO(
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
        seed=spawn_short(config.seed, "ppo", 0),
        device=world.device,
    )


def _scaled(world: World) -> bool:
    """Whether actions are scaled: all of a Box, which PPO draws with one standard deviation whatever their bounds."""
    return not world.config.action.discrete


@torch.no_grad()
def _begin(model: stable_baselines3.PPO, world: WorldConfig, config: PPOConfig, source: SB3Agent | None) -> None:
    """Puts the policy at the world's action prior, or where the source stands."""
    policy = model.policy
    if source is not None:
        policy.load_state_dict(source.policy.state_dict())
    elif world.action.discrete:
        bias = policy.get_parameter("action_net.bias")
        bias.add_(torch.as_tensor(log_action_prior(world)).to(bias))
    else:
        policy.get_parameter("action_net.bias").copy_(torch.as_tensor(mean_action_prior(world)))
    if not world.action.discrete:
        policy.get_parameter("log_std").fill_(config.log_std)


def _check_source(source: SB3Agent, world: World, config: PPOConfig) -> None:
    facts = source.config
    came = (facts.algorithm, facts.inputs, facts.feature_size, facts.action, facts.net_arch, facts.scaled_actions)
    wanted = ("PPO", world.view.inputs, world.feature_size, world.config.action, tuple(config.net_arch), _scaled(world))
    if came != wanted:
        raise SettingsError(f"expected a source with algorithm, inputs, actions and layers {wanted}, got {came}")


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


def _train(world: World, folder: Path, settings: PPOConfig, source: Any) -> SB3Agent:
    return train_ppo(world, folder, settings, source=source)


register_agent("sb3", read=read_sb3, settings=PPOConfig, train=_train)
