"""Theory against simulated runs, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._display import Displayed, percent
from genfun._typing import Array, Bool, Float, Int
from genfun.answers.predict import Prediction
from genfun.experiments.simulation.runs import Runs

UNDECIDED = 0.5
"""A margin of this share of the mean would pass almost any theory."""
BAND = (0.05, 0.95)
"""Quantiles between which the runs are shaded."""
MULTIPLES = (2.0, 4.0, 16.0, 256.0)
"""Multiples of the predicted mean above which no more than their inverse of all runs can lie."""


@dataclass(frozen=True, eq=False, repr=False)
class Agreement(Displayed):
    """Predicted and simulated mean losses at the steps that both have.

    Attributes
    ----------
    steps : integer array, shape (t,)
        Steps, ascending.
    theory : array, shape (t,)
        Predicted mean loss.
    mean : array, shape (t,)
        Mean loss of the runs.
    sem : array, shape (t,)
        Its standard error.
    median : array, shape (t,)
        Median loss of the runs.
    relative : float
        Relative difference allowed for the noise approximation.
    sigmas : float
        Standard errors allowed for the finite number of runs.
    runs : Runs or None
        The runs at these steps, where single ones are known.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import agree, simulate
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> m = gf.SGD(0.5)
    >>> print(agree(gf.predict(data.problem, m, [0, 2]), simulate(data, m, steps=2, replicas=3)).table())
    step       theory         mean    std. error       median    ratio      z   runs  verdict
       0          1.5          1.5             0          1.5   1.0000   0.00    3.0  agrees
       2     0.482544     0.482544             0     0.482544   1.0000   0.00    3.0  agrees
    """

    steps: Int[Array, " t"]
    theory: Float[Array, " t"]
    mean: Float[Array, " t"]
    sem: Float[Array, " t"]
    median: Float[Array, " t"]
    relative: float
    sigmas: float
    runs: Runs | None = None

    @property
    def ratio(self) -> Float[Array, " t"]:
        """Simulated mean over predicted mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.mean / self.theory

    @property
    def z(self) -> Float[Array, " t"]:
        """(mean - theory) in standard errors; 0 where they are equal to rounding."""
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = self.mean - self.theory
            return np.where(np.abs(difference) <= 1e-9 * np.abs(self.theory), 0.0, difference / self.sem)

    @property
    def effective_runs(self) -> Float[Array, " t"]:
        """Number of equal runs that would carry the mean, as in `Runs`; NaN where single runs are not known."""
        return np.full(self.steps.shape, np.nan) if self.runs is None else self.runs.effective_runs

    @property
    def carried_by_few(self) -> Bool[Array, " t"]:
        """Where the mean is carried by rare runs, as in `Runs`; the true mean is likely to be larger."""
        return np.zeros(self.steps.shape, dtype=bool) if self.runs is None else self.runs.carried_by_few

    @property
    def band(self) -> Float[Array, "2 t"]:
        """The losses between which the middle 90 % of the runs lie; NaN where single runs are not known."""
        return np.full((2, self.steps.size), np.nan) if self.runs is None else self.runs.quantiles(BAND)

    @property
    def refuted(self) -> Bool[Array, " t"]:
        r"""Where more runs lie above a multiple of the predicted mean than any losses of that mean can have there.

        .. math:: P(L \ge c\,E L) \le 1/c

        by Markov's inequality: a median above twice the mean is impossible. Chance is allowed for by the binomial tail,
        at `sigmas`. False where single runs are not known.
        """
        from scipy.special import bdtrc, ndtr

        found = np.zeros(self.steps.shape, dtype=bool)
        if self.runs is None:
            return found
        for multiple in MULTIPLES:
            with np.errstate(over="ignore"):  # nothing lies above a mean that overflows
                above = np.count_nonzero(self.runs.loss > multiple * self.theory, axis=0)
            chance = bdtrc(above - 1.0, self.runs.loss.shape[0], 1.0 / multiple)
            found |= (above > 0) & (chance < ndtr(-self.sigmas))
        return found

    @property
    def verdict(self) -> tuple[str, ...]:
        """For each step "agrees", "differs", or "undecided" where the runs are too few or too unequal to tell.

        However few runs carry the mean, a theory that they refute (`refuted`) differs.
        """
        with np.errstate(invalid="ignore"):
            loose = ~(self.sigmas * self.sem < UNDECIDED * self.mean) | self.carried_by_few
            close = np.abs(self.mean - self.theory) <= self.relative * self.theory + self.sigmas * self.sem
        decided = np.where(close, "agrees", "differs")
        return tuple(str(word) for word in np.where(self.refuted, "differs", np.where(loose, "undecided", decided)))

    @property
    def agrees(self) -> bool:
        """Whether the theory agrees at every step."""
        return all(word == "agrees" for word in self.verdict)

    def table(self) -> str:
        """One line per step, as text; "runs" is the number of equal runs that would carry the mean."""
        width = max(4, len(str(self.steps[-1])))
        lines = [
            f"{'step':>{width}} {'theory':>12} {'mean':>12} {'std. error':>13} {'median':>12} "
            f"{'ratio':>8} {'z':>6} {'runs':>6}  verdict"
        ]
        columns = (self.steps, self.theory, self.mean, self.sem, self.median, self.ratio, self.z, self.effective_runs)
        for step, theory, mean, sem, median, ratio, z, carry, word in zip(*columns, self.verdict, strict=True):
            count = "" if np.isnan(carry) else f"{carry:.1f}"
            lines.append(
                f"{step:>{width}} {theory:12.6g} {mean:12.6g} {sem:13.2g} {median:12.6g} {ratio:8.4f} {z:6.2f} "
                f"{count:>6}  {word}"
            )
        rare = self.steps[self.carried_by_few]
        if rare.size:
            lines.append(
                f"at {rare.size} steps (first {rare[0]}, last {rare[-1]}) the mean is carried by few runs: the true "
                "mean is likely larger, and its standard error too"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        words = self.verdict
        counts = ", ".join(f"{words.count(w)} {w}" for w in ("agrees", "differs", "undecided") if w in words)
        worst = int(np.argmax(np.abs(np.where(np.isfinite(self.ratio), self.ratio, np.inf) - 1.0)))
        rare = int(self.carried_by_few.sum())
        warning = f"; mean carried by few runs at {rare} steps" if rare else ""
        return (
            f"Agreement({counts} of {len(words)} steps within {percent(self.relative)} + {self.sigmas:g} standard "
            f"errors; largest ratio {self.ratio[worst]:.4g} at step {self.steps[worst]}{warning})"
        )


def agree(prediction: Prediction, runs: Runs, relative: float = 0.02, sigmas: float = 2.5) -> Agreement:
    r"""Compare a prediction with simulated runs at the steps that both have.

    .. math:: |\bar L - L(t)| \le r\,L(t) + n\,\mathrm{SE}

    **Assumptions.** The prediction and the runs are of the same problem and the same method, with batches drawn anew at
    every step: runs of order "epochs" may be compared too, but the theory does not cover them. Where few runs carry the
    mean there is no verdict, unless they refute the theory: a median above twice the predicted mean is impossible.

    Parameters
    ----------
    prediction : Prediction
        From `genfun.predict`.
    runs : Runs
        From `simulate`.
    relative : float
        r >= 0, relative difference allowed for the noise approximation.
    sigmas : float
        n >= 0, standard errors allowed.

    Returns
    -------
    Agreement
        `.table()` is the text, `.agrees` the verdict, `.plot()` the picture.

    Raises
    ------
    ValueError
        If no step is common to both, or they are of different methods.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import agree, simulate
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> m = gf.SGD(0.5, batch_size=1)
    >>> agree(gf.predict(data.problem, m, range(6)), simulate(data, m, steps=5, replicas=400)).agrees
    True
    """
    if prediction.method != runs.method:
        raise ValueError(f"prediction is of {prediction.method!r} but runs are of {runs.method!r}; use one method")
    flat, losses = prediction.steps.ravel(), prediction.loss.ravel()
    common, left, right = np.intersect1d(flat, runs.steps, return_indices=True)
    if common.size == 0:
        raise ValueError(
            f"prediction has steps {flat.min()}..{flat.max()} and runs have {runs.steps[0]}..{runs.steps[-1]}, "
            "none in common; predict at runs.steps"
        )
    return Agreement(
        common,
        losses[left],
        runs.mean[right],
        runs.sem[right],
        runs.median[right],
        _check.nonnegative("relative", relative),
        _check.nonnegative("sigmas", sigmas),
        runs.at(common),
    )
