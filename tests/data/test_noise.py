"""The fitted noise is the weighted least-squares fit of the fourth moments, and says how far off it is."""

from __future__ import annotations

import numpy as np
import pytest

from genfun import SGD, SpectrallyExpressible, max_learning_rate, predict
from genfun.data import LinearData, gaussian, mnist, noise_fit, translation_invariant

LAM = np.arange(1, 41) ** -1.5
SIGNAL = np.arange(1, 41) ** -1.2


def brute_force(data):
    """The definition, with every moment at hand: a weighted linear regression on the two patterns."""
    phi, lam = data.eigenfeatures, data.eigenvalues
    p = phi**2 / lam
    moments = p.T @ p / data.n_samples
    weights = np.outer(lam, lam)
    diagonal = np.eye(lam.size)
    columns = np.stack([np.ones(moments.size), diagonal.ravel()], axis=1)
    root = np.sqrt(weights.ravel())
    (tau1, extra), *_ = np.linalg.lstsq(columns * root[:, None], moments.ravel() * root, rcond=None)
    residual = moments - tau1 - extra * diagonal
    return tau1, 1.0 - extra, np.sqrt((weights * residual**2).sum() / (weights * moments**2).sum())


def skewed(n=500, d=8, m=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.exponential(size=(n, d)) * np.geomspace(1.0, 0.1, d)
    return LinearData.from_features(X, rng.standard_normal((n, m)) + X[:, :1])


@pytest.mark.parametrize("data", [skewed(), skewed(m=3), skewed(n=6, d=20), gaussian(LAM, SIGNAL, 300, 0, 0.5)])
def test_the_fit_is_weighted_least_squares_on_the_fourth_moments(data):
    fit = data.noise_fit
    tau1, tau2, misfit = brute_force(data)
    assert fit.tau1 == pytest.approx(tau1, rel=1e-9)
    assert fit.tau2 == pytest.approx(min(tau2, tau1), rel=1e-9)
    # Modes with less than 1e-4 of the weight are left out of the misfit.
    assert fit.misfit == pytest.approx(misfit, rel=1e-2)
    assert fit.coverage > 0.9997
    assert data.noise.tau1 == fit.tau1


def test_the_fit_keeps_the_fourth_moment_of_the_length_of_the_features():
    data = skewed()
    phi, lam = data.eigenfeatures, data.eigenvalues
    tau1, tau2 = data.noise.tau1, data.noise.tau2
    # Neither is at its bound.
    assert tau1 > 0.0
    assert tau2 < tau1
    fitted = tau1 * lam.sum() ** 2 + (1.0 - tau2) * (lam**2).sum()
    assert fitted == pytest.approx(np.mean(np.sum(phi**2, axis=1) ** 2), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("momentum", "batch_size", "nearer"), [(0.0, 1, 3.0), (0.9, 1, 3.0), (0.0, 10, 2.0)])
def test_digits_half_way_to_the_edge_follow_the_fit_more_than_constants_weighted_by_the_signal(
    momentum, batch_size, nearer
):
    # The mean of the digits is the first mode: a third of the trace, next to no signal, and M_11 near 1.
    data = mnist(200, seed=0)
    lam, s = data.eigenvalues, data.signal
    assert lam[0] > 0.3 * lam.sum()
    assert s[0] < 1e-3 * s.sum()
    p = data.eigenfeatures**2 / lam
    a, b, diagonal = s / s.sum(), lam**2 / (lam**2).sum(), np.mean(p**2, axis=0)
    off = (np.mean((p @ a) * (p @ b)) - (a * b) @ diagonal) / (1.0 - a @ b)
    by_signal = SpectrallyExpressible(off, 1.0 + off - (a * b) @ diagonal / (a @ b))
    assert by_signal.tau2 < -0.9
    steps = [10, 30, 100, 300]
    method = SGD(0.5 * max_learning_rate(data.problem, momentum, batch_size), momentum, batch_size)
    exact = predict(data, method, steps, noise="exact").log_loss
    error, error_by_signal = (
        np.abs(predict(data.problem, method, steps, noise).log_loss - exact).max() for noise in (data.noise, by_signal)
    )
    assert nearer * error < error_by_signal


@pytest.mark.parametrize("noise_variance", [0.0, 0.3])
def test_translation_invariant_data_fit_exactly(noise_variance):
    fit = translation_invariant(LAM, SIGNAL, noise_variance=noise_variance).noise_fit
    for value in (fit.tau1, fit.tau2, fit.label_noise_ratio):
        assert value == pytest.approx(1.0, abs=1e-13)
    assert max(fit.misfit, fit.noise_misfit, fit.path_misfit) < 1e-13


def test_translation_invariant_data_have_the_given_spectrum():
    data = translation_invariant(LAM, SIGNAL, n_samples=128, noise_variance=0.3)
    assert data.n_samples == 128
    np.testing.assert_allclose(data.signal, SIGNAL, rtol=1e-14)
    np.testing.assert_allclose(np.mean(data.residuals**2), 0.3, rtol=1e-13)
    again = LinearData.from_features(data.eigenfeatures, data.targets)
    np.testing.assert_allclose(again.eigenvalues, LAM, rtol=1e-12)
    np.testing.assert_allclose(again.signal, SIGNAL, rtol=1e-12)
    np.testing.assert_allclose(again.noise_variance, 0.3, rtol=1e-12)
    assert translation_invariant(np.ones(4), np.ones(4)).n_samples == 4
    assert translation_invariant(np.ones(4), np.ones(4), noise_variance=1.0).n_samples == 8


def test_gaussian_features_have_tau_one_and_minus_one():
    n = 20_000
    fit = gaussian(LAM, SIGNAL, n, seed=1, noise_variance=0.2).noise_fit
    # One pair: Var(z_j^2 z_k^2) = 8, Var(z^4) = 96; weighted means vary less. Four standard errors of a single pair,
    # and four times the bias rank/n of features made uncorrelated on the sample itself.
    bias = 4 * LAM.size / n
    assert fit.tau1 == pytest.approx(1.0, abs=4 * np.sqrt(8 / n) + bias)
    assert fit.tau2 == pytest.approx(-1.0, abs=4 * np.sqrt(96 / n) + bias)
    # Residuals independent of the features: the ratio is a mean of e^2 z^2, e^2 of relative variance 2.
    assert fit.label_noise_ratio == pytest.approx(1.0, abs=4 * np.sqrt(8 / n))


def test_gaussian_spectrum_and_signal_approach_the_given_ones():
    n = 40_000
    data = gaussian(LAM[:5], SIGNAL[:5], n, seed=2, noise_variance=0.2)
    np.testing.assert_allclose(data.eigenvalues, LAM[:5], rtol=5 * np.sqrt(2 / n))
    np.testing.assert_allclose(data.noise_variance, 0.2, rtol=5 * np.sqrt(2 / n))
    np.testing.assert_allclose(data.signal.sum(), SIGNAL[:5].sum(), rtol=5 * np.sqrt(2 / n) + 0.02)
    same = gaussian(LAM[:5], SIGNAL[:5], n, seed=2, noise_variance=0.2)
    np.testing.assert_array_equal(data.eigenvalues, same.eigenvalues)


def test_samples_that_each_move_one_mode_have_no_coupling():
    counts = [1, 2, 3, 4, 5]
    fit = LinearData.from_features(np.eye(5)[np.repeat(np.arange(5), counts)], np.arange(15.0)).noise_fit
    # phi_j phi_k = 0 for j != k, and M_kk = 1/(share of mode k) >= 3.
    assert fit.tau1 == 0.0
    assert fit.tau2 <= 1.0 - 3.0
    assert fit.misfit > 0.01


def test_one_mode_takes_tau1_one_and_keeps_its_own_moment():
    x = np.array([1.0, 2.0, 3.0])
    data = LinearData.from_features(x[:, None], 2.0 * x)
    moment = np.mean(x**4) / np.mean(x**2) ** 2
    assert data.noise.tau1 == 1.0
    assert 1.0 + data.noise.tau1 - data.noise.tau2 == pytest.approx(moment, rel=1e-12)


def test_labels_do_not_move_the_constants_and_may_be_absent():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    fit = LinearData.from_features(X, np.zeros(50)).noise_fit
    other = LinearData.from_features(X, rng.standard_normal(50)).noise_fit
    assert (fit.tau1, fit.tau2, fit.misfit) == pytest.approx((other.tau1, other.tau2, other.misfit), rel=1e-12)
    assert fit.noise_misfit == fit.path_misfit == 0.0
    assert fit.label_noise_ratio == 1.0
    assert 0.0 < fit.tau1 < 2.0


@pytest.mark.parametrize("seed", range(20))
def test_tau2_never_exceeds_tau1(seed):
    rng = np.random.default_rng(seed)
    X = rng.choice([-1.0, 0.0, 1.0], size=(rng.integers(3, 40), rng.integers(1, 10))) + rng.integers(0, 2)
    X[0, 0] += 1.0
    noise = LinearData.from_features(X, rng.standard_normal(len(X))).noise
    assert noise.tau1 >= max(noise.tau2, 0.0)


def test_path_misfit_sees_the_noise_of_the_actual_start():
    data = skewed()
    phi, lam, w = data.eigenfeatures, data.eigenvalues, data.coefficients[:, 0]
    fit = data.noise_fit
    actual = np.mean((phi @ w) ** 2 * (phi**2 @ lam))
    fitted = fit.tau1 * data.signal.sum() * (lam**2).sum() + (1.0 - fit.tau2) * data.signal @ lam**2
    assert fit.path_misfit >= abs(actual / fitted - 1.0) - 1e-12


def test_more_modes_than_the_cap_are_sampled_and_the_coverage_is_told(monkeypatch):
    monkeypatch.setattr(noise_fit, "MAX_MODES", 4)
    fit = gaussian(LAM, SIGNAL, 300, 0).noise_fit
    assert 0.3 < fit.coverage < 0.99


@pytest.mark.parametrize("n", [3, 24, 32])
def test_sample_numbers_without_enough_characters_are_refused(n):
    with pytest.raises(ValueError, match=f"n_samples must be a power of two and at least 40, got {n}; 64"):
        translation_invariant(LAM, SIGNAL, n_samples=n)
