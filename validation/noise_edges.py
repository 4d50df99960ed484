"""The picture of the page *When it fails*: `python -m validation.noise_edges` writes docs/img/noise_edges.{png,csv}.

The largest stable learning rate at batch size 1 without momentum over the exact one, for three noise models.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf

DOCS = Path(__file__).resolve().parents[1] / "docs"
MODELS = {"tau1 = tau2 = 1": gf.SpectrallyExpressible(), "fitted tau1, tau2": "fitted", "measured": "measured"}


def standardised(X: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1, constant ones left out, and an intercept."""
    kept = X[:, X.std(axis=0) > 0.0]
    return np.column_stack([np.ones(len(X)), (kept - kept.mean(axis=0)) / kept.std(axis=0)])


def data_sets(n: int = 600, seed: int = 0) -> Iterator[tuple[str, gf.LinearData]]:
    """Tables, digits and kernels of many kinds, of about n samples."""
    table = np.loadtxt(DOCS / "data" / "breast_cancer.csv", delimiter=",", skiprows=1)
    table = table if n >= len(table) else np.random.default_rng(seed).permutation(table)[:n]
    X, y = table[:, :-1], table[:, -1]
    yield "breast cancer", gf.LinearData.from_features(X, y)
    yield "breast cancer, standardised", gf.LinearData.from_features(standardised(X), y)
    images, labels = gf.data.mnist_arrays()
    pick = np.random.default_rng(seed).choice(len(images), n, replace=False)
    pixels, even = images[pick].reshape(n, -1) / 255.0, np.where(labels[pick] % 2 == 0, 1.0, -1.0)
    yield "digits, pixels", gf.LinearData.from_features(pixels, even)
    yield "digits, standardised", gf.LinearData.from_features(standardised(pixels), even)
    yield "digits, NTK", gf.data.mnist(n=n, seed=seed, model="ntk")
    rng = np.random.default_rng(seed)
    d = 30
    target = rng.standard_normal(d)
    for name, features in {
        "Gaussian": rng.standard_normal((n, d)),
        "log-normal": np.exp(rng.standard_normal((n, d))),
        "Student t, 3 degrees": rng.standard_t(3, (n, d)),
        "1 % indicator": standardised(np.column_stack([rng.standard_normal((n, d - 1)), np.arange(n) < n // 100])),
        "bag of words": rng.poisson(np.exp(-0.15 * np.arange(d)), (n, d)).astype(float),
    }.items():
        labels = features[:, :d] @ target + rng.standard_normal(n)
        yield name, gf.LinearData.from_features(features, labels)
    category = np.minimum(rng.zipf(1.5, n), 50) - 1
    onehot = np.eye(50)[category][:, np.unique(category)]
    yield "one-hot, Zipf", gf.LinearData.from_features(onehot, onehot @ rng.standard_normal(onehot.shape[1]))
    place = rng.standard_normal((min(n, 400), 5))
    squared = ((place[:, None] - place[None]) ** 2).sum(axis=-1)
    smooth = np.sin(place.sum(axis=1))
    yield "RBF kernel", gf.LinearData.from_kernel(np.exp(-squared / 8.0), smooth)
    yield "Laplace kernel", gf.LinearData.from_kernel(np.exp(-np.sqrt(squared) / 2.0), smooth)


def ratios() -> list[tuple[str, dict[str, float]]]:
    """Edges over the exact one, by data set and model."""
    found = []
    for name, data in data_sets():
        exact = gf.max_learning_rate(data, 0.0, 1, "exact")
        ratio: dict[str, float] = {m: gf.max_learning_rate(data, 0.0, 1, noise) / exact for m, noise in MODELS.items()}
        found.append((name, ratio))
        print(f"{name:30}", "  ".join(f"{m} {value:.4f}" for m, value in ratio.items()), flush=True)
    return found


def draw(found: list[tuple[str, dict[str, float]]]) -> Any:
    """Points on a logarithmic axis, a row for each data set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    ax = figure.subplots()
    rows = np.arange(len(found))[::-1]
    ax.axvline(1.0, color="0.6", linewidth=1.0, zorder=0)
    for (model, marker), colour in zip(zip(MODELS, "s^o", strict=True), ("#d55e00", "#0072b2", "black"), strict=True):
        ax.plot([ratio[model] for _, ratio in found], rows, marker, color=colour, label=model, markersize=6)
    ax.set_xscale("log")
    ticks = (0.5, 1.0, 2.0, 5.0, 10.0)
    ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
    ax.minorticks_off()
    ax.set_yticks(rows, [name for name, _ in found])
    ax.set_xlabel("largest stable learning rate over the exact one (batch size 1)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=3, frameon=False)
    ax.grid(axis="y", color="0.92")
    return figure


def main() -> None:
    found = ratios()
    with (DOCS / "img" / "noise_edges.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["data", *MODELS])
        writer.writerows([name, *(f"{value:.6g}" for value in ratio.values())] for name, ratio in found)
    draw(found).savefig(DOCS / "img" / "noise_edges.png", dpi=150)


if __name__ == "__main__":
    main()
