"""Trainings that begin with the weights of an earlier model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dreamenv.data.endings import Kind


def warm_start(model: nn.Module, source: nn.Module | None) -> None:
    """Copies the tensors of ``source`` whose name and shape ``model`` has too."""
    known = {} if source is None else source.state_dict()
    own = model.state_dict()
    model.load_state_dict({n: known[n] if n in known and known[n].shape == t.shape else t for n, t in own.items()})


def warm_start_heads(model: nn.Module, source: nn.Module, own: Sequence[Kind], theirs: Sequence[Kind]) -> None:
    """Copies the weights of ``source`` that fit; rows of its heads are matched by their kind of ending.

    Args:
        model: With heads ``endings`` and ``reward``; changed in place. A kind that ``source`` does not have keeps its
            fresh row.
        source: A model of the same kind, whose weights are copied.
        own: Kinds of endings of ``model``.
        theirs: Kinds of endings of ``source``.
    """
    state, known = model.state_dict(), source.state_dict()
    names = [name for name in state if name.startswith(("endings.", "reward."))]
    heads = {name: state[name].clone() for name in names}
    pairs = [(0, 0), *((1 + own.index(kind), 1 + theirs.index(kind)) for kind in own if kind in theirs)]
    for name, head in heads.items():
        its_head = known.get(name, head[:0])  # a head without outputs has no weights
        if head.shape[1:] != its_head.shape[1:]:
            continue
        if name.startswith("reward.") and len(head) == len(its_head) == 1:  # one row for all kinds
            head.copy_(its_head)
            continue
        first = 1 + len(own) - len(head)  # 1 where "goes on" has no row
        if first == 1 + len(theirs) - len(its_head):
            for row, its_row in pairs[first:]:
                head[row - first] = its_head[its_row - first]
    warm_start(model, source)
    model.load_state_dict({**model.state_dict(), **heads})
