"""Big Batch SGD in pictures: `python -m validation.big_batch_figure` writes docs/img/big_batch.{png,csv}."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from genfun.plotting.style import COLOURS, log_axes
from validation.big_batch import (
    EPOCHS,
    MODELS,
    RUNS,
    SEARCHES,
    SETTINGS,
    SGD_BATCH,
    big_batch_curve,
    trajectories,
    tuned_sgd,
)

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
NAMES = {"none": "fixed rate (1−θ²)/L", "armijo": "Armijo", "bb": "Barzilai–Borwein"}
TITLES = {"linear": "Linear", "logistic": "Logistic", "convolutional": "Convolutional"}


def batches(ax: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for colour, (kind, theta, rate) in zip(COLOURS, SETTINGS, strict=False):
        found, sizes = trajectories(kind, theta, rate, RUNS)
        t, mean = found.steps + 1, sizes.mean(axis=0)
        label = f"{'NTK' if kind == 'ntk' else kind}, θ={theta:g}, α={rate:g}"
        ax.plot(t, found.batch_size, color=colour, lw=1.8, label=label)
        ax.fill_between(t, found.low, found.high, color=colour, alpha=0.15, lw=0)
        pick = np.unique(np.rint(np.geomspace(1, t.size, 12)).astype(int)) - 1
        ax.plot(t[pick], mean[pick], "o", color=colour, ms=5, mfc="white", mew=1.4)
        columns = (found.steps, found.batch_size, found.low, found.high, mean, sizes.std(axis=0, ddof=1))
        rows += [("batch size", label, *values) for values in zip(*columns, strict=True)]
    log_axes(ax, "step + 1", "batch size")
    ax.set_title(f"Predicted batches (lines, 5–95 %)\nand the mean of {RUNS} runs (marks)")
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    ax.set_ylim(8, 6000)
    return rows


def losses(ax: Any, model: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    rate, tuned = tuned_sgd(model, EPOCHS)
    curves = [(f"SGD, b={SGD_BATCH}, tuned rate", COLOURS[6], tuned)]
    curves += [(NAMES[s], c, big_batch_curve(model, s, EPOCHS)) for s, c in zip(SEARCHES, COLOURS, strict=False)]
    for label, colour, (spent, values) in curves:
        ax.plot(spent, values, color=colour, lw=1.6, ls="--" if label.startswith("SGD") else "-", label=label)
        rows += [("loss", f"{model}: {label}", e, v, "", "", "", "") for e, v in zip(spent, values, strict=True)]
    ax.set(yscale="log", xlabel="epochs of samples in batches", ylabel="loss on all digits")
    ax.grid(True, which="major", color="0.9", linewidth=0.7)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(f"{TITLES[model]}\n(SGD tuned to α={rate:.2g})")
    return rows


def main() -> None:
    plt.rcParams.update({"font.size": 10, "axes.titlesize": 11})
    figure, axes = plt.subplots(1, 4, figsize=(16, 4.4), layout="constrained")
    rows = batches(axes[0])
    for ax, model in zip(axes[1:], MODELS, strict=True):
        rows += losses(ax, model)
    axes[1].legend(frameon=False, fontsize="small")
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "big_batch.png", dpi=130)
    columns = ("panel", "curve", "step or epoch", "predicted or loss", "low", "high", "mean", "standard deviation")
    with (IMAGES / "big_batch.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[f"{x:.6g}" if isinstance(x, float) else x for x in row] for row in rows])


if __name__ == "__main__":
    main()
