"""A user's own data: NPZ and CSV files. Pickles are refused, because reading one can run any code."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from genfun import _check
from genfun._typing import Array
from genfun.data._npz import check_size, opened
from genfun.data.linear import LinearData
from genfun.problems.problem import LinearProblem

PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth"}
CSV_COST = 4
"""Bytes of memory for one of text, at least."""
CONTENTS = "X, y (features), K, y (kernel), or eigenvalues, signal[, n_samples, noise_variance] (spectrum)"


def load(
    path: str | os.PathLike[str], target: str | int | None = None, memory_limit: int | None = None
) -> LinearData | LinearProblem:
    r"""Data or a spectrum from a file.

    **Assumptions.** The numbers are taken as they are: centre and scale them first if you mean to.

    Parameters
    ----------
    path : path
        .npz with X, y (features), K, y (kernel), or eigenvalues, signal[, n_samples, noise_variance] (spectrum); or
        .csv (comma, semicolon or tab; header optional) with one row a sample.
    target : str, int or None
        Column of a CSV file that holds y: its name in the header or its number, negative from the end. None means
        the last.
    memory_limit : int or None
        Bytes that the numbers in the file may take. None allows 4 GiB, and no archive of more than 64 MiB that is
        more than 200 times larger than the file: such are made to fill memories.

    Returns
    -------
    LinearData or LinearProblem
        LinearData from samples, LinearProblem from a spectrum.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        On an unknown extension, a missing key, a pickle, text where a number should be, or non-finite values; if the
        file is damaged, or holds more than memory_limit.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "data.csv"
    >>> _ = file.write_text("height,weight\n1.0,2.0\n2.0,4.5\n")
    >>> load(file, target="weight").n_samples
    2
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix in PICKLES:
        raise ValueError(
            f"{place} is a pickle, and reading one can run any code; save it with numpy.savez(path, X=X, y=y)"
        )
    if suffix not in (".npz", ".csv"):
        raise ValueError(f"{place} has extension {suffix!r}; files are .npz with {CONTENTS}, or .csv")
    if not place.is_file():
        raise FileNotFoundError(f"{place} does not exist or is no file")
    if suffix == ".csv":
        check_size(place, CSV_COST * place.stat().st_size, CSV_COST * place.stat().st_size, memory_limit)
        return _from_csv(place, target)
    if target is not None:
        raise ValueError(f"target={target!r} chooses a column of a CSV file; {place.name} is NPZ, whose targets are y")
    return _from_npz(place, memory_limit)


def _from_npz(path: Path, memory_limit: int | None) -> LinearData | LinearProblem:
    with opened(path, memory_limit, "numpy.savez(path, X=X, y=y)") as archive:
        keys, read = archive.keys, archive.read
        try:
            if {"X", "y"} <= keys:
                return LinearData.from_features(read("X"), read("y"))
            if {"K", "y"} <= keys:
                return LinearData.from_kernel(read("K"), read("y"))
            if {"eigenvalues", "signal"} <= keys:
                n = _scalar("n_samples", read("n_samples")) if "n_samples" in keys else None
                variance = _scalar("noise_variance", read("noise_variance")) if "noise_variance" in keys else 0.0
                return LinearProblem(read("eigenvalues"), read("signal"), _whole(n), variance)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
    raise ValueError(f"{path} has keys {sorted(keys)}; it needs {CONTENTS}")


def _scalar(name: str, value: Array) -> float:
    if value.size != 1:
        raise ValueError(f"{name} must be one number, got shape {value.shape}")
    return _check.number(name, value.reshape(()).item())


def _whole(value: float | None) -> int | None:
    if value is not None and value != round(value):
        raise ValueError(f"n_samples must be a whole number, got {value!r}")
    return None if value is None else round(value)


def _from_csv(path: Path, target: str | int | None) -> LinearData:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            file.seek(0)
            rows = [(line, row) for line, row in enumerate(csv.reader(file, delimiter=delimiter), start=1) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no text table ({error}); save it as UTF-8 CSV") from error
    header = [name.strip() for name in rows[0][1]] if rows and not _is_numeric(rows[0][1]) else None
    rows = rows[1:] if header is not None else rows
    if not rows:
        raise ValueError(f"{path} has no rows of numbers")
    width = len(header if header is not None else rows[0][1])
    if width < 2:
        raise ValueError(f"{path} has one column; it needs at least one feature and the target")
    table = np.empty((len(rows), width))
    for i, (line, row) in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"{path}, line {line}: {len(row)} fields where {width} are expected")
        try:
            table[i] = row
        except ValueError:
            column, field = next((j, field) for j, field in enumerate(row) if not _is_numeric([field]))
            name = header[column] if header is not None else column
            raise ValueError(f"{path}, line {line}, column {name!r}: {field!r} is no number; fill or drop it") from None
        if not np.isfinite(table[i]).all():
            column = int(np.flatnonzero(~np.isfinite(table[i]))[0])
            name = header[column] if header is not None else column
            raise ValueError(f"{path}, line {line}, column {name!r} is {row[column]}; fill or drop that row")
    column = _column(path, target, header, width)
    try:
        return LinearData.from_features(np.delete(table, column, axis=1), table[:, column])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _is_numeric(fields: list[str]) -> bool:
    try:
        [float(field) for field in fields]
    except ValueError:
        return False
    return True


def _column(path: Path, target: str | int | None, header: list[str] | None, width: int) -> int:
    if target is None:
        return width - 1
    if isinstance(target, str):
        if header is None:
            raise ValueError(f"target={target!r} names a column but {path} has no header; pass its number")
        if header.count(target) != 1:
            raise ValueError(f"target={target!r} is not one of the columns {header} of {path} (or not unique)")
        return header.index(target)
    number = _check.integer("target", target, -width)
    if number >= width:
        raise ValueError(f"target={target} is beyond the {width} columns of {path}")
    return number % width
