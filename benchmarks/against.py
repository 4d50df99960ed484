"""Time the same work in an earlier checkout and in this one, alternating: work, before, wished, now, ratio.

`python -m benchmarks.against CHECKOUT [WORDS ...]` starts a process for each line and side, which runs the work once
and then keeps the least processor time of its repeats; WORDS pick the lines that contain one of them. With numba the
compiled loops are at work before the clock starts. The wish is a number of seconds, or what NumPy alone takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.timing import machine

RESULTS = Path(__file__).with_name("against.json")
HERE = Path(__file__).resolve().parents[1]
ROUNDS = 2
"""Times that each side is asked, the other in between."""


class Work(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    setup, run : str
        Lines, and an expression that is timed.
    wished : float or str or None
        Seconds, or an expression whose time is the measure.
    repeats : int
    numba : bool
        Whether the compiled loops are loaded first.
    """

    setup: str
    run: str
    wished: float | str | None
    repeats: int = 3
    numba: bool = False


PRELUDE = """
import sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, genfun as gf
steps, setting = np.rint(np.geomspace(1, 1e9, 200)).astype(np.int64), gf.SGD(0.5, 0.5, 10)
def listed(n):
    spectrum = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=n)
    return gf.LinearProblem(spectrum.eigenvalues, spectrum.signal)
def least(run, repeats):
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time(); run(); times.append(time.process_time() - start)
    return min(times)
"""
GRID = "rates, momenta = np.geomspace(0.01, 4.0, {0}), np.linspace(-0.9, 0.9, {0})\n"
RANDOM = "rng = np.random.default_rng(0); X = rng.standard_normal({0}); y = rng.standard_normal({0}[0])"
GRAM = "(np.linalg.eigh(X.T @ X), X.T @ y)"
THOUSAND, INFINITE = "p = listed(1000)", "p = gf.PowerLaw(1.5, 0.5)"
KERNEL = "K = X @ X.T / 50 + np.exp(-((X[:, :1] - X[:, 0]) ** 2) / 2)"

LINES = {
    "map 200 x 200, step 10^4": Work(GRID.format(200) + THOUSAND, "gf.loss_map(p, rates, momenta, 10_000, 10)", 0.136),
    "the same with numba": Work(
        GRID.format(200) + THOUSAND, "gf.loss_map(p, rates, momenta, 10_000, 10)", 0.136, numba=True
    ),
    "map 200 x 200, step 47": Work(GRID.format(200) + THOUSAND, "gf.loss_map(p, rates, momenta, 47, 10)", 0.29, 2),
    "map 100 x 100, full batch": Work(
        GRID.format(100) + THOUSAND, "gf.loss_map(p, rates, momenta, 10_000, None)", 0.29
    ),
    "map 200 x 200, infinite spectrum": Work(
        GRID.format(200) + INFINITE, "gf.loss_map(p, rates, momenta, 10_000, 10)", 3.1, 1
    ),
    "6,000 steps at momentum .999": Work(INFINITE, "gf.predict(p, gf.SGD(0.001, 0.999, 10), 6000)", 0.014, 5),
    "10^6 modes, 200 steps, the first time": Work(
        "q = listed(1_000_000); a = q.eigenvalues, q.signal", "gf.predict(gf.LinearProblem(*a), setting, steps)", 0.037
    ),
    "1,000 modes, 200 steps to 10^9": Work(THOUSAND, "gf.predict(p, setting, steps)", 0.0045, 20),
    "the same at momentum .97": Work(
        THOUSAND + "\nfast = gf.SGD(0.9 * gf.max_learning_rate(p, 0.97, 10), 0.97, 10)",
        "gf.predict(p, fast, steps)",
        None,
        8,
    ),
    "1,000 modes, step 1,000": Work(THOUSAND, "gf.predict(p, setting, 1000)", 0.00049, 20),
    "the same with numba, again": Work(THOUSAND, "gf.predict(p, setting, 1000)", 0.00049, 20, True),
    "1,000 modes, every step to 1,000": Work(THOUSAND + "\ns = np.arange(1001)", "gf.predict(p, setting, s)", None, 20),
    "from_features 10^6 x 50": Work(
        RANDOM.format((1_000_000, 50)), "gf.LinearData.from_features(X, y).problem.eigenvalues", GRAM
    ),
    "from_features 10^4 x 784": Work(
        RANDOM.format((10_000, 784)), "gf.LinearData.from_features(X, y).problem.eigenvalues", GRAM
    ),
    "from_kernel, 3,000 samples": Work(
        RANDOM.format((3000, 50)) + "\n" + KERNEL,
        "gf.LinearData.from_kernel(K, y).problem.eigenvalues",
        "np.linalg.eigh(K)",
        1,
    ),
    "simulate 40 runs x 1,000 steps": Work(
        "from genfun.experiments import simulate; d = gf.data.mnist(n=1000, seed=0)",
        "simulate(d, gf.SGD(0.3, 0.9, 10), 1000, 40, 'cpu')",
        0.13,
    ),
    "the same runs with numba": Work(
        "from genfun.experiments import simulate; d = gf.data.mnist(n=1000, seed=0)",
        "simulate(d, gf.SGD(0.3, 0.9, 10), 1000, 40, 'cpu')",
        0.13,
        numba=True,
    ),
    "big batch": Work(THOUSAND, "gf.big_batch(p, gf.SGD(0.3, 0.0, 8), 1000)", None),
    "critical batch": Work(THOUSAND, "gf.critical_batch_size(p, loss=0.05)", None),
    "optimize rate and momentum": Work(THOUSAND, "gf.optimize(p, 1000, 10)", None),
}
COMMANDS = {
    "genfun --help": ("--help",),
    "genfun max-lr power-law": ("max-lr", "power-law", "--nu", "1.5", "--zeta", "0.5", "--batch-size", "10"),
    "genfun explain power-law": (
        *("explain", "power-law", "--nu", "1.5", "--zeta", "0.5"),
        *("--learning-rate", "0.5", "--batch-size", "10", "--steps", "1000"),
    ),
    "genfun report mnist": ("report", "mnist", "--out"),
}
"""A folder follows where a command writes."""


