"""One shuffle an epoch: the closure against fresh batches, a plain reference, and runs of data loaders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.answers.epochs import pairs_of_data
from genfun.engine import epochs
from genfun.engine.epochs import groups, pair_closure, pairs_of_problem
from genfun.experiments import simulate
from genfun.methods import SGD

K = np.arange(1.0, 21.0)
NOISE = gf.SpectrallyExpressible(1.0, 0.3)


def _problem(n):
    return gf.LinearProblem(K**-1.5, K**-1.0, n_samples=n, noise_variance=0.05)


@cache
def _data():
    """Correlated features of few samples with tails, as clinical tables have, and a target with a little noise."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(240, 10)) * np.exp(0.2 * rng.normal(size=(240, 1)))
    X = base @ (rng.normal(size=(10, 10)) * K[:10] ** -0.7)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    target = X @ rng.normal(size=10)
    return gf.LinearData.from_features(X, target + 0.1 * rng.normal(size=240)).normalized()


@cache
def _digits():
    return gf.data.mnist(150)


SETS = {"table": _data, "mnist": _digits}


@pytest.mark.parametrize(("b", "beta"), [(1, 0.0), (4, 0.5), (2, -0.4)])
def test_an_epoch_without_end_is_the_recursion_of_fresh_batches(b, beta):
    # omega = b/(N - 1) is the only place where N remains when it is large.
    n = 10**9
    loss, _ = pair_closure(pairs_of_problem(_problem(n), NOISE), SGD(0.1, beta, b), 60)
    fresh = gf.predict(_problem(n), SGD(0.1, beta, b), np.arange(61), NOISE).loss
    assert np.allclose(loss, fresh, rtol=60 * 100 * b / n, atol=0.0)


def test_the_first_step_is_that_of_a_fresh_batch():
    # Nothing has been visited before it; the second step already differs.
    pairs = pairs_of_problem(_problem(40), NOISE)
    loss, logged = pair_closure(pairs, SGD(0.3, 0.0, 8), 3)
    fresh = gf.predict(_problem(40), SGD(0.3, 0.0, 8), np.arange(4), NOISE).loss
    assert np.allclose(loss[:2], fresh[:2], rtol=1e-12)
    assert abs(loss[2] / fresh[2] - 1.0) > 1e-3
    # The batch to come is as good a sample as any at the start, and has a larger loss after one step.
    assert logged[0] == pytest.approx(loss[0], rel=1e-12)
    assert logged[1] > loss[1]


def test_one_epoch_of_single_samples_in_one_mode_is_exact():
    # One mode with phi^2 = lambda at every sample and no noise: every step is w' = (1 - a) w, in any order.
    problem = gf.LinearProblem([0.5], [1.0], n_samples=10)
    loss, logged = pair_closure(pairs_of_problem(problem, gf.SpectrallyExpressible()), SGD(0.4, 0.0, 1), 30)
    assert np.allclose(loss, 0.5 * 0.8 ** (2 * np.arange(31)), rtol=1e-12)
    assert np.allclose(logged, loss, rtol=1e-12)


@pytest.mark.parametrize(("b", "beta"), [(1, 0.0), (8, 0.5), (2, -0.3), (None, 0.3)])
def test_compiled_loops_and_arrays_are_the_same(b, beta, monkeypatch):
    pairs = pairs_of_data(_data())
    doubts = np.empty((2, 301)), np.empty((2, 301))
    with monkeypatch.context() as plain:
        plain.setattr(epochs, "stepper", lambda steps: epochs.advance)
        slow = pair_closure(pairs, SGD(0.05, beta, b), 300, doubts[0])
    if epochs.compiled() is None:
        pytest.skip("needs numba")
    monkeypatch.setattr(epochs, "WORTH_COMPILING", 0)
    for found, expected in zip(pair_closure(pairs, SGD(0.05, beta, b), 300, doubts[1]), slow, strict=True):
        assert np.allclose(found, expected, rtol=1e-11)
    assert np.allclose(*doubts, rtol=1e-10)


def test_a_full_batch_is_gradient_descent():
    found = gf.epochs_curve(_data(), SGD(0.4, 0.3), np.arange(20))
    assert np.allclose(found.loss, gf.predict(_data(), SGD(0.4, 0.3), np.arange(20)).loss, rtol=1e-10)
    assert found.status == "ok"
    assert found.epoch == 1


