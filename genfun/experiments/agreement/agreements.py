"""Theory against simulated runs over many settings, one line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from genfun._display import Displayed, percent
from genfun._typing import Array, Float
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import edge
from genfun.experiments.agreement.agree import Agreement, agree
from genfun.experiments.simulation.runs import Runs
from genfun.methods.base import Method
from genfun.problems.problem import Problem
from genfun.schedules import ScheduledSGD

WORDS = ("agrees", "differs", "undecided")


HEADINGS = (
    *("batch", "momentum", "rate", "of edge", "step", "theory"),
    *("mean", "std. error", "median", "ratio", "z", "verdict"),
)
"""Of the table of settings."""
LEGEND = (
    "of edge: share of the largest stable rate; theory is predicted, the rest simulated; z: mean minus theory in "
    "standard errors"
)
"""What they mean."""


@dataclass(frozen=True, eq=False, repr=False)
class Agreements(Displayed):
    """The agreement of every one of many settings, and how near each is to the edge of stability.

    Attributes
    ----------
    methods : tuple of Method
        The settings.
    parts : tuple of Agreement
        What was predicted and simulated for each of them, step by step.
    shares : array, shape (settings,)
        Learning rate over the largest stable one of the same momentum and batch size.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import simulate_many
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> runs = simulate_many(data, [gf.SGD(0.5), gf.SGD(1.0)], steps=2, replicas=2)
    >>> print(agreements(data.problem, runs).table())
     batch momentum      rate of edge    step     theory       mean std. error     median   ratio        z  verdict
      full        0       0.5    0.25       2     0.4825     0.4825          0     0.4825  1.0000        0  agrees
      full        0         1    0.50       2     0.1895     0.1895          0     0.1895  1.0000        0  agrees
    """

    methods: tuple[Method, ...]
    parts: tuple[Agreement, ...]
    shares: Float[Array, " settings"]

    @property
    def verdict(self) -> tuple[str, ...]:
        """For each setting "differs" if any step does, else "undecided" if any step is, else "agrees"."""
        found = (set(part.verdict) for part in self.parts)
        return tuple(next(word for word in ("differs", "undecided", "agrees") if word in words) for words in found)

    @property
    def agrees(self) -> bool:
        """Whether the theory agrees at every step of every setting."""
        return all(word == "agrees" for word in self.verdict)

    @property
    def worst_ratio(self) -> Float[Array, " settings"]:
        """Simulated over predicted mean at the step where they are furthest apart; nan where none is finite."""
        return np.array([_furthest(part.ratio) for part in self.parts])

    def rows(self) -> list[dict[str, object]]:
        """For each setting what its line in the table says, as numbers."""
        result = []
        for m, part, share in zip(self.methods, self.parts, self.shares, strict=True):
            names = ("theory", "mean", "sem", "median", "ratio", "z")
            last = {name: float(getattr(part, name)[-1]) for name in names}
            setting = {
                "batch_size": m.batch_size,
                "momentum": getattr(m, "momentum", 0.0),
                "learning_rate": m.learning_rate,
                "share_of_edge": float(share),
                "step": int(part.steps[-1]),
            }
            result.append(setting | last | {"verdict": part.verdict[-1]})
        return result

    def cells(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Headings, and one line of text per setting, at the last step."""
        lines = [
            (
                "full" if row["batch_size"] is None else str(row["batch_size"]),
                f"{row['momentum']:g}",
                f"{row['learning_rate']:.4g}",
                f"{row['share_of_edge']:.2f}",
                str(row["step"]),
                f"{row['theory']:.4g}",
                f"{row['mean']:.4g}",
                f"{row['sem']:.2g}",
                f"{row['median']:.4g}",
                f"{row['ratio']:.4f}",
                f"{row['z']:.3g}",
                str(row["verdict"]),
            )
            for row in self.rows()
        ]
        return HEADINGS, lines

    def table(self) -> str:
        """The same as one text, in columns."""
        headings, lines = self.cells()
        widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in (headings, *lines)
        )

    def __repr__(self) -> str:
        words = self.verdict
        counts = ", ".join(f"{words.count(word)} {word}" for word in WORDS if word in words)
        first = self.parts[0]
        return (
            f"Agreements({counts} of {len(words)} settings, at every step within {percent(first.relative)} + "
            f"{first.sigmas:g} standard errors)"
        )


def _furthest(ratio: Float[Array, " t"]) -> float:
    finite = ratio[np.isfinite(ratio) & (ratio > 0.0)]
    return float(finite[np.argmax(np.abs(np.log(finite)))]) if finite.size else np.nan


def agreements(
    problem: Problem | LinearData,
    runs: Iterable[Runs],
    noise: NoiseChoice = None,
    relative: float = 0.02,
    sigmas: float = 2.5,
) -> Agreements:
    r"""Compare the theory with the runs of many settings, e.g. of `simulate_many` or a sweep.

    .. math:: |\bar L - L(t)| \le r\,L(t) + n\,\mathrm{SE}

    **Assumptions.** The runs are of data with this problem. With n = 2.5 one comparison in 80 differs by chance alone
    where r = 0.

    Parameters
    ----------
    problem : LinearProblem or LinearData
        The spectrum, or the data that were run.
    runs : iterable of Runs
        One for each setting, e.g. `simulate_many(...)` or `cells(sweep(...))`.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model of the prediction; "measured", "exact" or "fitted" is that of data. None: the measured noise of
        data, or tau1 = tau2 = 1 for a spectrum.
    relative : float
        r >= 0, relative difference allowed for the noise approximation.
    sigmas : float
        n >= 0, standard errors allowed.

    Returns
    -------
    Agreements
        `.table()` is the text; `.verdict` has a word for each setting.

    Raises
    ------
    ValueError
        If there are no runs.
    TypeError
        If runs are of a schedule, which has no one edge; `agree` takes them.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import simulate_many
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> settings = [gf.SGD(rate, 0.5, batch_size=1) for rate in (0.05, 0.1)]
    >>> agreements(data.problem, simulate_many(data, settings, steps=20, replicas=400, record=[5, 20]))
    Agreements(2 agrees of 2 settings, at every step within 2 % + 2.5 standard errors)
    """
    found = tuple(runs)
    if not found:
        raise ValueError("runs is empty; pass the runs of at least one setting")
    methods: list[Method] = []
    for r in found:
        if isinstance(r.method, ScheduledSGD):
            raise TypeError("runs must be of settings that do not move; compare those of a schedule with agree")
        methods.append(r.method)
    case = Case.of(problem, noise=noise)
    spectrum, model = case.problem, case.noise
    parts = tuple(agree(predict(spectrum, r.method, r.steps, model), r, relative, sigmas) for r in found)
    shares = np.array([m.learning_rate / edge(spectrum, m, model) for m in methods])
    return Agreements(tuple(methods), parts, shares)
