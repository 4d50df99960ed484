"""One shuffle an epoch under torch's options: limits that are exact, loops written apart, and what is refused."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from torch_moments import mean_losses

import genfun as gf
from genfun.engine import epochs
from genfun.engine.epochs import pair_closure, pairs_of_problem

K = np.arange(1.0, 13.0)
NOISE = gf.SpectrallyExpressible(1.2, 0.7)
OPTIONS: list[dict[str, Any]] = [
    {"momentum": 0.5, "nesterov": True},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": -0.3, "dampening": 0.4, "weight_decay": 0.05},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.05},
]


def _problem(n: int) -> gf.LinearProblem:
    return gf.LinearProblem(K**-1.5, K**-1.0, n_samples=n, noise_variance=0.05)


@cache
def _data() -> gf.LinearData:
    return gf.data.gaussian(K**-1.5, K**-1.0, 160, seed=1, noise_variance=0.05)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_epoch_without_end_is_the_recursion_of_fresh_batches(options: dict[str, Any]) -> None:
    # omega = b/(N - 1) is the only place where N remains when it is large; its part is 60 steps of 1e-14 at most.
    n = 10**15
    loss, _ = pair_closure(pairs_of_problem(_problem(n), NOISE), gf.SGD(0.1, batch_size=5, **options), 60)
    rest = {name: x for name, x in options.items() if name != "momentum"}
    fresh = mean_losses(K**-1.5, K**-1.0, 60, 0.1, options["momentum"], 0.2, (1.2, 0.7), 0.05, **rest)
    np.testing.assert_allclose(loss, fresh, rtol=3e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_one_mode_whose_samples_are_all_alike_is_exact_in_any_order(options: dict[str, Any]) -> None:
    # The memory of a sample is nothing but that of all: it enters, and has to leave the mean as a loop has it.
    problem = gf.LinearProblem([0.5], [1.0], n_samples=10)
    method = gf.SGD(0.4, batch_size=1, **options)
    loss, logged = pair_closure(pairs_of_problem(problem, gf.SpectrallyExpressible()), method, 35)
    w, buffer, expected, optimum = 0.0, 0.0, [], 2.0**0.5
    for step in range(36):
        expected.append(0.25 * (w - optimum) ** 2)
        gradient = 0.5 * (w - optimum) + method.weight_decay * w
        buffer = method.momentum * buffer + (1.0 if step == 0 else 1.0 - method.dampening) * gradient
        w -= 0.4 * (gradient + method.momentum * buffer if method.nesterov else buffer)
    np.testing.assert_allclose(loss, expected, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(logged, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_full_batch_is_gradient_descent(options: dict[str, Any]) -> None:
    method, steps = gf.SGD(0.2, **options), [0, 1, 2, 20]
    np.testing.assert_allclose(
        gf.epochs_curve(_data(), method, steps).loss, gf.predict(_data(), method, steps).loss, rtol=1e-10
    )


@pytest.mark.parametrize("options", OPTIONS[1:4], ids=str)
def test_compiled_loops_and_arrays_are_the_same(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if epochs.compiled() is None:
        pytest.skip("needs numba")
    pairs, method = pairs_of_problem(_problem(40), NOISE), gf.SGD(0.05, batch_size=4, **options)
    doubts = np.empty((2, 61)), np.empty((2, 61))
    with monkeypatch.context() as plain:
        plain.setattr(epochs, "stepper", lambda steps: epochs.advance)
        slow = pair_closure(pairs, method, 60, doubts[0])
    monkeypatch.setattr(epochs, "WORTH_COMPILING", 0)
    np.testing.assert_allclose(pair_closure(pairs, method, 60, doubts[1]), slow, rtol=1e-11)
    np.testing.assert_allclose(*doubts, rtol=1e-10)


def _runs(data: gf.LinearData, method: Any, kept: list[int], runs: int) -> tuple[Any, Any]:
    """Means and standard errors of a loop of torch's, over slices of a shuffle an epoch."""
    phi, y, b = data.eigenfeatures, data.targets[:, 0], method.batch_size
    rng, each, w, losses = np.random.default_rng(3), data.n_samples // b, np.zeros((runs, data.rank)), []
    order, buffer = np.empty((runs, 0), dtype=int), np.zeros_like(w)
    for step in range(kept[-1] + 1):
        if step in kept:
            losses.append(0.5 * ((w @ phi.T - y) ** 2).mean(axis=1))
        if step % each == 0:
            order = rng.permuted(np.tile(np.arange(data.n_samples), (runs, 1)), axis=1)
        batch = phi[order[:, step % each * b : (step % each + 1) * b]]
        left = (batch @ w[:, :, None])[:, :, 0] - y[order[:, step % each * b : (step % each + 1) * b]]
        gradient = (left[:, None] @ batch)[:, 0] / b + method.weight_decay * w
        buffer = method.momentum * buffer + (1.0 if step == 0 else 1.0 - method.dampening) * gradient
        w = w - method.learning_rate * (gradient + method.momentum * buffer if method.nesterov else buffer)
    return np.array([x.mean() for x in losses]), np.array([x.std() for x in losses]) / runs**0.5


