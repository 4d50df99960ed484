"""The fast paths give what the recursion gives, and say how well."""

from __future__ import annotations

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import random_problem, random_setting

import genfun as gf
from genfun.engine.recursion import Recursion
from genfun.scaled import Scaled

STEPS = np.unique(np.concatenate((np.arange(0, 40), np.geomspace(40, 3000, 40).astype(int))))


def reference(problem, methods, noise, last):
    """Losses in extended precision, (settings, last + 1)."""
    run = Recursion(problem, methods, noise, problem.full_measures, dtype=np.longdouble)
    mantissa, exponent = run.run(last)
    return [Scaled(m, e) for m, e in zip(mantissa, exponent, strict=True)]


def true_error(prediction, exact):
    """Relative, from the logarithms, so that it covers losses beyond the range of doubles."""
    return np.abs(np.expm1(prediction.log_loss - exact.log().astype(float)))


@pytest.mark.slow
def test_predict_matches_extended_recursion_and_its_error_is_honest():
    rng = np.random.default_rng(20260101)
    worst, dishonest, total = 0.0, 0, 0
    for _ in range(7):
        problem = random_problem(rng)
        noise = gf.SpectrallyExpressible(1.0, float(rng.choice([1.0, 0.0, -1.0])))
        methods = [random_setting(rng, problem, noise) for _ in range(10)]
        for method, exact in zip(methods, reference(problem, methods, noise, 3000), strict=True):
            r = gf.predict(problem, method, STEPS, noise)
            error = true_error(r, exact[STEPS])
            worst = max(worst, error.max())
            dishonest += np.count_nonzero(error > 10.0 * r.error + 1e-12)
            total += error.size
    assert worst <= 1e-8
    assert dishonest <= 0.01 * total
    assert total >= 70 * 60


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_random_problem_is_predicted_to_1e8(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    if problem.eigenvalues.size > 60:
        problem = gf.LinearProblem(problem.eigenvalues[::7], problem.signal[::7], None, problem.noise_variance)
    noise = gf.SpectrallyExpressible(1.0, float(rng.choice([1.0, 0.0, -1.0])))
    method = random_setting(rng, problem, noise)
    steps = [600, 0, 1, 2, 599, 320, 320]
    r = gf.predict(problem, method, steps, noise)
    error = true_error(r, reference(problem, [method], noise, 600)[0][np.array(steps)])
    assert error.max() <= 1e-8
    assert (error <= 10.0 * r.error + 1e-12).all()


def mp_losses(problem, method, noise, steps):
    """Powers of the full second-moment matrix at 50 digits, written out independently of the package."""
    lam, s = ([mp.mpf(float(x)) for x in array] for array in (problem.eigenvalues, problem.signal))
    n, alpha, beta = len(lam), mp.mpf(method.learning_rate), mp.mpf(method.momentum)
    b, size = method.batch_size, problem.n_samples
    gamma = mp.mpf(0) if b is None else mp.mpf(size - b) / ((size - 1) * b)
    tau1, tau2, sigma2 = mp.mpf(noise.tau1), mp.mpf(noise.tau2), mp.mpf(problem.noise_variance)
    A = mp.zeros(3 * n + 1)
    for k in range(n):
        a = alpha * lam[k]
        rows = [
            [(1 - a) ** 2, 2 * beta * (1 - a), beta**2],
            [-a * (1 - a), beta * (1 - 2 * a), beta**2],
            [a * a, -2 * a * beta, beta**2],
        ]
        for i in range(3):
            for j in range(3):
                A[3 * k + i, 3 * k + j] = rows[i][j]
            A[3 * k + i, 3 * k] -= gamma * tau2 * a * a
            for j in range(n):
                A[3 * k + i, 3 * j] += gamma * tau1 * a * a
            A[3 * k + i, 3 * n] = gamma * a * a * sigma2
    A[3 * n, 3 * n] = 1
    start = mp.zeros(3 * n + 1, 1)
    for k in range(n):
        start[3 * k] = s[k]
    start[3 * n] = 1
    powers = [A]
    while 2 ** len(powers) <= max(steps):
        powers.append(powers[-1] * powers[-1])
    losses = []
    for t in steps:
        x = start
        for j, power in enumerate(powers):
            if t >> j & 1:
                x = power * x
        losses.append((sum(x[3 * k] for k in range(n)) + sigma2) / 2)
    return losses


MP_STEPS = [0, 1, 2, 3, 10, 50, 100, 300, 1000, 3000, 10**4, 10**5, 10**6]
MP_CASES = [
    # decades of lambda, modes, batch, momentum, tau2, share of the largest rate, sigma^2
    (8, 3, 1, 0.0, 1, 0.5, 0.0),
    (8, 4, 5, 0.9, 0, 0.3, 0.0),
    (8, 2, 40, -0.5, -1, 0.9, 1e-3),
    (8, 3, 1, 0.98, 1, 0.9, 0.0),
    (8, 3, 5, -0.98, 1, 0.9, 0.0),
    (3, 4, 1, 0.0, 0, 1.0001, 0.0),
    (3, 3, 5, 0.5, 1, 1.001, 0.0),
    (3, 3, 5, 0.9, -1, 0.999, 0.0),
    (3, 2, 1, -0.9, 1, 0.3, 1e-3),
    (1, 4, 40, 0.9, 0, 0.3, 0.0),
    (1, 3, 1, 0.5, 1, 0.05, 0.0),
    (1, 2, 5, 0.98, -1, 0.9, 0.0),
    (1, 2, 5, -0.98, 0, 1.001, 0.0),
    (0.3, 4, 1, 0.0, 1, 0.9, 0.0),
    (0.3, 3, 5, 0.98, 0, 1.0001, 0.0),
    (0.3, 2, 1, -0.5, 1, 0.5, 1e-6),
    (3, 3, None, 0.0, 1, 0.5, 0.0),
    (3, 3, None, 0.9, 1, 0.3, 0.0),
    (1, 2, None, -0.5, 1, 0.9, 1e-3),
    (8, 3, None, 0.5, 1, 0.999, 0.0),
]


@pytest.mark.parametrize("case", MP_CASES, ids=str)
def test_predict_matches_50_digits_from_1e_minus_250_to_1e250(case):
    decades, n, batch, beta, tau2, share, sigma2 = case
    rng = np.random.default_rng(n + 7)
    lam = 10.0 ** -np.linspace(0, decades, n)
    problem = gf.LinearProblem(lam, 10.0 ** rng.uniform(-3, 0, n), n_samples=50, noise_variance=sigma2)
    noise = gf.SpectrallyExpressible(1.0, tau2)
    method = gf.SGD(share * gf.max_learning_rate(problem, beta, batch, noise), beta, batch)
    # One more step where the loss has come as near to 1e-250 or 1e250 of the start as 10^6 steps allow.
    far = 247.0 * np.log(10) / abs(gf.stability(problem, method, noise).growth_rate)
    steps = [*MP_STEPS, int(min(far, 10**6))]
    with mp.workdps(50):
        logs = [mp.log(x) for x in mp_losses(problem, method, noise, steps)]
    r = gf.predict(problem, method, steps, noise)
    exact = np.array([float(x) for x in logs])
    with mp.workdps(50):
        error = np.abs([float(mp.expm1(mp.mpf(float(x)) - y)) for x, y in zip(r.log_loss, logs, strict=True)])
    inside = np.abs(exact - exact[0]) <= 250 * np.log(10)
    assert inside.sum() >= 7
    # The difference of logarithms of order 575 rounds at 575 eps = 1.3e-13.
    assert (error[inside] <= 1e-8).all()
    assert (error[inside] <= 10.0 * r.error[inside] + 1e-12).all()


TURNING = [
    # Of three modes the largest is not the one of most rounding; and modes near a zero of what they have left.
    ([0.016355187202997733, 0.00491956413795156, 0.0014323986505438346], 0.999, 6.120454116391568, [3, 44, 678, 14866]),
    ([0.0944334307736383], 0.999, 42.33332748212585, [23, 89, 339, 1483]),
]


@pytest.mark.parametrize(("lam", "beta", "rate", "steps"), TURNING)
def test_powers_know_their_rounding_where_modes_turn(lam, beta, rate, steps):
    weights = np.array([0.02494744587200346, 0.015188192442250774, 0.1447653990998222])[: len(lam)]
    problem, method = gf.LinearProblem(lam, weights), gf.SGD(rate, beta)
    found = gf.predict(problem, method, steps)
    with mp.workdps(50):
        exact = mp_losses(problem, method, gf.SpectrallyExpressible(), steps)
        off = np.array([float(abs(mp.mpf(float(x)) / y - 1)) for x, y in zip(found.loss, exact, strict=True)])
    assert (off < found.error).all()
    assert found.error.max() < 1e-9


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.9])
def test_contour_and_recursion_agree_where_both_serve(beta):
    problem = gf.PowerLaw(1.5, 0.7, n_modes=500, noise_variance=0.01)
    method = gf.SGD(0.2 * (1 - beta), beta, 10)
    steps = np.arange(600, 2000, 100)
    slow, fast = (gf.predict(problem, method, steps, route=m) for m in ("recursion", "contour"))
    assert slow.route == "recursion"
    assert fast.route == "contour"
    np.testing.assert_allclose(fast.loss, slow.loss, rtol=1e-11)


