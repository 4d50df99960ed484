"""Heavy-ball SGD whose hyperparameters follow schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.schedules.base import Schedule, Table

Convention = Literal["torch", "keras"]
"""Whose momentum: whether a change of the rate acts on the velocity that is there, or on what is added to it."""


def _entry(name: str, value: Any) -> Any:
    """A number as it is, an array as a table, a callable as a schedule."""
    if callable(value):
        return value
    if np.ndim(value) == 0:
        return value
    return Table(_check.vector(name, value))


def _refuse(name: str, wrong: Array, values: Array, steps: Array, rule: str) -> None:
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{name} {rule}, got {float(values[i])!r} at step {int(steps[i])}; mend the schedule there")


def _evaluate(name: str, entry: Any, steps: Array) -> Array:
    if not callable(entry):
        return np.full(steps.shape, float(entry))
    if isinstance(entry, Table) and steps.size and int(steps.max()) >= entry.length:
        raise ValueError(
            f"{name} must reach as far as the steps asked for: got {entry.length} entries and step {int(steps.max())}; "
            "pass a longer array, or a schedule"
        )
    try:
        values = np.asarray(entry(steps), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must take an integer array of steps and return an array of numbers: {error}; "
            "write it with NumPy functions, or wrap it in np.vectorize"
        ) from error
    if values.shape not in ((), steps.shape):
        raise ValueError(f"{name} must return one value a step, got shape {values.shape} for {steps.size} steps")
    values = np.broadcast_to(values, steps.shape)
    _refuse(name, ~np.isfinite(values), values, steps, "must be finite")
    return values


@dataclass(frozen=True)
class ScheduledSGD:
    r"""Mini-batch SGD with heavy-ball momentum whose hyperparameters depend on the step.

    .. math:: \text{torch:}\quad m_{k+1} = \beta_k m_k + (1-d_k)\nabla L_{B_k}(w_k),\qquad
              w_{k+1} = w_k - \alpha_k m_{k+1},\qquad |B_k| = b_k

    .. math:: \text{keras:}\quad v_{k+1} = \beta_k v_k - \alpha_k \nabla L_{B_k}(w_k),\qquad w_{k+1} = w_k + v_{k+1}

    The two are the same where the rate is constant or the momentum 0. Where the rate changes, torch's moves at once by
    the new rate, while Keras' velocity keeps the rates that it was gathered at: after a decay it runs on for
    1/(1 - beta) steps. beta_k alpha_k/alpha_{k-1} as Keras' momentum is torch's beta_k. The heavy ball of the
    textbooks, beta_k (w_k - w_{k-1}), and the Jacobi schedules are of Keras' form.

    Each hyperparameter is a number, an array with one entry a step, or a schedule: any callable that takes an array of
    step numbers (0 is the first update) and returns an array. `predict` and `steps_to_loss` take it like an `SGD`.

    **Assumptions.** Batches drawn anew at every step. The schedule is fixed beforehand and does not react to the run.
    torch leaves m as it is at steps whose momentum is exactly 0; here it is the last gradient.

    Parameters
    ----------
    learning_rate : float, array or Schedule
        alpha_k >= 0 (a plain number must be positive), in units of 1/eigenvalue.
    momentum : float, array or Schedule
        beta_k in (-1, 1), dimensionless.
    batch_size : int, None, array or Schedule
        b_k, samples, rounded to whole numbers; None means the full batch.
    replacement : bool
        Whether the samples of one batch are drawn with replacement.
    convention : "torch" or "keras"
        Which of the two updates: that of `torch.optim.SGD` with a scheduler, or that of `keras.optimizers.SGD`.
    dampening : float
        d in [0, 1), dimensionless, of torch: d_k = d but for the first step, whose gradient is taken whole (d_0 = 0).

    Raises
    ------
    ValueError
        If a number is out of range; for arrays and schedules when they are evaluated.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2206.11124, eq. (2), with alpha, beta and b of the step (keras); the note on momentum in the documentation of
    `torch.optim.SGD` (torch).

    Examples
    --------
    >>> from genfun.schedules import Cosine, Warmup
    >>> s = ScheduledSGD(Warmup(10, then=Cosine(0.5, 1000)), momentum=0.9, batch_size=8)
    >>> rates, momenta, sizes = s.at([0, 10, 510])
    >>> rates.round(4).tolist(), sizes.tolist()
    ([0.0455, 0.5, 0.25], [8, 8, 8])

    From the step where the rate is divided by ten, torch is slow and Keras' velocity runs on:

    >>> import genfun as gf
    >>> from genfun.schedules import StepDecay
    >>> problem, rate = gf.LinearProblem([1.0, 0.01], [1.0, 1.0]), StepDecay(0.1, 0.1, period=20)
    >>> [
    ...     gf.predict(problem, ScheduledSGD(rate, 0.9, convention=c), [20, 30]).loss.round(3).tolist()
    ...     for c in ("torch", "keras")
    ... ]
    [[0.449, 0.403], [0.449, 0.353]]
    """

    learning_rate: float | Schedule | Any
    momentum: float | Schedule | Any = 0.0
    batch_size: int | Schedule | Any | None = None
    replacement: bool = False
    convention: Convention = "torch"
    dampening: float = 0.0

    def __post_init__(self) -> None:
        rate, beta, size = (_entry(name, getattr(self, name)) for name in ("learning_rate", "momentum", "batch_size"))
        if not callable(rate):
            rate = _check.positive("learning_rate", rate, "choose a learning rate above 0")
        if not callable(beta):
            beta = _check.momentum(beta)
        if not callable(size) and size is not None:
            size = _check.integer("batch_size", size, 1, "None means the full batch")
        for name, value in (("learning_rate", rate), ("momentum", beta), ("batch_size", size)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "replacement", _check.boolean("replacement", self.replacement))
        _check.choice("convention", self.convention, Convention, "torch's is that of torch.optim.SGD")
        object.__setattr__(self, "dampening", self._checked_dampening())

    def _checked_dampening(self) -> float:
        damp = _check.nonnegative("dampening", self.dampening)
        if damp >= 1.0:
            raise ValueError(f"dampening must be below 1, got {damp!r}; 0 keeps gradients whole")
        if damp > 0.0 and self.convention == "keras":
            raise ValueError(f"dampening={damp!r} is torch's; leave it out, or take convention='torch'")
        if damp > 0.0 and not callable(self.momentum) and self.momentum == 0.0:
            return 0.0  # as in torch, where dampening goes with a momentum
        return damp

    @property
    def length(self) -> int | None:
        """Number of steps for which every hyperparameter is known; None means all."""
        sizes = [e.length for e in (self.learning_rate, self.momentum, self.batch_size) if isinstance(e, Table)]
        return min(sizes) if sizes else None

    def at(self, steps: Any) -> tuple[Float[Array, " t"], Float[Array, " t"], Int[Array, " t"] | None]:
        """Learning rates, momenta and batch sizes at given steps; None in place of sizes means the full batch.

        Parameters
        ----------
        steps : array of ints, shape (t,)
            Step numbers >= 0.

        Raises
        ------
        ValueError
            If a schedule leaves its range, with the first step where it does.
        """
        k = np.atleast_1d(_check.steps(steps))
        rates = _evaluate("learning_rate", self.learning_rate, k)
        _refuse("learning_rate", rates < 0.0, rates, k, "must be zero or positive")
        momenta = _evaluate("momentum", self.momentum, k)
        _refuse("momentum", np.abs(momenta) >= 1.0, momenta, k, "must lie strictly between -1 and 1")
        if self.dampening > 0.0:
            _refuse("momentum", momenta == 0.0, momenta, k, "must not be 0 where there is dampening")
        if self.batch_size is None:
            return rates, momenta, None
        sizes = np.rint(_evaluate("batch_size", self.batch_size, k))
        _refuse("batch_size", sizes < 1.0, sizes, k, "must be at least 1")
        return rates, momenta, np.minimum(sizes, 2.0**53).astype(np.int64)
