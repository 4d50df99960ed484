"""How large may the learning rate be?"""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import curvature_limits, edge, gains_of
from genfun.methods.base import Method
from genfun.methods.family import Family, batch_of, in_fresh_batches
from genfun.methods.sgd import SGD
from genfun.problems.problem import Problem
from genfun.softmax.data import SoftmaxData
from genfun.softmax.predict import MOST_EDGES, own_noise, start_edge
from genfun.softmax.rise import largest_rate


def noise_gain_map(
    problem: Problem | LinearData,
    learning_rates: Any,
    momenta: Any,
    batch_size: int | None = None,
    noise: NoiseChoice = None,
    method: Method | None = None,
) -> Float[Array, "rates momenta"]:
    r"""U~(1) over a grid, of heavy-ball SGD or another method; the stability edge is its level 1.

    .. math:: \tilde U(1) = \gamma\tau_1\alpha_{eff}\sum_k \frac{\lambda_k}
              {2 - \alpha_{eff}\lambda_k\left[\frac{1-\beta}{1+\beta} - \gamma\tau_2\right]}

    **Assumptions.** The formula is that of heavy-ball SGD under spectrally expressible noise.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    learning_rates : array, shape (r,)
        alpha > 0.
    momenta : array, shape (m,)
        beta in (-1, 1).
    batch_size : int or None
        b; None means that of `method`, or the full batch.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    method : Method or None
        A method whose class and other hyperparameters are kept; None is heavy-ball SGD.

    Returns
    -------
    array, shape (r, m)
        U~(1); inf where alpha lambda_max >= 2(1+beta) or a mode has no stationary state.

    References
    ----------
    arXiv 2206.11124, eq. (13).

    Examples
    --------
    >>> import genfun as gf
    >>> gf.noise_gain_map(gf.LinearProblem([1.0], [1.0]), [0.5, 3.0], [0.0, 0.6], batch_size=1).round(4)
    array([[0.25  , 0.4255],
           [   inf, 0.9836]])
    """
    case, family = Case.of(problem, noise=noise), Family() if method is None else Family(method)
    batch_size = batch_of(method, batch_size)
    rates, betas = _check.vector("learning_rates", learning_rates), _check.vector("momenta", momenta)
    if rates.min() <= 0.0:
        raise ValueError(f"learning_rates must be positive, got {float(rates.min())!r}; start the grid above 0")
    for beta in betas:
        _check.momentum(beta)
    _check.rates(float(rates.max()), case.problem.lambda_max, "learning_rates")
    grid = gains_of(case.problem, family, *np.meshgrid(rates, betas), batch_size, case.noise).T
    beyond = rates[:, None] >= curvature_limits(family.kind, family.hyper(betas), case.problem.lambda_max)
    return np.where(beyond, np.inf, grid)


def max_learning_rate(
    problem: Problem | LinearData | SoftmaxData,
    momentum: float = 0.0,
    batch_size: int | None = None,
    noise: NoiseChoice = None,
    method: Method | None = None,
    rise: float | None = None,
    steps: int | None = None,
) -> float:
    r"""The largest learning rate at which the mean loss converges.

    .. math:: \alpha_{max} = \min\Big(\frac{2(1+\beta)}{\lambda_{max}},\ \alpha : \tilde U(1) = 1\Big)

    **Assumptions.** Those of the noise model; U~(1) is its noise gain. 0.0 is returned where no rate is stable
    (infinite trace).

    Parameters
    ----------
    problem : LinearProblem, PowerLaw, LinearData or SoftmaxData
        Of a SoftmaxData the start edge is given, C times the mean-square edge of least squares on its features: beyond
        it the first steps grow. A largest stable rate does not exist under cross-entropy: see `rise`.
    momentum : float
        beta in (-1, 1), of heavy-ball SGD.
    batch_size : int or None
        b; None means the full batch.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    method : Method, optional
        Another method in place of heavy-ball SGD; its own learning rate is ignored. With sampling="epochs" the edge is
        that of fresh batches, from which that of shuffled epochs was measured to differ by a few per cent.
    rise : float or None
        Of a SoftmaxData, in place of the start edge: the largest rate whose predicted mean loss, up to `steps`, never
        lies more than this share above its least value until then, found to 1 %; e.g. 0.1.
    steps : int or None
        T >= 1, which goes with `rise`.

    Returns
    -------
    float
        alpha_max, in units of 1/eigenvalue, to about 1e-14 relative.

    Raises
    ------
    ValueError
        If momentum or batch_size is out of range; or the loss rises less than `rise` at every rate up to twice the
        start edge, beyond which nothing is predicted.

    References
    ----------
    arXiv 2206.11124, eq. (13).

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=1000)
    >>> round(gf.max_learning_rate(problem, momentum=0.9, batch_size=1), 4)
    0.0924
    >>> gf.max_learning_rate(problem, momentum=0.9)  # full batch: 2(1+beta)/lambda_max
    3.8
    """
    if method is not None and (momentum != 0.0 or batch_size is not None):
        given = f"momentum={momentum!r}" if momentum != 0.0 else f"batch_size={batch_size!r}"
        raise ValueError(f"{given} is the method's own; leave it out where method is given, got {method!r}")
    setting = SGD(1.0, momentum, batch_size) if method is None else method
    if isinstance(problem, SoftmaxData):
        own_noise(noise)
        return (
            start_edge(problem, setting) if rise is None and steps is None else _rising(problem, setting, rise, steps)
        )
    case = Case.of(problem, in_fresh_batches(setting), noise, knows_options=True)
    if rise is not None or steps is not None:
        raise ValueError(f"rise and steps are of a SoftmaxData, got rise={rise!r}, steps={steps!r}; leave them out")
    return edge(case.problem, case.method, case.noise)


def _rising(data: SoftmaxData, method: Method, rise: float | None, steps: int | None) -> float:
    if rise is None or steps is None:
        raise ValueError(f"rise and steps go together, got rise={rise!r}, steps={steps!r}; e.g. rise=0.1, steps=1000")
    found = largest_rate(data, method, rise, steps)
    if found is None:
        raise ValueError(
            f"rise must be smaller: up to twice the start edge, {MOST_EDGES * start_edge(data, method):.6g}, beyond "
            f"which nothing is predicted, the loss never rises by more than {rise!r}, so that every such rate will do"
        )
    return found
