"""A global search over learning rate and momentum at one batch size: a map, then closer maps about its minima."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.answers.predict import Prediction, predict
from genfun.engine.edge import curvature_limits, edges_of
from genfun.engine.many import ROUGH, coarse_measures, losses_at
from genfun.engine.noiseless import noiseless_losses, resolved_losses
from genfun.engine.settings import ACCURACY, Settings
from genfun.methods.family import Family
from genfun.noise import NoiseModel, quick, sampling_factor
from genfun.problems.problem import Problem

X_RANGE = (-9.0, 14.0)
"""Logit of the learning rate over the largest stable one."""
GRID, QUICK = (19, 25), (11, 11)
"""Cells per axis of the first map, and of a map that only compares batch sizes."""
REFINEMENTS = 4
"""Halvings by which the best learning rate of every momentum of the map is refined."""
FINE_GRID = (47, 121)
"""Cells of the first map without noise, where the valley of critical damping is narrow and the loss uneven."""
ZOOM, SHRINK, ROUNDS = 9, 3.0, 7
"""Cells per axis of a closer map, by how much it shrinks, and how often."""
ROUGH_ROUNDS, FEWER_CELLS = 3, 5
"""Closer maps that are rough, and cells per axis of those that follow, which begin one round wider."""
ENOUGH = 9.0
"""What oscillating modes may still add while searching is exp(-9) = 1e-4 of the loss; the answer itself is exact."""
PATIENCE, LITTLE_PATIENCE = 4_000, 300
"""Steps up to which settings whose modes still oscillate are followed one by one; beyond, the search averages over the
phases of those modes."""
MOST_NODES = 4_000
"""Modes on which the search itself runs; only the answer is computed on more."""
HEAVY_BALL = Family()
EDGES = 15
"""Momenta at which the stability edge is computed; the search follows it in between."""
SURE = 1e-3
"""Difference of log losses by which the search may err."""
TRUST = 1.0
"""Relative error beyond which a loss is not believed; oscillations that are averaged over count as 1 at most."""
AGAIN = 41
"""Cells per axis of a second map about its minimum."""
STARTS, MANY_STARTS = 3, 10
"""Minima of the first map that are followed; and without noise."""

Found = tuple[float, float, float]
"""A point (x, y) and the log of its loss."""
Minimum = tuple[Found, tuple[float, float], float]
"""A point, the distances in x and y within which a minimum lies, and the slope dx/dy of its valley."""
Losses = Callable[[Array, Array], Array]


class Region:
    """The stable settings, as (x, y) = (logit of the share of the largest rate allowed, atanh of the momentum).

    Parameters
    ----------
    problem : Problem
    batch : int or None
    noise : SpectrallyExpressible or Noise
        Where it has a `quick` stand-in, that is searched with, and only the answer is its own.
    momentum : float or None
        Fixed, or searched.
    cap : float
        Largest momentum of either sign.
    family : Family
        What is searched over.
    most_share : float
        Largest share of the edge.
    """

    def __init__(
        self,
        problem: Problem,
        batch: int | None,
        noise: NoiseModel,
        momentum: float | None,
        cap: float,
        family: Family = HEAVY_BALL,
        most_share: float = 1.0,
    ) -> None:
        self.most_share = most_share
        self.problem, self.batch, self.noise, self.family = problem, batch, noise, family
        self.momentum = momentum = momentum if family.has_momentum else 0.0
        self.cap = math.atanh(cap if momentum is None else max(cap, abs(momentum)))
        self.quick: NoiseModel = quick(noise, math.tanh(self.cap))
        self._points = np.linspace(-self.cap, self.cap, EDGES) if momentum is None else np.array([math.atanh(momentum)])
        betas = np.tanh(self._points)
        found = edges_of(problem, family, betas, batch, self.quick, coarse_measures(problem)[0])
        self._shares = np.log(found / self._curvature_limit(betas))

    def _curvature_limit(self, betas: Array) -> Array:
        # Of a map most momenta are the same, and methods without a formula are solved for by halving.
        each, place = np.unique(betas, return_inverse=True)
        limits = curvature_limits(self.family.kind, self.family.hyper(each), self.problem.lambda_max)
        return limits[place.reshape(betas.shape)]

    def settings(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Learning rates and momenta of points, flat; the edge's part due to noise is interpolated."""
        y = np.clip(y, -self.cap, self.cap)
        shares = np.exp(np.interp(y, self._points, self._shares))
        rates = self._curvature_limit(np.tanh(y)) * shares * self.most_share / (1.0 + np.exp(-x))
        return rates.ravel(), np.tanh(y).ravel()

    def setting(self, x: float, y: float) -> Any:
        """The setting at one point."""
        rates, betas = self.settings(np.array([x]), np.array([y]))
        return self.family.at(float(rates[0]), float(betas[0]), self.batch)

    def axes(self, size: tuple[int, int]) -> tuple[Array, Array]:
        """Axes of a map of everything, the second a single value if the momentum is fixed."""
        y = np.linspace(-self.cap, self.cap, size[1]) if self.momentum is None else self._points
        return np.linspace(*X_RANGE, size[0]), y

    def bounds(self, x: float, y: float) -> tuple[str, ...]:
        """Which bounds a point sits on, in words."""
        found = []
        if x >= X_RANGE[1] - 0.1:
            part = "" if self.most_share == 1.0 else f"the allowed share {self.most_share:g} of "
            found.append(f"the learning rate reaches {part}the stability edge")
        if x <= X_RANGE[0] + 0.1:
            found.append("the learning rate is the smallest that was tried")
        if self.momentum is None and abs(y) >= self.cap - 1e-3:
            found.append(f"momentum {math.tanh(math.copysign(self.cap, y)):.4g}, the largest that was tried")
        return tuple(found)


