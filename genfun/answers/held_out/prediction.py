"""What will the loss on held-out samples be, and when is it least?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun.answers.held_out.curve import HeldOutCurve, best_of, check_held_out, looked_at
from genfun.answers.held_out.scores import classes_of, error_rate
from genfun.answers.predict import predict
from genfun.data.linear import LinearData
from genfun.engine.edge import edge
from genfun.methods.base import Method
from genfun.noise import sampling_factor
from genfun.sample_space.moments import LARGEST, MAX_RANK, second_moments
from genfun.softmax.data import SoftmaxData
from genfun.softmax.predict import SoftmaxPrediction, softmax_predict

UNCERTAIN = 2e-2
"""Estimated relative error by what the noise model leaves out, beyond which the status says so."""
MOST_WORK = 2e13
"""Operations of a recursion, steps times samples times rank squared times 4; some ten minutes on one core."""
MEANING: dict[str, str] = {
    "ok": "every loss is within the error estimates",
    "diverges": "the mean loss grows without bound",
    "noise uncertain": "batch noise is known to no better than 2 % of some of these losses: see the noise error",
}


@dataclass(frozen=True, eq=False, repr=False)
class HeldOut(Displayed):
    """Mean loss on held-out samples at given steps.

    Parameters
    ----------
    steps : integer array, any shape
        As asked for.
    loss : array, same shape
        Mean held-out loss, in the units of the training loss; inf once it has diverged.
    mean_loss : array, same shape
        The part of it that the mean path has: the loss without batch noise, exactly.
    train_loss : array, same shape
        Mean loss on the training samples.
    best_step : int
        Where the held-out loss is least, among all steps up to the last one asked for: when to stop.
    best_loss : float
        The held-out loss there.
    best_range : (int, int)
        The steps about it of up to 1 % more loss: it does not matter where in there to stop.
    status : str
        "ok", "diverges" or "noise uncertain"; `meaning` has the words.
    method : Method
        As asked.
    n_test : int
        Held-out samples.
    noise_error : array, same shape
        Estimated relative error of the loss by what the projected noise leaves out; 0 for the exact noise.
    ridge_loss : float
        The held-out loss of ridge regression at its penalty of least leave-one-out loss: the baseline without training.
    ridge_penalty : float
        That penalty, added to the eigenvalues.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.LinearData.from_features([[1.0], [2.0], [-1.0]], [1.0, 2.0, 0.0])
    >>> gf.predict_test(d, gf.SGD(0.1), 10, [[1.0]], [0.8])
    HeldOut(ok: test loss 0.001576... at step 10, train loss 0.1468...; least ... at step 10, the last looked at; ...)
    """

    steps: Any
    loss: Any
    mean_loss: Any
    train_loss: Any
    best_step: int
    best_loss: float
    best_range: tuple[int, int]
    status: Literal["ok", "diverges", "noise uncertain"]
    method: Method
    n_test: int
    noise_error: Any
    ridge_loss: float
    ridge_penalty: float
    _curve: HeldOutCurve = field(init=False, repr=False, compare=False)
    _looked: tuple[Any, Any, Any, Any] = field(init=False, repr=False, compare=False)

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    @cached_property
    def error_rate(self) -> Any:
        """Expected share of wrongly classified held-out samples at the steps asked for; None if targets are no classes.

        Classes are one-hot targets, shifted and scaled at will, or one output of two values.

        **Assumptions.** Scores that are normal. With batches of 4 samples or fewer they are not: of MNIST digits in 10
        classes the rate was up to 4 points too low then, in early steps and at half the edge.
        """
        classes = classes_of(self._curve.targets)
        if classes is None:
            return None
        unique, inverse = np.unique(self.steps, return_inverse=True)
        rates = np.array([error_rate(self._curve, self.method, int(t), classes) for t in unique])
        return np.reshape(rates[inverse.ravel()], self.steps.shape)

    @property
    def curves(self) -> dict[str, tuple[Any, Any]]:
        """Steps and losses of all steps that were looked at, by name, for the picture."""
        steps, loss, mean, train = self._looked
        return {"held-out": (steps, loss), "held-out, without batch noise": (steps, mean), "training": (steps, train)}

    @property
    def at_end(self) -> bool:
        """Whether the least loss is at the last step asked for, so that later ones may be better still."""
        return self.best_step == int(np.max(self.steps)) > 0

    def __repr__(self) -> str:
        last = int(np.argmax(self.steps))
        low, high = self.best_range
        where = ", the last looked at" if self.at_end else f" ({low} to {high} within 1 %)"
        return (
            f"HeldOut({self.status}: test loss {self.loss.flat[last]:.6g} at step {self.steps.flat[last]}, "
            f"train loss {self.train_loss.flat[last]:.6g}; least {self.best_loss:.6g} at step {self.best_step}{where}; "
            f"ridge {self.ridge_loss:.6g})"
        )


@overload
def predict_test(data: SoftmaxData, method: Method, steps: Any, X_test: Any, y_test: Any) -> SoftmaxPrediction: ...


@overload
def predict_test(
    data: LinearData,
    method: Method,
    steps: Any,
    X_test: Any,
    y_test: Any,
    X_train: Any = None,
    noise: Literal["measured", "exact"] = "measured",
) -> HeldOut: ...


def predict_test(
    data: LinearData | SoftmaxData,
    method: Method,
    steps: Any,
    X_test: Any,
    y_test: Any,
    X_train: Any = None,
    noise: Literal["measured", "exact"] = "measured",
) -> HeldOut | SoftmaxPrediction:
    r"""Mean loss on held-out samples at given steps, and the step to stop at, without training.

    .. math:: L_{test}(t) = \frac{1}{2N_{test}} \sum_i E\,|y_i - \psi_i^T w_t|^2
              = \tfrac12\operatorname{tr}(H_{test}\,E\,x_tx_t^T)
              - \tfrac{1}{N_{test}}\sum_i \varepsilon_i\varphi_i^T E\,x_t
              + \tfrac{1}{2N_{test}}\sum_i \varepsilon_i^2,\qquad x = w - w^*

    The mean path is exact. The noise is that of the data projected on a few vectors of sample space, so that a late
    step costs as much as an early one; noise="exact" steps through the full second moments instead. Batch noise only
    adds to the loss: at equal rate, momentum and step no batch does better than the full one.

    **Assumptions.** Fresh batches, constant hyperparameters, w_0 = 0. With noise="exact" rank at most 3,000, and
    steps * N * rank^2 at most 5e12 with mini-batches, since time grows with every step.

    Parameters
    ----------
    data : LinearData or SoftmaxData
        The training samples. Of a SoftmaxData the mean cross-entropy on the held-out samples.
    method : Method
        e.g. `SGD(learning_rate=0.5, momentum=0.0, batch_size=10)`.
    steps : int or array of ints, any shape
        Step numbers >= 0.
    X_test : array-like, shape (n, d)
        Held-out samples, in the features of the training ones, centred and scaled as those were, in the same order:
        where both came in frames, their columns are compared. For data from a kernel the cross kernel K(test, train),
        shape (n, N).
    y_test : array-like, shape (n,) or (n, outputs)
        Their targets; of a SoftmaxData their labels.
    X_train : array-like, shape (N, d), or None
        The training features again, needed where there are more features than samples.
    noise : "measured" or "exact"
        The data's own noise in a few vectors, or in full.

    Returns
    -------
    HeldOut or SoftmaxPrediction
        `.loss`, `.train_loss` of the shape of `steps`, `.best_step`, `.best_range`; of a SoftmaxData `.loss` and
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
    HeldOut(ok: test loss 0.0210... at step 20, train loss 0.1513...; least 0.0209... at step 17 (... within 1 %); ...)
    """
    if isinstance(data, SoftmaxData):
        return softmax_predict(data, method, steps, on=data.held_out(X_test, y_test))
    wanted = _check.steps(steps)
    if noise not in ("measured", "exact"):
        raise ValueError(f"noise must be 'measured' or 'exact' in predict_test, got {noise!r}")
    check_held_out(data, method, "predict_test")
    curve = HeldOutCurve(data, X_test, y_test, X_train)
    return _exact(curve, method, wanted) if noise == "exact" else _projected(curve, method, wanted)


def _projected(curve: HeldOutCurve, method: Method, wanted: Any) -> HeldOut:
    looked = looked_at(wanted)
    losses, means = curve.losses(method, looked)
    best, least, near = best_of(lambda steps: curve.losses(method, steps)[0], looked, losses)
    at = np.searchsorted(looked, wanted)
    train = predict(curve.data, method, looked)
    error = curve.noise_errors(method, looked, losses, means)[at]
    uncertain = "noise uncertain" if (error > UNCERTAIN).any() else "ok"
    status = "diverges" if train.status == "diverges" else uncertain
    values = (wanted, losses[at], means[at], train.loss[at], best, least, near, status)
    return _answer(curve, (looked, losses, means, train.loss), *values, method, curve.n_test, error)


def _exact(curve: HeldOutCurve, method: Method, wanted: Any) -> HeldOut:
    """By the recursion of the full second moments, the slow reference."""
    data, last = curve.data, int(wanted.max())
    _within_reach(data, method, last)
    pull, floor = curve.phi.T @ curve.rest / curve.n_test, float((curve.rest**2).sum()) / curve.n_test
    curves = np.full((3, last + 1), np.inf)
    for t, (moment, mean) in enumerate(second_moments(data, method, last)):
        linear = floor - 2.0 * float((mean * pull).sum())
        test = np.array([(curve.gram * moment).sum(), (curve.gram * (mean @ mean.T)).sum()]) + linear
        curves[:2, t] = 0.5 * test
        curves[2, t] = 0.5 * (float(data.eigenvalues @ np.diag(moment)) + data.problem.noise_variance)
        if not curves[2, t] < LARGEST:
            break
    best, least, near = best_of(lambda steps: curves[0, steps], np.arange(last + 1), curves[0])
    loss, mean_loss, train_loss = (np.reshape(some[wanted], wanted.shape) for some in curves)
    stable = method.learning_rate < edge(data.problem, method, data.measured_noise)
    status = "ok" if stable and np.isfinite(curves[0, -1]) else "diverges"
    values = (wanted, loss, mean_loss, train_loss, best, least, near, status)
    looked = (np.arange(last + 1), curves[0], curves[1], curves[2])
    return _answer(curve, looked, *values, method, curve.n_test, np.zeros(wanted.shape))


def _answer(curve: HeldOutCurve, looked: tuple[Any, Any, Any, Any], *values: Any) -> HeldOut:
    loss, penalty = curve.ridge
    result = HeldOut(*values, ridge_loss=loss, ridge_penalty=penalty)
    object.__setattr__(result, "_curve", curve)
    object.__setattr__(result, "_looked", looked)
    return result


def _within_reach(data: LinearData, method: Method, last: int) -> None:
    """Refuse what the recursion of the full second moments does not take."""
    if data.rank > MAX_RANK:
        raise ValueError(f"noise='exact' takes data of rank at most {MAX_RANK}, got {data.rank}; use noise='measured'")
    gamma = sampling_factor(method.batch_size, data.n_samples, method.replacement)
    work = 4.0 * last * data.rank**2 * (data.n_samples if gamma > 0.0 else 1)
    if work > MOST_WORK:
        most = int(MOST_WORK / work * last)
        raise ValueError(
            f"steps must be at most {most} with noise='exact' for {data.n_samples} samples of rank {data.rank}, got "
            f"{last}; time grows with every step: use noise='measured'"
        )
