"""When does it blow up, how fast, and what binds?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from genfun._display import Displayed
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import curvature_limit, edge
from genfun.engine.singularity import dominant_singularity
from genfun.methods.base import Method
from genfun.problems.problem import Problem

Verdict = Literal["converges", "diverges", "marginal"]
Limit = Literal["noise", "curvature"]
MARGINAL = 1e-9
"""|U~(1) - 1|, or relative distance from the curvature limit, below which no verdict is given."""


@dataclass(frozen=True, repr=False)
class Stability(Displayed):
    """Mean-square stability of a setting.

    Parameters
    ----------
    status : str
        "converges" (to the floor), "diverges" or "marginal" (on the edge to 1e-9).
    noise_gain : float
        U~(1), dimensionless: how much gradient noise one unit of loss causes over all later steps. Below 1 when
        stable; inf when a mode has no stationary state or the trace diverges.
    growth_rate : float
        Late-time d log(excess loss)/d step; negative if the loss decays exponentially, 0 for an infinite spectrum
        that decays slower.
    limit : str
        What binds as the learning rate is raised: "noise" (U~(1) = 1) or "curvature" (the noiseless limit, for the
        heavy ball 2(1+beta)/lambda_max).
    floor : float
        Excess loss at t = inf, sigma^2 U~(1)/(2 tau1 (1 - U~(1))); 0 without label noise; inf unless it converges.
    floor_error : float
        Its relative rounding error, about 1e-16/(1 - U~(1)).

    Examples
    --------
    >>> import genfun as gf
    >>> gf.stability(gf.LinearProblem([1.0, 0.5], [1.0, 1.0], noise_variance=0.1), gf.SGD(0.5, batch_size=2))
    Stability(converges: noise gain 0.209524, growth rate -0.5542 per step, limited by noise, floor 0.01325)
    """

    status: Verdict
    noise_gain: float
    growth_rate: float
    limit: Limit
    floor: float
    floor_error: float = 0.0

    def __repr__(self) -> str:
        return (
            f"Stability({self.status}: noise gain {self.noise_gain:.6g}, growth rate {self.growth_rate:.4g} per step, "
            f"limited by {self.limit}, floor {self.floor:.4g})"
        )


def stability(problem: Problem | LinearData, method: Method, noise: NoiseChoice = None) -> Stability:
    r"""Whether the mean loss converges, how fast in the end, and what binds.

    .. math:: \text{stable} \iff \rho(T(\alpha\lambda_k)) < 1\ \text{for all } k\ \text{and}\ \tilde U(1) < 1

    .. math:: \text{growth rate} = -\ln z_*,\quad z_*\tilde U(z_*) = 1;\qquad
              \text{floor} = \frac{\sigma^2}{2\tau_1}\frac{\tilde U(1)}{1-\tilde U(1)}

    **Assumptions.** Spectrally expressible noise. For the heavy ball the first condition is
    0 < alpha lambda_max < 2(1+beta).

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    method : Method
        The setting, e.g. `SGD(0.5, 0.9, 10)`.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    Stability

    Raises
    ------
    ValueError
        If the batch is larger than the training set.

    References
    ----------
    arXiv 2206.11124, section 4, eq. (13); eventual divergence: section 5.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.stability(gf.PowerLaw(1.5, 0.5, n_modes=1000), gf.SGD(0.1, 0.9, batch_size=1)).status
    'diverges'
    """
    case = Case.of(problem, method, noise, knows_options=True)
    G = case.transform
    singular = dominant_singularity(G)
    gain, top = singular.noise_gain, curvature_limit(case.problem, method)
    edge_distance = method.learning_rate / top - 1.0 if top > 0.0 else np.inf
    # On one of the two limits and not beyond the other.
    beyond, at_curvature = gain > 1.0 + MARGINAL, abs(edge_distance) < MARGINAL
    marginal = not beyond and (at_curvature or (abs(gain - 1.0) < MARGINAL and not singular.curvature_binds))
    if singular.curvature_binds:
        gain = np.inf if G.gamma > 0.0 else 0.0
    status: Verdict = "marginal" if marginal else "converges" if singular.stable else "diverges"
    floor, error = np.inf, 0.0
    if status == "converges":
        decays = getattr(getattr(method, "method", method), "weight_decay", 0.0) > 0.0
        moves = decays or (case.problem.noise_variance > 0.0 and G.gamma > 0.0)
        floor, error = (G.floor(), G.floor_error()) if moves else (0.0, 0.0)
    limit: Limit = "noise" if edge(case.problem, method, case.noise) < top else "curvature"
    return Stability(status, gain, singular.rate, limit, float(floor), error)
