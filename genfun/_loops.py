"""Loops that numba compiles, once for every kind of array that they are handed."""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import numpy as np

from genfun._typing import Array


def compiled_loop(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A function compiled by numba, kept on disk between processes where a folder can be written.

    Parameters
    ----------
    function : callable
        Type checkers may have wrapped it; the function proper is what is compiled.
    options : Any
        Of `numba.njit`.
    """
    import numba

    proper = unwrap(function)
    try:
        return numba.njit(cache=True, **options)(proper)
    except RuntimeError:  # no folder for the cache can be written
        return numba.njit(**options)(proper)


def writable(array: Array) -> Array:
    """The array, or a copy of one that is read only or not in C order: numba compiles again for each of these kinds."""
    return np.require(array, requirements=("C", "W"))


def read_only(array: Array) -> Array:
    """A view that is read only, for the same reason, where the loop writes nothing and a copy would be large."""
    view = array.view()
    view.setflags(write=False)
    return view
