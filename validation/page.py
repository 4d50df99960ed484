"""The claims as a page of the documentation: a summary, then one table for each file."""

from __future__ import annotations

import importlib
from itertools import groupby
from string import ascii_lowercase

# Of a claim, in this order, as in the CSV file.
COLUMNS = ("claim", "computed", "claimed", "tolerance", "kind", "holds", "source", "note", "file", "version")
Row = tuple[str, ...]

HEADER = """# Validation

Written by `python -m validation --write`; the same numbers are in [validation.csv](validation.csv). A claim holds if
|computed − claimed| ≤ tolerance. What may differ depends on its kind:

- *exact*: rounding, the printed digits, or 2.5 standard errors of a simulation;
- *asymptotic*: finite steps as well;
- *approximate*: the spectrally expressible noise as well (2 % granted).

For simulations, computed is the mean over runs of the loss on all data, claimed is the prediction with the default
noise τ₁ = τ₂ = 1. **known** marks a claim that does not hold, for the reason in its note. A version
(`validation.kept.version`) changes with any line of the package or of the claims.

"""


def markdown(rows: list[Row], machine: str) -> str:
    """Return the page."""
    files = [(file, list(group)) for file, group in groupby(rows, key=lambda row: row[8])]
    summary = [
        (f"[{_heading(file)}](#{file.replace('_', '-')})", _about(file), *_count(group)) for file, group in files
    ]
    overview = _table(("file", "claims about", "hold", "do not"), [*summary, ("all", "", *_count(rows))])
    sections = "".join(_section(file, group) for file, group in files)
    return f"{HEADER}{machine}\n\n{overview}{sections}"


def _heading(file: str) -> str:
    return file.replace("_", " ").capitalize().replace("Mnist", "MNIST").replace("ntk", "NTK")


def _about(file: str) -> str:
    """The first sentence of the file's docstring."""
    text = " ".join((importlib.import_module(f"validation.{file}").__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".")


def _count(rows: list[Row]) -> tuple[str, str]:
    holding = sum(row[5] == "yes" for row in rows)
    return str(holding), str(len(rows) - holding)


def _section(file: str, rows: list[Row]) -> str:
    """What all claims of a file share, and the sources under letters, stand above their table."""
    kinds, sources = (list(dict.fromkeys(row[i] for row in rows)) for i in (4, 6))
    letters = dict(zip(sources, ascii_lowercase, strict=False))
    above = [_about(file), f"File: `validation/{file}.py`, run by version `{rows[0][9]}`"]
    if len(kinds) == 1:
        above.append(f"Kind: {kinds[0]}")
    if len(sources) == 1:
        above.append(f"Source: {sources[0]}")
    else:
        above.append("Sources: " + "; ".join(f"({letter}) {source}" for source, letter in letters.items()))
    cells = [
        (
            *row[:4],
            *((row[4],) if len(kinds) > 1 else ()),
            row[5] if row[5] == "yes" else f"**{row[5]}**",
            *((letters[row[6]],) if len(sources) > 1 else ()),
            row[7],
        )
        for row in rows
    ]
    kind, source = ("kind",) if len(kinds) > 1 else (), ("source",) if len(sources) > 1 else ()
    columns = ("claim", "computed", "claimed", "±", *kind, "holds", *source, "note")
    return f"\n## {_heading(file)}\n{'. '.join(above)}.\n\n" + _table(columns, cells)


def _table(columns: Row, rows: list[Row]) -> str:
    lines = [columns, ("---",) * len(columns), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
