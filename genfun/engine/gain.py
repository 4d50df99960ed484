"""The noise gain straight from the impulse responses, at z = 1 and in any precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Shaped
from genfun.problems.measure import SpectralMeasure
from genfun.symbolic.arrays import responses


def resting_kernel(
    kind: type[Any], capacity: SpectralMeasure, rates: Any, hyper: tuple[Any, ...], gamma: Any, tau2: float
) -> Shaped[Array, "..."]:
    r"""U~(1)/tau1 of settings of any shape; inf where a mode has no stationary state.

    .. math:: \tilde U(1)/\tau_1 = \gamma\alpha^2\sum_k\lambda_k^2\,\frac{n_u}{d + \gamma\tau_2 a^2 n_u}

    Parameters
    ----------
    kind : type
        Class of the method.
    capacity : SpectralMeasure
        The capacity measure.
    rates : array, any shape
        In the precision that is wanted.
    hyper : tuple of arrays
        Hyperparameters that broadcast against the rates.
    gamma : float or array that broadcasts against the rates
        Sampling factors.
    tau2 : float
    """
    rates = np.asarray(rates)[..., None]
    hyper, gamma = tuple(np.asarray(h)[..., None] for h in hyper), np.asarray(gamma)[..., None]
    a = rates * capacity.nodes
    d, kick, _ = responses(kind)(a, 0.0, *hyper)
    d = d + gamma * tau2 * a * a * kick
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        terms = (rates * rates * capacity.weights) * kick / d
        value = (gamma * terms.sum(axis=-1, keepdims=True))[..., 0]
    return np.where((d > 0.0).all(axis=-1), value, np.inf)
