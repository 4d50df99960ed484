"""`genfun report`: the whole picture."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import click

from genfun.cli.flags import told
from genfun.cli.group import Job, examples
from genfun.cli.output import console, printable, progress
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCHES, REALS, WHOLE


@click.command(
    cls=Job,
    epilog=examples(
        "genfun report mnist",
        "genfun report mnist --model pixels --n 4000 --batch-sizes 1,8,32 --steps 1e5 --out pixels",
        "genfun report power-law --nu 1.5 --zeta 0.5",
        "genfun report data.csv --target price --json > report.json",
    ),
)
@on_target
@click.option(
    "--batch-sizes", type=BATCHES, default=None, help="Batch sizes  [default: 1,10,100,1000 below N, and full]"
)
@click.option("--momenta", type=REALS, default="-0.5,0,0.5,0.9", show_default=True, help="Momenta.")
@click.option("--steps", type=WHOLE, default="1e6", show_default=True, help="Last step of the loss curves.")
@click.option("--best-at", type=WHOLE, help="Step of the best settings  [default: 1000, or --steps if less]")
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    help="Folder for report.html, report.json and CSV files  [default: genfun-report-TARGET]",
)
@click.option("--force", is_flag=True, help="Replace the report of another target, or with other options, in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON instead of tables (files are written too).")
def report(
    target: Target,
    batch_sizes: tuple[int | None, ...] | None,
    momenta: tuple[float, ...],
    steps: int,
    best_at: int | None,
    out: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Report everything about a problem before training.

    Spectrum and exponents, batch noise, the largest stable learning rate for a table of batch sizes and momenta with
    what binds, predicted loss curves, the best settings at a step, the phase of every setting, and one of the best
    in words: printed, and written to --out as a web page with figures, as JSON with every number, and as CSV. The same
    command again replaces its report.
    """
    from genfun.report import build, write
    from genfun.report.build import asked
    from genfun.report.files import as_json as encoded
    from genfun.report.files import standing
    from genfun.report.text import print_report

    folder = _folder(target.name) if out is None else Path(out)
    variance = target.inputs["noise_variance"]
    question = target.inputs | asked(target.problem, batch_sizes, momenta, steps, best_at, variance)
    held = standing(folder, question)
    if held and not force:
        raise ValueError(f"{str(folder)!r} holds {held}; choose another folder by --out, or replace it by --force")
    _ = target.noise  # measured here, where progress is shown
    with progress() as say:
        found = build(
            target.source,
            noise=target.chosen,
            batch_sizes=batch_sizes,
            momenta=momenta,
            last_step=steps,
            best_step=best_at,
            noise_variance=variance,
            target=target.label,
            inputs=target.inputs,
            progress=say,
        )
        # The page and the JSON name options as whoever ran the command knows them.
        found = replace(found, data=replace(found.data, notes=tuple(map(told, found.data.notes))))
        say(1.0, "writing files")
        paths = write(found, folder)
    if as_json:
        click.echo(encoded(found))
    else:
        data = replace(found.data, notes=tuple(printable(told(note)) for note in target.remarks))
        print_report(replace(found, target=printable(found.target), data=data), console())
    click.echo("", file=sys.stderr if as_json else None)
    for path in paths.values():
        click.echo(printable(f"wrote {path}"), err=as_json)


def _folder(name: str) -> Path:
    """Where the report of a target goes by itself: genfun-report-mnist, genfun-report-homes for data/homes.csv."""
    return Path("genfun-report-" + re.sub(r"[^\w-]", "_", Path(name).name.split(".")[0]))
