"""Problems: what they are made of and what they refuse."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import genfun as gf


@pytest.mark.parametrize(("nu", "zeta"), [(0.6, 0.5), (1.01, 2.0), (1.5, 0.5), (3.0, 1.0), (10.0, 0.3)])
def test_infinite_power_law_has_the_zeta_function_sums(nu, zeta):
    p = gf.PowerLaw(nu, zeta, eigenvalue_scale=2.0, signal_scale=3.0)
    assert p.capacity_total == pytest.approx(4.0 * float(mp.zeta(2 * nu)), rel=1e-13)
    assert p.trace == (pytest.approx(2.0 * float(mp.zeta(nu)), rel=1e-13) if nu > 1 else np.inf)
    assert p.measures()[1].total == pytest.approx(3.0 * 2.0**zeta, rel=1e-13)


def test_infinite_power_law_integrals_match_direct_sums():
    capacity, signal = gf.PowerLaw(1.5, 0.7).measures()
    x, k = 0.1, np.arange(1.0, 1e6)
    lam, s = k**-1.5, k**-1.05 - (k + 1) ** -1.05
    # Beyond 10^6 modes lambda < 1e-9: the integrand is 1/x to 1e-8, on a signal tail of 5e-7, and a capacity tail
    # of 1e-12/2 by Euler-Maclaurin.
    assert (signal.weights / (signal.nodes + x)).sum() == pytest.approx(
        (s / (lam + x)).sum() + 1e6**-1.05 / x, rel=1e-13
    )
    assert (capacity.weights / (capacity.nodes + x)).sum() == pytest.approx(
        (lam**2 / (lam + x)).sum() + 0.5e-12 / x, rel=1e-13
    )


@pytest.mark.parametrize(
    ("nu", "zeta", "n"), [(1.5, 0.5, 1), (1.5, 0.5, 2), (1.2, 2.0, 37), (0.4, 1.0, 3000), (8.0, 0.5, 900)]
)
def test_truncated_power_law_is_the_same_problem_as_its_list(nu, zeta, n):
    p = gf.PowerLaw(nu, zeta, 0.5, 2.0, n_modes=n)
    listed = gf.LinearProblem(p.eigenvalues, p.signal)
    tails = np.cumsum(p.signal[::-1])[::-1]
    np.testing.assert_allclose(tails, 2.0 * p.eigenvalues**zeta, rtol=1e-12)
    for a, b in zip(p.measures(), listed.full_measures, strict=True):
        for x in (1e-9, 1e-3, 1.0):
            assert (a.weights / (a.nodes + x)).sum() == pytest.approx((b.weights / (b.nodes + x)).sum(), rel=1e-12)
    assert p.lambda_min == pytest.approx(listed.lambda_min, rel=1e-14)
    assert p.trace == pytest.approx(listed.trace, rel=1e-12)


def test_start_loss_is_half_the_signal_plus_half_the_noise():
    p = gf.LinearProblem([1.0, 0.5], [2.0, 3.0], noise_variance=0.5)
    assert gf.predict(p, gf.SGD(0.1, batch_size=1), 0).loss == 2.75


def test_eigenvalues_are_sorted_with_their_signal_and_silent_zeros_dropped():
    p = gf.LinearProblem([0.1, 0.0, 1.0], [3.0, 0.0, 2.0])
    assert p.eigenvalues.tolist() == [1.0, 0.1]
    assert p.signal.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "eigenvalues is empty"),
        (([1.0], [1.0, 1.0]), "one length, got 1 and 2"),
        (([1.0, -0.1], [1.0, 1.0]), r"eigenvalues\[1\] is .*-0\.1"),
        (([1.0], [-1.0]), r"signal\[0\]"),
        (([0.0], [0.0]), "all zero"),
        (([1.0, 0.0], [1.0, 1.0]), "can never be learned"),
        (([np.inf], [1.0]), r"eigenvalues\[0\] is"),
        (([1.0], [1.0], 0), "n_samples must be at least 1"),
        (([1.0], [1.0], None, -1.0), "noise_variance must be zero or positive"),
        (([1.0], [1.0], None, float("nan")), "noise_variance must be finite"),
    ],
)
def test_bad_problems_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gf.LinearProblem(*arguments)


@pytest.mark.parametrize("field", ["nu", "zeta", "eigenvalue_scale", "signal_scale"])
def test_bad_power_laws_are_refused(field):
    good = {"nu": 1.5, "zeta": 0.5}
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{field} must be"):
            gf.PowerLaw(**(good | {field: value}))
    with pytest.raises(ValueError, match="n_modes must be at least 1"):
        gf.PowerLaw(1.5, 0.5, n_modes=0)
    with pytest.raises(ValueError, match="set n_modes"):
        _ = gf.PowerLaw(1.5, 0.5).eigenvalues


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be positive, got 0.0"),
        ({"learning_rate": 0.1, "momentum": 1.0}, ValueError, "momentum must lie strictly between -1 and 1, got 1.0"),
        ({"learning_rate": 0.1, "momentum": -1.0}, ValueError, "momentum"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate must be finite"),
        ({"learning_rate": 0.1, "batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.1, "batch_size": 2.5}, TypeError, "batch_size"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate"),
    ],
)
def test_bad_settings_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        gf.SGD(**arguments)


def test_bad_noise_is_refused():
    with pytest.raises(ValueError, match="tau1 must be zero or positive"):
        gf.SpectrallyExpressible(-1.0, -1.0)
    with pytest.raises(ValueError, match="tau2 must be at most tau1"):
        gf.SpectrallyExpressible(1.0, 1.5)


def test_sampling_factor_at_its_ends():
    from genfun.noise import sampling_factor

    assert sampling_factor(1, 1000) == 1.0
    assert sampling_factor(1000, 1000) == 0.0
    assert sampling_factor(1000, 1000, replacement=True) == 1e-3
    assert sampling_factor(10, 1000) == pytest.approx(990 / 9990)
    assert sampling_factor(1, 1) == 0.0
    with pytest.raises(ValueError, match="batch_size must be at most n_samples=10, got 11"):
        sampling_factor(11, 10)
