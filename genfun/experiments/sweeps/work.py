"""The cells of a sweep computed by workers, some of which may die."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.experiments.simulation.simulate import simulate
from genfun.experiments.sweeps.pool import Given, Processes
from genfun.experiments.sweeps.shared_data import SharedData, Unseen
from genfun.methods.sgd import SGD

TRIES = 4
"""Workers that may die on one cell before the sweep fails: then the cell is taken for the cause."""


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


def run_cell(data: LinearData | SharedData, setting: SGD, plan: RunPlan) -> Float[Array, "replicas t"] | Failed:
    """The work of a worker: the losses of one setting."""
    try:
        here = data.get() if isinstance(data, SharedData) else data
        runs = simulate(here, setting, plan.steps, plan.replicas, "cpu", plan.seed, plan.record)
    except Exception as error:
        return Failed(error)
    return runs.loss


def compute(
    workers: Given | Processes,
    settings: Iterable[SGD],
    shared: SharedData,
    plan: RunPlan,
    finish: Callable[[SGD, Array], None],
) -> None:
    """Compute every setting; what a dead worker had is computed again."""
    todo, tries = deque(settings), Counter[SGD]()
    running: dict[Future[Any], SGD] = {}
    payload: LinearData | SharedData = shared
    try:
        while todo or running:
            while todo and len(running) < workers.at_once:
                setting = todo.popleft()
                running[workers.submit(run_cell, payload, setting, plan)] = setting
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                setting = running.pop(future)
                lost = CancelledWork() if future.cancelled() else future.exception()
                if lost is not None:
                    tries[setting] += 1
                    if tries[setting] >= TRIES:
                        raise _given_up(setting, lost) from lost
                    todo.appendleft(setting)
                elif not isinstance(outcome := future.result(), Failed):
                    finish(setting, outcome)
                elif isinstance(outcome.error, Unseen):
                    # No shared folder: from now on the data travel with each cell.
                    payload = shared.get()
                    todo.appendleft(setting)
                else:
                    outcome.error.add_note(f"in the runs of {setting!r}; finished cells are stored")
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
