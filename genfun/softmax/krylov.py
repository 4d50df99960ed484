"""A small space in which the mean weights move, where the Hessian is too large to diagonalise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genfun._typing import Array, Float

FIRST, GROWTH = 4, 4
"""Products with a block of vectors before the mean is first looked at, and between two looks."""
MOST = 48
CLOSE = 1e-4
"""Of the way that the mean goes: what a few more products may still move it."""
NOTHING = 1e-12
"""Of the first vectors, what counts as one of their combinations."""

Vectors = Float[Array, "m _p"]


def small_space(
    product: Callable[[Vectors], Vectors],
    first: Vectors,
    moved: Callable[[Vectors, Float[Array, " _p"]], Float[Array, " m"]],
    steps: int,
) -> tuple[Vectors, Float[Array, " _p"]]:
    """Orthonormal Ritz vectors and values of H, of the block Krylov space of the first vectors.

    n steps are a polynomial of degree n in H on the first vectors, so that so many products are exact; and from about
    the root of the steps times curvature on, more change little.

    Parameters
    ----------
    product : callable
        H times columns.
    first : array, shape (m, p)
        Where the mean is, its velocity, and the force.
    moved : callable
        The way of the mean in a space, of its vectors and values.
    steps : int
        That will be made.
    """
    block = _orthonormal(first, np.empty((first.shape[0], 0)))
    space, images, before = np.empty((first.shape[0], 0)), np.empty((first.shape[0], 0)), None
    look = min(FIRST, steps)
    for count in range(1, MOST + 1):
        image = product(block)
        space, images = np.hstack((space, block)), np.hstack((images, image))
        block = _orthonormal(image, space)
        last = count >= steps or block.shape[1] == 0 or count == MOST
        if count < look and not last:
            continue
        look += GROWTH
        value, vector = np.linalg.eigh(0.5 * (space.T @ images + images.T @ space))
        ritz = space @ vector
        if last:
            return ritz, value
        way = moved(ritz, value)
        if before is not None and np.linalg.norm(way - before) <= CLOSE * np.linalg.norm(way):
            return ritz, value
        before = way
    raise AssertionError


def _orthonormal(block: Vectors, against: Vectors) -> Vectors:
    """An orthonormal basis of what the columns have outside a space, each column alike in weight."""
    size = np.linalg.norm(block, axis=0)
    block = block[:, size > 0.0] / size[size > 0.0]
    if block.shape[1] == 0:
        return block
    for _ in range(2):  # the second time takes away what rounding left
        block = block - against @ (against.T @ block)
    turn, singular, _ = np.linalg.svd(block, full_matrices=False)
    kept = turn[:, singular > NOTHING]
    return kept - against @ (against.T @ kept)
