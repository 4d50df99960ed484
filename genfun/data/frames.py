"""Tables of any make as one pandas frame: CSV, TSV, Parquet and NPY files, and frames of pandas and polars."""

from __future__ import annotations

import gzip
import io
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from genfun.data._npz import check_size

TEXT = {".csv": ",;\t", ".tsv": "\t"}
"""Endings of text tables, and what may stand between their fields; each may be followed by .gz."""
PARQUET = {".parquet", ".pq"}
TEXT_COST = 4
"""Bytes of memory for one of text, at least."""
PIECE = 1 << 20
SEEN = 50
"""Lines in which decimal commas are looked for."""
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+")


def kind_of(path: Path) -> str:
    """The ending that says what a file holds, without the .gz of packed text.

    Parameters
    ----------
    path : Path

    Examples
    --------
    >>> kind_of(Path("points.CSV.gz")), kind_of(Path("x.npz"))
    ('.csv', '.npz')
    """
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def pandas() -> Any:
    """The module pandas, which is an extra."""
    try:
        import pandas as module
    except ImportError as error:
        raise ImportError(
            "tables are read by pandas, which is not installed; pip install 'genfun[tables]' brings it"
        ) from error
    return module


def read_frame(path: str | os.PathLike[str], memory_limit: int | None = None) -> Any:
    """A file as a frame, whose index counts lines after the header (rows for Parquet and NPY).

    **Assumptions.** Text is UTF-8. The first line is a header unless all of it is numbers; columns without names have
    their numbers. Empty fields, NA, nan, null and None are missing values; lines without any value are left out.

    Parameters
    ----------
    path : path
        .csv (comma, semicolon or tab), .tsv, either also as .gz; .parquet; or .npy with a two-dimensional array.
    memory_limit : int or None
        As for `genfun.data.load`.

    Returns
    -------
    pandas.DataFrame
        With `.attrs["first"]`, the line of the first row.

    Raises
    ------
    ImportError
        Without pandas, or without pyarrow for Parquet.
    ValueError
        If it is no such table, or too large.
    """
    place = Path(path)
    kind = kind_of(place)
    if kind in PARQUET:
        return _parquet(place, memory_limit)
    if kind == ".npy":
        return _npy(place, memory_limit)
    return _text(place, TEXT[kind], memory_limit)


def is_frame(value: Any) -> bool:
    """Whether it is a table of pandas or polars.

    Parameters
    ----------
    value : any
    """
    return type(value).__module__.split(".")[0] in ("pandas", "polars") and hasattr(value, "columns")


def frame_of(source: Any) -> Any:
    """A pandas frame of a table of pandas or polars; rows are counted from 0.

    Parameters
    ----------
    source : DataFrame or LazyFrame
        Of pandas or polars.
    """
    pd = pandas()
    if not isinstance(source, pd.DataFrame):
        source = source.collect() if hasattr(source, "collect") else source
        plain = {
            name: source[name].to_numpy() if source[name].dtype.is_numeric() and not source[name].null_count()
            else source[name].to_list()
            for name in source.columns
        }  # fmt: skip
        source = pd.DataFrame(plain)
    found = source.reset_index(drop=True)
    if not found.columns.is_unique:
        raise ValueError(f"the columns {list(found.columns)} have the same names; rename them")
    found.attrs = {"first": 0}
    return found


def _text(path: Path, delimiters: str, memory_limit: int | None) -> Any:
    pd = pandas()
    raw = _unpacked(path, memory_limit)
    try:
        lines = raw.decode("utf-8-sig").lstrip("\r\n")
        blank = raw.decode("utf-8-sig").count("\n") - lines.count("\n")
        first = lines.split("\n", 1)[0]
        delimiter = max(delimiters, key=lambda mark: (_parts_decimal_commas(first, mark), first.count(mark)))
        comma = _decimal_commas(lines, delimiter)
        named = not all(_is_number(field.replace(",", ".") if comma else field) for field in first.split(delimiter))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            found = pd.read_csv(
                io.StringIO(lines),
                sep=delimiter,
                header=0 if named else None,
                index_col=False,
                skipinitialspace=True,
                skip_blank_lines=False,
                low_memory=False,
                decimal="," if comma else ".",
            )
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} has no rows of numbers") from None
    except UnicodeDecodeError as error:
        line = 1 + raw[: error.start].count(b"\n")
        raise ValueError(f"{path} is no text table in UTF-8 (line {line}); save it as UTF-8 CSV") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        told = str(error).strip().replace("Error tokenizing data. C error: ", "")
        raise ValueError(
            f"{path} is no text table ({told}); save it as UTF-8 CSV, as many fields in each line"
        ) from error
    found.columns = [name.strip() if isinstance(name, str) else name for name in found.columns]
    found = found.dropna(how="all")
    found.attrs = {"first": 1 + named + blank, "comma": comma}
    return found


def _unpacked(path: Path, memory_limit: int | None) -> bytes:
    """The text, refused before more is unpacked than may be."""
    packed = path.stat().st_size
    if path.suffix.lower() != ".gz":
        check_size(path, TEXT_COST * packed, TEXT_COST * packed, memory_limit)
        return path.read_bytes()
    page = io.BytesIO()
    try:
        with gzip.open(path) as stream:
            while piece := stream.read(PIECE):
                page.write(piece)
                check_size(path, TEXT_COST * page.tell(), packed, memory_limit)
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is a broken archive ({error}); write it again") from error
    return page.getvalue()


def _parquet(path: Path, memory_limit: int | None) -> Any:
    pd = pandas()
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError(
            f"{path} is Parquet, which is read by pyarrow; pip install 'genfun[parquet]' brings it, "
            "or save the table as CSV"
        ) from error
    try:
        held = ParquetFile(path).metadata
        check_size(path, 8 * held.num_rows * held.num_columns, path.stat().st_size, memory_limit)
        return frame_of(pd.read_parquet(path))
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet file ({str(error)[:200]}); write it again") from error


def _npy(path: Path, memory_limit: int | None) -> Any:
    check_size(path, path.stat().st_size, path.stat().st_size, memory_limit)
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no array of numbers ({str(error)[:200]}); write it with numpy.save") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "biuf":
        raise ValueError(f"{path} must hold a two-dimensional array of numbers, one column of which is the target")
    return frame_of(pandas().DataFrame(values))


def _parts_decimal_commas(line: str, mark: str) -> bool:
    """Whether a line without names is numbers with decimal commas, parted by that mark."""
    return mark != "," and mark in line and all(_is_number(field.replace(",", ".", 1)) for field in line.split(mark))


def _decimal_commas(lines: str, delimiter: str) -> bool:
    """Whether numbers are written 1,5, as spreadsheets do where fields are parted by semicolons or tabs."""
    if delimiter == ",":
        return False
    fields = [field.strip().strip('"') for line in lines.split("\n", SEEN)[:SEEN] for field in line.split(delimiter)]
    commas = [field for field in fields if "," in field and _is_number(field.replace(",", ".", 1))]
    # Of 1,234 nobody can tell whether it is a thousand: where all are so, the column stays text, which is refused.
    told = any(not THOUSANDS.fullmatch(field) for field in commas)
    return told and not any("." in field and _is_number(field) for field in fields)


def _is_number(field: str) -> bool:
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True
