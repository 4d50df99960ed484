"""The step found is the first one, whatever the shape of the curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from problems import random_problem, random_setting

import genfun as gf
from genfun.answers.steps_to_loss import _search, steps_to_loss
from genfun.engine.scheduled import least_loss


@pytest.mark.slow
def test_first_crossing_is_that_of_the_recursion():
    rng = np.random.default_rng(0)
    last, rising, late = 3000, 0, 0
    for _ in range(16):
        problem = random_problem(rng)
        noise = gf.SpectrallyExpressible(1.0, float(rng.choice([1.0, 0.0, -1.0])))
        method = random_setting(rng, problem, noise)
        loss = gf.predict(problem, method, np.arange(last + 1), noise, route="recursion").loss
        lowest = np.minimum.accumulate(loss)
        rising += bool((np.diff(loss) > 0.0).any())
        for k in rng.integers(1, last + 1, 3):
            # 1e-7 above a loss of the curve: beyond the slack of 1e-11 and the 1e-10 of unseen oscillations.
            target = float(lowest[k]) * (1.0 + 1e-7)
            true = int(np.flatnonzero(loss <= target)[0])
            late += true > 256
            assert steps_to_loss(problem, method, target, noise) == true
        assert steps_to_loss(problem, method, float(lowest[-1]) * (1.0 - 1e-7), noise) > last
    assert rising > 5  # curves that are not monotone
    assert late > 12  # answers beyond the first block


@pytest.mark.parametrize("beta", [0.99, -0.9])
@pytest.mark.parametrize("batch", [None, 3])
def test_first_of_many_oscillations_counts(beta, batch):
    # Both modes oscillate (0.05 > (1-sqrt(0.99))^2), or alternate in sign, as long as there is any loss left.
    problem = gf.LinearProblem([1.0, 0.3], [1.0, 0.5])
    method = gf.SGD(0.05, beta, batch)
    loss = gf.predict(problem, method, np.arange(10_001), route="recursion").loss
    for target in (0.3, 1e-3, 1e-9, 1e-40):
        below = np.flatnonzero(loss <= target)
        if below.size:
            assert steps_to_loss(problem, method, target) == below[0]


def test_round_trip_of_a_predicted_loss():
    problem, method = gf.PowerLaw(1.5, 0.5, n_modes=1000), gf.SGD(0.1, 0.6, 5)
    for step in (1, 31, 255, 256, 257, 1000, 12_345, 654_321):
        assert steps_to_loss(problem, method, float(gf.predict(problem, method, step).loss)) == step


@pytest.mark.parametrize("nu", [0.6, 0.8, 0.9])
def test_minimum_before_eventual_divergence_is_found_and_nothing_below_it(nu):
    problem, method = gf.PowerLaw(nu, 0.5), gf.SGD(0.1 if nu > 0.7 else 0.01, 0.2, 1)
    grid = np.unique(np.geomspace(1, 1e9, 400).astype(np.int64))
    loss = gf.predict(problem, method, grid).loss
    i = int(np.argmin(loss))
    assert 0 < i < grid.size - 1
    # The grid's minimum is above the true one, by the square of the spacing of 5 % times the curvature: under 1 %.
    step = steps_to_loss(problem, method, float(loss[i]) * (1.0 + 1e-9))
    assert grid[i - 1] < step <= grid[i]
    assert steps_to_loss(problem, method, 0.99 * float(loss[i])) == math.inf


def test_dip_narrower_than_the_grid_is_found():
    # Full batch just beyond the edge: (1e-20 * 1.0057^2t + 0.998^2t)/2 has a corner within 4 % of step 2500.
    problem, method = gf.LinearProblem([1.0, 1e-3], [1e-20, 1.0]), gf.SGD(2.0057)
    curve = gf.predict(problem, method, np.arange(5000))
    k = int(np.argmin(curve.loss))
    assert 1000 < k < 4000
    assert min(curve.loss[k - 100], curve.loss[k + 100]) > 1.15 * curve.loss[k]
    assert k - 30 < steps_to_loss(problem, method, float(curve.loss[k]) * (1.0 + 1e-9)) <= k
    assert steps_to_loss(problem, method, float(curve.loss[k]) * (1.0 - 1e-9)) == math.inf


def test_never_is_inf():
    noisy = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.2)
    method = gf.SGD(0.3, 0.5, 4)
    floor = 0.1 + gf.stability(noisy, method).floor
    assert steps_to_loss(noisy, method, 0.0999) == math.inf  # below the label noise
    assert steps_to_loss(noisy, method, floor * (1.0 - 1e-6)) == math.inf
    assert math.isfinite(steps_to_loss(noisy, method, floor * (1.0 + 1e-6)))
    assert steps_to_loss(gf.PowerLaw(0.4, 0.5), gf.SGD(0.1, 0.0, 4), 0.4) == math.inf  # infinite after one step
    assert steps_to_loss(gf.LinearProblem([1.0], [1.0]), gf.SGD(2.5), 0.4) == math.inf  # rises from the start
    slow = gf.PowerLaw(1.5, 0.1)
    assert steps_to_loss(slow, gf.SGD(0.1, 0.0, 10), 1e-3) == math.inf  # beyond 10^15 steps


def test_dip_below_the_label_noise_floor_counts():
    # The large fast signal is gone before the noise has filled the slow modes.
    problem = gf.LinearProblem(np.r_[1.0, np.full(1500, 1e-3)], np.r_[1e3, np.zeros(1500)], noise_variance=1.0)
    method = gf.SGD(0.5, 0.0, 1)
    floor = 0.5 + gf.stability(problem, method).floor
    loss = gf.predict(problem, method, np.arange(10_000)).loss
    dip = float(loss.min())
    assert dip < 0.95 * floor
    assert steps_to_loss(problem, method, dip) == int(np.argmin(loss))


def test_zero_where_the_start_is_good_enough():
    problem = gf.LinearProblem([1.0], [1.0], noise_variance=0.5)
    assert steps_to_loss(problem, gf.SGD(0.5), 0.75) == 0.0
    assert steps_to_loss(problem, gf.SGD(0.5), 5.0) == 0.0
    assert steps_to_loss(problem, gf.SGD(0.5), 0.7499) == 1.0


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.9])
def test_power_law_at_a_trillion_steps(beta):
    # Signal phase: L = (1/2) Gamma(zeta+1) (2 alpha_eff t)^-zeta / (1-U~(1)), to t^-(2 - 1/nu - zeta) = 1e-10.
    problem, method = gf.PowerLaw(1.5, 0.5), gf.SGD(0.2 * (1 - beta), beta, 10)
    gain = gf.stability(problem, method).noise_gain
    target = 1e-6
    exact = (0.5 * math.gamma(1.5) / (target * (1.0 - gain))) ** 2 / 0.4
    assert 1e11 < exact < 1e13
    assert steps_to_loss(problem, method, target) == pytest.approx(exact, rel=1e-2)


@pytest.mark.parametrize(("nu", "zeta", "rate"), [(1.5, 0.5, 0.5), (2.0, 1.0, 0.5)])
def test_steps_fall_with_the_batch_as_published(nu, zeta, rate):
    # K(b) = K_inf (b/(b-u1))^(1/zeta), u1 = U~(1) at gamma = 1; the tau2 term of U~ varies with b, which it neglects.
    problem, target = gf.PowerLaw(nu, zeta), 1e-3
    u1 = gf.stability(problem, gf.SGD(rate, 0.0, 1)).noise_gain
    limit = steps_to_loss(problem, gf.SGD(rate, 0.0, None), target)
    assert 0.3 < u1 < 1.0
    for b in (2, 4, 16, 64):
        ratio = steps_to_loss(problem, gf.SGD(rate, 0.0, b), target) / limit
        assert ratio == pytest.approx((b / (b - u1)) ** (1.0 / zeta), rel=0.09)
    assert steps_to_loss(problem, gf.SGD(rate, 0.0, 2), target) > 1.3 * limit


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [(0.0, ValueError, "loss must be positive, got 0"), (-1.0, ValueError, "loss"), (math.nan, ValueError, "finite")],
)
def test_bad_targets_are_refused(loss, error, message):
    with pytest.raises(error, match=message):
        steps_to_loss(gf.PowerLaw(1.5, 0.5), gf.SGD(0.1), loss)


def test_batch_beyond_the_data_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at most n_samples=10, got 11"):
        steps_to_loss(gf.LinearProblem([1.0], [1.0], n_samples=10), gf.SGD(0.1, 0.0, 11), 0.1)


@pytest.mark.parametrize(("momentum", "near"), [(0.0, 0.3), (0.9, 0.3), (-0.5, 0.15)])
@pytest.mark.parametrize("problem", [gf.PowerLaw(1.5, 0.5), gf.PowerLaw(2.0, 1.5, n_modes=200, noise_variance=0.02)])
def test_the_bound_of_a_schedule_lies_below_every_loss_and_answers_what_never_arrives(problem, momentum, near):
    # Rates whose sum hardly grows any more: the steps that are left cannot move the slow modes.
    method = gf.schedules.ScheduledSGD(0.3 * (1.0 + 0.1 * np.arange(3000)) ** -1.5, momentum, None)
    bound = least_loss(problem, method, 3000)
    losses = gf.predict(problem, method, np.arange(3001)).loss
    assert near * losses.min() < bound <= losses.min()
    assert steps_to_loss(problem, method, 0.9 * bound) == math.inf
    assert steps_to_loss(problem, method, 1.01 * float(losses.min())) < 3000


@pytest.mark.parametrize("convention", ["torch", "keras"])
def test_the_bound_holds_where_rates_rise_under_changing_momenta_of_both_signs(convention):
    rng = np.random.default_rng(2)
    for _ in range(20):
        rates, momenta = rng.exponential(0.1, 12), rng.uniform(-0.9, 0.5, 12)
        method = gf.schedules.ScheduledSGD(rates, momenta, None, convention=convention)
        problem = gf.LinearProblem([float(rng.uniform(0.01, 1.0))], [1.0])
        losses = gf.predict(problem, method, np.arange(13)).loss
        assert least_loss(problem, method, 12) <= losses.min()


def test_no_step_is_looked_at_long_after_the_target_is_reached():
    seen = []

    def curve(steps):
        seen.append(int(steps[-1]))
        return 1.0 / steps

    assert _search(curve, 255, 1.0 / 3000.5) == 3001.0
    assert max(seen) < 2e5
    assert _search(curve, 255, 1e-20) == np.inf
    assert max(seen) == 10**15
