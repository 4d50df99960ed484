"""Late losses where the contour rounds by more than it should agree with the recursion, and what is squared instead."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.engine import loss_curve
from genfun.engine.generating_function import GeneratingFunction


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_on_the_border_of_the_phases_the_loss_at_1e12_steps_is_the_power_law(compiled):
    if compiled:
        pytest.importorskip("numba")
    # Next to the pole V~ is constant and the loss falls as t^-1.5: the contour rounds by eps t^0.5, above 1e-11 here.
    found = gf.predict(gf.PowerLaw(2.0, 1.5), gf.SGD(1.1826898817779647, 0.6081991110483953, 10), [10**10, 10**12])
    assert found.loss * np.array([1e10, 1e12]) ** 1.5 == pytest.approx([0.10678, 0.10678], rel=1e-4)
    assert found.error.max() < 1e-5


def test_modes_that_move_only_late_are_squared_one_by_one():
    lam = np.append([1.0, 0.3], np.geomspace(1e-9, 1e-11, 8))
    G = GeneratingFunction(gf.LinearProblem(lam, lam), gf.SGD(0.5, 0.2, 3))
    run = G.stepper(0.0, loss_curve.STEP_BUDGET)
    late = loss_curve._squared(G, run, 0.0, 10**12)
    assert late is not None
    assert late.capacity.nodes.size == 10
    assert run.function.capacity.nodes.size < 10  # merged: they have not moved by then
    soon = loss_curve._squared(G, run, 0.0, 1000)
    assert soon is run.function
