"""A hundred epochs: the floor that label noise leaves, and what a training loop prints, against runs that shuffle.

`python -m validation.long_epochs` prints the table, about two minutes on one core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import genfun as gf
from validation.claim import Claim
from validation.epochs import data_sets

LAST, SETTLED = 100, 20
"""Epochs of a run, and the last of them whose mean is the floor."""
RUNS = 256
KNOWN = 0.01
"""Epochs whose logged loss is known less well, by its relative standard error, are left out."""
SETTINGS = ((1, 0.0, 0.1), (8, 0.0, 0.3), (8, 0.5, 0.3), (8, -0.3, 0.3))
"""Batch size, momentum, share of the edge of fresh batches."""


@dataclass(frozen=True)
class Long:
    """One setting for a hundred epochs: logs of predicted over simulated, and how well the runs are known.

    Attributes
    ----------
    data : str
    method : SGD
    floor, floor_sem : float
        Of the mean excess loss at the ends of the last epochs; nan without label noise.
    end, end_sem : float
        Of the excess loss after the last epoch.
    logged : float
        Of the mean logged loss of an epoch, in the epoch where it is furthest off.
    counted : int
        Epochs in that comparison.
    """

    data: str
    method: gf.SGD
    floor: float
    floor_sem: float
    end: float
    end_sem: float
    logged: float
    counted: int


def loop(data: gf.LinearData, method: gf.SGD, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Full-data loss after every epoch and mean printed loss of every epoch, shape (RUNS, LAST): a loader's loop."""
    rng, n, b = np.random.default_rng(seed), data.n_samples, int(method.batch_size or 0)
    phi, y, each = data.eigenfeatures, data.targets[:, 0], data.n_samples // int(method.batch_size or 0)
    w, v = np.zeros((RUNS, data.rank)), np.zeros((RUNS, data.rank))
    after, printed = np.zeros((RUNS, LAST)), np.zeros((RUNS, LAST))
    for epoch in range(LAST):
        order = rng.permuted(np.tile(np.arange(n), (RUNS, 1)), axis=1)
        for t in range(each):
            batch = order[:, t * b : (t + 1) * b]
            rows = phi[batch]
            left = np.matmul(rows, w[:, :, None])[:, :, 0] - y[batch]
            printed[:, epoch] += 0.5 * (left**2).mean(axis=1) / each
            v = method.momentum * v - method.learning_rate / b * np.matmul(left[:, None, :], rows)[:, 0]
            w = w + v
        after[:, epoch] = 0.5 * ((w @ phi.T - y) ** 2).mean(axis=1)
    return after, printed


def long_run(name: str, data: gf.LinearData, b: int, beta: float, share: float) -> Long:
    """One setting."""
    method = gf.SGD(share * gf.max_learning_rate(data, beta, b), beta, b)
    after, printed = loop(data, method, 5)
    each, floor = data.n_samples // b, 0.5 * data.noise_variance
    curve = gf.epochs_curve(data, method, np.arange(LAST * each + 1))
    ends = curve.loss[each::each] - floor
    logged = curve.logged_loss[:-1].reshape(LAST, each).mean(axis=1)
    excess = after - floor
    late, mean = excess[:, -SETTLED:].mean(axis=1), printed.mean(axis=0)
    known = printed.std(axis=0) / np.sqrt(RUNS) < KNOWN * mean
    off = np.log(logged / mean)[known]
    noisy = data.noise_variance > 1e-9 * mean[0]

    def compared(predicted: float, runs: np.ndarray) -> tuple[float, float]:
        return float(np.log(predicted / runs.mean())), float(runs.std() / np.sqrt(RUNS) / runs.mean())

    settled = compared(float(ends[-SETTLED:].mean()), late) if noisy else (np.nan, np.nan)
    return Long(
        name,
        method,
        *settled,
        *compared(float(ends[-1]), excess[:, -1]),
        float(off[np.abs(off).argmax()]) if off.size else np.nan,
        int(known.sum()),
    )


def table(fast: bool = False) -> list[Long]:
    """All settings; of a fast table, one of few steps an epoch on the counts."""
    named = dict(data_sets())
    some = {"counts": named["counts"]} if fast else named
    return [long_run(name, data, *s) for name, data in some.items() for s in ([(40, 0.5, 0.3)] if fast else SETTINGS)]


def claims(fast: bool = False) -> list[Claim]:
    found = table(fast)
    source, result = "runs that shuffle once an epoch, 100 epochs", []
    for x in found:
        m = x.method
        where = f"100 epochs, {x.data}, b={m.batch_size}, beta={m.momentum:g}, rate {m.learning_rate:.3g}"
        if np.isfinite(x.floor):
            text, note = f"{where}: floor of label noise over that of {RUNS} runs", f"known to {x.floor_sem:.1%}"
            result.append(Claim(text, float(np.exp(x.floor)), 1.0, 0.05, "approximate", source, note))
        text, note = f"{where}: logged loss over that of {RUNS} runs, epoch by epoch, worst", f"{x.counted} epochs"
        result.append(Claim(text, float(np.exp(x.logged)), 1.0, 0.03, "approximate", source, note))
    return result


def main() -> None:
    """Print every setting."""
    for name, data in data_sets():
        for setting in SETTINGS:
            x = long_run(name, data, *setting)
            print(
                f"{name:22} b={setting[0]} beta={setting[1]:4} share={setting[2]}: floor {x.floor:+.1%} "
                f"(known to {x.floor_sem:.1%}), after 100 epochs {x.end:+.1%} ({x.end_sem:.1%}), "
                f"logged {x.logged:+.1%} at worst of {x.counted} epochs",
                flush=True,
            )


if __name__ == "__main__":
    main()
