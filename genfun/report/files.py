"""The report as files, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genfun._files import write_all
from genfun.report.columns import COLUMNS, columns
from genfun.report.encode import envelope, plain
from genfun.report.model import BatchCost, BestSetting, RateLimit, Report, SettingPhase

QUESTION = {"batch_sizes", "momenta", "last_step", "best_step", "shares", "noise_variance"}
"""Of the inputs, those that say nothing of the target."""


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
        "max_learning_rate.csv": _entries(RateLimit, report.limits),
        "best_settings.csv": _entries(BestSetting, report.best),
        "batch_sizes.csv": _entries(BatchCost, report.costs),
        "phases.csv": _entries(SettingPhase, report.phases),
        "loss_map.csv": _chart(report),
    }
    return _write_all(Path(directory), contents)


def standing(directory: str | os.PathLike[str], inputs: Mapping[str, Any]) -> str | None:
    """What a folder holds that a report would replace, in words; "" if it is the report of the same question.

    Parameters
    ----------
    directory : path
        Where the report is to go.
    inputs : mapping
        How it is asked, as `Report.inputs`.

    Returns
    -------
    str or None
        None if there is nothing.
    """
    folder = Path(directory)
    if not any((folder / name).exists() for name in ("report.html", "report.json")):
        return None
    try:
        found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        held, target = dict(found["inputs"]), found["result"]["target"]
    except (OSError, ValueError, KeyError, TypeError):
        return "files of the same names"
    ours = plain(dict(inputs))
    other = {name for name in held | ours if held.get(name) != ours.get(name)}
    if not other:
        return ""
    return "a report with other options" if other <= QUESTION else f"the report of {target}"


def as_json(report: Report) -> str:
    """The report as JSON: genfun (version), command, inputs, result, conventions.

    Parameters
    ----------
    report : Report
        What to encode.
    """
    lists = ("limits", "curves", "best", "costs", "phases")
    result: dict[str, Any] = {part: getattr(report, part) for part in ("target", "data", "fit")}
    result["noise"] = columns(report.noise)
    result |= {part: [columns(entry) for entry in getattr(report, part)] for part in lists}
    used = report.advice
    result["use"] = None if used is None else columns(BestSetting(used.chosen, None)) | {"why": used.why}
    result |= {part: getattr(report, part) for part in ("explanation", "spectrum")}
    parts = ("batch_size", "step", "learning_rates", "momenta", "loss", "log_loss", "noise_gain")
    m = report.chart
    result["loss_map"] = None if m is None else {part: getattr(m, part) for part in parts}
    return envelope("report", report.inputs, result)


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
    of_setting, of_step = ("batch_size", "momentum", "learning_rate", "choice"), ("steps", "loss", "log_loss", "error")
    rows: list[tuple[Any, ...]] = []
    for found in map(columns, report.curves):
        points = zip(*(found[name].tolist() for name in of_step), strict=True)
        rows += [(*(found[name] for name in of_setting), *point) for point in points]
    return _csv((*of_setting, "step", *of_step[1:]), rows)


def _chart(report: Report) -> str:
    headings = ("batch_size", "learning_rate", "momentum", "loss", "log_loss", "noise_gain")
    if report.chart is None:
        return _csv(headings, [])
    m = report.chart
    cells = [(i, k) for i in range(m.learning_rates.size) for k in range(m.momenta.size)]
    tables = (m.loss, m.log_loss, m.noise_gain)
    return _csv(
        headings,
        [(m.batch_size, m.learning_rates[i], m.momenta[k], *(table[i, k] for table in tables)) for i, k in cells],
    )


def _entries(kind: type, entries: Sequence[Any]) -> str:
    """A line for each entry: sentences are left out, a range takes two columns."""
    names = [name for name in COLUMNS[kind] if name not in ("bounds", "notes")]
    headings: list[str] = []
    for name in names:
        headings += [f"{name}_low", f"{name}_high"] if name.endswith("_range") else [name]
    rows: list[list[Any]] = []
    for found in map(columns, entries):
        rows.append([])
        for name in names:
            # No phase leaves its cell empty; no batch size means the full batch.
            value = found[name] if found[name] is not None or name == "batch_size" else ""
            rows[-1] += value if name.endswith("_range") else [value]
    return _csv(headings, rows)
