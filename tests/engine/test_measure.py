"""Compression keeps every integral of the theory."""

from __future__ import annotations

import math

import numpy as np
import pytest

import genfun as gf
from genfun.problems import problem as problems
from genfun.problems.bins import gauss_rules, rules_of_three
from genfun.problems.measure import SpectralMeasure
from genfun.symbolic.arrays import responses

RNG = np.random.default_rng(11)
SPECTRA = {
    "power law, 2000 modes": np.arange(1.0, 2001.0) ** -1.5,
    "power law, 20000 modes": np.arange(1.0, 20_001.0) ** -1.2,
    "steep power law": np.arange(1.0, 5001.0) ** -3.0,
    "8 decades at random": 10.0 ** RNG.uniform(-8, 0, 3000),
    "bulk with an outlier": np.append(RNG.uniform(0.2, 0.6, 3000) ** 2, 4.0),
    "repeated eigenvalues": np.repeat(10.0 ** -np.arange(5.0), 500),
}


def fsum(values):
    return complex(math.fsum(values.real), math.fsum(values.imag))


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (lam.size > 10_000)) for name, lam in SPECTRA.items()]
)
def test_compressed_integrals_of_u_and_v_are_exact_to_1e12(name, beta):
    lam = SPECTRA[name]
    alpha = 1.2 * (1.0 + beta) / lam.max()
    full = SpectralMeasure(lam, lam**1.3)
    small = full.compress()
    assert small.nodes.size < 0.4 * lam.size
    assert small.total == pytest.approx(full.total, rel=1e-13)
    # p on rays as far from the real axis as the bulk of the contour, to the slowest mode and beyond, and shifted by it.
    slow = -2.0 * alpha * lam.min() / (1.0 - beta)
    worst = 0.0
    for angle in (0.0, 1.0, 2.0, 2.4):
        for size in 10.0 ** np.arange(-12.0, -0.5):
            for shift in (0.0, slow):
                q = -np.expm1(-(shift + size * np.exp(1j * angle)))
                for kind in (1, 2):

                    def f(x, q=q, kind=kind):
                        r = responses(gf.SGD)(alpha * x, q, beta)
                        return r[kind] / r[0]

                    exact = fsum(f(full.nodes) * full.weights)
                    scale = math.fsum(np.abs(f(full.nodes)) * full.weights)
                    worst = max(worst, abs(fsum(f(small.nodes) * small.weights) - exact) / scale)
    assert worst < 1e-12


def test_gauss_rules_integrate_polynomials_of_degree_2m_minus_1():
    x = np.sort(RNG.random(100))
    w = RNG.random(100)
    nodes, weights = gauss_rules(x, w, np.array([0, 40]), 5)
    for part, (a, b) in enumerate(((0, 40), (40, 100))):
        for degree in range(10):
            assert weights[part] @ nodes[part] ** degree == pytest.approx(w[a:b] @ x[a:b] ** degree, rel=1e-12)
        assert abs(weights[part] @ nodes[part] ** 10 / (w[a:b] @ x[a:b] ** 10) - 1) > 1e-12


def test_closed_rules_of_three_keep_six_moments_and_say_where_they_cannot():
    s = np.linspace(-1.0, 1.0, 40)
    weights = np.array([np.ones(40), RNG.random(40) ** 3, np.exp(-4.0 * s), np.where(s > 0.0, 1.0, 0.01)])
    moments = np.array([weights @ s**j for j in range(6)])
    nodes, share = rules_of_three(moments)
    exact, own = gauss_rules(np.tile(s, 4), weights.ravel(), np.array([0, 40, 80, 120]), 3)
    assert (share > 0.0).all()
    # LEAST_SPREAD^2 is the least that the sixteenth digit is divided by; here the coefficients are above 1/30.
    np.testing.assert_allclose(nodes, exact, atol=1e-13)
    np.testing.assert_allclose(share, own / own.sum(axis=1, keepdims=True), rtol=1e-12)
    two = np.where(np.abs(s) == 1.0, 1.0, 0.0)
    assert np.isnan(rules_of_three(np.array([[two @ s**j] for j in range(6)]))[0]).all()


