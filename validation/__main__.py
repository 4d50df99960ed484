"""Print the table of claims; with --write, also put it under docs/ as Markdown and CSV."""

from __future__ import annotations

import argparse
import csv
import importlib
import sys
import time
from pathlib import Path

from benchmarks.timing import machine
from validation import kept
from validation.claim import Claim
from validation.page import COLUMNS, Row, markdown

FILES = (
    "critical_rates",
    "power_law_exponents",
    "phase_constants",
    "published_optima",
    "momentum_sign",
    "optimum_grid",
    "popular_formula",
    "edge_plane",
    "regimes",
    "rungs",
    "rung_table",
    "mnist_ntk",
    "mnist_pixels",
    "mnist_edge",
    "noise_weights",
    "mnist_best",
    "schedules",
    "best_schedules",
    "critical_batch",
    "fit_steps",
    "steps_vs_batch",
    "big_batch",
    "escape",
    "epochs",
    "long_epochs",
    "run_spread",
    "lms",
    "escape_tradeoff",
    "sweep_survives",
    "measured_noise",
    "regret",
    "own_noise",
    "outcomes",
    "held_out",
    "suggest_habits",
    "softmax_runs",
    "large_models",
    "row_blocks",
    "hostile",
)
DOCS = Path(__file__).resolve().parents[1] / "docs"


def row(file: str, c: Claim) -> Row:
    numbers = (f"{x:.6g}" for x in (c.computed, c.claimed))
    return (
        c.name,
        *numbers,
        f"{c.tolerance:.2g}",
        c.kind,
        c.verdict,
        c.source,
        "; ".join(filter(None, (c.note, c.known))),
        file,
    )


def run(file: str, fast: bool) -> list[Row]:
    """Return the rows of a file, printed as they come."""
    start = time.perf_counter()
    rows = []
    for claim in importlib.import_module(f"validation.{file}").claims(fast=fast):
        line = row(file, claim)
        rows.append(line)
        print(f"{line[5]:>5}  {claim.kind:<11} {line[1]:>12} {line[2]:>12} +- {line[3]:<8} {claim.name}", flush=True)
    print(f"       {file}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return rows


def machine_line() -> str:
    """What the numbers were made on."""
    m = machine()
    libraries = f"Python {m['python']}, NumPy {m['numpy']}, SciPy {m['scipy']}"
    return f"Machine: {m['cpu']}, {m['cores']} cores, {m['system']}; {libraries}."


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m validation", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FILE", help=f"of {', '.join(FILES)}; all by default")
    parser.add_argument("--fast", action="store_true", help="fewer runs and settings (seconds)")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write docs/validation.md and docs/validation.csv (an hour; an interrupted run goes on where it stopped)",
    )
    parser.add_argument(
        "--older",
        action="store_true",
        help="with --write: what an older version has finished is not run again; the page says which version",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(FILES):
        parser.error(f"no such file: {', '.join(sorted(unknown))}; choose from {', '.join(FILES)}")
    if arguments.write and (arguments.fast or arguments.names):
        parser.error("--write wants every claim in full; drop --fast and the file names")
    current = kept.version()
    rows: list[Row] = []
    for file in arguments.names or FILES:
        version = current
        done = kept.read(file, current) if arguments.write else None
        if done is None and arguments.write and arguments.older:
            done, version = kept.newest(file) or (None, current)
        if done is not None:
            print(f"       {file}: done before, by version {version}", file=sys.stderr)
        else:
            done = run(file, arguments.fast)
            if arguments.write:
                kept.write(file, done, current)
        rows += [(*r, version) for r in done]
    failed = sum(line[5] == "NO" for line in rows)
    known = sum(line[5] == "known" for line in rows)
    print(f"{len(rows) - failed - known} of {len(rows)} claims hold, {known} are known not to, {failed} fail")
    if arguments.write:
        DOCS.mkdir(exist_ok=True)
        (DOCS / "validation.md").write_text(markdown(rows, machine_line()), encoding="utf-8")
        with (DOCS / "validation.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([COLUMNS, *rows])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
