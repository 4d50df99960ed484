"""torch's options of SGD, and QHM, against second moments written apart and against runs of torch itself."""

from __future__ import annotations

import ast
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch_moments import mean_losses

import genfun as gf
from genfun.methods import _qhm_responses
from genfun.symbolic.arrays import responses
from genfun.symbolic.generate import source

LAM = np.array([0.9, 0.61, 0.37, 0.2, 0.11, 0.06, 0.02])
SIGNAL = LAM * np.array([0.5, 0.9, 0.3, 0.8, 0.6, 1.0, 0.7]) ** 2
NOISE = gf.SpectrallyExpressible(1.2, 0.7)
STEPS = np.array([0, 1, 2, 3, 10, 40, 300])
OPTIONS = [
    {"nesterov": True},
    {"dampening": 0.4},
    {"weight_decay": 0.03},
    {"weight_decay": 0.03, "nesterov": True},
    {"weight_decay": 0.02, "dampening": 0.5},
]


def problem(sigma2: float = 0.0) -> gf.LinearProblem:
    return gf.LinearProblem(LAM, SIGNAL, noise_variance=sigma2)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("beta", [0.6, -0.3, 0.0])
@pytest.mark.parametrize("sigma2", [0.0, 0.3])
def test_losses_are_those_of_torchs_loop(options: dict, beta: float, sigma2: float) -> None:
    r = gf.predict(problem(sigma2), gf.SGD(0.25, beta, 5, **options), STEPS, NOISE)
    expected = mean_losses(LAM, SIGNAL, 300, 0.25, beta, 0.2, (1.2, 0.7), sigma2, **options)
    assert r.status == "ok"
    np.testing.assert_allclose(r.loss, expected[STEPS], rtol=1e-11)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_contour_agrees_with_the_recursion_without_sampling_noise_too(options: dict) -> None:
    method = gf.SGD(0.25, -0.3, None, **options)
    r = gf.predict(problem(0.1), method, [40, 300], route="contour")
    expected = mean_losses(LAM, SIGNAL, 300, 0.25, -0.3, 0.0, sigma2=0.1, **options)
    np.testing.assert_allclose(r.loss, expected[[40, 300]], rtol=1e-11)


def test_the_first_step_is_undamped() -> None:
    damped, plain = (gf.SGD(0.25, 0.6, 5, dampening=d) for d in (0.9, 0.0))
    r = [gf.predict(problem(), m, [1, 2]).loss for m in (damped, plain)]
    np.testing.assert_allclose(r[0][0], r[1][0], rtol=1e-13)
    assert r[0][1] > 1.01 * r[1][1]
    scheduled = gf.ScheduledSGD(0.25, 0.6, 5, dampening=0.9)
    np.testing.assert_allclose(
        gf.predict(problem(), damped, STEPS).loss, gf.predict(problem(), scheduled, STEPS).loss, rtol=1e-11
    )


def test_dampening_without_momentum_does_nothing() -> None:
    assert type(gf.SGD(0.25, dampening=0.5)) is gf.SGD
    assert type(gf.SGD(0.25, 0.1, dampening=0.5)) is not gf.SGD


@pytest.mark.parametrize("options", [*OPTIONS, {"weight_decay": 0.3}], ids=str)
@pytest.mark.parametrize("batch_size", [1, None])
def test_the_edge_is_where_stability_ends(options: dict, batch_size: int | None) -> None:
    p, method = problem(), gf.SGD(1.0, 0.5, batch_size, **options)
    edge = gf.max_learning_rate(p, method=method)
    below, above = (gf.stability(p, replace(method, learning_rate=edge * f)).status for f in (1 - 1e-6, 1 + 1e-6))
    assert (below, above) == ("converges", "diverges")
    if batch_size is None and "nesterov" not in options:
        pull = (1.0 - options.get("dampening", 0.0)) * (LAM.max() + options.get("weight_decay", 0.0))
        assert edge == pytest.approx(3.0 / pull, rel=1e-12)