LONG = 40_000
LONG_SPECTRA = {
    "power law": np.arange(1.0, LONG + 1.0) ** -1.5,
    "dense at the top": np.sort(RNG.uniform(0.2, 1.0, LONG))[::-1],
    "bulk with an outlier": np.append(4.0, np.sort(RNG.uniform(0.2, 0.6, LONG - 1) ** 2)[::-1]),
    "copies": np.sort(np.repeat(10.0 ** RNG.uniform(-5, 0, LONG // 40), 40))[::-1],
}


@pytest.mark.parametrize("name", LONG_SPECTRA)
def test_one_pass_over_a_long_list_serves_wide_and_narrow_bins(name, monkeypatch):
    passes, one = [], problems.into_narrow_bins
    monkeypatch.setattr(problems, "into_narrow_bins", lambda *each: passes.append(each) or one(*each))
    lam = LONG_SPECTRA[name]
    p = gf.LinearProblem(lam, np.where(RNG.random(LONG) < 0.5, lam**0.3, 0.0))
    top = lam.max()
    for full, wide, narrow in zip(p.full_measures, p.measures(), p.measures(0.05), strict=True):
        assert narrow.nodes.size < 0.3 * LONG
        assert (narrow.weights > 0.0).all()
        for x in 10.0 ** np.arange(-6.0, 1.0):
            for measure in (wide, narrow):
                exact = math.fsum(full.weights / (full.nodes + x * top))
                assert measure.integrate(lambda lam, x=x: 1.0 / (lam + x * top)) == pytest.approx(exact, rel=1e-13)
        # Modes of momentum turn with the root of lambda: those at the top by 8 within a bin of this width.
        for turn in (10.0, 8.0 / 0.05):
            exact = math.fsum(full.weights * np.cos(2.0 * turn * np.sqrt(full.nodes / top)))
            found = narrow.integrate(lambda lam, turn=turn: np.cos(2.0 * turn * np.sqrt(lam / top)))
            assert abs(found - exact) < 1e-13 * full.total
    assert len(passes) == 1
    p.measures(0.005)
    assert len(passes) == 2


def test_two_eigenvalues_of_many_copies_are_two_modes():
    few = gf.LinearProblem([1.0, 0.1], [2.0, 1.0])
    many = gf.LinearProblem(np.repeat([1.0, 0.1], LONG), np.repeat([2.0, 1.0], LONG) / LONG)
    steps, method = [1, 30], gf.SGD(0.5, 0.5)
    np.testing.assert_allclose(gf.predict(many, method, steps).loss, gf.predict(few, method, steps).loss, rtol=1e-12)


def test_end_points_survive_compression():
    lam = SPECTRA["power law, 2000 modes"]
    small = SpectralMeasure(lam, lam**2).compress()
    assert small.nodes.min() == lam.min()
    assert small.nodes.max() == lam.max()


def test_order_of_nodes_does_not_matter():
    lam = SPECTRA["8 decades at random"]
    w = RNG.random(lam.size)
    up = np.argsort(lam)
    a = SpectralMeasure(lam, w).compress()
    b = SpectralMeasure(lam[up[::-1]], w[up[::-1]]).compress()
    np.testing.assert_array_equal(a.nodes, b.nodes)


def test_zero_weights_are_allowed_and_dropped():
    lam = SPECTRA["power law, 2000 modes"]
    w = np.where(np.arange(lam.size) % 2, lam**2, 0.0)
    measure = SpectralMeasure(lam, w)
    assert measure.compress().total == pytest.approx(measure.total, rel=1e-13)


@pytest.mark.parametrize(
    ("nodes", "weights", "message"),
    [
        ([], [], "nodes is empty"),
        ([1.0], [1.0, 2.0], "one length, got 1 and 2"),
        ([0.0], [1.0], "nodes must be positive"),
        ([1.0], [-1.0], "weights must be zero or positive"),
        ([np.nan], [1.0], r"nodes\[0\] is"),
        ([[1.0]], [1.0], "one-dimensional"),
    ],
)
def test_bad_measures_are_refused(nodes, weights, message):
    with pytest.raises(ValueError, match=message):
        SpectralMeasure(nodes, weights)