@pytest.mark.slow
@pytest.mark.parametrize("options", [OPTIONS[1], OPTIONS[2], OPTIONS[4]], ids=str)
def test_runs_that_shuffle_have_the_predicted_mean(options: dict[str, Any]) -> None:
    data, share = _data(), 0.2
    method = gf.SGD(1.0, batch_size=8, sampling="epochs", **options)
    method = gf.SGD(share * gf.max_learning_rate(data, method=method), batch_size=8, sampling="epochs", **options)
    steps = [10, 20, 50, 100]
    mean, error = _runs(data, method, steps, 400)
    found = gf.predict(data, method, steps)
    assert found.status == "ok"
    assert (np.abs(found.loss - mean) < 2.5 * error + 0.02 * mean).all()
    # The theory of fresh batches would fail this test.
    fresh = gf.predict(data, gf.SGD(method.learning_rate, batch_size=8, **options), steps).loss
    assert (np.abs(fresh - mean) > 2.5 * error + 0.02 * mean).any()


@pytest.mark.slow
def test_the_best_setting_is_of_the_form_that_was_asked_for() -> None:
    template = gf.SGD(1.0, nesterov=True, sampling="epochs")
    found = gf.optimize(_problem(60), 4, 30, momentum=0.5, noise=NOISE, method=template)
    assert (found.method.nesterov, found.method.sampling, found.method.momentum) == (True, "epochs", 0.5)
    assert found.loss == gf.predict(_problem(60), found.method, 30, NOISE).loss
    for factor in (0.8, 1.25):
        other = gf.SGD(factor * found.method.learning_rate, 0.5, 4, nesterov=True, sampling="epochs")
        assert gf.predict(_problem(60), other, 30, NOISE).loss > found.loss


@pytest.mark.parametrize("options", OPTIONS[1:4], ids=str)
def test_answers_know_epochs_or_refuse_them_by_name(options: dict[str, Any]) -> None:
    problem, method = _problem(60), gf.SGD(0.01, batch_size=4, sampling="epochs", **options)
    fresh = gf.SGD(0.01, batch_size=4, **options)
    assert gf.predict(problem, method, 9, NOISE).route == "epochs"
    assert gf.max_learning_rate(problem, noise=NOISE, method=method) == gf.max_learning_rate(
        problem, noise=NOISE, method=fresh
    )
    for ask in (
        lambda: gf.steps_to_loss(problem, method, 0.1, NOISE),
        lambda: gf.spread(problem, method, [3], NOISE),
        lambda: gf.stability(problem, method, NOISE),
    ):
        with pytest.raises(ValueError, match="sampling='epochs' is not known here"):
            ask()
    with pytest.raises(TypeError, match="without an average"):
        gf.epochs_curve(problem, gf.Averaged(method), 3)  # pyright: ignore[reportArgumentType]


def test_quasi_hyperbolic_momentum_at_nu_beta_is_nesterovs() -> None:
    nesterov, same = gf.SGD(0.05, 0.6, 4, nesterov=True), gf.QHM(0.05 / 0.4, 0.6, 0.6, 4)
    found, expected = (gf.epochs_curve(_problem(40), m, [3, 30]) for m in (same, nesterov))
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-12)
    np.testing.assert_allclose(found.logged_loss, expected.logged_loss, rtol=1e-12)
