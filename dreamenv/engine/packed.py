"""M with packed weights: one matrix product computes the recurrent step, and one the prior and all heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dreamenv.engine.products import matrix_product
from dreamenv.models.base import Outlook, State, WorldModel
from dreamenv.models.latent import Latent, Mixture
from dreamenv.models.mdnrnn.memory import LSTMMemory, embed_action
from dreamenv.models.mdnrnn.model import MDNRNN


class PackedMemory:
    """Copies of M's weights in the layout in which single steps are fastest.

    Results are those of :class:`dreamenv.models.mdnrnn.memory.LSTMMemory`, up to rounding. One product with [z, h]
    computes all gates. It is added to the contribution of the action and the biases, which for discrete actions is read
    from a table. Since tanh x = 2 sigmoid(2 x) - 1, one sigmoid computes all gates.

    Args:
        memory: M; its later training has no effect here.
        dtype: Of the matrix products: float32, bfloat16 or int8; with int8 the columns of z stay in float32. All other
            operations are in float32.
    """

    def __init__(self, memory: LSTMMemory, dtype: torch.dtype = torch.float32) -> None:
        self._memory = memory
        z, size = memory.latent_size, memory.hidden_size
        input_weight, hidden_weight, input_bias, hidden_bias = (p.detach() for p in memory.lstm.all_weights[0])
        factors = [1.0, 1.0, 2.0, 1.0]  # doubled for the candidate; the order: input, forget, candidate, output
        doubled = input_weight.new_tensor(factors).repeat_interleave(size)[:, None]
        self.gates = matrix_product(torch.cat([input_weight[:, :z], hidden_weight], 1) * doubled, dtype, exact=z)
        bias = (input_bias + hidden_bias) * doubled[:, 0]
        self._gates_of = _affine(memory.embedding, input_weight[:, z:] * doubled, bias, self.gates.dtype)
        heads = (memory.mixture, memory.endings.linear, memory.reward.linear)
        sizes = [head.out_features for head in heads]
        self._head_sizes = [*sizes, -sum(sizes) % 16]  # products of other widths are slow: docs/results/speed.md
        padding = 0, 0, 0, self._head_sizes[-1]
        rows = F.pad(torch.cat([head.weight.detach()[:, :size] for head in heads]), padding)
        self.heads = matrix_product(rows, dtype)
        self._head_bias = F.pad(torch.cat([head.bias.detach() for head in heads]), padding[2:]).to(self.heads.dtype)
        self._elapsed_weight = memory.reward.linear.weight.detach()[:, size]

    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Memory.advance`."""
        gates = self.gates.onto(self._gates_of(action), torch.cat([z, h], dim=1)).sigmoid_()
        into, forget, candidate, out = gates.chunk(4, dim=1)
        c = (forget * c).addcmul_(into, candidate, value=2.0).sub_(into)
        return torch.tanh(c).mul_(out), c

    def predict(self, h: Tensor, elapsed: Tensor) -> tuple[Mixture, Outlook]:
        """Computes the prior of z and the heads from (B, H) h and the elapsed share (B,) of the time limit."""
        memory = self._memory
        read = self.heads.onto(self._head_bias.expand(len(h), -1).clone(), h)  # `repeat` is slow for single rows
        mixture, endings, rewards, _ = read.split_with_sizes(self._head_sizes, dim=1)
        prior = Mixture.split(mixture, memory.config.mixture, memory.config.components, memory.latent_size)
        rewards = memory.reward.restore(torch.addcmul(rewards, elapsed[:, None], self._elapsed_weight))
        return prior, Outlook(memory.endings.calibrate(endings), rewards)


class PackedMDNRNN(MDNRNN):
    """An MDN-RNN whose steps use packed weights; later changes of its weights have no effect on steps.

    The paper's M has no packed layout and runs unchanged, in float32.

    Args:
        model: The world model.
        dtype: Of the matrix products of M and of V's encoder; with ``torch.int8`` V keeps to float32.
    """

    def __init__(self, model: MDNRNN, dtype: torch.dtype) -> None:
        super().__init__(model.vision, model.memory)
        self.dtype = dtype
        self._pack()

    def _pack(self) -> None:
        memory = self.memory
        self._packed = PackedMemory(memory, self.dtype) if isinstance(memory, LSTMMemory) else None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedMDNRNN:
        """Moves to another device, where the weights are packed anew."""
        super()._apply(fn, recurse)
        self._pack()
        return self

    def embed(self, frames: Tensor) -> Tensor:
        """See :meth:`WorldModel.embed`."""
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            return super().embed(frames)

    def advance(self, state: State, action: Tensor) -> State:
        """See :meth:`WorldModel.advance`."""
        if self._packed is None:
            return super().advance(state, action)
        h, carry = self._packed.advance(state.z, action, state.h, state.carry)
        return State(state.z, h, carry, state.step + 1)

    def predict(self, state: State, elapsed: Tensor, draw: Callable[[Latent], Tensor]) -> tuple[Tensor, Outlook]:
        """See :meth:`WorldModel.predict`; the prior and the heads come from one product."""
        if self._packed is None:
            return super().predict(state, elapsed, draw)
        prior, outlook = self._packed.predict(state.h, elapsed)
        return draw(prior), outlook


def compiled(model: WorldModel, dtype: torch.dtype = torch.float32) -> WorldModel:
    """Returns the model with packed weights for fast single steps; a kind without such a layout is returned unchanged.

    Raises:
        SettingsError: If the type is int8 and the model is not on the processor.
    """
    return PackedMDNRNN(model, dtype) if isinstance(model, MDNRNN) else model


def _affine(embedding: nn.Module, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Contribution of actions to the gates, W e(a) + b; for discrete actions a table that is computed once."""
    if isinstance(embedding, nn.Embedding):
        return partial(embed_action, weight=F.linear(embedding.weight.detach(), weight, bias).to(dtype))
    return partial(_continuous, embedding, weight, bias, dtype)  # no lambda, which could not be pickled


def _continuous(embedding: nn.Module, weight: Tensor, bias: Tensor, dtype: torch.dtype, action: Tensor) -> Tensor:
    return F.linear(embedding(action), weight, bias).to(dtype)
