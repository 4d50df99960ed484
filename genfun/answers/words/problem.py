"""What a problem is, in a line: the same in every text."""

from __future__ import annotations

from genfun._display import several
from genfun.answers.words.numbers import figures
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import LinearProblem, Problem


def problem_words(problem: Problem) -> str:
    """Modes, eigenvalues, samples and losses of a problem.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw

    Examples
    --------
    >>> problem_words(LinearProblem([1.0, 0.5], [1.0, 1.0], 10, noise_variance=0.5))
    '2 modes, eigenvalues 1 down to 0.5, 10 samples, initial loss 1.25, label noise 0.5'
    >>> problem_words(PowerLaw(1.5, 0.5))
    'power law with nu 1.5, zeta 0.5, infinitely many modes, initial loss 0.5'
    """
    if isinstance(problem, PowerLaw):
        modes = "infinitely many modes" if problem.n_modes is None else several(problem.n_modes, "modes")
        parts = [f"power law with nu {problem.nu:g}", f"zeta {problem.zeta:g}", modes]
    elif isinstance(problem, LinearProblem):
        least, most = figures(problem.lambda_min), figures(problem.lambda_max)
        one = problem.eigenvalues.size == 1
        parts = [
            several(problem.eigenvalues.size, "modes"),
            f"eigenvalue {most}" if one else f"eigenvalues {most} down to {least}",
        ]
    else:
        parts = [repr(problem)]
    if problem.n_samples is not None:
        parts.append(several(problem.n_samples, "samples"))
    parts.append(f"initial loss {figures(0.5 * (problem.signal_total + problem.noise_variance), 6)}")
    if problem.noise_variance > 0.0:
        parts.append(f"label noise {figures(problem.noise_variance)}")
    return ", ".join(parts)
