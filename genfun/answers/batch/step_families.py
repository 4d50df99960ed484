r"""Families of K(b), the steps to a target against the batch size, and their fit in logarithms.

Every family is log K = c + q phi(b; r): given the shape r, the level c and the exponent q are a weighted line fit, so
that r alone is searched, on a grid, for all bootstrap draws at once (variable projection).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float

WIDE = 10.0
"""Shapes are searched this far beyond the measured batch sizes."""
LARGEST_EXPONENT = 8.0
SMALLEST_EXPONENT = 1e-3


@dataclass(frozen=True)
class StepFamily:
    """One shape of K(b) = scale * exp(q phi(b; r)).

    Parameters
    ----------
    name : str
        What it is called in results.
    formula : str
        K(b) in plain text, with the names of `parameters`.
    free_exponent : bool
        Whether q is fitted; otherwise 1.
    shapes : callable
        From batch sizes to the grid of r, shape (rows, columns, parameters of the shape); the last axis but one runs
        along the parameter that sets the critical batch size.
    basis : callable
        phi(b; r): (m, parameters), (n,) -> (m, n).
    critical : callable
        The b of least K b, from r and q: 0 where samples only grow with b.
    pole : bool
        Whether K has a pole at b = r, which then lies below the smallest batch size.
    """

    name: str
    formula: str
    free_exponent: bool
    shapes: Callable[[Array], Array]
    basis: Callable[[Array, Array], Array]
    critical: Callable[[Array, Array], Array]
    pole: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the fitted numbers, as in the formula."""
        return ("A", "B", *(("q",) if self.free_exponent else ()), *(("C",) if "C" in self.formula else ()))

    def values(self, level: float, exponent: float, shape: Array) -> dict[str, float]:
        """The fitted numbers by name.

        Parameters
        ----------
        level, exponent : float
            c and q.
        shape : array
            r.
        """
        found = {"A": float(np.exp(level)), "B": float(shape[0]), "q": exponent, "C": float(shape[-1])}
        return {name: found[name] for name in self.parameters}

    def log_steps(self, b: Array, level: float, exponent: float, shape: Array) -> Array:
        """log K at batch sizes.

        Parameters
        ----------
        b : array
            Batch sizes.
        level, exponent : float
            c and q.
        shape : array
            r.
        """
        return level + exponent * self.basis(shape[None, :], b)[0]


def _line(low: float, high: float, count: int) -> Array:
    return np.geomspace(low, high, count)[None, :, None]


def _added(b: Array) -> Array:
    return _line(b.min() / WIDE, b.max() * WIDE, 90)


def _removed(b: Array) -> Array:
    return b.min() * np.sort(1.0 - np.geomspace(2e-3, 0.999, 80))[None, :, None]


def _both(b: Array) -> Array:
    first = np.concatenate(([0.0], np.geomspace(b.min(), b.max() * WIDE, 24)))
    best = np.geomspace(b.min() / 3.0, 3.0 * b.max(), 60)
    return np.stack(np.meshgrid(first, best, indexing="ij"), axis=-1)


def _log_sum(r: Array, b: Array) -> Array:
    return np.log1p(r / b)


def _log_pole(r: Array, b: Array) -> Array:
    return -np.log1p(-r / b)


FAMILIES = (
    StepFamily("hyperbola", "K = A (1 + B/b)", False, _added, _log_sum, lambda r, q: 0.0 * q),
    StepFamily("rational", "K = A b/(b - B)", False, _removed, _log_pole, lambda r, q: 2.0 * r[..., 0], True),
    StepFamily("power", "K = A (1 + B/b)^q", True, _added, _log_sum, lambda r, q: np.maximum(q - 1.0, 0.0) * r[..., 0]),
    StepFamily("source", "K = A (b/(b - B))^q", True, _removed, _log_pole, lambda r, q: r[..., 0] * (1.0 + q), True),
    StepFamily(
        "expansion",
        "K = A (1 + B/b + C^2/b^2)",
        False,
        _both,
        lambda r, b: np.log1p(r[..., :1] / b + (r[..., 1:] / b) ** 2),
        lambda r, q: r[..., 1],
    ),
)


