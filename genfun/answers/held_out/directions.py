"""Held-out samples in the eigenbasis of the training data."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.data import _arrays
from genfun.data.linear import LinearData

UNRESOLVED = 1e-12
"""Relative to the largest, an eigenvalue below which a direction of a kernel matrix is rounding."""
AGREE = 1e-6
"""Relative error to which X_train must reproduce the eigenfeatures."""


def held_out_features(data: LinearData, X_test: Any, X_train: Any = None) -> Float[Array, "n rank"]:
    r"""Eigenfeatures of other samples.

    .. math:: \Phi_{test} = X_{test} V,\quad V = X^T\Phi\,(N\Lambda)^{-1};\qquad
              \Phi_{test} = K(test, train)\,\Phi\,(N\Lambda)^{-1}\ \text{for a kernel}

    What a held-out sample has outside the span of the training samples needs nothing: training from 0 never moves
    there.

    Parameters
    ----------
    data : LinearData
    X_test : array-like, shape (n, d) or (n, N)
        Features; of a kernel the cross kernel K(test, train).
    X_train : array-like, shape (N, d), or None
        Features of the training samples, where the data do not hold the directions themselves.

    Raises
    ------
    ValueError
        On a wrong shape, if X_train is needed or is not what the data were built from, or where a frame has its columns
        in another order than that of the training features had.
    """
    _arrays.check_names("X_test", X_test, data.names)
    _arrays.check_names("X_train", X_train, data.names)
    table = _arrays.table("X_test", X_test)
    values = _arrays.block("X_test", table, slice(0, table.shape[0]))
    directions = _directions(data, X_train)
    if values.shape[1] != directions.shape[0]:
        of = "training samples of the kernel" if data.solver == "kernel" and X_train is None else "features"
        raise ValueError(f"X_test must have {directions.shape[0]} columns, the {of}, got {values.shape[1]}")
    return values @ directions


def _directions(data: LinearData, X_train: Any) -> Float[Array, "d rank"]:
    if X_train is None and getattr(data.store, "directions", None) is not None:
        store: Any = data.store
        return store.directions * getattr(store, "factor", 1.0)
    phi, lam = data.eigenfeatures, data.eigenvalues
    dual = phi / (data.n_samples * lam)
    if X_train is None:
        if data.solver == "kernel":
            dual[:, lam < UNRESOLVED * lam[0]] = 0.0
            return dual
        raise ValueError(
            "X_train must be given: data with more features than samples do not hold the directions in feature space; "
            "pass the features that the data were built from"
        )
    table = _arrays.table("X_train", X_train)
    features = _arrays.block("X_train", table, slice(0, table.shape[0]))
    if features.shape[0] != data.n_samples:
        raise ValueError(f"X_train must have the {data.n_samples} rows of the data, got {features.shape[0]}")
    directions = features.T @ dual
    again = features @ directions
    # The data may have been normalised since: one factor is theirs.
    factor = float((again * phi).sum() / (again * again).sum())
    if np.abs(factor * again - phi).max() > AGREE * np.abs(phi).max():
        raise ValueError("X_train must be the features that the data were built from, in the same order; they differ")
    return factor * directions