def test_fourth_moments_are_means_over_samples_and_the_modes_of_a_group():
    data = _digits()
    pairs, group = pairs_of_data(data), groups(data.eigenvalues)
    squares = data.eigenfeatures**2
    whole = squares.T @ squares / data.n_samples
    for k, m in ((0, 0), (3, 20), (pairs.lam.size - 1, pairs.lam.size - 2)):
        expected = whole[np.ix_(group == k, group == m)].mean()
        assert pairs.fourth[k, m] == pytest.approx(expected, rel=1e-9)
    label = (squares * (data.residuals**2).sum(axis=1)[:, None]).mean(axis=0)
    assert np.allclose(pairs.label * pairs.count, np.bincount(group, label), atol=1e-12)
    assert pairs.count @ pairs.lam == pytest.approx(data.eigenvalues.sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("b", "beta"), [(1, 0.0), (8, 0.5), (2, -0.3)])
def test_runs_of_a_shuffling_loader_have_the_predicted_mean(name, b, beta):
    data = SETS[name]()
    method = SGD(0.3 * gf.max_learning_rate(data, beta, b), beta, b)
    each = data.n_samples // b
    steps = np.array([each // 2, each, each + each // 2, 5 * each])
    runs = simulate(data, method, steps=int(steps[-1]), replicas=200, record=steps, seed=3, order="epochs")
    found = gf.epochs_curve(data, method, steps)
    assert found.status == "ok"
    assert (np.abs(found.loss - runs.mean) < 2.5 * runs.sem + 0.03 * runs.mean).all()
    # The theory of fresh batches would fail this test.
    fresh = gf.predict(data, method, steps).loss
    assert (np.abs(fresh - runs.mean) > 2.5 * runs.sem + 0.03 * runs.mean).any()


def test_the_logged_loss_is_that_of_a_loop_that_prints_before_it_steps():
    data, b, rate = _data(), 4, 0.05
    phi, y, n = data.eigenfeatures, data.targets[:, 0], data.n_samples
    runs, each, rng = 400, n // b, np.random.default_rng(5)
    w = np.zeros((runs, data.rank))
    logged = np.zeros((2 * each, runs))
    for epoch in range(2):
        order = rng.permuted(np.tile(np.arange(n), (runs, 1)), axis=1)
        for t in range(each):
            batch = order[:, t * b : (t + 1) * b]
            left = np.einsum("rbk,rk->rb", phi[batch], w) - y[batch]
            logged[epoch * each + t] = 0.5 * (left**2).mean(axis=1)
            w -= rate * np.einsum("rbk,rb->rk", phi[batch], left) / b
    found = gf.epochs_curve(data, SGD(rate, 0.0, b), np.arange(2 * each))
    for epoch in range(2):
        part = slice(epoch * each, (epoch + 1) * each)
        means = logged[part].mean(axis=0)
        error = 2.5 * means.std() / np.sqrt(runs)
        assert abs(found.logged_loss[part].mean() - means.mean()) < 0.03 * means.mean() + error
        # In the second epoch a sample of the batch has not been seen for longer than others.
        assert found.logged_loss[part].mean() > found.loss[part].mean()


@dataclass(frozen=True)
class Shuffled(SGD):
    """SGD whose loader shuffles once an epoch."""

    sampling: str = "epochs"


def test_predict_follows_epochs_where_the_method_says_so():
    data, steps = _data(), np.array([[0, 30], [500, 7]])
    edge = gf.max_learning_rate(data, 0.0, 4)
    found = gf.predict(data, Shuffled(0.3 * edge, 0.0, 4), steps)
    curve = gf.epochs_curve(data, SGD(0.3 * edge, 0.0, 4), steps)
    assert found.loss.shape == (2, 2)
    assert (found.loss == curve.loss).all()
    assert (found.status, found.route) == ("ok", "epochs")
    assert gf.predict(data, replace(Shuffled(0.8 * edge, 0.0, 4)), steps).status == "epochs uncertain"
    assert gf.predict(data, Shuffled(0.3 * edge, 0.0, 4, sampling="fresh"), steps).route != "epochs"


def test_the_status_tells_the_tested_range_from_what_lies_beyond():
    data = _data()
    edge = gf.max_learning_rate(data, 0.0, 2)
    assert gf.epochs_curve(data, SGD(0.69 * edge, 0.0, 2), 10).status == "ok"
    beyond = gf.epochs_curve(data, SGD(0.71 * edge, 0.0, 2), 10)
    assert beyond.status == "beyond the tested range"
    assert beyond.share_of_edge == pytest.approx(0.71, rel=1e-6)
    assert gf.epochs_curve(data, SGD(50.0 * edge, 0.0, 2), 3000).status == "diverges"


@pytest.mark.other_kinds
def test_what_epochs_cannot_follow_is_refused():
    with pytest.raises(ValueError, match="n_samples must be given"):
        gf.epochs_curve(gf.LinearProblem([1.0], [1.0]), SGD(0.1, 0.0, 1), 5)
    with pytest.raises(ValueError, match="replacement must be False"):
        gf.epochs_curve(_data(), SGD(0.1, 0.0, 1, replacement=True), 5)
    method: Any = gf.ScheduledSGD([0.1] * 5, 0.0, 1)
    with pytest.raises(TypeError, match="method must be an SGD"):
        gf.epochs_curve(_data(), method, 5)
    with pytest.raises(ValueError, match="batch_size must be at most"):
        gf.epochs_curve(_data(), SGD(0.1, 0.0, 1000), 5)


def test_a_power_law_with_modes_is_the_list_of_its_modes():
    law = gf.PowerLaw(1.5, 0.5, n_modes=200, n_samples=400, noise_variance=0.1)
    modes = gf.LinearProblem(law.eigenvalues, law.signal, 400, 0.1)
    method = SGD(0.05, 0.4, 4, sampling="epochs")
    found = gf.predict(law, method, [10, 300])
    assert (found.loss == gf.predict(modes, method, [10, 300]).loss).all()
    assert found.logged_loss is not None
    assert (found.logged_loss == gf.epochs_curve(law, SGD(0.05, 0.4, 4), [10, 300]).logged_loss).all()
    assert gf.predict(law, SGD(0.05, 0.4, 4), 10).logged_loss is None
    with pytest.raises(ValueError, match="n_samples must be given with epochs"):
        gf.predict(gf.PowerLaw(1.5, 0.5, n_modes=200), method, 10)
    with pytest.raises(ValueError, match="set n_modes"):
        gf.predict(gf.PowerLaw(1.5, 0.5, n_samples=400), method, 10)
    with pytest.raises(ValueError, match="averaged weights: not derived with sampling='epochs'"):
        gf.predict(law, gf.Averaged(method), 10)


def test_the_edge_of_epochs_is_that_of_fresh_batches():
    data = _data()
    shuffled = SGD(1.0, 0.3, 4, sampling="epochs")
    assert gf.max_learning_rate(data, method=shuffled) == gf.max_learning_rate(data, 0.3, 4)
    assert gf.max_learning_rate(data, method=gf.Averaged(shuffled)) == gf.max_learning_rate(data, 0.3, 4)


def test_a_simulation_shuffles_where_the_method_says_so():
    data = _data()
    asked = simulate(data, SGD(0.1, 0.0, 4, sampling="epochs"), 70, 2)
    ordered = simulate(data, SGD(0.1, 0.0, 4), 70, 2, order="epochs")
    assert asked.order == "epochs"
    assert (asked.loss == ordered.loss).all()
    with pytest.raises(ValueError, match="run them apart"):
        gf.experiments.simulate_many(data, [SGD(0.1, sampling="epochs"), SGD(0.1)], 5, 2)


@pytest.mark.slow
def test_the_best_setting_of_epochs_has_more_momentum_and_less_loss():
    problem, steps = _problem(60), 60
    found = gf.optimize(problem, 2, steps, noise=NOISE, method=SGD(1.0, sampling="epochs"))
    fresh = gf.optimize(problem, 2, steps, noise=NOISE)
    assert found.method.sampling == "epochs"
    assert found.method.momentum > fresh.method.momentum
    shuffled = replace(fresh.method, sampling="epochs")
    assert found.loss < gf.predict(problem, shuffled, steps, NOISE).loss
    assert found.loss == gf.predict(problem, found.method, steps, NOISE).loss
    # No neighbour is better.
    rate, beta = found.method.learning_rate, found.method.momentum
    for other in ((0.9 * rate, beta), (1.1 * rate, beta), (rate, beta - 0.02), (rate, beta + 0.01)):
        assert gf.predict(problem, SGD(*other, 2, sampling="epochs"), steps, NOISE).loss > found.loss * (1.0 - 1e-3)
    low, high = found.learning_rate_range
    assert low < rate < high
    assert gf.predict(problem, replace(found.method, learning_rate=low), steps, NOISE).loss == pytest.approx(
        1.05 * found.loss, rel=0.01
    )
    with pytest.raises(ValueError, match="budget is not known"):
        gf.optimize(problem, 2, budget=100, method=SGD(1.0, sampling="epochs"))


def test_several_outputs_in_epochs_are_the_sum_of_single_ones() -> None:
    rng = np.random.default_rng(0)
    X = np.exp(0.7 * rng.standard_normal((60, 4)))
    y = X @ rng.standard_normal((4, 3)) + rng.standard_normal((60, 3))
    method, steps = gf.SGD(0.02, batch_size=4), [7, 15, 60]
    whole, *parts = (gf.LinearData.from_features(X, z) for z in (y, *y.T))
    # Of the closure exactly; what other fourth moments make of it is a factor of all outputs together.
    for one, each in zip(
        pair_closure(pairs_of_data(whole), method, 60),
        zip(*(pair_closure(pairs_of_data(part), method, 60) for part in parts), strict=True),
        strict=True,
    ):
        np.testing.assert_allclose(one, sum(each), rtol=1e-12)
    found, *apart = (gf.epochs_curve(data, method, steps) for data in (whole, *parts))
    np.testing.assert_allclose(found.loss, sum(p.loss for p in apart), rtol=1e-3)
    np.testing.assert_allclose(found.logged_loss, sum(p.logged_loss for p in apart), rtol=1e-3)


@cache
def _offset():
    """Breast Cancer Wisconsin standardised, its target not centred: residuals and features go together."""
    table = np.loadtxt(Path(__file__).resolve().parents[2] / "docs/data/breast_cancer.csv", delimiter=",", skiprows=1)
    X, y = table[:, :-1], table[:, -1]
    return gf.LinearData.from_features((X - X.mean(axis=0)) / X.std(axis=0), y)


@pytest.mark.slow
def test_products_of_more_than_two_features_are_taken_over_from_fresh_batches():
    # In their pairs alone, the excess loss after one epoch is 14 % low, eight times as much as these runs err.
    data, b = _offset(), 8
    rate, each, floor = 0.6 * gf.max_learning_rate(data, 0.0, b), data.n_samples // b, 0.5 * data.noise_variance
    steps, runs, rng = np.array([each // 2, each]), 8000, np.random.default_rng(0)
    phi, y = data.eigenfeatures, data.targets[:, 0]
    order = rng.permuted(np.tile(np.arange(data.n_samples, dtype=np.int32), (runs, 1)), axis=1)
    w, seen = np.zeros((runs, data.rank)), []
    for t in range(each):
        batch = order[:, t * b : (t + 1) * b]
        rows = phi[batch]
        left = np.matmul(rows, w[:, :, None])[:, :, 0] - y[batch]
        w -= rate / b * np.matmul(left[:, None, :], rows)[:, 0]
        if t + 1 in steps:
            seen.append((w - data.coefficients[:, 0]) ** 2 @ data.eigenvalues / 2.0)
    mean, sem = np.mean(seen, axis=1), np.std(seen, axis=1) / runs**0.5
    found = gf.epochs_curve(data, SGD(rate, 0.0, b), steps)
    assert found.status == "ok"
    assert (sem < 0.02 * mean).all()
    assert (np.abs(found.loss - floor - mean) < 2.5 * sem + 0.02 * mean).all()
    alone, _ = pair_closure(pairs_of_data(data), SGD(rate, 0.0, b), each)
    assert (alone[steps] - floor < 0.9 * mean).all()


def test_an_answer_that_rests_on_products_of_many_features_is_uncertain():
    data = _offset()
    method = SGD(0.69 * gf.max_learning_rate(data, 0.0, 1), 0.0, 1)
    assert gf.epochs_curve(data, method, [100, 300]).status == "correlated features"
    assert gf.predict(data, replace(method, sampling="epochs"), [100, 300]).status == "epochs uncertain"
    # In the first steps batches are as good as fresh, and the answer is that of fresh ones.
    early = gf.epochs_curve(data, method, [1, 3])
    assert early.status == "ok"
    assert np.allclose(early.loss, gf.predict(data, method, [1, 3]).loss, rtol=0.01)


def test_without_memory_the_closure_is_the_recursion_of_fresh_batches():
    loss, logged = pair_closure(pairs_of_problem(_problem(40), NOISE), SGD(0.1, 0.5, 4), 60, memory=0.0)
    fresh = gf.predict(_problem(40), SGD(0.1, 0.5, 4), np.arange(61), NOISE).loss
    assert np.allclose(loss, fresh, rtol=1e-10)
    assert np.allclose(logged, fresh, rtol=1e-10)
