"""The best setting on samples that are not trained on, against a search by brute force."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import genfun as gf


def rows(n=80, d=20, seed=1, noise=2.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((2 * n, d)) / np.sqrt(np.arange(1, d + 1))
    y = X @ rng.standard_normal(d) + noise * rng.standard_normal(2 * n)
    return X[:n], y[:n], X[n:], y[n:]


@cache
def law(seed):
    """Few rows of a law and many others of it, and the best setting for those."""
    X, y, _, _ = rows(n=50, d=10, seed=seed)
    rng = np.random.default_rng(seed)
    rng.standard_normal((100, 10))
    w = rng.standard_normal(10)
    Xt = np.random.default_rng(99).standard_normal((3000, 10)) / np.sqrt(np.arange(1, 11))
    yt = Xt @ w + 2.0 * np.random.default_rng(98).standard_normal(3000)
    data = gf.LinearData.from_features(X, y)
    return data, Xt, yt, gf.optimize(data, 4, 60, objective="test", X_test=Xt, y_test=yt)


@pytest.mark.slow
def test_no_setting_of_a_grid_is_better_on_held_out_rows():
    X, y, Xt, yt = rows()
    data = gf.LinearData.from_features(X, y)
    o = gf.optimize(data, 4, 60, objective="test", X_test=Xt, y_test=yt)
    assert o.by == "held-out rows"
    assert o.loss == pytest.approx(float(gf.predict_test(data, o.method, 60, Xt, yt).loss), rel=1e-9)
    least = np.inf
    for beta in (-0.5, 0.0, 0.5, 0.9):
        top = gf.max_learning_rate(data, beta, 4)
        for share in np.geomspace(3e-3, 0.9, 7):
            m = gf.SGD(share * top, beta, 4)
            least = min(least, float(gf.predict_test(data, m, 60, Xt, yt).loss))
    assert o.loss <= least * 1.001
    # The optimum for the training loss is worse there: these data overfit.
    train = gf.optimize(data, 4, 60)
    assert float(gf.predict_test(data, train.method, 60, Xt, yt).loss) > 1.1 * o.loss
    assert o.train_loss > train.loss


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["test", "folds"])
def test_without_held_out_rows_the_choice_is_nearly_as_good(objective):
    regrets = []
    for seed in range(2):
        data, Xt, yt, best = law(seed)
        told = gf.optimize(data, 4, 60, objective=objective)
        assert told.by == {"test": "leave-one-out", "folds": "5 folds"}[objective]
        regrets.append(float(gf.predict_test(data, told.method, 60, Xt, yt).loss) / best.loss - 1.0)
        assert told.loss == pytest.approx(best.loss, rel=0.3)
        if objective == "test":
            assert told.loss == pytest.approx(float(gf.leave_one_out(data, told.method, 60).loss), rel=1e-6)
    assert np.mean(regrets) < 0.05


def test_fixed_momentum_the_full_batch_and_a_capped_rate_are_kept():
    X, y, Xt, yt = rows(n=30, d=4)
    data = gf.LinearData.from_features(X, y)
    o = gf.optimize(data, None, 20, 0.0, objective="test", X_test=Xt, y_test=yt, max_share_of_edge=0.3)
    assert o.method.momentum == 0.0
    assert o.method.batch_size is None
    assert o.share_of_edge <= 0.3 + 1e-9
    assert o.loss == o.mean_loss


@pytest.mark.other_kinds
def test_what_cannot_be_searched_is_refused_by_name():
    X, y, Xt, yt = rows(n=8, d=2)
    data = gf.LinearData.from_features(X, y)
    with pytest.raises(ValueError, match="X_test and y_test go with objective='test'"):
        gf.optimize(data, 2, 5, X_test=Xt, y_test=yt)  # pyright: ignore
    with pytest.raises(ValueError, match="objective must be one of 'train', 'test', 'folds'"):
        gf.optimize(data, 2, 5, objective="validation")  # pyright: ignore
    with pytest.raises(ValueError, match="X_test and y_test go together"):
        gf.optimize(data, 2, 5, objective="test", X_test=Xt)
    with pytest.raises(ValueError, match="makes its own held-out rows"):
        gf.optimize(data, 2, 5, objective="folds", X_test=Xt, y_test=yt)
    with pytest.raises(ValueError, match="takes at least 10 samples"):
        gf.optimize(data, 2, 5, objective="folds")
    with pytest.raises(ValueError, match="budget is not known with objective='test'"):
        gf.optimize(data, 2, 5, budget=100.0, objective="test")  # pyright: ignore
    with pytest.raises(TypeError, match="needs the data"):
        gf.optimize(data.problem, 2, 5, objective="test")  # pyright: ignore
