"""Runs over a grid of settings, in parallel, kept on disk cell by cell so that nothing finished is lost."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Progress
from genfun._version import __version__
from genfun.data.linear import LinearData
from genfun.experiments.simulation.record import kept_steps
from genfun.experiments.simulation.runs import Runs
from genfun.experiments.sweeps.grid import AXES, axes_of, settings_of
from genfun.experiments.sweeps.pace import Pace
from genfun.experiments.sweeps.pool import crew
from genfun.experiments.sweeps.store import SweepStore
from genfun.experiments.sweeps.work import RunPlan, compute
from genfun.methods.sgd import SGD

if TYPE_CHECKING:
    import xarray

log = logging.getLogger(__name__)


def sweep(
    data: LinearData,
    grid: Mapping[str, Any],
    executor: Executor | int | None = None,
    store: str | os.PathLike[str] | None = None,
    steps: int = 1000,
    replicas: int = 64,
    seed: int = 0,
    record: Any = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    r"""Simulate every setting of a grid, in parallel, and keep what is finished.

    .. math:: \{\alpha\}\times\{\beta\}\times\{b\} \to L_r(t),\qquad r = 1..\text{replicas}

    **Assumptions.** Those of `simulate`, on the CPU: the runs of a cell are those of
    ``simulate(data, SGD(...), steps, replicas, seed=seed)``, whatever the executor, the order and the cells computed
    beside it. Cells of one batch size see the same batches, and their errors are correlated. Bit for bit the same are
    results of the same kind of CPU and number of BLAS threads; our own processes have one each.

    Parameters
    ----------
    data : LinearData
        The data; their eigenfeatures, shape (N, rank), must fit in memory.
    grid : mapping
        Values of "learning_rate" and, if not 0 and full batch, "momentum" and "batch_size". A batch size of None is
        the full batch, and stands as N in the result.
    executor : concurrent.futures.Executor, int or None
        Who runs the cells: a thread or process pool, `Client.get_executor()` of Dask, `MPIPoolExecutor`, ...; an int
        is a number of processes started for this sweep, None is one for each core.
    store : path or None
        Folder for finished cells and a copy of the data. A sweep that was killed goes on from there; a larger grid
        adds to it. None keeps nothing.
    steps : int
        Number of steps.
    replicas : int
        Number of independent runs of each setting.
    seed : int
        As for `simulate`.
    record : array of ints, "log" or None
        Steps whose loss is kept, from 0 to `steps`; None keeps all, "log" those of `log_grid(steps)`.
    progress : callable, optional
        Called with (fraction of cells done, how many and the time left).

    Returns
    -------
    xarray.Dataset
        `loss` with dims learning_rate, momentum, batch_size, replica, step, and `diverged`, the share of runs that
        end above their start. In attrs: version, SHA-256 of the data, seed, steps, replicas, the numbers of cells
        computed and found stored, and under "recomputed" the damaged files that were computed again.

    Raises
    ------
    ValueError
        If a setting is out of range or twice in the grid, or the store is of another problem.
    TypeError
        If an argument is of the wrong kind.
    ImportError
        If xarray is missing.
    OSError
        If the store cannot be written, e.g. because the disk is full. What is stored stays.
    RuntimeError
        If a cell was lost with its worker again and again.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import genfun as gf
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> grid = {"learning_rate": [0.1, 0.2], "momentum": [0.0, 0.5], "batch_size": [1, None]}
    >>> with ThreadPoolExecutor(2) as threads:
    ...     found = sweep(data, grid, threads, steps=10, replicas=3)
    >>> dict(found.sizes)
    {'learning_rate': 2, 'momentum': 2, 'batch_size': 2, 'replica': 3, 'step': 11}
    >>> full = found.loss.sel(learning_rate=0.2, momentum=0.5, batch_size=4, step=10)
    >>> round(full.mean().item(), 4), gf.predict(data.problem, gf.SGD(0.2, 0.5), 10).loss.round(4).item()
    (0.0655, 0.0655)
    """
    if not isinstance(data, LinearData):
        raise TypeError(f"data must be a LinearData, got {type(data).__name__}; see LinearData.from_features")
    axes = axes_of(grid, data.n_samples)
    _check_executor(executor)
    last, count = _check.integer("steps", steps, 0), _check.integer("replicas", replicas, 1)
    seed = _check.integer("seed", seed, 0)
    kept = kept_steps(record, last)
    if importlib.util.find_spec("xarray") is None:
        raise ImportError("sweep needs xarray; pip install 'genfun[experiments]'")
    spec = {"steps": last, "replicas": count, "seed": seed, "record": "all" if record is None else kept.tolist()}
    sizes = tuple(len(values) for values in axes.values())
    losses = np.empty((*sizes, count, kept.size))
    places = dict(zip(settings_of(axes), np.ndindex(*sizes), strict=True))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="genfun-")) if store is None else store
        cells = SweepStore.open(folder, data, spec)
        todo = []
        for setting, place in places.items():
            found = cells.load(setting, (count, kept.size))
            if found is None:
                todo.append(setting)
            else:
                losses[place] = found
        for line in cells.damaged:
            log.warning("%s: %s; it is made again", cells.folder, line)
        pace = Pace(progress, len(places), len(todo))
        plan = RunPlan(last, count, seed, None if record is None else kept)

        def finish(setting: SGD, loss: Array) -> None:
            if store is not None:
                _save(cells, setting, loss, pace)
            losses[places[setting]] = loss
            pace.one_more()

        if todo:
            with crew(executor) as workers:
                compute(workers, todo, cells.shared, plan, finish)
        facts = spec | {
            "genfun": __version__,
            "data": cells.shared.digest,
            "n_samples": data.n_samples,
            "computed": len(todo),
            "stored": len(places) - len(todo),
            "recomputed": "; ".join(cells.damaged),
        }
    del facts["record"]
    return _dataset(axes, kept, losses, facts)


def _save(cells: SweepStore, setting: SGD, loss: Array, pace: Pace) -> None:
    try:
        cells.save(setting, loss)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{os.strerror(error.errno) if error.errno else error} at {cells.path(setting)}; {pace.done} of "
            f"{pace.total} cells are stored and stay: make room and run the same sweep again",
        ) from error


def _check_executor(executor: Any) -> None:
    if executor is None or isinstance(executor, Executor):
        return
    if hasattr(executor, "submit") or hasattr(executor, "get_executor"):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}; a Dask client has "
            "get_executor(), and submitit is wrapped in a thread pool as the page on sweeps shows"
        )
    _check.integer("executor", executor, 1, "pass a number of processes, an Executor, or None")


def _dataset(
    axes: Mapping[str, tuple[Any, ...]], kept: Array, losses: Float[Array, "..."], facts: Mapping[str, Any]
) -> xarray.Dataset:
    import xarray

    return xarray.Dataset(
        {
            "loss": ((*AXES, "replica", "step"), losses),
            "diverged": (AXES, np.mean(losses[..., -1] > losses[..., 0], axis=-1)),
        },
        coords={axis: np.array(values) for axis, values in axes.items()}
        | {"replica": np.arange(losses.shape[-2]), "step": kept},
        attrs=dict(facts),
    )


def cells(swept: xarray.Dataset) -> Iterator[Runs]:
    """The cells of a sweep as the results of `simulate`, each with its setting in `.method`.

    Parameters
    ----------
    swept : xarray.Dataset
        From `sweep`, also read back from a file.

    Yields
    ------
    Runs
        In the order of the axes, ready for `agree`.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import genfun as gf
    >>> from genfun.experiments import agree
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> grid = {"learning_rate": [0.1, 0.2], "batch_size": [2]}
    >>> with ThreadPoolExecutor(2) as threads:
    ...     found = sweep(data, grid, threads, steps=10, replicas=200)
    >>> [agree(gf.predict(data.problem, runs.method, runs.steps), runs).agrees for runs in cells(found)]
    [True, True]
    """
    steps = swept["step"].values.astype(np.int64)
    for place in np.ndindex(*(swept.sizes[axis] for axis in AXES)):
        rate, momentum, batch = (swept[axis].values[i].item() for axis, i in zip(AXES, place, strict=True))
        yield Runs(
            steps,
            np.asarray(swept["loss"].values[place], np.float64),
            SGD(rate, momentum, int(batch)),
            int(swept.attrs["seed"]),
        )
