"""The largest stable learning rate with what binds, its band over noise models, and the popular formula."""

from __future__ import annotations

from genfun.answers.band import MINUS, PLUS
from genfun.answers.max_learning_rate import max_learning_rate
from genfun.answers.words.noise import edge_error
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import curvature_limit
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.report.model import RateLimit


def rate_limit(
    problem: Problem | LinearData, momentum: float, batch_size: int | None, noise: NoiseChoice = None
) -> RateLimit:
    r"""The largest stable learning rate of heavy-ball SGD, and how it compares.

    .. math:: \alpha_{max} = \min\Big(\frac{2(1+\beta)}{\lambda_{max}},\ \alpha : \tilde U(1) = 1\Big)

    **Assumptions.** Those of the noise model.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum, or the data.
    momentum : float
        beta in (-1, 1).
    batch_size : int or None
        b; None means the full batch.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    RateLimit
        With the band tau2 = +1 to -1 (at tau1 = 1) of spectrally expressible noise, or the error of that of the data.

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
    case = Case.of(problem, noise=noise)
    problem, model = case.problem, case.noise
    rate = max_learning_rate(problem, momentum, batch_size, model)
    top = curvature_limit(problem, SGD(1.0, momentum, batch_size))
    banded = isinstance(model, SpectrallyExpressible)
    return RateLimit(
        batch_size=batch_size,
        momentum=float(momentum),
        learning_rate=rate,
        effective_learning_rate=rate / (1.0 - momentum),
        limit="noise" if rate < top else "curvature",
        at_tau2_plus=max_learning_rate(problem, momentum, batch_size, PLUS) if banded else None,
        at_tau2_minus=max_learning_rate(problem, momentum, batch_size, MINUS) if banded else None,
        popular=top,
        factor=top / rate if rate > 0.0 else float("inf"),
        noise_error=edge_error(model, noisy=rate < top),
    )
