"""Steps to a loss against batch size on MNIST digits: six torch optimizers, measured, fitted, and predicted.

Regression of the digit's number on 785 pixels of 2,000 digits, at one learning rate for all batch sizes, as in the
papers of the claim. Does the critical batch size depend on the optimizer? Is there a batch size of fewest steps?
`python -m validation.steps_vs_batch --store FOLDER` makes the runs (minutes on two cores; it goes on where it was
stopped) and writes docs/img/steps_vs_batch.{csv,png}; the claims are about the committed table.
"""

from __future__ import annotations

import argparse
import csv
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf
from genfun._typing import Array, Float
from genfun.answers.batch.fit_steps import StepsFit, fit_steps
from genfun.experiments import MeasuredSteps
from validation.claim import Claim

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
DIGITS, RUNS, TARGET = 2000, 5, 0.22
BATCHES = (2, 4, 8, 16, 32, 64, 128, 256, 512)
RATES = {"sgd": 0.2, "momentum": 0.02, "nesterov": 0.02, "adam": 3e-3, "adamw": 3e-3, "rmsprop": 2e-3}
METHODS = {"sgd": 0.0, "momentum": 0.9}
"""Momentum of the optimizers that are predicted under the data's own noise; Nesterov's would take many minutes."""
QUIET = 32
"""From this batch size on the loss of a run fluctuates by less than it falls in a few steps."""
EARLY = "a run's loss fluctuates about the mean, and its first crossing comes before that of the mean"


@lru_cache(maxsize=1)
def samples() -> tuple[Array, Array]:
    """Pixels and a constant, scaled to the largest eigenvalue 1, and standardised labels."""
    from genfun.data.digits import mnist_arrays

    images, labels = mnist_arrays(DIGITS)
    chosen = np.random.default_rng(0).choice(len(labels), DIGITS, replace=False)
    x = images[chosen].reshape(DIGITS, -1).astype(np.float64)
    x = np.hstack([(x - x.mean()) / x.std(), np.ones((DIGITS, 1))])
    y = labels[chosen].astype(np.float64)
    return x / np.sqrt(np.linalg.eigvalsh(x.T @ x / DIGITS)[-1]), (y - y.mean()) / y.std()


def half_square(outputs: Any, targets: Any) -> Any:
    """The loss of `LinearData`: the mean of half the squares."""
    return 0.5 * (outputs - targets).square().mean()


