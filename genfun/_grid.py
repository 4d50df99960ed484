"""A table in a terminal: where it is wider than the screen its columns are stacked, and no digit is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table


@dataclass(frozen=True)
class Grid:
    """Right-aligned columns; too many for the screen, they become several tables that begin with the same columns.

    Parameters
    ----------
    columns : sequence of str
        Headings, perhaps of several lines.
    rows : sequence of sequences of str
        Cells.
    keys : int
        Leading columns that say what a row is about, repeated in each table.
    grouped : bool
        Whether a line is left free where the first column changes, if rows share it at all.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    keys: int = 1
    grouped: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        """The table, or the tables, that `console.print` shows.

        Parameters
        ----------
        console, options
            Of rich.
        """
        everything = list(range(len(self.columns)))
        if self._width(everything, False, console, options) <= options.max_width:
            yield self._table(everything, False)
            return
        keys, rest = everything[: self.keys], everything[self.keys :]
        while rest:
            fitting = len(rest)
            while fitting > 1 and self._width([*keys, *rest[:fitting]], True, console, options) > options.max_width:
                fitting -= 1
            yield self._table([*keys, *rest[:fitting]], True)
            rest = rest[fitting:]

    def _width(self, chosen: Sequence[int], close: bool, console: Console, options: ConsoleOptions) -> int:
        from rich.measure import Measurement

        return Measurement.get(console, options.update(max_width=10_000), self._table(chosen, close)).maximum

    def _table(self, chosen: Sequence[int], close: bool) -> Table:
        """Some of the columns, close together with their headings in several lines or not."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=close)
        for i in chosen:
            # Folded, not cut, where one column alone is wider than the screen.
            heading = re.sub(" (?!%)", "\n", self.columns[i]) if close else self.columns[i]
            table.add_column(Text(heading), justify="right", overflow="fold")
        previous, grouped = None, self.grouped and len({row[0] for row in self.rows}) < len(self.rows)
        for row in self.rows:
            if grouped and previous is not None and row[0] != previous:
                table.add_section()
            table.add_row(*(Text(row[i]) for i in chosen))
            previous = row[0]
        return table
