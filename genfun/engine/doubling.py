"""The loss at any step by repeated squaring of the whole second-moment map: small problems without a clean contour."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Int
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.recursion import Recursion, joint_modes
from genfun.scaled import Scaled

MAX_DIMENSION = 1_300
"""Largest matrix that is squared; 40 squarings of this size take some seconds."""


def dimension(G: GeneratingFunction) -> int:
    """Size of the second-moment matrix."""
    nodes, _, _ = joint_modes(*G.measures)
    _, kick = G.method.update(0.0, *G.method.hyperparameters)
    return nodes.size * (len(kick) * (len(kick) + 1) // 2) + 1


def doubled_loss(G: GeneratingFunction, steps: Int[Array, " t"], shift: float) -> Scaled:
    r"""Mean loss from powers of the matrix of the direct recursion.

    .. math:: x_t = e^{p_0 t}\,(e^{-p_0} M)^t x_0

    with M the map of (X, 1) of `genfun.engine.recursion` for all modes together. The error is relative to the norm of
    the state, so that this serves where the dominant modes make up the loss.

    Parameters
    ----------
    G : GeneratingFunction
        With few nodes.
    steps : array, shape (t,)
    shift : float
        p_0.
    """
    step = Recursion(G.problem, [G.method], G.noise_model, G.measures)
    force, first = step.force[:, 0], step.state[:, 0]
    size, n = first.size, first.shape[1]
    whole = np.zeros((size + 1, size + 1))
    whole[:-1, :-1] = step.coupled_map()
    whole[:-1, -1] = G.problem.noise_variance * force.ravel()
    # Without label noise the constant is not needed, and shifted by a negative p_0 it would overflow.
    whole[-1, -1] = float(G.problem.noise_variance > 0.0)
    start = np.append(first.ravel(), 1.0)
    power = np.exp(-shift) * whole
    states = np.repeat(start[:, None], steps.size, axis=1)
    with np.errstate(all="ignore"):  # what overflows becomes nan, which the caller sees
        for bit in range(int(steps.max()).bit_length()):
            chosen = (steps >> bit & 1).astype(bool)
            states[:, chosen] = power @ states[:, chosen]
            power = power @ power
    losses = 0.5 * (states[:n].sum(axis=0) + G.problem.noise_variance * states[-1])
    return Scaled.exponential(losses, shift * steps.astype(np.float64))
