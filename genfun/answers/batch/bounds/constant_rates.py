"""Bounds for learning rates that stay as they are during a run."""

from __future__ import annotations

import math

import numpy as np

from genfun import _check
from genfun._typing import Array
from genfun.answers.batch.bounds._bound import SmoothConstants, StepsBound, checked


def _rational(name: str, c1: float, c2: float, accuracy: float, c3: float = 0.0, **more: float) -> StepsBound:
    def law(b: Array) -> Array:
        left = (accuracy - c3) * b - c2
        return np.where(left > 0.0, c1 * b / left, np.inf)

    star = 2.0 * c2 / (accuracy - c3) if accuracy > c3 else math.inf
    formula = "C1 b/(e b - C2)" if c3 == 0.0 else "C1 b/((e - C3) b - C2)"
    values = {"C1": c1, "C2": c2, **({"C3": c3} if c3 else {}), "e": accuracy, **more}
    return StepsBound(name, formula, star if star > 0.0 else math.nan, law, values)


def constant_rate_bound(constants: SmoothConstants, learning_rate: float, accuracy: float) -> StepsBound:
    r"""A constant learning rate.

    .. math:: \frac{C_1}{K}+\frac{C_2}{b}\le\epsilon^2,\quad C_1=\frac{2\Delta}{(2-L\alpha)\alpha},\quad
              C_2=\frac{L\sigma^2\alpha}{2-L\alpha},\qquad K=\frac{C_1b}{\epsilon^2b-C_2},\quad
              b^*=\frac{2C_2}{\epsilon^2}

    **Assumptions.** L-smooth loss, unbiased gradients of variance at most sigma^2/b, alpha < 2/L.

    Parameters
    ----------
    constants : SmoothConstants
        L, sigma^2, Delta.
    learning_rate : float
        alpha.
    accuracy : float
        epsilon^2, of the squared gradient norm.

    Returns
    -------
    StepsBound

    Raises
    ------
    ValueError
        If the rate or the accuracy is out of range.

    References
    ----------
    arXiv 2402.15344, 2108.11713: the form and b*. The constants are derived here.

    Examples
    --------
    >>> round(constant_rate_bound(SmoothConstants(1.0, 50.0, 1.0), 0.5, 0.05).critical_batch_size)
    667
    """
    rate, product, eps2 = checked(constants, learning_rate, accuracy)
    c1 = 2.0 * constants.gap / ((2.0 - product) * rate)
    c2 = constants.smoothness * constants.gradient_noise * rate / (2.0 - product)
    return _rational("constant rate", c1, c2, eps2)


def heavy_ball_bound(constants: SmoothConstants, learning_rate: float, momentum: float, accuracy: float) -> StepsBound:
    r"""A constant rate with heavy-ball momentum.

    .. math:: a=\frac{\alpha}{1-\beta},\quad c = 1-La-\frac{L^2a^2\beta^2}{(1-|\beta|)^2},\quad
              C_1=\frac{2\Delta}{ac},\quad C_2=\frac{\sigma^2}{c}\Big(La+\frac{L^2a^2\beta^2}{1-\beta^2}\Big)

    From the descent of z = w + v beta/(1-beta), which moves by a times the gradient; v bounds abs(z - w).

    **Assumptions.** As for `constant_rate_bound`, and c > 0. At beta = 0 it is the looser of the two.

    Parameters
    ----------
    constants : SmoothConstants
        L, sigma^2, Delta.
    learning_rate : float
        alpha.
    momentum : float
        beta in (-1, 1).
    accuracy : float
        epsilon^2.

    Returns
    -------
    StepsBound

    Raises
    ------
    ValueError
        If a value is out of range or c <= 0.

    References
    ----------
    Derived here; structure as in arXiv 2402.15344.

    Examples
    --------
    >>> c = SmoothConstants(1.0, 50.0, 1.0)
    >>> heavy_ball_bound(c, 0.01, 0.9, 0.05).critical_batch_size > heavy_ball_bound(
    ...     c, 0.01, 0.0, 0.05
    ... ).critical_batch_size
    True
    """
    rate, _, eps2 = checked(constants, learning_rate, accuracy)
    beta = _check.momentum(momentum)
    effective = rate / (1.0 - beta)
    x, b = constants.smoothness * effective, abs(beta)
    c = 1.0 - x - (x * b / (1.0 - b)) ** 2
    if c <= 0.0:
        raise ValueError(f"learning_rate {rate!r} is too large for this bound at momentum {beta!r}; lower it")
    c2 = constants.gradient_noise * (x + (x * b) ** 2 / (1.0 - b * b)) / c
    return _rational("heavy ball", 2.0 * constants.gap / (effective * c), c2, eps2)


