"""What is printed: lines and tables on stdout, progress on stderr."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from genfun._display import steering
from genfun._typing import Progress

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 100


@dataclass(frozen=True)
class Grid:
    """Right-aligned columns.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequences of str
        Cells.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __rich__(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in self.columns:
            grid.add_column(heading, justify="right", no_wrap=True)
        for row in self.rows:
            grid.add_row(*(Text(printable(cell)) for cell in row))
        return grid


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
    """Standard output; without colour, and 100 columns wide, where it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


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
            console().print(block)


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
            writer.print(block)
    return page.getvalue()


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
