"""What a command found, and how it is delivered: printed, as JSON, and into a file of the ending that is asked for."""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from genfun._files import write_whole
from genfun.cli.output import Block, printable, printed, show

PICTURES = (".png", ".svg", ".pdf")
EVERY = (".json", ".csv", ".txt")
"""What any answer can be written as."""
SCREEN, PAPER = "screen", "paper"
"""Of pictures."""
CsvRow = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a command found, in all forms it may be asked for.

    Parameters
    ----------
    inputs : mapping
        What was asked, for the JSON.
    result : any
        The numbers, for the JSON; see `genfun.report.encode.plain`.
    shown : sequence of str and Grid
        What is printed, block by block.
    rows : callable, optional
        Makes the lines of a .csv; by default there is one, of everything asked and found.
    draw : callable, optional
        Makes the picture, as axes or a figure of `genfun.plotting`.
    files : mapping of str to callable
        By further endings, what makes the bytes of the file.
    """

    inputs: Mapping[str, Any]
    result: Any
    shown: Sequence[Block]
    rows: Callable[[], Sequence[CsvRow]] | None = None
    draw: Callable[[], Any] | None = None
    files: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)


def answers(picture: bool = False, formats: Sequence[str] = ()) -> Callable[[Callable[..., Answer]], Any]:
    """Give a command that returns an `Answer` the options --json and --out, and deliver what it returns.

    Parameters
    ----------
    picture : bool
        Whether its answers can be drawn.
    formats : sequence of str
        Endings beyond those of every answer, keys of `Answer.files`.
    """
    endings = (*EVERY, *formats, *(PICTURES if picture else ()))
    words = f"Write the answer to a file too: {', '.join((*EVERY, *formats))}"
    if picture:
        words += f"; or draw it: {', '.join(PICTURES)}, with the numbers drawn as .csv beside it"

    def decorate(command: Callable[..., Answer]) -> Any:
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
        @click.option(
            "--out",
            type=click.Path(dir_okay=False, path_type=Path),
            callback=lambda _context, _option, path: _checked(path, endings),
            help=words + ".",
        )
        @(_style_of_pictures if picture else _as_it_is)
        @functools.wraps(command)
        def with_output(as_json: bool, out: Path | None, style: str = SCREEN, **values: Any) -> None:
            if style != SCREEN and (out is None or out.suffix not in PICTURES):
                raise ValueError(f"--style is that of a picture; give --out with {', '.join(PICTURES)}")
            found = command(**values)
            name = click.get_current_context().info_name or ""
            written = () if out is None else _write(found, name, out, style)
            if as_json:
                click.echo(_json(found, name))
            else:
                show(found.shown)
            for path in written:
                click.echo(printable(f"wrote {path}"), err=as_json)

        return with_output

    return decorate


_style_of_pictures = click.option(
    "--style",
    type=click.Choice((SCREEN, PAPER)),
    default=SCREEN,
    help="Of the picture: paper is a column wide, in Times of 8 points.",
)


def _as_it_is(command: Any) -> Any:
    return command


def _checked(path: Path | None, endings: Sequence[str]) -> Path | None:
    """Refuse what could not be written before anything is computed."""
    if path is None:
        return None
    if path.suffix not in endings:
        raise ValueError(f"--out must end in {', '.join(endings[:-1])} or {endings[-1]}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise ValueError(f"--out {str(path)!r} lies in no directory that exists; make {str(path.parent)!r} first")
    return path


def _json(found: Answer, name: str) -> str:
    from genfun.report.encode import envelope

    return envelope(name, dict(found.inputs), found.result)


def _write(found: Answer, name: str, path: Path, style: str) -> Sequence[Path]:
    """Write the file whole, or nothing at all."""
    if path.suffix in PICTURES and path.suffix not in found.files:
        from genfun.plotting import save

        if found.draw is None:
            raise ValueError(f"--out draws no picture of this answer; write {', '.join(EVERY)}")
        if style == SCREEN:
            return save(found.draw(), path)
        from genfun.plotting.paper import for_paper

        with for_paper(found.draw) as picture:
            return save(picture, path)
    if path.suffix in found.files:
        raw = found.files[path.suffix]()
    elif path.suffix == ".csv":
        raw = _rows(found).encode("utf-8", "backslashreplace")
    else:
        raw = (_json(found, name) + "\n" if path.suffix == ".json" else printed(found.shown)).encode()
    write_whole(path, raw)
    return (path,)


def _rows(found: Answer) -> str:
    from genfun.report.encode import plain

    rows = [flat(found.inputs) | flat(plain(found.result))] if found.rows is None else list(found.rows())
    page = io.StringIO()
    writer = csv.DictWriter(page, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return page.getvalue()


def lines_of(columns: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Columns as lines.

    Parameters
    ----------
    columns : mapping of str to iterables
        All equally long.

    Examples
    --------
    >>> lines_of({"step": [0, 1], "loss": [0.5, 0.2]})
    [{'step': 0, 'loss': 0.5}, {'step': 1, 'loss': 0.2}]
    """
    return [dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True)]


def flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """One level of names: a.b for b in a; lists as JSON text.

    Parameters
    ----------
    value : mapping
        Of the types of JSON.
    before : str
        Goes before every name.

    Examples
    --------
    >>> flat({"method": {"momentum": 0.5}, "range": [1, 2]})
    {'method.momentum': 0.5, 'range': '[1, 2]'}
    """
    cells: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            cells |= flat(item, f"{before}{name}.")
        else:
            cells[before + name] = json.dumps(item) if isinstance(item, list | tuple) else item
    return cells
