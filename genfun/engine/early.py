"""Losses of many settings after few steps: what the modes do is a polynomial in the learning rate, known at points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genfun._typing import Array, Bool, Float, Shaped
from genfun.engine.conditioning import MomentMaps
from genfun.engine.recursion import joint_modes, symmetric_square
from genfun.engine.settings import Settings
from genfun.engine.transform import Measures
from genfun.problems.measure import SpectralMeasure
from genfun.scaled import EPS

ROUNDED = 32.0 * EPS
"""Rounding of a sum over points, relative to the largest value there times the sum of the weights."""
RAISED = 1e12
"""By how many times the rounding of what is known a second loss is raised, to see what it does to the loss."""
ENOUGH = 1e-10
"""Relative rounding of a loss up to which it is kept."""
SHARED = 8
"""Settings that share their further hyperparameters, on the average, from which on points are shared."""
FINE, ABOVE, BELOW = 4, 6, 8
"""Levels of a = alpha lambda to a factor of two; factors of two beyond the largest and the least at which they lie."""
GROWTH = 2.0
"""Modes may grow by exp(GROWTH) at the points."""
MOST_ALONE = 40
"""Modes of a setting that are followed one by one."""
TOGETHER, CHUNK = 1_200, 2_400
"""Cells whose steps are added up together, and hyperparameters times points that are followed together: the working
arrays stay in the cache."""
SPARED = 20
"""Points beyond those that a mode's turning asks for, where fewer than 2t + 1 will do."""


