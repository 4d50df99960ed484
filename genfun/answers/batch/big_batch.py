"""How does the batch of Big Batch SGD grow, before training?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float, Int
from genfun.answers.batch._batch_chain import BatchChain
from genfun.answers.batch._batch_moments import Moments, SampleMoments, SpectrumMoments, affordable
from genfun.answers.batch.noise_scale import first_and_last
from genfun.answers.predict import DIVERGED
from genfun.case import STANDS_IN, Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.noise import sampling_factor
from genfun.problems.problem import Problem

Status = Literal["ok", "diverges"]
MEANING: dict[Status, str] = {
    "ok": "the mean loss stays finite",
    "diverges": "the mean loss grows beyond a million times its start: the rate is too large for any batch",
}
LAST_STEP = 10**6


@dataclass(frozen=True, eq=False, repr=False)
class BigBatch(Displayed):
    """Predicted batch sizes of Big Batch SGD.

    Attributes
    ----------
    steps : integer array, any shape
        As asked for; step 0 is the first batch, with its growth.
    batch_size : array, same shape
        Mean of b over runs, in samples.
    low, high : array, same shape
        5 % and 95 % quantiles of b over runs.
    loss : array, same shape
        Mean loss before the step.
    samples : array, same shape
        Mean number of gradients of single samples spent before the step.
    noise_scale : array, same shape
        B_noise before the step, in samples.
    full_batch_step : int or None
        First step at which half of the runs have the full batch; None if not by the last step asked for.
    status : str
        "ok" or "diverges"; `meaning` puts it in words.
    method : Method
        As asked.
    theta : float
        As asked.
    notes : tuple of str
        Which noise stands for that of data.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.answers.batch.big_batch import big_batch
    >>> problem = gf.PowerLaw(1.5, 0.5, n_modes=100, n_samples=1000)
    >>> big_batch(problem, gf.SGD(0.5, batch_size=10), [0, 10, 150], theta=0.5)
    BigBatch(ok: 14.87 samples at step 0, 1000 at step 150, full batch from step 50)
    """

    steps: Int[Array, "..."]
    batch_size: Float[Array, "..."]
    low: Float[Array, "..."]
    high: Float[Array, "..."]
    loss: Float[Array, "..."]
    samples: Float[Array, "..."]
    noise_scale: Float[Array, "..."]
    full_batch_step: int | None
    status: Status
    method: Method
    theta: float
    notes: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    def __repr__(self) -> str:
        words = first_and_last(self.steps, self.batch_size)
        full = "" if self.full_batch_step is None else f", full batch from step {self.full_batch_step}"
        return f"BigBatch({self.status}: {words}{full}{STANDS_IN if self.notes else ''})"


def big_batch(
    problem: Problem | LinearData,
    method: Method,
    steps: Any,
    theta: float = 0.5,
    noise: NoiseChoice = None,
    debiased: bool = False,
) -> BigBatch:
    r"""Batch sizes of Big Batch SGD with a fixed rate, and the loss that they lead to, without training.

    .. math:: \text{accept } B \iff |\nabla L_B|^2 \ge \frac{V_B}{\theta^2 |B|},\qquad
              b \approx B_{noise}(t)\,\frac{1-\theta^2}{\theta^2}\ \text{on average}

    A batch that fails grows by a tenth and is tested again, and no later batch is smaller. Chance decides: over many
    steps the rare failures carry the batch well above the average condition. Followed here are the mean second
    moments of the weights, by the recursion with the mean sampling factor of the batches, and the probabilities of
    all batch sizes, with the fluctuations of the test and its memory within one growing batch.

    **Assumptions.** Gaussian gradient noise: that of the samples of data, where these can be followed; or spectrally
    expressible, for larger data with constants fitted to them, as a note then says. V_B at its mean; the full gradient
    of every run as large as on average; accepted gradients no larger than drawn ones. Compared with real runs on digits
    in the validation. Features with heavy tails break the Gaussian law first, which makes batches up to 1.6 times too
    large for either noise. Steps up to 10^6, after which nothing is followed. Once every batch is full the loss is that
    of gradient descent.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum, with a finite trace.
    method : Method
        Rate, momentum, and the first batch size (before its growth).
    steps : int or array of ints, any shape
        Step numbers >= 0.
    theta : float
        In (0, 1], or positive with the debiased test, dimensionless.
    noise : SpectrallyExpressible, "exact", "fitted" or None
        "exact" follows the samples of data, and is refused where that takes more than about 3e10 operations, a second
        or two. None: the same where it is not refused, else the constants fitted to data; tau1 = tau2 = 1 for a
        spectrum. Any other is refused.
    debiased : bool
        Whether V_B/b is first taken off |grad L_B|^2: the same as the test with theta^2/(1 + theta^2).

    Returns
    -------
    BigBatch
        `.batch_size` of the shape of `steps`, `.low`, `.high`, `.loss`, `.samples`, `.full_batch_step`.

    Raises
    ------
    ValueError
        If theta, a step or the batch size is out of range, or the trace is infinite.

    References
    ----------
    arXiv 1610.05792, section 3; the prediction is derived here.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.answers.batch.big_batch import big_batch
    >>> problem = gf.PowerLaw(1.5, 0.5, n_modes=100, n_samples=10_000)
    >>> big_batch(problem, gf.SGD(0.5, batch_size=10), [0, 100], theta=0.7).batch_size.round().tolist()
    [11.0, 1017.0]
    """
    wanted = _check.steps(steps)
    last = int(wanted.max())
    if last > LAST_STEP:
        raise ValueError(f"steps must be at most {LAST_STEP} here, got {last}; long before, the batch is full")
    theta = _check.positive("theta", theta)
    if theta > 1.0 and not debiased:
        raise ValueError(f"theta must be at most 1, where the test passes on average, got {theta!r}; lower it")
    _check.method(method)
    if isinstance(method, Averaged):
        raise ValueError(f"averaged weights: no batch is drawn for them, got {method!r}; pass its .method")
    _check.options(method, knows=True)
    if method.batch_size is None:
        raise ValueError("method.batch_size is None, the full batch; pass the batch size to start from")
    data = problem if isinstance(problem, LinearData) else None
    own = isinstance(noise, str) and noise == "exact"
    if noise is None and data is not None and affordable(data, last):
        own, noise = True, "exact"
    if own and data is not None and not affordable(data, last):
        raise ValueError(
            f"noise='exact' follows all {data.n_samples} samples step by step in big_batch, too long for {last} steps; "
            "use noise='fitted'"
        )
    case = Case.of(problem, noise=noise, only_expressible="" if own else "big_batch")
    problem = case.problem
    if not case.has_finite_trace:
        raise ValueError("problem has an infinite trace, and every batch fails; cut the spectrum with n_modes")
    sampling_factor(method.batch_size, problem.n_samples)  # refuses a batch larger than the data
    effective = theta / np.sqrt(1.0 + theta**2) if debiased else theta
    moments: Moments
    if own and data is not None:
        moments = SampleMoments(data, method, last)
    else:
        moments = SpectrumMoments(problem, method, case.expressible, last)
    start = moments.loss()
    chain = BatchChain(method.batch_size, problem.n_samples, float(effective))
    unique, inverse = np.unique(wanted, return_inverse=True)
    rows: list[tuple[float, ...]] = []
    full_step: int | None = None
    spent, status = 0.0, "ok"
    for t in range(last + 1):
        if chain.full < 1.0 - 1e-9:
            chain.advance(moments.noise())
            if full_step is None and problem.n_samples is not None and chain.full >= 0.5:
                full_step = t
        if t == unique[len(rows)]:
            b = (chain.mean(), chain.quantile(0.05), chain.quantile(0.95))
            seen = moments.noise()
            scale = seen.trace / seen.signal if seen.signal > 0.0 else np.inf
            rows.append((*b, moments.loss(), spent, scale))
        spent += chain.mean()
        if moments.loss() > DIVERGED * start:
            status = "diverges"
        moments.advance(chain.mean_gamma)
    table = np.array(rows)[inverse.ravel()]
    sizes, low, high, loss, samples, scale = (np.reshape(column, wanted.shape) for column in table.T)
    notes = (case.stand_in,) if case.stand_in else ()
    return BigBatch(wanted, sizes, low, high, loss, samples, scale, full_step, status, method, theta, notes)
