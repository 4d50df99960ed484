"""The flat minimum is reached sooner with a larger rate/batch ratio, at the price of excess loss: both against runs.

Two wells of equal depth, curvature 1 and 9 across: runs start in the sharp one, and count as arrived half way from the
saddle to the flat minimum. `python -m validation.escape_tradeoff` draws docs/img/escape_tradeoff.{csv,png}.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf
from genfun.answers.escape.finite_barrier import Shape, anharmonicity
from genfun.answers.escape.two_minima import Escape, escape_time, minimum_odds
from genfun.experiments.simulation.escape import DoubleWell, occupation, passages
from validation.claim import Claim
from validation.escape import diffusion_time

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
WELL = DoubleWell(1.0, 0.0, (1.0, 9.0))
RATE, VARIANCE = 0.02, 80.0
BATCHES = (13, 16, 19, 22)
"""Of barrier/T from 4.1 to 6.9."""
PAST = -0.5
"""x at which a run has left the sharp well, the right one."""


def shape(x: float) -> Shape:
    """Derivatives along x of (x^2 - 1)^2/4, and of ln k(x), which is linear."""
    low, high = WELL.stiffness or (1.0, 1.0)
    return Shape(3.0 * x**2 - 1.0, 6.0 * x, 6.0, 0.5 * float(np.log(high / low)))


def to_flat(method: gf.SGD) -> Escape:
    """The time until the flat minimum is reached, to the next order of a finite barrier."""
    _, saddle, right = WELL.critical_points
    barrier, more = float(WELL.loss(saddle) - WELL.loss(right)), anharmonicity(shape(right), shape(saddle))
    at = WELL.hessian(right), WELL.hessian(saddle)
    return escape_time(*at, barrier, method, VARIANCE, anharmonicity=more)


@dataclass(frozen=True)
class Point:
    """One rate/batch ratio: steps to the flat minimum and excess loss there, predicted and simulated."""

    ratio: float
    barrier: float
    predicted_steps: float
    steps: float
    steps_error: float
    predicted_excess: float
    excess: float
    excess_error: float
    odds: float


@lru_cache(maxsize=2)
def points(fast: bool) -> list[Point]:
    """The trade-off."""
    left, saddle, right = WELL.critical_points
    barrier = float(WELL.loss(saddle) - WELL.loss(right))
    found = []
    for b in BATCHES[:1] if fast else BATCHES:
        method = gf.SGD(RATE, batch_size=b)
        leave = to_flat(method)
        stay = escape_time(WELL.hessian(left), WELL.hessian(saddle), barrier, method, VARIANCE)
        runs = 300 if fast else 600
        start = np.array([right, 0.0])
        past = lambda x: x[:, 0] < PAST  # noqa: E731
        times = passages(WELL.gradient, start, past, method, VARIANCE, runs, int(5 * leave.steps), seed=b)
        excess, error = loss_in_flat_well(method, 300 if fast else 1000, 1000 if fast else 4000)
        odds = minimum_odds(WELL.hessian(left), WELL.hessian(right), method, VARIANCE).odds
        measured = (leave.steps, times.mean, times.sem, stay.excess_loss, excess, error, odds)
        found.append(Point(RATE / b, leave.barrier_ratio, *measured))
    return found


def loss_in_flat_well(method: gf.SGD, runs: int, steps: int) -> tuple[float, float]:
    """Mean loss above the minimum of runs that start in the flat well and are in it, and its standard error."""
    left, saddle, _ = WELL.critical_points
    least = float(WELL.loss(left))

    def gathered(x: Any) -> Any:
        inside = x[:, 0] < saddle
        across = 0.5 * WELL.across(x[:, 0]) * x[:, 1] ** 2
        total.append(np.where(inside, WELL.loss(x[:, 0]) + across - least, np.nan)[::10])
        return inside

    total: list[Any] = []
    occupation(WELL.gradient, [left, 0.0], gathered, method, VARIANCE, runs, steps, 500)
    # Each run is one sample: its own steps are correlated.
    each = np.nanmean(np.array(total), axis=0)
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(each.size))


def claims(fast: bool = False) -> list[Claim]:
    result = []
    for p in points(fast):
        name = f"two wells, rate/batch {p.ratio:.2e} (barrier/T = {p.barrier:.2f})"
        error = p.steps_error / p.predicted_steps
        note = f"standard error {error:.3f}; {p.steps:.0f} over {p.predicted_steps:.0f} steps; 15 % granted"
        text = f"{name}: steps to the flat minimum, simulated/Kramers to the next order"
        source = "arXiv 1812.00542, with the next order in T"
        result.append(Claim(text, p.steps / p.predicted_steps, 1.0, 0.15, "approximate", source, note))
        # The same wells with the sharp one on the left, where the integrals begin.
        mirrored = DoubleWell(1.0, 0.0, (9.0, 1.0))
        steps = diffusion_time(mirrored, 0.25 / p.barrier, -PAST) / RATE
        text = f"{name}: steps to the flat minimum, simulated/diffusion"
        note = f"{p.steps:.0f} over {steps:.0f} steps; 15 % granted"
        result.append(Claim(text, p.steps / steps, 1.0, 0.15, "approximate", "two integrals of the diffusion", note))
        error = p.excess_error / p.predicted_excess
        note = f"standard error {error:.3f}; the well is no parabola; odds {p.odds:.3f} at any ratio"
        text = f"{name}: excess loss in the flat minimum, simulated/predicted"
        result.append(Claim(text, p.excess / p.predicted_excess, 1.0, 0.15, "approximate", "arXiv 1812.00542", note))
    return result


def figure(found: list[Point]) -> Any:
    """Steps to the flat minimum against the excess loss there."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from genfun.plotting.style import COLOURS, log_axes

    left, saddle, right = WELL.critical_points
    barrier = float(WELL.loss(saddle) - WELL.loss(right))
    sizes = np.unique(np.rint(np.geomspace(11, 30, 40)).astype(int)).tolist()
    at = WELL.hessian(left), WELL.hessian(saddle)
    curves = [
        [to_flat(gf.SGD(RATE, batch_size=b)) for b in sizes],
        [escape_time(*at, barrier, gf.SGD(RATE, batch_size=b), VARIANCE) for b in sizes],
    ]
    shown, ax = plt.subplots(figsize=(6.0, 4.6), layout="constrained")
    ax.plot(
        [c.excess_loss for c in curves[1]], [c.steps for c in curves[0]], color=COLOURS[0], lw=1.8, label="predicted"
    )
    ax.errorbar(
        [p.excess for p in found], [p.steps for p in found], xerr=[2 * p.excess_error for p in found],
        yerr=[2 * p.steps_error for p in found], fmt="o", color=COLOURS[1], mfc="white", mew=1.4, capsize=2,
        label="runs, 2 standard errors",
    )  # fmt: skip
    for p in found:
        ax.annotate(
            f"b = {round(RATE / p.ratio)}", (p.excess, p.steps), (7, 5), textcoords="offset points", fontsize="small"
        )
    log_axes(ax, "excess loss in the flat minimum", "steps until the flat minimum is reached")
    ax.set_xscale("linear")
    ax.set_title(
        f"A larger rate/batch ratio: sooner flat, higher loss\nodds flat : sharp stay {found[0].odds:.2f}",
        fontsize="medium",
    )
    ax.legend(frameon=False)
    return shown


def main() -> None:
    found = points(False)
    with open(IMAGES / "escape_tradeoff.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Point.__dataclass_fields__)
        writer.writerows([getattr(p, name) for name in Point.__dataclass_fields__] for p in found)
    figure(found).savefig(IMAGES / "escape_tradeoff.png", dpi=110)


if __name__ == "__main__":
    main()