def adam_bound(c1: float, c2: float, c3: float, accuracy: float) -> StepsBound:
    r"""The form of adaptive methods.

    .. math:: \frac{C_1}{K}+\frac{C_2}{b}+C_3\le\epsilon^2,\qquad K=\frac{C_1b}{(\epsilon^2-C_3)b-C_2},\qquad
              b^*=\frac{2C_2}{\epsilon^2-C_3}

    **Assumptions.** The three constants are known; they depend on moments and dimension in a way that has no simple
    form. How to estimate them from a run is not derived: `genfun.experiments.measure_steps` measures the steps of Adam
    themselves.

    Parameters
    ----------
    c1, c2, c3 : float
        C1 > 0, C2 >= 0, C3 >= 0.
    accuracy : float
        epsilon^2.

    Returns
    -------
    StepsBound

    References
    ----------
    arXiv 2108.11713.

    Examples
    --------
    >>> adam_bound(1.0, 0.5, 0.01, 0.05).critical_batch_size
    25.0
    """
    values = _check.positive("c1", c1), _check.nonnegative("c2", c2), _check.nonnegative("c3", c3)
    return _rational("adaptive method", values[0], values[1], _check.positive("accuracy", accuracy), values[2])


def tuned_rate_bound(constants: SmoothConstants, accuracy: float) -> StepsBound:
    r"""The rate that makes the bound least, for every batch size.

    .. math:: K = \frac{2L\Delta}{\epsilon^2}\Big(1+\frac Bb\Big),\qquad B=\frac{\sigma^2}{\epsilon^2}

    K b grows with b: there is no critical batch size; B is the knee, where half of the speed-up is spent.

    **Assumptions.** As for `constant_rate_bound`.

    Parameters
    ----------
    constants : SmoothConstants
        L, sigma^2, Delta.
    accuracy : float
        epsilon^2.

    Returns
    -------
    StepsBound

    References
    ----------
    Derived here from the bound at the head of this module.

    Examples
    --------
    >>> tuned_rate_bound(SmoothConstants(1.0, 50.0, 1.0), 0.05).constants["B"]
    1000.0
    """
    eps2 = _check.positive("accuracy", accuracy)
    level, knee = 2.0 * constants.smoothness * constants.gap / eps2, constants.gradient_noise / eps2

    def law(b: Array) -> Array:
        return np.asarray(level * (1.0 + knee / b))

    return StepsBound("rate tuned per batch", "A (1 + B/b)", math.nan, law, {"A": level, "B": knee})


def linear_scaling_bound(constants: SmoothConstants, rate_per_sample: float, accuracy: float) -> StepsBound:
    r"""A learning rate in proportion to the batch size, alpha = a0 b.

    .. math:: K=\frac{2\Delta}{a_0b\,[2\epsilon^2-L\sigma^2a_0-La_0\epsilon^2b]}

    Samples K b grow with b. Steps are least at b = 1/(L a0) - sigma^2/(2 epsilon^2), given as the constant
    `fewest_steps`.

    **Assumptions.** As for `constant_rate_bound`.

    Parameters
    ----------
    constants : SmoothConstants
        L, sigma^2, Delta.
    rate_per_sample : float
        a0.
    accuracy : float
        epsilon^2.

    Returns
    -------
    StepsBound

    References
    ----------
    Derived here from the bound at the head of this module.

    Examples
    --------
    >>> linear_scaling_bound(SmoothConstants(1.0, 50.0, 1.0), 1e-4, 0.05).constants["fewest_steps"]
    9500.0
    """
    scale, eps2 = _check.positive("rate_per_sample", rate_per_sample), _check.positive("accuracy", accuracy)
    smooth, spread = constants.smoothness, constants.gradient_noise

    def law(b: Array) -> Array:
        left = 2.0 * eps2 - smooth * spread * scale - smooth * scale * eps2 * b
        return np.where(left > 0.0, 2.0 * constants.gap / (scale * b * left), np.inf)

    fewest = 1.0 / (smooth * scale) - spread / (2.0 * eps2)
    return StepsBound(
        "rate in proportion to the batch", "2 D/(a b (2 e - L S a - L a e b))", math.nan, law, {"fewest_steps": fewest}
    )
