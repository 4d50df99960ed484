"""The loss on held-out samples, against runs in plain NumPy and N retrainings."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun.answers.held_out.curve import HeldOutCurve
from genfun.answers.held_out.scores import score_variances
from genfun.data.digits import mnist_arrays
from genfun.data.kernels import relu_ntk
from genfun.plotting import table as plot_table
from genfun.sample_space.moments import exact_curve


def table(n=60, d=6, seed=3, noise=0.5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((2 * n, d)) @ np.diag(1.0 / np.arange(1, d + 1))
    X[:, 1] *= rng.standard_t(5, 2 * n)  # samples of unequal leverage, which no fitted constant describes
    y = X @ rng.standard_normal(d) + noise * rng.standard_normal(2 * n)
    return X[:n], y[:n], X[n:], y[n:]


def runs(X, y, Xt, yt, m, steps, count=2000, seed=7, outputs=None):
    """Test losses of SGD runs at the steps: plain NumPy in the space of the features, (count, steps)."""
    rng = np.random.default_rng(seed)
    Y, Yt = (a.reshape(len(a), -1) for a in (y, yt))
    w = np.zeros((count, X.shape[1], Y.shape[1]))
    v, kept = np.zeros_like(w), []
    for t in range(max(steps) + 1):
        if t in steps:
            kept.append(0.5 * ((Xt @ w - Yt) ** 2).sum(axis=2).mean(axis=1))
        batch = rng.random((count, len(X))).argpartition(m.batch_size, axis=1)[:, : m.batch_size]
        x = X[batch]
        g = np.swapaxes(x, 1, 2) @ (x @ w - Y[batch]) / m.batch_size
        v = m.momentum * v - m.learning_rate * g
        w = w + v
    return np.stack(kept, axis=1)


@pytest.mark.parametrize("momentum", [-0.3, 0.0, 0.8])
def test_held_out_loss_is_the_mean_of_simulated_runs(momentum):
    X, y, Xt, yt = table()
    data = gf.LinearData.from_features(X, y)
    rate = 0.4 * gf.max_learning_rate(data, momentum, batch_size=2)
    m, steps = gf.SGD(rate, momentum, batch_size=2), [0, 3, 12, 50, 100]
    told = gf.predict_test(data, m, steps, Xt, yt)
    seen = runs(X, y, Xt, yt, m, steps)
    error = seen.std(axis=0, ddof=1) / np.sqrt(len(seen))
    assert told.status == "ok"
    assert told.loss[0] == pytest.approx(0.5 * np.mean(yt**2), rel=1e-12)
    assert (np.abs(seen.mean(axis=0) - told.loss) <= 2.5 * error + 1e-12).all()
    # The noise part is not negligible here, so that a factor 2 in it would show.
    assert (told.loss - told.mean_loss)[-1] > 10 * error[-1]


def test_held_out_loss_on_the_training_samples_is_the_training_loss():
    X, y, _, _ = table()
    y = np.stack([y, y**2], axis=1)
    data = gf.LinearData.from_features(X, y)
    m = gf.SGD(0.1, 0.5, batch_size=3)
    told = gf.predict_test(data, m, [[0, 10], [50, 200]], X, y, noise="exact")
    assert told.loss == pytest.approx(gf.predict(data, m, told.steps, noise="exact").loss, rel=1e-8)
    assert told.loss == pytest.approx(told.train_loss, rel=1e-10)
    near = gf.predict_test(data, m, told.steps, X, y)
    assert near.loss == pytest.approx(told.loss, rel=1e-3)


@cache
def sets() -> list[tuple[gf.LinearData, Any, Any, Any]]:
    """Tables, digits in a kernel and in pixels, with held-out rows: (data, X_test, y_test, X_train)."""
    X, y, Xt, yt = table()
    found = [(gf.LinearData.from_features(X, y), Xt, yt, None)]
    images, labels = mnist_arrays(10_000)
    some = np.random.default_rng(0).permutation(10_000)[:150]
    x = images[some].reshape(150, -1) / 255.0
    y = np.eye(10)[labels[some]] - 0.1
    kernel = gf.LinearData.from_kernel(relu_ntk(x[:60]), y[:60])
    found.append((kernel, relu_ntk(x[60:], x[:60]), y[60:], None))
    found.append((gf.LinearData.from_features(x[:60], y[:60]), x[60:], y[60:], x[:60]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("momentum", "batch", "share"), [(-0.4, 4, 0.8), (0.0, 1, 0.2), (0.8, 8, 0.8)])
def test_held_out_loss_is_that_of_the_full_recursion_to_half_a_per_cent(momentum, batch, share):
    steps = np.array([0, 1, 4, 15, 60, 120])
    for data, Xt, yt, X in sets():
        m = gf.SGD(share * gf.max_learning_rate(data, momentum, batch), momentum, batch)
        told, full = (gf.predict_test(data, m, steps, Xt, yt, X, noise) for noise in ("measured", "exact"))
        off = np.abs(told.loss / full.loss - 1.0)
        assert off.max() <= 5e-3
        # The estimate is honest: nothing is off by several times as much.
        assert (off <= 3.0 * told.noise_error + 2e-4).all()
        assert told.mean_loss == pytest.approx(full.mean_loss, rel=1e-9)
        assert told.train_loss == pytest.approx(full.train_loss, rel=1e-2)


@pytest.mark.slow
def test_late_steps_cost_nothing_and_level_off():
    X, y, Xt, yt = table()
    data = gf.LinearData.from_features(X, y)
    m = gf.SGD(0.4 * gf.max_learning_rate(data, 0.5, 2), 0.5, 2)
    told = gf.predict_test(data, m, [3000, 10**5, 10**9, 10**14], Xt, yt)
    full = gf.predict_test(data, m, 3000, Xt, yt, noise="exact")
    assert told.loss[0] == pytest.approx(float(full.loss), rel=1e-3)
    assert told.loss[1:] == pytest.approx(told.loss[0], rel=1e-6)
    assert told.best_step == pytest.approx(full.best_step, rel=0.1)
    assert told.best_range[0] <= told.best_step <= told.best_range[1]
    left = gf.leave_one_out(data, m, [3000, 10**9, 10**14])
    assert left.loss[1] == pytest.approx(left.loss[0], rel=1e-3)
    assert left.loss[2] == pytest.approx(left.loss[1], rel=1e-6)


def test_beyond_the_edge_the_held_out_loss_diverges():
    X, y, Xt, yt = table()
    data = gf.LinearData.from_features(X, y)
    told = gf.predict_test(data, gf.SGD(1.5 * gf.max_learning_rate(data, 0.0, 1), 0.0, 1), [10, 10**6], Xt, yt)
    full = gf.predict_test(data, told.method, 10, Xt, yt, noise="exact")
    assert told.status == "diverges"
    assert told.loss[0] == pytest.approx(float(full.loss), rel=5e-3)
    assert np.isinf(told.loss[1])


@pytest.mark.slow
def test_kernel_and_features_agree_on_held_out_samples():
    X, y, Xt, yt = table(n=20, d=30)
    m, steps = gf.SGD(0.05, 0.3, batch_size=4), [0, 20, 60]
    features = gf.predict_test(gf.LinearData.from_features(X, y), m, steps, Xt, yt, X_train=X)
    kernel = gf.predict_test(gf.LinearData.from_kernel(X @ X.T, y), m, steps, Xt @ X.T, yt)
    assert features.loss == pytest.approx(kernel.loss, rel=1e-8)


@pytest.mark.slow
def test_normalised_data_take_held_out_features_as_they_are():
    X, y, Xt, yt = table()
    data = gf.LinearData.from_features(X, y)
    scaled = data.normalized()
    factor = data.eigenvalues[0]
    told = gf.predict_test(data, gf.SGD(0.1, batch_size=2), 30, Xt, yt).loss
    assert gf.predict_test(scaled, gf.SGD(0.1 * factor, batch_size=2), 30, Xt, yt).loss == pytest.approx(told)
    assert gf.predict_test(scaled, gf.SGD(0.1 * factor, batch_size=2), 30, Xt, yt, X_train=X).loss == pytest.approx(
        told
    )


def test_batch_noise_never_helps_and_the_best_step_is_the_least():
    X, y, Xt, yt = table(n=40, d=25, noise=2.0)
    data = gf.LinearData.from_features(X, y)
    steps = np.arange(301)
    full, batch = (gf.predict_test(data, gf.SGD(0.1, batch_size=b), steps, Xt, yt) for b in (None, 4))
    assert full.loss == pytest.approx(full.mean_loss)
    assert full.mean_loss == pytest.approx(batch.mean_loss)
    assert (batch.loss >= full.loss * (1.0 - 1e-12)).all()
    assert 0 < full.best_step < 300
    assert full.best_step == np.argmin(full.loss)
    assert full.best_loss == full.loss.min()


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [-0.4, 0.0, 0.9])
def test_leave_one_out_of_the_mean_path_is_that_of_retrainings(momentum):
    X, y, _, _ = table(n=60, d=8)
    Y = np.stack([y, np.tanh(y)], axis=1)
    m, steps, n = gf.SGD(0.2, momentum), [0, 1, 2, 7, 40, 300, 1000], 60
    told = gf.leave_one_out(gf.LinearData.from_features(X, Y), m, steps)
    rest = ~np.eye(n, dtype=bool)
    second = np.array([X[rows].T @ X[rows] / n for rows in rest])
    first = np.array([X[rows].T @ Y[rows] / n for rows in rest])
    # All retrainings at once: of each its own weights.
    w, v, seen = np.zeros((n, 8, 2)), np.zeros((n, 8, 2)), []
    for t in range(max(steps) + 1):
        if t in steps:
            seen.append(0.5 * ((np.einsum("id,ido->io", X, w) - Y) ** 2).sum() / n)
        v = m.momentum * v - m.learning_rate * (second @ w - first)
        w = w + v
    assert told.mean_loss == pytest.approx(seen, rel=1e-8)
    assert told.loss == pytest.approx(told.mean_loss)  # no batches, no noise


def test_ridge_baseline_is_that_of_n_fits():
    X, y, _, _ = table(n=30, d=5)
    told = gf.leave_one_out(gf.LinearData.from_features(X, y), gf.SGD(0.1), 5)
    total = 0.0
    for i in range(30):
        rest = np.arange(30) != i
        w = np.linalg.solve(X[rest].T @ X[rest] + 30 * told.ridge_penalty * np.eye(5), X[rest].T @ y[rest])
        total += 0.5 * (X[i] @ w - y[i]) ** 2 / 30
    assert told.ridge_loss == pytest.approx(total, rel=1e-9)


@pytest.mark.slow
def test_leave_one_out_with_batches_is_near_the_test_loss_over_splits():
    # 10 data sets of one law, each with a large test set: both are estimates of the same mean.
    losses, noises = [], []
    for seed in range(10):
        X, y, _, _ = table(n=80, d=6, seed=seed)
        rng = np.random.default_rng(100 + seed)
        Xt = rng.standard_normal((1000, 6)) @ np.diag(1.0 / np.arange(1, 7))
        Xt[:, 1] *= rng.standard_t(5, 1000)
        first = np.random.default_rng(seed)
        first.standard_normal((160, 6))
        first.standard_t(5, 160)
        yt = Xt @ first.standard_normal(6) + 0.5 * rng.standard_normal(1000)
        data = gf.LinearData.from_features(X, y)
        m = gf.SGD(0.4 * gf.max_learning_rate(data, batch_size=1), batch_size=1)
        test, left = gf.predict_test(data, m, 200, Xt, yt), gf.leave_one_out(data, m, 200)
        losses.append((float(left.loss), float(test.loss)))
        noises.append((float(left.loss - left.mean_loss), float(test.loss - test.mean_loss)))
    left, test = np.mean(losses, axis=0)
    gap = np.diff(losses, axis=1)
    assert abs(left - test) <= 0.05 * test + 2.5 * gap.std() / np.sqrt(10)
    left, test = np.mean(noises, axis=0)
    assert 0.7 < left / test < 1.4


def one_hot(n=200, d=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 2 * n)
    X = rng.standard_normal((2 * n, d)) + 1.2 * np.eye(classes, d)[labels]
    return X[:n], np.eye(classes)[labels[:n]] - 0.3, X[n:], labels[n:]


@pytest.mark.slow
@pytest.mark.parametrize(("momentum", "batch"), [(-0.3, 8), (0.0, 8), (0.8, 16)])
def test_error_rate_is_that_of_simulated_runs_within_a_point(momentum, batch):
    X, Y, Xt, labels = one_hot()
    data = gf.LinearData.from_features(X, Y)
    m = gf.SGD(0.6 * gf.max_learning_rate(data, momentum, batch), momentum, batch)
    steps, rng, count = [10, 40, 150], np.random.default_rng(2), 400
    w = np.zeros((count, X.shape[1], 3))
    v, seen = np.zeros_like(w), []
    for t in range(max(steps) + 1):
        if t in steps:
            seen.append((np.argmax(Xt @ w, axis=2) != labels).mean())
        rows = rng.random((count, len(X))).argpartition(batch, axis=1)[:, :batch]
        x = X[rows]
        v = momentum * v - m.learning_rate * np.swapaxes(x, 1, 2) @ (x @ w - Y[rows]) / batch
        w = w + v
    told = gf.predict_test(data, m, steps, Xt, np.eye(3)[labels] - 0.3)
    np.testing.assert_allclose(told.error_rate, seen, atol=0.01)
    # Without the noise of the scores it is points off, so that a dropped covariance would show.
    quiet = gf.predict_test(data, gf.SGD(m.learning_rate, momentum), steps, Xt, np.eye(3)[labels] - 0.3)
    assert np.abs(quiet.error_rate - seen).max() > 0.02


def test_score_variances_add_up_to_the_noise_in_the_loss():
    X, Y, Xt, labels = one_hot(n=60)
    data = gf.LinearData.from_features(X, Y)
    m = gf.SGD(0.5 * gf.max_learning_rate(data, 0.0, 2), 0.0, 2)
    told = gf.predict_test(data, m, [5, 300], Xt, np.eye(3)[labels])
    for step, noise in zip(told.steps, told.loss - told.mean_loss, strict=True):
        variances = score_variances(HeldOutCurve(data, Xt, np.eye(3)[labels]), m, int(step))
        assert 0.5 * np.trace(variances, axis1=1, axis2=2).mean() == pytest.approx(noise, rel=1e-8)
        # Scores of one-hot targets sum to one but for what the features miss; a wrong sign of covariances would show.
        assert variances.sum(axis=(1, 2)).mean() < 0.5 * np.trace(variances, axis1=1, axis2=2).mean()


def test_error_rate_is_none_where_targets_are_no_classes_and_a_sign_for_one_output():
    X, y, Xt, yt = table()
    data = gf.LinearData.from_features(X, np.sign(y))
    m = gf.SGD(0.1, batch_size=4)
    assert gf.predict_test(data, m, 20, Xt, yt).error_rate is None
    told = gf.predict_test(data, gf.SGD(0.1), [20], Xt, np.sign(yt))
    scores = Xt @ np.linalg.lstsq(X, np.sign(y), rcond=None)[0]
    late = gf.predict_test(data, gf.SGD(0.1), 10**7, Xt, np.sign(yt))
    assert float(late.error_rate) == pytest.approx((np.sign(scores) != np.sign(yt)).mean())
    assert 0.0 < told.error_rate[0] < 0.5


def test_the_picture_shows_what_was_asked_for_and_more():
    X, y, Xt, yt = table()
    data = gf.LinearData.from_features(X, y)
    m = gf.SGD(0.1, batch_size=4)
    told = gf.predict_test(data, m, [7, 500], Xt, yt)
    rows = {(name, x): y for _, name, x, y, _ in plot_table(told.plot(Figure().subplots()))}
    assert rows["held-out", 500] == told.loss[1]
    assert rows["held-out, without batch noise", 7] == told.mean_loss[0]
    assert rows["training", 500] == told.train_loss[1]
    left = gf.leave_one_out(data, m, 90)
    rows = {(name, x): y for _, name, x, y, _ in plot_table(left.plot(Figure().subplots()))}
    assert rows["left-out", 90] == left.loss


@pytest.mark.other_kinds
def test_what_cannot_be_answered_is_refused_by_name():
    X, y, Xt, yt = table(n=10, d=3)
    data = gf.LinearData.from_features(X, y)
    m = gf.SGD(0.1, batch_size=2)
    with pytest.raises(TypeError, match="predict_test needs the data"):
        gf.predict_test(data.problem, m, 3, Xt, yt)  # pyright: ignore
    with pytest.raises(ValueError, match="X_test must have 3 columns"):
        gf.predict_test(data, m, 3, Xt[:, :2], yt)
    with pytest.raises(ValueError, match="y_test must have the 1 outputs"):
        gf.predict_test(data, m, 3, Xt, np.stack([yt, yt], axis=1))
    with pytest.raises(ValueError, match="X_train must be given"):
        gf.predict_test(gf.LinearData.from_features(X.T, y[:3]), m, 3, Xt.T, yt[:3])
    with pytest.raises(ValueError, match="in the same order"):
        gf.predict_test(data, m, 3, Xt, yt, X_train=X[::-1])
    with pytest.raises(ValueError, match="steps must be at most"):
        gf.predict_test(data, m, 10**14, Xt, yt, noise="exact")
    with pytest.raises(ValueError, match="noise must be 'measured' or 'exact'"):
        gf.predict_test(data, m, 10, Xt, yt, noise="fitted")  # pyright: ignore
    with pytest.raises(ValueError, match="where the full batch diverges"):
        gf.leave_one_out(data, gf.SGD(1e3), 3)


@pytest.mark.parametrize("kind", ["squared", "cross-entropy"])
def test_held_out_columns_in_another_order_are_refused_where_both_have_names(kind):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((20, 3)), columns=["a", "b", "c"])
    labels = np.arange(20) % 2
    data = (
        gf.LinearData.from_features(X, labels.astype(float))
        if kind == "squared"
        else gf.SoftmaxData.from_features(X, labels)
    )
    assert data.names == ("a", "b", "c")
    m, new = gf.SGD(0.1, batch_size=4), X.iloc[:5]

    def told(rows):
        return float(gf.predict_test(data, m, 9, rows, labels[:5]).loss)

    with pytest.raises(ValueError, match=r"another order: column 1 is 'c', and was 'b'; pass X_test\[list"):
        told(new[["a", "c", "b"]])
    assert told(new[["a", "c", "b"]][list(data.names)]) == told(new)
    with pytest.raises(ValueError, match="X_test has no column 'c'"):
        told(new.rename(columns={"c": "d"}))
    with pytest.raises(ValueError, match="X_test has a column 'd' besides"):
        told(new.assign(d=1.0))
    # Without names on either side nothing is compared.
    for rows in (new.to_numpy(), pd.DataFrame(new.to_numpy())):
        assert told(rows) == told(new)


@pytest.mark.slow
def test_the_noise_error_covers_what_rare_categories_hide_from_the_residuals() -> None:
    rng = np.random.default_rng(9)
    columns = [np.minimum(rng.zipf(a, 300), 80) - 1 for a in (1.5, 2.0)]
    X = np.hstack([np.eye(80)[c][:, np.unique(c)] for c in columns])
    y = X @ rng.standard_normal(X.shape[1])
    data = gf.LinearData.from_features(X, y)
    method = gf.SGD(0.5 * gf.max_learning_rate(data, 0.9, 8), 0.9, 8)
    # The held-out samples are those of training, whose exact loss is known.
    steps = np.array([300, 1000])
    found = gf.predict_test(data, method, steps, X, y)
    off = np.abs(np.log(found.loss) - exact_curve(data, method, steps).loss.log())
    assert (off < found.noise_error).all()
    assert found.status == "noise uncertain"
