"""Cases of the command line: the JSON of every command on small inputs, and its refusals."""

from __future__ import annotations

import json
import shlex
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from validation.recorded.plain import Cases
from validation.recorded.problems import table

LAW = "power-law --nu 1.5 --zeta 0.5"
DIGITS = "mnist --n 60"
FEW_RUNS = "--steps 30 --replicas 4 --workers 1"
LINES = (
    f"predict {LAW} --batch-size 10 --learning-rate 0.3 --steps 100,1e4,1e8",
    f"predict {DIGITS} --batch-size 10 --learning-rate 0.5 --momentum -0.3 --steps 0,100",
    f"predict {DIGITS} --batch-size full --learning-rate 0.5 --steps 100 --tau1 1 --tau2 0",
    f'predict {LAW} --batch-size 8 --learning-rate "Warmup(20, Cosine(0.5, 100))" --steps 0,50,100',
    "predict table.csv --batch-size 4 --learning-rate 0.01 --steps 10,100",
    f"steps {LAW} --batch-size 10 --learning-rate 0.3 --loss 0.01",
    f"steps {DIGITS} --batch-size 10 --learning-rate 0.3 --share 0.1",
    f"stability {DIGITS} --batch-size 1 --learning-rate 0.5",
    f"stability {LAW} --n-modes 100 --batch-size 10 --learning-rate 0.1 --momentum 0.9",
    f"max-lr {DIGITS} --batch-size 10 --momentum 0.9",
    f"max-lr {LAW} --batch-size 1",
    "max-lr table.csv --column y --batch-size full",
    f"phase {LAW} --batch-size 100 --learning-rate 0.4",
    f"phase {DIGITS} --batch-size 10 --learning-rate 0.5 --momentum 0.5",
    f"escape {DIGITS} --batch-size 10 --learning-rates 0.1,0.5,2",
    f"optimize {LAW} --n-modes 50 --batch-size 1 --steps 100",
    f"optimize {LAW} --n-modes 50 --budget 1000 --momentum 0",
    f"map {LAW} --n-modes 50 --batch-sizes 1,full --step 100 --cells 8",
    f"translate {LAW} --n-modes 50 --batch-size 2 --learning-rate 0.05 --momentum 0.9 --to 16",
    f"translate {DIGITS} --batch-size 2 --learning-rate 0.1 --to full --keep edge",
    f"explain {DIGITS} --batch-size 10 --learning-rate 0.5 --steps 200",
    f"explain {LAW} --n-modes 100 --batch-size 1 --learning-rate 0.2 --steps 500",
    f"batch-size {LAW} --learning-rate 0.5 --loss 0.05 --step-time 1e-3,1e-5",
    f"batch-size {DIGITS} --learning-rate 0.3 --share 0.2",
    "critical-batch points.csv",
    f"big-batch {DIGITS} --batch-size 10 --learning-rate 0.3 --steps 0,10,100",
    f"validate {DIGITS} --n 30 --batch-sizes 1,10 --momenta 0 --shares 0.5 --steps 50 --replicas 8",
    f"sweep {LAW} --n-modes 4 --n-samples 12 --learning-rates 0.1,0.3 --batch-sizes 2,full {FEW_RUNS}",
    "convert torch ema lr=0.1 momentum=0.9",
    "convert torch qhm lr=0.1 momentum=0.9 nesterov=true",
    "derive",
    "doctor",
    f"report {DIGITS} --batch-sizes 1,10 --momenta 0,0.9 --steps 1e4 --best-at 100",
    f"report {LAW} --n-modes 50 --batch-sizes 4 --momenta 0 --steps 1e3",
    "predict mnist --batch-size 10",
    f"predict {LAW} --batch-size 0 --learning-rate 0.3 --steps 1",
    "max-lr nothing.csv --batch-size 1",
)


def _files(folder: Path) -> None:
    """What some of the commands read."""
    x, y = table()
    header = ",".join([f"x{i}" for i in range(x.shape[1])] + ["y"])
    rows = (",".join(f"{value:.17g}" for value in (*row, target)) for row, target in zip(x, y, strict=True))
    (folder / "table.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    points = "\n".join(f"{2**k},{1000 + 16000 // 2**k + 2**k}" for k in range(8))
    (folder / "points.csv").write_text(f"batch_size,steps\n{points}\n", encoding="utf-8")


def printed(line: str) -> Any:
    """The exit code and the JSON of a command, run where its files lie."""
    from click.testing import CliRunner

    from genfun.cli import main

    runner = CliRunner()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _files(folder)
        words = [str(folder / word) if word in ("table.csv", "points.csv") else word for word in shlex.split(line)]
        if words[0] == "report":
            words += ["--out", str(folder / "out")]
        done = runner.invoke(main, [*words, "--json"])
    found = json.loads(done.stdout) if done.exit_code == 0 else None
    return {"exit": done.exit_code, "json": _without_folders(found)}


def _without_folders(found: Any) -> Any:
    """The answer without the names of the files that it was asked about."""
    if isinstance(found, dict):
        return {
            key: _without_folders(x) for key, x in found.items() if key not in ("target", "points", "files", "path")
        }
    return [_without_folders(x) for x in found] if isinstance(found, list) else found


def commands() -> Cases:
    """All cases of this file."""
    return {f"genfun {line}": partial(printed, line) for line in LINES}
