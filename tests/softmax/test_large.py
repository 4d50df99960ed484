"""More weights than a whole covariance is followed for: blocks for the covariance, Lanczos for the mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import genfun as gf
from genfun.softmax.krylov import small_space
from validation.softmax_runs import embeddings, runs


def in_blocks(data):
    return replace(data, whole=0)


@pytest.mark.parametrize(("momentum", "decay"), [(-0.3, 0.05), (0.9, 0.0)])
def test_the_mean_by_lanczos_is_that_of_the_whole_hessian(momentum, decay):
    # Without batch noise there is nothing else; weight decay shifts every eigenvalue.
    data = embeddings(60, 20, 3)
    m = gf.SGD(0.4 * gf.max_learning_rate(data, momentum), momentum, weight_decay=decay)
    whole, blocks = (gf.predict(x, m, [1, 2, 10, 50]) for x in (data, in_blocks(data)))
    assert blocks.loss == pytest.approx(whole.loss, rel=1e-5)
    assert blocks.loss[-1] < 0.8 * blocks.loss[0]


def test_few_products_are_enough_for_few_steps():
    rng = np.random.default_rng(0)
    root, force, rate, products = rng.standard_normal((40, 40)), rng.standard_normal(40), 0.003, []

    def product(v):
        products.append(v.shape[1])
        return root @ (root.T @ v)

    space, value = small_space(product, force[:, None], lambda s, v: s.sum(axis=1), 3)
    assert products == [1, 1, 1]
    assert space.T @ space == pytest.approx(np.eye(3), abs=1e-12)
    w, seen = np.zeros(40), space @ ((1.0 - (1.0 - rate * value) ** 3) / value * (space.T @ force))
    for _ in range(3):
        w = w + rate * (force - root @ (root.T @ w))
    assert seen == pytest.approx(w, rel=1e-10)


@pytest.mark.parametrize(("share", "momentum"), [(0.1, 0.9), (0.3, 0.0)])
def test_blocks_are_within_their_error_of_the_whole_covariance(share, momentum):
    data, steps = embeddings(100, 40, 4), [1, 10, 40]
    m = gf.SGD(share * gf.max_learning_rate(data, momentum, 4), momentum, 4)
    whole, blocks = (gf.predict(x, m, steps) for x in (data, in_blocks(data)))
    assert (np.abs(blocks.loss / whole.loss - 1.0) <= blocks.error).all()
    assert (blocks.error > whole.error).all()
    # The noise itself is twice that or more: blocks of half or twice the covariance would fail.
    still = gf.predict(data, gf.SGD(m.learning_rate, momentum), steps)
    assert whole.loss[1] / still.loss[1] - 1.0 > 2.0 * blocks.error[1]


def test_a_wide_probe_is_that_of_runs():
    data = in_blocks(embeddings(60, 220, 4))  # more features than samples
    assert data.inside(data)[0].blocks == (4, 48)
    m = gf.SGD(0.2 * gf.max_learning_rate(data, 0.5, 8), 0.5, 8)
    told, seen = gf.predict(data, m, [5, 25]), runs(data, m, [5, 25], 36)
    mean, error = seen.mean(axis=2), seen.std(axis=2, ddof=1) / 6.0
    assert (np.abs(told.loss - mean[:, 0]) <= told.error * told.loss + 2.5 * error[:, 0]).all()
    assert (np.abs(told.error_rate - mean[:, 1]) <= 0.02 + 2.5 * error[:, 1]).all()


def test_initial_weights_outside_the_span_of_the_samples_count_on_other_samples():
    rng, wide = np.random.default_rng(3), embeddings(30, 400, 3)
    initial, X_test, y_test = rng.standard_normal((400, 3)), rng.standard_normal((20, 400)), rng.integers(3, size=20)
    data = gf.SoftmaxData.from_features(wide.features, wide.labels, initial)
    z = X_test @ initial
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    told = gf.predict_test(data, gf.SGD(1e-9, batch_size=5), [0, 1], X_test, y_test)
    assert told.loss == pytest.approx(np.full(2, -log_p[np.arange(20), y_test].mean()), rel=1e-6)
    # Weight decay alone takes them to 0, and the loss to log 3.
    decayed = gf.predict_test(data, gf.SGD(1e-4, weight_decay=1e3), [200], X_test, y_test)
    assert decayed.loss[0] == pytest.approx(np.log(3.0), rel=1e-3)


def test_what_would_take_hours_is_refused_with_the_remedy():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 512))
    with pytest.raises(ValueError, match="project the features on their 68 leading"):
        gf.SoftmaxData.from_features(X, np.arange(3000) % 100)
    # One prediction of these is a matter of seconds, a search is not.
    with pytest.raises(ValueError, match="project the features on their 277 leading"):
        gf.optimize(gf.SoftmaxData.from_features(X, np.arange(3000) % 20), batch_size=8, steps=100)
