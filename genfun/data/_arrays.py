"""Two-dimensional inputs read in validated float64 blocks, whatever holds them (array, memmap, dask, HDF5, sparse)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Progress

BLOCK_BYTES = 1 << 25
LARGEST = 1e150
"""Of features and targets, whose squares are added up."""


def table(name: str, value: Any) -> Any:
    """The two-dimensional array-like itself, unread if it is lazy; anything else through `numpy.asarray`."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be an array of numbers, got {value!r}; read a file with genfun.data.load(path)")
    value = _check.plain(name, value)
    if hasattr(value, "to_numpy") and hasattr(value, "columns"):
        value = _of_frame(name, value)
    if hasattr(value, "to_numpy") or not (hasattr(value, "shape") and hasattr(value, "__getitem__")):
        try:
            value = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must be a two-dimensional array of numbers: {error}") from error
    shape = tuple(value.shape)
    if len(shape) != 2:
        raise ValueError(f"{name} must be two-dimensional (samples, features), got shape {shape}; reshape it")
    if any(side != side for side in shape):
        raise ValueError(f"{name} has unknown shape {shape}; call compute_chunk_sizes() on the dask array first")
    if 0 in shape:
        raise ValueError(f"{name} is empty: shape {shape}; pass at least one sample and one feature")
    _check_kind(name, value)
    return value


def names_of(value: Any) -> tuple[Any, ...] | None:
    """Names of the columns of a frame; None of what has none, or has their numbers for names."""
    columns = getattr(value, "columns", None)
    if columns is None or not hasattr(value, "to_numpy"):
        return None
    names = tuple(columns)
    return None if names == tuple(range(len(names))) else names


def check_names(name: str, value: Any, known: tuple[Any, ...] | None) -> None:
    """Refuse a frame whose columns are not those of the training features, in their order, where both have names."""
    names = names_of(value)
    if known is None or names is None or names == known:
        return
    if sorted(map(repr, names)) == sorted(map(repr, known)):
        first = next(i for i, label in enumerate(known) if label != names[i])
        raise ValueError(
            f"{name} has the columns of the training features in another order: column {first} is {names[first]!r}, "
            f"and was {known[first]!r}; pass {name}[list(data.names)]"
        )
    missing = next((label for label in known if label not in names), None)
    more = next((label for label in names if label not in known), None)
    what = f"no column {missing!r}" if missing is not None else f"a column {more!r} besides"
    raise ValueError(f"{name} has {what}: its columns must be those of the training features, data.names, in order")


def _of_frame(name: str, frame: Any) -> Any:
    """The numbers of a data frame whose columns are of several types, booleans and nullable numbers among them."""
    kinds = [np.dtype(bool) if column.dtype.kind == "b" else column.dtype for column in map(_of_column, _each(frame))]
    wrong = next((label for label, kind in zip(frame.columns, kinds, strict=True) if kind.kind not in "biuf"), None)
    if wrong is not None:
        raise TypeError(
            f"{name} must hold numbers, and its column {wrong!r} does not; genfun.data.load(frame, one_hot=True) makes "
            "columns of 0 and 1 of text and categories, or leave it out"
        )
    return np.column_stack([_of_column(column).astype(np.result_type(*kinds, np.int8)) for column in _each(frame)])


def _each(frame: Any) -> list[Any]:
    """Columns of a frame of pandas or polars."""
    return [frame.iloc[:, i] for i in range(frame.shape[1])] if hasattr(frame, "iloc") else list(frame.iter_columns())


def _of_column(column: Any) -> Any:
    """A column as an array; nullable numbers become floats, with nan where there is none."""
    found = column.to_numpy()
    kind = getattr(column.dtype, "kind", "O")
    return column.to_numpy(dtype=np.float64, na_value=np.nan) if found.dtype == object and kind in "biuf" else found


