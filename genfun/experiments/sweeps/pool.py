"""Processes of our own for a sweep: one thread each, gone when the parent is, replaced when one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
AT_ONCE = 256
"""Groups of cells handed to an executor whose number of workers is not known."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Given:
    """An executor that someone else made and will close."""

    def __init__(self, executor: Executor) -> None:
        self.executor, self.at_once = executor, AT_ONCE

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """As `Executor.submit`."""
        return self.executor.submit(work, *args)

    def close(self) -> None:
        """Leave it as it is."""

    def abandon(self) -> None:
        """Leave it as it is."""


class Processes:
    """A pool of spawned processes that is made again when it broke.

    A process pool breaks as a whole when one of its processes is killed. Each process holds the reading end of a pipe
    whose only writing end is here: it exits when that is closed, be it by `abandon` or by the death of this process.
    """

    def __init__(self, workers: int) -> None:
        self.workers, self.at_once = workers, 2 * workers
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._reader, self._writer = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self.workers, context, _prepare, (self._reader,))

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """As `Executor.submit`, in a new pool if the old one broke."""
        with _deaf_to_interrupts():
            try:
                return self._pool.submit(work, *args)
            except BrokenExecutor:
                self.abandon()
                self._start()
                return self._pool.submit(work, *args)

    def close(self) -> None:
        """Let the processes finish and go."""
        self._pool.shutdown()
        self._writer.close()
        self._reader.close()

    def abandon(self) -> None:
        """End the processes in the middle of what they do."""
        self._writer.close()
        self._pool.shutdown(cancel_futures=True)
        self._reader.close()


def _prepare(reader: Connection) -> None:
    """In each process: leave Ctrl-C to the parent, and exit with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_at_end_of, args=(reader,), daemon=True).start()


def _exit_at_end_of(reader: Connection) -> None:
    try:
        reader.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started inside hold Ctrl-C back until `_prepare` ignores it; here it only comes a moment later.

    Without this, one that still loads its modules would print where it was.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def crew(executor: Executor | int | None) -> Iterator[Given | Processes]:
    """The executor of a sweep; processes started here end with the block, at once if it fails."""
    if isinstance(executor, Executor):
        yield Given(executor)
        return
    with _one_thread_each():
        processes = Processes(cores() if executor is None else executor)
        try:
            yield processes
        except BaseException:
            processes.abandon()
            raise
        processes.close()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside find these variables: as many threads as processes, and the same sums on any machine.

    NumPy reads them when it is loaded, before any code of ours could run in the new process.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
