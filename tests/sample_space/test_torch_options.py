"""torch's options, averages and schedules under the data's own noise, against second moments written apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from torch_moments import data_losses

import genfun as gf
from genfun.sample_space import projected_average
from genfun.sample_space.pairs import PairResponses

OPTIONS: list[dict[str, Any]] = [
    {"nesterov": True},
    {"dampening": 0.4},
    {"weight_decay": 0.03},
    {"weight_decay": 0.03, "nesterov": True},
    {"weight_decay": 0.02, "dampening": 0.5},
]
AVERAGES: list[dict[str, Any]] = [{"kind": "ema", "decay": 0.9}, {"kind": "polyak"}, {"kind": "tail", "start": 12}]
STEPS = np.array([0, 1, 2, 3, 10, 40, 120])
BATCH = 2


@cache
def table() -> gf.LinearData:
    """Heavy tails, so that the fitted constants are far off, label noise, two outputs."""
    rng = np.random.default_rng(4)
    X = rng.standard_t(4, (40, 5)) * np.array([1.0, 0.7, 0.5, 0.3, 0.2])
    y = X @ rng.standard_normal((5, 2)) + 0.2 * rng.standard_t(4, (40, 2))
    return gf.LinearData.from_features(X, y)


@cache
def setting(beta: float, share: float = 0.5, **options: Any) -> gf.SGD:
    method = gf.SGD(1.0, beta, BATCH, **options)
    return replace(method, learning_rate=share * gf.max_learning_rate(table(), method=method, noise="exact"))


@cache
def apart(method: Any, last: int = int(STEPS[-1]), **more: Any) -> Any:
    return data_losses(
        table(),
        last,
        method.learning_rate,
        method.momentum,
        BATCH,
        method.dampening,
        method.weight_decay,
        method.nesterov,
        **more,
    )


def within(found: Any, expected: Any) -> bool:
    """Within twice the estimate, which averages over steps: of the plain heavy ball it is 5 % too small here."""
    return bool((np.abs(found.loss / expected - 1.0) <= 2.0 * found.noise_error + 1e-9).all())


@pytest.mark.parametrize(
    ("options", "beta"),
    [*((options, 0.6) for options in OPTIONS), (OPTIONS[0], -0.3), (OPTIONS[4], -0.3), (OPTIONS[3], 0.0)],
    ids=str,
)
def test_options_follow_the_datas_own_noise(options: dict[str, Any], beta: float) -> None:
    method, d = setting(beta, **options), table()
    expected = apart(method)[STEPS]
    exact, measured = (gf.predict(d, method, STEPS, noise) for noise in ("exact", None))
    np.testing.assert_allclose(exact.loss, expected, rtol=1e-11)
    assert (exact.noise_error == 0.0).all()
    assert within(measured, expected)
    assert measured.noise_error.max() < 0.02
    # What was answered before stood for the data without a word.
    assert not within(replace(measured, loss=gf.predict(d, method, STEPS, "fitted").loss), expected)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_edge_is_that_of_the_data(options: dict[str, Any]) -> None:
    d, method = table(), setting(0.6, **options)
    edges = [gf.max_learning_rate(d, method=method, noise=noise) for noise in ("exact", None)]
    assert edges[1] == pytest.approx(edges[0], rel=2e-3)
    growth = [
        np.diff(np.log(apart(replace(method, learning_rate=edges[0] * f), 400)[[300, 400]])) for f in (0.95, 1.05)
    ]
    assert growth[0] < 1e-6 < growth[1]
    assert gf.predict(d, replace(method, learning_rate=1.05 * edges[0]), 10).status == "diverges"


@pytest.mark.parametrize("options", [{}, *OPTIONS[2:]], ids=str)
def test_the_contour_knows_late_steps_and_the_floor(options: dict[str, Any]) -> None:
    method, d = setting(0.3, 0.3, **options), table()
    late = apart(method, 500)[[300, 500]]
    for noise in ("exact", "measured"):
        found = gf.predict(d, method, [300, 500, 10**7], noise)
        assert (np.abs(found.loss[:2] / late - 1.0) < 2.0 * found.noise_error[:2] + 1e-9).all()
        floor = gf.stability(d, method, noise).floor
        assert floor == pytest.approx(found.loss[2] - 0.5 * d.noise_variance, rel=1e-8)


@pytest.mark.parametrize(
    ("average", "options"),
    [*((average, {}) for average in AVERAGES), (AVERAGES[0], OPTIONS[1]), (AVERAGES[2], OPTIONS[3])],
    ids=str,
)
def test_averages_follow_the_datas_own_noise(average: dict[str, Any], options: dict[str, Any]) -> None:
    method, d = setting(0.6, **options), table()
    averaged = gf.Averaged(method, **average)
    expected = apart(
        method,
        average="ema" if average["kind"] == "ema" else "tail",
        decay=average.get("decay", 0.0),
        start=average.get("start", 0),
    )[STEPS]
    exact, measured = (gf.predict(d, averaged, STEPS, noise) for noise in ("exact", None))
    np.testing.assert_allclose(exact.loss, expected, rtol=1e-11)
    assert within(measured, expected)
    # The contour of the exact function, at late steps, without the recursion.
    function = d.exact_noise.transform(d.problem, averaged)
    if average["kind"] == "ema":
        q = np.array([0.03 + 0.01j])
        powers = (1.0 - q) ** np.arange(900)
        series = apart(method, 899, average="ema", decay=average["decay"])
        assert abs(function.loss(q)[0] / (powers @ series) - 1.0) < 1e-7


def test_a_late_tail_continues_the_early_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projected_average, "EVERY_STEP", 200)
    averaged, steps = gf.Averaged(setting(0.3, 0.3), "tail", start=150), [180, 300, 600]
    found = gf.predict(table(), averaged, steps)
    assert within(found, apart(averaged.method, 600, average="tail", start=150)[steps])
    monkeypatch.undo()
    np.testing.assert_allclose(found.loss, gf.predict(table(), averaged, steps).loss, rtol=1e-7)


MANY = np.arange(1.0, 101.0)


@pytest.mark.parametrize("convention", ["torch", "keras"])
@pytest.mark.parametrize("momentum", [0.0, 0.8, 0.9 - 0.5 / MANY], ids=["none", "constant", "rising"])
def test_schedules_follow_the_datas_own_noise(convention: Any, momentum: Any) -> None:
    d, largest = table(), float(np.max(momentum))
    rates = 0.6 * setting(largest, 1.0).learning_rate * np.linspace(1.0, 0.1, 100)
    method = gf.ScheduledSGD(rates, momentum, BATCH, convention=convention)
    steps = np.array([0, 1, 2, 10, 50, 100])
    whole = data_losses(d, 100, rates, momentum, BATCH, keras=convention == "keras")
    expected = whole[steps]
    exact = gf.predict(d, method, steps)  # so few samples: all second moments are the quicker way
    np.testing.assert_allclose(exact.loss, expected, rtol=1e-11)
    assert (exact.noise_error == 0.0).all()
    projected = gf.predict(d.problem, method, steps, d.measured_noise)  # without the samples there is one way only
    assert within(projected, expected)
    assert projected.noise_error.max() < 0.05
    assert gf.steps_to_loss(d, method, 1.1 * whole[-1]) == np.flatnonzero(whole <= 1.1 * whole[-1])[0]


def test_a_damped_schedule_starts_with_a_whole_gradient() -> None:
    d = table()
    method = gf.ScheduledSGD(setting(0.6, dampening=0.4).learning_rate, 0.6, BATCH, dampening=0.4)
    found = gf.predict(d.problem, method, STEPS, d.measured_noise).loss
    np.testing.assert_allclose(found, gf.predict(d, setting(0.6, dampening=0.4), STEPS).loss, rtol=1e-9)


@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=str)
@pytest.mark.parametrize("beta", [0.95, 0.5, -0.4])
def test_the_closed_form_of_two_states_is_the_series(options: dict[str, Any], beta: float) -> None:
    method = gf.SGD(1.0, beta, BATCH, **options)
    pairs = PairResponses(method, 0.0)
    a_j, a_k, q = 0.3, 0.011, 0.1 - 0.1j
    responses = []
    for a in (a_j, a_k):
        w, v, noise_w, noise_v, paths, kicks = 1.0, 0.0, 0.0, 0.0, [], []
        for t in range(600):
            paths.append(w)
            c = 1.0 if t == 0 or beta == 0.0 else 1.0 - options.get("dampening", 0.0)
            # From w_0 = 0 the penalty pulls to -1 here, in units of the initial error.
            g = a * w + options.get("weight_decay", 0.0) * (w - 1.0)
            v = beta * v - c * g
            w = w + (beta * v - g if options.get("nesterov") else v)
            c = 1.0 - options.get("dampening", 0.0)
            g = (a + options.get("weight_decay", 0.0)) * noise_w - (1.0 if t == 0 else 0.0)
            noise_v = beta * noise_v - c * g
            noise_w = noise_w + (beta * noise_v - g if options.get("nesterov") else noise_v)
            kicks.append(noise_w)
        responses.append((np.array(paths), np.array(kicks)))
    (path_j, kick_j), (path_k, kick_k) = responses
    powers = (1.0 - q) ** np.arange(600)
    u, v = pairs.raw(q, a_j, a_k)
    assert abs(u / (powers @ (kick_j * kick_k)) - 1.0) < 1e-12
    assert abs(v / (powers @ (path_j * path_k)) - 1.0) < 1e-12
    assert abs(pairs.mean(q, a_j) / (powers @ path_j) - 1.0) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "average"),
    [*((options, None) for options in OPTIONS[1:4]), *(({}, average) for average in (None, *AVERAGES)),
     (OPTIONS[3], AVERAGES[2])],
    ids=str,
)  # fmt: skip
def test_simulated_runs_have_the_predicted_mean(options: dict[str, Any], average: dict[str, Any] | None) -> None:
    method: Any = setting(0.6, 0.3, **options)
    method = method if average is None else gf.Averaged(method, **average)
    runs = gf.experiments.simulate(table(), method, 120, replicas=400, record=STEPS, seed=1)
    expected = gf.predict(table(), method, STEPS).loss
    assert (np.abs(runs.mean - expected) <= 0.02 * expected + 2.5 * runs.sem).all()


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_simulated_runs_are_those_of_torch(options: dict[str, Any]) -> None:
    import torch

    from genfun.experiments.simulation.batches import batches

    d, method = table(), setting(0.6, **options)
    runs = gf.experiments.simulate(d, method, 30, replicas=3, seed=5)
    X, y = (torch.tensor(np.array(x)) for x in (d.eigenfeatures, d.targets))
    for r, seed in enumerate(np.random.SeedSequence(5).spawn(3)):
        w = torch.zeros((d.rank, 2), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=method.learning_rate, momentum=0.6, **options)
        drawn = batches(np.random.default_rng(seed), d.n_samples, BATCH, False)
        losses = []
        for _ in range(31):
            losses.append(0.5 * float(((X @ w - y) ** 2).sum().detach()) / d.n_samples)
            rows = torch.tensor(next(drawn))
            optimizer.zero_grad()
            (0.5 * ((X[rows] @ w - y[rows]) ** 2).sum() / BATCH).backward()
            optimizer.step()
        np.testing.assert_allclose(runs.loss[r], losses, rtol=1e-9)


@pytest.mark.parametrize(
    "method",
    [gf.QHM(0.02, 0.7, 0.6, BATCH), *(gf.SGD(0.1, 0.6, BATCH, **o) for o in ({}, OPTIONS[0], OPTIONS[2]))],
)
def test_kicks_and_signs_at_once_are_those_of_every_pair_and_point(method: Any) -> None:
    responses, rng = PairResponses(method, 0.5), np.random.default_rng(0)
    a_j, a_k, q = rng.uniform(0.0, 30.0, 9), rng.uniform(0.0, 30.0, 9), np.linspace(-0.8, 0.5, 9)
    kick, sign = responses.kick_and_sign(q, a_j[:, None], a_k[:, None])
    for i, x in enumerate(q):
        np.testing.assert_allclose(kick[:, i], responses.kick(x, a_j, a_k), rtol=1e-12)
        assert (sign[:, i] == responses.positive(x, a_j, a_k)).all()
    assert sign.any()
    assert not sign.all()


def test_the_largest_eigenvalue_of_many_points_is_that_of_each() -> None:
    function: Any = table().measured_noise.transform(table().problem, gf.QHM(0.02, 0.7, 0.6, BATCH))
    q = np.linspace(0.0, 0.4, 5)
    positive, values = function.real_kernel(q)
    for i in range(q.size):
        one = function.real_kernel(q[i : i + 1])
        assert (positive[i], values[i]) == (one[0][0], pytest.approx(one[1][0], rel=1e-12))
