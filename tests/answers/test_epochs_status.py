"""One shuffle an epoch: where the answer is trusted, where it is uncertain, and where it is impossible."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import genfun as gf
from genfun.answers.epochs import effective_samples, pairs_of_data
from genfun.engine.epochs import pair_closure
from genfun.experiments import simulate
from genfun.methods import SGD

K = np.arange(1.0, 21.0)


def _one_hot():
    """Four columns of one row kind each, without noise."""
    X = np.eye(4)[np.repeat(range(4), [20, 10, 8, 4])]
    return gf.LinearData.from_features(X, X @ [1.0, -2.0, 3.0, 0.5])


def test_effective_samples_are_counted_by_leverage():
    data = gf.data.gaussian(K**-1.5, K**-1.0, 80, seed=1, noise_variance=0.05)
    h = (data.eigenfeatures**2 / data.eigenvalues).sum(axis=1)
    assert effective_samples(pairs_of_data(data)) == pytest.approx(h.sum() ** 2 / (h @ h), rel=1e-9)
    # Every sample of an interpolating kernel has leverage 1, and groups of near modes hardly change that.
    assert effective_samples(pairs_of_data(gf.data.mnist(150))) == pytest.approx(150.0, rel=0.02)


def test_losses_that_no_run_has_are_said_to_be_impossible():
    data = _one_hot()
    found = gf.predict(data, SGD(0.4, 0.0, 1, sampling="epochs"), 42)
    assert found.loss < 0.0
    assert found.status == "epochs uncertain"
    assert found.noise_error == np.inf
    assert "noise error about inf" in repr(found)
    curve = gf.epochs_curve(data, SGD(0.4, 0.0, 1), 42)
    assert curve.status == "impossible"
    assert "simulate" in curve.meaning
    # A loss that is positive once more does not undo what came before.
    whole = gf.epochs_curve(data, SGD(0.4, 0.0, 1), np.arange(200)).loss
    later = 43 + int(np.argmax(whole[43:] > 0.0))
    assert whole[later] > 0.0
    assert gf.epochs_curve(data, SGD(0.4, 0.0, 1), later).status == "impossible"


@pytest.mark.slow
def test_the_best_setting_is_none_whose_loss_is_impossible():
    data = _one_hot()
    found = gf.optimize(data, 1, 42, momentum=0.0, method=SGD(1.0, sampling="epochs"))
    there = gf.predict(data, found.method, 42)
    assert there.noise_error != np.inf
    assert found.loss == there.loss > 0.0
    assert (found.status, there.status) == ("epochs uncertain", "epochs uncertain")
    assert "epochs uncertain" in repr(found)
    assert "need not be the best" in repr(found)
    # What it says to compare with is better by far.
    fresh = gf.optimize(data, 1, 42, momentum=0.0)
    of_fresh, of_this = (
        simulate(data, m, 42, 50, "cpu", 3, [42], order="epochs").mean[0] for m in (fresh.method, found.method)
    )
    assert of_fresh < 1e-6 * of_this
    runs = simulate(data, found.method, steps=42, replicas=50, record=[42], seed=3)
    assert found.loss > 0.5 * runs.mean[0]  # no zero that no run reaches


def _categories():
    """Zipf's frequencies in one-hot columns, no noise; an epoch takes (1 - alpha)^n of a category of n rows."""
    rows = np.round(300.0 / np.arange(1.0, 16.0) / (1.0 / np.arange(1.0, 16.0)).sum()).astype(int)
    X, w = np.eye(15)[np.repeat(range(15), rows)], np.random.default_rng(0).standard_normal(15)
    return gf.LinearData.from_features(X, X @ w), rows, w


