"""The edge: closed form, both sides, what binds, how fast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import genfun as gf
from genfun.engine.recursion import Recursion
from genfun.noise import sampling_factor


def closed_form(problem, method, noise):
    """U~(1) of the heavy ball, the second form of arXiv 2206.11124 as given in the theory page."""
    gamma = sampling_factor(method.batch_size, problem.n_samples)
    rate, beta, lam = method.effective_learning_rate, method.momentum, problem.eigenvalues
    return gamma * noise.tau1 * rate * (lam / (2 - rate * lam * ((1 - beta) / (1 + beta) - gamma * noise.tau2))).sum()


def late_slope(problem, method, noise, steps=12_000):
    """d log L / dt of the recursion, late."""
    mantissa, exponent = Recursion(problem, [method], noise, problem.full_measures).run(steps)
    logs = np.log(mantissa[0]) + exponent[0] * np.log(2.0)
    return (logs[-1] - logs[-1 - steps // 10]) / (steps // 10)


PROBLEM = gf.LinearProblem(np.arange(1.0, 31.0) ** -1.0, np.arange(1.0, 31.0) ** -1.5, n_samples=100)


@pytest.mark.parametrize("beta", [-0.9, -0.3, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("batch", [1, 10, 99, 100, None])
@pytest.mark.parametrize("tau", [(1.0, 1.0), (1.0, 0.0), (1.0, -1.0), (0.6, 0.2)])
def test_largest_rate_is_the_root_and_both_sides_of_it_are_judged_right(beta, batch, tau):
    noise = gf.SpectrallyExpressible(*tau)
    limit = gf.max_learning_rate(PROBLEM, beta, batch, noise)
    curvature = 2.0 * (1.0 + beta) / PROBLEM.lambda_max
    at = gf.SGD(limit, beta, batch)
    if limit < curvature * (1.0 - 1e-12):
        # The root to 1e-9: U~(1) crosses 1 within a relative 1e-9 of the rate.
        low, high = (closed_form(PROBLEM, gf.SGD(limit * f, beta, batch), noise) for f in (1 - 1e-9, 1 + 1e-9))
        assert low < 1.0 < high
        assert gf.stability(PROBLEM, at, noise).limit == "noise"
    else:
        assert limit == pytest.approx(curvature, rel=1e-14)
        assert closed_form(PROBLEM, gf.SGD(limit * (1 - 1e-9), beta, batch), noise) < 1.0
        assert gf.stability(PROBLEM, at, noise).limit == "curvature"
    assert gf.stability(PROBLEM, at, noise).status == "marginal"
    below, above = (gf.stability(PROBLEM, gf.SGD(limit * f, beta, batch), noise) for f in (0.99, 1.01))
    assert below.status == "converges"
    assert below.growth_rate < 0.0
    assert above.status == "diverges"
    assert above.growth_rate > 0.0


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.7])
def test_status_agrees_with_where_the_recursion_goes(beta):
    for batch in (1, 10, None):
        limit = gf.max_learning_rate(PROBLEM, beta, batch)
        for factor in (0.9, 1.1):
            method = gf.SGD(factor * limit, beta, batch)
            s = gf.stability(PROBLEM, method)
            slope = late_slope(PROBLEM, method, gf.SpectrallyExpressible(), 4000)
            assert (slope < 0) == (s.status == "converges") == (factor < 1)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    beta=st.floats(-0.9, 0.9),
    batch=st.integers(1, 99),
    share=st.floats(0.01, 0.99),
    tau2=st.sampled_from([1.0, 0.0, -1.0]),
)
def test_noise_gain_is_the_closed_form(beta, batch, share, tau2):
    noise = gf.SpectrallyExpressible(1.0, tau2)
    method = gf.SGD(share * gf.max_learning_rate(PROBLEM, beta, batch, noise), beta, batch)
    s = gf.stability(PROBLEM, method, noise)
    assert s.noise_gain == pytest.approx(closed_form(PROBLEM, method, noise), rel=1e-12)
    assert s.noise_gain == pytest.approx(gf.GeneratingFunction(PROBLEM, method, noise).noise(1.0), rel=1e-12)


@pytest.mark.parametrize(
    ("rate", "beta", "batch", "tau2"),
    [
        (0.2, 0.0, 1, 1.0),
        (0.05, 0.6, 1, 0.0),
        (0.5, -0.5, 3, -1.0),
        (0.45, 0.0, 1, 1.0),
        (0.4, -0.2, 1, -1.0),
        (2.2, 0.0, 20, 1.0),
    ],
)
def test_growth_rate_is_the_late_slope_of_the_recursion(rate, beta, batch, tau2):
    problem = gf.LinearProblem([1.0, 0.7, 0.5, 0.3, 0.1, 0.05], np.ones(6), n_samples=100)
    method, noise = gf.SGD(rate, beta, batch), gf.SpectrallyExpressible(1.0, tau2)
    s = gf.stability(problem, method, noise)
    assert s.growth_rate == pytest.approx(late_slope(problem, method, noise), rel=1e-6)


def test_two_negative_wrongs_do_not_make_a_stable_setting():
    # One mode, a = 1.5, gamma = 1, tau2 = -1: the formula gives U~(1) = -1.5, below 1, and yet the mode diverges.
    problem, noise = gf.LinearProblem([1.0], [1.0]), gf.SpectrallyExpressible(1.0, -1.0)
    method = gf.SGD(1.5, 0.0, 1)
    assert closed_form(problem, method, noise) < 0.0
    s = gf.stability(problem, method, noise)
    assert s.status == "diverges"
    assert s.noise_gain == np.inf
    assert late_slope(problem, method, noise, 500) > 0.0


def test_on_the_curvature_limit_the_noise_may_be_far_beyond_its_own():
    assert gf.stability(PROBLEM, gf.SGD(3.8, 0.9, 1)).status == "diverges"
    assert gf.stability(PROBLEM, gf.SGD(3.8, 0.9)).status == "marginal"


def test_floor_is_the_limit_of_the_loss():
    problem = gf.LinearProblem([1.0, 0.5, 0.2], [1.0, 1.0, 1.0], n_samples=50, noise_variance=0.3)
    for beta in (-0.4, 0.0, 0.6):
        for tau1 in (1.0, 0.5, 0.0):
            noise = gf.SpectrallyExpressible(tau1, min(tau1, 0.2))
            method = gf.SGD(0.3, beta, 5)
            floor = gf.stability(problem, method, noise).floor
            late = gf.predict(problem, method, 10**6, noise).loss - 0.15
            assert floor == pytest.approx(late, rel=1e-9)
            assert floor > 0.0
    assert gf.stability(problem, gf.SGD(0.3), gf.SpectrallyExpressible()).floor == 0.0


def test_published_critical_rates():
    # arXiv 2206.11124, setting nu = 1.5, N = 1000, gamma = 1, tau2 = 1.
    problem = gf.PowerLaw(1.5, 0.5, n_modes=1000)
    assert gf.max_learning_rate(problem, 0.0, 1) == pytest.approx(0.785, abs=5e-4)
    assert gf.max_learning_rate(problem, 0.9, 1) == pytest.approx(0.0924, abs=5e-5)


def test_small_rates_and_momentum_near_one_have_their_limits():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=1000)
    lam = problem.eigenvalues
    small = gf.max_learning_rate(problem, 0.0, 1, gf.SpectrallyExpressible(200.0, 1.0))
    assert small == pytest.approx(2.0 / (200.0 * problem.trace), rel=0.01)
    crit = 2.1477
    assert (lam / (crit + lam)).sum() == pytest.approx(1.0, rel=1e-4)
    beta = 1 - 1e-6
    assert gf.max_learning_rate(problem, beta, 1) / (1 - beta) == pytest.approx(2.0 / crit, rel=1e-4)


@pytest.mark.parametrize(("nu", "batch"), [(0.8, 10), (0.4, 10), (1.0, 1)])
def test_infinite_trace_leaves_no_stable_rate_but_full_batch_does(nu, batch):
    problem = gf.PowerLaw(nu, 0.5)
    assert gf.max_learning_rate(problem, 0.0, batch) == 0.0
    assert gf.stability(problem, gf.SGD(0.1, 0.0, batch)).status == "diverges"
    assert gf.max_learning_rate(problem, 0.5) == 3.0
    assert gf.stability(problem, gf.SGD(0.1)).status == "converges"


def test_infinite_capacity_diverges_at_the_first_step():
    r = gf.predict(gf.PowerLaw(0.4, 0.5), gf.SGD(0.1, 0.0, 10), [0, 1, 5])
    assert r.status == "diverges"
    assert r.loss.tolist() == [0.5, np.inf, np.inf]


def test_eventual_divergence_grows_at_the_rate_of_the_secular_root():
    problem, method = gf.PowerLaw(0.7, 0.5), gf.SGD(0.2, 0.0, 10)
    s = gf.stability(problem, method)
    assert s.status == "diverges"
    assert s.noise_gain == np.inf
    t = np.array([20.0, 21.0]) / s.growth_rate
    r = gf.predict(problem, method, t.astype(int))
    assert r.status == "diverges"
    slope = np.diff(r.log_loss) / np.diff(r.steps)
    assert slope.item() == pytest.approx(s.growth_rate, rel=1e-3)


def test_stability_map_is_the_noise_gain_of_every_cell():
    rates, betas = np.array([0.1, 0.7, 2.0, 3.0]), np.array([-0.5, 0.0, 0.9])
    table = gf.noise_gain_map(PROBLEM, rates, betas, batch_size=5)
    for i, rate in enumerate(rates):
        for j, beta in enumerate(betas):
            s = gf.stability(PROBLEM, gf.SGD(rate, beta, 5))
            assert table[i, j] == pytest.approx(s.noise_gain, rel=1e-12)
            assert (table[i, j] < 1.0) == (s.status == "converges")


def test_bad_grids_are_refused():
    with pytest.raises(ValueError, match="learning_rates must be positive"):
        gf.noise_gain_map(PROBLEM, [0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match="momentum must lie strictly"):
        gf.noise_gain_map(PROBLEM, [1.0], [1.0])
    with pytest.raises(ValueError, match="batch_size must be at most n_samples=100"):
        gf.max_learning_rate(PROBLEM, 0.0, 101)
