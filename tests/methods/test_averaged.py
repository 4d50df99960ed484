"""The loss of averaged weights against second moments written apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from torch_moments import mean_losses

import genfun as gf

LAM = np.array([0.9, 0.61, 0.37, 0.2, 0.11, 0.06, 0.02])
SIGNAL = LAM * np.array([0.5, 0.9, 0.3, 0.8, 0.6, 1.0, 0.7]) ** 2
NOISE = gf.SpectrallyExpressible(1.2, 0.7)
STEPS = np.array([0, 1, 2, 40, 41, 300])
AVERAGES: list[tuple[Any, dict]] = [("ema", {"decay": 0.9}), ("polyak", {}), ("tail", {"start": 40})]
OPTIONS = [{}, {"nesterov": True}, {"dampening": 0.4}, {"weight_decay": 0.03}]


def problem(sigma2: float = 0.0) -> gf.LinearProblem:
    return gf.LinearProblem(LAM, SIGNAL, noise_variance=sigma2)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("kind", "extra"), AVERAGES)
@pytest.mark.parametrize("beta", [0.6, -0.3])
@pytest.mark.parametrize("sigma2", [0.0, 0.3])
def test_losses_are_those_of_the_averaged_weights(
    options: dict, kind: Any, extra: dict, beta: float, sigma2: float
) -> None:
    method = gf.Averaged(gf.SGD(0.25, beta, 5, **options), kind, **extra)
    r = gf.predict(problem(sigma2), method, STEPS, NOISE)
    expected = mean_losses(
        LAM, SIGNAL, 300, 0.25, beta, 0.2, (1.2, 0.7), sigma2, average=kind, start=extra.get("start", 0), **options
    )
    assert r.status == "ok"
    error = np.abs(r.loss / expected[STEPS] - 1.0)
    assert error.max() < 1e-10
    assert (error <= r.error + 1e-13).all()


@pytest.mark.parametrize("sigma2", [0.0, 0.05])
def test_any_step_costs_the_same_with_a_long_memory(sigma2: float) -> None:
    p = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=300, noise_variance=sigma2)
    method = gf.Averaged(gf.SGD(0.3, 0.5, 10), "ema", decay=0.999)
    contour, recursion = (gf.predict(p, method, [3_000, 20_000], route=route) for route in ("contour", "recursion"))
    np.testing.assert_allclose(contour.loss, recursion.loss, rtol=1e-10)
    far = gf.predict(p, method, [10**5, 10**9])
    assert far.error.max() < 1e-9  # without label noise the second is below the range of doubles
    if sigma2:
        floor = gf.stability(p, method).floor
        assert far.loss[1] - 0.5 * sigma2 == pytest.approx(floor, rel=1e-7)
        assert 0.0 < floor < 0.5 * gf.stability(p, method.method).floor


def test_no_memory_is_no_average() -> None:
    plain = gf.SGD(0.25, 0.6, 5)
    r = [gf.predict(problem(0.1), m, STEPS).loss for m in (gf.Averaged(plain, "ema", decay=0.0), plain)]
    np.testing.assert_allclose(*r, rtol=1e-11)


def test_label_noise_averages_out_of_a_uniform_average_but_not_of_an_ema() -> None:
    plain, p = gf.SGD(0.25, 0.6, 5), problem(0.3)
    polyak, ema = gf.Averaged(plain, "polyak"), gf.Averaged(plain, "ema", decay=0.99)
    excess = [gf.predict(p, polyak, t).loss - 0.15 for t in (10**6, 10**7)]
    assert excess[0] / excess[1] == pytest.approx(10.0, rel=1e-3)
    assert gf.stability(p, polyak).floor == 0.0 < gf.stability(p, ema).floor


@pytest.mark.parametrize(("kind", "extra"), AVERAGES)
def test_steps_to_loss_is_the_first_step_at_the_target(kind: Any, extra: dict) -> None:
    method = gf.Averaged(gf.SGD(0.25, 0.6, 5), kind, **extra)
    curve = mean_losses(LAM, SIGNAL, 400, 0.25, 0.6, 0.2, average=kind, start=extra.get("start", 0))
    target = 0.1 * curve[0]
    assert gf.steps_to_loss(problem(), method, target) == np.flatnonzero(curve <= target)[0]


def test_averages_have_the_edge_of_their_method() -> None:
    plain, p = gf.SGD(0.25, 0.6, 2, weight_decay=0.1), problem()
    for kind, extra in AVERAGES:
        method = gf.Averaged(plain, kind, **extra)
        assert gf.max_learning_rate(p, method=plain) == gf.max_learning_rate(p, method=method)
        assert gf.stability(p, method).growth_rate == gf.stability(p, plain).growth_rate


def test_other_answers_refuse_averages_by_name() -> None:
    method = gf.Averaged(gf.SGD(0.25, 0.6, 5))
    data = gf.LinearData.from_features([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]], [1.0, 0.0, 1.0])
    for ask in (
        lambda: gf.explain(problem(), method, 100),
        lambda: gf.loss_map(problem(), [0.1], [0.5], 100, 5, method=method),
        lambda: gf.phase(problem(), method),
        lambda: gf.predict(data, replace(method, method=gf.SGD(0.1, batch_size=2)), 5, gf.FourthMoments.of(data)),
    ):
        with pytest.raises(ValueError, match=r"averaged weights|noise='fitted'"):
            ask()
    assert gf.predict(data, gf.Averaged(gf.SGD(0.1, batch_size=2)), 5).status == "ok"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("mean",), "kind must be", marks=pytest.mark.other_kinds),
        (("ema", 1.0), "below 1"),
        (("ema", 0.9, 5), "start=5"),
        (("tail", 0.9, -1), "start"),
    ],
)
def test_bad_averages_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        gf.Averaged(gf.SGD(0.1), *arguments)
    with pytest.raises(TypeError, match="nest"):
        gf.Averaged(gf.Averaged(gf.SGD(0.1)))


@cache
def plain_optimum(steps: int) -> gf.Optimum:
    return gf.optimize(problem(0.3), 2, steps)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ema", "tail", "polyak"])
def test_the_best_average_is_better_than_the_best_setting_without(kind) -> None:
    steps = 40
    p, plain = problem(0.3), plain_optimum(steps)
    best = gf.optimize(p, 2, steps, method=gf.Averaged(gf.SGD(1.0), kind))
    assert isinstance(best.method, gf.Averaged)
    assert best.loss < plain.loss
    assert best.loss == gf.predict(p, best.method, steps).loss
    inner = best.method.method
    others = [replace(best.method, method=replace(inner, learning_rate=f * inner.learning_rate)) for f in (0.8, 1.25)]
    if kind == "ema":
        others += [replace(best.method, decay=1.0 - f * (1.0 - best.method.decay)) for f in (0.7, 1.4)]
    if kind == "tail":
        others += [replace(best.method, start=best.method.start + d) for d in (-5, 5)]
    for other in others:
        assert gf.predict(p, other, steps).loss > best.loss * (1.0 - 1e-3)


def test_an_average_of_what_diverges_keeps_its_logarithm() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    data = gf.LinearData.from_features(X, X.sum(axis=1) + 0.1 * rng.standard_normal(30))
    method, t = gf.SGD(10.0 * gf.max_learning_rate(data, 0.0, 2), 0.0, 2), 600
    whole, later = (gf.predict(data, gf.Averaged(method, "tail", start=s), t) for s in (0, 7))
    assert whole.status == later.status == "diverges"
    # The last weights are all that counts: the means differ by how many they are divided by.
    assert float(later.log_loss - whole.log_loss) == pytest.approx(2.0 * np.log(t / (t - 7.0)), abs=1e-9)
