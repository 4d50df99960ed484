"""Power-law fits recover exponents, show their window, and refuse what is no power law."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.answers.fit import fit_power_law, spectrum_points


def _measured(nu: float, zeta: float, n: int, scale: float = 1.0, signal_scale: float = 1.0) -> gf.LinearProblem:
    p = gf.PowerLaw(nu, zeta, scale, signal_scale, n_modes=n)
    return gf.LinearProblem(p.eigenvalues, p.signal)


@pytest.mark.parametrize("n", [1000, 10_000, 100_000])
@pytest.mark.parametrize(("nu", "zeta"), [(1.5, 0.5), (0.6, 2.0), (2.5, 0.2)])
def test_exponents_and_scales_of_an_exact_power_law_are_recovered(nu, zeta, n):
    w = fit_power_law(_measured(nu, zeta, n, scale=3.0, signal_scale=0.2))
    # Only rounding is in the way: cancellation in s_k, summed again, over log k of order one.
    assert w.nu == pytest.approx(nu, rel=1e-10)
    assert w.zeta == pytest.approx(zeta, rel=1e-6)
    assert w.kappa == pytest.approx(nu * zeta, rel=1e-6)
    assert w.eigenvalue_scale == pytest.approx(3.0, rel=1e-9)
    assert w.signal_scale == pytest.approx(0.2, rel=1e-5)
    assert w.window == (1, n)
    assert w.is_power_law
    assert w.quality == pytest.approx(1.0, abs=1e-9)


def test_a_power_law_problem_answers_with_its_own_exponents():
    w = fit_power_law(gf.PowerLaw(1.3, 0.4, 2.0, 5.0))
    assert (w.nu, w.zeta, w.window, w.is_power_law) == (1.3, 0.4, (1, None), True)
    assert (w.nu_interval, w.eigenvalue_scale, w.signal_scale) == ((1.3, 1.3), 2.0, 5.0)


@pytest.mark.parametrize(("n", "excess"), [(1000, 0.12), (100_000, 0.03)])
def test_truncation_raises_zeta_as_documented_and_leaves_nu(n, excess):
    k = np.arange(1.0, n + 1.0)
    w = fit_power_law(gf.LinearProblem(k**-1.5, k**-1.75))
    assert w.nu == pytest.approx(1.5, rel=1e-10)
    assert w.zeta / 0.5 - 1.0 == pytest.approx(excess, abs=0.005)
    assert w.window[1] is not None
    assert w.window[1] < n


def test_outlying_first_modes_are_left_out():
    p = _measured(1.2, 0.4, 1000)
    lam = p.eigenvalues.copy()
    lam[0] *= 20.0
    w = fit_power_law(gf.LinearProblem(lam, p.signal))
    assert w.window[0] > 1
    assert w.nu == pytest.approx(1.2, rel=1e-9)
    assert w.is_power_law


def test_a_bent_end_is_left_out():
    p = _measured(1.2, 0.4, 2000)
    bend = np.where(np.arange(2000) >= 1000, np.exp(-0.01 * np.arange(-1000, 1000)), 1.0)
    w = fit_power_law(gf.LinearProblem(p.eigenvalues * bend, p.signal))
    assert w.window[1] is not None
    assert 500 <= w.window[1] <= 1400
    assert w.nu == pytest.approx(1.2, rel=0.02)


def test_the_intervals_hold_the_exponents_of_a_sampled_power_law():
    rng = np.random.default_rng(0)
    k = np.arange(1.0, 1001.0)
    lam = k**-1.5 * np.exp(0.1 * rng.normal(size=1000))
    s = k**-2.0 * rng.chisquare(10, size=1000) / 10.0
    w = fit_power_law(gf.LinearProblem(lam, s))
    assert w.is_power_law
    assert w.nu_interval[0] <= w.nu <= w.nu_interval[1]
    assert w.nu_interval[0] < 1.5 < w.nu_interval[1]
    # kappa = 1 and nu = 1.5; truncation adds a few percent.
    assert w.zeta == pytest.approx(2.0 / 3.0, rel=0.15)


def _marchenko_pastur(rows: int, columns: int) -> np.ndarray:
    X = np.random.default_rng(1).normal(size=(rows, columns))
    return np.linalg.svd(X / np.sqrt(rows), compute_uv=False) ** 2


@pytest.mark.parametrize(
    ("name", "lam"),
    [
        ("exponential", np.exp(-0.1 * np.arange(300))),
        ("slow exponential", np.exp(-0.01 * np.arange(300))),
        ("stretched exponential", np.exp(-np.sqrt(np.arange(300)))),
        ("Marchenko-Pastur", _marchenko_pastur(600, 300)),
        ("square Marchenko-Pastur", _marchenko_pastur(300, 300)),
        ("nine modes", np.arange(1.0, 10.0) ** -1.0),
    ],
)
def test_what_is_no_power_law_is_called_so(name, lam):
    w = fit_power_law(gf.LinearProblem(lam, lam))
    assert not w.is_power_law
    assert any("not a power law" in note for note in w.notes)
    assert "NOT a power law" in repr(w)


@pytest.mark.parametrize(
    ("lam", "s"),
    [([1.0], [1.0]), ([1.0, 0.5], [0.0, 0.0]), ([1.0] * 20, [1.0] * 20)],
    ids=["one", "no signal", "equal"],
)
def test_undefined_exponents_are_nan_with_the_reason(lam, s):
    w = fit_power_law(gf.LinearProblem(lam, s))
    assert np.isnan(w.nu)
    assert not w.is_power_law
    assert len(w.notes) == 1


def test_points_carry_the_sum_rule_of_the_signal():
    p = gf.PowerLaw(1.5, 0.5, n_modes=50)
    listed, measured = spectrum_points(p), spectrum_points(gf.LinearProblem(p.eigenvalues, p.signal))
    np.testing.assert_allclose(listed.signal, p.signal, rtol=1e-13)
    np.testing.assert_allclose(listed.signal_tails, measured.signal_tails, rtol=1e-13)
    assert spectrum_points(p, at_most=10).modes[-1] == 50
