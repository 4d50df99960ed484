"""`genfun explore`: the local web page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genfun.cli.group import Job, examples
from genfun.cli.of_tables import of_tables
from genfun.cli.output import progress

LARGEST_PORT = 65535
DEFAULT_PORT = 5006


@click.command(
    cls=Job,
    epilog=examples(
        "genfun explore",
        "genfun explore homes.csv --target price --one-hot --standardize",
        "genfun explore --port 8000 --no-browser",
    ),
)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, LARGEST_PORT),
    default=DEFAULT_PORT,
    show_default=True,
    help="Of the page on this machine; 0 takes a free one.",
)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in the browser.")
@of_tables
def explore(file: Path | None, port: int, browser: bool, choices: dict[str, Any]) -> None:
    """Open a page to explore settings, on this machine only.

    Loss curve with its parts, map of learning rate and momentum, phase diagram, words, best settings and real runs,
    for MNIST, power laws and your own FILE (a table or .npz), as the controls are moved. Needs the extra `explorer`.
    """
    try:
        from genfun.explorer.server import serve
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("bokeh", "tornado"):
            raise
        raise ImportError('the page needs bokeh; install it with pip install "genfun[explorer]"') from error
    from genfun.data.tables import Choices
    from genfun.explorer.given import OwnFile, source
    from genfun.explorer.problems import pose
    from genfun.explorer.state import State

    if file is None and any(choices.values()):
        given = next(name for name, value in choices.items() if value)
        raise ValueError(f"FILE is missing, which --{given.replace('_', '-')} is about; give it")
    path = None if file is None else OwnFile(str(file), Choices(**choices))
    start = State() if path is None else State(problem="file", target=path.choices.target or "", batch_size=None)
    with progress() as report:
        report(0.0, "measuring the batch noise")
        if path is not None:
            source(start, path)  # refuses a bad file here and not in the page
        pose(start, path)

    def started(address: str) -> None:
        click.echo(f"genfun explorer at {address}  (Ctrl-C ends it)")
        if browser:
            click.launch(address)

    try:
        serve(port, path, started)
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(f"port {port} is not free ({error.strerror}); choose another with --port, or 0") from error
