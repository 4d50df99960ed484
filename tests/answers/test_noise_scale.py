"""The gradient noise scale: the recursion's own sums, real gradients, and its two asymptotes."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.answers.batch._gradient_curve import GradientFunction
from genfun.answers.batch.noise_scale import noise_scale
from genfun.engine.recursion import Recursion

LAM = np.arange(1.0, 41.0) ** -1.3
STEPS = np.array([0, 1, 5, 31, 200, 1000, 3000])


def plain(problem, method, noise, last):
    """[tau1 Tr(HC) Tr H - tau2 Tr(H^2 C) + sigma^2 Tr H]/Tr(H^2 C) from the state of the recursion, step by step."""
    lam, run, values = problem.eigenvalues, Recursion(problem, [method], noise, problem.full_measures), []
    for _ in range(last + 1):
        x = run.state[0, 0]
        g = (lam * x).sum()
        values.append((lam.sum() * (noise.tau1 * x.sum() + problem.noise_variance) - noise.tau2 * g) / g)
        run.advance()
    return np.array(values)


@pytest.mark.parametrize("beta", [-0.6, 0.0, 0.9])
@pytest.mark.parametrize("sigma2", [0.0, 0.1])
@pytest.mark.parametrize(("n", "b"), [(None, 3), (500, 20), (500, 500)])
@pytest.mark.parametrize("tau", [(1.0, 1.0), (0.9, -0.5)])
def test_every_route_gives_the_ratio_of_traces_of_the_recursion(beta, sigma2, n, b, tau):
    problem = gf.LinearProblem(LAM, np.arange(1.0, 41.0) ** -1.4, n, sigma2)
    method, noise = gf.SGD(0.1 * (1 - beta), beta, b), gf.SpectrallyExpressible(*tau)
    found = noise_scale(problem, method, STEPS, noise)
    assert found.status == "ok"
    np.testing.assert_allclose(found.samples, plain(problem, method, noise, 3000)[STEPS], rtol=1e-10)


def test_it_is_the_noise_of_single_gradients_over_the_gradient_of_real_data():
    # At t = 0 nothing is random: translation-invariant features have the covariance of tau1 = tau2 = 1 exactly.
    lam = np.arange(1.0, 9.0) ** -1.5
    data = gf.data.translation_invariant(lam, lam**1.2)
    phi, w = data.eigenfeatures, -data.coefficients[:, 0]
    gradients = phi * (phi @ w - data.residuals[:, 0])[:, None]
    mean = gradients.mean(axis=0)
    measured = ((gradients - mean) ** 2).sum(axis=1).mean() / (mean**2).sum()
    assert noise_scale(data.problem, gf.SGD(0.1, batch_size=1), 0).samples == pytest.approx(measured, rel=1e-10)


@pytest.mark.parametrize("zeta", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.5])
def test_without_noise_it_grows_as_two_effective_rates_times_steps_times_trace_over_zeta(zeta, beta):
    problem, method = gf.PowerLaw(nu=1.5, zeta=zeta), gf.SGD(0.1, beta)
    t = 10**6
    expected = 2 * method.effective_learning_rate * t * problem.trace / zeta
    found = noise_scale(problem, method, [t, 10 * t]).samples / expected
    # The next order is relative 1/(alpha_eff t), and -tau2 = -1 of about 1e6 samples.
    assert found[0] == pytest.approx(1.0, abs=1e-3)
    assert found[1] == pytest.approx(10.0, abs=1e-2)


@pytest.mark.parametrize("batch", [10, 100])
def test_a_fixed_batch_limits_it_to_twice_the_trace_over_gamma_rate_and_squared_trace(batch):
    problem, rate = gf.PowerLaw(nu=1.5, zeta=0.5), 0.001
    limit = 2 * problem.trace * batch / (rate * problem.capacity_total)
    # Corrections are relative alpha lambda_max, 0.001.
    assert noise_scale(problem, gf.SGD(rate, batch_size=batch), 10**12).samples == pytest.approx(limit, rel=3e-3)


def test_compressed_spectra_give_the_same_as_the_full_one():
    lam = np.arange(1.0, 2001.0) ** -1.5
    problem = gf.LinearProblem(lam, lam**1.1, n_samples=5000, noise_variance=0.01)
    method = gf.SGD(0.2, 0.5, 20)
    full = GradientFunction(problem, method, measures=problem.full_measures).stepper(0.0, 800).losses(800).value()
    found = noise_scale(problem, method, [3, 40, 800])
    np.testing.assert_allclose(found.gradient, full[[3, 40, 800]], rtol=1e-10)


def test_shape_order_and_repeats_of_the_steps_are_kept():
    problem, method = gf.LinearProblem(LAM, LAM), gf.SGD(0.1, batch_size=2)
    once = noise_scale(problem, method, [0, 7, 500]).samples
    again = noise_scale(problem, method, [[500, 0], [7, 500]])
    np.testing.assert_array_equal(again.samples, [[once[2], once[0]], [once[1], once[2]]])
    assert "at step 500" in repr(again)


def test_what_is_infinite_is_said_and_never_nan():
    problem = gf.PowerLaw(nu=0.8, zeta=0.5)
    for found in (
        noise_scale(problem, gf.SGD(0.1, batch_size=3), [0, 10]),
        noise_scale(gf.PowerLaw(nu=0.4, zeta=0.5), gf.SGD(0.1, batch_size=3), [0, 10]),
        noise_scale(gf.LinearProblem([1.0, 0.5], [1, 1], noise_variance=0.1), gf.SGD(0.5), [10, 10_000]),
    ):
        assert found.status == "infinite"
        assert found.samples[-1] == np.inf
        assert "infinite" in found.meaning


def test_bad_arguments_are_refused():
    problem = gf.LinearProblem(LAM, LAM, n_samples=50)
    with pytest.raises(ValueError, match="steps"):
        noise_scale(problem, gf.SGD(0.1), -1)
    with pytest.raises(ValueError, match="batch_size"):
        noise_scale(problem, gf.SGD(0.1, batch_size=51), 1)
    with pytest.raises(TypeError, match="problem"):
        noise_scale(LAM, gf.SGD(0.1), 1)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("beta", [0.0, 0.9, -0.5])
def test_the_noise_error_covers_a_gradient_that_is_nearly_all_noise(beta):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((60, 15)) * np.geomspace(1.0, 0.1, 15)
    data = gf.LinearData.from_features(X, X.sum(axis=1) + 0.3 * rng.standard_normal(60))
    method, steps = gf.SGD(0.3 * float(gf.max_learning_rate(data, beta, 8)), beta, 8), [0, 10, 100, 1000]
    exact, measured = (noise_scale(data, method, steps, noise) for noise in ("exact", "measured"))
    assert exact.noise_error.tolist() == [0.0] * 4
    assert measured.noise_error[0] == 0.0
    assert 1e-5 < measured.noise_error[-1] < 0.05
    assert (measured.noise_error[-1] > 2.5 * gf.predict(data, method, 1000).noise_error).all()
    for name in ("samples", "gradient"):
        off = np.abs(getattr(measured, name) / getattr(exact, name) - 1.0)
        assert off[-1] > 100.0 * measured.error[-1]  # which is that of the computation alone
        assert (off <= measured.error + measured.noise_error).all()
    still = noise_scale(data, gf.SGD(method.learning_rate, beta), steps)
    assert still.noise_error.tolist() == [0.0] * 4
    assert np.isnan(noise_scale(data, method, steps, "fitted").noise_error).all()


def test_data_that_are_fitted_exactly_have_no_floor_of_rounding():
    rng = np.random.default_rng(3)
    data = gf.LinearData.from_features(rng.standard_normal((12, 20)), rng.standard_normal((12, 2)))
    assert data.noise_variance == 0.0
    assert not data.residuals.any()
    assert data.residuals.shape == (12, 2)
    method = gf.SGD(0.5 * float(gf.max_learning_rate(data, 0.5, 6)), 0.5, 6)
    steps = [0, 300, 1500]
    exact, measured = (noise_scale(data, method, steps, noise) for noise in ("exact", "measured"))
    assert exact.gradient[-1] < 1e-40
    assert (np.abs(measured.samples / exact.samples - 1.0) <= measured.error + measured.noise_error).all()
    deviation = gf.spread(data, method, steps[1:]).sd
    loss = gf.predict(data, method, steps[1:]).loss
    assert (deviation < 100.0 * loss).all()


@pytest.mark.slow
@pytest.mark.parametrize("beta", [-0.4, 0.6])
def test_the_exact_noise_of_data_is_followed_step_by_step_and_refused_where_that_takes_too_long(beta):
    data = gf.data.mnist(60)
    method, steps = gf.SGD(0.3, beta, 8), [30, 0, 5]
    exact, measured = (noise_scale(data, method, steps, noise).samples for noise in ("exact", "measured"))
    np.testing.assert_allclose(measured, exact, rtol=0.01)
    # By hand, at the start: w = 0, so that a sample's gradient is -y_i phi_i.
    features, targets = np.asarray(data.eigenfeatures), np.asarray(data.targets).reshape(data.n_samples, -1)
    gradient = features.T @ targets / data.n_samples
    single = ((features**2).sum(axis=1) * (targets**2).sum(axis=1)).mean()
    assert exact[1] == pytest.approx(single / (gradient**2).sum() - 1.0, rel=1e-9)
    with pytest.raises(ValueError, match="too long for 1000000 steps; use noise='measured'"):
        noise_scale(data, method, 10**6, "exact")
