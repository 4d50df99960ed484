"""Does the theory hold on these data? A few settings, simulated and predicted."""

from __future__ import annotations

from collections.abc import Sequence

from genfun import _check
from genfun._typing import Progress
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import edge
from genfun.experiments.agreement.agreements import Agreements, agreements
from genfun.experiments.simulation.record import log_grid
from genfun.experiments.simulation.simulate import simulate_many
from genfun.methods.sgd import SGD

POINTS = 7
"""Steps compared beside the start; a verdict is on all of them."""


def check_theory(
    data: LinearData,
    noise: NoiseChoice = None,
    batch_sizes: Sequence[int] = (1, 10, 100),
    momenta: Sequence[float] = (0.0, 0.9),
    shares: Sequence[float] = (0.25, 0.5),
    steps: int = 1000,
    replicas: int = 64,
    seed: int = 0,
    relative: float = 0.02,
    progress: Progress | None = None,
) -> Agreements:
    r"""Simulate settings at given shares of the edge of stability, and compare with the prediction.

    .. math:: \alpha = c\,\alpha_{max}(\beta, b),\qquad c \in \{1/4, 1/2\}

    **Assumptions.** Nothing is assumed of the data: that is what is checked. Towards the edge the mean is carried by
    rare runs, and more of them are needed; a median above twice the predicted mean still refutes it.

    Parameters
    ----------
    data : LinearData
        The data.
    noise : SpectrallyExpressible, Noise, "measured", "exact", "fitted" or None
        The noise model of the prediction; None is the measured noise of the data.
    batch_sizes : sequence of int
        b; those not below N are left out.
    momenta : sequence of float
        beta.
    shares : sequence of float
        c > 0, learning rates in units of the largest stable one.
    steps : int
        Number of steps.
    replicas : int
        Number of runs of each setting.
    seed : int
        As for `simulate`.
    relative : float
        Relative difference allowed for the noise approximation.
    progress : callable, optional
        Called with (fraction done, stage).

    Returns
    -------
    Agreements
        One line for each setting, `.agrees` the verdict.

    Raises
    ------
    ValueError
        If a number is out of range, or no batch size is below N.
    TypeError
        If data is not a LinearData.

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> check_theory(data, batch_sizes=[1], momenta=[0.0], steps=10)
    Agreements(2 agrees of 2 settings, at every step within 2 % + 2.5 standard errors)
    """
    if not isinstance(data, LinearData):
        raise TypeError(f"data must be a LinearData, got {type(data).__name__}; see LinearData.from_features")
    below = [b for b in batch_sizes if _check.integer("batch_sizes", b, 1) < data.n_samples]
    if not below:
        raise ValueError(f"batch_sizes must have a number below n_samples={data.n_samples}, got {list(batch_sizes)}")
    factors = [_check.positive("shares", share) for share in shares]
    assumed = Case.of(data, noise=noise).noise
    settings = []
    for b in below:
        for beta in momenta:
            largest = edge(data.problem, SGD(1.0, beta, b), assumed)
            settings += [SGD(factor * largest, beta, b) for factor in factors]
    kept = log_grid(_check.integer("steps", steps, 1), POINTS)[1:]
    runs = simulate_many(data, settings, steps, replicas, "auto", seed, kept, progress)
    return agreements(data.problem, runs, assumed, relative)
