"""Runs of mini-batch SGD on given data: one setting, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from genfun import _check
from genfun._typing import Progress
from genfun.data.linear import LinearData
from genfun.experiments.simulation.backend import DTYPES, Dtype, NumPyBackend
from genfun.experiments.simulation.batches import ORDERS, Order, batches
from genfun.experiments.simulation.compiled import is_worth, run_compiled
from genfun.experiments.simulation.devices import device_of
from genfun.experiments.simulation.ensemble import run_ensemble
from genfun.experiments.simulation.probe_runs import probe_runs
from genfun.experiments.simulation.record import kept_steps
from genfun.experiments.simulation.runs import Runs
from genfun.methods.base import Method
from genfun.noise import sampling_factor
from genfun.schedules import ScheduledSGD
from genfun.softmax.data import SoftmaxData

__all__ = ["Progress", "Runs", "batches", "simulate", "simulate_many"]


def simulate(
    data: LinearData | SoftmaxData,
    method: Method | ScheduledSGD,
    steps: int = 1000,
    replicas: int = 64,
    device: str = "auto",
    seed: int = 0,
    record: Any = None,
    progress: Progress | None = None,
    dtype: Dtype = "float64",
    order: Order = "fresh",
) -> Runs:
    r"""Independent runs of the method on the data, with real mini-batches.

    .. math:: \nabla L_B = \frac1b\sum_{i\in B}\varphi(i)\,[\langle\varphi(i), w-w^*\rangle - \epsilon_i],\qquad
              L = \tfrac12\sum_k\lambda_k|w-w^*|_k^2 + \tfrac12\sigma^2

    **Assumptions.** Nothing of the theory: every step draws a fresh uniform batch (without replacement inside the
    batch unless `method.replacement`), takes its gradient and updates w from w_0 = 0; torch's options and averages of
    the weights as their methods say. The work is done on the
    residuals of all samples if that is cheaper, otherwise in the eigenbasis (`simulation.space`). Near the
    stability edge the mean loss is carried by rare runs with huge losses: the mean of a few hundred runs may lie
    orders of magnitude below the true mean, and the median says nothing about stability. `Runs.effective_runs` counts
    the runs that carry the mean.

    Parameters
    ----------
    data : LinearData or SoftmaxData
        The data; its eigenfeatures, shape (N, rank), must fit in memory. Of a SoftmaxData the losses are in nats and
        `Runs.error_rate` is there too; with NumPy, and SGD with momentum and weight decay.
    method : Method or ScheduledSGD
        e.g. `SGD(learning_rate=0.5, momentum=0.0, batch_size=10)`; batch_size None or N is deterministic. Of a
        schedule as many steps as it has, e.g. `simulate(data, best.method, best.steps)` of a `best_schedule`.
    steps : int
        Number of steps.
    replicas : int
        Number of independent runs.
    device : str
        "cpu" (NumPy; numba where it is installed and the runs would take seconds), "cuda" or "cuda:1" (a GPU through
        torch), "torch" (the GPU's array path on the CPU, to check it), or "auto": "cuda" where torch sees a GPU, else
        "cpu".
    seed : int
        Run r takes its batches from the r-th child of `numpy.random.SeedSequence(seed)`, on every device.
    record : array of ints, "log" or None
        Steps whose loss is kept, from 0 to `steps`; None keeps all, "log" those of `log_grid(steps)`.
    progress : callable, optional
        Called with (fraction done, stage).
    dtype : str
        "float64" or "float32": precision of the runs. The losses come back as doubles.
    order : str
        "fresh": every step draws anew, which is what the theory assumes. "epochs": consecutive slices of a new
        permutation in each epoch; the N mod b samples at its end are not visited in that epoch. A method with
        sampling="epochs" asks for them too.

    Returns
    -------
    Runs
        `.loss`, `.mean`, `.sem`, `.median`, `.quantiles(q)`.

    Raises
    ------
    ValueError
        If a number is out of range, the batch exceeds the data, or the device is not there.
    TypeError
        If data is not a LinearData or a SoftmaxData, or an argument is of the wrong kind.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import simulate
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> simulate(data, gf.SGD(0.5), steps=2, replicas=3).mean  # full batch: sum of s_k (1 - lambda_k/2)^(2t) / 2
    array([1.5       , 0.7890625 , 0.48254395])
    """
    if isinstance(data, SoftmaxData):
        return _of_probe(data, method, steps, replicas, device, seed, record, progress, dtype, order)
    return simulate_many(data, [method], steps, replicas, device, seed, record, progress, dtype, order)[0]


def simulate_many(
    data: LinearData,
    methods: Sequence[Method | ScheduledSGD],
    steps: int = 1000,
    replicas: int = 64,
    device: str = "auto",
    seed: int = 0,
    record: Any = None,
    progress: Progress | None = None,
    dtype: Dtype = "float64",
    order: Order = "fresh",
) -> tuple[Runs, ...]:
    r"""Independent runs of every one of many settings, advanced together.

    .. math:: r_{t+1} = r_t + q_{t+1},\quad q_{t+1} = \beta q_t - \frac{\alpha}{b}\sum_{i\in B} K_{\cdot i}\, r_{t,i}

    for heavy ball on the residuals r of all samples; (alpha, beta) is an axis of one array.

    **Assumptions.** Those of `simulate`. Settings of one batch size share the batches of run r (common random numbers):
    their differences are sharper than their values, and their errors are not independent. Each setting has the losses
    that `simulate` gives it, up to rounding.

    Parameters
    ----------
    data : LinearData
        The data; its eigenfeatures, shape (N, rank), must fit in memory.
    methods : sequence of Method or ScheduledSGD
        Settings, of any batch sizes; those of one batch size are advanced in one array, a schedule alone.
    steps : int
        Number of steps.
    replicas : int
        Number of independent runs of each setting.
    device : str
        As in `simulate`.
    seed : int
        Run r of every setting takes its batches from the r-th child of `numpy.random.SeedSequence(seed)`.
    record : array of ints, "log" or None
        Steps whose loss is kept; None keeps all, "log" those of `log_grid(steps)`.
    progress : callable, optional
        Called with (fraction done, stage).
    dtype : str
        "float64" or "float32".
    order : str
        "fresh" or "epochs", as in `simulate`.

    Returns
    -------
    tuple of Runs
        One for each method, in their order.

    Raises
    ------
    ValueError
        If there are no methods, a number is out of range, a batch exceeds the data, or the device is not there.
    TypeError
        If data is not a LinearData, or an argument is of the wrong kind.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import simulate_many
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> settings = [gf.SGD(0.1, beta, batch_size=1) for beta in (-0.5, 0.0, 0.5)]
    >>> [f"{runs.mean[-1]:.3f}" for runs in simulate_many(data, settings, steps=20, replicas=4)]
    ['0.481', '0.293', '0.081']
    """
    if not isinstance(data, LinearData):
        raise TypeError(f"data must be a LinearData, got {type(data).__name__}; see LinearData.from_features")
    if len(methods) == 0:
        raise ValueError("methods is empty; pass at least one method, e.g. [SGD(0.1, batch_size=10)]")
    last, count, seed = _numbers(steps, replicas, seed, dtype, order)
    for m in methods:
        if not isinstance(m, ScheduledSGD):
            _check.method(m)
    orders: set[Order] = {"epochs" if getattr(m, "sampling", "fresh") == "epochs" else order for m in methods}
    if len(orders) > 1:
        raise ValueError("methods must all have sampling='epochs', or none, in one simulation; run them apart")
    order = orders.pop()
    for m in methods:
        _check.options(m, knows=True, epochs=True)
        if isinstance(m, ScheduledSGD):
            if order == "epochs" and callable(m.batch_size):
                raise ValueError(f"order='epochs' is known of one batch size, got {m.batch_size!r}; give a number")
        else:
            sampling_factor(m.batch_size, data.n_samples, m.replacement)
        if order == "epochs" and m.replacement:
            raise ValueError("order='epochs' draws without replacement, got a method with replacement=True")
    kept = kept_steps(record, last)
    arrays, run = device_of(device, dtype)
    if isinstance(arrays, NumPyBackend) and is_worth(data, methods, last, count):
        run = run_compiled
    losses = run_ensemble(data, methods, kept, count, seed, order, arrays, run, _teller(progress))
    return tuple(Runs(kept, loss, m, seed, order, dtype) for m, loss in zip(methods, losses, strict=True))


def _of_probe(
    data: SoftmaxData,
    method: Method | ScheduledSGD,
    steps: int,
    replicas: int,
    device: str,
    seed: int,
    record: Any,
    progress: Progress | None,
    dtype: Dtype,
    order: Order,
) -> Runs:
    last, count, seed = _numbers(steps, replicas, seed, dtype, order)
    if device not in ("auto", "cpu"):
        raise ValueError(f"device must be 'cpu' for a SoftmaxData, which is simulated by NumPy, got {device!r}")
    order = "epochs" if getattr(method, "sampling", "fresh") == "epochs" else order
    kept = kept_steps(record, last)
    loss, wrong = probe_runs(data, method, kept, count, seed, order, _teller(progress), dtype=dtype)
    return Runs(kept, loss, method, seed, order, dtype, wrong)


def _numbers(steps: Any, replicas: Any, seed: Any, dtype: Any, order: Any) -> tuple[int, int, int]:
    """The first three as integers; what is no such thing, or no such choice, is refused by name."""
    _check.choice("dtype", dtype, DTYPES)
    _check.choice("order", order, ORDERS)
    last, count = _check.integer("steps", steps, 0), _check.integer("replicas", replicas, 1)
    return last, count, _check.integer("seed", seed, 0)


def _teller(progress: Progress | None) -> Callable[[float], None]:
    def tell(done: float) -> None:
        if progress is not None:
            progress(done, "SGD runs")

    return tell
