"""Simulated runs: the batches are fair, the update is the textbook's, and the mean is what an exact theory says."""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections import Counter

import numpy as np
import pytest

import genfun as gf
from genfun.data import gaussian, translation_invariant
from genfun.experiments import agree, simulate
from genfun.experiments.simulation import engine
from genfun.experiments.simulation.backend import NumPyBackend
from genfun.experiments.simulation.batches import batches

# The function of the same name hides the module.
MODULE = importlib.import_module("genfun.experiments.simulation.simulate")
LAM = np.array([1.0, 0.5, 0.2, 0.1, 0.05])
SIGNAL = np.array([0.5, 0.2, 0.3, 0.1, 0.2])


def draw(n: int, b: int, count: int, replacement: bool = False) -> np.ndarray:
    return np.stack(list(itertools.islice(batches(np.random.default_rng(0), n, b, replacement), count)))


def chi_square_is_plausible(counts: list[int], cells: int) -> bool:
    expected = sum(counts) / cells
    statistic = sum((c - expected) ** 2 / expected for c in counts) + (cells - len(counts)) * expected
    # Mean cells - 1, variance 2 (cells - 1): five standard deviations.
    return abs(statistic - (cells - 1)) < 5.0 * np.sqrt(2.0 * (cells - 1))


@pytest.mark.parametrize(("n", "b"), [(6, 3), (7, 2), (5, 4), (40, 1)])
def test_every_subset_is_equally_likely_by_either_way_of_drawing(n, b):
    subsets = Counter(tuple(sorted(batch)) for batch in draw(n, b, 20_000))
    cells = len(list(itertools.combinations(range(n), b)))
    assert all(len(set(s)) == b for s in subsets)
    assert chi_square_is_plausible(list(subsets.values()), cells)


def test_large_batches_are_fair_subsets_too():
    n, b = 9, 7
    assert b * b > 4 * n
    subsets = Counter(tuple(sorted(batch)) for batch in draw(n, b, 20_000))
    assert all(len(set(s)) == b for s in subsets)
    assert chi_square_is_plausible(list(subsets.values()), 36)


def test_with_replacement_every_pair_is_equally_likely():
    pairs = Counter(map(tuple, draw(5, 2, 20_000, replacement=True)))
    assert chi_square_is_plausible(list(pairs.values()), 25)


@pytest.mark.parametrize("beta", [0.0, 0.7, -0.4])
@pytest.mark.parametrize(("b", "outputs"), [(1, 1), (3, 2), (30, 2)])
def test_a_run_is_textbook_sgd_on_the_samples(beta, b, outputs):
    # In the space of the features, with the update written out and the loss summed over the samples.
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((40, 4)) * [1.0, 0.7, 0.4, 0.2], rng.standard_normal((40, outputs))
    runs = simulate(gf.LinearData.from_features(X, y), gf.SGD(0.1, beta, b), steps=30, replicas=2, seed=5)
    for r, child in enumerate(np.random.SeedSequence(5).spawn(2)):
        w, v, losses = np.zeros((4, outputs)), np.zeros((4, outputs)), []
        source = batches(np.random.default_rng(child), 40, b, False)
        for _ in range(31):
            losses.append(np.sum((X @ w - y) ** 2) / (2 * 40))
            B = next(source)
            v = beta * v - 0.1 * X[B].T @ (X[B] @ w - y[B]) / b
            w = w + v
        np.testing.assert_allclose(runs.loss[r], losses, rtol=1e-11)


def test_full_batch_is_gradient_descent():
    data = gaussian(LAM, SIGNAL, 32, seed=0, noise_variance=0.1)
    for b in (None, 32):
        runs = simulate(data, gf.SGD(0.7, 0.3, b), steps=50, replicas=3)
        np.testing.assert_allclose(
            runs.mean, gf.predict(data.problem, gf.SGD(0.7, 0.3, b), runs.steps).loss, rtol=1e-11
        )
        assert runs.sem.max() < 1e-15


@pytest.mark.slow
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(("b", "alpha", "beta"), [(1, 0.25, 0.0), (4, 0.4, 0.6), (12, 1.0, -0.5)])
def test_the_mean_is_the_exact_theory_of_translation_invariant_data(b, alpha, beta, replacement):
    # N = 16: gamma is 1/b * (16 - b)/15 without replacement, so that (12, ...) tells the two apart by a factor 3.75.
    data = translation_invariant(LAM, SIGNAL, n_samples=16, noise_variance=0.2)
    m = gf.SGD(alpha, beta, b, replacement)
    runs = simulate(data, m, steps=60, replicas=4000, record=[0, 1, 2, 5, 20, 60])
    result = agree(gf.predict(data.problem, m, runs.steps), runs, relative=1e-9, sigmas=4.0)
    assert result.agrees, result.table()
    assert result.sem[-1] < 0.03 * result.mean[-1]


def test_a_run_does_not_depend_on_how_many_others_there_are(monkeypatch):
    data, m = gaussian(LAM, SIGNAL, 200, seed=0), gf.SGD(0.3, 0.5, 3)
    many = simulate(data, m, 40, 7, "cpu", 3)
    np.testing.assert_allclose(simulate(data, m, 40, 3, "cpu", 3).loss, many.loss[:3], rtol=1e-12)
    np.testing.assert_array_equal(simulate(data, m, 17, 7, "cpu", 3).loss, many.loss[:, :18])
    monkeypatch.setattr(NumPyBackend, "chunk_bytes", 1)
    np.testing.assert_allclose(simulate(data, m, 40, 7, "cpu", 3).loss, many.loss, rtol=1e-12)
    assert np.unique(many.loss[:, -1]).size == 7
    assert not np.allclose(simulate(data, m, 40, 7, "cpu", 4).loss[:, -1], many.loss[:, -1])


