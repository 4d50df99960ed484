"""The best member of a family of schedules."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.answers.best.optimize_schedule import optimize_schedule
from genfun.schedules import Polynomial, ScheduledSGD, StepDecay


def test_constant_family_gives_the_optimum_of_constant_settings():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=30, noise_variance=0.05)
    found = optimize_schedule(problem, lambda rate: ScheduledSGD(rate, 0.0, 4), [(0.01, 1.5)], 60)
    best = gf.optimize(problem, 4, 60, momentum=0.0)
    assert found.loss == pytest.approx(best.loss, rel=1e-6)
    assert found.parameters[0] == pytest.approx(best.method.learning_rate, rel=0.01)
    assert not found.at_bound


def test_two_rates_on_one_mode_are_the_known_best():
    # One mode, gamma = 1 and tau2 = 1: x' = (1 - 2a + a^2) x + a^2 sigma^2, least at a = x/(x + sigma^2) at every step.
    problem = gf.LinearProblem([1.0], [1.0], noise_variance=0.5)
    noise = gf.SpectrallyExpressible(1.0, 1.0)
    found = optimize_schedule(problem, lambda a, b: ScheduledSGD([a, b], 0.0, 1), [(0.0, 1.0), (0.0, 1.0)], 2, noise)
    x, rates = 1.0, []
    for _ in range(2):
        rates.append(x / (x + 0.5))
        x = x * 0.5 / (x + 0.5)
    np.testing.assert_allclose(found.parameters, rates, atol=5e-3)
    assert found.loss == pytest.approx(0.5 * (x + 0.5), rel=1e-6)


def test_bounds_that_bind_are_named():
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0])
    found = optimize_schedule(problem, lambda rate: ScheduledSGD(Polynomial(rate, 0.5), 0.0, None), [(0.1, 0.4)], 20)
    assert found.at_bound
    assert found.bounds == ("parameter 0 at 0.4, its greatest",)
    assert found.parameters == (0.4,)


def test_the_best_schedule_depends_on_whose_momentum_and_says_it():
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    found = {}
    for convention in ("torch", "keras"):

        def family(rate, convention=convention):
            return ScheduledSGD(StepDecay(rate, 0.1, 20), 0.8, 2, convention=convention)

        found[convention] = best = optimize_schedule(problem, family, [(0.005, 0.3)], 24)
        assert f"{convention}'s momentum" in repr(best)
        assert best.method.convention == convention
        assert best.loss == float(gf.predict(problem, best.method, 24).loss)
    assert abs(found["keras"].loss / found["torch"].loss - 1.0) > 0.01
    plain = optimize_schedule(problem, lambda rate: ScheduledSGD(rate, 0.0, 2), [(0.005, 0.3)], 24)
    assert "momentum" not in repr(plain)


@pytest.mark.parametrize(
    ("family", "bounds", "error", "message"),
    [
        (lambda r: ScheduledSGD(r), [], ValueError, "bounds is empty"),
        (lambda r: ScheduledSGD(r), [(1.0, 0.5)], ValueError, r"bounds\[0\] must ascend"),
        (lambda r: gf.SGD(r), [(0.1, 0.5)], TypeError, "family must return a ScheduledSGD, got SGD"),
        (lambda r: ScheduledSGD(r), [(1e200, 2e200)], ValueError, "no schedule with a finite loss"),
    ],
)
def test_bad_families_are_refused(family, bounds, error, message):
    with pytest.raises(error, match=message):
        optimize_schedule(gf.LinearProblem([1.0], [1.0]), family, bounds, 5)
