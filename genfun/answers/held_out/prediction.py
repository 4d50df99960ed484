"""What will the loss on held-out samples be, and when is it least?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np

from genfun import _check
from genfun.answers.held_out.directions import held_out_features
from genfun.case import Case
from genfun.data import _arrays
from genfun.data.linear import LinearData
from genfun.methods.base import Method
from genfun.sample_space.moments import LARGEST, MAX_RANK, second_moments
from genfun.schedules.scheduled_sgd import ScheduledSGD
from genfun.softmax.data import SoftmaxData
from genfun.softmax.predict import SoftmaxPrediction, softmax_predict

MOST_WORK = 2e13
"""Operations of a recursion, steps times samples times rank squared times 4; some ten minutes on one core."""


@dataclass(frozen=True, eq=False, repr=False)
class HeldOut:
    """Mean loss on held-out samples at given steps.

    Parameters
    ----------
    steps : integer array, any shape
        As asked for.
    loss : array, same shape
        Mean held-out loss, in the units of the training loss; inf once it has diverged.
    mean_loss : array, same shape
        The part of it that the mean path has: the loss without batch noise.
    train_loss : array, same shape
        Mean loss on the training samples.
    best_step : int
        Where the held-out loss is least, among all steps up to the last one asked for: when to stop.
    best_loss : float
        The held-out loss there.
    status : str
        "ok" or "diverges".
    method : Method
        As asked.
    n_test : int
        Held-out samples.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.LinearData.from_features([[1.0], [2.0], [-1.0]], [1.0, 2.0, 0.0])
    >>> gf.predict_test(d, gf.SGD(0.1), 10, [[1.0]], [0.8])
    HeldOut(ok: test loss 0.00157614 at step 10, train loss 0.146895; least 0.00157614 at step 10)
    """

    steps: Any
    loss: Any
    mean_loss: Any
    train_loss: Any
    best_step: int
    best_loss: float
    status: Literal["ok", "diverges"]
    method: Method
    n_test: int

    def __repr__(self) -> str:
        last = int(np.argmax(self.steps))
        return (
            f"HeldOut({self.status}: test loss {self.loss.flat[last]:.6g} at step {self.steps.flat[last]}, "
            f"train loss {self.train_loss.flat[last]:.6g}; least {self.best_loss:.6g} at step {self.best_step})"
        )


@overload
def predict_test(data: SoftmaxData, method: Method, steps: Any, X_test: Any, y_test: Any) -> SoftmaxPrediction: ...


@overload
def predict_test(
    data: LinearData, method: Method, steps: Any, X_test: Any, y_test: Any, X_train: Any = None
) -> HeldOut: ...


def predict_test(
    data: LinearData | SoftmaxData, method: Method, steps: Any, X_test: Any, y_test: Any, X_train: Any = None
) -> HeldOut | SoftmaxPrediction:
    r"""Mean loss on held-out samples at given steps, and the step to stop at, without training.

    .. math:: L_{test}(t) = \frac{1}{2N_{test}} \sum_i E\,|y_i - \psi_i^T w_t|^2
              = \tfrac12\operatorname{tr}(H_{test}\,E\,x_tx_t^T)
              - \tfrac{1}{N_{test}}\sum_i \varepsilon_i\varphi_i^T E\,x_t
              + \tfrac{1}{2N_{test}}\sum_i \varepsilon_i^2,\qquad x = w - w^*

    with the full second moments of the weights step by step, so that nothing of the data's noise is left out. Batch
    noise only adds to it: at equal rate, momentum and step no batch does better than the full one.

    **Assumptions.** Fresh batches, constant hyperparameters, w_0 = 0. Rank at most 3,000, and steps * N * rank^2 at
    most 5e12 with mini-batches, since time grows with every step.

    Parameters
    ----------
    data : LinearData or SoftmaxData
        The training samples. Of a SoftmaxData the mean cross-entropy on the held-out samples.
    method : Method
        e.g. `SGD(learning_rate=0.5, momentum=0.0, batch_size=10)`.
    steps : int or array of ints, any shape
        Step numbers >= 0.
    X_test : array-like, shape (n, d)
        Held-out samples, in the features of the training ones, centred and scaled as those were. For data from a
        kernel the cross kernel K(test, train), shape (n, N).
    y_test : array-like, shape (n,) or (n, outputs)
        Their targets; of a SoftmaxData their labels.
    X_train : array-like, shape (N, d), or None
        The training features again, needed where there are more features than samples.

    Returns
    -------
    HeldOut or SoftmaxPrediction
        `.loss`, `.train_loss` of the shape of `steps`, `.best_step`, `.best_loss`; of a SoftmaxData `.loss` and
        `.error_rate` on the held-out samples.

    Raises
    ------
    ValueError
        On wrong shapes, data or steps too large for the recursion, or a schedule.
    TypeError
        If data is not a LinearData or a SoftmaxData.

    References
    ----------
    arXiv 2206.11124, section 3 (the second moments before any approximation).

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.LinearData.from_features([[1.0], [2.0], [-1.0]], [1.0, 2.0, 0.0])
    >>> r = gf.predict_test(d, gf.SGD(0.1, batch_size=1), [0, 5, 20], [[1.0], [-2.0]], [0.8, -1.5])
    >>> r
    HeldOut(ok: test loss 0.0210876 at step 20, train loss 0.15139; least 0.0209588 at step 17)
    """
    if isinstance(data, SoftmaxData):
        return softmax_predict(data, method, steps, on=data.held_out(X_test, y_test))
    wanted = _check.steps(steps)
    last = int(wanted.max())
    within_reach(data, method, last, "predict_test")
    phi = held_out_features(data, X_test, X_train)
    n = phi.shape[0]
    table = _arrays.targets("y_test", y_test, n)
    y = _arrays.block("y_test", table, slice(0, n))
    if y.shape[1] != data.n_outputs:
        raise ValueError(f"y_test must have the {data.n_outputs} outputs of the data, got {y.shape[1]}")
    rest = y - phi @ data.coefficients
    gram, pull, floor = phi.T @ phi / n, phi.T @ rest / n, float((rest**2).sum()) / n
    curves = np.full((3, last + 1), np.inf)
    for t, (moment, mean) in enumerate(second_moments(data, method, last)):
        linear = floor - 2.0 * float((mean * pull).sum())
        test = np.array([(gram * moment).sum(), (gram * (mean @ mean.T)).sum()]) + linear
        curves[:2, t] = 0.5 * test
        curves[2, t] = 0.5 * (float(data.eigenvalues @ np.diag(moment)) + data.problem.noise_variance)
        if not curves[2, t] < LARGEST:
            break
    best = int(np.argmin(curves[0]))
    loss, mean_loss, train_loss = (np.reshape(curve[wanted], wanted.shape) for curve in curves)
    status = "diverges" if np.isinf(curves[0, -1]) or not _stable(data, method) else "ok"
    return HeldOut(wanted, loss, mean_loss, train_loss, best, float(curves[0, best]), status, method, n)


def _stable(data: LinearData, method: Method) -> bool:
    from genfun.engine.edge import edge

    return bool(method.learning_rate < edge(data.problem, method, data.measured_noise))


def within_reach(data: LinearData, method: Method, last: int, name: str) -> None:
    """Refuse what the recursion of the full second moments does not take.

    Parameters
    ----------
    data : LinearData
    method : Method
    last : int
        The last step.
    name : str
        Of the answer.
    """
    if not isinstance(data, LinearData):
        raise TypeError(f"{name} needs the data, a LinearData, got {type(data).__name__}; a spectrum has no samples")
    if isinstance(method, ScheduledSGD):
        raise ValueError(f"{name} takes constant hyperparameters, got a ScheduledSGD; pass an SGD")
    case = Case.of(data, method, "exact")
    if data.rank > MAX_RANK:
        raise ValueError(f"{name} takes data of rank at most {MAX_RANK}, got {data.rank}; pass fewer samples")
    work = 4.0 * last * data.rank**2 * (data.n_samples if case.gamma > 0.0 else 1)
    if work > MOST_WORK:
        most = int(MOST_WORK / work * last)
        raise ValueError(
            f"steps must be at most {most} in {name} for {data.n_samples} samples of rank {data.rank}, got {last}; "
            "time grows with every step: ask for earlier steps, or pass fewer samples or batch_size=None"
        )