def asked(root: Path, work: Work, run: str) -> float | None:
    """Least seconds of an expression in a process of its own; None where that side does not know it."""
    code = ("import numba\n" if work.numba else "") + PRELUDE + work.setup
    code += f"\nprint(least(lambda: {run}, {work.repeats}))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=_environment(root), capture_output=True, text=True
    )
    return float(found.stdout.split()[-1]) if found.returncode == 0 else None


def commanded(root: Path, arguments: tuple[str, ...], folder: str) -> float | None:
    """Processor seconds of a command, its start included."""
    whole = [*arguments, folder] if arguments[-1] == "--out" else list(arguments)
    before = os.times()
    found = subprocess.run(
        [sys.executable, "-m", "genfun", *whole], cwd=root, env=_environment(root), capture_output=True
    )
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent if found.returncode == 0 else None


def _environment(root: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def compared(old: Path, words: list[str]) -> dict[str, dict[str, Any]]:
    """Every line: seconds before, wished and now; printed as they come."""
    import tempfile

    print(f"{'work':40} {'before':>9} {'wished':>9} {'now':>9}  now/before")
    results: dict[str, dict[str, Any]] = {}
    for name in [*LINES, *COMMANDS]:
        if words and not any(word in name for word in words):
            continue
        wished: float | None = None
        pairs = []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                if name in LINES:
                    pairs.append(tuple(asked(root, LINES[name], LINES[name].run) for root in (old, HERE)))
                else:
                    pairs.append(tuple(commanded(root, COMMANDS[name], folder) for root in (old, HERE)))
        before, now = (min((t for t in side if t is not None), default=None) for side in zip(*pairs, strict=True))
        if name in LINES:
            wish = LINES[name].wished
            wished = asked(HERE, LINES[name], wish) if isinstance(wish, str) else wish
        results[name] = {"before_s": before, "wished_s": wished, "now_s": now}
        ratio = f"{now / before:11.2f}" if now and before else ""
        print(f"{name:40} {_shown(before)} {_shown(wished)} {_shown(now)} {ratio}", flush=True)
    return results


def _shown(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:7.3g} s" if value >= 0.1 else f"{1e3 * value:6.3g} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of the earlier version")
    parser.add_argument("words", nargs="*", help="only lines that contain one of these")
    given = parser.parse_args()
    results = compared(given.checkout.resolve(), given.words)
    if not given.words:
        text = json.dumps({"machine": machine(), "processor_seconds": results}, indent=2) + "\n"
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