def targets(name: str, value: Any, n: int) -> Any:
    """Targets as an unread (n, outputs) array-like; one-dimensional targets become a column."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be an array of numbers, got {value!r}")
    value = _check.plain(name, value)
    if hasattr(value, "to_numpy") and hasattr(value, "columns"):
        value = _of_frame(name, value)
    elif hasattr(value, "to_numpy") and len(value) == n:
        value = _of_column(value)
    if hasattr(value, "to_numpy") or not (hasattr(value, "shape") and hasattr(value, "__getitem__")):
        try:
            value = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must be an array of numbers, (n,) or (n, outputs): {error}") from error
    shape = tuple(value.shape)
    if len(shape) not in (1, 2) or 0 in shape[1:]:
        raise ValueError(f"{name} must have shape (n,) or (n, outputs), got {shape}")
    if shape[0] != n:
        raise ValueError(f"{name} has {shape[0]} samples but there are {n} rows; pass one target for each sample")
    _check_kind(name, value)
    return Column(value) if len(shape) == 1 else value


class Column:
    """One-dimensional targets as an unread (n, 1) array-like; HDF5 knows no `values[:, None]`."""

    def __init__(self, values: Any) -> None:
        self.values, self.shape = values, (int(values.shape[0]), 1)

    def __getitem__(self, rows: slice) -> Array:
        return np.asarray(self.values[rows])[:, None]


def _check_kind(name: str, array: Any) -> None:
    if getattr(getattr(array, "dtype", None), "kind", None) == "O":
        raise TypeError(f"{name} must hold real numbers, got dtype object; {_check.REMEDIES['O']}")
    _check.reals(name, array)


def block(name: str, source: Any, rows: slice, columns: slice = slice(None)) -> Float[Array, "rows columns"]:
    """One block as finite float64 of its own; the message of a bad value has its place in the whole array."""
    return np.array(view(name, source, rows, columns=columns))


def view(
    name: str, source: Any, rows: slice, checked: bool = True, columns: slice = slice(None)
) -> Float[Array, "rows columns"]:
    """One block as float64, to be read only: it may be the source's own memory; finite, where that is checked."""
    piece = source[rows, columns] if columns != slice(None) else source[rows]
    if hasattr(piece, "toarray"):
        piece = piece.toarray()
    result = np.asarray(_check.plain(name, piece))
    _check_kind(name, result)
    result = np.asarray(result, dtype=np.float64)
    if checked and not np.isfinite(result).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(result))[0])
        where = f"{(rows.start or 0) + i}, {(columns.start or 0) + j}"
        raise ValueError(f"{name}[{where}] is {float(result[i, j])!r}; remove or repair non-finite values")
    largest = max(float(result.max(initial=0.0)), -float(result.min(initial=0.0))) if checked else 0.0
    if largest > LARGEST:
        raise ValueError(
            f"{name} holds {largest:.3g}, beyond {LARGEST:.0e}, whose products doubles do not hold; divide it by "
            f"{2.0 ** np.round(np.log2(largest)):.3g}"
        )
    return result


def slices(length: int, width: int, least: int = 1) -> list[slice]:
    """Slices of a long axis whose blocks take about BLOCK_BYTES, and at least `least` rows."""
    step = max(least, BLOCK_BYTES // (8 * max(width, 1)), 1)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def reported(pieces: list[slice], progress: Progress | None, stage: str) -> Iterator[slice]:
    """The slices, with the progress told after each one."""
    for piece in pieces:
        yield piece
        if progress is not None:
            progress(piece.stop / pieces[-1].stop, stage)


def rounding(source: Any) -> float:
    """Relative rounding of the stored numbers: eps of their float type, 0 for integers (exact)."""
    dtype = getattr(source, "dtype", None)
    name = str(dtype).removeprefix("torch.")
    try:
        kind = np.dtype(name)
    except TypeError:
        return float(np.finfo(np.float64).eps)
    return float(np.finfo(kind).eps) if kind.kind == "f" else 0.0
