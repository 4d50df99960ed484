"""What is printed: lines and tables on stdout, progress on stderr."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from genfun._display import steering
from genfun._grid import Grid
from genfun._typing import Progress

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 100
"""Columns where the output is no terminal and COLUMNS does not say."""


def printable(text: str) -> str:
    r"""The text without anything that moves a terminal's cursor, colours it, or turns the order of what is read.

    Names of files, of columns and of keys come from anyone, and reach the screen in answers and in errors.

    Parameters
    ----------
    text : str
        Lines and tabulators stay.

    Examples
    --------
    >>> printable("a\x1b[31mb\tc\n")
    'a\\x1b[31mb\tc\n'
    """
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in steering(text)})


Block = str | Grid
"""A line, or several, of plain text; or a table."""


def console() -> Console:
    """Standard output; where it is no terminal, without colour, and as wide as COLUMNS says, or else 100 columns."""
    from rich.console import Console

    found = Console(highlight=False)
    if found.is_terminal:
        return found
    told = os.environ.get("COLUMNS", "")
    return Console(highlight=False, width=int(told) if told.isdecimal() and int(told) > 0 else PIPED_WIDTH)


def show(blocks: Iterable[Block]) -> None:
    """Print blocks, one under the other.

    Parameters
    ----------
    blocks : iterable of str and Grid
        Text is printed as it is, but for what would steer the terminal.
    """
    for block in blocks:
        if isinstance(block, str):
            click.echo(printable(block))
        else:
            console().print(_printable(block))


def printed(blocks: Iterable[Block]) -> str:
    """What `show` prints where it is no terminal.

    Parameters
    ----------
    blocks : iterable of str and Grid
    """
    from rich.console import Console

    page = io.StringIO()
    writer = Console(file=page, highlight=False, width=PIPED_WIDTH)
    for block in blocks:
        if isinstance(block, str):
            page.write(printable(block) + "\n")
        else:
            writer.print(_printable(block))
    return page.getvalue()


def _printable(grid: Grid) -> Grid:
    return replace(grid, rows=[[printable(cell) for cell in row] for row in grid.rows])


@contextmanager
def progress() -> Iterator[Progress]:
    """A callback (fraction done, stage) drawn as a bar on stderr, which vanishes when done; silent when piped."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    screen = Console(stderr=True)
    parts = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Bars(*parts, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, stage: bar.update(task, completed=fraction, description=printable(stage))
