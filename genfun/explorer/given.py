"""What a state is about: data that the package brings, or a user's file; and the rows held out of it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from genfun.data import LinearData, load, mnist
from genfun.data.files import Table, read
from genfun.data.held_out_rows import Split, split_file, split_mnist
from genfun.data.tables import Choices
from genfun.explorer.state import State
from genfun.problems.problem import LinearProblem


class OwnFile(str):
    """The path of a user's file, and how it is read.

    Parameters
    ----------
    path : str
    choices : Choices
        As given on the command line, but for the target, which the page chooses.

    Examples
    --------
    >>> OwnFile("homes.csv", Choices(standardize=True)).choices.standardize
    True
    """

    choices: Choices

    def __new__(cls, path: str, choices: Choices) -> OwnFile:
        """A string with choices."""
        made = super().__new__(cls, path)
        made.choices = choices
        return made


def choices_of(path: str | None, target: str) -> dict[str, Any]:
    """How a user's file is read: what `genfun.data.load` takes beside it, without what is left as it is.

    Parameters
    ----------
    path : str or None
        An OwnFile, or a path that is read as it is.
    target : str
        A column; empty for the last.
    """
    chosen = path.choices if isinstance(path, OwnFile) else Choices()
    given = vars(replace(chosen, target=target or None))
    return {name: value for name, value in given.items() if value not in (None, (), False)}


def source(state: State, path: str | None = None) -> LinearData | LinearProblem:
    """The data that a state trains on, or the spectrum in a file.

    Parameters
    ----------
    state : State
        Not of a power law.
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    found = given(state, path)
    return found.data if isinstance(found, Split) else found


def split(state: State, path: str | None = None) -> Split | None:
    """Data and the rows that are held out of them; None where none are.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    found = None if state.held_out == 0.0 or state.problem == "power-law" else given(state, path)
    return found if isinstance(found, Split) else None


def given(state: State, path: str | None = None) -> LinearData | LinearProblem | Split:
    """Data, a spectrum, or data with rows held out.

    Parameters
    ----------
    state : State
        Not of a power law.
    path : str or None
        The user's file.
    """
    return _given(state.problem, path, state.target, state.held_out)


@lru_cache(maxsize=4)
def _given(name: str, path: str | None, target: str, held_out: float) -> LinearData | LinearProblem | Split:
    if name != "file":
        model = name.removeprefix("mnist-")
        return split_mnist(held_out, 1000, model=model) if held_out > 0.0 else mnist(1000, model=model)
    if path is None:
        raise ValueError("no file was given: choose yours under 'own file', or start with `genfun explore FILE`")
    if held_out > 0.0:
        return split_file(path, Choices(**choices_of(path, target)), holdout=held_out)
    return load(path, **choices_of(path, target))


@lru_cache(maxsize=4)
def columns(path: str | None) -> tuple[str, ...]:
    """The columns of a user's table, by name or number; none of a file of another kind.

    Parameters
    ----------
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    if path is None or path.endswith(".npz"):
        return ()
    found = read(path, None, Choices())
    return tuple(map(str, found.frame.columns)) if isinstance(found, Table) else ()
