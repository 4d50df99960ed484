"""`genfun explore`: the local web page."""

from __future__ import annotations

from pathlib import Path

import click

from genfun.cli.group import examples
from genfun.cli.output import progress

LARGEST_PORT = 65535
DEFAULT_PORT = 5006


@click.command(
    epilog=examples("genfun explore", "genfun explore data.npz", "genfun explore --port 8000 --no-browser"),
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
def explore(file: Path | None, port: int, browser: bool) -> None:
    """Open a page to explore settings, on this machine only.

    Loss curve with its parts, map of learning rate and momentum, phase diagram, words, best settings and real runs,
    for MNIST, power laws and your own FILE (.npz or .csv), as the controls are moved. Needs the extra `explorer`.
    """
    try:
        from genfun.explorer.server import serve
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("bokeh", "tornado"):
            raise
        raise ImportError('the page needs bokeh; install it with pip install "genfun[explorer]"') from error
    from genfun.explorer.given import source
    from genfun.explorer.problems import pose
    from genfun.explorer.state import State

    path = None if file is None else str(file)
    with progress() as report:
        report(0.0, "measuring the batch noise")
        if path is not None:
            source(State(problem="file"), path)  # refuses a bad file here and not in the page
        pose(State() if path is None else State(problem="file", batch_size=None), path)

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
