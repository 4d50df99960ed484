"""Real MNIST digits as a regression problem: 10,000 of them inside the package, all 70,000 on demand."""

from __future__ import annotations

import hashlib
import io
import os
from importlib import resources

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Progress
from genfun.data import _download, _idx
from genfun.data.kernels import relu_ntk
from genfun.data.linear import LinearData

EMBEDDED = 10_000
ALL = 70_000
LARGEST_KERNEL = 20_000
EMBEDDED_SHA256 = "0217e13bd0668deb198aa7d305edbf0331eb89f8a6e7dd226e03d1aa3a9bd4ef"
MnistPath = str | os.PathLike[str] | tuple[str | os.PathLike[str], ...] | None


def mnist_arrays(n: int = EMBEDDED, path: MnistPath = None) -> tuple[Array, Array]:
    """Raw MNIST images and labels, at least n of them.

    Parameters
    ----------
    n : int
        Digits needed. Up to 10,000 come from the package (sorted by label); more are downloaded once, the 60,000
        training digits first, into the user's cache.
    path : path, pair of paths, or None
        Local files to use instead: a directory with the standard IDX files (gzipped or not), an NPZ file with images
        and labels, or (images file, labels file).

    Returns
    -------
    images : array of uint8, shape (pool, 28, 28)
        Grey levels, 0..255. The whole pool, not cut to n.
    labels : array of uint8, shape (pool,)
        Digits 0..9.

    Raises
    ------
    ValueError
        If n exceeds 70,000 or the digits in path, or a file is damaged.
    ImportError
        If a download is needed and pooch is not installed.
    ConnectionError
        If a download is needed and fails.

    Examples
    --------
    >>> images, labels = mnist_arrays()
    >>> images.shape, labels.shape
    ((10000, 28, 28), (10000,))
    """
    n = _check.integer("n", n, 1)
    if path is not None:
        images, labels = _idx.read_path(path, n)
    elif n <= EMBEDDED:
        images, labels = _embedded()
    elif n <= ALL:
        images, labels = _download.download(n)
    else:
        raise ValueError(f"n must be at most {ALL}, the size of MNIST, got {n}")
    if len(labels) < n:
        raise ValueError(f"n={n} digits were asked for but path={path!r} has {len(labels)}; lower n")
    return images, labels


def _embedded() -> tuple[Array, Array]:
    raw = resources.files("genfun.data").joinpath("mnist10k.npz").read_bytes()
    if hashlib.sha256(raw).hexdigest() != EMBEDDED_SHA256:
        raise ValueError("the digits inside the package are damaged (wrong sha256); install genfun again")
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        return archive["images"], archive["labels"]


def _standardised(values: Array, name: str, *others: Array) -> list[Float[Array, "..."]]:
    """Zero mean and unit variance over all entries; others are moved and scaled alike."""
    numbers = values.astype(np.float64)
    mean, spread = numbers.mean(), numbers.std()
    if spread == 0.0:
        raise ValueError(f"all {name} of the {len(values)} chosen digits are equal; take a larger n or another seed")
    return [(numbers - mean) / spread, *((other.astype(np.float64) - mean) / spread for other in others)]


def mnist(
    n: int = 1000,
    seed: int = 0,
    model: str = "ntk",
    path: MnistPath = None,
    progress: Progress | None = None,
) -> LinearData:
    r"""Regression of the digit's number on n random MNIST images.

    .. math:: \text{ntk: } K = \Theta(x_i, x_j),\qquad \text{pixels: } \psi_i = (x_i, 1),\qquad
              \text{both scaled to } \lambda_{\max} = 1

    **Assumptions.** Inputs are standardised by one mean and one standard deviation over all pixels of the chosen
    digits (per-pixel scaling would blow up the almost constant border pixels), labels by theirs, so the initial loss
    is 1/2 (up to rounding). "ntk" is the infinitely wide two-layer ReLU network without biases and interpolates:
    sigma^2 = 0; "pixels" is a linear model of 784 pixels and a bias and leaves a residual, sigma^2 = 0.315 at n=4000,
    seed=0. Measured for "ntk" at n=1000, seed=0: lambda_2 = 0.129, trace 2.85, smallest eigenvalue 5.9e-5.

    Parameters
    ----------
    n : int
        Digits. More than 10,000 need a download or path; "ntk" takes at most 20,000 (its kernel has n^2 entries).
    seed : int
        Seed of `numpy.random.default_rng` for the choice of digits.
    model : "ntk" or "pixels"
        Features.
    path : path, pair of paths, or None
        Local MNIST files, see `mnist_arrays`.
    progress : callable or None
        Called with (fraction done, stage).

    Returns
    -------
    LinearData
        The chosen digits, one output, lambda_max = 1.

    Raises
    ------
    ValueError
        On an unknown model, n out of range, or damaged files.
    ImportError, ConnectionError
        If a download is needed and impossible.

    Examples
    --------
    >>> mnist(n=100, seed=0)
    LinearData(n_samples=100, rank=100, outputs=1, noise_variance=0, n_dropped=0, solver='kernel')
    """
    return mnist_model(*mnist_rows(n, seed, model, path), model, progress)[0]


def mnist_rows(n: int, seed: int, model: str, path: MnistPath) -> tuple[Array, Array]:
    """Pixels and labels of the chosen digits, as they are.

    Parameters
    ----------
    n, seed, model, path
        As for `mnist`.
    """
    _check.choice("model", model, ("ntk", "pixels"))
    n = _check.integer("n", n, 2)
    if model == "ntk" and n > LARGEST_KERNEL:
        raise ValueError(
            f"n must be at most {LARGEST_KERNEL} with model='ntk', got {n}: the kernel matrix would take "
            f"{8e-9 * n * n:.0f} GB; use model='pixels' or fewer digits"
        )
    images, labels = mnist_arrays(n, path)
    chosen = np.random.default_rng(_check.integer("seed", seed, 0)).choice(len(labels), n, replace=False)
    return images[chosen].reshape(n, -1), labels[chosen]


def mnist_model(
    pixels: Array,
    labels: Array,
    model: str,
    progress: Progress | None = None,
    held_out: tuple[Array, Array] | None = None,
) -> tuple[LinearData, Array, Array, Array | None]:
    """The data, and held-out digits as `genfun.predict_test` takes them: X_test, y_test, X_train.

    Parameters
    ----------
    pixels, labels : arrays, shapes (n, 784) and (n,)
        Of the digits that are trained on.
    model : "ntk" or "pixels"
    progress : callable or None
    held_out : (array, array) or None
        Those of the other digits.
    """
    rows, targets = (pixels[:1], labels[:1]) if held_out is None else held_out
    x, others = _standardised(pixels, "pixels", rows)
    y, theirs = _standardised(labels, "labels", targets)
    if model == "ntk":
        data = LinearData.from_kernel(relu_ntk(x), y, progress)
        return data.normalized(), relu_ntk(others, x) / data.eigenvalues[0], theirs, None
    x, others = (np.hstack([part, np.ones((len(part), 1))]) for part in (x, others))
    return LinearData.from_features(x, y, progress).normalized(), others, theirs, x
