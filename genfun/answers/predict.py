"""What will the loss be at step t?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float, Int
from genfun.answers.epochs import epochs_curve
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.average_curve import UniformAverage, uniform_curve
from genfun.engine.contour_curve import LossCurve, by_contour, joined
from genfun.engine.loss_curve import FIRST_CONTOUR_STEP, automatic, by_recursion
from genfun.engine.scheduled import scheduled_curve
from genfun.engine.singularity import Singularity, dominant_singularity
from genfun.engine.transform import Transform
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.noise import NoiseModel
from genfun.problems.problem import Problem
from genfun.scaled import EPS, Scaled
from genfun.schedules.scheduled_sgd import ScheduledSGD
from genfun.softmax.data import SoftmaxData
from genfun.softmax.predict import SoftmaxPrediction, softmax_predict

Route = Literal["auto", "recursion", "contour"]
Status = Literal["ok", "diverges", "underflow", "inaccurate", "noise uncertain", "epochs uncertain"]
MEANING: dict[Status, str] = {
    "ok": "every loss is within the error estimate",
    "diverges": "the mean loss grows without bound, or under a schedule beyond a million times its start; losses above "
    "1e308 are inf, and their logarithms known",
    "underflow": "some losses are below 1e-308 and count as 0; their logarithms are known",
    "noise uncertain": "the noise of the data is known to no better than 1 % of some losses: see the noise error",
    "epochs uncertain": "so near the stability edge, where so few samples carry the features, where rare features that "
    "exclude each other carry the loss (one-hot columns), or where products of more than two features count for much, "
    "the loss with one shuffle an epoch may be tens of per cent off; where the noise error is infinite it is "
    "impossible and means nothing",
    "inaccurate": "a relative accuracy of 1e-6 was not reached at some of the losses: see the error",
}
DIVERGED = 1e6
"""Times its start, beyond which a loss of a schedule, which ends, counts as diverging."""
INACCURATE, UNCERTAIN = 1e-6, 1e-2
TINY = float(np.finfo(np.float64).tiny)
ROUNDED = 16.0
"""Roundings of the targets in the label noise that decompositions find below them: 8 at most in 50 small data sets."""
MAX_RECURSION = 10**7


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Displayed):
    """Mean loss at given steps.

    Parameters
    ----------
    steps : integer array, any shape
        As asked for.
    loss : array, same shape
        Mean loss E L(t); 0 below 1e-308 and inf above 1e308.
    error : array, same shape
        Estimated relative error of the computation (not of the noise approximation). Of data, with that of label noise
        next to the rounding of the targets.
    status : str
        "ok", "diverges", "underflow", "noise uncertain", "epochs uncertain" or "inaccurate"; `meaning` has the words.
    log_loss : array, same shape
        Natural logarithm of the loss, which neither over- nor underflows.
    route : str
        How it was computed.
    problem : Problem
        As asked.
    method : Method or ScheduledSGD
        As asked.
    noise : SpectrallyExpressible or Noise
        The noise model.
    noise_error : array, same shape
        Estimated relative error of the loss by what the noise model leaves out: 0 for the exact noise of data, an
        estimate for the measured one, nan for a model that does not know, inf in epochs where the loss is impossible.
    logged_loss : array, same shape, or None
        In epochs, the mean loss of the batch of that step before its update: what a training loop prints. None with
        fresh batches, where it is the loss itself.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.predict(gf.LinearProblem([1.0], [2.0]), gf.SGD(0.5), [0, 1])
    Prediction(ok: loss 0.25 at step 1, 2 steps by powers, error <= ...)
    """

    steps: Int[Array, "..."]
    loss: Float[Array, "..."]
    error: Float[Array, "..."]
    status: Status
    log_loss: Float[Array, "..."]
    route: str
    problem: Problem
    method: Method | ScheduledSGD
    noise: NoiseModel
    noise_error: Float[Array, "..."]
    logged_loss: Float[Array, "..."] | None = None

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    def __repr__(self) -> str:
        last = int(np.argmax(self.steps))
        return (
            f"Prediction({self.status}: loss {self.loss.flat[last]:.6g} at step {self.steps.flat[last]}, "
            f"{self.steps.size} steps by {self.route}, error <= {self.error.max():.1e}{self._of_noise()})"
        )

    def _of_noise(self) -> str:
        worst = np.nan_to_num(self.noise_error, nan=0.0, posinf=np.inf).max()
        return f", noise error about {worst:.1e}" if worst > 0.0 else ""


def _under_schedule(case: Case, steps: Array) -> tuple[LossCurve, Array]:
    """The losses, and what the noise model leaves out of them."""
    last = int(steps[-1])
    run = case.scheduled_run(last)
    if run is None:
        return scheduled_curve(case.problem, case.method, case.expressible, steps), np.full(steps.size, np.nan)
    losses, errors = run.run(last + 1)
    curve = LossCurve(losses[steps], errors[steps], "recursion under the schedule")
    return curve, run.noise_errors(steps, curve.loss.log())


def _noise_errors(case: Case, steps: Array, curve: LossCurve, singular: Singularity | None) -> Array:
    own = getattr(case.noise, "loss_errors", None)
    if singular is None:
        return np.full(steps.size, np.nan)
    if case.gamma == 0.0:
        return np.zeros(steps.size)
    return np.full(steps.size, np.nan) if own is None else own(case.problem, case.method, steps, curve.loss.log())


@overload
def predict(problem: SoftmaxData, method: Method, steps: Any) -> SoftmaxPrediction: ...


@overload
def predict(
    problem: Problem | LinearData,
    method: Method | ScheduledSGD,
    steps: Any,
    noise: NoiseChoice = None,
    route: Route = "auto",
) -> Prediction: ...


def predict(
    problem: Problem | LinearData | SoftmaxData,
    method: Method | ScheduledSGD,
    steps: Any,
    noise: NoiseChoice = None,
    route: Route = "auto",
) -> Prediction | SoftmaxPrediction:
    r"""Mean loss of mini-batch SGD at given steps, without training.

    .. math:: L(t) = \frac{1}{2\pi i}\oint \tilde L(z)\, z^{-t-1}\, dz

    **Assumptions.** Fresh batches, spectrally expressible noise, or that of the data themselves (noise="exact").
    Constant hyperparameters and steps up to 10^15; or a `ScheduledSGD`, followed step by step up to 10^8 (fewer with
    the noise of data: all second moments, or their projection, whichever is quicker).

    Parameters
    ----------
    problem : LinearProblem, PowerLaw, LinearData or SoftmaxData
        The spectrum; or the data themselves, which noise="exact" needs. Of a SoftmaxData the mean cross-entropy, by
        re-linearisation averaged over Gaussian weights.
    method : Method or ScheduledSGD
        e.g. `SGD(learning_rate=0.5, momentum=0.0, batch_size=10)`.
    steps : int or array of ints, any shape
        Step numbers >= 0, any order, repeats allowed; step 0 is the start.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    route : str
        "auto" chooses and checks; "recursion" steps through all of them; "contour" inverts the generating function
        (steps below 32 still by recursion).

    Returns
    -------
    Prediction or SoftmaxPrediction
        `.loss` of the shape of `steps`, `.error`, `.status`, `.log_loss`; of a SoftmaxData `.error_rate`.

    Raises
    ------
    ValueError
        On negative or fractional steps, a batch larger than the data, an unknown route, noise="exact" without
        data, or "contour" or a noise of one's own under a schedule.

    References
    ----------
    arXiv 2206.11124, theorem 1; inversion: Weideman and Trefethen, Math. Comp. 76 (2007) 1341.

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.PowerLaw(nu=1.5, zeta=0.5)
    >>> r = gf.predict(problem, gf.SGD(0.3, momentum=0.5, batch_size=10), [0, 1000, 10**9])
    >>> r.status, r.loss.round(8).tolist()
    ('ok', [0.5, 0.01382949, 1.392e-05])
    """
    if isinstance(problem, SoftmaxData):
        return softmax_predict(problem, method, steps, noise)
    wanted = _check.steps(steps)
    _check.choice("route", route, Route)
    if getattr(method, "sampling", "fresh") == "epochs":
        return _in_epochs(problem, method, wanted, noise)
    scheduled = isinstance(method, ScheduledSGD)
    only = "predict under a schedule" if scheduled else ""
    case = Case.of(problem, method, noise, only_expressible=only, knows_options=True, knows_schedules=True)
    unique, inverse = np.unique(wanted, return_inverse=True)
    singular, noise_error, G = None, None, None
    if scheduled:
        if route == "contour":
            raise ValueError("route='contour' needs constant hyperparameters; leave it out with a ScheduledSGD")
        curve, noise_error = _under_schedule(case, unique)
    elif case.explodes:
        singular = dominant_singularity(case.transform)
        losses = np.where(unique > 0, np.inf, case.initial_loss)
        curve = LossCurve(Scaled(losses, np.zeros(unique.size, dtype=np.int64)), np.zeros(unique.size), "limit")
    else:
        G = case.transform.excited()
        singular = dominant_singularity(G)
        curve = _curve(G, unique, route, singular)
    shape = wanted.shape
    curve = replace(curve, error=curve.error + _of_rounded_targets(case, curve.loss.log(), G, singular))
    if noise_error is None:
        noise_error = _noise_errors(case, unique, curve, singular)
    loss, log_loss, error, noise_error = (
        np.reshape(x[inverse.ravel()], shape) for x in (curve.loss.value(), curve.loss.log(), curve.error, noise_error)
    )
    # Numbers below it have few digits, and none would say so.
    loss = np.where(loss < TINY, 0.0, loss)
    status = _status(loss, error, noise_error, singular)
    if scheduled and curve.loss.value()[-1] > DIVERGED * case.initial_loss:
        status = "diverges"
    return Prediction(wanted, loss, error, status, log_loss, curve.route, case.problem, method, case.noise, noise_error)


def _in_epochs(problem: Any, method: Any, steps: Array, noise: NoiseChoice) -> Prediction:
    """By the closure over an epoch, see `genfun.epochs_curve`."""
    if isinstance(method, Averaged):
        raise ValueError(
            "averaged weights: not derived with sampling='epochs'; sampling='fresh' knows them, and simulate runs them"
        )
    case = Case.of(problem, replace(method, sampling="fresh"), noise, knows_options=True)
    found = epochs_curve(problem, method, steps, noise)
    status: Status = "epochs uncertain"
    if found.status == "ok" or found.status == "diverges":
        status = found.status
    if status == "ok" and (found.loss == 0.0).any():
        status = "underflow"
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(found.loss)
    unknown = np.full(steps.shape, np.inf if found.status == "impossible" else np.nan)
    # Of a single step NumPy makes a number, no array.
    loss, error, logs, logged = map(np.asarray, (found.loss, EPS * (16.0 + 2.0 * steps), logs, found.logged_loss))
    return Prediction(steps, loss, error, status, logs, "epochs", case.problem, method, case.noise, unknown, logged)


def _of_rounded_targets(case: Case, logs: Array, G: Transform | None, singular: Singularity | None) -> Array:
    """The relative error by that of label noise, which data have as what is left of rounded targets by a fit.

    To first order the part of a loss that label noise makes, at most its limit, is off by as much as sigma^2: by
    2 eps |y| / sigma for each rounding.
    """
    variance, losses = float(case.problem.noise_variance), np.zeros(logs.shape)
    if case.data is None or not variance > 0.0:
        return losses
    off = ROUNDED * EPS * np.sqrt(2.0 * case.initial_loss / variance)
    known = G is not None and singular is not None and singular.stable and G.levels and G.has_limit
    limit = G.limit() if known and G is not None and off > 1e-12 else variance
    with np.errstate(over="ignore"):
        return off * np.minimum(1.0, np.exp(np.log(limit) - logs))


def _curve(G: Transform, steps: Array, route: Route, singular: Singularity) -> LossCurve:
    if route == "auto":
        return automatic(G, steps, singular)
    if isinstance(G, UniformAverage):  # what a route gives is the sum of the weights
        return uniform_curve(G, steps, singular, lambda core, wanted, at: _curve(core, wanted, route, at))
    if route == "recursion":
        if steps[-1] > MAX_RECURSION:
            raise ValueError(
                f"steps must be at most {MAX_RECURSION} for route='recursion', got {steps[-1]}; use route='auto'"
            )
        return by_recursion(G, steps, G.turning * float(min(steps[-1], 10_000)), singular.rate)
    early, late = steps[steps < FIRST_CONTOUR_STEP], steps[steps >= FIRST_CONTOUR_STEP]
    parts = [by_recursion(G, early, float(FIRST_CONTOUR_STEP), singular.rate)] if early.size else []
    return joined(parts + ([_forced_contour(G, late, singular)] if late.size else []))


def _forced_contour(G: Transform, steps: Array, singular: Singularity) -> LossCurve:
    """The contour without a check: what it may have missed, at most the fading initial loss, counts as error."""
    curve = by_contour(G, steps, singular)
    start = np.log(0.5 * (G.problem.signal_total + G.problem.noise_variance))
    with np.errstate(over="ignore", invalid="ignore"):
        missed = 10.0 * np.exp(start + singular.unresolved_rate * steps - curve.loss.log())
    return LossCurve(curve.loss, curve.error + np.nan_to_num(missed, nan=np.inf), curve.route)


def _status(loss: Array, error: Array, noise_error: Array, singular: Singularity | None) -> Status:
    # Where the loss itself is outside the range of doubles, its relative error is nowhere to be seen.
    shown = (loss != 0.0) & ~np.isinf(loss)
    if np.isinf(loss).any() or (singular is not None and not singular.stable):
        return "diverges"
    if (shown & ~(error <= INACCURATE)).any():
        return "inaccurate"
    if (shown & (noise_error > UNCERTAIN)).any():
        return "noise uncertain"
    return "underflow" if (loss == 0.0).any() else "ok"
