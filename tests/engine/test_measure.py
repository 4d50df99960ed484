"""Compression keeps every integral of the theory."""

from __future__ import annotations

import math

import numpy as np
import pytest

import genfun as gf
from genfun.problems.measure import SpectralMeasure, gauss_rules
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
