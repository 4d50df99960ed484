"""Measure the steps that a torch optimizer takes to a target loss, against the batch size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Progress
from genfun.answers.batch.repeated import best_setting
from genfun.experiments.steps.measured import MeasuredSteps
from genfun.experiments.steps.optimizers import Maker, maker
from genfun.experiments.steps.run import TrainingTask, steps_to_target
from genfun.experiments.sweeps.cell_folder import CellFolder
from genfun.experiments.sweeps.pace import Pace

SAMPLINGS = ("fresh", "epochs")


def measure_steps(
    model: Any,
    loss_fn: Callable[[Any, Any], Any],
    data: tuple[Any, Any],
    optimizer: str | Maker,
    batch_sizes: Sequence[int],
    target: float,
    learning_rate: float | Sequence[float] | Callable[[int], Any],
    runs: int = 5,
    max_steps: int = 20_000,
    max_samples: float | None = None,
    sampling: str = "epochs",
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> MeasuredSteps:
    r"""Train to a target loss at every batch size, and count the steps.

    .. math:: K(b) = \min\{t : L(w_t) \le L_{target}\}

    The loss over all samples is looked at whenever the step has grown by 2 %, and the crossing lies between two looks
    by its logarithm, so that neither epochs nor looks round it. A run that has not arrived after `max_steps` or
    `max_samples` is censored: its steps are inf, and the batch size is left out of the fit and named.

    **Assumptions.** All runs start from the weights of the model and differ by their batches. The loss at a step is
    that of all samples, in train mode as the model is. The first crossing counts, also if the loss rises again.

    Parameters
    ----------
    model : torch.nn.Module
        It is copied for every run, and not changed.
    loss_fn : callable
        (outputs, targets) to the mean loss, e.g. `torch.nn.CrossEntropyLoss()`.
    data : (inputs, targets)
        Tensors of N samples; a Dataset is `torch.utils.data.default_collate(list(dataset))`.
    optimizer : str or callable
        "sgd", "momentum" (.9), "nesterov" (.9), "adam", "adamw", "rmsprop" with torch's defaults; or a function of
        (parameters, learning_rate) that returns an optimizer.
    batch_sizes : sequence of int
        From 1 to N.
    target : float
        The loss to reach, in units of loss_fn.
    learning_rate : float, sequence of float, or callable
        The same for every batch size; or several, of which the one of fewest steps counts at each; or a function of
        the batch size, such as `lambda b: 0.01 * b` (linear scaling).
    runs : int
        Of every batch size.
    max_steps : int
        After so many steps a run is given up.
    max_samples : float or None
        After so many samples too.
    sampling : "epochs" or "fresh"
        One shuffle an epoch, as data loaders do, the rest of an epoch joined to the next; or drawn anew every step.
    seed : int
        Of the batches; run r has seed + r at every batch size.
    store : path or None
        Folder for finished runs. What was stopped goes on from there; more batch sizes, rates, runs and optimizers are
        added to it. None keeps nothing.
    progress : callable, optional
        Called with (fraction of runs done, how many and the time left).

    Returns
    -------
    MeasuredSteps
        `.fit()` has the critical batch size, `.fewest_steps` the batch size of fewest steps or None.

    Raises
    ------
    ValueError
        If a number is out of range, a name is unknown, or the store is of another problem.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 1811.03600 (the measurement); arXiv 2402.15344 and 2108.11713 (the critical batch of several optimizers).

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(model.weight)
    >>> found = measure_steps(model, torch.nn.MSELoss(), (x, x[:, :1]), "sgd", [1, 2, 4], 1e-3, 0.1, runs=3)
    >>> bool(found.reached.all()), bool(found.means[2] < 40)
    (True, True)
    """
    name, make = maker(optimizer)
    inputs, targets = _samples(data)
    n = len(inputs)
    sizes = [_check.integer("batch_sizes", b, 1) for b in batch_sizes]
    if not sizes or len(set(sizes)) < len(sizes):
        raise ValueError(f"batch_sizes must be different numbers, got {sizes}")
    if max(sizes) > n:
        raise ValueError(f"batch_sizes must be at most the {n} samples, got {max(sizes)}")
    _check.choice("sampling", sampling, SAMPLINGS)
    count, most = _check.integer("runs", runs, 1), _check.integer("max_steps", max_steps, 1)
    seed = _check.integer("seed", seed, 0)
    budget = np.inf if max_samples is None else _check.positive("max_samples", max_samples)
    task = TrainingTask(model, loss_fn, inputs, targets, _check.positive("target", target), sampling)
    cells = None if store is None else _folder(Path(store), task)
    rates = {b: _rates(learning_rate, b) for b in sizes}
    limits = {b: int(max(min(most, budget // b), 1)) for b in sizes}
    pace = Pace(progress, count * sum(map(len, rates.values())), count * sum(map(len, rates.values())))
    chosen, steps = [], []
    for b in sizes:
        tried = []
        for rate in rates[b]:
            tried.append(np.empty(count))
            for r in range(count):
                tried[-1][r] = _one(cells, task, name, make, rate, b, seed + r, limits[b])
                pace.one_more()
        best = best_setting(tried)
        steps.append(tried[best])
        chosen.append(rates[b][best])
    return MeasuredSteps(
        name, task.target, np.array(sizes), np.array(chosen), np.array(steps), np.array([limits[b] for b in sizes])
    )


def _one(
    cells: CellFolder | None, task: TrainingTask, name: str, make: Maker, rate: float, b: int, seed: int, limit: int
) -> float:
    """One run, from the store if it is there: a number of steps at most the limit, or inf if the limit was as high."""
    facts = {"optimizer": name, "learning_rate": rate, "batch_size": b, "seed": seed}
    file = f"{name}_lr{rate!r}_b{b}_s{seed}"
    kept: Array | None = None if cells is None else cells.load(file, facts, "steps", "steps")
    if kept is not None:
        found, tried = kept.tolist()
        if found <= limit or tried >= limit:
            return found if found <= limit else np.inf
    found = steps_to_target(task, make, rate, b, seed, limit)
    if cells is not None:
        cells.save(file, facts, "steps", np.array([found, float(limit)]))
    return found


def _rates(learning_rate: Any, b: int) -> list[float]:
    values = learning_rate(b) if callable(learning_rate) else learning_rate
    several = [float(x) for x in np.atleast_1d(np.asarray(values, dtype=np.float64))]
    return [_check.positive("learning_rate", x) for x in several]


def _samples(data: Any) -> tuple[Any, Any]:
    import torch

    if not (isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(x, torch.Tensor) for x in data)):
        raise TypeError("data must be (inputs, targets), two tensors; a Dataset is default_collate(list(dataset))")
    if len(data[0]) != len(data[1]) or len(data[0]) == 0:
        raise ValueError(f"data must have as many inputs as targets, got {len(data[0])} and {len(data[1])}")
    return data[0], data[1]


def _folder(folder: Path, task: TrainingTask) -> CellFolder:
    digest = hashlib.sha256()
    for tensor in (task.inputs, task.targets, *task.model.state_dict().values()):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(repr(task.model).encode())
    fields = {"target": task.target, "sampling": task.sampling, "data": digest.hexdigest(), "loss": _name(task.loss_fn)}
    return CellFolder.open(folder, {"kind": "steps to a target"} | fields)


def _name(loss_fn: Any) -> str:
    return getattr(loss_fn, "__name__", None) or repr(loss_fn)
