"""How much the direct recursion amplifies rounding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Shaped
from genfun.engine.recursion import Recursion, symmetric_square
from genfun.engine.settings import Settings
from genfun.methods.base import UpdateMatrices
from genfun.noise import SpectrallyExpressible
from genfun.problems.measure import SpectralMeasure
from genfun.scaled import EPS

SAMPLED = 24
"""Modes that are looked at, of a long spectrum."""
FADED = 30.0
"""A mode that has decayed by exp(-FADED) relative to the slowest no longer counts."""
MERGED, MOST_COUPLED = 1e-3, 200
"""Modes below this part of the largest are merged where all are looked at together; more than so many take too long."""
COALESCED = 1e12
"""Eigenvectors of this condition are one."""
LARGE, DOUBLINGS = 100.0, 20
"""From this condition on it is looked at how it builds up, over so many doublings of the step."""
MANY, TOGETHER = 200, 4_000
"""So many maps of three moments are projected by a formula: 15 times as quick as by eigenvectors, to about eps times
the square of the condition, which is enough where every map is a setting of its own. And how many at once: the working
arrays stay in the cache."""


def largest_off_axis(values: Shaped[Array, "..."]) -> float:
    """log of the largest modulus off the positive real axis; -inf if there is none.

    Parameters
    ----------
    values : complex array
        Eigenvalues.
    """
    off = (np.abs(np.imag(values)) > 1e-12 * np.abs(values)) | (np.real(values) < 0.0)
    with np.errstate(divide="ignore"):
        return float(np.log(np.where(off, np.abs(values), 0.0).max()))


def coupled_rate(problem: Any, method: Any, noise: Any, capacity: SpectralMeasure) -> float:
    """`largest_off_axis` of the second moments of all modes together, those that move little merged; inf for very many.

    Parameters
    ----------
    problem : Problem
    method : Method
    noise : SpectrallyExpressible
    capacity : SpectralMeasure
    """
    merged = capacity.lump(MERGED * float(capacity.nodes.max()))
    if merged.nodes.size > MOST_COUPLED:
        return np.inf
    return largest_off_axis(np.linalg.eigvals(Recursion(problem, [method], noise, (merged, merged)).coupled_map()))


def _inverse(matrices: Shaped[Array, "n M M"]) -> Shaped[Array, "n M M"]:
    """Inverses; nan where there is none."""
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        singular = ~(np.abs(np.linalg.det(matrices)) > 0.0)[:, None, None]
        return np.where(singular, np.nan, np.linalg.inv(np.where(singular, np.eye(matrices.shape[1]), matrices)))


def projections_of_three(maps: Shaped[Array, "3 3 n"]) -> tuple[Shaped[Array, " n"], Shaped[Array, "n 3 3"]]:
    r"""Moduli of the largest eigenvalues of many 3 x 3 maps, and the absolute values of the projections on them.

    .. math:: \frac{x\,y^T}{y^T x} = \frac{\mathrm{adj}(A - \mu)}{\mathrm{tr}\,\mathrm{adj}(A - \mu)}

    with mu by Cardano's formula about the mean of the eigenvalues. nan where a projection exceeds `COALESCED`.

    Parameters
    ----------
    maps : array, shape (3, 3, n)
    """
    parts = [_projections_of_three(maps[..., i : i + TOGETHER]) for i in range(0, maps.shape[2], TOGETHER)]
    return np.concatenate([x for x, _ in parts]), np.concatenate([x for _, x in parts])


def _projections_of_three(maps: Shaped[Array, "3 3 n"]) -> tuple[Shaped[Array, " n"], Shaped[Array, "n 3 3"]]:
    """Of some of them."""

    def adjugate(b: list[list[Array]]) -> list[list[Array]]:
        turn = ((1, 2), (2, 0), (0, 1))
        return [[b[p][r] * b[q][s] - b[p][s] * b[q][r] for p, q in turn] for r, s in turn]

    with np.errstate(all="ignore"):
        scale = np.abs(maps).max(axis=(0, 1))
        unit = maps / np.where(scale > 0.0, scale, 1.0)
        mean = (unit[0, 0] + unit[1, 1] + unit[2, 2]) / 3.0
        apart = [[unit[i, j] - mean if i == j else unit[i, j] for j in range(3)] for i in range(3)]
        minors = adjugate(apart)
        third = (minors[0][0] + minors[1][1] + minors[2][2]) / 3.0
        half = -0.5 * (apart[0][0] * minors[0][0] + apart[0][1] * minors[1][0] + apart[0][2] * minors[2][0])
        split = half * half + third**3
        # One real root and a pair, or three real ones, of which the first or the last is the largest.
        reach = -np.copysign(np.cbrt(np.abs(half) + np.sqrt(np.maximum(split, 0.0))), half)
        other = np.where(reach == 0.0, 0.0, -third / reach)
        single, pair = reach + other, -0.5 * (reach + other) + 0.5j * np.sqrt(3.0) * (reach - other)
        span = np.sqrt(np.maximum(-third, 0.0))
        angle = np.arccos(np.clip(-half / np.where(span > 0.0, span, 1.0) ** 3, -1.0, 1.0)) / 3.0
        three, first = split <= 0.0, 2.0 * span * np.cos(angle)
        last = 2.0 * span * np.cos(angle + 2.0 * np.pi / 3.0)
        one, two = np.where(three, first, single), np.where(three, last, pair)
        largest = np.where(np.abs(mean + one) >= np.abs(mean + two), one, two)
        found = adjugate([[apart[i][j] - largest if i == j else apart[i][j] for j in range(3)] for i in range(3)])
        trace = np.abs(found[0][0] + found[1][1] + found[2][2])
        projection = np.stack([np.stack([np.abs(x) / trace for x in row], axis=-1) for row in found], axis=-2)
        projection[~(projection.max(axis=(1, 2)) < COALESCED)] = np.nan
        return scale * np.abs(mean + largest), projection


@dataclass(frozen=True)
class MomentMaps:
    """The maps of the second moments of single modes: of one method, or each of a setting of its own.

    Parameters
    ----------
    update : UpdateMatrices
        T(a) and k, whose entries broadcast against a.
    a : array, shape (n,)
        learning rate * lambda.
    """

    update: UpdateMatrices
    a: Shaped[Array, " n"]

    @classmethod
    def of_method(cls, method: Any, nodes: Shaped[Array, " n"]) -> MomentMaps:
        """Those of some of the modes, the extreme ones among them.

        Parameters
        ----------
        method : Method
        nodes : array, shape (n,)
            lambda_k, of all modes.
        """
        a = method.learning_rate * np.sort(nodes)[np.unique(np.linspace(0, nodes.size - 1, SAMPLED).astype(int))]
        return cls(method.update(a, *method.hyperparameters), a)

    @cached_property
    def _kept(self) -> dict[bytes, Any]:
        return {}

    @cached_property
    def _dominant(self) -> dict[bytes, Any]:
        return {}

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """The square of the update, and what is spared with own = 1."""
        square, kick = symmetric_square(self.update, self.a)
        return square, kick * (self.a * self.a)

    def of(self, own: Any) -> Shaped[Array, "n M M"]:
        """The maps.

        Parameters
        ----------
        own : float or array, shape (n,)
            gamma tau2, a mode's correction of its own noise.
        """
        square, spared = self._parts
        maps = square.copy()
        maps[:, 0] -= own * spared
        return maps.transpose(2, 0, 1)

    def fed_back(self, gain: Any) -> Shaped[Array, "n M M"]:
        """What a mode feeds back to itself of its noise, in absolute value.

        Parameters
        ----------
        gain : float or array, shape (n,)
            gamma tau1.
        """
        square, spared = self._parts
        maps = np.zeros_like(square)
        maps[:, 0] = gain * np.abs(spared)
        return maps.transpose(2, 0, 1)

    def eigen(self, own: Any) -> tuple[Shaped[Array, "n M M"], Array, Array]:
        """The maps, their eigenvalues and their eigenvectors, which are kept.

        Parameters
        ----------
        own : float
            As for `of`.
        """
        key = np.asarray(own).tobytes()
        if key not in self._kept:
            matrix = self.of(own)
            self._kept[key] = (matrix, *np.linalg.eig(matrix))
        return self._kept[key]

    def dominant(self, own: Any) -> tuple[Shaped[Array, "n M M"], Array, Array]:
        """The maps, the modulus of their largest eigenvalues, and the absolute values of the projections on them.

        The projection x y^T / (y^T x) is not known (nan) where the eigenvectors coalesce.

        Parameters
        ----------
        own : float
            As for `of`.
        """
        key = np.asarray(own).tobytes()
        if key not in self._dominant:
            if self.a.size >= MANY and len(self.update[1]) == 2:
                matrix = self.of(own)
                self._dominant[key] = (matrix, *projections_of_three(np.moveaxis(matrix, 0, 2)))
                return self._dominant[key]
            matrix, values, right = self.eigen(own)
            top, each = np.argmax(np.abs(values), axis=1), np.arange(values.shape[0])
            with np.errstate(all="ignore"):
                # Rows of the inverse are the left eigenvectors.
                inverse, right_moduli = _inverse(right), np.abs(right)
                inverse_moduli = np.abs(inverse)
                condition = np.sqrt(
                    np.square(inverse_moduli).sum(axis=(1, 2)) * np.square(right_moduli).sum(axis=(1, 2))
                )
                left = np.where((condition < COALESCED)[:, None], inverse_moduli[each, top], np.nan)
            projection = right_moduli[each, :, top][:, :, None] * left[:, None, :]
            self._dominant[key] = (matrix, np.abs(values[each, top]), projection)
        return self._dominant[key]

    def off_axis_rate(self, own: tuple[float, ...]) -> float:
        """log of the largest modulus of an eigenvalue off the positive real axis; -inf if there is none.

        Parameters
        ----------
        own : tuple of float
            Several values of what a mode is spared of its own noise.
        """
        return max(largest_off_axis(self.eigen(each)[1]) for each in own)


@dataclass(frozen=True)
class Conditioning:
    r"""Sensitivity of the second moments of single modes to rounding, relative, per step and eps.

    .. math:: \kappa_t = \frac{\bigl|e^T A^{t/2}\bigr|\, N\, \bigl|A^{t/2} e\bigr|}{|e^T A^t e|\, |\mu|}
        \;\to\; \kappa = \frac{|y|^T N\, |x|}{|y^T x|\,|\mu|}

    for the map A of the second moments, its dominant eigenvalue mu with the left and right eigenvectors y and x, and
    the moment e that the loss is made of: the error grows as kappa_t t eps. A step rounds the absolute values N that
    it adds: what a mode is spared of its own noise (tau2) and what it feeds back to itself (tau1) apart. What was
    rounded is carried on by both together, which nearly cancel where gamma (tau1 - tau2) is small: that is A. Where
    its eigenvalues coalesce (near the curvature limit of a momentum near 1), kappa is large, and kappa_t grows as the
    square of t until it is reached.

    **Assumptions.** Roundings at the middle of the run, where powers of a Jordan block amplify them most, stand for
    all. The noise of other modes adds to the loss no less than to its error: as tau1 >= tau2, A and what couples the
    modes take moments to moments.

    Parameters
    ----------
    rates : array, shape (n,)
        log of the largest modulus of an eigenvalue of A.
    kappa : array, shape (n,)
    early : array, shape (k, n)
        The largest kappa up to t = 2, 4, ..., 2^k, until kappa is reached; from there on as the square of t. 0 where
        kappa is small.
    """

    rates: Shaped[Array, " n"]
    kappa: Shaped[Array, " n"]
    early: Shaped[Array, "k n"]

    @classmethod
    def of(cls, maps: MomentMaps, own: Any, rounded: Shaped[Array, "n M M"]) -> Conditioning:
        """Of the modes of these maps.

        Parameters
        ----------
        maps : MomentMaps
        own : float or array, shape (n,)
            gamma (tau2 - tau1), what a mode is spared of its own noise less what it feeds back to itself.
        rounded : array, shape (n, M, M)
            N.
        """
        matrix, modulus, projection = maps.dominant(own)
        with np.errstate(all="ignore"):
            kappa = np.einsum("nij,nji->n", rounded, projection) / modulus
            kappa = np.nan_to_num(kappa, nan=np.inf, posinf=np.inf)
            # How it builds up matters where it is large.
            large = np.flatnonzero(kappa > LARGE)
            if not large.size:
                return cls(np.log(modulus), kappa, np.zeros((1, kappa.size)))
            added = rounded[large] / modulus[large, None, None]
            powers, rounds = matrix[large] / modulus[large, None, None], []
            for _ in range(DOUBLINGS):
                left, right = np.abs(powers[:, 0]), np.abs(powers[:, :, 0])
                powers = powers @ powers
                rounds.append(np.einsum("ni,nij,nj->n", left, added, right) / np.abs(powers[:, 0, 0]))
                if not (kappa[large] > rounds[-1]).any():
                    break
            early = np.zeros((len(rounds), kappa.size))
            early[:, large] = np.maximum.accumulate(np.nan_to_num(rounds, nan=np.inf, posinf=np.inf))
            return cls(np.log(modulus), kappa, early)

    def growth(self, steps: Array) -> Shaped[Array, " t"]:
        """By what the relative error of a loss exceeds eps, at every step.

        Parameters
        ----------
        steps : array, shape (t,)
        """
        if not self.early.any():
            until, largest = self._by_duration
            return steps * largest[np.searchsorted(until, steps, side="right")]
        t = np.asarray(steps, dtype=np.float64)[:, None]
        with np.errstate(invalid="ignore"):
            lasting = (self.rates.max() - self.rates) * t < FADED
        return np.where(lasting, self.each(steps), 0.0).max(axis=1)

    @cached_property
    def _by_duration(self) -> tuple[Array, Array]:
        """How long modes last, ascending, and the largest kappa of those that last longer than the first 0, 1, ..."""
        with np.errstate(divide="ignore"):
            until = np.nan_to_num(FADED / (self.rates.max() - self.rates), nan=np.inf, posinf=np.inf)
        order = np.argsort(until)
        return until[order], np.append(np.maximum.accumulate(self.kappa[order][::-1])[::-1], 0.0)

    def each(self, steps: Array) -> Shaped[Array, "t n"]:
        """The same, whichever mode the loss is made of.

        Parameters
        ----------
        steps : array, shape (t,)
        """
        t = np.asarray(steps, dtype=np.float64)[:, None]
        count = self.early.shape[0]
        with np.errstate(all="ignore"):
            doublings = np.clip(np.ceil(np.log2(t)), 1, count).astype(np.int64)
            reached = self.early[doublings[:, 0] - 1] * np.maximum(t / 2.0**count, 1.0) ** 2
            amount = t * np.where(self.kappa > LARGE, np.minimum(self.kappa, reached), self.kappa)
            return np.nan_to_num(amount, nan=0.0, posinf=1e300)


def rounding_of_settings(settings: Settings, step: int, by_recursion: bool) -> Shaped[Array, " S"]:
    """Relative errors of losses in doubles, each by the fastest mode of its setting.

    Parameters
    ----------
    settings : Settings
        S settings under spectrally expressible noise; others are known to what a recursion always rounds.
    step : int
    by_recursion : bool
        Whether all that a step adds is rounded, or only what modes feed back to themselves of their noise.
    """
    usual = np.full(settings.rates.size, EPS * (16.0 + step) if by_recursion else 0.0)
    if not isinstance(settings.noise, SpectrallyExpressible) or not usual.size:
        return usual
    (tau1, tau2), gamma = settings.taus, settings.gamma
    a = settings.rates * settings.problem.lambda_max
    maps = MomentMaps(settings.kind.update(a, *settings.hyper), a)
    rounded = maps.fed_back(gamma * tau1) + (4.0 * np.abs(maps.of(gamma * tau2)) if by_recursion else 0.0)
    return np.maximum(usual, EPS * Conditioning.of(maps, gamma * (tau2 - tau1), rounded).each(np.array([step]))[0])