@pytest.mark.parametrize(("alpha", "status"), [(0.014, "ok"), (0.05, "ok"), (0.13, "rare features")])
def test_categories_whose_rare_ones_carry_the_loss_are_told(alpha, status):
    data, rows, w = _categories()
    epochs = np.array([1, 2, 4])
    each = rows.sum()
    exact = 0.5 * (rows / each * w**2 * (1.0 - alpha) ** (2 * rows * epochs[:, None])).sum(axis=1)
    found = gf.epochs_curve(data, SGD(alpha, 0.0, 1), epochs * each)
    off = np.abs(found.loss / exact - 1.0)
    assert found.status == status
    # As said of `LEFT_OUT`: up to 5 % where it is trusted, more where it is not.
    assert (off.max() < 0.05) == (status == "ok")
    # The account is per step: before rare categories carry the loss, the answer is right and trusted.
    early = gf.predict(data, SGD(alpha, 0.0, 1, sampling="epochs"), 20)
    late = gf.predict(data, SGD(alpha, 0.0, 1, sampling="epochs"), int(4 * each))
    assert (early.status, late.status) == ("ok", "ok" if status == "ok" else "epochs uncertain")


def test_what_is_left_out_is_what_the_closure_is_off_in_one_rare_category():
    # To second order: of it alone, twice, for what is left out slows what makes it.
    X = (np.arange(200) < 6).astype(float)
    data = gf.LinearData.from_features(X[:, None], X)
    for alpha in (0.05, 0.1, 0.2):
        doubt = np.empty((2, 201))
        loss, _ = pair_closure(pairs_of_data(data), SGD(alpha, 0.0, 1), 200, doubt)
        off = 0.5 * 6.0 / 200.0 * (1.0 - alpha) ** 12 - loss[-1]
        assert 1.0 < doubt[1, -1] / off < 3.0


def _few(kind):
    rng = np.random.default_rng(0)
    n = {"log-normal": 50, "Student t": 51, "indicator": 60, "Gaussian": 80, "uneven": 260}[kind]
    if kind == "Gaussian":
        return gf.data.gaussian(K**-1.5, K**-1.0, n, seed=1, noise_variance=0.05)
    draws = {
        "log-normal": lambda: np.exp(rng.standard_normal((n, 6))),
        "Student t": lambda: rng.standard_t(3, (n, 6)),
        "uneven": lambda: np.exp(0.7 * rng.standard_normal((n, 6))),
        "indicator": lambda: np.column_stack([rng.standard_normal((n, 5)), np.arange(n) < 3]),
    }
    X = draws[kind]()
    return gf.LinearData.from_features(X, X @ rng.standard_normal(6) + rng.standard_normal(n))


@pytest.mark.parametrize("kind", ["log-normal", "Student t", "indicator", "Gaussian", "uneven"])
def test_few_effective_samples_are_uncertain_and_a_full_batch_is_not(kind):
    data = _few(kind)
    method = SGD(0.2 * gf.max_learning_rate(data, 0.0, 16), 0.0, 16, sampling="epochs")
    found = gf.predict(data, method, [3, 9])
    assert kind != "uneven" or 100.0 < effective_samples(pairs_of_data(data)) < 150.0
    assert found.status == "epochs uncertain"
    assert np.isnan(found.noise_error).all()
    assert gf.predict(data, replace(method, batch_size=None), [3, 9]).status == "ok"
    assert gf.predict(data, replace(method, learning_rate=0.24 * method.learning_rate), [3, 9]).status == "ok"


@pytest.mark.slow
def test_validated_data_are_ok_up_to_the_tested_share():
    table = np.loadtxt(Path(__file__).resolve().parents[2] / "docs/data/breast_cancer.csv", delimiter=",", skiprows=1)
    X, y = table[:, :-1], table[:, -1]
    clinic = gf.LinearData.from_features((X - X.mean(axis=0)) / X.std(axis=0), y - y.mean())
    for data in (clinic, gf.data.mnist(300)):
        for b, share in ((1, 0.6), (8, 0.69)):
            rate = share * gf.max_learning_rate(data, 0.0, b)
            assert gf.predict(data, SGD(rate, 0.0, b, sampling="epochs"), [10, 300]).status == "ok"
