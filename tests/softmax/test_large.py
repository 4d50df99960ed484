"""More weights than a whole covariance is followed for: blocks for the covariance, Lanczos for the mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import genfun as gf
from genfun.softmax.apart import own
from genfun.softmax.averages import linearise
from genfun.softmax.data import SEARCH_CURVATURE, SEARCH_WORK, check_work
from genfun.softmax.flow import Modes, start
from genfun.softmax.krylov import small_space
from genfun.softmax.left_out import left_out
from genfun.softmax.pairs import folded, pairs_of, unfolded
from validation.softmax_runs import embeddings, runs


def in_blocks(data, work=1e5):
    return replace(data, whole=0, work=work)


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


@pytest.mark.slow
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
    assert data.inside(data)[0].blocks == (15, 12)
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


def alone(data):
    return replace(data, whole=0, work=0.0)


def test_classes_that_are_followed_apart_have_the_mean_of_the_whole_hessian():
    # Without batch noise nothing is left out.
    data = embeddings(60, 20, 6)
    m = gf.SGD(0.4 * gf.max_learning_rate(data, 0.5), 0.5, weight_decay=0.05)
    whole, each, groups = (gf.predict(x, m, [1, 10, 50]) for x in (data, alone(data), in_blocks(data)))
    assert each.loss == pytest.approx(whole.loss, rel=1e-4)
    assert groups.loss == pytest.approx(whole.loss, rel=1e-4)


def test_blocks_are_as_large_as_the_work_allows():
    data = embeddings(60, 20, 6)
    # 24 eigenfeatures in groups of 8 of each of 6 classes: 18 blocks, 9216 products; of 16 there were 12 and 49152.
    assert alone(data).blocks == (120, 1)
    assert in_blocks(data, 2e4).inside(in_blocks(data, 2e4))[0].blocks == (18, 8)
    # Few classes are followed together: there one class says what the other one does.
    assert alone(embeddings(30, 20, 4)).blocks == (20, 3)


@pytest.mark.slow
def test_classes_that_are_followed_apart_are_within_their_error_of_runs():
    data, steps = embeddings(200, 20, 12), [3, 10, 30]
    m = gf.SGD(0.3 * gf.max_learning_rate(data, 0.0, 24), 0.0, 24)
    groups, each = gf.predict(in_blocks(data), m, steps), gf.predict(alone(data), m, steps)
    seen = runs(data, m, steps, 60)
    mean, sem = seen[:, 0].mean(axis=1), seen[:, 0].std(axis=1, ddof=1) / 60**0.5
    for told in (groups, each):
        assert (np.abs(told.loss - mean) <= told.error * told.loss + 2.5 * sem).all()
        wrong = seen[:, 1].mean(axis=1)
        assert (np.abs(told.error_rate - wrong) <= 0.02 + 2.5 * seen[:, 1].std(axis=1, ddof=1) / 60**0.5).all()
    # What features have in common is noise as well: without it a part of the noise is missing.
    assert (np.abs(groups.loss - mean) < 0.7 * np.abs(each.loss - mean)).all()
    assert (groups.error < each.error).all()
    # A factor two in the covariance would move it by several times that.
    still = gf.predict(data, gf.SGD(m.learning_rate), steps).loss
    assert (each.loss[1:] > 1.06 * still[1:]).all()


@pytest.mark.parametrize(("classes", "work"), [(3, 0.0), (3, 2e3), (6, 0.0), (6, 2e4)])
def test_the_share_of_the_noise_that_blocks_leave_out_is_that_of_all_of_it(classes, work):
    data = replace(embeddings(40, 10, classes), whole=0, work=work)
    inside, _ = data.inside(data)
    whole = replace(inside, whole=10**6)
    every, kept = (linearise(x, start(x).mean[0], start(x).covariance[0, 0]).noise for x in (whole, inside))
    d, k = inside.features.shape[1], classes - 1
    towards = np.einsum("nd,nk->ndk", inside.features, inside.basis[inside.labels]).reshape(40, d * k)
    total = np.einsum("na,ab,nb->n", towards, every[0], towards).sum()
    side, found, project = kept.shape[1], 0.0, np.eye(classes) - 1.0 / classes
    for x, label in zip(inside.features, inside.labels, strict=True):
        if classes == 3:
            vector = (x[:, None] * inside.basis[label]).reshape(-1, side)
        else:
            vector = (x.reshape(-1, 1, side) * project[label][None, :, None]).reshape(-1, side)
        found += np.einsum("ga,gab,gb->", vector, kept, vector)
    assert left_out(inside) == pytest.approx(1.0 - found / total, abs=1e-9)
    assert left_out(inside) > 0.01
    assert left_out(whole) == 0.0


def test_products_of_pairs_of_features_make_forms_and_moments():
    rng = np.random.default_rng(0)
    X, blocks = rng.standard_normal((5, 6)), rng.standard_normal((2, 3, 3, 2))
    inside = X.reshape(5, 2, 3)
    forms = np.einsum("nga,gabc,ngb->nc", inside, blocks, inside)
    assert pairs_of(X, 3) @ folded(blocks) == pytest.approx(forms)
    weights = rng.standard_normal((5, 2))
    moments = np.einsum("nga,ngb,nc->gabc", inside, inside, weights)
    assert unfolded(pairs_of(X, 3).T @ weights, 3) == pytest.approx(moments)


def test_what_is_followed_has_the_diagonal_that_was_asked_for():
    rng, project = np.random.default_rng(0), np.eye(7) - 1.0 / 7.0
    diagonal = rng.random((3, 7)) + 1.0
    found = own(diagonal)
    for row, wanted in zip(found, diagonal, strict=True):
        assert np.diag(project @ np.diag(row) @ project) == pytest.approx(wanted)
    assert own(np.full((1, 7), 6.0 / 7.0)) == pytest.approx(np.ones((1, 7)))  # of the uniform zero-sum covariance


@pytest.mark.parametrize("momentum", [-0.3, 0.0, 0.9])
def test_kicks_by_formula_are_those_added_up(momentum):
    # Slow modes to which 1 - r^2 is rounding, oscillating ones, and one at its own edge.
    top = 2.0 * (1.0 + momentum)
    a = np.array([0.0, 1e-15, 1e-8, 1e-3, 0.2, 1.0, 0.99 * top, top])
    modes = Modes(a[None], gf.SGD(1.0, momentum))
    step = np.array([[[1.0 - x, -momentum], [x, momentum]] for x in a])
    for n in (1, 2, 37):
        kick, total = np.tile([-1.0, 1.0], (a.size, 1)), np.zeros((2, 2, a.size, a.size))
        for _ in range(n):
            total += np.einsum("jp,kq->pqjk", kick, kick)
            kick = np.einsum("jpr,jr->jp", step, kick)
        size = np.sqrt(np.einsum("ppjj->pj", total))
        assert np.abs(modes.kicked(n)[:, :, 0] - total).max() <= 1e-5 * size.max() ** 2
        off = np.abs(modes.kicked(n)[:, :, 0] - total) / (size[:, None, :, None] * size[None, :, None, :])
        assert off[:, :, :-1, :-1].max() < 1e-6


def test_what_would_take_hours_is_refused_with_the_remedy():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no more than 5000 samples, as many of each class"):
        gf.SoftmaxData.from_features(np.ones((6000, 7)), np.arange(6000) % 100)
    # Three classes are not followed apart, and their features may be fewer.
    with pytest.raises(ValueError, match="project the features on their 75 leading"):
        check_work(10**6, 1000, 3, SEARCH_WORK, SEARCH_CURVATURE)
    # One prediction of these is a matter of a minute, a search is not.
    with pytest.raises(ValueError, match="no more than 1000 samples"):
        gf.optimize(gf.SoftmaxData.from_features(rng.standard_normal((3000, 512)), np.arange(3000) % 100), 8, steps=100)
