"""How fast the mean loss of real mini-batch runs grows, measured where few runs carry it: by cloning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.experiments.simulation.batches import batches
from genfun.methods.sgd import SGD


@dataclass(frozen=True, eq=False, repr=False)
class ClonedRuns(Displayed):
    """Growth of the mean loss over the steps, from populations of runs.

    Attributes
    ----------
    log_growth : array, shape (populations, steps + 1)
        log of the estimated mean excess loss over its initial value; 0 at step 0. Its exponential is unbiased.

    Examples
    --------
    >>> ClonedRuns(np.array([[0.0, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2, 0.34]]))
    ClonedRuns(2 populations, 3 steps, growth rate 0.11 +- 0.01 per step)
    """

    log_growth: Float[Array, "populations t"]

    def rate(self, first: int | None = None) -> tuple[float, float]:
        """Growth rate of the mean loss from a step to the last, and its standard error over the populations.

        Parameters
        ----------
        first : int or None
            None starts at a third of the run.
        """
        last = self.log_growth.shape[1] - 1
        start = last // 3 if first is None else _check.integer("first", first, 0)
        if start >= last:
            raise ValueError(f"first must be below the last step {last}, got {start}")
        rates = (self.log_growth[:, -1] - self.log_growth[:, start]) / (last - start)
        return float(rates.mean()), float(rates.std(ddof=1) / math.sqrt(rates.size))

    def __repr__(self) -> str:
        count, length = self.log_growth.shape
        rate, error = self.rate()
        return f"ClonedRuns({count} populations, {length - 1} steps, growth rate {rate:.4g} +- {error:.1g} per step)"


def cloned_runs(
    data: LinearData, method: SGD, steps: int, runs: int = 500, populations: int = 8, seed: int = 0
) -> ClonedRuns:
    r"""Mini-batch runs of which those that grow are cloned and those that shrink are dropped.

    .. math:: \frac{E\,L(t)}{L(0)} = E\prod_{s=1}^{t}\frac1R\sum_{r=1}^{R} g_{r,s},\qquad
              g_{r,s} = \frac{L_r(s)}{L_r(s-1)}

    where before every step R runs are drawn in proportion to their g. A plain mean over runs misses the rare runs that
    carry it near the edge of stability; here every population holds them, and the estimate of the mean is unbiased.

    **Assumptions.** No label noise and one output; every run has its own fresh batches.

    Parameters
    ----------
    data : LinearData
        Interpolated data; w_0 = 0.
    method : SGD
        alpha, beta and b.
    steps : int
        Number of steps.
    runs : int
        R, of one population. The bias of the rate is of order 1/R.
    populations : int
        Independent populations, at least 2, from which the standard error is taken.
    seed : int
        Of `numpy.random.SeedSequence`, with a child for each population.

    Returns
    -------
    ClonedRuns

    Raises
    ------
    ValueError
        If the data have label noise or several outputs, or a number is out of range.

    References
    ----------
    Del Moral, Feynman-Kac Formulae (2004), chapter 7 (the unbiased estimate).

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.data.translation_invariant([1.0], [1.0])
    >>> cloned_runs(data, gf.SGD(2.5), steps=3, runs=2, populations=2).log_growth[0].round(3)  # log(1.5^2) a step
    array([0.   , 0.811, 1.622, 2.433])
    """
    _check.options(method, nesterov=False)
    length, count = _check.integer("steps", steps, 1), _check.integer("runs", runs, 2)
    number = _check.integer("populations", populations, 2)
    if data.noise_variance > 0.0 or data.coefficients.shape[1] != 1:
        raise ValueError(
            f"data must have one output and no label noise, got {data.coefficients.shape[1]} outputs and "
            f"noise_variance={data.noise_variance!r}; nothing else grows from the minimum by the same factor everywhere"
        )
    children = np.random.SeedSequence(seed).spawn(number)
    return ClonedRuns(np.stack([_population(data, method, length, count, child) for child in children]))


def _population(
    data: LinearData, method: SGD, steps: int, runs: int, seed: np.random.SeedSequence
) -> Float[Array, " t"]:
    phi, lam = data.eigenfeatures, data.eigenvalues
    n, size = phi.shape[0], method.batch_size
    rng = np.random.default_rng(seed)
    draws = None if size is None else batches(rng, n, size, method.replacement)
    w = np.tile(-data.coefficients[:, 0], (runs, 1))
    v, before = np.zeros_like(w), (w * w) @ lam
    found = np.zeros(steps + 1)
    for t in range(1, steps + 1):
        if draws is None:
            gradient = w * lam
        else:
            rows = phi[np.stack([next(draws) for _ in range(runs)])]
            gradient = np.einsum("rbk,rb->rk", rows, np.einsum("rbk,rk->rb", rows, w)) / rows.shape[1]
        v = method.momentum * v - method.learning_rate * gradient
        w = w + v
        after = (w * w) @ lam
        growth = after / before
        found[t] = found[t - 1] + math.log(growth.mean())
        # Systematic draws: each run is kept floor or ceil of R g/sum(g) times.
        places = (rng.random() + np.arange(runs)) * (growth.sum() / runs)
        kept = np.minimum(np.searchsorted(np.cumsum(growth), places), runs - 1)
        # A common scale a run changes nothing that follows, and keeps the numbers in range.
        scale = np.sqrt(after[kept])[:, None]
        w, v, before = w[kept] / scale, v[kept] / scale, np.ones(runs)
    return found
