"""From the columns of a table to features and targets: what is a number, a class, missing, or left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import few
from genfun._typing import Array, Float
from genfun.data.unready import check_ready, dated, many, no_category, numeric

SHOWN = 4
MOST_CLASSES = 100


@dataclass(frozen=True)
class Choices:
    """How a table is read; see `genfun.data.load`."""

    target: Any = None
    drop: Any = ()
    standardize: bool = False
    intercept: bool = False
    one_hot: bool = False
    drop_missing: bool = False
    classes: bool = False

    @property
    def of_columns(self) -> list[str]:
        """Those given that only a table with columns has."""
        return [
            name
            for name in ("target", "drop", "one_hot", "drop_missing")
            if getattr(self, name) not in (None, (), False)
        ]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Features and targets of a table.

    Parameters
    ----------
    features : array or sparse matrix, shape (n, d)
    targets : array, shape (n, outputs)
        As given, perhaps of shape (n,), where `plain`.
    names : list
        Of the features.
    amounts : array of bool, shape (d,)
        Features that are amounts; the others are 0 or 1 for a category.
    target : str
        What the targets are called.
    notes : list of str
        What was done.
    levels : dict
        The values of each column that was made one of 0 and 1 for each value, and those of the target if it is a class.
    columns : tuple of (list, list)
        Of the table: features, and the target.
    plain : bool
        Whether it is taken as it is, without hints.
    """

    features: Any
    targets: Any
    names: list[Any]
    amounts: Any
    target: str
    notes: list[str] = field(default_factory=list)
    levels: dict[Any, list[Any]] = field(default_factory=dict)
    columns: tuple[list[Any], list[Any]] = ([], [])
    plain: bool = False


def numbers(where: str, frame: Any, choices: Choices, like: Numbers | None = None) -> Numbers:
    """The features and targets that the columns of a frame make.

    Parameters
    ----------
    where : str
        Goes before messages.
    frame : pandas.DataFrame
        With `.attrs["first"]`, from `genfun.data.frames`.
    choices : Choices
    like : Numbers or None
        The training rows, where this frame holds rows that are held out: these have the columns of those, and the same
        values of categories. A category that training never saw is a row of zeros; such a class is refused.
    """
    if frame.shape[1] < 2:
        raise ValueError(f"{where} has one column; it needs at least one feature and the target")
    if frame.shape[0] == 0:
        raise ValueError(f"{where} has no rows of numbers")
    names, chosen = _columns(where, frame, choices) if like is None else like.columns
    lacking = [name for name in (*names, *chosen) if name not in frame.columns]
    if lacking:
        raise ValueError(
            f"{where} lacks the column {lacking[0]!r}, which the training rows have; held-out rows need it"
        )
    notes = ["numbers have decimal commas: 1,5 was read as 1.5"] if frame.attrs.get("comma") else []
    levels: dict[Any, list[Any]] = {}
    frame = frame[[*names, *chosen]]
    if like is None:
        check_ready(where, frame, names, chosen, choices)
    frame = _present(where, frame, choices.drop_missing, notes)
    columns: list[Any] = []
    of: list[Any] = []
    amounts: list[bool] = []
    for name in names:
        column = frame[name]
        known = None if like is None else like.levels.get(name)
        if numeric(column) and known is None:
            columns.append(_values(where, frame, name))
            of.append(name)
            amounts.append(True)
            continue
        if not choices.one_hot or (like is not None and known is None):
            raise ValueError(_about_text(where, frame, name) + _text_too(frame, names, name))
        made, levels[name] = _indicators(where, column, known)
        values = levels[name]
        columns += list(made)
        of += [f"{name}={value}" for value in values]
        amounts += [False] * len(values)
    if choices.classes:
        known = None if like is None else like.levels[chosen[0]]
        targets, levels[chosen[0]] = _classes(where, frame, chosen, known)
        notes.append(_told_classes(chosen[0], levels[chosen[0]]))
    else:
        for name in chosen:
            if not numeric(frame[name]):
                raise ValueError(_about_text(where, frame, name, target=True))
        targets = np.column_stack([_values(where, frame, name) for name in chosen])
    label = ", ".join(map(str, chosen))
    if choices.target is None:
        notes.append(f"the last column, {chosen[0]!r}, is the target; target= chooses another")
    return Numbers(np.column_stack(columns), targets, of, np.array(amounts), label, notes, levels, (names, chosen))