@dataclass(frozen=True, eq=False)
class Fits:
    """One family fitted to many sets of log K at the same batch sizes.

    Parameters
    ----------
    level, exponent : array, shape (sets,)
        c and q.
    shape : array, shape (sets, parameters of the shape)
        r.
    misfit : array, shape (sets,)
        Weighted sum of squared residuals.
    critical : array, shape (sets,)
        The b of least samples.
    """

    level: Float[Array, " sets"]
    exponent: Float[Array, " sets"]
    shape: Float[Array, "sets shape"]
    misfit: Float[Array, " sets"]
    critical: Float[Array, " sets"]


def fit_family(family: StepFamily, b: Array, log_steps: Array, weights: Array) -> Fits:
    """The least-squares fit of a family to every row of `log_steps`.

    Parameters
    ----------
    family : StepFamily
    b : array, shape (n,)
    log_steps, weights : array, shape (sets, n)
    """
    shapes = family.shapes(b)
    rows, columns, _ = shapes.shape
    flat = shapes.reshape(rows * columns, -1)
    basis = family.basis(flat, b)
    total = weights.sum(axis=1, keepdims=True)
    basis_mean = weights @ basis.T / total
    spread = weights @ (basis**2).T - total * basis_mean**2
    mean = (weights * log_steps).sum(axis=1, keepdims=True) / total
    centred = weights * (log_steps - mean)
    shared = centred @ basis.T
    exponent: Any = 1.0
    if family.free_exponent:
        exponent = np.clip(shared / np.maximum(spread, 1e-12), SMALLEST_EXPONENT, LARGEST_EXPONENT)
    misfit = (centred * (log_steps - mean)).sum(axis=1, keepdims=True) + exponent * (exponent * spread - 2.0 * shared)
    # The best row for every column, then the best column, refined by the parabola through its neighbours.
    table = misfit.reshape(-1, rows, columns)
    sets = np.arange(len(table))
    profile, row = table.min(axis=1), table.argmin(axis=1)
    column = profile.argmin(axis=1)
    inner = np.clip(column, 1, columns - 2)
    left, mid, right = (profile[sets, inner + i] for i in (-1, 0, 1))
    bend = left - 2.0 * mid + right
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.where((inner == column) & (bend > 0.0), 0.5 * (left - right) / bend, 0.0)
    best = row[sets, column] * columns + column
    shape = flat[best].copy()
    along = np.log(shapes[0, :, -1])
    shape[:, -1] = np.exp(np.interp(column + move, np.arange(columns), along))
    return at_shape(family, b, log_steps, weights, shape)


def at_shape(family: StepFamily, b: Array, log_steps: Array, weights: Array, shape: Array) -> Fits:
    """The weighted line fit of every row at a given shape.

    Parameters
    ----------
    family : StepFamily
    b : array, shape (n,)
    log_steps, weights : array, shape (sets, n)
    shape : array, shape (sets, parameters of the shape)
    """
    total = weights.sum(axis=1)
    phi = family.basis(shape, b)
    mean = (weights * log_steps).sum(axis=1) / total
    phi_mean = (weights * phi).sum(axis=1) / total
    q = np.ones(len(shape))
    if family.free_exponent:
        centred = phi - phi_mean[:, None]
        bottom = np.maximum((weights * centred**2).sum(axis=1), 1e-12)
        q = np.clip((weights * centred * log_steps).sum(axis=1) / bottom, SMALLEST_EXPONENT, LARGEST_EXPONENT)
    level = mean - q * phi_mean
    residual = log_steps - level[:, None] - q[:, None] * phi
    return Fits(level, q, shape, (weights * residual**2).sum(axis=1), family.critical(shape, q))


def polish(family: StepFamily, b: Array, log_steps: Array, weights: Array, start: Array) -> Fits:
    """One set, from the best of the grid on to the least misfit.

    Parameters
    ----------
    family : StepFamily
    b, log_steps, weights : array, shape (n,)
    start : array, shape (parameters of the shape,)
        r.
    """
    from scipy.optimize import minimize

    ceiling = b.min() if family.pole else np.inf

    def fits(root: Array) -> Fits:
        return at_shape(family, b, log_steps[None], weights[None], (root**2)[None])

    def misfit(root: Array) -> float:
        return float(fits(root).misfit[0]) if (root**2 < ceiling).all() else np.inf

    # Squares keep the shape positive and let it reach zero.
    found = minimize(misfit, np.sqrt(start), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12})
    return fits(found.x)
