"""The held-out loss by cross-validation in folds: the other route from the training samples alone."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.answers.held_out.curve import HeldOutCurve
from genfun.data.linear import LinearData
from genfun.methods.base import Method

FOLDS = 5


class FoldsCurve:
    """The mean over folds of the held-out loss of training on the others.

    **Assumptions.** As for `HeldOutCurve`. Training on four fifths of the samples does a little worse than on all.

    Parameters
    ----------
    data : LinearData
    seed : int
        Of the division into folds.
    """

    def __init__(self, data: LinearData, seed: int = 0) -> None:
        if data.n_samples < 2 * FOLDS:
            raise ValueError(f"objective='folds' takes at least {2 * FOLDS} samples, got {data.n_samples}")
        self.data = data
        part = np.random.default_rng(seed).permutation(data.n_samples) % FOLDS
        phi, y = data.eigenfeatures, data.targets
        self.curves = [
            HeldOutCurve(
                LinearData.from_features(phi[part != i], y[part != i]), phi[part == i], y[part == i], phi[part != i]
            )
            for i in range(FOLDS)
        ]

    def many(self, rates: Array, momenta: Array, batch_size: int | None, step: int) -> Float[Array, " S"]:
        """Losses of many settings of heavy-ball SGD at one step, for searches: to about 1e-4.

        Parameters
        ----------
        rates, momenta : array, shape (S,)
        batch_size : int or None
        step : int
            t > 0.
        """
        found = [curve.many(rates, momenta, batch_size, step) * curve.n_test for curve in self.curves]
        return np.sum(found, axis=0) / self.data.n_samples

    def losses(self, method: Method, steps: Int[Array, " t"]) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        """Mean losses, and those of the mean paths.

        Parameters
        ----------
        method : Method
        steps : array, shape (t,)
            Ascending.
        """
        found = [np.stack(curve.losses(method, steps)) * curve.n_test for curve in self.curves]
        loss, mean = sum(found) / self.data.n_samples  # pyright: ignore
        return loss, mean