def _columns(where: str, frame: Any, choices: Choices) -> tuple[list[Any], list[Any]]:
    """Names of the features and of the target."""
    chosen = [list(frame.columns)[-1]] if choices.target is None else [
        _find(where, "target", name, frame) for name in _listed(choices.target, frame)
    ]  # fmt: skip
    chosen = list(dict.fromkeys(chosen))  # one that is given twice is one
    left_out = [_find(where, "drop", name, frame) for name in _listed(choices.drop, frame)]
    clash = [name for name in left_out if name in chosen]
    if clash:
        raise ValueError(f"drop has {clash[0]!r}, which is the target; choose the target by target=")
    names = [name for name in frame.columns if name not in (*chosen, *left_out)]
    if not names:
        raise ValueError(f"drop leaves no feature of {where}; keep one")
    return names, chosen


def one_hot(labels: Any, known: list[Any] | None = None) -> tuple[Float[Array, "n classes"], list[Any]]:
    """A column of 0 and 1 for each class, and the classes in order.

    Parameters
    ----------
    labels : array, shape (n,)
    known : list or None
        The classes, where other rows have given them.

    Examples
    --------
    >>> one_hot(["b", "a", "b"])
    (array([[0., 1.],
           [1., 0.],
           [0., 1.]]), ['a', 'b'])
    """
    given = np.asarray(labels)
    if given.dtype.kind == "f" and not (given == np.round(given)).all():
        raise ValueError("classes needs labels, and the target has fractions; if it is an amount, leave classes out")
    values, places = np.unique(given, return_inverse=True)
    if known is not None:
        new = [value for value in values.tolist() if value not in known]
        if new:
            raise ValueError(f"{new[0]!r} is no class of the training rows, {known[:SHOWN]}; leave such rows out")
        return (given[:, None] == np.array(known)).astype(np.float64), known
    if not 2 <= values.size <= MOST_CLASSES:
        raise ValueError(
            f"classes needs 2 to {MOST_CLASSES} different labels, got {values.size}; if the target is an amount, "
            "leave classes out"
        )
    return np.eye(values.size)[places.ravel()], values.tolist()


def _listed(given: Any, frame: Any) -> list[Any]:
    """Columns given as one or several; a text with commas that is no name itself is several."""
    if isinstance(given, str):
        return [given] if given in frame.columns or "," not in given else [part.strip() for part in given.split(",")]
    if isinstance(given, Sequence):
        return [name for part in given for name in (_listed(part, frame) if isinstance(part, str) else [part])]
    return [given]


def _find(where: str, what: str, given: Any, frame: Any) -> Any:
    """The name of a column that is given by name or number."""
    names = list(frame.columns)
    if isinstance(given, str):
        if given in names:
            return given
        if not given.lstrip("-").isdecimal():
            if all(isinstance(name, int) for name in names):
                raise ValueError(f"{what}={given!r} names a column but {where} has no header; pass its number")
            near = get_close_matches(given, [str(name) for name in names], 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{what}={given!r} is not one of the columns of {where}: {few(names)}{hint}")
        given = int(given)
    number = _check.integer(what, given, -len(names), "a column is given by its name or its number")
    if number >= len(names):
        raise ValueError(f"{what}={given} is beyond the {len(names)} columns of {where}")
    return names[number]


def _line(frame: Any, position: int) -> str:
    """Where a row stands: the line of a file, or the row of a frame."""
    first = frame.attrs.get("first", 0)
    return f"{'line' if first else 'row'} {frame.index[position] + first}"


def _present(where: str, frame: Any, drop_missing: bool, notes: list[str]) -> Any:
    missing = frame.isna()
    rows = missing.any(axis=1).to_numpy()
    count = int(rows.sum())
    if not count:
        return frame
    if drop_missing:
        if count == len(frame):
            raise ValueError(f"{where} has a missing value in every row; drop the columns that are mostly empty")
        notes.append(f"{count} of {len(frame)} rows have missing values and were left out")
        return frame[~rows]
    name = next(name for name in frame.columns if missing[name].any())
    told = [f"{name!r} ({missing[name].sum()})" for name in frame.columns if missing[name].any()]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    raise ValueError(
        f"{where}, {_line(frame, int(np.flatnonzero(missing[name])[0]))}, column {name!r} is missing; of {len(frame)} "
        f"rows {count} lack something: {', '.join(told[:SHOWN])}{more}. Leave such rows out by drop_missing=True "
        "(--drop-missing), a column by drop= (--drop), or fill them"
    )


def _values(where: str, frame: Any, name: Any) -> Float[Array, " n"]:
    values = frame[name].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        position = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"{where}, {_line(frame, position)}, column {name!r} is {values[position]}; fill or drop that row"
        )
    return values


