"""Columns of a user's measured runs, found by the names that people and their trackers give them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genfun._display import few

ALIASES = {
    "batch_size": ("batchsize", "bs", "batch", "b", "minibatch", "minibatchsize", "trainbatchsize", "globalbatchsize"),
    "steps": (
        *("stepstotarget", "steps", "k", "iterations", "iters", "iteration", "updates", "nsteps", "step"),
        *("globalstep", "trainerglobalstep"),
    ),
    "loss": ("loss", "trainloss", "trainingloss", "trainlossepoch", "trainlossstep", "finalloss", "value", "objective"),
    "learning_rate": ("learningrate", "lr", "alpha", "eta", "initlr", "baselr", "maxlr", "stepsize"),
    "momentum": ("momentum", "beta", "mom", "mu"),
    "state": ("state", "status"),
    "optimizer": ("optimizer", "optim", "opt", "optimizername"),
    "squared_norm": (
        "squarednorm",
        "gradsquarednorm",
        "squaredgradnorm",
        "gradnormsquared",
        "gradnorm2",
        "normsquared",
    ),
    "norm": ("gradnorm", "gradientnorm", "norm", "traingradnorm", "globalgradnorm"),
}
"""Names without capitals, spaces and signs, the likeliest first. What Optuna puts before a parameter is dropped."""
SERIES = ("workload", "series", "model", "dataset")
RUN = ("run", "runid", "seed", "replica", "trial")
CENSORED = {"notreached", "never", "failed", "diverged", "none", "nan", "na", "inf", "infinity", "dnf", ""}
DONE = {"finished", "complete", "completed", "done", "success"}


def read(path: Path) -> Any:
    """The table in a file.

    Parameters
    ----------
    path : Path
        .csv, .tsv, either also as .gz, or .parquet.
    """
    from genfun.data.frames import PARQUET, TEXT, kind_of, read_frame

    if kind_of(path) not in (*TEXT, *PARQUET):
        raise ValueError(f"{path} must be a table: .csv, .tsv, either also as .gz, or .parquet")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist or is no file; check the path")
    return read_frame(path)


def plain(name: Any) -> str:
    """A column's name as `ALIASES` have it.

    Parameters
    ----------
    name : str or int

    Examples
    --------
    >>> plain("Batch Size"), plain("params_lr"), plain("train/loss")
    ('batchsize', 'lr', 'trainloss')
    """
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(params|param|config|user_attrs|summary)[_./]", "", str(name).lower()))


def find(path: Path, frame: Any, what: str, given: str | None = None, flag: str = "") -> Any:
    """The column that holds something; ValueError with the columns found where there is none.

    Parameters
    ----------
    path : Path
    frame : DataFrame
    what : str
        A key of `ALIASES`.
    given : str or None
        Its name as the user says.
    flag : str
        The option that says so; empty where the column may be missing, and None is the answer.
    """
    if given is not None:
        if given not in frame.columns:
            raise ValueError(f"{flag} {given!r} is not one of the columns of {path}: {few(frame.columns)}")
        return given
    by_name = {plain(name): name for name in reversed(list(frame.columns))}
    found = next((by_name[alias] for alias in ALIASES[what] if alias in by_name), None)
    if found is None and flag:
        raise ValueError(
            f"{path} has no column that looks like {what}; it has {few(frame.columns)}: choose one by {flag}"
        )
    return found


def named(frame: Any, names: Sequence[str]) -> list[Any]:
    """Columns with one of these plain names, in the order of the names.

    Parameters
    ----------
    frame : DataFrame
    names : sequence of str
    """
    return [column for name in names for column in frame.columns if plain(column) == name]


def measured(path: Path, frame: Any, column: Any, censored: bool = False) -> list[float]:
    """The numbers of a column; nan where nothing was reached, if that may be.

    Parameters
    ----------
    path : Path
    frame : DataFrame
    column : str
    censored : bool
        Whether a value may be missing, inf, or say "not reached", "never", "diverged" or "> 1000".
    """
    values = []
    for label, entry in frame[column].items():
        text = str(entry).strip().replace(",", "") if isinstance(entry, str) else entry
        try:
            number = float(text)
        except (TypeError, ValueError):
            number = math.nan
            if not (censored and (re.sub(r"[^a-z]", "", str(text).lower()) in CENSORED or str(text).startswith(">"))):
                where = f"{path}, line {label + frame.attrs.get('first', 0)}"
                raise ValueError(f"{where}: {column} must be a number, got {entry!r}") from None
        if not math.isfinite(number):
            if not censored:
                where = f"{path}, line {label + frame.attrs.get('first', 0)}"
                raise ValueError(f"{where}: {column} must be a number, got {entry!r}; fill it, or leave the line out")
            number = math.nan
        values.append(number)
    return values
