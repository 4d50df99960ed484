"""Where answers go: tables for people, JSON for programs, progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 100
Report = Callable[[float, str], None]


def console() -> Console:
    """Standard output; without colour, and 100 columns wide, where it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def say(text: str) -> None:
    """A line of plain text.

    Parameters
    ----------
    text : str
        Printed as it is.
    """
    click.echo(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Right-aligned columns.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequences of str
        Cells.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in columns:
        grid.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    console().print(grid)


def emit_json(command: str, inputs: dict[str, Any], result: dict[str, Any]) -> None:
    """One JSON object: version, command, inputs, result.

    Parameters
    ----------
    command : str
        Name of the command.
    inputs : dict
        What was asked.
    result : dict
        The answer.
    """
    from genfun.report.encode import envelope

    click.echo(envelope(command, inputs, result))


@contextmanager
def progress() -> Iterator[Report]:
    """A callback (fraction done, stage) drawn as a bar on stderr, which vanishes when done; silent when piped."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    screen = Console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*parts, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, stage: bar.update(task, completed=fraction, description=stage)
