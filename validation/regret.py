"""What `optimize` loses against the best setting there is, under the exact loss of the data.

The setting that `optimize` gives for data is followed by the recursion of the exact second moments. So is the
yardstick: a grid over learning rate and momentum in the stable region, and Nelder-Mead from its two best cells and from
the setting given. The regret is the ratio of the two losses.
"""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.sample_space.edge import sample_edge
from genfun.sample_space.moments import exact_curve
from validation.claim import Claim
from validation.measured_noise import FAST
from validation.noise_edges import data_sets

STEPS, FAST_STEPS, SAMPLES, FEW, MANY = 200, 100, 100, 60, 50
"""T; T of the fast part; samples, and samples of sets whose rank is above `MANY`, on which an exact step is dear."""
GRID, COARSE = (9, 9), (5, 6)
"""Cells of the grid, and those where the rank is above `MANY`, or in the fast part."""
LARGEST = 3.2
"""Largest atanh of the momentum of the yardstick."""


class ExactLoss:
    """log L(steps) as a function of (logit of the share of the edge, atanh of the momentum)."""

    def __init__(self, data: gf.LinearData, batch_size: int, steps: int) -> None:
        self.data, self.batch_size, self.steps = data, batch_size, steps
        self.features = data.exact_noise.features
        self._edges: dict[float, float] = {}

    def edge(self, y: float) -> float:
        if y not in self._edges:
            self._edges[y] = sample_edge(self.features, gf.SGD(1.0, np.tanh(y), self.batch_size), 1e-6).learning_rate
        return self._edges[y]

    def of(self, method: gf.SGD) -> float:
        return float(exact_curve(self.data, method, np.array([self.steps])).loss.log()[0])

    def __call__(self, at: np.ndarray) -> float:
        x, y = float(at[0]), float(at[1])
        if abs(y) > LARGEST or abs(x) > 12.0:
            return 700.0
        return self.of(gf.SGD(self.edge(y) / (1.0 + np.exp(-x)), float(np.tanh(y)), self.batch_size))

    def place(self, method: gf.SGD) -> np.ndarray:
        y = float(np.arctanh(method.momentum))
        share = min(method.learning_rate / self.edge(y), 1.0 - 1e-5)
        return np.array([np.log(share / (1.0 - share)), y])


def least(loss: ExactLoss, start: gf.SGD, size: tuple[int, int]) -> float:
    """The least exact log loss that the yardstick finds."""
    from scipy.optimize import minimize

    cells = [np.array([x, y]) for x in np.linspace(-5.0, 3.5, size[0]) for y in np.linspace(-2.0, 2.6, size[1])]
    cells.sort(key=loss)
    found = []
    for at in (loss.place(start), *cells[:2]):
        simplex = at + np.array([[0.0, 0.0], [0.3, 0.0], [0.0, 0.15]])
        options = {"xatol": 1e-2, "fatol": 1e-4, "maxfev": 60, "initial_simplex": simplex}
        found.append(float(minimize(loss, at, method="Nelder-Mead", options=options).fun))
    return min(found)


def claims(fast: bool = False) -> list[Claim]:
    result, source = [], "exact second moments; grid and Nelder-Mead over them"
    for (name, large), (_, small) in zip(data_sets(SAMPLES), data_sets(FEW), strict=True):
        data = small if fast or large.rank > MANY else large
        if fast and name != FAST[-1]:
            continue
        size, steps = COARSE if fast or data.rank > MANY else GRID, FAST_STEPS if fast else STEPS
        for b in (1,) if fast else (1, 16):
            best = gf.optimize(data, batch_size=b, steps=steps)
            loss = ExactLoss(data, b, steps)
            here = loss.of(best.method)
            regret = float(np.exp(here - min(here, least(loss, best.method, size))))
            note = f"predicted over exact {best.loss / np.exp(here):.4f}, noise_error {best.noise_error:.1e}"
            words = f"{name}: exact loss of the setting of optimize over the least, b={b}, T={steps}"
            result.append(Claim(words, regret, 1.0, 0.02, "exact", source, note))
    return result