def early_losses(settings: Settings, step: int, measures: Measures) -> tuple[Array, Float[Array, " S"]]:
    r"""Mean losses after few steps and the rounding that they have; inf where it is too large.

    .. math:: S_t = V_t + \sum_{s<t} U_s\,(\tau_1 S_{t-1-s} + \sigma^2),\qquad
              V_t = \sum_k s_k\, v_t(a_k),\quad U_s = \gamma\alpha^2\sum_k\lambda_k^2\, u_s(a_k)

    and L = (S + sigma^2)/2. With T affine in a, v_t and u_t are polynomials of degree 2t in a = alpha lambda: their
    values at 2t + 1 Chebyshev points between 0 and alpha_max lambda_max give those at the modes, of all settings that
    share their further hyperparameters, for all learning rates up to alpha_max. The modes are followed at these points
    only, and the rest are matrix products.

    Up to alpha_max lambda_max no mode may grow, as values at the points are known to eps times the largest of them.
    Modes above are followed one by one, with the drive of all. A second loss, of absolute values raised by RAISED times
    their rounding, is a convex function of it: its rise bounds what rounding does.

    **Assumptions.** Spectrally expressible noise; updates affine in a.

    Parameters
    ----------
    settings : Settings
        S settings.
    step : int
        t >= 1.
    measures : (SpectralMeasure, SpectralMeasure)
        Capacity and signal measures.

    Returns
    -------
    (array, array), each of shape (S,)
        Losses as doubles, and their relative rounding, apart from that of following a mode by itself.
    """
    loss, error = np.full(settings.rates.size, np.nan), np.full(settings.rates.size, np.inf)
    each, place = settings.distinct
    rates, column = np.unique(settings.rates, return_inverse=True)
    if len(each) * SHARED > place.size or rates.size * SHARED > place.size:
        return loss, error
    modes = joint_modes(*measures)
    levels, stable = _levels(settings, each, rates * modes[0].max(), step)
    # The next power of two above a setting's largest a, or the highest level without growth.
    own = FINE * (ABOVE + np.floor(np.log2(rates[-1] / rates)).astype(np.int64))
    level = np.maximum(own[column], stable[place])
    cells = np.full((len(each), rates.size), -1)
    cells[place, column] = np.arange(place.size)
    with np.errstate(all="ignore"):
        for j in np.unique(level[level < levels.size]):
            here = np.where(level[cells] == j, cells, -1)
            rows, columns = (np.flatnonzero((here >= 0).any(axis=x)) for x in (1, 0))
            asked = here[np.ix_(rows, columns)].T
            # Hyperparameters are sorted, so that those of a chunk are alike.
            chunks, parts = [], levels[j] / levels[stable[rows]]
            while not chunks or chunks[-1][1] < rows.size:
                first = chunks[-1][1] if chunks else 0
                count = min(2 * step + 1, int(2.0 * step * np.sqrt(parts[first : first + 40].max())) + SPARED)
                chunks.append((first, min(first + max(1, CHUNK // count), rows.size), count))
            most = max(count for *_, count in chunks)
            below = _Below.of(settings, rates[columns], float(levels[j]), step, most, measures, modes)
            for first, stop, count in chunks:
                chosen = asked[:, first:stop]
                found = below.losses(each[rows[first:stop]], chosen >= 0, count)
                loss[chosen[chosen >= 0]], error[chosen[chosen >= 0]] = found
    return loss, error


def _levels(settings: Settings, each: Array, a: Array, step: int) -> tuple[Array, Array]:
    """Levels from the top down, and the first below which no mode grows, for every row of hyperparameters."""
    count = FINE * (ABOVE + int(np.ceil(np.log2(a[-1] / a[0]))) + BELOW)
    levels = float(a[-1]) * 2.0 ** (ABOVE - np.arange(count) / FINE)
    many = np.repeat(each, count, axis=0)
    at = np.tile(levels, len(each))
    with np.errstate(all="ignore"):
        maps = MomentMaps(settings.kind.update(at, *many[:, :-1].T), at)
        grows = ~(np.log(maps.dominant(settings.taus[1] * many[:, -1])[1]) * step < GROWTH).reshape(-1, count)
    return levels, np.where(grows.any(axis=1), count - np.argmax(grows[:, ::-1], axis=1), 0)


class _Alone(NamedTuple):
    """Modes of some cells that are followed one by one."""

    maps: Array
    force: Array
    state: Array
    at: Array
    """The cell of each."""
    cells: Array
    starts: Array
    """Cells that have any, and where those of a cell start."""


@dataclass(frozen=True)
class _Below:
    """Learning rates on a spectrum with points below a level of a.

    Parameters
    ----------
    settings : Settings
    rates : array, shape (r,)
    level : float
    step : int
    totals : tuple of float
        Sums of the weights of signal and capacity.
    moments : tuple of arrays, each of shape (r, most points)
        Sums of the Chebyshev polynomials over the modes below the level, for signal and capacity.
    alone : list of r integer arrays
        The modes above.
    modes : tuple of arrays, each of shape (n,)
        Eigenvalues, capacity and signal of all modes.
    """

    settings: Settings
    rates: Array
    level: float
    step: int
    totals: tuple[float, float]
    moments: tuple[Array, Array]
    alone: list[Array]
    modes: tuple[Array, Array, Array]

    @classmethod
    def of(
        cls,
        settings: Settings,
        rates: Array,
        level: float,
        step: int,
        count: int,
        measures: Measures,
        modes: tuple[Array, Array, Array],
    ) -> _Below:
        """With the sums over the modes."""

        def sums(measure: SpectralMeasure) -> Array:
            a = rates[:, None] * measure.nodes
            above = a > highest
            weights, x = np.where(above, 0.0, measure.weights), np.where(above, -1.0, 2.0 * a / level - 1.0)
            moments, double = np.empty((rates.size, count)), 2.0 * x
            before, now = np.ones_like(x), x
            for j in range(count):
                np.einsum("rn,rn->r", before, weights, out=moments[:, j])
                later = double * now
                later -= before
                before, now = now, later
            return moments

        highest, (capacity, signal) = level * (1.0 + 1e-12), measures
        alone = [np.flatnonzero(rate * modes[0] > highest) for rate in rates.tolist()]
        return cls(
            settings, rates, level, step, (signal.total, capacity.total), (sums(signal), sums(capacity)), alone, modes
        )

    def losses(self, each: Array, asked: Bool[Array, "r B"], count: int) -> tuple[Array, Array]:
        """Losses and their rounding of the settings that are asked for, from so many points.

        Parameters
        ----------
        each : array, shape (B, k)
            Hyperparameters and gamma.
        asked : array, shape (r, B)
        count : int
        """
        angles = (np.arange(count) + 0.5) * (np.pi / count)
        table = np.cos(np.arange(count)[:, None] * angles) * (2.0 / count)
        last = table[-2:]
        table[0] *= 0.5
        # (1 + cos)/2, with all its digits where it is small.
        a = np.broadcast_to(self.level * np.cos(0.5 * angles) ** 2, (len(each), count))
        (tau1, tau2), sigma2 = self.settings.taus, self.settings.problem.noise_variance
        column, row = asked.nonzero()
        whole, sums, roughs = column.size == asked.size, [], []
        for known, moments, total in zip(
            _at_points(self.settings.kind, a, each, tau2, self.step), self.moments, self.totals, strict=True
        ):
            # The last coefficients at the last step, where they are largest, are what more points would change.
            size = np.abs(known).max(axis=2)
            missing = 0.0 if count > 2 * self.step else 8.0 * np.abs(known[-1] @ last.T).max(axis=1) / size[-1]
            found = (moments[:, :count] @ table) @ known.transpose(0, 2, 1)
            sums.append(found.reshape(len(found), -1) if whole else found[:, column, row])
            roughs.append(size * ((ROUNDED + missing) * total * RAISED))
        factor, counts = each[row, -1] * self.rates[column] ** 2, np.array([x.size for x in self.alone])[column]
        loss, error = np.empty(row.size), np.empty(row.size)
        for start in range(0, row.size, TOGETHER):
            part = slice(start, start + TOGETHER)
            v, u = sums[0][:, part], sums[1][:, part] * factor[part]
            v_rough, u_rough = roughs[0][:, row[part]], roughs[1][:, row[part]] * factor[part]
            above = (np.abs(v) + v_rough, np.abs(u) + u_rough)
            if counts[part].any():
                alone = self._alone(each, row[part], column[part])
                total, most = (_added_up(*x, tau1, sigma2, alone) for x in ((v, u), above))
            else:
                # Three digits are enough of a rise; where this range is not, there is none.
                total = _added_up(v, u, tau1, sigma2)
                most = _added_up(above[0].astype(np.float32), above[1].astype(np.float32), tau1, sigma2)
            loss[part] = 0.5 * total
            error[part] = np.where(total > 0.0, np.abs(most / total - 1.0) / RAISED, np.inf)
        good = (error <= ENOUGH) & np.isfinite(loss) & (counts <= MOST_ALONE)
        return np.where(good, loss, np.nan), np.where(good, error, np.inf)

    def _alone(self, each: Array, row: Array, column: Array) -> _Alone:
        """The modes above the level."""
        counts = np.array([self.alone[c].size if self.alone[c].size <= MOST_ALONE else 0 for c in column])
        at = np.repeat(np.arange(row.size), counts)
        mode = np.concatenate([self.alone[c] for c, n in zip(column, counts, strict=True) if n] or [np.zeros(0, int)])
        nodes, capacity, signal = (x[mode] for x in self.modes)
        rate, own = self.rates[column[at]], each[row[at]]
        maps, kick = _maps(self.settings.kind, rate * nodes, own, self.settings.taus[1])
        state = np.zeros_like(kick)
        state[0] = signal
        cells, force = np.flatnonzero(counts), kick * (own[:, -1] * rate * rate * capacity)
        return _Alone(maps, force, state, at, cells, np.cumsum(counts)[cells] - counts[cells])


def _maps(kind: type[Any], a: Array, each: Array, tau2: float) -> tuple[Array, Array]:
    """Maps and kicks of second moments, hyperparameters and gamma in the last axis."""
    maps, kick = symmetric_square(kind.update(a, *np.moveaxis(each[..., :-1], -1, 0)), a)
    maps[:, 0] -= kick * (tau2 * each[..., -1] * a * a)
    return maps, kick


def _at_points(kind: type[Any], a: Shaped[Array, "B m"], each: Array, tau2: float, step: int) -> tuple[Array, Array]:
    """v_0..v_t and u_0..u_{t-1} at a, shape (steps, B, m)."""
    maps, kick = _maps(kind, a, each[:, None], tau2)
    maps, kick = maps.reshape(*maps.shape[:2], -1), kick.reshape(len(kick), -1)
    v, u = np.empty((step + 1, a.size)), np.empty((step, a.size))
    row = np.zeros_like(kick)
    row[0] = v[0] = 1.0
    for s in range(step):
        np.einsum("in,in->n", row, kick, out=u[s])
        row = np.einsum("in,ijn->jn", row, maps)
        v[s + 1] = row[0]
    return v.reshape(-1, *a.shape), u.reshape(-1, *a.shape)


def _added_up(v: Array, u: Array, tau1: float, sigma2: float, alone: _Alone | None = None) -> Array:
    """S_t + sigma^2 of every cell at the last step."""
    steps, drive, back = u.shape[0], np.empty_like(u), u[::-1]
    total, state = np.empty_like(v[0]), None if alone is None else alone.state
    for t in range(steps + 1):
        np.einsum("sc,sc->c", back[steps - t :], drive[:t], out=total)
        total += v[t]
        if alone is not None and state is not None:
            total[alone.cells] += np.add.reduceat(state[0], alone.starts)
        if t < steps:
            np.multiply(total, tau1, out=drive[t])
            drive[t] += sigma2
            if alone is not None and state is not None:
                state = np.einsum("ijn,jn->in", alone.maps, state)
                state += alone.force * drive[t][alone.at]
    return total + total.dtype.type(sigma2)
