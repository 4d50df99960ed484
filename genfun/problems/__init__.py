"""Problems seen through their spectra: a measured one, a power law, and the measures that both are."""

from __future__ import annotations

from genfun.problems.measure import SpectralMeasure
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import LinearProblem, Problem

__all__ = ["LinearProblem", "PowerLaw", "Problem", "SpectralMeasure"]
