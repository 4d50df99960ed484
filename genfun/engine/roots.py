"""Eigenvalues of the update matrices: how large they are, where they lie, and how fast they turn along a spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Complex, Float, Shaped
from genfun.methods.base import Method

FINE, DEPTH = 300, 1e-9
"""Points at which turning is looked at, and how far below the largest a: slower modes turn less."""
MARGIN = 2.0
"""Turning between the points may be this much faster."""


def update_roots(rows: Any, shape: tuple[int, ...]) -> Complex[Array, "*n m"]:
    """Eigenvalues of update matrices given by their rows, whose entries broadcast to the shape."""
    if len(rows) == 2:
        return _roots_of_two(rows, shape)
    matrix = np.stack([np.stack([np.broadcast_to(x, shape) for x in row], axis=-1) for row in rows], axis=-2)
    return np.linalg.eigvals(matrix).astype(np.complex128)


def _roots_of_two(rows: Any, shape: tuple[int, ...]) -> Complex[Array, "*n 2"]:
    """The same of two rows: the larger root by the quadratic formula, the other from the determinant."""
    (first, above), (below, second) = rows
    half, apart = 0.5 * (first + second), 0.5 * (first - second)
    split = np.broadcast_to(apart * apart + above * below, shape)
    reach = np.sqrt(np.abs(split))
    larger = half + np.copysign(reach, half)
    with np.errstate(divide="ignore", invalid="ignore"):
        smaller = np.where(larger == 0.0, 0.0, (first * second - above * below) / larger)
    real = split >= 0.0
    roots = np.empty((*shape, 2), dtype=np.complex128)
    roots.real[..., 0], roots.real[..., 1] = np.where(real, larger, half), np.where(real, smaller, half)
    roots.imag[..., 0] = np.where(real, 0.0, reach)
    roots.imag[..., 1] = -roots.imag[..., 0]
    return roots


def off_axis(roots: Complex[Array, "n m"]) -> Shaped[Array, " n"]:
    """Largest |r_i r_j| off the positive real axis of each mode; 0 where there is none."""
    products = roots[:, :, None] * roots[:, None, :]
    off = (np.abs(np.imag(products)) > 1e-12 * np.abs(products)) | (np.real(products) < 0.0)
    return np.where(off, np.abs(products), 0.0).max(axis=(1, 2))


def log_roots(rows: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """log of the largest r^2, and of the largest product r_i r_j off the positive real axis, of update matrices."""
    with np.errstate(divide="ignore"):
        if len(rows) == 2:
            half = 0.5 * (rows[0][0] + rows[1][1])
            determinant = rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
            split = half * half - determinant
            # A pair of complex roots has the modulus of its product.
            largest = np.where(split < 0.0, determinant, (np.abs(half) + np.sqrt(np.abs(split))) ** 2)
            off = np.where((split < 0.0) | (determinant < 0.0), np.abs(determinant), 0.0)
        else:
            roots = update_roots(rows, shape).reshape(-1, len(rows))
            largest, off = np.abs(roots).max(axis=1).reshape(shape) ** 2, off_axis(roots).reshape(shape)
        return np.log(largest), np.log(off)


def turning(
    kind: type[Any], hyper: tuple[Array, ...], largest: Float[Array, " S"]
) -> tuple[Float[Array, " S"], Float[Array, " S"]]:
    r"""How fast the complex roots exp(i theta) turn along the spectrum, and from which a on there are any.

    .. math:: \cos\theta = \frac{1+\beta-a}{2\sqrt\beta},\qquad
              \frac{d\theta}{d\log a} = \frac{a}{2\sqrt\beta\sin\theta}\approx\tfrac12\sqrt a

    for heavy ball: with a small rate all modes turn slowly, and a spectrum needs few nodes. Where theta begins as a
    square root, and its slope is infinite, cos(t theta) is smooth all the same.

    Parameters
    ----------
    kind : type
        Class of the methods.
    hyper : tuple of arrays, each of shape (S,)
    largest : array, shape (S,)
        learning rate * lambda_max.

    Returns
    -------
    (array, array)
        A bound of abs(d theta/d log a) up to the largest a, at most 1; and a below all that turn, inf where none does.
    """
    each, place = np.unique(np.column_stack((*hyper, np.zeros(largest.size))), axis=0, return_inverse=True)
    place = place.ravel()
    grid = float(largest.max()) * np.geomspace(DEPTH, 1.0, FINE)
    rows = kind.update(grid, *(h[:, None] for h in each[:, :-1].T))[0]
    angles = np.sort(np.abs(np.angle(update_roots(rows, (len(each), FINE)))), axis=-1)
    slopes = np.abs(np.diff(angles, axis=1)).max(axis=-1) * ((FINE - 1) / -np.log(DEPTH))
    slopes = np.maximum.accumulate(slopes, axis=1)
    turns = ((angles > 0.0) & (angles < np.pi)).any(axis=-1)
    first = np.where(turns.any(axis=-1), grid[np.maximum(turns.argmax(axis=1) - 1, 0)] / MARGIN, np.inf)
    return np.minimum(MARGIN * slopes[place, np.searchsorted(grid[1:-1], largest)], 1.0), first[place]


def turning_of(method: Method, lambda_max: float) -> tuple[float, float]:
    """`turning` of one method, and an eigenvalue in place of a.

    Parameters
    ----------
    method : Method
    lambda_max : float
    """
    hyper, rate = tuple(np.array([h]) for h in method.hyperparameters), method.learning_rate
    slope, first = turning(type(method), hyper, np.array([rate * lambda_max]))
    return float(slope[0]), float(first[0]) / rate
