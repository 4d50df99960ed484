"""Claims that are done already are not run again: the rows of each finished file wait on disk until all are there."""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path

from validation.page import Row

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "validation"


def version() -> str:
    """Sixteen digits that change with any line of the package or of the claims."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "genfun").rglob("*.py"), *(ROOT / "validation").rglob("*.py")]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def read(file: str, made_by: str, folder: Path = FOLDER) -> list[Row] | None:
    """Return the rows of a file that this version has finished, or None."""
    path = folder / made_by / f"{file}.csv"
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as stream:
        return [tuple(row) for row in csv.reader(stream)]


def newest(file: str, folder: Path = FOLDER) -> tuple[list[Row], str] | None:
    """Return the rows of a file that any version has finished last, and that version."""
    found = max(folder.glob(f"*/{file}.csv"), key=lambda path: path.stat().st_mtime, default=None)
    if found is None:
        return None
    made_by = found.parent.name
    return read(file, made_by, folder) or [], made_by


def write(file: str, rows: list[Row], made_by: str, folder: Path = FOLDER) -> None:
    """Keep the rows of a finished file: all of them or, if the power goes, none."""
    path = folder / made_by / f"{file}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
