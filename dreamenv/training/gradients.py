"""Gradient norms of the terms of a loss, and their cosine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def gradient_facts(terms: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> dict[str, float]:
    """Computes the norms of two terms' gradients, and the cosine between them.

    The value of a term says little about its influence on training; its share of the gradient measures it.

    Args:
        terms: Two terms of a loss by name, with their weights.
        inputs: Tensors that both terms depend on.

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
