"""NPZ files from anyone: no pickles, no more memory than meant, and every damage named."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array

LARGEST = 1 << 32
"""Bytes of numbers that are read from a file unless more are allowed."""
SMALL, SHRINKAGE = 1 << 26, 200
"""An archive that holds more than SMALL bytes and SHRINKAGE times its own size is taken for a bomb: of zeros, say."""


def check_size(path: Any, unpacked: int, packed: int, memory_limit: int | None) -> None:
    """Refuse, before it is unpacked, what would fill the memory.

    Parameters
    ----------
    path : path
        For the message.
    unpacked, packed : int
        Bytes of the numbers, and of the file.
    memory_limit : int or None
        Bytes that are allowed; None is LARGEST, and no bombs.
    """
    limit = LARGEST if memory_limit is None else _check.integer("memory_limit", memory_limit, 0)
    if unpacked > limit:
        raise ValueError(
            f"{path} holds {unpacked / 1e9:.3g} GB of numbers, more than memory_limit={limit / 1e9:.3g} GB; "
            "pass a larger memory_limit to genfun.data.load, or leave samples out"
        )
    if memory_limit is None and unpacked > max(SMALL, SHRINKAGE * packed):
        raise ValueError(
            f"{path} unpacks to {unpacked / 1e9:.3g} GB, {unpacked / max(packed, 1):,.0f} times its size; if that is "
            "meant, save it without compression (numpy.savez), or pass memory_limit to genfun.data.load"
        )


@dataclass(frozen=True)
class Archive:
    """An open NPZ file.

    Attributes
    ----------
    keys : set of str
        Names of its arrays.
    """

    keys: set[str]
    _arrays: Any

    def read(self, key: str) -> Array:
        """One array; ValueError, without the name of the file, where it cannot be read."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd headers, which either can be read or cannot
                found = self._arrays[key]
        except Exception as error:  # a damaged file may do anything to its readers
            if "allow_pickle" in str(error):
                message = f"{key} is an object array, which is a pickle; save it as numbers (float64)"
            else:
                message = f"{key} cannot be read ({_reason(error)}); write the file again"
            raise ValueError(message) from error
        if not isinstance(found, np.ndarray):
            raise ValueError(f"{key} is no NumPy array; write the file again with numpy.savez")
        return found


@contextmanager
def opened(path: str | os.PathLike[str], memory_limit: int | None, usage: str) -> Iterator[Archive]:
    """An NPZ file, to be read array by array.

    Parameters
    ----------
    path : path
    memory_limit : int or None
        See `check_size`.
    usage : str
        How to write such a file.

    Raises
    ------
    ValueError
        With the path, if it is none, or too large.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no NPZ archive, whatever its name; write it with {usage}")
    try:
        with zipfile.ZipFile(path) as listing:
            unpacked = sum(member.file_size for member in listing.infolist())
        arrays = np.load(path, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it is one array, and no archive")
        keys = set(arrays)
    except Exception as error:  # as above
        raise ValueError(f"{path} is a broken archive ({_reason(error)}); write it again with {usage}") from error
    with arrays:
        check_size(path, unpacked, os.stat(path).st_size, memory_limit)
        yield Archive(keys, arrays)


def _reason(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