def test_weight_decay_ends_at_the_bias_of_the_regularised_optimum() -> None:
    decay = 0.05
    bias = 0.5 * (SIGNAL * (decay / (LAM + decay)) ** 2).sum()
    full = gf.SGD(0.3, 0.5, weight_decay=decay)
    assert gf.predict(problem(), full, 10**6).loss == pytest.approx(bias, rel=1e-11)
    assert gf.stability(problem(), full).floor == pytest.approx(bias, rel=1e-12)
    for sigma2 in (0.0, 0.3):
        noisy = gf.SGD(0.3, 0.5, 3, weight_decay=decay)
        end = gf.predict(problem(sigma2), noisy, 10**6, NOISE).loss
        assert gf.stability(problem(sigma2), noisy, NOISE).floor == pytest.approx(end - 0.5 * sigma2, rel=1e-10)
        assert end - 0.5 * sigma2 > 1.05 * bias


def test_steps_to_loss_is_the_first_step_of_the_recursion_at_the_target() -> None:
    method = gf.SGD(0.25, 0.6, 5, weight_decay=0.02, dampening=0.5)
    curve = mean_losses(LAM, SIGNAL, 300, 0.25, 0.6, 0.2, weight_decay=0.02, dampening=0.5)
    target = 0.3 * curve[0]
    assert gf.steps_to_loss(problem(), method, target) == np.flatnonzero(curve <= target)[0]
    assert gf.steps_to_loss(problem(), method, 0.5 * gf.stability(problem(), method).floor) == np.inf


def test_plain_sgd_keeps_its_class_and_responses() -> None:
    plain = gf.SGD(0.25, 0.5, 10)
    assert type(plain) is gf.SGD
    assert plain.hyperparameters == (0.5,)
    assert type(replace(gf.SGD(0.25, 0.5, 10, nesterov=True), nesterov=False)) is gf.SGD
    assert responses(plain) is gf.SGD.responses


@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=str)
def test_settings_print_pickle_and_compare(options: dict) -> None:
    method = gf.SGD(0.25, 0.5, 10, **options)
    assert pickle.loads(pickle.dumps(method)) == method == eval(repr(method), {"SGD": gf.SGD})
    assert isinstance(method, gf.SGD)
    assert (options == {}) == (method == gf.SGD(0.25, 0.5, 10))


@pytest.mark.other_kinds
def test_sampling_is_another_name_for_replacement() -> None:
    assert gf.SGD(0.1, 0.0, 5, True) == gf.SGD(0.1, batch_size=5, sampling="replacement")
    assert gf.SGD(0.1, replacement=True).sampling == "replacement"
    assert gf.SGD(0.1, sampling="epochs").sampling == "epochs"
    with pytest.raises(ValueError, match="contradicts"):
        gf.SGD(0.1, replacement=True, sampling="epochs")
    with pytest.raises(TypeError, match="by name"):
        gf.SGD(0.1, 0.9, 5, 0.1)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"maximize": True}, "ascent"),
        (
            {"drop_last": False, "sampling": "epochs"},
            "a smaller last batch is not derived; take a batch size",
        ),
        ({"nesterov": True, "dampening": 0.1}, "dampening must be 0"),
        ({"dampening": 1.0}, "below 1"),
        ({"weight_decay": -0.1}, "weight_decay"),
        pytest.param({"sampling": "shuffled"}, "sampling must be one of", marks=pytest.mark.other_kinds),
    ],
)
def test_bad_options_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        gf.SGD(0.1, 0.9, 5, **options)