def test_gathered_and_dense_gradients_agree(monkeypatch):
    rng = np.random.default_rng(2)
    data = gf.LinearData.from_features(rng.standard_normal((30, 4)), rng.standard_normal((30, 3)))
    for m in (gf.SGD(0.1, 0.5, 6), gf.SGD(0.1, 0.5, 6, replacement=True)):
        losses = []
        for dense in (True, False):
            monkeypatch.setattr(engine, "is_dense", lambda n, b, rows, dense=dense: dense)
            losses.append(simulate(data, m, 30, 5, "cpu").loss)
        np.testing.assert_allclose(*losses, rtol=1e-11)


def test_rows_added_up_where_they_lie_are_those_that_were_copied(monkeypatch):
    rng = np.random.default_rng(2)
    data = gf.LinearData.from_features(rng.standard_normal((60, 80)) / 9.0, rng.standard_normal(60))
    # With replacement a sample may be twice in a batch; the first step of Nesterov's momentum has a kick of its own.
    for m in (gf.SGD(0.1, 0.5, 6), gf.SGD(0.1, 0.5, 6, replacement=True), gf.SGD(0.1, 0.5, 6, nesterov=True)):
        losses = []
        for least in (0, np.inf):
            monkeypatch.setattr(engine, "WORTH_SPARSE", least)
            losses.append(simulate(data, m, 30, 5, "cpu").loss)
        # The order of sums differs, which 30 steps of 6 terms round.
        np.testing.assert_allclose(*losses, rtol=1e-11)
        assert losses[0].min() < 0.9 * losses[0][0, 0]
        assert (losses[0] != losses[1]).any()


def test_divergence_is_inf_not_nan_and_is_counted():
    data = translation_invariant(LAM, SIGNAL)
    with np.errstate(all="raise"):
        runs = simulate(data, gf.SGD(10.0, 0.5, 1), steps=2000, replicas=4)
    assert runs.diverged == 1.0
    assert np.isinf(runs.loss[:, -1]).all()
    assert np.isinf(runs.mean[-1])
    assert np.isinf(runs.sem[-1])
    assert "100 % ended above" in repr(runs)
    assert agree(gf.predict(data.problem, runs.method, [2000]), runs).verdict == ("undecided",)


def test_recorded_steps_are_those_of_the_whole_run():
    data, m = translation_invariant(LAM, SIGNAL), gf.SGD(0.1, batch_size=2)
    whole = simulate(data, m, steps=20, replicas=3)
    some = simulate(data, m, steps=20, replicas=3, record=[20, 3, 3])
    np.testing.assert_array_equal(some.steps, [3, 20])
    np.testing.assert_array_equal(some.loss, whole.loss[:, [3, 20]])
    assert simulate(data, m, steps=0, replicas=2).loss.shape == (2, 1)


def test_progress_rises_to_one():
    seen: list[float] = []
    simulate(
        translation_invariant(LAM, SIGNAL), gf.SGD(0.1, batch_size=1), 50, 4, progress=lambda f, stage: seen.append(f)
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"device": "gpu"}, ValueError, "device must be 'auto', 'cpu', 'torch', 'cuda'"),
        ({"device": "cuda:x"}, ValueError, "device must be 'auto', 'cpu', 'torch', 'cuda'"),
        ({"device": 0}, TypeError, "device"),
        ({"steps": -1}, ValueError, "steps must be at least 0"),
        ({"steps": 1.5}, TypeError, "steps must be an integer"),
        ({"replicas": 0}, ValueError, "replicas must be at least 1"),
        ({"seed": -1}, ValueError, "seed"),
        ({"record": [11]}, ValueError, "record must lie in 0..steps=10"),
        ({"record": "linear"}, ValueError, "record must be None, 'log' or step numbers"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of 'float64', 'float32'"),
        ({"order": "sorted"}, ValueError, "order must be one of 'fresh', 'epochs'"),
        ({"order": "epochs", "method": gf.SGD(0.1, 0.0, 2, True)}, ValueError, "draws without replacement"),
        ({"method": gf.SGD(0.1, batch_size=9)}, ValueError, "batch_size must be at most n_samples=8"),
        ({"data": gf.LinearProblem([1.0], [1.0])}, TypeError, "data must be a LinearData"),
    ],
)
def test_bad_arguments_are_named(change, error, words, monkeypatch):
    # Without the shape checks of the tests, as users run it.
    monkeypatch.setattr(MODULE, "simulate_many", inspect.unwrap(MODULE.simulate_many))
    arguments = {"data": translation_invariant(LAM, SIGNAL), "method": gf.SGD(0.1), "steps": 10, "replicas": 2}
    with pytest.raises(error, match=words):
        inspect.unwrap(simulate)(**(arguments | change))


def test_agreement_finds_what_differs():
    data, m = translation_invariant(LAM, SIGNAL), gf.SGD(0.3, batch_size=1)
    runs = simulate(data, m, steps=30, replicas=1000)
    true = agree(gf.predict(data.problem, m, runs.steps), runs)
    assert true.agrees
    assert abs(true.z[1:]).max() < 4.0
    # Half the noise: gamma off by a factor 2.
    wrong = agree(gf.predict(data.problem, m, runs.steps, noise=gf.SpectrallyExpressible(0.5, 0.5)), runs)
    assert not wrong.agrees
    assert "differs" in wrong.table()
    assert "differs" in repr(wrong)
    with pytest.raises(ValueError, match="use one method"):
        agree(gf.predict(data.problem, gf.SGD(0.2), [1]), runs)
    with pytest.raises(ValueError, match="none in common"):
        agree(gf.predict(data.problem, m, [31]), runs)
