"""Eigenbasis of a data set: from features by a streamed triangular factor, or from a kernel matrix.

All that the spectrum needs of a tall matrix A is accumulated over blocks of rows in one of two ways:

- Gram: the eigenvectors of A^T A. Several times cheaper, but it squares the condition number.
- QR: a triangular factor, R <- qr([R; block]). Backward stable whatever the spectrum.

Gram is tried where there are at least twice as many rows as columns and kept only if, judged on its own result, the
eigenvalues span less than 1e6 and the residual exceeds 1e-6 of the targets: then the relative errors stay near
1e6 eps = 2e-10. Otherwise the data are read again for QR.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from genfun._threads import one_thread
from genfun._typing import Array, Float, Progress
from genfun.data._arrays import LARGEST, block, reported, slices, view

SAFE_FOR_GRAM = 1e-6
IN_PLACE = 3_000
"""Kernels of so many samples are diagonalised where they lie: divide and conquer takes room for five more of them."""
SMALL = 1_500
"""Matrices of so many rows are diagonalised by one thread."""
EPS = float(np.finfo(np.float64).eps)


class Eigenbasis(NamedTuple):
    """Spectrum, optimum and residual of a least-squares problem in its eigenbasis."""

    eigenvalues: Float[Array, " rank"]
    coefficients: Float[Array, "rank outputs"]
    noise_variance: float
    n_dropped: int
    solver: str
    directions: Float[Array, "features rank"] | None
    eigenfeatures: Float[Array, "samples rank"] | None


def triangle_qr(blocks: Iterable[Float[Array, "rows width"]]) -> Float[Array, "k width"]:
    """R of a tall matrix given in blocks of rows, by QR of R stacked on each block."""
    triangle: Array | None = None
    for piece in blocks:
        stacked = piece if triangle is None else np.vstack([triangle, piece])
        triangle = np.asarray(np.linalg.qr(stacked, mode="r"))
    assert triangle is not None
    return triangle


class GramSpectrum(NamedTuple):
    """Singular values and right vectors of X, what they have of the targets, and the rest of these."""

    singular: Float[Array, " d"]
    right: Float[Array, "d d"]
    overlap: Float[Array, "d outputs"]
    residual: float
    total: float


def gram_spectrum(pairs: Iterable[tuple[Array, Array]]) -> GramSpectrum | None:
    r"""From the Gram matrix of blocks of rows of X and y, nothing stacked; None where that would lose digits.

    .. math:: X^TX = V\Sigma^2V^T,\qquad U^Ty = \Sigma^{-1}V^TX^Ty,\qquad |y|^2 - |U^Ty|^2

    A value that is not finite, or too large to be squared, shows in the sums.

    Parameters
    ----------
    pairs : iterable of (array, array)
    """
    gram: Any = None
    cross: Any = None
    total = 0.0
    for x, y in pairs:
        with np.errstate(over="ignore", invalid="ignore"):
            parts = x.T @ x, x.T @ y
            gram, cross = parts if gram is None else (gram + parts[0], cross + parts[1])
            total += float(np.vdot(y, y))
    assert gram is not None
    if not (np.isfinite(cross).all() and max(float(np.trace(gram)), total) <= LARGEST**2):
        return None
    with one_thread(gram.shape[0] <= SMALL):
        values, right = np.linalg.eigh(gram)
    if not values[0] > SAFE_FOR_GRAM * values[-1]:
        return None
    singular, right = np.sqrt(values[::-1]), right[:, ::-1]
    overlap = right.T @ cross / singular[:, None]
    residual = total - float(np.sum(overlap**2))
    return GramSpectrum(singular, right, overlap, residual, total) if residual >= SAFE_FOR_GRAM * total else None


def kept_count(singular: Float[Array, " k"], n: int, d: int) -> int:
    """Number of singular values above max(n, d) eps times the largest, the usual rounding threshold of a rank."""
    return int(np.count_nonzero(singular > max(n, d) * EPS * singular[0])) if singular[0] > 0.0 else 0


def _mean_square(residual: float, total: float, n: int, d: int) -> float:
    """Residual per sample; 0 where it is at the rounding of the targets."""
    return 0.0 if residual <= (max(n, d) * EPS) ** 2 * total else residual / n


def from_tall(features: Any, targets: Any, progress: Progress | None = None) -> Eigenbasis:
    """Eigenbasis of n >= d features, streamed over samples."""
    n, d = features.shape
    m = targets.shape[1]
    pieces = slices(n, d + m, least=4 * (d + m))
    gram = None
    if n >= 2 * (d + m):
        told = reported(pieces, progress, "Gram matrix")
        gram = gram_spectrum((view("X", features, rows, False), view("y", targets, rows, False)) for rows in told)
    if gram is not None:
        return Eigenbasis(
            eigenvalues=gram.singular**2 / n,
            coefficients=gram.overlap / gram.singular[:, None],
            noise_variance=_mean_square(gram.residual, gram.total, n, d),
            n_dropped=0,
            solver="gram",
            directions=gram.right,
            eigenfeatures=None,
        )
    told = reported(pieces, progress, "QR factor")
    triangle = triangle_qr(np.hstack([view("X", features, rows), view("y", targets, rows)]) for rows in told)
    # With [X y] = Q R: X = Q1 R11, y = Q1 R12 + Q2 R22, so the part of y outside the columns of Q1 is R22.
    r11, r12, r22 = triangle[:d, :d], triangle[:d, d:], triangle[d:, d:]
    left, singular, right = np.linalg.svd(r11, full_matrices=False)
    rank = kept_count(singular, n, d)
    overlap = left.T @ r12
    residual = float(np.sum(r22**2) + np.sum(overlap[rank:] ** 2))
    with np.errstate(over="ignore"):  # what doubles do not hold is refused by its scale
        coefficients = overlap[:rank] / singular[:rank, None]
    return Eigenbasis(
        eigenvalues=singular[:rank] ** 2 / n,
        coefficients=coefficients,
        noise_variance=_mean_square(residual, float(np.sum(triangle[:, d:] ** 2)), n, d),
        n_dropped=d - rank,
        solver="qr",
        directions=right[:rank].T,
        eigenfeatures=None,
    )


def from_wide(features: Any, targets: Any, progress: Progress | None = None) -> Eigenbasis:
    """Eigenbasis of d > n features, streamed over blocks of features."""
    n, d = features.shape
    pieces, y = slices(d, n, least=4 * n), block("y", targets, slice(0, n))

    def blocks(stage: str, checked: bool) -> Iterable[Array]:
        for columns in reported(pieces, progress, stage):
            yield view("X", features, slice(0, n), checked, columns).T

    # Of X^T the right vectors are the left ones of X; there are no targets beside it.
    gram = gram_spectrum((x, x[:, :0]) for x in blocks("Gram matrix", False)) if d >= 2 * n else None
    if gram is not None:
        return _from_left(gram.right, gram.singular**2 / n, y, 0, "gram", d)
    # X^T = Q R, hence X = R^T Q^T: the left singular vectors and singular values of X are those of R^T.
    left, singular, _ = np.linalg.svd(triangle_qr(blocks("QR factor", True)).T, full_matrices=False)
    rank = kept_count(singular, n, d)
    return _from_left(left[:, :rank], singular[:rank] ** 2 / n, y, n - rank, "qr", d)


def _eigh_in_place(matrix: Array) -> tuple[Array, Array]:
    """By relatively robust representations, with no room but that of the vectors; orthogonal to 1e-12 only."""
    from scipy.linalg import eigh

    return eigh(matrix.T, driver="evr", overwrite_a=True, check_finite=False)


def _from_left(left: Array, eigenvalues: Array, y: Array, n_dropped: int, solver: str, d: int) -> Eigenbasis:
    """Eigenbasis from the left singular vectors u_k: phi_k(i) = sqrt(N lambda_k) u_k(i)."""
    n = y.shape[0]
    scale = np.sqrt(n * eigenvalues)
    overlap = left.T @ y
    residual = float(np.sum((y - left @ overlap) ** 2)) if left.shape[1] < n else 0.0
    return Eigenbasis(
        eigenvalues=eigenvalues,
        coefficients=overlap / scale[:, None],
        noise_variance=_mean_square(residual, float(np.sum(y**2)), n, d),
        n_dropped=n_dropped,
        solver=solver,
        directions=None,
        eigenfeatures=left * scale,
    )


def from_kernel_matrix(kernel: Any, targets: Any, eps: float, progress: Progress | None = None) -> Eigenbasis:
    """Eigenbasis of a symmetric positive semi-definite kernel matrix whose entries carry relative rounding eps.

    Entries rounded independently by at most eps |K_ij| / 2 move the eigenvalues by less than sqrt(N) eps max|K|, and
    the eigensolver by about N times double rounding times the largest: what lies below both is not resolved.
    """
    n = kernel.shape[0]
    matrix = block("K", kernel, slice(0, n))
    largest = max(float(matrix.max()), -float(matrix.min()))
    tolerance = max(eps, EPS) ** (2.0 / 3.0)
    # A few rows at a time, and the mean in place: no second matrix beside that of the eigenvectors.
    for rows in slices(n, n):
        asymmetry = np.abs(matrix[rows] - matrix[:, rows].T)
        if asymmetry.max() > tolerance * largest:
            i, j = (int(k) for k in np.unravel_index(int(asymmetry.argmax()), asymmetry.shape))
            i += rows.start
            raise ValueError(
                f"K must be symmetric, but K[{i}, {j}]={matrix[i, j]:.17g} and K[{j}, {i}]={matrix[j, i]:.17g}; "
                "pass (K + K.T)/2 if that is rounding"
            )
    for rows in slices(n, n):
        mean = 0.5 * (matrix[rows, rows.start :] + matrix[rows.start :, rows].T)
        matrix[rows, rows.start :] = mean
        matrix[rows.start :, rows] = mean.T
    if progress is not None:
        progress(0.0, "eigenvalues of the kernel")
    with one_thread(n <= SMALL):
        values, vectors = _eigh_in_place(matrix) if n >= IN_PLACE else np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    threshold = max(n * EPS * abs(values[0]), np.sqrt(n) * eps * largest)
    if values[-1] < -threshold or values[0] <= 0.0:
        raise ValueError(
            f"K must be positive semi-definite and not zero, but its eigenvalues run from {values[-1]:.6g} to "
            f"{values[0]:.6g} (rounding explains down to {-threshold:.3g}); check that K is a kernel matrix"
        )
    rank = int(np.count_nonzero(values > threshold))
    if progress is not None:
        progress(1.0, "eigenvalues of the kernel")
    y = block("y", targets, slice(0, n))
    return _from_left(vectors[:, :rank], values[:rank] / n, y, n - rank, "kernel", n)
