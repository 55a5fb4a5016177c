"""Lambda returns of imagined episodes, and the weights of their moments.

The value of a state is the expected discounted sum of the rewards still to come; the reward of arriving at the state
is not among them. This is Gymnasium's convention and DreamerV3's. In the papers and codes of V1 and V2 a return
includes the reward of arriving, and the discount predicted at a state is that of the step which leaves it. Here reward
and discount of a step are those of the step from s_t to s_t+1, predicted at s_t+1, which :meth:`World.foresee` returns
together.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_returns(reward: Tensor, discount: Tensor, value: Tensor, over: Tensor, td_lambda: float) -> Tensor:
    """Returns of every moment: R_t = r_t + d_t ((1 - lambda) v_t+1 + lambda R_t+1), with R_H = v_H.

    Equation 6 of Dreamer V1 in its recursive form. Where the time limit cuts an episode, R_t = v_t, as at the horizon:
    what would have come counts by its value.

    Args:
        reward: Expected rewards r_t of the steps, (H, B).
        discount: d_t, gamma times the probability that the step ends nothing, (H, B).
        value: v_t of the states, (H + 1, B).
        over: Whether a state is at the time limit or behind it, (H + 1, B) bool.
        td_lambda: Lambda.

    Returns:
        R_0 to R_H, (H + 1, B).
    """
    returns = [value[-1]]
    for t in reversed(range(len(reward))):
        ahead = (1.0 - td_lambda) * value[t + 1] + td_lambda * returns[-1]
        returns.append(torch.where(over[t], value[t], reward[t] + discount[t] * ahead))
    return torch.stack(returns[::-1])


def reach(going: Tensor, over: Tensor) -> Tensor:
    """Probability that an imagined episode reaches each moment: its weight in the losses.

    The first is 1, the others are products of the probabilities of the earlier steps; 0 from the time limit on. V1 and
    V2 multiply the discount in as well, here and in every later moment.

    Args:
        going: Probability that each step ends nothing, (H, B).
        over: As for :func:`lambda_returns`.

    Returns:
        (H, B), without gradient.
    """
    earlier = torch.cat([torch.ones_like(going[:1]), going[:-1]]).detach()
    return torch.where(over[:-1], 0.0, earlier.cumprod(0))
