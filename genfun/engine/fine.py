"""The nodes on which modes are followed one by one: all of a short list, else bins narrow enough for what turns."""

from __future__ import annotations

import numpy as np

from genfun.engine.roots import turning_of
from genfun.engine.transform import Measures
from genfun.methods.base import Method
from genfun.problems.measure import BIN_WIDTH
from genfun.problems.problem import LinearProblem, Problem

FULL_MODES = 5_000
"""Up to this many modes the recursion runs on the spectrum itself."""
WORTH_MERGING = 1_500
"""From so many nodes on it is quicker to merge those that do not turn than to step through them."""


def is_short(problem: Problem) -> bool:
    """Whether the spectrum is a list short enough to be followed whole."""
    return isinstance(problem, LinearProblem) and problem.eigenvalues.size <= FULL_MODES


def turning_on(problem: Problem, method: Method) -> tuple[float, float]:
    """`turning_of` where nodes depend on it: 1 and infinity for a short list, whose modes are all followed."""
    if is_short(problem):
        return 1.0, np.inf
    return turning_of(type(method), method.learning_rate, tuple(method.hyperparameters), problem.lambda_max)


def fine_measures(problem: Problem, phase: float, settled: float = 0.0) -> Measures:
    """The full spectrum where it is short; else bins so narrow that modes turning by 2 * phase are resolved.

    Parameters
    ----------
    problem : Problem
    phase : float
    settled : float
        Of many nodes those below this eigenvalue, where none turns, are merged in wide bins.
    """
    if is_short(problem):
        assert isinstance(problem, LinearProblem)
        return problem.full_measures
    capacity, signal = problem.measures(min(BIN_WIDTH, 4.0 / max(phase, 1.0)))
    if settled == 0.0 or capacity.nodes.size <= WORTH_MERGING:
        return capacity, signal
    return capacity.coarser_below(settled), signal.coarser_below(settled)
