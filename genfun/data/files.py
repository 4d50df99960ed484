"""A user's own data: tables, arrays and spectra. Pickles are refused, because reading one can run any code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genfun import _check
from genfun._typing import Array
from genfun.data._npz import opened
from genfun.data.frames import PARQUET, TEXT, frame_of, is_frame, kind_of, read_frame
from genfun.data.linear import LinearData
from genfun.data.prepared import linear_data, of_arrays
from genfun.data.tables import Choices, Numbers, numbers
from genfun.problems.problem import LinearProblem

PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth"}
CONTENTS = "X, y (features), K, y (kernel), or eigenvalues, signal[, 'n_samples', 'noise_variance'] (spectrum)"
TABLES = {*TEXT, *PARQUET, ".npy"}
FILES = ".npz, .csv, .tsv (these two also .gz), .parquet or .npy"


def load(
    source: Any,
    target: str | int | Sequence[str | int] | None = None,
    memory_limit: int | None = None,
    *,
    drop: str | int | Sequence[str | int] = (),
    standardize: bool = False,
    intercept: bool = False,
    one_hot: bool = False,
    drop_missing: bool = False,
    classes: bool = False,
) -> LinearData | LinearProblem:
    r"""Data from a table, or data or a spectrum from an archive; what was done, and hints, are in `.notes`.

    **Assumptions.** The numbers are taken as they are unless asked otherwise: features are neither centred nor scaled,
    nor is an intercept added, whole numbers in the target are amounts, booleans are 0 and 1, and text or a missing
    value is refused with the option that helps. Where columns differ in size, an intercept would help, or the target
    looks like labels, the notes say so.

    Parameters
    ----------
    source : path or DataFrame
        A table, one row a sample: .csv (comma, semicolon or tab; header optional), .tsv, either also as .gz, .parquet,
        .npy, or a frame of pandas or polars. Or .npz with X, y (features), K, y (kernel), eigenvalues, signal[,
        n_samples, noise_variance] (spectrum), or what scipy.sparse.save_npz writes, which is a table too. Tables need
        pandas, the extra `tables`; Parquet also pyarrow, the extra `parquet`.
    target : str, int, sequence of them, or None
        Column that holds y: its name in the header or its number, negative from the end; several are several outputs.
        None means the last.
    memory_limit : int or None
        Bytes that the numbers in the file may take. None allows 4 GiB, and no archive of more than 64 MiB that is
        more than 200 times larger than the file: such are made to fill memories.
    drop : str, int or sequence of them
        Columns to leave out.
    standardize : bool
        Whether each column of numbers is centred and divided by its standard deviation (columns that one_hot makes are
        not; constant ones are left out).
    intercept : bool
        Whether a column of ones is added, after standardizing.
    one_hot : bool
        Whether each column of text or categories becomes a column of 0 and 1 for each value.
    drop_missing : bool
        Whether rows with a missing value are left out.
    classes : bool
        Whether the target holds labels, also where they are numbers: each class then has an output of 0 and 1. For
        cross-entropy instead of squared loss there is `genfun.SoftmaxData`.

    Returns
    -------
    LinearData or LinearProblem
        LinearData from samples, LinearProblem from a spectrum.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the file is a table and pandas (or pyarrow) is not installed.
    ValueError
        On an unknown extension, a missing key, a pickle, text where a number should be, missing or non-finite values,
        or an option that the file has no use for; if the file is damaged, or holds more than memory_limit.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "data.csv"
    >>> _ = file.write_text("height,weight\n1.0,2.0\n2.0,4.5\n")
    >>> load(file, target="weight").n_samples
    2
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [1.0, 2.0, None, 4.0], "kind": ["a", "b", "a", "a"], "price": [3, 5, 4, 9]})
    >>> load(frame, drop_missing=True, one_hot=True, standardize=True).notes[0]
    '1 of 4 rows have missing values and were left out'
    """
    asked = Choices(target, drop, standardize, intercept, one_hot, drop_missing, classes)
    found = read(source, memory_limit, asked)
    try:
        return _data_of(found, asked)
    except ValueError as error:
        raise _placed(source, error) from error


class Table(NamedTuple):
    """A frame, and how messages call it.

    Attributes
    ----------
    where : str
    frame : pandas.DataFrame
    """

    where: str
    frame: Any


class Kernel(NamedTuple):
    """A kernel matrix and targets.

    Attributes
    ----------
    values : array, shape (N, N)
    targets : array, shape (N,) or (N, outputs)
    """

    values: Any
    targets: Any


def _data_of(found: Table | Numbers | Kernel | LinearProblem, asked: Choices) -> LinearData | LinearProblem:
    if isinstance(found, Table):
        return linear_data(numbers(found.where, found.frame, asked), asked)
    if isinstance(found, Numbers):
        return linear_data(found, asked)
    return LinearData.from_kernel(*found) if isinstance(found, Kernel) else found


def _placed(source: Any, error: ValueError) -> ValueError:
    """The same message, which names the file."""
    named = is_frame(source) or str(source) in str(error)
    return error if named else ValueError(f"{source}: {error}")


def read(source: Any, memory_limit: int | None, asked: Choices) -> Table | Numbers | Kernel | LinearProblem:
    """What a file or a frame holds, before anything is made of it; see `load`.

    Parameters
    ----------
    source : path or DataFrame
    memory_limit : int or None
    asked : Choices
    """
    if is_frame(source):
        return Table("the table", frame_of(source))
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"source must be a path or a DataFrame, got {type(source).__name__}; of arrays, LinearData.from_features"
        )
    place = Path(source)
    kind = kind_of(place)
    if kind in PICKLES:
        raise ValueError(
            f"{place} is a pickle, and reading one can run any code; save it with numpy.savez(path, X=X, y=y)"
        )
    packed = place.suffix.lower() == ".gz"
    if (kind not in TABLES and kind != ".npz") or (packed and kind not in TEXT):
        raise ValueError(f"{place} has extension {place.suffix!r}; files are .npz with {CONTENTS}, or a table: {FILES}")
    if not place.is_file():
        raise FileNotFoundError(f"{place} does not exist or is no file")
    if kind == ".npz":
        return _from_npz(place, memory_limit, asked)
    return Table(str(place), read_frame(place, memory_limit))


def _from_npz(path: Path, memory_limit: int | None, asked: Choices) -> Numbers | Kernel | LinearProblem:
    with opened(path, memory_limit, "numpy.savez(path, X=X, y=y)") as archive:
        keys, values = archive.keys, archive.read
        try:
            if {"format", "shape", "data"} <= keys:
                return _from_sparse(path, asked)
            if asked.of_columns:
                raise ValueError(f"{asked.of_columns[0]} is about the columns of a table; the targets of an NPZ are y")
            if {"X", "y"} <= keys:
                return of_arrays(values("X"), values("y"), asked)
            if {"K", "eigenvalues"} & keys and (asked.standardize or asked.intercept or asked.classes):
                raise ValueError(
                    "standardize, intercept and classes are about features X, and it has none; leave them out"
                )
            if {"K", "y"} <= keys:
                return Kernel(values("K"), values("y"))
            if {"eigenvalues", "signal"} <= keys:
                n = _scalar("n_samples", values("n_samples")) if "n_samples" in keys else None
                variance = _scalar("noise_variance", values("noise_variance")) if "noise_variance" in keys else 0.0
                return LinearProblem(values("eigenvalues"), values("signal"), _whole(n), variance)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
    raise ValueError(f"{path} has keys {sorted(keys)}; it needs {CONTENTS}: numpy.savez(path, X=..., y=...)")


def _from_sparse(path: Path, asked: Choices) -> Numbers:
    """A sparse table: the target is a column of it, and the other ones stay sparse unless they are centred."""
    from scipy.sparse import csc_array, hstack, load_npz

    try:
        whole = csc_array(load_npz(path))
    except Exception as error:  # a damaged file may do anything to its readers
        raise ValueError(f"it is no sparse matrix ({str(error)[:200]}); write it with scipy.sparse.save_npz") from error
    refused = [name for name in asked.of_columns if name != "target"]
    if refused:
        raise ValueError(
            f"{refused[0]} is about columns of text or with gaps, and a sparse matrix has none; leave it out"
        )
    shape: Any = whole.shape
    n_columns = int(shape[1])
    last = n_columns - 1 if asked.target is None else asked.target
    last = int(last) if isinstance(last, str) and last.lstrip("-").isdecimal() else last
    column = _check.integer("target", last, -n_columns, "the columns of a sparse matrix have numbers only")
    if column >= n_columns or n_columns < 2:
        raise ValueError(f"target={asked.target} is beyond the {n_columns} columns")
    column %= n_columns
    y = whole[:, [column]].toarray()[:, 0]
    features = hstack([whole[:, :column], whole[:, column + 1 :]], format="csr")
    return of_arrays(features, y, asked)


def _scalar(name: str, value: Array) -> float:
    if value.size != 1:
        raise ValueError(f"{name} must be one number, got shape {value.shape}")
    return _check.number(name, value.reshape(()).item())


def _whole(value: float | None) -> int | None:
    if value is not None and value != round(value):
        raise ValueError(f"n_samples must be a whole number, got {value!r}")
    return None if value is None else round(value)
