"""Methods with several velocities, against second moments written apart and against runs on real data."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

import genfun as gf
from genfun.experiments import simulate

N, B = 60, 4
SPUN = gf.MemorySGD(0.02, 1.0, (0.5, 0.3), (1.0, 0.2), ((0.5, 0.4), (-0.4, 0.6)), B)
"""Its velocities turn: D has complex eigenvalues."""
METHODS = (gf.MemorySGD.two_timescale(0.02, 0.8, 0.99, 3.0, B), SPUN)


def names(method):
    return type(method).__name__


@functools.cache
def table(rows=N, columns=5):
    raw = np.loadtxt("docs/data/breast_cancer.csv", delimiter=",", skiprows=1)
    X, y = raw[:, :-1], raw[:, -1]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return gf.LinearData.from_features(X[:rows, :columns], y[:rows] - 0.5)


def plain_step(method):
    """(what the gradient does to w and the velocities, what the velocities do to them), from the papers' lines."""
    rate = method.learning_rate
    if hasattr(method, "slow"):
        fast, slow, weight = method.momentum, method.slow, method.weight
        # m' = fast m + (1 - fast) g, n' = slow n + (1 - slow) g, w' = w - rate (m' + weight n').
        into = np.array([-rate * ((1 - fast) + weight * (1 - slow)), 1 - fast, 1 - slow])
        return into, np.array([[1.0, -rate * fast, -rate * weight * slow], [0.0, fast, 0.0], [0.0, 0.0, slow]])
    into = np.array([-rate * method.direct, *method.writes])
    D = np.array(method.keeps)
    return into, np.block([[np.ones((1, 1)), -rate * np.array(method.reads)[None]], [np.zeros((len(D), 1)), D]])


def second_moments(data, method, last, expressible=False):
    """E[x x^T] of all modes and velocities, under the noise of the samples or that with tau1 = tau2 = 1."""
    phi, lam, W, eps = data.eigenfeatures, data.eigenvalues, data.coefficients, data.residuals
    into, T = plain_step(method)
    size, r, n = into.size, lam.size, len(phi)
    move = np.kron(T, np.eye(r)) + np.kron(np.outer(into, np.eye(size)[0]), np.diag(lam))
    push = np.kron(into[:, None], np.eye(r))
    mean = np.concatenate([-W, np.zeros(((size - 1) * r, W.shape[1]))])
    X, losses = mean @ mean.T, []
    for _ in range(last + 1):
        C = X[:r, :r]
        losses.append(0.5 * (lam @ np.diag(C)) + 0.5 * data.noise_variance)
        if expressible:
            noise = np.diag(lam * (lam @ np.diag(C) + data.noise_variance) - lam**2 * np.diag(C))
        else:
            squares = ((phi @ C) * phi).sum(axis=1) - 2 * (eps * (phi @ mean[:r])).sum(axis=1) + (eps**2).sum(axis=1)
            noise = phi.T @ (phi * squares[:, None]) / n - np.outer(lam, lam) * C
        X = move @ X @ move.T + (n - B) / ((n - 1) * B) * push @ noise @ push.T
        mean = move @ mean
    return np.array(losses)


@pytest.mark.parametrize("method", METHODS, ids=names)
def test_losses_are_those_of_the_second_moments(method):
    steps = np.array([0, 1, 2, 7, 40, 120])
    data, noise = table(), gf.SpectrallyExpressible()
    expected = second_moments(data, method, 120, expressible=True)[steps]
    assert np.allclose(gf.predict(data.problem, method, steps, noise).loss, expected, rtol=1e-10)
    late = gf.predict(data.problem, method, steps[3:], noise, route="contour")
    assert np.abs(late.loss[1:] / expected[4:] - 1.0).max() < np.maximum(late.error[1:], 1e-10).max()


@pytest.mark.parametrize("method", METHODS, ids=names)
def test_data_are_answered_by_their_own_noise(method):
    steps, data = np.array([0, 1, 2, 7, 40, 120]), table()
    expected = second_moments(data, method, 120)[steps]
    assert np.allclose(gf.predict(data, method, steps, noise="exact").loss, expected, rtol=1e-10)
    measured = gf.predict(data, method, steps)
    assert measured.status == "ok"
    assert (np.abs(measured.loss / expected - 1.0) <= measured.noise_error + measured.error).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=names)