class Search(Region):
    """Log losses over the stable region at one batch size and step.

    Parameters
    ----------
    problem : Problem
    batch : int or None
    steps : int
    noise : SpectrallyExpressible or Noise
    momentum : float or None
        Fixed, or searched.
    family : Family
        What is searched over.
    most_share : float
        Largest share of the edge.
    """

    def __init__(
        self,
        problem: Problem,
        batch: int | None,
        steps: int,
        noise: NoiseModel,
        momentum: float | None,
        family: Family = HEAVY_BALL,
        most_share: float = 1.0,
    ) -> None:
        # Beyond, modes off the real axis outlive the run.
        cap = max(0.99, math.exp(-(ENOUGH + 1.0) / steps))
        super().__init__(problem, batch, noise, momentum, cap, family, most_share)
        self.steps = steps
        self.quiet = sampling_factor(batch, problem.n_samples, family.template.replacement) == 0.0

    def losses(
        self, rates: Array, betas: Array, patience: int = PATIENCE, accuracy: float = ACCURACY
    ) -> Float[Array, " settings"]:
        """Log losses of given settings; inf where there is none.

        Parameters
        ----------
        rates, betas : array, shape (settings,)
        patience : int
        accuracy : float
            See `Settings`.
        """
        settings = Settings.of(
            self.problem, self.family, rates, betas, self.batch, self.quick, ENOUGH, patience, accuracy
        )
        if self.quiet:
            if patience > LITTLE_PATIENCE:
                found = resolved_losses(settings, self.steps, MOST_NODES).log()
            else:
                found = noiseless_losses(settings, coarse_measures(self.problem)[1], self.steps).log()
        else:
            scaled, error = losses_at(settings, self.steps)
            found = np.where(error <= TRUST, scaled.log(), np.inf)
        return np.where(np.isfinite(found), found, np.inf)

    def __call__(self, x: Array, y: Array) -> Array:
        """Log losses at points."""
        return self.losses(*self.settings(x, y)).reshape(x.shape)

    def rough(self, x: Array, y: Array) -> Array:
        """Log losses at points, to `ROUGH`, long oscillations averaged over their phases."""
        return self.losses(*self.settings(x, y), LITTLE_PATIENCE, ROUGH).reshape(x.shape)

    def best(self) -> list[Found]:
        """Minima, the best first, as far as the maps resolve."""
        if self.quiet:
            return self._best_of_many()
        starts = valleys(self.rough, *self.axes(GRID))[:STARTS]
        return sorted((self._closest(start) for start in starts), key=log_loss)

    def _closest(self, start: Minimum) -> Found:
        """The minimum near a start: on rough maps first, then on those of the loss; late they are too steep."""
        if self.steps > PATIENCE:
            return closer(self, start, ROUNDS, ZOOM)
        near, ((dx, dy), slope) = closer(self.rough, start, ROUGH_ROUNDS, ZOOM), start[1:]
        wide = SHRINK ** (ROUGH_ROUNDS - 1)
        return closer(self, (near, (dx / wide, dy / wide), slope), ROUNDS - ROUGH_ROUNDS + 1, FEWER_CELLS)

    def _best_of_many(self) -> list[Found]:
        """Minima without noise, where the phases of the modes make the valley uneven."""
        coarse = local_minima(self.rough, *self.axes(FINE_GRID))
        (x, y, _), (dx, dy), _ = coarse[0]
        again = local_minima(self.rough, *(np.linspace(c - 2.5 * w, c + 2.5 * w, AGAIN) for c, w in ((x, dx), (y, dy))))
        starts = sorted(coarse[:MANY_STARTS] + again[:MANY_STARTS], key=lambda m: m[0][2])[:MANY_STARTS]
        near = sorted((closer(self.rough, start, 4, 7) for start in starts), key=log_loss)
        width = (dx / SHRINK**4, dy / SHRINK**4)
        return sorted((closer(self, (start, width, 0.0), 4, 5) for start in near[:STARTS]), key=log_loss)

    def glance(self) -> Found:
        """Nearly the least loss, to compare with other batch sizes."""
        return closer(self.rough, local_minima(self.rough, *self.axes(FINE_GRID if self.quiet else QUICK))[0], 4, 7)

    def verified(self, minima: list[Found]) -> tuple[Found, Prediction]:
        """The best minimum by the exact loss, and that; where the search has erred, all minima are compared.

        Parameters
        ----------
        minima : list of Found
            The best first.
        """
        exact: list[tuple[Found, Prediction]] = []
        for x, y, value in minima:
            curve = predict(self.problem, self.setting(x, y), self.steps, self.noise)
            exact.append(((x, y, float(curve.log_loss)), curve))
            if abs(exact[-1][0][2] - value) < SURE:
                break
        return min(exact, key=lambda e: e[0][2])

    def without_momentum(self) -> Found:
        """The least loss with momentum 0."""
        starts = local_minima(self.rough, self.axes(GRID)[0], np.array([0.0]))[:STARTS]
        return min((self._closest(start) for start in starts), key=log_loss)


