"""The shape of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import genfun as gf
from genfun.experiments import agree, simulate

Kind = Literal["exact", "asymptotic", "approximate"]


@dataclass(frozen=True)
class Claim:
    """A number that genfun (or a simulation) gives, the number that it should be, and how near that must be.

    `kind` says why they may differ: "exact" only by rounding, printed digits or the standard error of a simulation;
    "asymptotic" by finite steps; "approximate" by the noise approximation as well.
    """

    name: str
    computed: float
    claimed: float
    tolerance: float
    kind: Kind
    source: str
    note: str = ""
    known: str = ""
    """Why the claim is known not to hold, if it is."""

    @property
    def verdict(self) -> str:
        """One word."""
        return "yes" if self.holds else "known" if self.known else "NO"

    @property
    def holds(self) -> bool:
        """Whether the two agree within the (absolute) tolerance; a NaN never does."""
        return abs(self.computed - self.claimed) <= self.tolerance


def simulated_curve(
    name: str,
    data: gf.LinearData,
    setting: gf.SGD,
    steps: Sequence[int],
    replicas: int,
    relative: float,
    source: str,
    known: str = "",
) -> list[Claim]:
    """Mean simulated loss (computed) against the prediction with the default noise (claimed), a claim a step.

    The tolerance is the relative difference granted to the noise approximation plus 2.5 standard errors. The note
    has the ratio simulated/predicted for the default noise, for tau2 = -1 and for the noise estimated from the data.
    """
    runs = simulate(data, setting, steps=max(steps), replicas=replicas, seed=0, record=steps)
    result = agree(gf.predict(data.problem, setting, runs.steps), runs, relative=relative)
    gaussian = agree(gf.predict(data.problem, setting, runs.steps, gf.SpectrallyExpressible(1.0, -1.0)), runs)
    fitted = agree(gf.predict(data.problem, setting, runs.steps, data.noise), runs)
    kind: Kind = "approximate" if relative > 0.0 else "exact"
    claims = []
    for i, step in enumerate(result.steps):
        margin = relative * result.theory[i] + result.sigmas * result.sem[i]
        note = (
            f"standard error {result.sem[i] / result.mean[i]:.2%}; ratio {result.ratio[i]:.4f} (tau2=1), "
            f"{gaussian.ratio[i]:.4f} (tau2=-1), {fitted.ratio[i]:.4f} (fitted)"
        )
        claims.append(
            Claim(f"{name}, loss at {step}", result.mean[i], result.theory[i], margin, kind, source, note, known)
        )
    return claims
