"""What will the loss on new samples be, judged from the training samples alone?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun.answers.held_out.curve import best_of, looked_at
from genfun.answers.held_out.left_out import LeftOutCurve
from genfun.answers.held_out.ridge import best_ridge
from genfun.data.linear import LinearData
from genfun.methods.sgd import SGD

LOOKED = (16, 40)
"""Steps that are looked at for the best one: early ones one by one, and later ones."""


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOut(Displayed):
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
        Standard deviation of the loss of one sample in one run; `standard_error` turns it into the band of a test set.
    best_step : int
        Where the loss is least, up to the last step asked for: when to stop.
    best_loss : float
        The loss there.
    best_range : (int, int)
        The steps about it of up to 1 % more loss.
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
    best_range: tuple[int, int]
    ridge_loss: float
    ridge_penalty: float
    method: SGD
    _looked: tuple[Any, Any, Any] = field(init=False, repr=False, compare=False)

    @property
    def curves(self) -> dict[str, tuple[Any, Any]]:
        """Steps and losses of all steps that were looked at, by name, for the picture."""
        steps, loss, mean = self._looked
        return {"left-out": (steps, loss), "left-out, without batch noise": (steps, mean)}

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

    **Assumptions.** Heavy-ball SGD below the edge of the full batch, fresh batches, w_0 = 0. The noise part is a rule,
    not exact. Time does not grow with the step.

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
        `.loss` of the shape of `steps`, `.best_step`, `.best_range`, `.ridge_loss`, `.standard_error(n_test)`.

    Raises
    ------
    ValueError
        If the learning rate is beyond the edge of the full batch.
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
    wanted, curve = _check.steps(steps), LeftOutCurve(data)
    curve.check(method, "leave_one_out")
    looked = looked_at(wanted, *LOOKED)
    squares = curve.mean_residuals(method, looked)
    mean = 0.5 * squares.mean(axis=0)
    noise = curve.noise_losses(method, looked)
    loss = mean + noise
    best, least, near = best_of(lambda some: curve.losses(method, some)[0], looked, loss)
    single = 0.5 * squares.std(axis=0, ddof=1 if data.n_samples > 1 else 0)
    # Of (r + xi)^2/2 summed over outputs, xi normal; its variance adds up to 2 * noise, evenly over the outputs.
    deviation = np.sqrt(single**2 + (4.0 * mean + 2.0 * noise) * noise / data.n_outputs)
    at = np.searchsorted(looked, wanted)
    ridge = best_ridge(data)
    result = LeaveOneOut(
        steps=wanted,
        loss=loss[at],
        mean_loss=mean[at],
        deviation=deviation[at],
        best_step=best,
        best_loss=least,
        best_range=near,
        ridge_loss=ridge.loss,
        ridge_penalty=ridge.penalty,
        method=method,
    )
    object.__setattr__(result, "_looked", (looked, loss, mean))
    return result
