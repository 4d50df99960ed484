"""The sampling factor: how the variance of a mini-batch mean depends on the batch size."""

from __future__ import annotations

from genfun import _check


def sampling_factor(batch_size: int | None, n_samples: int | None, replacement: bool = False) -> float:
    r"""The factor gamma of the variance of a mini-batch mean.

    .. math:: \gamma = \frac{N-b}{(N-1)\,b}\ \text{(without replacement)},\qquad \gamma = \frac1b\ \text{(otherwise)}

    Parameters
    ----------
    batch_size : int or None
        b, samples; None means the full batch, gamma = 0.
    n_samples : int or None
        N, samples; None means streaming data.
    replacement : bool
        Whether the samples of one batch are drawn with replacement.

    Returns
    -------
    float
        gamma, dimensionless, in [0, 1].

    Raises
    ------
    ValueError
        If batch_size is outside 1..n_samples.

    References
    ----------
    arXiv 2206.11124, eq. (5).

    Examples
    --------
    >>> sampling_factor(10, None), sampling_factor(100, 100), sampling_factor(None, 100)
    (0.1, 0.0, 0.0)
    """
    if batch_size is None:
        return 0.0
    b = _check.integer("batch_size", batch_size, 1, "None means the full batch")
    if n_samples is None:
        return 1.0 / b
    n = _check.integer("n_samples", n_samples, 1)
    if replacement:
        return 1.0 / b
    if b > n:
        raise ValueError(f"batch_size must be at most n_samples={n}, got {b}; batch_size=None means the full batch")
    return 0.0 if n == 1 else (n - b) / ((n - 1) * b)