def test_compression_does_not_show_in_the_loss():
    k = np.arange(1.0, 20_001.0)
    problem = gf.LinearProblem(k**-1.5, k**-1.8)
    method = gf.SGD(0.02, 0.9, 4)
    steps = np.array([0, 1, 10, 100, 200, 300])
    full = Recursion(problem, [method], measures=problem.full_measures).run(300)[0][0]
    np.testing.assert_allclose(gf.predict(problem, method, steps).loss, full[steps], rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.25])
def test_a_mode_that_one_step_takes_to_zero_leaves_the_others_their_digits(momentum):
    # a = 1: without momentum its power is exactly 0, and so is its share of the loss.
    steps, L = [1, 2, 3, 100], []
    p, w, v = gf.LinearProblem([1.0, 0.5, 0.25], [1.0, 1.0, 1.0]), [Fraction(1)] * 3, [Fraction(0)] * 3
    for _ in range(100):
        v = [Fraction(momentum) * u - Fraction(2) ** -k * x for k, (u, x) in enumerate(zip(v, w, strict=True))]
        w = [x + u for x, u in zip(w, v, strict=True)]
        L.append(float(sum(x * x for x in w) / 2))
    r = gf.predict(p, gf.SGD(1.0, momentum), steps)
    assert r.loss == pytest.approx([L[t - 1] for t in steps], rel=1e-13)
    assert r.status == "ok"
    assert (r.error < 1e-11).all()