def measured(optimizer: str, store: str | None = None) -> MeasuredSteps:
    """The runs of one optimizer."""
    import torch

    x, y = samples()
    model = torch.nn.Linear(x.shape[1], 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(model.weight)
    data = torch.tensor(x), torch.tensor(y)[:, None]
    return gf.experiments.measure_steps(
        model, half_square, data, optimizer, BATCHES, TARGET, RATES[optimizer], RUNS, 20_000, 600_000,
        sampling="fresh", store=store,
    )  # fmt: skip


@lru_cache(maxsize=1)
def linear_data() -> gf.LinearData:
    """What the model is trained on."""
    return gf.LinearData.from_features(*samples())


@lru_cache(maxsize=8)
def predicted(optimizer: str) -> Float[Array, " n"] | None:
    """Steps until the mean loss is at the target, by genfun; None for an optimizer that it does not know."""
    if optimizer not in METHODS:
        return None
    methods = [gf.SGD(RATES[optimizer], METHODS[optimizer], b) for b in BATCHES]
    return np.array([float(gf.steps_to_loss(linear_data(), m, TARGET)) for m in methods])


def kept() -> dict[str, MeasuredSteps]:
    """The runs of the committed table."""
    with open(IMAGES / "steps_vs_batch.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    found = {}
    for name in dict.fromkeys(row["optimizer"] for row in rows):
        mine = [row for row in rows if row["optimizer"] == name]
        steps = np.array([float(row["steps"]) for row in mine]).reshape(-1, RUNS)
        first = mine[::RUNS]
        sizes, rates, limits = (
            np.array([float(row[key]) for row in first]) for key in ("batch_size", "learning_rate", "given_up_after")
        )
        found[name] = MeasuredSteps(name, TARGET, sizes.astype(np.int64), rates, steps, limits.astype(np.int64))
    return found


def claims(fast: bool = False) -> list[Claim]:
    result = []
    for name, runs in kept().items():
        fit = runs.fit()
        low, high = fit.ratio_interval
        theory = predicted(name)
        ends = f"{fit.interval[0]:.3g} .. {fit.interval[1]:.3g}"
        note = (
            f"measured B of A (1 + B/b) {fit.ratio:.3g}, 90 % interval {low:.3g} .. {high:.3g}; samples: {fit.status}, "
        )
        note += f"least at {ends}"
        fewest = runs.fewest_steps
        text = f"MNIST pixels, {name}: batch size of fewest steps at a fixed rate (0 for none)"
        result.append(Claim(text, float(fewest or 0), 0.0, 0.5, "exact", "derived", note))
        if theory is not None:
            text = f"MNIST pixels, {name}: B of A (1 + B/b), measured against that of the predicted steps"
            expected, margin = _fit(theory).ratio, max(high - fit.ratio, fit.ratio - low)
            result.append(Claim(text, fit.ratio, expected, margin, "approximate", "simulation", note, EARLY))
        if theory is None:
            continue
        for i, b in enumerate(BATCHES):
            ratio, error = float(runs.means[i] / theory[i]), float(runs.errors[i])
            text = f"MNIST pixels, {name}, b={b}: steps to the target, measured over predicted"
            known = "" if b >= QUIET else EARLY
            note = f"{runs.means[i]:.1f} over {theory[i]:.0f}; standard error {error:.1%}"
            result.append(Claim(text, ratio, 1.0, 0.03 + 2.5 * error, "exact", "simulation", note, known))
    return result


def _fit(steps: Float[Array, " n"]) -> StepsFit:
    return fit_steps(BATCHES, steps)


def figure(found: dict[str, MeasuredSteps]) -> Any:
    """Steps against batch size, and samples, with fits and predictions."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from genfun.plotting.style import COLOURS, log_axes

    shown, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.8), layout="constrained")
    dense = np.geomspace(BATCHES[0], BATCHES[-1], 200)
    for i, (name, runs) in enumerate(found.items()):
        fit, theory, colour = runs.fit(), predicted(name), COLOURS[i]
        low, high = fit.ratio_interval
        label = f"{name}: B = {fit.ratio:.1f} [{low:.1f}, {high:.1f}]"
        for ax, power in ((left, 0.0), (right, 1.0)):
            scale = np.asarray(BATCHES, dtype=np.float64) ** power
            ax.errorbar(
                BATCHES, runs.means * scale, yerr=2.0 * runs.means * runs.errors * scale, fmt="o", color=colour, ms=4.5,
                mfc="white", mew=1.3, capsize=2, zorder=3, label=label,
            )  # fmt: skip
            ax.plot(dense, fit.predict(dense) * dense**power, color=colour, lw=0.9)
            if theory is not None:
                ax.plot(BATCHES, theory * scale, color=colour, lw=1.6, ls=(0, (4, 1.6)))
    log_axes(left, "batch size $b$", "steps to the target, $K(b)$")
    log_axes(right, "batch size $b$", "samples to the target, $K(b)\\,b$")
    left.set_title("Marks: runs, mean and 2 standard errors\nlines: fits; dashed: predicted", fontsize="medium")
    right.set_title(
        "The same in samples: none has fewest inside\nat B of A (1 + B/b) both are twice the least", fontsize="medium"
    )
    right.legend(frameon=False, fontsize="small")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m validation.steps_vs_batch", description=__doc__)
    parser.add_argument("--store", help="folder that keeps finished runs")
    store = parser.parse_args().store
    found = {name: measured(name, store) for name in RATES}
    rows = [row for runs in found.values() for row in runs.rows()]
    with open(IMAGES / "steps_vs_batch.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    figure(kept()).savefig(IMAGES / "steps_vs_batch.png", dpi=110)


if __name__ == "__main__":
    main()