@pytest.mark.parametrize("options", [{"weight_decay": 0.1}, {"dampening": 0.5}, {"sampling": "epochs"}], ids=str)
def test_answers_that_do_not_know_an_option_refuse_it_by_name(options: dict) -> None:
    name, method = next(iter(options)), gf.SGD(0.2, 0.5, 5, **options)
    data = gf.LinearData.from_features([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]], [1.0, 0.0, 1.0])
    asked = [
        lambda: gf.explain(problem(), method, 100),
        lambda: gf.optimize(problem(), 5, 100, method=method),
        lambda: gf.loss_map(problem(), [0.1], [0.5], 100, 5, method=method),
        lambda: gf.phase(problem(), method),
        lambda: gf.critical_batch_size(problem(), method, loss=0.1),
        lambda: gf.GeneratingFunction(problem(), method),
    ]
    if name == "sampling":
        asked += [lambda: gf.stability(problem(), method)]
    else:
        asked += [lambda: gf.predict(data, replace(method, batch_size=2), 5, gf.FourthMoments.of(data))]
    for ask in asked:
        with pytest.raises(ValueError, match=name):
            ask()


@pytest.mark.slow
def test_nesterov_is_known_to_maps_and_searches() -> None:
    p, method = problem(), gf.SGD(1.0, batch_size=5, nesterov=True)
    best = gf.optimize(p, 5, 200, method=method)
    assert best.method.nesterov
    assert best.loss <= gf.predict(p, gf.SGD(0.3, 0.6, 5, nesterov=True), 200).loss
    grid = gf.loss_map(p, [0.1, 0.3], [0.0, 0.6], 200, 5, method=method)
    expected = [[gf.predict(p, gf.SGD(a, b, 5, nesterov=True), 200).loss for b in (0.0, 0.6)] for a in (0.1, 0.3)]
    assert (np.abs(grid.loss / expected - 1.0) <= grid.error).all()
    assert grid.error.max() < 1e-6


@pytest.mark.parametrize("beta", [0.6, 0.95, -0.4])
def test_qhm_holds_sgd_heavy_ball_and_nesterov(beta: float) -> None:
    p, rate = problem(0.1), 0.2
    for nu, same in [
        (0.0, gf.SGD(rate, 0.0, 5)),
        (1.0, gf.SGD(rate * (1 - beta), beta, 5)),
        *([(beta, gf.SGD(rate * (1 - beta), beta, 5, nesterov=True))] if beta > 0 else []),
    ]:
        method = gf.QHM(rate, beta, nu, 5)
        np.testing.assert_allclose(gf.predict(p, method, STEPS).loss, gf.predict(p, same, STEPS).loss, rtol=1e-10)
        edges = [gf.max_learning_rate(p, method=m) for m in (method, same)]
        assert edges[0] * (1 if nu == 0 else 1 - beta) == pytest.approx(edges[1], rel=1e-11)


def test_qhm_is_the_recursion_of_its_paper() -> None:
    rate, beta, nu, gamma = 0.3, 0.9, 0.7, 0.2
    X = np.zeros((LAM.size, 2, 2))
    X[:, 0, 0] = SIGNAL
    losses = [0.5 * SIGNAL.sum()]
    for _ in range(100):
        total, new = X[:, 0, 0].sum(), np.zeros_like(X)
        for k, lam in enumerate(LAM):
            m = np.array([(1 - beta) * lam, beta, 1 - beta])  # over w, m and the noise of the gradient
            w = np.array([1.0, 0.0, 0.0]) - rate * ((1 - nu) * np.array([lam, 0.0, 1.0]) + nu * m)
            rows = np.stack([w, m])
            variance = gamma * lam**2 * (1.2 * total - 0.7 * X[k, 0, 0])
            new[k] = rows[:, :2] @ X[k] @ rows[:, :2].T + variance * np.multiply.outer(rows[:, 2], rows[:, 2])
        X = new
        losses.append(0.5 * X[:, 0, 0].sum())
    r = gf.predict(problem(), gf.QHM(rate, beta, nu, 5), [1, 10, 100], NOISE)
    np.testing.assert_allclose(r.loss, np.array(losses)[[1, 10, 100]], rtol=1e-11)


def test_the_shipped_responses_of_qhm_are_what_is_generated() -> None:
    shipped = Path(_qhm_responses.__file__).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(shipped)) == ast.dump(ast.parse(source(gf.QHM)))
