"""What will the loss on new samples be, judged from the training samples alone?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.answers.held_out.prediction import within_reach
from genfun.data.linear import LinearData
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor
from genfun.sample_space.moments import LARGEST, second_moments

LAST_STEP = 20_000
"""The circle has a node for every step and more."""
OVERSAMPLING = 4
"""Nodes of the circle per step."""
ALIAS = 1e-14
"""Weight of the first wrong coefficient."""
TOGETHER = 1 << 22
"""Numbers, samples times nodes, that are kept at once."""
POINTS = 40
"""Steps that are looked at for the best one."""


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOut:
    """Estimated mean loss on new samples at given steps.

    Parameters
    ----------
    steps : integer array, any shape
        As asked for.
    loss : array, same shape
        Mean path and batch noise.
    mean_loss : array, same shape
        The part of the mean path: exactly the leave-one-out loss of full-batch training.
    deviation : array, same shape
        Standard deviation of the loss of one sample; `standard_error` turns it into the band of a test set.
    best_step : int
        Where the loss is least among 40 steps evenly spaced in log t and those asked for: when to stop.
    best_loss : float
        The loss there.
    ridge_loss : float
        The leave-one-out loss of ridge regression at its best penalty: the baseline that needs no training.
    ridge_penalty : float
        That penalty, added to the eigenvalues.
    method : SGD
        As asked.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.LinearData.from_features([[1.0], [2.0], [-1.0], [0.5]], [1.0, 2.0, 0.0, 0.7])
    >>> gf.leave_one_out(d, gf.SGD(0.1), 10)
    LeaveOneOut(loss ... at step 10; least ... at step 10; ridge ...)
    """

    steps: Any
    loss: Any
    mean_loss: Any
    deviation: Any
    best_step: int
    best_loss: float
    ridge_loss: float
    ridge_penalty: float
    method: SGD

    def __repr__(self) -> str:
        last = int(np.argmax(self.steps))
        return (
            f"LeaveOneOut(loss {self.loss.flat[last]:.6g} at step {self.steps.flat[last]}; "
            f"least {self.best_loss:.6g} at step {self.best_step}; ridge {self.ridge_loss:.6g})"
        )

    def standard_error(self, n_test: int) -> Any:
        """How far the loss on a single test set is from its mean, one standard deviation, by the choice of samples.

        Parameters
        ----------
        n_test : int
            Samples in the test set.
        """
        return self.deviation / np.sqrt(_check.integer("n_test", n_test, 1))


def leave_one_out(data: LinearData, method: SGD, steps: Any) -> LeaveOneOut:
    r"""Mean loss on new samples at given steps from the training samples alone, and ridge regression beside it.

    The residual at sample i of the run trained without it has the generating function

    .. math:: \frac{1}{1-z}\,\frac{[(K/N+p)^{-1}y]_i}{[(K/N+p)^{-1}]_{ii}},\qquad
              p(z) = \frac{(1-z)(1-\beta z)}{\alpha z}

    where the run without i keeps the factor 1/N. That part is exact. To the batch noise the leverage rule applies:
    the eigenfeatures of i in the noise count :math:`1/(p_j[(K/N+p_j)^{-1}]_{ii})` times,
    :math:`p_j = \lambda_j + (1-\beta)/(2\alpha t)`, less what the batches that hold i itself contribute.

    **Assumptions.** Heavy-ball SGD below the edge of the full batch, fresh batches, w_0 = 0, steps up to 20,000; rank
    at most 3,000 and steps * N * rank^2 at most 5e12. The noise part is a rule, not exact.

    Parameters
    ----------
    data : LinearData
        The training samples; of a kernel or of features, any number of outputs.
    method : SGD
        e.g. `SGD(learning_rate=0.5, momentum=0.0, batch_size=10)`.
    steps : int or array of ints, any shape
        Step numbers >= 0.

    Returns
    -------
    LeaveOneOut
        `.loss` of the shape of `steps`, `.best_step`, `.ridge_loss`, `.standard_error(n_test)`.

    Raises
    ------
    ValueError
        If the learning rate is beyond the edge of the full batch, or data or steps are too large.
    TypeError
        If data is not a LinearData, or the method not an SGD.

    References
    ----------
    Golub, Heath and Wahba, Technometrics 21 (1979) 215 (ridge); arXiv 2206.11124, section 3.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.LinearData.from_features([[1.0], [2.0], [-1.0]], [1.0, 2.0, 0.0])
    >>> gf.leave_one_out(d, gf.SGD(0.1, batch_size=1), [0, 5, 20])
    LeaveOneOut(loss ... at step 20; least ... at step ...; ridge ...)
    """
    wanted = _check.steps(steps)
    last = int(wanted.max())
    if not isinstance(method, SGD):
        raise TypeError(f"method must be an SGD, got {type(method).__name__}; leave_one_out knows heavy ball alone")
    if last > LAST_STEP:
        raise ValueError(f"steps must be at most {LAST_STEP} in leave_one_out, got {last}; ask for earlier steps")
    within_reach(data, method, last, "leave_one_out")
    limit = method.curvature_limit(method.momentum) / data.eigenvalues[0]
    if method.learning_rate >= limit:
        raise ValueError(
            f"learning_rate must be below {limit:.6g}, where the full batch diverges, got {method.learning_rate}"
        )
    grid = np.geomspace(1.0, max(last, 1), POINTS).astype(np.int64)
    looked = np.unique(np.concatenate((wanted.ravel(), grid[grid <= last])))
    means = 0.5 * _mean_residuals(data, method, looked, last)
    totals = means + 0.5 * _noise(data, method, looked, last)
    loss, mean_loss = totals.mean(axis=0), means.mean(axis=0)
    deviation = totals.std(axis=0, ddof=1 if data.n_samples > 1 else 0)
    best = int(np.argmin(loss))
    where = np.searchsorted(looked, wanted)
    penalty, ridge = _ridge(data)
    return LeaveOneOut(
        steps=wanted,
        loss=loss[where],
        mean_loss=mean_loss[where],
        deviation=deviation[where],
        best_step=int(looked[best]),
        best_loss=float(loss[best]),
        ridge_loss=ridge,
        ridge_penalty=penalty,
        method=method,
    )


class _Resolvent:
    """(K/N + p)^-1 of the data: its diagonal, and times the targets."""

    def __init__(self, data: LinearData) -> None:
        self.unit = data.eigenfeatures / np.sqrt(data.n_samples * data.eigenvalues)
        self.lam = data.eigenvalues
        self.overlap = self.unit.T @ data.targets
        self.outside = data.targets - self.unit @ self.overlap
        self.square = self.unit**2
        self.rest = np.maximum(1.0 - self.square.sum(axis=1), 0.0)

    def diagonal(self, p: Array, rows: slice = slice(None)) -> Array:
        """p [(K/N + p)^-1]_ii for each p, shape (samples, points)."""
        return self.square[rows] @ (p / (self.lam[:, None] + p)) + self.rest[rows, None]

    def residual(self, p: Array, output: int, rows: slice = slice(None)) -> Array:
        """p [(K/N + p)^-1 y]_i for each p."""
        weights = self.overlap[:, output, None] * (p / (self.lam[:, None] + p))
        return self.unit[rows] @ weights + self.outside[rows, output, None]


def _mean_residuals(data: LinearData, method: SGD, looked: Array, last: int) -> Float[Array, "n t"]:
    """Squares of the left-out residuals of the mean path, summed over outputs, by a discrete Cauchy integral."""
    resolvent = _Resolvent(data)
    count = OVERSAMPLING * (last + 2)
    radius = ALIAS ** (1.0 / count)
    z = radius * np.exp(2j * np.pi * np.arange(count // 2 + 1) / count)
    p = (1.0 - z) * (1.0 - method.momentum * z) / (method.learning_rate * z)
    squares = np.empty((data.n_samples, looked.size))
    together = max(1, TOGETHER // z.size)
    for start in range(0, data.n_samples, together):
        rows = slice(start, start + together)
        diagonal = resolvent.diagonal(p, rows)
        total = 0.0
        for output in range(data.n_outputs):
            values = resolvent.residual(p, output, rows) / diagonal / (1.0 - z)
            # f_t = (1/n) sum_k F(r w^k) w^(-kt) r^(-t), with w = exp(2 pi i/n): the conjugate of an inverse transform.
            series = np.fft.irfft(np.conj(values), n=count, axis=1)[:, looked]
            total = total + (series * radius ** -looked.astype(np.float64)) ** 2
        squares[rows] = total
    return squares


def _noise(data: LinearData, method: SGD, looked: Array, last: int) -> Float[Array, "n t"]:
    """Variance of the left-out predictions by the leverage rule, with the kicks of the sample itself taken off."""
    gamma = sampling_factor(method.batch_size, data.n_samples, method.replacement)
    result = np.zeros((data.n_samples, looked.size))
    if gamma == 0.0:
        return result
    phi, lam, alpha = data.eigenfeatures, data.eigenvalues, method.learning_rate
    resolvent, kept = _Resolvent(data), {int(t): i for i, t in enumerate(looked)}
    power, responses = np.zeros((data.n_samples, last + 1)), _impulses(method, lam, last)
    residuals = data.residuals
    for t, (moment, mean) in enumerate(second_moments(data, method, last)):
        if not float(lam @ np.diag(moment)) < LARGEST:
            result[:, looked >= t] = np.inf
            break
        noise = residuals - phi @ mean
        spread = moment - mean @ mean.T
        power[:, t] = np.maximum(np.einsum("ij,ij->i", phi @ spread, phi), 0.0) + (noise**2).sum(axis=1)
        if t in kept and t > 0:
            p = lam + (1.0 - method.momentum) / (2.0 * alpha * t)
            left = phi / resolvent.diagonal(p)
            variance = np.einsum("ij,ij->i", left @ spread, left)
            # A kick at step s has moved the prediction by sum_j left_j phi_j h_j(t - 1 - s).
            moved = (left * phi) @ responses[:, :t][:, ::-1]
            own = gamma * alpha**2 / data.n_samples * (power[:, :t] * moved**2).sum(axis=1)
            result[:, kept[t]] = np.maximum(variance - own, 0.0)
    return result


def _impulses(method: SGD, lam: Array, last: int) -> Float[Array, "rank t"]:
    """h_j(t), what a unit of gradient noise leaves in mode j after t more steps."""
    result = np.empty((lam.size, last + 1))
    weight = velocity = np.ones_like(lam)
    for t in range(last + 1):
        result[:, t] = weight
        velocity = method.momentum * velocity - method.learning_rate * lam * weight
        weight = weight + velocity
    return result


def _ridge(data: LinearData) -> tuple[float, float]:
    """The penalty of least leave-one-out loss on a grid of 8 a decade, and that loss."""
    resolvent = _Resolvent(data)
    largest, least = float(data.eigenvalues[0]), float(data.eigenvalues[-1])
    low = max(min(1e-3 * least, 1e-6 * largest), 1e-10 * largest)
    p = np.geomspace(low, 1e3 * largest, int(8 * np.log10(1e3 * largest / low)) + 1)
    diagonal = resolvent.diagonal(p)
    squares = sum(((resolvent.residual(p, k) / diagonal) ** 2).mean(axis=0) for k in range(data.n_outputs))
    best = int(np.argmin(squares))
    return float(p[best]), 0.5 * float(np.asarray(squares)[best])
