"""Eigenbasis of a data set: from features by a streamed triangular factor, or from a kernel matrix.

One triangular factor R with R^T R = A^T A is all that the spectrum needs of a tall matrix A. It is accumulated over
blocks of rows in one of two ways:

- Gram: G = A^T A, R = chol(G). About four times cheaper, but it squares the condition number.
- QR: R <- qr([R; block]). Backward stable whatever the spectrum.

Gram is tried where there are at least twice as many rows as columns and kept only if, judged on its own R, the
eigenvalues span less than 1e6 and the residual exceeds 1e-6 of the targets: then the relative errors stay near
1e6 eps = 2e-10. Otherwise the data are read again for QR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from genfun._typing import Array, Float, Progress
from genfun.data._arrays import block, reported, slices

SAFE_FOR_GRAM = 1e-6
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


def triangle_gram(blocks: Iterable[Float[Array, "rows width"]]) -> Float[Array, "width width"] | None:
    """R by Cholesky of the Gram matrix; None where that matrix is not numerically positive definite."""
    gram: Array | None = None
    for piece in blocks:
        gram = piece.T @ piece if gram is None else gram + piece.T @ piece
    assert gram is not None
    try:
        return np.linalg.cholesky(gram).T
    except np.linalg.LinAlgError:
        return None


def _is_safe(triangle: Array, d: int) -> bool:
    spectrum = np.linalg.svd(triangle[:d, :d], compute_uv=False) ** 2
    if spectrum[-1] <= SAFE_FOR_GRAM * spectrum[0]:
        return False
    targets, residual = np.sum(triangle[:, d:] ** 2), np.sum(triangle[d:, d:] ** 2)
    return bool(residual >= SAFE_FOR_GRAM * targets)


def _triangle(
    blocks: Callable[[str], Iterable[Array]], length: int, width: int, d: int
) -> tuple[Float[Array, "k width"], str]:
    if length >= 2 * width:
        triangle = triangle_gram(blocks("Gram matrix"))
        if triangle is not None and _is_safe(triangle, d):
            return triangle, "gram"
    return triangle_qr(blocks("QR factor")), "qr"


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

    def blocks(stage: str) -> Iterable[Array]:
        for rows in reported(pieces, progress, stage):
            yield np.hstack([block("X", features, rows), block("y", targets, rows)])

    triangle, solver = _triangle(blocks, n, d + m, d)
    # With [X y] = Q R: X = Q1 R11, y = Q1 R12 + Q2 R22, so the part of y outside the columns of Q1 is R22.
    r11, r12, r22 = triangle[:d, :d], triangle[:d, d:], triangle[d:, d:]
    left, singular, right = np.linalg.svd(r11, full_matrices=False)
    rank = kept_count(singular, n, d)
    overlap = left.T @ r12
    residual = float(np.sum(r22**2) + np.sum(overlap[rank:] ** 2))
    return Eigenbasis(
        eigenvalues=singular[:rank] ** 2 / n,
        coefficients=overlap[:rank] / singular[:rank, None],
        noise_variance=_mean_square(residual, float(np.sum(triangle[:, d:] ** 2)), n, d),
        n_dropped=d - rank,
        solver=solver,
        directions=right[:rank].T,
        eigenfeatures=None,
    )


def from_wide(features: Any, targets: Any, progress: Progress | None = None) -> Eigenbasis:
    """Eigenbasis of d > n features, streamed over blocks of features."""
    n, d = features.shape
    pieces = slices(d, n, least=4 * n)

    def blocks(stage: str) -> Iterable[Array]:
        for columns in reported(pieces, progress, stage):
            yield block("X", features, slice(0, n), columns).T

    # X^T = Q R, hence X = R^T Q^T: the left singular vectors and singular values of X are those of R^T.
    triangle, solver = _triangle(blocks, d, n, n)
    left, singular, _ = np.linalg.svd(triangle.T, full_matrices=False)
    rank = kept_count(singular, n, d)
    y = block("y", targets, slice(0, n))
    return _from_left(left[:, :rank], singular[:rank] ** 2 / n, y, n - rank, solver, d)


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
    largest = float(np.abs(matrix).max())
    asymmetry = np.abs(matrix - matrix.T)
    tolerance = max(eps, EPS) ** (2.0 / 3.0)
    if asymmetry.max() > tolerance * largest:
        i, j = (int(k) for k in np.unravel_index(int(asymmetry.argmax()), asymmetry.shape))
        raise ValueError(
            f"K must be symmetric, but K[{i}, {j}]={matrix[i, j]:.17g} and K[{j}, {i}]={matrix[j, i]:.17g}; "
            "pass (K + K.T)/2 if that is rounding"
        )
    if progress is not None:
        progress(0.0, "eigenvalues of the kernel")
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
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
