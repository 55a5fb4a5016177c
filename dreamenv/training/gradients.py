"""What the terms of a loss ask of the same tensors, and whether they pull the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def gradient_facts(terms: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> dict[str, float]:
    """Norms of two terms' gradients, and the cosine between them.

    Scales of losses say little about who leads: what counts is each term's share of the gradient.

    Args:
        terms: Two weighted terms of a loss by name, as they enter it.
        inputs: Tensors that both depend on.

    Returns:
        ``gradient/NAME`` for both, and ``gradient/cosine``, 0 where one of them is 0.
    """
    flat = []
    for term in terms.values():
        found = torch.autograd.grad(term, inputs, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]
        flat.append(torch.cat([part.float().flatten() for part in parts]))
    norms = {f"gradient/{name}": float(gradient.norm()) for name, gradient in zip(terms, flat, strict=True)}
    first, second = flat
    return {**norms, "gradient/cosine": float(F.cosine_similarity(first, second, dim=0))}
