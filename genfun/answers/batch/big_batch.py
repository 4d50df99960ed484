"""How does the batch of Big Batch SGD grow, before training?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float, Int
from genfun.answers.batch._batch_chain import BatchChain, GradientNoise
from genfun.answers.batch.noise_scale import first_and_last
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.generating_function import FULL_MODES, GeneratingFunction
from genfun.engine.recursion import Recursion, joint_modes
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.problems.problem import Problem
from genfun.scaled import Scaled

Status = Literal["ok", "diverges"]
MEANING: dict[Status, str] = {
    "ok": "the mean loss stays finite",
    "diverges": "the mean loss grows beyond a million times its start: the rate is too large for any batch",
}
LAST_STEP = 10**6
DIVERGED = 1e6


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

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    def __repr__(self) -> str:
        words = first_and_last(self.steps, self.batch_size)
        full = "" if self.full_batch_step is None else f", full batch from step {self.full_batch_step}"
        return f"BigBatch({self.status}: {words}{full})"


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

    **Assumptions.** Spectrally expressible, Gaussian gradient noise; V_B at its mean; the full gradient of every run
    as large as on average; accepted gradients no larger than drawn ones. Compared with real runs on digits in the
    validation. Steps up to 10^6, after which nothing is followed. Once every batch is full the loss is that of
    gradient descent.

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
    noise : SpectrallyExpressible, "fitted" or None
        The noise model; any other is refused. None: the constants fitted to data, or tau1 = tau2 = 1 for a spectrum.
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
    if method.batch_size is None:
        raise ValueError("method.batch_size is None, the full batch; pass the batch size to start from")
    case = Case.of(problem, None, noise, only_expressible="big_batch")
    problem = case.problem
    if not case.has_finite_trace:
        raise ValueError("problem has an infinite trace, and every batch fails; cut the spectrum with n_modes")
    sampling_factor(method.batch_size, problem.n_samples)  # refuses a batch larger than the data
    effective = theta / np.sqrt(1.0 + theta**2) if debiased else theta
    moments = _Moments(problem, method, case.expressible, last)
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
            rows.append((*b, moments.loss(), spent, moments.noise_scale()))
        spent += chain.mean()
        if moments.diverged():
            status = "diverges"
        moments.advance(chain.mean_gamma)
    table = np.array(rows)[inverse.ravel()]
    sizes, low, high, loss, samples, scale = (np.reshape(column, wanted.shape) for column in table.T)
    return BigBatch(wanted, sizes, low, high, loss, samples, scale, full_step, status, method, theta)


class _Moments:
    """Second moments of the weights under a sampling factor that changes from step to step."""

    def __init__(self, problem: Problem, method: Any, noise: SpectrallyExpressible, last: int) -> None:
        single, full = replace(method, batch_size=1, replacement=True), replace(method, batch_size=None)
        measures = GeneratingFunction(problem, full, noise).fine(float(min(last, FULL_MODES)))
        self._nodes, capacity, _ = joint_modes(*measures)
        self._multiplicity = capacity / self._nodes**2
        self._run = Recursion(problem, [single], noise, measures)
        # A and the force are affine in gamma: known at 1, and at 0 from the full batch.
        self._quiet = Recursion(problem, [full], noise, measures).map
        self._noisy = self._run.map - self._quiet, self._run.force
        self._problem, self._noise = problem, noise
        self._start = self.loss()

    def advance(self, gamma: float) -> None:
        self._run.map = self._quiet + gamma * self._noisy[0]
        self._run.force = gamma * self._noisy[1]
        self._run.advance()

    def loss(self) -> float:
        return float(Scaled(*self._run.loss()).value()[0])

    def diverged(self) -> bool:
        return self.loss() > DIVERGED * self._start

    def noise(self) -> GradientNoise:
        """Of the present weights, in the recursion's own scale, on which the acceptance test does not depend."""
        lam, x = self._nodes, self._run.state[0, 0]
        mantissa, _ = self._run.loss()
        sigma2 = 2.0 * float(mantissa[0]) - x.sum()
        # A node stands for `multiplicity` modes which share its squared gradient lambda x.
        drive, gradient = self._noise.tau1 * x.sum() + sigma2, lam * x
        share = np.divide(gradient, self._multiplicity, out=np.zeros_like(x), where=self._multiplicity >= 0.5)
        single = np.maximum(lam * drive - self._noise.tau2 * share, 0.0)
        return GradientNoise(
            signal=float(gradient.sum()),
            trace=float(self._problem.trace * drive - self._noise.tau2 * gradient.sum()),
            squared=float((self._multiplicity * single**2).sum()),
            along=float((gradient * single).sum()),
        )

    def noise_scale(self) -> float:
        noise = self.noise()
        return noise.trace / noise.signal if noise.signal > 0.0 else np.inf
