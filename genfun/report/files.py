"""The report as files, written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from genfun._files import write_all
from genfun.report.encode import envelope
from genfun.report.model import Report


def write(report: Report, directory: str | os.PathLike[str]) -> dict[str, Path]:
    """Write report.html, report.json and the CSV twins of the figures and tables.

    **Assumptions.** All files are written beside their places first, and then moved there: where one cannot be written
    none is.

    Parameters
    ----------
    report : Report
        What to write.
    directory : path
        Where; made if absent.

    Returns
    -------
    dict of str to Path
        Paths by file name.

    Raises
    ------
    OSError
        If the directory cannot be made or written.

    Examples
    --------
    >>> import tempfile
    >>> import genfun as gf
    >>> from genfun.report.build import build
    >>> r = build(gf.PowerLaw(1.5, 0.5, n_modes=9), batch_sizes=[None], momenta=[0.0], last_step=10)
    >>> [name for name in sorted(write(r, tempfile.mkdtemp())) if name.startswith("report")]
    ['report.html', 'report.json']
    """
    from genfun.report.html import page

    contents = {
        "report.html": page(report),
        "report.json": as_json(report) + "\n",
        "spectrum.csv": _spectrum(report),
        "loss_curves.csv": _loss_curves(report),
        "max_learning_rate.csv": _limits(report),
        "best_settings.csv": _best(report),
        "batch_sizes.csv": _costs(report),
        "phases.csv": _phases(report),
    }
    return _write_all(Path(directory), contents)


def as_json(report: Report) -> str:
    """The report as JSON: genfun (version), command, inputs, result, conventions.

    Parameters
    ----------
    report : Report
        What to encode.
    """
    parts = ("target", "data", "fit", "noise", "limits", "curves", "best", "costs", "phases", "explanation", "spectrum")
    return envelope("report", report.inputs, {part: getattr(report, part) for part in parts})


def _write_all(directory: Path, contents: dict[str, str]) -> dict[str, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    write_all({directory / name: text.encode("utf-8", "backslashreplace") for name, text in contents.items()})
    return {name: directory / name for name in contents}


def _csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(["full" if cell is None else cell for cell in row] for row in rows)
    return buffer.getvalue()


def _spectrum(report: Report) -> str:
    points = report.spectrum
    columns = (points.modes, points.eigenvalues, points.signal, points.signal_tails)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return _csv(("mode", "eigenvalue", "signal", "signal_tail"), rows)


def _loss_curves(report: Report) -> str:
    rows = (
        (curve.batch_size, curve.momentum, curve.learning_rate, curve.choice, *point)
        for curve in report.curves
        for point in zip(
            curve.steps.tolist(), curve.loss.tolist(), curve.log_loss.tolist(), curve.error.tolist(), strict=True
        )
    )
    return _csv(("batch_size", "momentum", "learning_rate", "choice", "step", "loss", "log_loss", "error"), rows)


def _limits(report: Report) -> str:
    names = (
        "batch_size",
        "momentum",
        "learning_rate",
        "effective_learning_rate",
        "limit",
        "at_tau2_plus",
        "at_tau2_minus",
        "popular",
        "factor",
    )
    return _csv(names, ([getattr(limit, name) for name in names] for limit in report.limits))


def _best(report: Report) -> str:
    names = ("batch_size", "learning_rate", "momentum", "step", "loss", "at_tau2_plus", "at_tau2_minus")
    names += ("share_of_edge", "gain")
    ranges = ("learning_rate_range", "momentum_range")
    ends = [f"{name}_{end}" for name in ranges for end in ("low", "high")]
    rows = (
        (*(getattr(best, name) for name in names), *(end for name in ranges for end in getattr(best, name)))
        for best in report.best
    )
    return _csv((*names, *ends), rows)


def _costs(report: Report) -> str:
    names = ("batch_size", "learning_rate", "loss", "steps", "samples", "noise_scale")
    return _csv(names, (tuple(getattr(cost, name) for name in names) for cost in report.costs))


def _phases(report: Report) -> str:
    names = ("batch_size", "momentum", "learning_rate", "choice", "name", "exponent", "constant")
    names += ("transition_step", "divergence_step", "end_step")
    rows = ([getattr(phase, name) for name in names] for phase in report.phases)
    return _csv(names, ([*row[:4], row[4] or "", *row[5:]] for row in rows))
