r"""Where runs are carried out: on the samples' residuals, or on the weights in the eigenbasis.

The residuals r_i = <phi_i, w - w*> - eps_i of all samples follow the same method as the weights do, with the kernel
matrix K_ij = <phi_i, phi_j> in place of the features: a batch B kicks them by the columns of K at B,

.. math:: r_{t+1} = r_t + q_{t+1},\quad q_{t+1} = \beta q_t - \frac{\alpha}{b}\sum_{i\in B} K_{\cdot i}\, r_{t,i},
          \qquad L = \frac1{2N}|r|^2.

A step then reads b rows of length N once. On the weights it reads b rows of length `rank` twice, once for the
residuals and once for the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.experiments.simulation.updates import Updates

LARGEST_KERNEL = 4096
"""Samples up to which the kernel matrix is formed; 128 MiB in double precision."""
ROWS_WORTH = 2
"""The kernel matrix serves if N <= ROWS_WORTH * rank: one pass over rows of N instead of two over rows of rank."""


@dataclass(frozen=True, eq=False)
class Space:
    """State, data and loss of a run in one of the two spaces, D long.

    Attributes
    ----------
    rows : array, shape (N, D)
        What a unit residual at a sample adds to the gradient.
    start : array, shape (outputs, D)
        Initial state.
    weights : array, shape (D,)
        The loss is floor + sum_d weights_d state_d^2.
    floor : float
        Part of the loss that no run can change.
    errors : array, shape (N, outputs), or None
        Residuals at the optimum, to subtract from <rows, state>; None where the state is the residuals themselves.
    """

    rows: Float[Array, "n d"]
    start: Float[Array, "outputs d"]
    weights: Float[Array, " d"]
    floor: float
    errors: Float[Array, "n outputs"] | None


def space_of(data: LinearData, settings: Updates) -> Space:
    """The space that costs less: residuals if N <= 2 rank and N <= 4096, otherwise weights.

    Residuals differ from <phi, w - w*> by those at the optimum, which must stay where they are without a gradient: a
    method that keeps anything but w from them in its state (an earlier w, say) is run on the weights. The choice does
    not depend on the number of runs or steps.

    Parameters
    ----------
    data : LinearData
    settings : Updates
    """
    still = settings.plain and (settings.transitions[:, :, 0] == np.eye(settings.components)[0]).all()
    small = data.n_samples <= min(LARGEST_KERNEL, ROWS_WORTH * data.rank)
    return residuals_space(data) if still and small else weights_space(data)


def weights_space(data: LinearData) -> Space:
    """The weights w - w* in the eigenbasis.

    Parameters
    ----------
    data : LinearData
    """
    return Space(
        rows=np.ascontiguousarray(data.eigenfeatures),
        start=-data.coefficients.T,
        weights=0.5 * data.eigenvalues,
        floor=0.5 * data.noise_variance,
        errors=data.residuals,
    )


# One simulation often follows another on the same data; the matrix goes when the data go.
_KERNELS: WeakKeyDictionary[LinearData, Float[Array, "n n"]] = WeakKeyDictionary()


def residuals_space(data: LinearData) -> Space:
    """The residuals of all samples; forms the kernel matrix, O(N^2 rank), once for the data.

    Parameters
    ----------
    data : LinearData
    """
    kernel = _KERNELS.get(data)
    if kernel is None:
        phi = data.eigenfeatures
        kernel = _KERNELS[data] = phi @ phi.T
    n = data.n_samples
    start = -(data.eigenfeatures @ data.coefficients + data.residuals).T
    return Space(kernel, np.ascontiguousarray(start), np.full(n, 0.5 / n), 0.0, None)
