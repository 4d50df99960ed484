"""The cells of a sweep computed by workers, some of which may die: short ones of one batch size several at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.experiments.simulation.backend import EachAlone
from genfun.experiments.simulation.engine import run_chunk
from genfun.experiments.simulation.ensemble import run_ensemble
from genfun.experiments.simulation.record import kept_steps
from genfun.experiments.sweeps.pool import Given, Processes
from genfun.experiments.sweeps.shared_data import SharedData, Unseen
from genfun.methods.sgd import SGD

TRIES = 4
"""Workers that may die on one cell before the sweep fails: then the cell is taken for the cause."""
TOGETHER = 1 << 28
"""Steps times runs, outputs, features and samples of a batch in one group: under a second, which is what is lost if its
worker dies."""
MOST_NUMBERS = 1 << 21
"""Losses in one group: 16 MiB to send."""


@dataclass(frozen=True)
class RunPlan:
    """What all cells of a sweep have in common."""

    steps: int
    replicas: int
    seed: int
    record: Any


@dataclass(frozen=True)
class Failed:
    """An error of the work itself, to tell it from the loss of a worker."""

    error: Exception


def run_cells(
    data: LinearData | SharedData, settings: Sequence[SGD], plan: RunPlan
) -> list[Float[Array, "replicas t"]] | Failed:
    """The work of a worker: the losses of each setting, with the bits that it has alone."""
    try:
        here = data.get() if isinstance(data, SharedData) else data
        kept, arrays = kept_steps(plan.record, plan.steps), EachAlone(here.targets.shape[1])
        return run_ensemble(here, settings, kept, plan.replicas, plan.seed, "fresh", arrays, run_chunk, lambda _: None)
    except Exception as error:
        return Failed(error)


def together(settings: Sequence[SGD], data: LinearData, plan: RunPlan) -> Iterator[list[SGD]]:
    """Settings of one batch size in groups that take no more than TOGETHER of work, or one by one.

    Parameters
    ----------
    settings : sequence of SGD
    data : LinearData
    plan : RunPlan
    """
    by_size: dict[Any, list[SGD]] = {}
    for setting in settings:
        by_size.setdefault(setting.batch_size, []).append(setting)
    n, outputs = data.targets.shape
    kept = len(kept_steps(plan.record, plan.steps))
    for b, group in by_size.items():
        # Of a full batch one run stands for all.
        runs = 1 if b is None or b == n else plan.replicas
        work = runs * (plan.steps + 1) * outputs * data.rank * (b or n)
        count = max(1, min(TOGETHER // work, MOST_NUMBERS // (plan.replicas * kept)))
        yield from (group[i : i + count] for i in range(0, len(group), count))


def compute(
    workers: Given | Processes,
    settings: Sequence[SGD],
    shared: SharedData,
    plan: RunPlan,
    finish: Callable[[SGD, Array], None],
) -> None:
    """Compute every setting; what a dead worker had is computed again, each cell by itself."""
    payload: LinearData | SharedData = shared
    todo, tries = deque(together(settings, shared.get(), plan)), Counter[SGD]()
    running: dict[Future[Any], list[SGD]] = {}

    def again(group: list[SGD]) -> None:
        todo.extendleft([setting] for setting in reversed(group))

    try:
        while todo or running:
            while todo and len(running) < workers.at_once:
                group = todo.popleft()
                running[workers.submit(run_cells, payload, group, plan)] = group
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                group = running.pop(future)
                lost = CancelledWork() if future.cancelled() else future.exception()
                if lost is not None:
                    tries.update(group)
                    if tries[group[0]] >= TRIES:
                        raise _given_up(group[0], lost) from lost
                    again(group)
                elif not isinstance(outcome := future.result(), Failed):
                    for setting, loss in zip(group, outcome, strict=True):
                        finish(setting, loss)
                elif isinstance(outcome.error, Unseen):
                    # No shared folder: from now on the data travel with each group.
                    payload = shared.get()
                    todo.appendleft(group)
                elif len(group) > 1:  # which of them was it?
                    again(group)
                else:
                    outcome.error.add_note(f"in the runs of {group[0]!r}; finished cells are stored")
                    raise outcome.error
    finally:
        for future in running:
            future.cancel()


class CancelledWork(Exception):
    """A cell that someone else cancelled."""


def _given_up(setting: SGD, lost: BaseException) -> RuntimeError:
    return RuntimeError(
        f"{setting!r} was lost with its worker {TRIES} times, last by {type(lost).__name__}: {lost}; finished "
        "cells are stored. Look for too little memory, and in a script call sweep under `if __name__ == '__main__':`"
    )
