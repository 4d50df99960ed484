"""The picture of the README and the numbers in it: `python -m validation.figures` writes docs/img/mnist.{png,csv}."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import genfun as gf
from genfun.experiments import simulate

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
# Okabe and Ito's colours, told apart by every kind of sight.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
CURVES = (
    (gf.SGD(0.5, 0.5, 1), ORANGE, "s"),
    (gf.SGD(0.2, 0.0, 1), PURPLE, "^"),
    (gf.SGD(0.3, 0.9, 10), BLUE, "o"),
    (gf.SGD(1.2, -0.3, 100), GREEN, "D"),
)
CONSTANTS = gf.SpectrallyExpressible(1.0, 1.0)
"""What is assumed without samples."""
MARKS = np.unique(np.rint(np.geomspace(1, 1000, 16)).astype(int))
MOMENTA = ((0.0, BLUE), (0.9, ORANGE))
BATCHES = (1, 4, 16, 64)
SHARES = (0.6, 1.3)
REPLICAS, EDGE_REPLICAS = 400, 100

Row = tuple[Any, ...]


def loss_curves(ax: Any, data: gf.LinearData) -> list[Row]:
    rows: list[Row] = []
    for m, colour, marker in CURVES:
        label = f"b={m.batch_size}, α={m.learning_rate:g}, β={m.momentum:g}".replace("-", "−")
        steps = np.unique(np.rint(np.geomspace(1, 10_000, 200)).astype(int))
        # matplotlib needs finite numbers, also beyond the axes.
        ax.plot(steps, gf.predict(data, m, steps).loss.clip(max=1e9), color=colour, lw=1.8, zorder=2)
        constants = gf.predict(data.problem, m, steps, noise=CONSTANTS).loss.clip(max=1e9)
        ax.plot(steps, constants, color=colour, lw=1.0, ls=":", zorder=1)
        runs = simulate(data, m, int(MARKS[-1]), REPLICAS, record=MARKS)
        low = np.minimum(2.0 * runs.sem, 0.9 * runs.mean)
        ax.errorbar(
            MARKS, runs.mean, yerr=(low, 2.0 * runs.sem), fmt=marker, color=colour, ms=5, mfc="white", mew=1.4,
            elinewidth=1.2, capsize=2, label=label, zorder=3,
        )  # fmt: skip
        theory, other = gf.predict(data, m, MARKS).loss, gf.predict(data.problem, m, MARKS, noise=CONSTANTS).loss
        for values in zip(MARKS, theory, other, runs.mean, runs.sem, runs.median, strict=True):
            rows.append(("curve", m.batch_size, m.learning_rate, m.momentum, *values, REPLICAS))
    ax.set(xscale="log", yscale="log", xlim=(0.9, 1.1e4), ylim=(1.5e-4, 30), xlabel="step", ylabel="mean loss")
    ax.set_title("Loss on 1,000 MNIST digits (NTK): predicted and simulated")
    ax.legend(
        title=f"marks: mean of {REPLICAS} runs ± 2 s.e.\nlines: genfun (dotted: τ₁ = τ₂ = 1)",
        loc="lower left",
        frameon=False,
    )
    return rows


def stability_edge(ax: Any, data: gf.LinearData) -> list[Row]:
    rows: list[Row] = []
    sizes = np.unique(np.rint(np.geomspace(1, 100, 60)).astype(int))
    for beta, colour in MOMENTA:
        edge = [gf.max_learning_rate(data, beta, int(b)) for b in sizes]
        constants = [gf.max_learning_rate(data.problem, beta, int(b), noise=CONSTANTS) for b in sizes]
        ax.plot(sizes, edge, color=colour, lw=1.8, label=f"genfun, β={beta:g}")
        ax.plot(sizes, constants, color=colour, lw=1.0, ls=":")
        usual = 2.0 * (1.0 + beta) / data.problem.lambda_max
        ax.axhline(usual, color=colour, lw=1.4, ls=(0, (4, 3)), label=f"2(1+β)/λ$_{{max}}$, β={beta:g}")
        for b in BATCHES:
            top = gf.max_learning_rate(data, beta, b)
            for share in SHARES:
                m = gf.SGD(share * top, beta, b)
                runs = simulate(data, m, 1000, EDGE_REPLICAS, record=[0, 1000])
                falls = bool(runs.mean[-1] < runs.mean[0])
                theory = (
                    float(gf.predict(data, m, 1000).loss),
                    float(gf.predict(data.problem, m, 1000, noise=CONSTANTS).loss),
                )
                ax.plot(b, m.learning_rate, "o" if falls else "x", color=colour, ms=7, mew=1.8, mfc="white", zorder=3)
                measured = (runs.mean[-1], runs.sem[-1], runs.median[-1])
                rows.append(("edge", b, m.learning_rate, beta, 1000, *theory, *measured, EDGE_REPLICAS))
    ax.plot([], [], "o", color="0.3", ms=7, mew=1.8, mfc="white", label="mean of 100 runs fell")
    ax.plot([], [], "x", color="0.3", ms=7, mew=1.8, label="mean of 100 runs grew")
    ax.set(
        xscale="log", yscale="log", xlim=(0.85, 115), ylim=(0.03, 8), xlabel="batch size b", ylabel="learning rate α"
    )
    ax.set_title("Largest stable learning rate")
    ax.legend(loc="lower right", frameon=False)
    return rows


def main() -> None:
    data = gf.data.mnist(1000, seed=0, model="ntk")
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4), layout="constrained")
    rows = loss_curves(left, data) + stability_edge(right, data)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "mnist.png", dpi=150)
    settings = ("panel", "batch_size", "learning_rate", "momentum", "step")
    columns = (*settings, "predicted", "predicted_two_constants", "mean", "sem", "median", "runs")
    with (IMAGES / "mnist.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[f"{x:.6g}" if isinstance(x, float) else x for x in row] for row in rows])


if __name__ == "__main__":
    main()
