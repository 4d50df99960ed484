"""Linear probes under cross-entropy: the predicted loss and error rate against SGD runs in plain NumPy.

Breast cancer, MNIST digits in 25 principal components and as pixels, and embeddings: many correlated features about a
centre for each class. Learning rates from a tenth to nine tenths of the start edge, momentum of both signs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import genfun as gf
from genfun.data.digits import mnist_arrays
from genfun.experiments.simulation.probe_runs import probe_runs
from validation.claim import Claim

TABLE = Path(__file__).resolve().parents[1] / "docs" / "data" / "breast_cancer.csv"
SHARES, MOMENTA = (0.1, 0.3, 0.9), (-0.3, 0.0, 0.9)
IN_BLOCKS = [(0.1, 0.9), (0.3, -0.3), (0.9, 0.0)]
STEPS = (1, 3, 10, 30, 100, 300, 1000, 4096)


class Point(NamedTuple):
    """A prediction beside the mean of runs: losses, their standard error, and shares classified wrongly."""

    share: float
    momentum: float
    step: int
    told: float
    error: float
    seen: float
    sem: float
    told_wrong: float
    seen_wrong: float
    sem_wrong: float

    @property
    def off(self) -> float:
        """What the prediction differs by, relative, beyond 2.5 standard errors."""
        return max(0.0, abs(np.log(self.told / self.seen)) - 2.5 * self.sem / self.seen)

    @property
    def off_wrong(self) -> float:
        """The same of the error rate, in points."""
        return 100.0 * max(0.0, abs(self.told_wrong - self.seen_wrong) - 2.5 * self.sem_wrong)


def sets(n: int) -> Iterator[tuple[str, gf.SoftmaxData, int]]:
    """Name, data and batch size; those of more than 600 weights are followed in blocks."""
    table = np.loadtxt(TABLE, delimiter=",", skiprows=1)
    X = (table[:, :-1] - table[:, :-1].mean(axis=0)) / table[:, :-1].std(axis=0)
    X = np.hstack([X, np.ones((len(X), 1))])
    yield "breast cancer", gf.SoftmaxData.from_features(X, table[:, -1].astype(int)), 8
    images, labels = mnist_arrays()
    some = np.random.default_rng(0).permutation(len(images))[:n]
    x = images[some].reshape(n, -1) / 255.0
    x = x - x.mean(axis=0)
    left, size, _ = np.linalg.svd(x, full_matrices=False)
    yield "MNIST in 25 components", gf.SoftmaxData.from_features(left[:, :25] * size[:25], labels[some]), 8
    yield "MNIST pixels", gf.SoftmaxData.from_features(x, labels[some]), 16
    yield "512 features of 10 classes", embeddings(n, 512, 10), 16
    yield "20 features of 100 classes", embeddings(min(n, 300), 20, 100), 16
    # Five samples of each class: what each of them says is learnt by heart.
    yield "512 features of 100 classes", embeddings(n, 512, 100), 16


def embeddings(n: int, features: int, classes: int) -> gf.SoftmaxData:
    """Features whose spread falls as a power, about centres that differ as much."""
    rng = np.random.default_rng(features)
    fall = np.arange(1.0, features + 1.0) ** -0.5
    labels = rng.permutation(n) % classes
    X = fall * (rng.standard_normal((classes, features))[labels] + 1.5 * rng.standard_normal((n, features)))
    return gf.SoftmaxData.from_features(X - X.mean(axis=0), labels)


def runs(data: gf.SoftmaxData, method: gf.SGD, steps: Any, count: int, seed: int = 0, on: Any = None) -> Any:
    """Losses and error rates at ascending steps, of simulated runs: (steps, 2, count)."""
    kept = np.asarray(list(steps))
    return np.stack(probe_runs(data, method, kept, count, seed, "fresh", lambda done: None, on), axis=1).T


def points(
    data: gf.SoftmaxData, size: int, steps: Any, count: int, settings: Any
) -> tuple[list[Point], tuple[float, float]]:
    """The prediction beside the runs, and the seconds of a prediction and of the runs."""
    found, seconds = [], np.zeros(2)
    for share, momentum in settings:
        method = gf.SGD(share * gf.max_learning_rate(data, momentum, size), momentum, size)
        first = time.process_time()
        told = gf.predict(data, method, steps)
        middle = time.process_time()
        seen = runs(data, method, steps, count)
        seconds += middle - first, time.process_time() - middle
        mean, sem = seen.mean(axis=2), seen.std(axis=2, ddof=1) / count**0.5
        rows = zip(told.loss, told.error, mean[:, 0], sem[:, 0], told.error_rate, mean[:, 1], sem[:, 1], strict=True)
        for step, row in zip(steps, rows, strict=True):
            found.append(Point(share, momentum, step, *(float(x) for x in row)))
    return found, (float(seconds[0]) / len(settings), float(seconds[1]) / len(settings))


def claims(fast: bool = False) -> list[Claim]:
    count, steps = (12, STEPS[:5]) if fast else (24, STEPS)
    cells = [(share, momentum) for share in SHARES for momentum in MOMENTA]
    result, source = [], f"{count} runs of each setting"
    for name, data, size in islice(sets(300), 3) if fast else sets(500):
        whole, many = data.n_weights <= data.whole, len(data.classes) >= 20
        large = many and data.features.shape[1] > 100
        # In blocks a prediction takes 8 s and its runs as much: every share and every momentum once.
        settings = [(0.1, 0.9), (0.3, -0.3)] if fast else cells if whole else cells[1:2] if many else IN_BLOCKS
        found, (ours, theirs) = points(data, size, steps, count, settings)
        shares = sorted({p.share for p in found})
        note = "; ".join(
            f"{share:g} of the edge: median {np.median(off):.2%}, 90 % {np.quantile(off, 0.9):.2%}, most {max(off):.2%}"
            for share in shares
            for off in [[p.off for p in found if p.share == share]]
        )
        note += f"; {ours:.1f} s a prediction, {theirs:.1f} s the {count} runs"
        off = [p.off for p in found]
        what = f"{name}, batches of {size}: median distance of the loss beyond 2.5 standard errors, relative"
        known = "batches see few of the classes, and five samples of each are learnt by heart" if large else ""
        most = 0.01 if whole else 0.05
        result.append(Claim(what, float(np.median(off)), 0.0, most, "approximate", source, note, known))
        fair = float(np.mean([p.off <= 2.0 * p.error for p in found]))
        worst = max(found, key=lambda p: p.off / max(p.error, 1e-6))
        note = (
            f"worst {worst.off:.2%} of estimated {worst.error:.2%}, at step {worst.step}, {worst.share:g} of the edge"
        )
        what = f"{name}: share of losses within twice the estimated error, and 2.5 standard errors, at least .9"
        result.append(Claim(what, max(0.0, 0.9 - fair), 0.0, 1e-9, "approximate", source, f"{fair:.1%}; {note}"))
        fine = [p.off_wrong for p in found if p.step * size >= 10 * len(data.classes)]
        what = (
            f"{name}: error rate after ten samples a class beyond 2.5 standard errors, of 90 % of the points, in points"
        )
        note = f"median {np.median(fine):.2f}, most {max(fine):.2f}, of all {max(p.off_wrong for p in found):.2f}"
        high = float(np.quantile(fine, 0.9))
        result.append(Claim(what, high, 0.0, 1.0, "approximate", source, note))
    return [*result, _regret(fast)]


def _regret(fast: bool) -> Claim:
    """What the best setting by prediction costs beside those around it, each simulated with the same batches."""
    name, data, size = next(sets(0))
    last, count = (30, 40) if fast else (100, 200)
    best = gf.optimize(data, size, last)
    near = [
        gf.SGD(best.method.learning_rate * factor, 1.0 - (1.0 - best.method.momentum) * gap, size)
        for factor in (0.5, 0.7, 1.0, 1.4, 2.0)
        for gap in (0.5, 1.0, 2.0)
        if 1.0 - (1.0 - best.method.momentum) * gap > -1.0
    ]
    losses = np.array([runs(data, method, [last], count)[0, 0] for method in (best.method, *near)])
    mean, least = losses.mean(axis=1), int(np.argmin(losses.mean(axis=1)))
    error = float((losses[0] - losses[least]).std(ddof=1) / count**0.5 / mean[least])
    what = (
        f"{name}: simulated loss of the best setting by prediction over that of the best of 15 about it, 1.03 at most"
    )
    note = f"{best!r}; simulated {mean[0]:.4g}, the best about it {mean[least]:.4g} by {near[max(least - 1, 0)]!r}"
    ratio = max(1.0, float(mean[0] / mean[least]))
    return Claim(what, ratio, 1.0, 0.03 + 2.5 * error, "approximate", f"{count} runs of each", note)
