"""The largest stable learning rate with what binds, its band over noise models, and the popular formula."""

from __future__ import annotations

from genfun.answers.band import MINUS, PLUS
from genfun.answers.max_learning_rate import max_learning_rate
from genfun.engine.edge import curvature_limit
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.report.model import RateLimit


def rate_limit(problem: Problem, momentum: float, batch_size: int | None, noise: SpectrallyExpressible) -> RateLimit:
    r"""The largest stable learning rate of heavy-ball SGD, and how it compares.

    .. math:: \alpha_{max} = \min\Big(\frac{2(1+\beta)}{\lambda_{max}},\ \alpha : \tilde U(1) = 1\Big)

    **Assumptions.** Spectrally expressible noise.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    momentum : float
        beta in (-1, 1).
    batch_size : int or None
        b; None means the full batch.
    noise : SpectrallyExpressible
        (tau1, tau2).

    Returns
    -------
    RateLimit
        With the band tau2 = +1 to -1 (at tau1 = 1).

    References
    ----------
    arXiv 2206.11124, eq. (13).

    Examples
    --------
    >>> import genfun as gf
    >>> r = rate_limit(gf.PowerLaw(1.5, 0.5, n_modes=1000), 0.9, 1, gf.SpectrallyExpressible())
    >>> r.limit, round(r.learning_rate, 4), round(r.factor)
    ('noise', 0.0924, 41)
    """
    rate = max_learning_rate(problem, momentum, batch_size, noise)
    top = curvature_limit(problem, SGD(1.0, momentum, batch_size))
    return RateLimit(
        batch_size=batch_size,
        momentum=float(momentum),
        learning_rate=rate,
        effective_learning_rate=rate / (1.0 - momentum),
        limit="noise" if rate < top else "curvature",
        at_tau2_plus=max_learning_rate(problem, momentum, batch_size, PLUS),
        at_tau2_minus=max_learning_rate(problem, momentum, batch_size, MINUS),
        popular=top,
        factor=top / rate if rate > 0.0 else float("inf"),
    )