def test_the_edge_is_where_second_moments_begin_to_grow(method):
    data = table()
    edge, exact = (gf.max_learning_rate(data, method=method, noise=noise) for noise in (None, "exact"))
    assert abs(edge / exact - 1.0) < 1e-3
    below, above = (second_moments(data, replace(method, learning_rate=f * exact), 3_000) for f in (0.97, 1.03))
    assert below[-1] < below[-1000] * 1.01
    assert above[-1] > above[-1000] * 1.05
    assert gf.stability(data, replace(method, learning_rate=0.97 * exact)).status == "converges"
    assert gf.stability(data, replace(method, learning_rate=1.03 * exact)).status == "diverges"


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=names)
def test_runs_on_real_data_have_the_predicted_mean(method):
    data, steps = table(569, 30), [30, 300]
    method = replace(method, learning_rate=0.3 * gf.max_learning_rate(data, method=method))
    runs = simulate(data, method, steps=300, replicas=200, record=steps, seed=1)
    predicted = gf.predict(data, method, steps).loss
    assert (np.abs(runs.mean - predicted) < 0.02 * predicted + 2.5 * runs.sem).all()


@pytest.mark.slow
def test_two_time_scales_are_a_memory_of_two():
    fast, slow, weight, rate = 0.8, 0.99, 3.0, 0.02
    both = gf.MemorySGD.two_timescale(rate, fast, slow, weight, B)
    whole = (1 - fast) + weight * (1 - slow)
    same = gf.MemorySGD(rate, whole, (fast, weight * slow), (1 - fast, 1 - slow), (fast, slow), B)
    problem = gf.PowerLaw(1.5, 0.5, n_modes=30, n_samples=200, noise_variance=0.1)
    losses = [gf.predict(problem, m, [10, 10**4]).loss for m in (both, same)]
    assert np.allclose(*losses, rtol=1e-10)
    assert np.isclose(*[gf.max_learning_rate(problem, method=m) for m in (both, same)], rtol=1e-9)


@pytest.mark.slow
def test_the_best_setting_is_no_worse_than_heavy_ball_whose_family_is_inside():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=30, n_samples=200, noise_variance=0.1)
    heavy = gf.optimize(problem, 4, 200)
    for weight in (0.0, 0.5):
        best = gf.optimize(problem, 4, 200, method=gf.MemorySGD.two_timescale(1.0, slow=0.99, weight=weight))
        assert best.method.weight == weight
        assert best.loss == pytest.approx(gf.predict(problem, best.method, 200).loss, rel=1e-6)
        assert best.loss <= heavy.loss * (1.001 if weight == 0.0 else 1.3)
        assert weight or best.loss == pytest.approx(heavy.loss, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keeps": 1.0}, "eigenvalues below 1"),
        ({"reads": (0.1, 0.2)}, "M, M and M"),
        ({"writes": np.nan}, "finite"),
        pytest.param({"direct": "much"}, "direct must be a real number", marks=pytest.mark.other_kinds),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_velocities_that_make_no_method_are_refused(arguments, message):
    usual = {"learning_rate": 0.1, "direct": 1.0, "reads": 0.5, "writes": 1.0, "keeps": 0.5}
    with pytest.raises((ValueError, TypeError), match=message):
        gf.MemorySGD(**{**usual, **arguments})
    with pytest.raises(ValueError, match="slow"):
        gf.MemorySGD.two_timescale(0.1, slow=1.0)


def test_without_a_momentum_to_search_none_is_told():
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], n_samples=20)
    assert "momentum" not in repr(gf.optimize(problem, B, 30, method=gf.MemorySGD(0.05, 1.0, 0.9, 1.0, 0.9, B)))


@pytest.mark.other_kinds
def test_a_class_in_place_of_a_setting_is_refused_with_what_to_write():
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], n_samples=20)
    with pytest.raises(TypeError, match=r"got MemorySGD; write MemorySGD\(\.\.\.\)"):
        gf.optimize(problem, B, 30, method=gf.MemorySGD)


def test_a_gradient_that_waits_a_step_converges_below_the_edge():
    # The moments of a mode are eliminated one by one: at a = 1 and z = 1 one of these divisors is 0.
    problem = gf.LinearProblem([1.0, 0.5], [1.0, 1.0], 25)
    method = gf.MemorySGD(1.0, 0.0, 1.0, 1.0, 0.0, batch_size=20)
    edge = gf.max_learning_rate(problem, method=method)
    for share in (0.8, 0.9, 0.95):
        setting = replace(method, learning_rate=share * edge)
        found, late = (
            gf.stability(problem, setting),
            gf.predict(problem, setting, [300, 400], route="recursion").log_loss,
        )
        assert found.status == "converges"
        assert found.growth_rate == pytest.approx((late[1] - late[0]) / 100.0, abs=0.03)
