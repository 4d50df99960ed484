"""Analytic kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.data import _arrays

ROWS = 128
"""Rows of a symmetric kernel that are found together, from the diagonal on."""
NEARLY_PARALLEL = 1e-3
"""Below this 1 - |cos| the angle is taken from differences: arccos loses eps/sin(t), here at most 5e-15."""


def relu_ntk(X: Any, X2: Any = None) -> Float[Array, "n m"]:
    r"""Neural tangent kernel of an infinitely wide two-layer ReLU network, both layers trained.

    .. math:: \Theta(x,x') = \frac{|x||x'|}{2\pi d}\,[\sin t + 2(\pi-t)\cos t],\qquad
              t = \angle(x,x')

    The network is :math:`f(x) = m^{-1/2}\sum_r a_r\,\mathrm{relu}(d^{-1/2}\langle w_r,x\rangle)` with m units, standard
    normal a and w (NTK parametrisation) and no biases; training a gives sin t + (pi - t) cos t, training w gives
    (pi - t) cos t.

    **Assumptions.** Infinite width, so that the kernel stays at its initial value. Angles near 0 and pi, where
    arccos loses half the digits, are computed from differences of the directions: absolute accuracy about 1e-14 in t.

    Parameters
    ----------
    X : array-like, shape (n, d)
        Inputs. A zero input gives a zero row.
    X2 : array-like, shape (m, d), or None
        Second inputs; None means X itself, and an exactly symmetric result.

    Returns
    -------
    array, shape (n, m)
        The kernel, in units of the square of an input.

    Raises
    ------
    ValueError
        On wrong shapes or non-finite values.

    References
    ----------
    Jacot, Gabriel, Hongler, arXiv 1806.07572; Cho and Saul (2009), arc-cosine kernels of order 0 and 1.

    Examples
    --------
    >>> relu_ntk([[1.0, 0.0], [0.0, 2.0]]).round(4)
    array([[0.5   , 0.1592],
           [0.1592, 2.    ]])
    """
    left = _whole("X", X)
    right = left if X2 is None else _whole("X2", X2)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"X and X2 must have one number of features, got {left.shape[1]} and {right.shape[1]}")
    norms1, norms2 = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
    unit1, unit2 = left / _nonzero(norms1)[:, None], right / _nonzero(norms2)[:, None]
    kernel = np.empty((left.shape[0], right.shape[0]))
    if X2 is None:  # one half
        for start in range(0, len(left), ROWS):
            rows = slice(start, start + ROWS)
            kernel[rows, start:] = _angular(unit1[rows], unit2[start:])
            own = kernel[rows, rows]
            own[:] = 0.5 * (own + own.T)
            kernel[rows.stop :, rows] = kernel[rows, rows.stop :].T
    else:
        for rows in _arrays.slices(*kernel.shape):
            kernel[rows] = _angular(unit1[rows], unit2)
    kernel *= norms1[:, None] * norms2 / (2.0 * np.pi * left.shape[1])
    if X2 is None:
        np.fill_diagonal(kernel, norms1**2 / left.shape[1])
    return kernel


def _whole(name: str, value: Any) -> Float[Array, "n d"]:
    source = _arrays.table(name, value)
    return _arrays.block(name, source, slice(0, source.shape[0]))


def _nonzero(norms: Float[Array, " n"]) -> Float[Array, " n"]:
    return np.where(norms > 0.0, norms, 1.0)


def _angular(u: Float[Array, "n d"], v: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """sin t + 2 (pi - t) cos t for unit (or zero) vectors."""
    cosine = np.clip(u @ v.T, -1.0, 1.0)
    angle = np.arccos(cosine)
    close = np.argwhere(1.0 - np.abs(cosine) < NEARLY_PARALLEL)
    for piece in _arrays.slices(len(close), u.shape[1]):
        i, j = close[piece].T
        near, far = np.linalg.norm(u[i] - v[j], axis=1), np.linalg.norm(u[i] + v[j], axis=1)
        angle[i, j] = 2.0 * np.arctan2(near, far)
        cosine[i, j] = np.cos(angle[i, j])
    return np.sin(angle) + 2.0 * (np.pi - angle) * cosine