def _about_text(where: str, frame: Any, name: Any, target: bool = False) -> str:
    """Why a column is no number, and what can be done."""
    from genfun.data.frames import pandas

    column = frame[name]
    if dated(column):
        remedy = "make numbers of them, such as days since the first; or leave it out by drop= (--drop)"
        return f"{where}: column {name!r} holds dates or times; {remedy}"
    as_numbers = pandas().to_numeric(column.astype(str), errors="coerce").isna().to_numpy()
    if as_numbers.mean() <= 0.5:
        position = int(np.flatnonzero(as_numbers)[0])
        what = f"{column.iloc[position]!r} is no number; fill or drop it"
        return f"{where}, {_line(frame, position)}, column {name!r}: {what}"
    values = list(dict.fromkeys(map(str, column)))
    shown = ", ".join(map(repr, values[:SHOWN])) + (", ..." if len(values) > SHOWN else "")
    if target and _amounts(values):
        remedy = "write amounts as plain numbers, 1234.5, without signs or separators"
    elif target:
        remedy = "classes=True (--classes) makes a target of each class; or choose another by target= (--target)"
    elif _amounts(values):
        remedy = (
            "write amounts as plain numbers, 1234.5, without signs or separators; or leave it out by drop= (--drop)"
        )
    elif many(column):
        remedy = f"it has {len(values)} different ones in {len(frame)} rows; leave it out by drop= (--drop)"
    else:
        remedy = "one_hot=True (--one-hot) makes a column of 0 and 1 for each; or leave it out by drop= (--drop)"
    return f"{where}, {_line(frame, 0)}: column {name!r} holds text, {shown}; {remedy}"


def _amounts(values: list[str]) -> bool:
    """Whether all texts are amounts, such as $1,000 or 7 %, once signs and separators are taken off."""
    plain = [re.sub(r"[\s,'_%$€£]", "", value) for value in values]
    return all(re.fullmatch(r"[-+]?\d+(\.\d+)?", value) for value in plain)


def _text_too(frame: Any, names: list[Any], but: Any) -> str:
    """What else is text, so that one message tells all that is to be done."""
    others = [repr(name) for name in names if name != but and not numeric(frame[name])]
    return f"; text too: {', '.join(others)}" if others else ""


def _indicators(where: str, column: Any, known: list[str] | None = None) -> tuple[Any, list[str]]:
    if known is None and no_category(column):
        raise ValueError(_about_text(where, column.to_frame(), column.name))
    given = column.astype(str).to_numpy(dtype=object).astype(str)
    values = np.unique(given) if known is None else np.array(known)
    return (given == values[:, None]).astype(np.float64), values.tolist()


def _classes(where: str, frame: Any, chosen: list[Any], known: list[Any] | None) -> tuple[Any, list[Any]]:
    if len(chosen) > 1:
        raise ValueError(f"classes needs one target, got {chosen}; choose one by target=")
    column = frame[chosen[0]]
    labels = column.to_numpy() if numeric(column) else column.astype(str).to_numpy(dtype=object).astype(str)
    try:
        return one_hot(labels, known)
    except ValueError as error:
        raise ValueError(f"{where}, column {chosen[0]!r}: {error}") from None


def _told_classes(name: Any, values: list[Any]) -> str:
    shown = ", ".join(map(str, values[:SHOWN])) + (", ..." if len(values) > SHOWN else "")
    return f"{name!r} is a class: a target of 0 and 1 for each of {len(values)} ({shown})"
