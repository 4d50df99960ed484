"""One thread for linear algebra on small matrices: more gain little, and wait for each other where cores are busy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from threading import local
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_INSIDE = local()
"""`limited` of a thread: whether it is inside already, where asking again would cost as much as a small product."""


@cache
def _controller() -> Any:
    # NumPy and SciPy each have a copy of BLAS: both are loaded before they are looked for.
    import scipy.linalg.lapack  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def one_thread(small: bool = True) -> AbstractContextManager[Any]:
    """BLAS on one thread inside, as before outside; may be nested.

    Products of matrices of some hundred rows, and eigenvalues of a thousand, gain little from a second thread. Where
    other work keeps the cores busy they lose up to a hundred times: the threads spin until all of them have had a core.

    Parameters
    ----------
    small : bool
        Whether the matrices are of that kind; else nothing is changed.
    """
    return nullcontext() if getattr(_INSIDE, "limited", False) or not small else _limited()


@contextmanager
def _limited() -> Iterator[None]:
    _INSIDE.limited = True
    try:
        with _controller().limit(limits=1):
            yield
    finally:
        _INSIDE.limited = False


def on_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose linear algebra runs on one thread, see `one_thread`.

    Parameters
    ----------
    function : callable
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with one_thread():
            return function(*args, **kwargs)

    return run
