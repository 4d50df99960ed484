"""Samples of which few differ: two rows, one row many times, tables of 0 and 1."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

import genfun as gf

X = np.array([[1.0, 0.5], [-0.3, 2.0]])
METHODS = [
    gf.SGD(1.0, 0.5, 1),
    gf.SGD(1.0, 0.99, 2, replacement=True),
    gf.SGD(1.0, 0.7, 1, nesterov=True),
    gf.QHM(1.0, 0.9, 0.7, 1),
    gf.MemorySGD(1.0, 0.3, 0.5, 1.0, 0.8, 1),
]


def mean_square_radius(method):
    """Spectral radius of E[M (x) M] for two rows, M the step of (w, velocity) on a batch, batch by batch."""
    batches = [(0,), (1,)] if method.batch_size == 1 else list(product((0, 1), repeat=2))
    rest, turned = (np.array(method.update(a, *method.hyperparameters)[0], dtype=float) for a in (0.0, 1.0))
    total = 0.0
    for batch in batches:
        hessian = method.learning_rate * np.mean([np.outer(X[i], X[i]) for i in batch], axis=0)
        step = np.kron(rest, np.eye(2)) + np.kron(turned - rest, hessian)
        total = total + np.kron(step, step)
    return np.abs(np.linalg.eigvals(total / len(batches))).max()


@pytest.mark.parametrize("method", METHODS)
def test_the_exact_edge_of_two_samples_is_where_second_moments_begin_to_grow(method):
    edge = gf.max_learning_rate(gf.LinearData.from_features(X, [1.0, -2.0]), method=method, noise="exact")
    below, above = (mean_square_radius(replace(method, learning_rate=edge * (1.0 + s))) for s in (-1e-6, 1e-6))
    assert below < 1.0 < above


def test_the_exact_edge_of_a_table_of_zeros_and_ones_is_that_of_the_measured_noise():
    rows = np.eye(4)[np.repeat(np.arange(4), [41, 28, 6, 5])]
    data = gf.LinearData.from_features(rows, np.arange(80.0))
    exact, measured = (
        gf.max_learning_rate(data, momentum=0.9, batch_size=40, noise=noise) for noise in ("exact", "measured")
    )
    assert exact == pytest.approx(measured, rel=1e-7)
    assert exact < 0.99 * 3.8 / data.eigenvalues[0]


@cache
def one_row_often(noisy: bool):
    targets = np.random.default_rng(3).standard_normal(100) if noisy else np.ones(100)
    return gf.LinearData.from_features(np.tile([[1.0, -0.7, 0.2]], (100, 1)), targets)


def test_a_loss_that_is_at_its_floor_after_one_step_is_known():
    """At alpha lambda = 1 only the batch's mean residual is left: sigma^2 (1 + gamma)/2."""
    data = one_row_often(True)
    for share in (1.0, 1.0 - 1e-12, 1.0 - 1e-8):
        found = gf.predict(data, gf.SGD(share / data.eigenvalues[0], batch_size=33), [0, 1, 2, 40, 10**6])
        gamma, start = 67.0 / (99.0 * 33.0), 0.5 * np.mean(data.targets**2)
        assert found.status == "ok"
        expected = np.array([start, *4 * [0.5 * data.noise_variance * (1.0 + gamma)]])
        # Of the start 1e-16 is left by the second case, and of the noise the product with 2e-8 by the third.
        np.testing.assert_allclose(found.loss, expected, rtol=3e-8 * gamma + 1e-12)


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_pairs_that_rounding_makes_singular_are_passed(share):
    data, method = one_row_often(True), gf.MemorySGD(1.0, 0.3, 0.5, 1.0, 0.8, 33)
    method = replace(method, learning_rate=share * gf.max_learning_rate(data, method=method))
    found, exact = (gf.predict(data, method, [0, 1, 5, 60], noise=noise) for noise in ("measured", "exact"))
    np.testing.assert_allclose(found.loss, exact.loss, rtol=1e-8)
    assert found.status == exact.status == ("ok" if share < 1.0 else "diverges")


def test_samples_that_are_all_alike_have_no_noise_beyond_the_edge_either():
    data = one_row_often(False)
    method = gf.SGD(1.01 * 2.0 / data.eigenvalues[0], batch_size=1)
    found = gf.predict(data, method, [0, 1, 2, 30], noise="exact")
    assert found.status == "diverges"
    np.testing.assert_allclose(found.loss, 0.5 * 1.02 ** (2.0 * found.steps), rtol=1e-11)
    turned = gf.SGD(1.0, 0.5, 1, nesterov=True)
    turned = replace(turned, learning_rate=1.01 * gf.max_learning_rate(data, method=turned))
    assert gf.stability(data, turned, noise="exact").status == "diverges"
