"""The loss of training that shuffles once an epoch, as data loaders do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import edge
from genfun.engine.epochs import Pairs, groups, pair_closure, pairs_of_problem
from genfun.engine.loss_curve import automatic
from genfun.engine.singularity import dominant_singularity
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.family import in_fresh_batches
from genfun.noise import SpectrallyExpressible
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import UNLISTED, LinearProblem, Problem

TRUSTED_SHARE = 0.7
"""Of the stability edge of fresh batches: the closure has been compared with runs up to here."""
FEWEST = 100.0
"""Effective samples from which on the closure is trusted, see `effective_samples`."""
FEWEST_UNEVEN, EVEN = 150.0, 0.8
"""The same where they are less than that share of all samples: with 113 of 200 the first epochs were 5 to 14 % low at
.2 to .5 of the edge, with 152 of 296 at most 10 %, of which 4 % were the runs' own error."""
NEGATIVE = 0.01
"""Share of a loss that modes with a negative second moment may have."""
TRUSTED_OF_FEW = 0.05
"""The same share where there are fewer: 2.5 % off on six such data sets, and up to 30 % at twice of it."""
LEFT_OUT = 0.06
"""Of an excess loss, by the closure's own account: on one-hot tables more was 4 to 17 % off, less at most 5 %."""
MOST_MOVED, EARLY = 0.2, 0.1
"""Of the logarithm of an excess loss: what other moments than those of pairs of modes may make of it. With less,
answers were up to 9 % off; with .24 and .31 two tables at .7 of the edge were 15 to 21 % high, with .25 another 5 %. In
the first tenth of an epoch batches are as good as fresh, and more may be made of it."""
ROUNDED, TINY = 1e-6, 1e-290
"""Share of a loss below which its excess is not known well enough to be compared; losses that have few digits."""
LAST_STEP = 10**7
EpochStatus = Literal["ok", "beyond the tested range", "correlated features", "rare features", "impossible", "diverges"]
MEANING: dict[EpochStatus, str] = {
    "ok": "within the range of learning rates in which the closure was compared with runs; on tables of heavy tails "
    "the first two epochs may still be several per cent off",
    "beyond the tested range": f"the learning rate is above {TRUSTED_SHARE} of the edge of fresh batches, where "
    f"single rare runs decide the mean, or above {TRUSTED_OF_FEW} of it where fewer than {FEWEST:.0f} samples carry "
    f"the features, effectively ({FEWEST_UNEVEN:.0f} where some have much more leverage than others): the closure may "
    "be off by tens of per cent; runs of simulate with order='epochs' tell it",
    "correlated features": "products of more than two features change the excess loss of fresh batches by more than "
    f"{MOST_MOVED:.0%}, and in epochs perhaps by less: the answer may be some 20 % high; runs of simulate with "
    "order='epochs' tell it",
    "rare features": "features that few samples have and others lack, as in one-hot columns, carry much of an excess "
    f"loss: the closure leaves out more than {LEFT_OUT:.0%} of it, and was 4 to 17 % off there and more; runs of "
    "simulate with order='epochs' tell it",
    "impossible": "the closure fails for these data: it has negative second moments, which no run has, and its losses "
    "mean nothing; runs of simulate with order='epochs' tell them",
    "diverges": "some of the losses are not finite",
}


@dataclass(frozen=True, eq=False, repr=False)
class EpochsCurve(Displayed):
    """Mean loss with one shuffle an epoch.

    Attributes
    ----------
    steps : integer array, any shape
        As asked for.
    loss : array, same shape
        Mean loss over all samples.
    logged_loss : array, same shape
        Mean loss of the batch of that step before its update: what a training loop prints.
    status : str
        "ok", "beyond the tested range", "correlated features", "rare features", "impossible" or "diverges"; `meaning`
        puts it in words.
    epoch : int
        Steps of an epoch.
    share_of_edge : float
        The learning rate over the largest stable one of fresh batches.
    effective_samples : float
        How many samples carry the features, by their leverages h: (sum h)^2 / sum h^2.

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], 500, seed=1, noise_variance=0.1)
    >>> gf.epochs_curve(data, gf.SGD(0.1, batch_size=50), [0, 20])
    EpochsCurve(ok: loss ... at step 20, 2 epochs of 10 steps, a loop logs ...)
    """

    steps: Any
    loss: Any
    logged_loss: Any
    status: EpochStatus
    epoch: int
    share_of_edge: float
    effective_samples: float

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    def __repr__(self) -> str:
        last = int(np.argmax(self.steps))
        step = int(self.steps.flat[last])
        return (
            f"EpochsCurve({self.status}: loss {self.loss.flat[last]:.6g} at step {step}, "
            f"{step / self.epoch:.4g} epochs of {self.epoch} steps, a loop logs {self.logged_loss.flat[last]:.6g})"
        )


