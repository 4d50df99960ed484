"""Sums over samples of products of two features of one group, which blocks of a covariance consist of."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Float


def pairs_of(features: Float[Array, "N d"], side: int) -> Float[Array, "N p"]:
    """Products of two features of each group, the first no later than the second.

    Parameters
    ----------
    features : array, shape (N, d)
    side : int
        s, features in a group.

    Returns
    -------
    array, shape (N, d (s + 1) / 2)
    """
    n, d = features.shape
    inside, (first, second) = features.reshape(n, d // side, side), np.triu_indices(side)
    return (inside[:, :, first] * inside[:, :, second]).reshape(n, -1)


def folded(blocks: Float[Array, "g s s c"]) -> Float[Array, "p c"]:
    """What such products are multiplied by for x^T B x: both entries of each two features, added.

    Parameters
    ----------
    blocks : array, shape (d / s, s, s, c)
    """
    first, second = np.triu_indices(blocks.shape[1])
    sums = blocks[:, first, second]
    sums = sums + np.where(first == second, 0.0, 1.0)[:, None] * blocks[:, second, first]
    return sums.reshape(-1, blocks.shape[3])


def unfolded(moments: Float[Array, "p c"], side: int) -> Float[Array, "g s s c"]:
    """Symmetric blocks whose entries are means of such products.

    Parameters
    ----------
    moments : array, shape (d (s + 1) / 2, c)
    side : int
        s.
    """
    first, second = np.triu_indices(side)
    moments = moments.reshape(-1, first.size, moments.shape[1])
    blocks = np.empty((moments.shape[0], side, side, moments.shape[2]))
    blocks[:, first, second] = blocks[:, second, first] = moments
    return blocks