def log_loss(found: Found) -> float:
    """Its last entry."""
    return found[2]


def _map(losses: Losses, x: Array, y: Array) -> tuple[Array, tuple[float, float]]:
    """Log losses on a grid, shape (x, y), and the distances of its lines."""
    first, second = np.broadcast_arrays(x[:, None], y)
    return losses(first, second), (float(x[1] - x[0]), float(y[1] - y[0]) if y.size > 1 else 0.0)


def local_minima(losses: Losses, x: Array, y: Array) -> list[Minimum]:
    """Cells of a map below all their neighbours, best first.

    Parameters
    ----------
    losses : callable
        (x, y) -> log losses at points.
    x, y : array
        Axes; y may be a single value.
    """
    values, width = _map(losses, x, y)
    padded = np.pad(values, 1, constant_values=np.inf)
    around = [padded[1 + i : 1 + i + x.size, 1 + j : 1 + j + y.size] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    minima = np.argwhere(values <= np.min(around, axis=0))
    order = np.argsort(values[tuple(minima.T)], kind="stable")
    return [((float(x[i]), float(y[j]), float(values[i, j])), width, 0.0) for i, j in minima[order]]


def valleys(losses: Losses, x: Array, y: Array) -> list[Minimum]:
    """Momenta whose best loss is less than that of their neighbours, best first.

    Valleys run aslant, and a map alone would miss a minimum between its lines: the learning rate is refined at every
    momentum first.

    Parameters
    ----------
    losses : callable
        (x, y) -> log losses at points.
    x, y : array
        Axes; y may be a single value.
    """
    table, widths = _map(losses, x, y)
    at, least, width = x[table.argmin(axis=0)], table.min(axis=0), widths[0]
    for _ in range(REFINEMENTS):
        # At twice this distance no loss is less: they were compared before.
        points = np.clip(at + 0.5 * width * np.array([[-1.0], [1.0]]), *X_RANGE)
        table = losses(points, np.broadcast_to(y, points.shape))
        best = table.argmin(axis=0)
        at = np.where(table.min(axis=0) < least, points[best, np.arange(y.size)], at)
        least, width = np.minimum(least, table.min(axis=0)), 0.5 * width
    padded = np.pad(least, 1, constant_values=np.inf)
    order = [i for i in np.argsort(least, kind="stable") if least[i] <= min(padded[i], padded[i + 2])]
    slopes = np.gradient(at, y) if y.size > 1 else np.zeros(1)
    return [((float(at[i]), float(y[i]), float(least[i])), widths, float(slopes[i])) for i in order]


def closer(losses: Losses, start: Minimum, rounds: int, size: int) -> Found:
    """Ever smaller maps about a point, sheared along the valley that it lies in.

    Parameters
    ----------
    losses : callable
        (x, y) -> log losses at points.
    start : Minimum
        The point, half the width of the first map, and the slope dx/dy of the valley.
    rounds, size : int
        How many maps, of how many cells per axis.
    """
    (x, y, _), (dx, dy), slope = start
    best, about = (x, y, math.inf), np.linspace(-1.0, 1.0, size)
    for _ in range(rounds):
        v = dy * about if dy > 0.0 else np.zeros(1)
        points = np.clip(best[0] + dx * about[:, None] + slope * v, *X_RANGE)
        table = losses(points, np.broadcast_to(best[1] + v, points.shape))
        k, m = np.unravel_index(int(table.argmin()), table.shape)
        if table[k, m] < best[2]:
            best = (float(points[k, m]), float(best[1] + v[m]), float(table[k, m]))
        dx, dy = dx / SHRINK, dy / SHRINK
    return best
