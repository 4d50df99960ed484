"""The reference: against the formulas of the theory, the exact moments and the generating function."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.engine.recursion import Recursion


def plain(problem, method, noise, gamma, last):
    """The update of (c, j, p) as it stands in the theory, term by term."""
    lam, a, beta = problem.eigenvalues, method.learning_rate * problem.eigenvalues, method.momentum
    c, j, p = problem.signal / lam, np.zeros_like(lam), np.zeros_like(lam)
    losses = []
    for _ in range(last + 1):
        losses.append(0.5 * (lam * c).sum() + 0.5 * problem.noise_variance)
        n = (
            gamma
            * method.learning_rate**2
            * (noise.tau1 * lam * (lam * c).sum() - noise.tau2 * lam**2 * c + lam * problem.noise_variance)
        )
        c, j, p = (
            (1 - a) ** 2 * c + 2 * beta * (1 - a) * j + beta**2 * p + n,
            -a * (1 - a) * c + beta * (1 - 2 * a) * j + beta**2 * p + n,
            a**2 * c - 2 * a * beta * j + beta**2 * p + n,
        )
    return np.array(losses)


@pytest.mark.parametrize("beta", [-0.7, 0.0, 0.6])
@pytest.mark.parametrize("tau", [(1.0, 1.0), (1.0, -1.0), (0.5, 0.0), (2.0, 1.5), (0.0, 0.0)])
@pytest.mark.parametrize("batch", [1, 7, 30])
def test_recursion_is_the_update_of_the_theory(beta, tau, batch):
    problem = gf.LinearProblem([1.0, 0.4, 0.05], [1.0, 2.0, 0.5], n_samples=30, noise_variance=0.2)
    method, noise = gf.SGD(0.6 * (1 + beta), beta, batch), gf.SpectrallyExpressible(*tau)
    gamma = (30 - batch) / (29 * batch)
    expected = plain(problem, method, noise, gamma, 40)
    np.testing.assert_allclose(
        gf.predict(problem, method, np.arange(41), noise, "recursion").loss, expected, rtol=1e-13
    )
    np.testing.assert_allclose(gf.predict(problem, method, np.arange(41), noise).loss, expected, rtol=1e-12)


def test_many_settings_at_once_equal_one_at_a_time():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=20, n_samples=50)
    methods = [gf.SGD(0.1, 0.5, 1), gf.SGD(0.9, -0.3, 10), gf.SGD(1.0, 0.0, 50)]
    together = Recursion(problem, methods).run(30)[0]
    for row, method in zip(together, methods, strict=True):
        np.testing.assert_allclose(row, Recursion(problem, [method]).run(30)[0][0], rtol=1e-14)


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.8])
def test_exact_moments_equal_the_spectral_recursion_on_translation_invariant_data(beta):
    lam = np.arange(1.0, 17.0) ** -1.5
    data = gf.data.translation_invariant(lam, lam**1.2)
    method, steps = gf.SGD(0.2 * (1 - beta), beta, 3), [0, 1, 2, 30, 100]
    exact = gf.predict(data, method, steps, noise="exact")
    assert exact.route == "exact second moments"
    np.testing.assert_allclose(exact.loss, gf.predict(data, method, steps).loss, rtol=1e-11)


def test_exact_moments_average_simulated_runs_with_label_noise():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((12, 3)) * [1.0, 0.6, 0.3] + 0.5
    y = rng.standard_normal((12, 2))
    data = gf.LinearData.from_features(X, y)
    method = gf.SGD(0.15, 0.4, 4)
    exact = gf.predict(data, method, np.arange(13), noise="exact")
    replicas, w = 20_000, np.zeros((20_000, 3, 2))
    v = np.zeros_like(w)
    simulated = []
    for _ in range(13):
        simulated.append(0.5 * ((X @ w - y) ** 2).sum(axis=(1, 2)) / 12)
        batch = rng.permuted(np.tile(np.arange(12), (replicas, 1)), axis=1)[:, :4]
        residual = np.einsum("rbd,rdo->rbo", X[batch], w) - y[batch]
        v = 0.4 * v - 0.15 * np.einsum("rbd,rbo->rdo", X[batch], residual) / 4
        w = w + v
    simulated = np.array(simulated)
    z = (exact.loss - simulated.mean(axis=1))[1:] / (simulated.std(axis=1)[1:] / np.sqrt(replicas))
    assert exact.loss[0] == pytest.approx(simulated[0, 0], rel=1e-12)
    # 12 strongly correlated normal deviates: 3.5 is exceeded with probability below 1 %.
    assert np.abs(z).max() < 3.5


def test_power_series_of_the_generating_function_is_the_loss():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=30, n_samples=60, noise_variance=0.1)
    method, noise = gf.SGD(0.3, -0.4, 5), gf.SpectrallyExpressible(0.8, -0.5)
    G = gf.GeneratingFunction(problem, method, noise)
    r, m = 0.7, 256
    z = r * np.exp(2j * np.pi * np.arange(m) / m)
    series = np.fft.fft(G(z)).real / m / r ** np.arange(m)
    np.testing.assert_allclose(series[:20], gf.predict(problem, method, np.arange(20), noise).loss, rtol=1e-11)


def test_generating_function_takes_any_shape_and_scalars():
    G = gf.GeneratingFunction(gf.PowerLaw(1.5, 0.5), gf.SGD(0.3, 0.5, 4))
    z = np.array([[0.5, 0.9j], [-0.3, 0.1 + 0.2j]])
    assert G(z).shape == G.noise(z).shape == G.signal(z).shape == (2, 2)
    assert G(0.5) == pytest.approx(G(z)[0, 0].real)
    assert isinstance(G(0.5), float)
    assert G(np.conj(z[1, 1])) == pytest.approx(np.conj(G(z[1, 1])))
