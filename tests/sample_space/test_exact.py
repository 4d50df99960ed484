"""The generating function in sample space against dense matrices and the step-by-step recursion."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun.noise import sampling_factor
from genfun.sample_space import curve as curves
from genfun.sample_space.edge import sample_edge
from genfun.sample_space.exact_function import ExactFunction
from genfun.sample_space.moments import exact_curve
from genfun.sample_space.operator import SampleFeatures, SampleOperator
from genfun.sample_space.pairs import PairResponses


@cache
def data(kind: str) -> gf.LinearData:
    """ "two": two outputs, noise of uneven size, outlying samples; "one-hot": few rows carry a mode; "kernel"."""
    rng = np.random.default_rng(3)
    if kind == "kernel":
        X = rng.normal(size=(40, 6))
        return gf.LinearData.from_kernel(gf.data.relu_ntk(X), np.sign(X[:, 0])).normalized()
    if kind == "one-hot":
        rows = np.repeat(np.arange(12), [30, 20, 15, 10, 9, 8, 7, 6, 5, 4, 3, 3])
        return gf.LinearData.from_features(np.eye(12)[rows], rng.normal(size=rows.size)).normalized()
    X = rng.normal(size=(50, 7)) * np.geomspace(1.0, 0.1, 7) * rng.standard_t(4, size=(50, 1))
    y = X @ rng.normal(size=(7, 2)) + rng.normal(size=(50, 2)) * np.array([0.5, 0.1]) * (1.0 + np.abs(X[:, :1]))
    return gf.LinearData.from_features(X, y).normalized()


def features(kind: str) -> SampleFeatures:
    return SampleFeatures(data(kind).eigenfeatures, data(kind).eigenvalues)


def dense(kind: str, method: Any, q: complex) -> np.ndarray:
    """A(z) as it is written."""
    phi, lam = data(kind).eigenfeatures, data(kind).eigenvalues
    gamma, a = sampling_factor(method.batch_size, phi.shape[0]), method.learning_rate * lam
    u = PairResponses(method, gamma).kick(q, a[:, None], a)
    factor = gamma * method.learning_rate**2 / phi.shape[0]
    return factor * np.einsum("ij,ik,lj,lk,jk->il", phi, phi, phi, phi, u, optimize=True)


METHODS = [gf.SGD(0.2, 0.0, 1), gf.SGD(0.1, 0.9, 4), gf.SGD(0.3, -0.5, 3), Nesterov(0.1, 0.6, 2)]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("kind", ["two", "kernel"])
def test_products_are_those_of_the_dense_matrix(kind: str, method: Any) -> None:
    f, rng = features(kind), np.random.default_rng(0)
    A = SampleOperator(f, PairResponses(method, sampling_factor(method.batch_size, f.size)))
    x = rng.normal(size=(f.size, 2)) + 1j * rng.normal(size=(f.size, 2))
    for q in (0.0, 0.3 + 0.2j):
        full = dense(kind, method, q)
        np.testing.assert_allclose(A(q, x), full @ x, rtol=1e-11, atol=1e-12 * np.abs(full @ x).max())
        np.testing.assert_allclose(A(q, x.real[:, 0]), full @ x.real[:, 0], atol=1e-12 * np.abs(full).sum(1).max())
    full = dense(kind, method, 0.0)
    values = np.linalg.eigvalsh(full)
    assert np.abs(full - full.T).max() < 1e-13 * np.abs(full).max()
    assert values[0] > -1e-12 * values[-1]
    np.testing.assert_allclose(A.diagonal(0.0), np.diag(full), rtol=1e-11)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 2e-6)])
def test_torch_features_give_the_same(precision: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    host, method = features("two"), gf.SGD(0.1, 0.5, 2)
    other = SampleFeatures(torch.tensor(host.phi, dtype=getattr(torch, precision)), host.lam)
    x = np.random.default_rng(0).normal(size=host.size)
    for kind in (method, Nesterov(0.1, 0.6, 2)):
        pairs = PairResponses(kind, 0.4)
        for q in (0.01, 0.2 + 0.1j):
            one, two = SampleOperator(host, pairs)(q, x), SampleOperator(other, pairs)(q, x)
            assert np.abs(one - two).max() < tolerance * np.abs(one).max()
    assert sample_edge(other, method).learning_rate == pytest.approx(
        sample_edge(host, method).learning_rate, rel=tolerance
    )
    if precision == "float64":
        found = ExactFunction(data("two"), method, features=other).loss(np.array([0.1 + 0.2j]))
        np.testing.assert_allclose(found, ExactFunction(data("two"), method).loss(np.array([0.1 + 0.2j])), rtol=1e-8)


@pytest.mark.parametrize("kind", ["two", "one-hot", "kernel"])
@pytest.mark.parametrize(
    "method", [gf.SGD(1.0, 0.0, 1), gf.SGD(1.0, 0.9, 4), gf.SGD(1.0, -0.5, 2), Nesterov(1.0, 0.6, 1)], ids=repr
)
def test_at_the_edge_the_largest_eigenvalue_of_the_dense_matrix_is_one(kind: str, method: Any) -> None:
    found = sample_edge(features(kind), method)
    top = np.linalg.eigvalsh(dense(kind, replace(method, learning_rate=found.learning_rate), 0.0))[-1]
    if found.curvature_binds:
        assert top < 1.0
    else:
        # theta grows at most as the rate to the power 7 here; the rate is good to 1e-8.
        assert top == pytest.approx(1.0, abs=7e-8)


@pytest.mark.parametrize(
    ("kind", "beta", "batch"), [("two", 0.0, 1), ("two", 0.9, 1), ("one-hot", 0.0, 1), ("kernel", -0.4, 4)]
)
def test_the_edge_parts_growth_from_decay_of_the_recursion(kind: str, beta: float, batch: int) -> None:
    edge = sample_edge(features(kind), gf.SGD(1.0, beta, batch)).learning_rate
    steps = np.array([800, 1600])
    below, above = (exact_curve(data(kind), gf.SGD(s * edge, beta, batch), steps).loss.log() for s in (0.97, 1.03))
    # Below, what is left of the slow rise to the floor of label noise; above, exp(p_0 t).
    assert above[1] > above[0] + 0.3
    assert below[1] < below[0] + 0.1


def test_the_full_batch_has_the_curvature_limit() -> None:
    f = features("two")
    for size in (None, f.size):
        found = sample_edge(f, gf.SGD(1.0, -0.4, size))
        assert found.curvature_binds
        assert found.learning_rate == pytest.approx(1.2)


def test_a_known_subspace_saves_products() -> None:
    f = features("kernel")
    G = ExactFunction(data("kernel"), gf.SGD(0.1, 0.0, 1))
    first = sample_edge(f, gf.SGD(1.0, 0.0, 1), space=G.space)
    second = sample_edge(f, gf.SGD(1.0, 0.3, 2), space=G.space)
    assert second.products < 0.6 * first.products


SETTINGS = [
    ("two", 0.0, 1, 0.5),
    ("two", 0.9, 4, 0.95),
    ("two", -0.4, 2, 1.05),
    ("two", 0.0, 32, 0.8),
    ("one-hot", 0.0, 1, 0.95),
    ("one-hot", -0.4, 8, 0.3),
    ("kernel", 0.9, 1, 0.3),
    ("kernel", -0.4, 2, 0.95),
    ("kernel", 0.0, 8, 1.05),
]


@pytest.mark.parametrize(("kind", "beta", "batch", "share"), SETTINGS)
def test_the_curve_is_that_of_the_recursion(
    monkeypatch: pytest.MonkeyPatch, kind: str, beta: float, batch: int, share: float
) -> None:
    monkeypatch.setattr(curves, "WORK", 0.0)
    edge = sample_edge(features(kind), gf.SGD(1.0, beta, batch)).learning_rate
    method, steps = gf.SGD(share * edge, beta, batch), np.array([0, 5, 700, 900, 1500])
    exact = exact_curve(data(kind), method, steps)
    found = curves.sample_curve(ExactFunction(data(kind), method), steps)
    assert "contour" in found.route
    seen = exact.loss.log() > -60.0  # below, rounding of the residuals is all that the recursion has
    difference = found.loss.relative_difference(exact.loss)[seen]
    assert (difference < 1e-7).all()
    assert (difference <= 3.0 * (found.error + exact.error)[seen]).all()


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_function_is_the_sum_over_steps(method: Any) -> None:
    steps = np.arange(400)
    losses = exact_curve(data("two"), method, steps).loss.value()
    q = np.array([0.2, 0.3 + 0.4j, 0.3 - 0.4j])
    G = ExactFunction(data("two"), method)
    np.testing.assert_allclose(G.loss(q), ((1.0 - q)[:, None] ** steps) @ losses, rtol=1e-8)
    assert G.loss(q)[2] == np.conj(G.loss(q)[1])


@pytest.mark.parametrize(("beta", "batch", "share"), [(0.0, 1, 0.9), (0.9, 4, 0.95), (0.0, 1, 1.05), (0.5, 2, 1.2)])
def test_at_the_dominant_singularity_the_largest_eigenvalue_of_the_dense_matrix_is_one(
    beta: float, batch: int, share: float
) -> None:
    edge = sample_edge(features("kernel"), gf.SGD(1.0, beta, batch)).learning_rate
    method = gf.SGD(share * edge, beta, batch)
    G = ExactFunction(data("kernel"), method)
    found = G.known_singularity()
    assert found.stable == (share < 1.0) == (found.rate < 0.0)
    z = np.exp(-found.rate)
    assert np.linalg.eigvalsh(z * dense("kernel", method, -np.expm1(-found.rate)))[-1] == pytest.approx(1.0, abs=1e-9)
    assert found.noise_gain == pytest.approx(np.linalg.eigvalsh(dense("kernel", method, 0.0))[-1], rel=1e-9)
    near = 1e-6 * abs(found.rate)
    assert G.gain_at(found.rate + near)[0]
    assert not G.gain_at(found.rate - near)[0]


def test_divergence_has_the_rate_of_the_recursion() -> None:
    method = gf.SGD(1.2 * sample_edge(features("two"), gf.SGD(1.0, 0.5, 2)).learning_rate, 0.5, 2)
    rate = ExactFunction(data("two"), method).known_singularity().rate
    log = exact_curve(data("two"), method, np.array([1500, 1600])).loss.log()
    # The next mode has faded as exp(-gap t), its rate being at most that of the noiseless path, below 0.
    assert rate * 1500 > 20.0
    assert rate == pytest.approx((log[1] - log[0]) / 100.0, rel=1e-6)


def test_a_step_costs_the_same_however_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "WORK", 0.0)
    method, work = gf.SGD(0.1, 0.5, 2), []
    for step in (10**4, 10**9):
        G = ExactFunction(data("two"), method)
        curves.sample_curve(G, np.array([step]))
        work.append(G.space.halves)
    assert work[1] < 2 * work[0]


def test_without_noise_the_mean_path_is_all_there_is() -> None:
    for size in (None, 50):
        method, steps = gf.SGD(0.4, -0.4, size), np.array([0, 10, 400, 10**6])
        G = ExactFunction(data("two"), method)
        found = curves.sample_curve(G, steps)
        exact = exact_curve(data("two"), method, steps[:3])
        np.testing.assert_allclose(found.loss.value()[:3], exact.loss.value(), rtol=1e-11)
        assert found.loss.value()[3] == pytest.approx(0.5 * data("two").noise_variance, rel=1e-11)
        sums = exact_curve(data("two"), method, np.arange(300)).loss.value() @ 0.8 ** np.arange(300)
        assert G.loss(np.array([0.2]))[0] == pytest.approx(sums, rel=1e-10)