def epochs_curve(problem: Problem | LinearData, method: Method, steps: Any, noise: NoiseChoice = None) -> EpochsCurve:
    r"""Mean loss of a method that visits every sample once an epoch, in a new order each time, without training.

    .. math:: C^{u,i} = C + D_i,\qquad C^{u,ik} = C + D_i + D_k

    for the second moments given that samples i, k are still to come: a closure of first order in the memory of single
    samples, kept for pairs of modes. An epoch has floor(N/b) steps of b samples; the rest of it is dropped, as by
    torch's DataLoader with drop_last=True. A smaller last batch is not known, and drop_last=False refused: choose b to
    divide N, or drop it.

    **Assumptions.** Constant hyperparameters; torch's Nesterov momentum, dampening and weight decay are known, averaged
    weights and schedules are not. Data bring their own fourth moments of pairs of modes; a spectrum those of spectrally
    expressible noise. What all other fourth moments of data make of the excess loss of fresh batches, a factor of .8 to
    1.25, is taken over. With heavy ball, on Breast Cancer Wisconsin, standardised and with or without an intercept, the
    excess loss is within 6 % of runs at .3 of the stability edge of fresh batches for b = 8 (1 to 2 % in the median), 3
    to 7 % low for b = 1, and within 5 % at .6 of it for b = 8; without that factor it was up to 17 % low. Beyond .7 of
    it, or where the factor is further from 1, the status says so. On 200 rows of Breast Cancer Wisconsin, 112 effective
    samples, heavy ball, Nesterov momentum and dampening were up to 23, 30 and 17 % low without the factor in the first
    two epochs at .3 to .5 of it. Several outputs are nearly the sum of single ones. Where fewer than 100 samples carry
    the features, effectively, or 150 where leverages differ as on those two tables, it may be tens of per cent off or
    negative above .05 of the edge, and the status says so too, as where features that few samples have and the others
    lack carry the loss. Modes are binned into 100 groups.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw with n_modes, or LinearData
        With a number of samples, which an epoch needs.
    method : SGD, or another method that takes its gradient once in a step, such as QHM
        Its batches are taken as slices of a shuffle, whatever it says of them.
    steps : int or array of ints, any shape
        Step numbers from 0 to 10^7; each costs about a microsecond to a tenth of a millisecond.
    noise : SpectrallyExpressible, "fitted" or None
        None: the moments of the data, or tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    EpochsCurve

    Raises
    ------
    ValueError
        If there is no number of samples or of modes, the batch exceeds it, a batch is drawn with replacement, or the
        method takes its gradient twice in a step or elsewhere than at its weights.
    TypeError
        If the method is a schedule or an average.

    References
    ----------
    arXiv 2206.11124, eq. (8) (fresh batches, which this becomes where an epoch is long).

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], 50, seed=1, noise_variance=0.1)
    >>> method = gf.SGD(0.3, batch_size=1)
    >>> shuffled, fresh = gf.epochs_curve(data, method, 500).loss, gf.predict(data, method, 500).loss
    >>> bool(shuffled < fresh)  # the kicks of an epoch cancel at its end
    True
    """
    wanted = _check.steps(steps)
    last = int(wanted.max()) if wanted.size else 0
    if last > LAST_STEP:
        raise ValueError(f"steps must be at most {LAST_STEP} with epochs, got {last}")
    fresh = _in_fresh(method)
    case = Case.of(problem, fresh, noise, knows_options=True)
    pairs = _pairs(case, noise)
    size = pairs.n_samples if fresh.batch_size is None else fresh.batch_size
    doubt = np.empty((2, last + 1))
    _check.rates(fresh.learning_rate, case.problem.lambda_max)
    # What has left the range of doubles is no number later on.
    loss, logged = (
        np.where(np.logical_or.accumulate(~np.isfinite(x)), np.inf, x) for x in pair_closure(pairs, fresh, last, doubt)
    )
    factor = _of_other_moments(case, pairs, fresh, wanted)
    share = fresh.learning_rate / edge(case.problem, fresh, case.noise)
    effective = effective_samples(pairs)
    status: EpochStatus = "ok"
    few = effective < FEWEST or effective < min(FEWEST_UNEVEN, EVEN * pairs.n_samples)
    if case.gamma > 0.0 and share > (TRUSTED_OF_FEW if few else TRUSTED_SHARE):
        status = "beyond the tested range"
    elif (np.abs(np.log(factor))[wanted > EARLY * (pairs.n_samples // size)] > MOST_MOVED).any():
        status = "correlated features"
    floor = 0.5 * pairs.noise_variance * (1.0 - 1e-9)
    below, left_out = doubt
    if share <= TRUSTED_SHARE and (left_out > LEFT_OUT * np.abs(loss - floor))[wanted].any():
        status = "rare features"
    # At some step before, even if not at those asked for: what follows it rests on it.
    if (-below > NEGATIVE * np.abs(loss)).any() or (logged < 0.0).any() or (loss < floor).any():
        status = "impossible"
    elif not np.isfinite(loss[wanted]).all():
        status = "diverges"
    epoch, floor = max(pairs.n_samples // size, 1), 0.5 * pairs.noise_variance
    loss, logged = (floor + (x[wanted] - floor) * factor for x in (loss, logged))
    return EpochsCurve(wanted, loss, logged, status, epoch, share, effective)


def _of_other_moments(case: Case, pairs: Pairs, fresh: Any, steps: Array) -> Array:
    """What fourth moments other than those of pairs of modes make of an excess loss: a factor, known of fresh batches.

    1 of a spectrum, which has no others; and where an excess loss is within the rounding of its floor, or not finite.
    """
    if isinstance(case.noise, SpectrallyExpressible) or case.gamma == 0.0 or not steps.size:
        return np.ones(steps.shape)
    floor, (unique, place) = 0.5 * pairs.noise_variance, np.unique(steps, return_inverse=True)
    G = case.transform.excited()
    whole = automatic(G, unique, dominant_singularity(G)).loss.value()
    of_pairs, _ = pair_closure(pairs, fresh, int(unique[-1]), memory=0.0)
    of_pairs = of_pairs[unique]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        known = (np.minimum(whole, of_pairs) - floor > ROUNDED * whole) & (whole > TINY)
        factor = np.where(known, (whole - floor) / (of_pairs - floor), 1.0)
    return np.where(np.isfinite(factor), factor, 1.0)[place.ravel()].reshape(steps.shape)


def effective_samples(pairs: Pairs) -> float:
    r"""How many samples carry the features: N where all have the same leverage, 1 where one has all of it.

    .. math:: \frac{(\sum_i h_i)^2}{\sum_i h_i^2},\qquad h_i = \sum_k\varphi_k(i)^2/\lambda_k

    **Assumptions.** The modes of a group have one eigenvalue, their mean.

    Parameters
    ----------
    pairs : Pairs
    """
    each = pairs.count / pairs.lam
    return float(pairs.n_samples * pairs.count.sum() ** 2 / (each @ pairs.fourth @ each))


def _in_fresh(method: Any) -> Any:
    """The method with fresh batches, if its hyperparameters are constant and nothing is averaged."""
    if isinstance(method, Averaged) or not isinstance(method, Method):
        raise TypeError(
            "method must be an SGD, or another method of constant hyperparameters without an average, where samples "
            f"come in epochs, got {method!r}"
        )
    if method.replacement:
        raise ValueError("method.replacement must be False: an epoch visits every sample once")
    return in_fresh_batches(method)


def _pairs(case: Case, noise: NoiseChoice) -> Pairs:
    problem: Problem = case.problem
    if problem.n_samples is None:
        raise ValueError(
            "problem.n_samples must be given with epochs, for an epoch has so many samples; "
            "pass n_samples to the problem, or sampling='fresh'"
        )
    if not isinstance(problem, LinearProblem):
        modes = getattr(problem, "n_modes", None)
        if modes is None:
            remedy = "set n_modes of the power law" if isinstance(problem, PowerLaw) else UNLISTED
            raise ValueError(f"problem must have finitely many modes with epochs, got {problem!r}; {remedy}")
        law: Any = problem
        problem = LinearProblem(law.eigenvalues, law.signal, law.n_samples, law.noise_variance)
    if isinstance(case.noise, SpectrallyExpressible):
        return pairs_of_problem(problem, case.noise)
    if case.data is None or noise not in (None, "measured", "exact"):
        raise ValueError(f"noise must be spectrally expressible or the data's own with epochs, got {noise!r}")
    return pairs_of_data(case.data)


def pairs_of_data(data: LinearData) -> Pairs:
    r"""The fourth moments of data by pairs of groups of modes, in one pass over the samples.

    .. math:: M_{kl} = \frac1N\sum_i \varphi_k(i)^2\varphi_l(i)^2,\qquad E_k = \frac1N\sum_i\varphi_k(i)^2\epsilon_i^2

    Parameters
    ----------
    data : LinearData
    """
    plain = pairs_of_problem(data.problem, SpectrallyExpressible())
    group = groups(data.eigenvalues)
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(plain.lam.size))
    fourth, label = np.zeros((plain.lam.size,) * 2), np.zeros(plain.lam.size)
    for features, targets in data.blocks():
        squares = np.add.reduceat(features[:, order] ** 2, first, axis=1) / plain.count
        left = ((targets - features @ data.coefficients) ** 2).sum(axis=1)
        fourth += squares.T @ squares
        label += squares.T @ left
    return replace(plain, fourth=fourth / data.n_samples, label=label / data.n_samples)
