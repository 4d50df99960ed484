"""Linear probes under cross-entropy, against SGD runs in plain NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun.plotting._table import series
from genfun.softmax.averages import draws, linearise, loss_and_error
from genfun.softmax.flow import boundaries
from validation.softmax_runs import embeddings, runs


@cache
def digits():
    """Threes and eights of MNIST in ten principal components, with a column of ones."""
    images, labels = gf.data.mnist_arrays()
    keep = np.concatenate([np.flatnonzero(labels == digit)[:200] for digit in (3, 8)])
    pixels = images[keep].reshape(400, -1) / 255.0
    left, singular, _ = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    X = left[:, :10] * singular[:10] * np.sqrt(400.0) / singular[0]
    return gf.SoftmaxData.from_features(np.hstack([X, np.ones((400, 1))]), labels[keep])


@cache
def blobs(classes=4, n=200, d=6, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.array([2.0, 1.5, 1.0, 0.7, 0.4, 0.2])[:d]
    labels = (0.7 * X @ rng.standard_normal((d, classes)) + rng.gumbel(size=(n, classes))).argmax(axis=1)
    return gf.SoftmaxData.from_features(X, labels)


@pytest.mark.slow
@pytest.mark.parametrize("make", [digits, blobs, lambda: blobs(2)], ids=["digits", "four classes", "two classes"])
@pytest.mark.parametrize(("momentum", "share"), [(-0.3, 0.1), (0.0, 0.3), (0.9, 0.3)])
def test_mean_loss_is_that_of_runs(make, momentum, share):
    data = make()
    m = gf.SGD(share * gf.max_learning_rate(data, momentum, batch_size=4), momentum, batch_size=4)
    steps = [1, 5, 30, 100, 300]
    told, seen = gf.predict(data, m, steps), runs(data, m, steps, 100)
    mean, error = seen.mean(axis=2), seen.std(axis=2, ddof=1) / 10.0
    assert gf.predict(data, m, steps[1:]).status == "ok"
    assert (np.abs(told.loss - mean[:, 0]) <= 0.03 * mean[:, 0] + 2.5 * error[:, 0]).all()
    assert (np.abs(told.error_rate - mean[:, 1])[1:] <= 0.02 + 2.5 * error[1:, 1]).all()


def test_held_out_loss_and_error_rate_are_those_of_runs():
    rng = np.random.default_rng(9)
    data = blobs(3, n=60)
    X_test, y_test = rng.standard_normal((500, 6)), rng.integers(3, size=500)
    m = gf.SGD(0.2 * gf.max_learning_rate(data, 0.5, batch_size=3), 0.5, batch_size=3)
    told = gf.predict_test(data, m, [10, 200], X_test, y_test)
    seen = runs(data, m, [10, 200], 200, on=data.held_out(X_test, y_test))
    mean, error = seen.mean(axis=2), seen.std(axis=2, ddof=1) / np.sqrt(200.0)
    assert (np.abs(told.loss - mean[:, 0]) <= 0.03 * mean[:, 0] + 2.5 * error[:, 0]).all()
    assert (np.abs(told.error_rate - mean[:, 1]) <= 0.01 + 2.5 * error[:, 1]).all()
    assert told.loss[1] > 1.2 * float(gf.predict(data, m, 200).loss)  # labels at random: the training loss is another
    with pytest.raises(ValueError, match="classes of the training data"):
        gf.predict_test(data, m, 10, X_test, y_test + 1)
    with pytest.raises(ValueError, match="6 features"):
        gf.predict_test(data, m, 10, X_test[:, :5], y_test)


def test_the_picture_has_training_and_held_out_loss_and_where_to_stop():
    rng = np.random.default_rng(9)
    data = blobs(3, n=60)
    X_test, y_test = rng.standard_normal((80, 6)), rng.integers(3, size=80)  # no relation: best not to train
    m = gf.SGD(0.2, batch_size=8)
    both, alone = gf.predict_test(data, m, [20, 60], X_test, y_test), gf.predict(data, m, [20, 60])
    drawn = series(both.plot(Figure().subplots()))
    assert [name for name in drawn if name in ("held-out", "training")] == ["held-out", "training"]
    for name, told in (("held-out", both), ("training", alone)):
        (line,) = drawn[name]
        assert np.interp([20, 60], line.x, line.y) == pytest.approx(told.loss.tolist(), rel=1e-12)
    assert both.best_step == 0
    rows = gf.predict_test(data, m, [20, 60], data.features[:20], data.labels[:20] * 1)
    assert rows.best_step > 20
    assert list(alone.curves) == ["training"]
    with pytest.raises(ValueError, match="best_step needs held-out"):
        alone.best_step  # noqa: B018
    with pytest.raises(ValueError, match="no step after 0"):
        gf.predict(data, m, 0).plot()


@pytest.mark.slow
def test_the_best_setting_for_held_out_rows_is_another_and_better_for_them():
    data = blobs(3, n=40)
    rng = np.random.default_rng(2)
    rows = data.features + 0.8 * rng.standard_normal((40, 6)), data.labels
    held = gf.optimize(data, 4, 60, 0.0, objective="test", X_test=rows[0], y_test=rows[1])
    own = gf.optimize(data, 4, 60, 0.0)
    told = [float(gf.predict_test(data, o.method, 60, *rows).loss) for o in (held, own)]
    assert held.loss == pytest.approx(told[0], rel=1e-2)
    assert told[0] < 0.97 * told[1]
    assert held.method.learning_rate < own.method.learning_rate
    assert "by held-out rows" in repr(held)
    with pytest.raises(ValueError, match="needs X_test and y_test"):
        gf.optimize(data, 4, 60, objective="test")
    with pytest.raises(ValueError, match="'folds' is derived for squared loss"):
        gf.optimize(data, 4, 60, objective="folds")


@pytest.mark.slow
def test_error_estimate_covers_weights_that_are_not_gaussian():
    # After one small batch at a large rate the loss is several per cent off, by any number of linearisations.
    images, labels = gf.data.mnist_arrays()
    pick = np.random.default_rng(0).permutation(len(images))[:300]
    pixels = images[pick].reshape(300, -1) / 255.0
    left, singular, _ = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    data = gf.SoftmaxData.from_features(left[:, :6] * singular[:6] * np.sqrt(300.0) / singular[0], labels[pick])
    m = gf.SGD(0.9 * gf.max_learning_rate(data, batch_size=2), batch_size=2)
    steps = [1, 3, 30, 200]
    told, both = gf.predict(data, m, steps), runs(data, m, steps, 400)
    seen = both[:, 0]
    mean, error = seen.mean(axis=1), seen.std(axis=1, ddof=1) / 20.0
    off = np.abs(told.loss - mean)
    assert (off <= 2.0 * told.error * told.loss + 2.5 * error).all()
    assert (off - 2.5 * error > 0.02 * mean).any()  # so that an estimate by linearisations alone would fail
    assert told.status == "inaccurate"
    assert (told.error < 0.5).all()
    # After one batch of two the error rate is too low by more than two points, and that is said.
    wrong = both[:, 1].mean(axis=1) - told.error_rate
    assert told.few.tolist() == [True, True, True, False]
    assert wrong[0] > 0.02
    assert abs(wrong[3]) < 0.01 + 2.5 * both[3, 1].std(ddof=1) / 20.0 < 0.03
    assert "several points too low" in told.meaning
    assert not gf.predict(data, gf.SGD(m.learning_rate), steps).few.any()  # without batch noise it is exact


def test_error_estimate_covers_losses_that_are_nearly_all_noise_once_the_mean_separates_the_samples():
    # Told by half and by two and a half times too high; without the tails the estimate was .12 and .06.
    data, steps = embeddings(60, 20, 5), [100, 300]
    m = gf.SGD(0.9 * gf.max_learning_rate(data, 0.8, 8), 0.8, 8)
    told, seen = gf.predict(data, m, steps), runs(data, m, steps, 60)[:, 0]
    mean, error = seen.mean(axis=1), seen.std(axis=1, ddof=1) / 60**0.5
    off = np.log(told.loss / mean)
    assert (np.abs(off) <= 2.0 * told.error + 2.5 * error / mean).all()
    assert told.separable
    assert off[-1] > 0.4
    # The same whether or not earlier steps were asked for: what they cost is looked for in between.
    assert gf.predict(data, m, 300).error == pytest.approx(told.error[-1], rel=0.1)


def test_batch_noise_is_a_visible_part_of_that_loss():
    # So that a factor 2 in the covariance, or a dropped one, would fail the test above.
    data = blobs()
    rate = 0.3 * gf.max_learning_rate(data, batch_size=4)
    noisy, full = (float(gf.predict(data, gf.SGD(rate, batch_size=b), 300).loss) for b in (4, None))
    assert noisy > 1.1 * full


@pytest.mark.parametrize("momentum", [-0.3, 0.0, 0.9])
def test_full_batch_is_gradient_descent(momentum):
    data = blobs()
    m = gf.SGD(0.2, momentum)
    w, v, target = np.zeros((6, 4)), np.zeros((6, 4)), np.eye(4)[data.labels]
    for _ in range(300):
        p = np.exp(data.features @ w)
        p /= p.sum(axis=1, keepdims=True)
        v = momentum * v - 0.2 * data.features.T @ (p - target) / data.n_samples
        w = w + v
    p = np.exp(data.features @ w)
    loss = -np.log((p * target).sum(axis=1) / p.sum(axis=1)).mean()
    told = gf.predict(data, m, [0, 300])
    assert told.loss[0] == pytest.approx(np.log(4.0), rel=1e-12)
    assert told.error_rate[0] == pytest.approx(0.75)
    assert told.loss[1] == pytest.approx(loss, rel=1e-3)


def test_weight_decay_and_label_smoothing_are_those_of_runs():
    data = gf.SoftmaxData.from_features(blobs().features, blobs().labels, label_smoothing=0.1)
    m = gf.SGD(0.1, 0.5, 4, weight_decay=0.4)
    steps = [5, 60]
    told, seen = gf.predict(data, m, steps), runs(data, m, steps, 100)
    mean, error = seen.mean(axis=2), seen.std(axis=2, ddof=1) / 10.0
    assert (np.abs(told.loss - mean[:, 0]) <= 0.01 * mean[:, 0] + 2.5 * error[:, 0]).all()
    assert (np.abs(told.error_rate - mean[:, 1]) <= 0.02 + 2.5 * error[:, 1]).all()
    # Each of the two moves the loss by three times that tolerance.
    unsmoothed, undecayed = gf.predict(blobs(), m, 60).loss, gf.predict(data, gf.SGD(0.1, 0.5, 4), 60).loss
    assert abs(float(unsmoothed) / told.loss[-1] - 1.0) > 0.03
    assert abs(float(undecayed) / told.loss[-1] - 1.0) > 0.03


def test_start_edge_with_weight_decay_is_where_the_mean_square_of_the_first_steps_grows():
    # One feature of constant square: then (1 - a (1/C + rho))^2 is all there is, whatever the batch.
    data = gf.SoftmaxData.from_features([[1.0], [-1.0], [1.0], [-1.0]], [0, 1, 2, 2])
    for rho in (0.0, 0.5):
        edge = gf.max_learning_rate(data, method=gf.SGD(1.0, 0.4, 2, weight_decay=rho))
        assert edge == pytest.approx(2.0 * 1.4 / (1.0 / 3.0 + rho), rel=1e-9)


@pytest.mark.slow
def test_the_largest_rate_whose_loss_rises_little_is_that_of_runs():
    data = blobs()
    steps = [*range(8), 10, 13, 17, 22, 30, 45, 60]
    for momentum in (-0.3, 0.9):
        rate = gf.max_learning_rate(data, momentum, 4, rise=0.5, steps=60)
        losses = runs(data, gf.SGD(rate, momentum, 4), steps, 150)[:, 0]
        mean, error = losses.mean(axis=1), losses.std(axis=1, ddof=1) / 150**0.5
        seen = mean / np.minimum.accumulate(mean)
        assert abs(seen.max() - 1.5) <= 0.03 * 1.5 + 2.5 * 1.5 * (error / mean)[seen.argmax()] <= 0.15


def test_a_rise_is_refused_where_every_rate_keeps_below_it_or_none_does():
    data = blobs()
    with pytest.raises(ValueError, match="rise must be smaller: up to twice the start edge"):
        gf.max_learning_rate(data, 0.0, rise=0.9, steps=5)
    with pytest.raises(ValueError, match="rise and steps go together"):
        gf.max_learning_rate(data, 0.0, rise=0.9)
    with pytest.raises(ValueError, match="are of a SoftmaxData"):
        gf.max_learning_rate(data.squared, rise=0.1, steps=5)
    trained = np.zeros((6, 4))
    for _ in range(2000):
        p = np.exp(data.features @ trained)
        trained -= 0.3 * data.features.T @ (p / p.sum(axis=1, keepdims=True) - data.targets) / data.n_samples
    there = gf.SoftmaxData.from_features(data.features, data.labels, initial=trained)
    with pytest.raises(ValueError, match="weights at the start have a lower loss"):
        gf.max_learning_rate(there, 0.0, 2, rise=1e-7, steps=1000)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_draws_are_symmetric_with_unit_covariance(classes):
    points, weight = draws(classes - 1)
    assert weight.sum() == pytest.approx(1.0)
    assert weight @ points == pytest.approx(np.zeros(classes - 1), abs=1e-12)
    assert (points * weight[:, None]).T @ points == pytest.approx(np.eye(classes - 1), abs=1e-12)


def test_linearisation_is_the_derivative_of_the_averaged_loss():
    # By Price's theorem the gradient of E L by the mean is E grad L; for two classes the quadrature is that good.
    data = blobs(2)
    rng = np.random.default_rng(5)
    mean, root = 0.3 * rng.standard_normal(6), 0.2 * rng.standard_normal((6, 6))
    cov, h = (root @ root.T)[None], 1e-5
    near = linearise(data, mean, cov)
    for j, step in enumerate(h * np.eye(6)):
        up, down = (loss_and_error(data, mean + s, cov)[0] for s in (step, -step))
        assert near.gradient[j] == pytest.approx((up - down) / (2 * h), abs=1e-7)
        up, down = (linearise(data, mean + s, cov).gradient for s in (step, -step))
        assert near.hessian[0, j] == pytest.approx((up - down) / (2 * h), abs=1e-6)
    assert np.linalg.eigvalsh(near.noise[0])[0] > -1e-9


def test_start_edge_is_classes_times_that_of_least_squares():
    data = blobs()
    for momentum, size in ((0.0, 1), (0.9, 4), (-0.3, 4)):
        squared = gf.max_learning_rate(data.squared, momentum, size)
        assert gf.max_learning_rate(data, momentum, size) == pytest.approx(4.0 * squared, rel=1e-12)


def test_steps_to_loss_is_the_first_step_of_the_prediction():
    data, m = blobs(), gf.SGD(0.05, 0.5, batch_size=8)
    target = float(gf.predict(data, m, 150).loss) * (1.0 + 1e-6)
    found = gf.steps_to_loss(data, m, target)
    assert abs(found - 150.0) <= 3.0  # the ends of stretches differ where another last step is asked for
    assert gf.steps_to_loss(data, m, 5.0) == 0.0


@pytest.mark.slow
def test_optimum_beats_habits_in_prediction_and_in_runs():
    data = blobs()
    best = gf.optimize(data, batch_size=4, steps=40)
    habits = [gf.SGD(0.01, 0.9, batch_size=4), gf.SGD(0.1, 0.0, batch_size=4), gf.SGD(0.1, 0.9, batch_size=4)]
    mine = runs(data, best.method, [40], 100)[0, 0]
    assert abs(best.loss - mine.mean()) <= 0.03 * mine.mean() + 0.25 * mine.std(ddof=1)
    for habit in habits:
        theirs = runs(data, habit, [40], 100)[0, 0]
        assert mine.mean() <= theirs.mean() + 0.25 * np.hypot(mine.std(), theirs.std())
    assert best.loss <= best.loss_without_momentum * (1.0 + 1e-3)
    decayed = gf.optimize(data, batch_size=4, steps=10, momentum=0.0, method=gf.SGD(1.0, weight_decay=0.5))
    assert decayed.method.weight_decay == 0.5
    assert decayed.loss == pytest.approx(float(gf.predict(data, decayed.method, 10).loss), rel=1e-9)


def test_explanation_says_separable_only_where_it_is():
    X = np.array([[1.0, 0.2], [2.0, -0.1], [-1.0, 0.3], [-1.5, 0.1]])
    apart = gf.SoftmaxData.from_features(X, [1, 1, 0, 0])
    assert "are separable" in str(gf.explain(apart, gf.SGD(0.1, batch_size=1), 200))
    assert gf.predict(apart, gf.SGD(0.1, batch_size=1), 200).separable
    assert not gf.predict(apart, gf.SGD(0.1, batch_size=1), 0).separable  # all classes tie at the start
    # The same features, one of them in both classes: nothing separates that.
    both = gf.SoftmaxData.from_features(np.vstack([X, X[:1]]), [1, 1, 0, 0, 0])
    assert not gf.predict(both, gf.SGD(0.1, batch_size=1), [10, 1000]).separable
    decayed = gf.explain(apart, gf.SGD(0.1, batch_size=1, weight_decay=0.1), 200)
    assert "weight decay keeps the weights finite" in str(decayed)
    mixed = gf.explain(blobs(), gf.SGD(0.05, batch_size=4), 200)
    assert "separable" not in str(mixed)
    assert "start edge" in str(mixed)


def test_boundaries_are_single_steps_first_and_odd_lengths_later():
    steps = np.array(boundaries(4, 5000))
    assert steps[:6].tolist() == list(range(6))
    assert (np.diff(steps) % 2 == 1).all()
    assert steps[-2] < 5000 <= steps[-1]


def test_other_answers_and_wrong_settings_are_refused_by_name():
    data, m = blobs(), gf.SGD(0.1, batch_size=4)
    answers: list[Any] = [gf.stability, gf.phase, lambda problem, method: gf.noise_scale(problem, method, 10)]
    for answer in answers:
        with pytest.raises(TypeError, match="SoftmaxData"):
            answer(data, m)
    with pytest.raises(ValueError, match="twice the start edge"):
        gf.predict(data, gf.SGD(2.01 * gf.max_learning_rate(data, batch_size=4), batch_size=4), 10)
    with pytest.raises(ValueError, match="noise must be left out"):
        gf.max_learning_rate(data, noise=gf.SpectrallyExpressible())
    with pytest.raises(ValueError, match="steps alone"):
        gf.optimize(data, batch_size=4)
    with pytest.raises(TypeError, match="labels must all be integers or all strings, got NoneType and str"):
        gf.SoftmaxData.from_features([[1.0], [2.0]], ["cat", None])
    with pytest.raises(ValueError, match="label_smoothing must be below 1"):
        gf.SoftmaxData.from_features(np.ones((3, 1)), [0, 1, 1], label_smoothing=1.0)
    with pytest.raises(ValueError, match="argmax"):
        gf.SoftmaxData.from_features(np.ones((3, 1)), np.eye(3))


def test_initial_weights_are_where_the_runs_start():
    data, rng = blobs(3), np.random.default_rng(4)
    initial = rng.standard_normal((6, 3))
    moved = gf.SoftmaxData.from_features(data.features, data.labels, initial)
    log_p = data.features @ initial
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    found = gf.predict(moved, gf.SGD(0.05), [0, 1])
    assert found.loss[0] == pytest.approx(-log_p[np.arange(200), data.labels].mean(), rel=1e-12)
    # One full-batch step, by hand.
    w = initial - 0.05 * data.features.T @ (np.exp(log_p) - np.eye(3)[data.labels]) / 200
    log_p = data.features @ w
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    assert found.loss[1] == pytest.approx(-log_p[np.arange(200), data.labels].mean(), rel=1e-12)
    with pytest.raises(ValueError, match="transposed"):
        gf.SoftmaxData.from_features(data.features, data.labels, initial.T)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"nesterov": True}, "heavy-ball"),
        ({"dampening": 0.1}, "1 - dampening"),
        ({"sampling": "epochs"}, "use 'fresh'"),
    ],
)
def test_options_of_sgd_that_are_not_derived_are_refused_with_the_remedy(options, text):
    m = gf.SGD(0.05, 0.5, batch_size=4, **options)
    for ask in (lambda: gf.predict(blobs(), m, 10), lambda: gf.steps_to_loss(blobs(), m, 0.5)):
        with pytest.raises(ValueError, match=text):
            ask()
    with pytest.raises((ValueError, TypeError)):
        gf.optimize(blobs(), batch_size=4, steps=10, method=m)
