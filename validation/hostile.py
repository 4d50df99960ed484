"""Random problems made to break the engine, each loss against the recursion in extended precision.

`python -m validation.hostile --count 10000` takes minutes; problem i of a seed is always the same one, so that a
failure is found again with `--only i`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

import genfun as gf
from genfun.engine.recursion import Recursion
from genfun.noise import sampling_factor
from validation.claim import Claim

WRONG, UNDERSTATED, SLOW = 1e-8, 10.0, 20.0
"""A loss is wrong if its relative error is above WRONG and UNDERSTATED times the estimate, under a good status."""
GOOD = ("ok", "diverges", "underflow")
BAD = ("wrong", "crash", "warning", "slow")
RECURSION_STEPS, RECURSION_WORK, EXACT_MODES = 400, 200_000, 3
DIGITS = 80


@dataclass(frozen=True)
class Hostile:
    """One case: what to predict."""

    problem: gf.LinearProblem
    method: gf.SGD
    noise: gf.SpectrallyExpressible
    steps: np.ndarray

    def __str__(self) -> str:
        p = self.problem
        lam, s = (np.array2string(x[:6], separator=", ") for x in (p.eigenvalues, p.signal))
        return f"{p.eigenvalues.size} modes {lam} {s}, sigma2 {p.noise_variance!r}, {self.method}, {self.noise}"


def hostile(seed: int, index: int) -> Hostile:
    """Eigenvalues and signals over many decades, with duplicates, clusters and zeros; rates at and beyond the edge."""
    rng = np.random.default_rng([seed, index])
    n = int(rng.choice([1, 2, 3, 8, 40, 300, 3000], p=[0.2, 0.2, 0.2, 0.15, 0.15, 0.08, 0.02]))
    lam = 10.0 ** rng.uniform(-rng.choice([0.5, 3.0, 16.0, 30.0]), 0.0, n)
    shape = rng.random()
    if shape < 0.15:
        lam = np.full(n, lam[0])
    elif shape < 0.3:
        lam = lam[rng.integers(0, n, n)] * (1.0 + rng.choice([1e-12, 1e-6]) * rng.random(n))
    lam *= 10.0 ** rng.choice([0.0, 0.0, rng.uniform(-60.0, 60.0)])
    if lam.max() < 1e-74:  # refused at the door
        lam /= lam.max()
    s = 10.0 ** rng.uniform(-rng.choice([0.5, 3.0, 200.0]), 0.0, n)
    zeros = rng.random()
    if zeros < 0.1:
        s[rng.integers(0, n)] = 0.0
    elif zeros < 0.2:
        s = np.where(np.arange(n) == rng.integers(0, n), s, 0.0)
    s *= 10.0 ** rng.choice([0.0, 0.0, rng.uniform(-60.0, 60.0)])
    size = rng.choice([0, 1, 2, int(rng.integers(3, 200)), 10**12])
    samples = int(size) or None
    batches = [1, 2, None] if samples is None else [1, max(samples - 1, 1), samples, int(rng.integers(1, samples + 1))]
    batch: Any = batches[rng.integers(0, len(batches))]
    beta = float(rng.choice([0.0, 0.9, 0.999, -0.999, rng.uniform(-1.0, 1.0)]))
    tau1 = float(rng.choice([0.0, 0.5, 1.0, 1.0, 2.0]))
    noise = gf.SpectrallyExpressible(tau1, min(tau1, float(rng.choice([-3.0, -1.0, 0.0, 1.0, rng.uniform(-3.0, 2.0)]))))
    sigma2 = float(rng.choice([0.0, 0.0, 1e-30, 1e-20, 1e-10, 1.0, 1e20])) * float(max(s.sum(), 1e-200))
    problem = gf.LinearProblem(lam, s, samples, sigma2)
    edge = gf.max_learning_rate(problem, beta, batch, noise)
    near = 10.0 ** -rng.uniform(6.0, 12.0)
    share = float(rng.choice([1.0 - near, 1.0 + near, rng.uniform(0.1, 1.0), 10.0 ** rng.uniform(-6.0, 0.0), 1.3, 3.0]))
    late = 10.0 ** rng.uniform(0.0, 15.0, 2)
    steps = np.array(
        [0, 1, 2, int(rng.integers(3, 60)), int(rng.integers(60, RECURSION_STEPS)), *late.astype(np.int64)]
    )
    return Hostile(problem, gf.SGD(edge * share, beta, batch), noise, rng.permutation(steps))


def recursion_logs(case: Hostile, last: int) -> np.ndarray:
    """log L of the first steps, in extended precision from the exact inputs."""
    run = Recursion(case.problem, [case.method], case.noise, case.problem.full_measures, np.longdouble)
    run.force = _exact_force(case)
    mantissa, exponent = run.run(last)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(mantissa[0]) + exponent[0] * np.log(np.longdouble(2.0))


def _exact_force(case: Hostile) -> np.ndarray:
    """gamma a^2 without the rounding of lambda^2."""
    a = np.longdouble(case.method.learning_rate) * case.problem.eigenvalues.astype(np.longdouble)
    return np.broadcast_to(np.longdouble(_gamma(case)) * a * a, (3, 1, a.size)).copy()


def _gamma(case: Hostile) -> float:
    return sampling_factor(case.method.batch_size, case.problem.n_samples, case.method.replacement)


def exact_log(case: Hostile, step: int) -> float:
    """log L of a small problem at any step: powers of the matrix of the second moments with 80 digits."""
    with mpmath.workdps(DIGITS):
        rate, beta = mpmath.mpf(case.method.learning_rate), mpmath.mpf(case.method.momentum)
        a = [rate * mpmath.mpf(float(x)) for x in case.problem.eigenvalues]
        n, gamma = len(a), mpmath.mpf(_gamma(case))
        tau1, tau2, sigma2 = (mpmath.mpf(x) for x in (case.noise.tau1, case.noise.tau2, case.problem.noise_variance))
        matrix = mpmath.zeros(3 * n + 1)
        matrix[3 * n, 3 * n] = 1
        for k, x in enumerate(a):
            rows = (
                ((1 - x) ** 2, 2 * beta * (1 - x), beta**2),
                (-x * (1 - x), beta * (1 - 2 * x), beta**2),
                (x * x, -2 * x * beta, beta**2),
            )
            for i in range(3):
                for j in range(3):
                    matrix[3 * k + i, 3 * k + j] += rows[i][j]
                matrix[3 * k + i, 3 * k] -= gamma * tau2 * x * x
                for m in range(n):
                    matrix[3 * k + i, 3 * m] += gamma * tau1 * x * x
                matrix[3 * k + i, 3 * n] += gamma * x * x * sigma2
        state = mpmath.zeros(3 * n + 1, 1)
        state[3 * n] = 1
        for k, x in enumerate(case.problem.signal):
            state[3 * k] = mpmath.mpf(float(x))
        power, left = matrix, int(step)
        while left:
            if left & 1:
                state = power * state
            left >>= 1
            if left:
                power = power * power
        loss = (sum(state[3 * k] for k in range(n)) + sigma2) / 2
        # 80 digits do not reach further down than this below the largest entries that have been cancelled.
        return float(mpmath.log(loss)) if loss > 0 else -np.inf


def verdict(case: Hostile) -> tuple[str, str]:
    """What came of a case, and the details where it is bad."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = gf.predict(case.problem, case.method, case.steps, case.noise)
            gf.stability(case.problem, case.method, case.noise)
    except Warning as warning:
        return "warning", f"{type(warning).__name__}: {warning}"
    except Exception as error:  # whatever it is, it is a crash
        return "crash", f"{type(error).__name__}: {error}"
    if time.process_time() - start > SLOW:
        return "slow", f"{time.process_time() - start:.0f} s"
    if found.status not in GOOD:
        return found.status, ""
    n = case.problem.eigenvalues.size
    early = int(min(RECURSION_STEPS, RECURSION_WORK // n))
    logs = recursion_logs(case, early)
    for step, log, error in zip(case.steps.tolist(), found.log_loss, found.error, strict=True):
        if step <= early:
            right = float(logs[step])
        elif n <= EXACT_MODES:
            right = exact_log(case, step)
        else:
            continue
        if np.isneginf(right) and np.isneginf(log):
            continue
        off = abs(np.expm1(min(log - right, 50.0)))
        if error >= 1.0:  # no digit is claimed, of a loss outside the range of doubles: others are "inaccurate"
            continue
        # A logarithm in double precision holds no more of a loss far outside their range.
        allowed = max(WRONG, UNDERSTATED * float(error), 1e-15 * abs(right))
        if abs(right) < 1e5 and not off <= allowed:
            return "wrong", f"step {step}: log {log!r}, right {right!r}, off {off:.1e}, claimed {error:.1e}"
    return found.status, ""


def fuzz(seed: int, indices: range, tell: Callable[[str], Any] = lambda line: None) -> Counter[str]:
    """Counts of what came of the cases; every bad one is told at once."""
    counts: Counter[str] = Counter()
    for index in indices:
        case = hostile(seed, index)
        kind, detail = verdict(case)
        counts[kind] += 1
        if detail:
            tell(f"{index} {kind}: {detail}; {case}")
    return counts


def claims(fast: bool = False) -> list[Claim]:
    """How many of a part of the cases go wrong, in each way."""
    number = 40 if fast else 500
    told: list[str] = []
    counts = fuzz(1, range(number), told.append)
    source = "extended precision and 80 digits"
    return [
        Claim(f"hostile problems: {kind}, of {number}", float(counts[kind]), 0.0, 0.0, "exact", source, "; ".join(told))
        for kind in BAD
    ]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=1000, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="index of the first case")
    parser.add_argument("--only", type=int, help="a single case")
    options = parser.parse_args()
    first, count = (options.first, options.count) if options.only is None else (options.only, 1)
    counts = fuzz(options.seed, range(first, first + count), lambda line: print(line, flush=True))
    print(f"{count} cases: " + ", ".join(f"{number} {kind}" for kind, number in counts.most_common()))


if __name__ == "__main__":
    main()
