"""Training in epochs: the predicted excess loss against simulated runs that shuffle once an epoch.

`python -m validation.epochs` prints the table, about ten minutes on one idle core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import genfun as gf
from genfun.experiments import simulate_many
from validation.claim import Claim

TABLE = Path(__file__).resolve().parents[1] / "docs" / "data" / "breast_cancer.csv"
SHARES = (0.1, 0.3, 0.5, 0.7)
MOMENTA = (0.0, 0.5, -0.3)
EPOCHS = (0.5, 1.0, 2.0, 5.5, 10.0, 30.0)
REPLICAS = 256
KNOWN = 0.02
"""Cells whose simulated mean is known less well, by its relative standard error, are left out."""


@dataclass(frozen=True)
class Cell:
    """One setting at one step.

    Attributes
    ----------
    data : str
    batch_size : int
    momentum, share : float
        The learning rate as a share of the edge of fresh batches.
    step : int
    error, fresh : float
        log of predicted over simulated excess loss, of the closure and of fresh batches.
    sem : float
        Relative standard error of the simulated excess loss.
    """

    data: str
    batch_size: int
    momentum: float
    share: float
    step: int
    error: float
    fresh: float
    sem: float


def data_sets() -> Iterator[tuple[str, gf.LinearData]]:
    """Two of the classics and two of our own."""
    table = np.loadtxt(TABLE, delimiter=",", skiprows=1)
    X, y = table[:, :-1], table[:, -1]
    yield "breast cancer", gf.LinearData.from_features((X - X.mean(axis=0)) / X.std(axis=0), y - y.mean())
    yield "MNIST NTK, 200", gf.data.mnist(200)
    rng = np.random.default_rng(1)
    features = rng.standard_t(5, (240, 12)) * np.arange(1.0, 13.0) ** -0.7
    yield "Student t, 5 degrees", gf.LinearData.from_features(features, features.sum(axis=1) + rng.standard_normal(240))
    counts = rng.poisson(2.0 * np.arange(1.0, 17.0) ** -0.5, (320, 16)).astype(float)
    yield "counts", gf.LinearData.from_features(counts, counts @ rng.standard_normal(16) + rng.standard_normal(320))


def cells(name: str, data: gf.LinearData, batch: int, seed: int = 0) -> list[Cell]:
    """All settings of one batch size on the same shuffles."""
    each = data.n_samples // batch
    steps = np.unique(np.array([max(1, round(e * each)) for e in EPOCHS]))
    settings, methods = [], []
    for beta in MOMENTA:
        edge = gf.max_learning_rate(data, beta, batch)
        for share in SHARES:
            settings.append((beta, share))
            methods.append(gf.SGD(share * edge, beta, batch, sampling="epochs"))
    runs = simulate_many(data, methods, int(steps[-1]), REPLICAS, "cpu", seed, np.append(0, steps))
    floor, found = 0.5 * data.noise_variance, []
    for (beta, share), method, run in zip(settings, methods, runs, strict=True):
        mean, sem = run.mean[1:] - floor, run.sem[1:]
        predicted = gf.predict(data, method, steps).loss - floor
        fresh = gf.predict(data, gf.SGD(method.learning_rate, beta, batch), steps).loss - floor
        for i, step in enumerate(steps.tolist()):
            error, other = (float(np.log(x[i] / mean[i])) for x in (predicted, fresh))
            found.append(Cell(name, batch, beta, share, step, error, other, float(sem[i] / mean[i])))
    return found


def table() -> list[Cell]:
    """All cells, those that are known well enough."""
    found: list[Cell] = []
    for name, data in data_sets():
        for batch in (1, 8, data.n_samples // 4):
            some = [c for c in cells(name, data, batch) if c.sem < KNOWN]
            print(f"{name:22} b={batch:<4}", summary(some), flush=True)
            found += some
    return found


def summary(found: list[Cell]) -> str:
    """Median and 90 % of the errors by share of the edge, in per cent: of the closure, and of fresh batches."""
    words = []
    for share in SHARES:
        some = [c for c in found if c.share == share]
        if some:
            parts = [np.abs([getattr(c, kind) for c in some]) for kind in ("error", "fresh")]
            texts = [f"{100 * np.median(x):.1f}/{100 * np.quantile(x, 0.9):.1f}" for x in parts]
            words.append(f"{share}: {texts[0]} (fresh {texts[1]}, {len(some)})")
    return "  ".join(words)


def claims(fast: bool = False) -> list[Claim]:
    if fast:
        name, data = list(data_sets())[2]
        found = [c for c in cells(name, data, 60) if c.sem < KNOWN]
    else:
        found = table()
    errors, source = np.abs([c.error for c in found]), "runs that shuffle once an epoch, to 30 epochs"
    note = f"{len(found)} cells known to {KNOWN:.0%}; by share of the edge, median/90 % in per cent: {summary(found)}"
    return [
        Claim(
            "epochs: median |log error| of the excess loss", float(np.median(errors)), 0.0, 0.02, "approximate", source
        ),
        Claim(
            "epochs: 90 % of |log error| of the excess loss",
            float(np.quantile(errors, 0.9)),
            0.0,
            0.06,
            "approximate",
            source,
            note,
        ),
    ]


def main() -> None:
    """Print the table and the figures of all cells."""
    found = table()
    print("all".ljust(29), summary(found))
    errors = np.abs([c.error for c in found])
    print(f"{len(found)} cells: median {np.median(errors):.2%}, 90 % within {np.quantile(errors, 0.9):.2%}")


if __name__ == "__main__":
    main()
