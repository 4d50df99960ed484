"""Limits of the curvature that are searched for, against formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.engine.edge import curvature_limits

ONE_MODE = gf.LinearProblem([1.0], [1.0], n_samples=100)


def limit(method: Any) -> float:
    return float(curvature_limits(type(method), tuple(map(np.array, method.hyperparameters)), 1.0))


@pytest.mark.parametrize(
    ("beta", "nu"), [(0.999999, 0.999), (0.9999999, 1.0), (0.9, 0.5), (-0.9, 0.3), (-0.99999, 1.0)]
)
def test_averages_of_long_memory_allow_rates_as_large_as_the_formula_says(beta: float, nu: float) -> None:
    # A root is -1: det(-1 - T) = 2 (1 + beta) - a (1 + beta - 2 nu beta). Rounding of the roots is over 1 - |beta|.
    formula = 2.0 * (1.0 + beta) / (1.0 + beta - 2.0 * nu * beta)
    assert limit(gf.QHM(1.0, beta, nu)) == pytest.approx(formula, rel=1e-14 / (1.0 - abs(beta)))


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_limit_scales_with_the_unit_of_what_gradients_do(unit: float) -> None:
    method = gf.MemorySGD(1.0, unit, (0.9, 0.0), (unit, 0.0), (0.9, 0.5))
    assert limit(method) * unit == pytest.approx(3.8, rel=1e-12)


def test_the_edge_of_a_slow_average_without_weight_is_that_of_heavy_ball() -> None:
    beta, batch = 0.99999, 10
    slow = gf.MemorySGD.two_timescale(1.0, beta, 0.9, 0.0, batch)
    found = gf.max_learning_rate(ONE_MODE, method=slow) * (1.0 - beta)
    assert found == pytest.approx(gf.max_learning_rate(ONE_MODE, beta, batch), rel=1e-9)


@pytest.mark.parametrize(("direct", "reads"), [(-1.0, 0.1), (1.0, -1.0), (0.0, 0.0)])
def test_velocities_that_climb_are_refused(direct: float, reads: float) -> None:
    with pytest.raises(ValueError, match="raise direct"):
        gf.MemorySGD(0.1, direct, reads, 2.0, 0.5, 10)


@dataclass(frozen=True)
class Climbs:
    learning_rate: float
    batch_size: int | None = 10
    replacement: bool = False
    hyperparameters: tuple[float, ...] = ()

    @staticmethod
    def update(a: Any) -> Any:
        return ((1 + a,),), (-1,)


def test_a_method_that_climbs_has_no_stable_rate() -> None:
    assert gf.max_learning_rate(ONE_MODE, method=Climbs(0.1)) == 0.0
    assert gf.stability(ONE_MODE, Climbs(0.1)).status == "diverges"
