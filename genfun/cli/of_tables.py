"""Options of how a file is read, the same on all commands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from genfun.cli.group import TargetOption

CHOICES = ("classes", "drop", "drop_missing", "intercept", "one_hot", "standardize")
"""As `genfun.data.load` calls them; the target is another."""
_option = functools.partial(click.option, cls=TargetOption)
OF_TABLES = (
    _option(
        "--target",
        "--column",
        "column",
        multiple=True,
        metavar="COLUMN",
        help="table: what is predicted, name or number; again for more  [default: last]",
    ),
    _option("--drop", multiple=True, metavar="COLUMN", help="table: column to leave out; again for more."),
    _option("--standardize", is_flag=True, help="file: centre each column, and divide by its deviation."),
    _option("--intercept", is_flag=True, help="file: add a column of ones."),
    _option("--one-hot", is_flag=True, help="table: a column of 0 and 1 for each value of a text."),
    _option("--drop-missing", is_flag=True, help="table: leave out rows with missing values."),
    _option("--classes", is_flag=True, help="file: the target holds labels, also where they are numbers."),
)
"""Options of how a file is read."""


def of_tables(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of how a file is read; it receives `choices`, as `genfun.data.load` takes them.

    Parameters
    ----------
    command : callable
        Of one target at most.
    """

    @functools.wraps(command)
    def with_choices(**values: Any) -> Any:
        choices = {name: values.pop(name) for name in CHOICES}
        targets = values.pop("column")
        if len(targets) > 1:
            raise ValueError(f"--target takes one column here, got {', '.join(targets)}; the page shows one")
        return command(choices=choices | {"target": targets[0] if targets else None}, **values)

    for option in reversed(OF_TABLES):
        with_choices = option(with_choices)
    return with_choices
