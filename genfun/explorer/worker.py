"""Slow computations in a thread of their own: a newer one replaces those before it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Stale(Exception):
    """Raised inside a computation that a newer one has replaced."""


class Newest:
    """A thread that runs the newest computation; older ones are dropped, or stop at their next check.

    Parameters
    ----------
    deliver : callable
        Called in the thread with a function of no arguments, which is to be run in the page's event loop.
    """

    def __init__(self, deliver: Callable[[Callable[[], None]], Any]) -> None:
        self._deliver = deliver
        self._pool = ThreadPoolExecutor(1)
        self._lock = threading.Lock()
        self._turn = 0

    def cancel(self) -> None:
        """Drop all computations asked for so far: none of them delivers a result."""
        with self._lock:
            self._turn += 1

    def close(self) -> None:
        """Stop for good."""
        self.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, work: Callable[[Callable[[], None]], Any], done: Callable[[Any, Exception | None], None]) -> None:
        """Run `work` in the thread, then `done` in the page's event loop, unless something newer was asked.

        Parameters
        ----------
        work : callable
            Takes a function to call now and then, which raises Stale when the work is no longer wanted.
        done : callable
            Takes the answer and None, or None and the error.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn

        def check() -> None:
            if turn != self._turn:
                raise Stale

        def run() -> None:
            answer, error = None, None
            try:
                check()
                answer = work(check)
                check()
            except Stale:
                return
            except Exception as caught:  # of any kind: the page shows it and goes on
                error = caught
            self._deliver(lambda: done(answer, error) if turn == self._turn else None)

        self._pool.submit(run)
