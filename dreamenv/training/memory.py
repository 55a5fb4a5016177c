"""Training M on latent episodes: next z, reward and ending at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dreamenv.config import WorldConfig
from dreamenv.data.endings import Kind
from dreamenv.foundation.ranges import Count, Settings, Share, Weight
from dreamenv.models.heads import mean_per_kind, weighted_cross_entropy
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.memory import Memory, MemoryConfig, one_step_loss
from dreamenv.models.mdnrnn.model import build_memory
from dreamenv.recordings import Recording
from dreamenv.training.balance import EndingBalance, balance_endings
from dreamenv.training.fit import LOG_EVERY, FitConfig, Metrics, fit
from dreamenv.training.gradients import gradient_facts
from dreamenv.training.warm import warm_start_heads


@dataclass(frozen=True)
class MemoryTraining(Settings):
    """How M is trained: NLL / Z + ending_weight * cross entropy + reward_weight * squared error.

    Attributes:
        model: Sizes of M.
        fit: The optimisation.
        batch_size: Windows per step.
        window: Steps of the windows that longer episodes are cut into; every window begins with h = 0.
        ending_weight: Weight of the ending head's cross entropy.
        ending_gradient: Share of the ending head's gradient that reaches the LSTM. An LSTM soon overfits to a few
            hundred endings; with a smaller share the head stays calibrated for longer.
        reward_weight: Weight of the reward head's squared error, standardised and averaged within every kind of ending.
        repulsion_weight: Weight of the overlap of the mixture's components.
        episode_balance: A window is drawn with probability ~ (share of its kind of ending) ** -episode_balance. In the
            ending head's loss, the weight of its steps that go on is smaller by the same factor.
        step_balance: A step's cross entropy has the weight (share of its kind) ** -step_balance, scaled so that the
            most common kind has 1.
        forget_bias: Added to the bias of the LSTM's forget gates if the weights are fresh. With 0 the LSTM starts by
            halving its cell state at every step, and frames of ten steps ago have hardly a gradient; with 2 it starts
            by remembering (Jozefowicz et al. 2015).
        calibrated: Whether the shift that both balances cause in the probabilities of endings is removed; World Models,
            with a weight of 10 for endings, does not remove it.

    Raises:
        SettingsError: If a setting is out of range.
    """

    model: MemoryConfig = field(default_factory=MemoryConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=2000, gradient_clip=1.0))
    batch_size: Count = 16
    window: Count = 200
    ending_weight: Weight = 2.0
    ending_gradient: Share = 1.0
    reward_weight: Weight = 0.1
    repulsion_weight: Weight = 0.0
    episode_balance: Weight = 0.5
    step_balance: Weight = 0.3
    forget_bias: Weight = 0.0
    calibrated: bool = True


def train_memory(
    episodes: Sequence[Recording],
    world: WorldConfig,
    config: MemoryTraining,
    folder: Path,
    identity: object,
    source: Memory | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    *,
    source_endings: Sequence[Kind] | None = None,
) -> Memory:
    """Trains M; resumes from ``folder``.

    Args:
        episodes: Training episodes.
        world: Facts of the real environment.
        config: Settings.
        folder: Checkpoints and TensorBoard.
        identity: JSON-able description of data, V and ``source``.
        source: M whose weights the training starts with; fresh ones if None.
        seed: Of everything random.
        device: Where to train.
        source_endings: Kinds of endings that ``source`` predicts, in its order; those of ``world`` if None.

    Returns:
        The trained M, in evaluation mode; its ending probabilities are calibrated if the settings say so.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = dataclasses.replace(world.model, memory=config.model)
        memory = build_memory(sizes, world.action, 1 + len(world.endings))
    if source is None:
        _open_forget_gates(memory, config.forget_bias)
    else:
        warm_start_heads(memory, source, world.endings, world.endings if source_endings is None else source_endings)
    windows = [window for episode in episodes for window in _cut(episode, config.window)]
    balance = balance_endings(windows, 1 + len(world.endings), config.episode_balance, config.step_balance)
    memory.endings.shift.copy_(balance.shift if config.calibrated else torch.zeros_like(balance.shift))
    memory.reward.fit_range(torch.cat([e.reward for e in episodes]), torch.cat([e.ending for e in episodes]))

    def loss(step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        batch = _sample_batch(windows, balance, config, generator).to(device)
        return _batch_loss(memory, batch, weights, config, world.max_episode_steps, step, generator)

    memory.to(device)
    weights = balance.kinds.to(device)
    fit(memory, loss, config.fit, folder, [identity, dataclasses.asdict(config)], seed)
    return memory.eval()


@torch.no_grad()
def _open_forget_gates(memory: Memory, bias: float) -> None:
    """Adds to the bias of the forget gates, the second of the LSTM's four kinds of gates."""
    lstm = memory.lstm  # without a bias of its own its last input is constant, see PaperMemory
    gates = lstm.get_parameter("bias_hh_l0") if lstm.bias else lstm.get_parameter("weight_ih_l0")[:, -1]
    gates[memory.hidden_size : 2 * memory.hidden_size] += bias


@dataclass(frozen=True)
class _Batch:
    """Windows padded to the longest: (B, T + 1, 2 Z) embeddings, (B, T, ...) the rest; ``valid`` marks real steps.

    ``going_on`` is the weight of steps that go on in the ending head's loss, see :func:`balance_endings`.
    """

    embedding: Tensor
    action: Tensor
    reward: Tensor
    ending: Tensor
    step: Tensor
    going_on: Tensor
    valid: Tensor

    def to(self, device: str | torch.device) -> _Batch:
        return _Batch(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


def _sample_batch(
    windows: Sequence[Recording],
    balance: EndingBalance,
    config: MemoryTraining,
    generator: torch.Generator,
) -> _Batch:
    chosen = torch.multinomial(balance.draw, config.batch_size, replacement=True, generator=generator)
    columns = []
    for index in chosen.tolist():
        w, valid = windows[index], torch.ones(len(windows[index]), dtype=torch.bool)
        weight = balance.going_on[index].expand(len(w))
        columns.append((w.embedding, w.action, w.reward, w.ending, w.step, weight, valid))
    return _Batch(*(pad_sequence(list(parts), batch_first=True) for parts in zip(*columns, strict=True)))


def _batch_loss(
    memory: Memory,
    batch: _Batch,
    weights: Tensor,
    config: MemoryTraining,
    limit: int,
    step: int,
    generator: torch.Generator,
) -> tuple[Tensor, Metrics]:
    """The whole loss, and its parts; ``weights`` are those of the kinds of endings, (kinds,)."""
    mean, log_variance = batch.embedding.chunk(2, dim=-1)
    normal = torch.randn(mean.shape, generator=generator).to(mean.device)
    z = Gaussian(mean, log_variance).at(normal)
    sequence, _ = memory.unroll(z[:, :-1], batch.action)
    h = sequence.float()[batch.valid]
    mixture = memory.prior(h).float()
    nll = one_step_loss(mixture, z[:, 1:][batch.valid]).mean()
    ending = batch.ending[batch.valid]
    read = h if config.ending_gradient == 1.0 else torch.lerp(h.detach(), h, config.ending_gradient)
    losses = weighted_cross_entropy(memory.endings(read), ending, weights)
    cross_entropy = torch.where(ending == 0, losses * batch.going_on[batch.valid], losses).mean()
    elapsed = batch.step[batch.valid] / limit
    predicted = memory.reward(h, elapsed).float().gather(-1, ending[:, None]).squeeze(-1)
    error = predicted - memory.reward.standardise(batch.reward[batch.valid], ending)
    reward_loss = mean_per_kind(error.square(), ending, len(weights))
    value = nll + config.ending_weight * cross_entropy + config.reward_weight * reward_loss
    metrics = {"nll": nll.item(), "ending": cross_entropy.item(), "reward": reward_loss.item()}
    if config.repulsion_weight:
        repulsion = config.repulsion_weight * mixture.overlap().mean()
        value = value + repulsion
        metrics["repulsion"] = repulsion.item() / config.repulsion_weight
        if step % LOG_EVERY == 0:
            metrics |= gradient_facts({"mixture": nll, "repulsion": repulsion}, mixture.parts)
    return value, metrics


def _cut(episode: Recording, window: int) -> list[Recording]:
    """Cuts an episode into consecutive windows, so that every step is in exactly one of them."""
    return [episode.span(*ends) for ends in window_spans(len(episode), window)]


def window_spans(length: int, window: int) -> list[tuple[int, int]]:
    """Half-open ranges of steps of the windows that an episode of ``length`` steps is cut into."""
    return [(first, min(first + window, length)) for first in range(0, length, window)]
