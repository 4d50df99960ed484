"""Little label noise: the limit is taken out before the contour, for every function that settles at one.

References: the direct recursion, and the closed forms of the limits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import genfun as gf

TINY = gf.LinearProblem([1.0, 0.02], [1.0, 1.0], noise_variance=1e-20)
STEPS = [100, 1000, 2000, 3000, 3500, 5000]


@pytest.mark.parametrize(
    "method",
    [
        gf.SGD(0.3, 0.5, 1),
        gf.SGD(0.3, 0.9, 1, nesterov=True),
        gf.QHM(0.3, 0.9, 0.7, 1),
        gf.Averaged(gf.SGD(0.3, 0.0, 1), "ema", 0.9),
        gf.Averaged(gf.SGD(0.3, 0.0, 1), "ema", 0.999),
        gf.SGD(0.3, 0.5, 1, weight_decay=1e-9),
        gf.SGD(0.3, 0.5, None, weight_decay=1e-9),
    ],
    ids=repr,
)
def test_every_method_keeps_its_digits_above_a_tiny_floor(method: Any) -> None:
    found, right = (gf.predict(TINY, method, STEPS, route=route) for route in ("auto", "recursion"))
    assert found.status == "ok"
    off = np.abs(np.expm1(found.log_loss - right.log_loss))
    assert off.max() < 1e-9
    assert (off <= found.error + right.error).all()


@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_a_tiny_floor_under_fourth_moments(beta: float) -> None:
    moments = np.array([[3.0, 0.02], [0.02, 3.0 * 0.02**2]])
    noise = gf.FourthMoments(moments)
    found, right = (gf.predict(TINY, gf.SGD(0.2, beta, 2), STEPS, noise, route) for route in ("auto", "recursion"))
    assert found.status == "ok"
    assert np.abs(np.expm1(found.log_loss - right.log_loss)).max() < 1e-9


def test_the_noise_scale_of_a_floor_is_that_of_its_fluctuations() -> None:
    found = gf.noise_scale(TINY, gf.SGD(0.3, 0.0, 1), [1000, 20000])
    assert found.status == "ok"
    # c of a mode in its stationary state: a^2 (D - s)/(2 a - a^2) with D = sum s + sigma^2, in units of the signal.
    a = 0.3 * np.array([1.0, 0.02])
    share = a / 2.0  # s = share * D
    D = 1e-20 / (1.0 - share.sum())
    s, lam = share * D, np.array([1.0, 0.02])
    gradient = float(lam @ s)
    variance = (D * lam.sum()) - gradient
    assert found.gradient[1] == pytest.approx(gradient, rel=1e-10)
    assert found.samples[1] == pytest.approx(variance / gradient, rel=1e-9)


def rows(noise: float) -> gf.LinearData:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4)) * np.array([1.0, 0.7, 0.5, 0.2])
    return gf.LinearData.from_features(X, X @ np.ones(4) + noise * rng.standard_normal(60))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "method"),
    [
        (1e-4, gf.SGD(0.19, 0.0, 1)),
        (1e-8, gf.SGD(0.1, -0.5, 1)),
        (1e-4, gf.SGD(0.03, 0.8, 4)),
        (1e-8, gf.SGD(0.03, 0.8, 4)),
    ],
    ids=repr,
)
def test_data_with_little_label_noise_keep_their_digits(noise: float, method: gf.SGD) -> None:
    data, steps = rows(noise), [200, 400, 800, 1600, 3200]
    exact = gf.predict(data, method, steps, noise="exact")
    right = gf.predict(data, method, steps, noise="exact", route="recursion")
    off = np.abs(exact.loss / right.loss - 1.0)
    # Between the decay of the mean path and its square lie the digits of the solver, 1e-8 at first.
    assert off.max() < (1e-7 if noise == 1e-4 else 1e-5)
    assert exact.status == "ok" or noise < 1e-4
    assert (off <= exact.error + right.error).all()
    few = gf.predict(data, method, steps)
    assert few.status in ("ok", "noise uncertain")
    assert np.abs(few.loss / right.loss - 1.0).max() < 0.05  # seven vectors of sample space
    late = gf.predict(data, method, [10**6])
    assert late.loss[0] == pytest.approx(gf.stability(data, method).floor + 0.5 * data.noise_variance, rel=1e-9)


@pytest.mark.slow
def test_steps_to_a_loss_near_the_floor_of_data() -> None:
    data, method = rows(1e-6), gf.SGD(0.15, 0.0, 1)
    floor = gf.stability(data, method, "exact").floor + 0.5 * data.noise_variance
    for factor in (1e6, 1.1):
        step = gf.steps_to_loss(data, method, factor * floor, "exact")
        losses = gf.predict(data, method, [int(step) - 1, int(step)], "exact", route="recursion").loss
        assert losses[0] > factor * floor >= losses[1]


@pytest.mark.parametrize("kind", ["polyak", "tail"])
def test_a_forced_route_to_a_uniform_average_gives_the_average(kind: Any) -> None:
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    method = gf.Averaged(gf.SGD(0.3, 0.5, 2), kind, start=0 if kind == "polyak" else 20)
    auto, *others = (gf.predict(problem, method, [1, 30, 100, 400], route=r) for r in ("auto", "recursion", "contour"))
    for other in others:
        assert other.loss == pytest.approx(auto.loss, rel=1e-7)


@pytest.mark.slow
def test_an_oscillation_that_the_early_contour_encloses_is_not_lost_later() -> None:
    """Hardly noisy, hardly damped: the singularities beside the axis fade as exp(-1e-6 t) next to that on it."""
    problem = gf.LinearProblem([1.0], [1.0])
    method = gf.SGD(2.95e-7, 0.999, 1)
    steps = np.array([3_000, 10_000, 40_000])
    found, right = (gf.predict(problem, method, steps, route=route) for route in ("auto", "recursion"))
    off = np.abs(np.expm1(found.log_loss - right.log_loss))
    assert (off <= 10.0 * found.error + 1e-8).all()
    assert gf.steps_to_loss(problem, method, float(right.loss[1])) == 10_000


@pytest.mark.slow
def test_maps_and_searches_on_data_with_little_label_noise() -> None:
    data, rates, momenta = rows(1e-8), [0.05, 0.1, 0.19], [0.0, 0.5, 0.8]
    for step in (200, 800, 3200):
        found = gf.loss_map(data, rates, momenta, step, 2).log_loss
        right = [[float(gf.predict(data, gf.SGD(a, b, 2), step).log_loss) for b in momenta] for a in rates]
        assert np.abs(found - right).max() < 1e-6
    best = gf.optimize(data, 2, 800)
    grid = gf.loss_map(data, np.geomspace(0.01, 0.2, 8), [0.0, 0.5, 0.8, 0.9], 800, 2).loss
    assert best.loss < grid.min() < 2.0 * data.noise_variance  # 1e-16 of the start
    assert gf.predict(data, best.method, 800, noise="exact").loss == pytest.approx(best.loss, rel=0.01)


def extended_losses(X: Any, y: Any, method: gf.SGD, last: int) -> Any:
    """Second moments of plain SGD on the rows, with what a fit leaves of the targets in extended precision."""
    rows, n = X.astype(np.longdouble), X.shape[0]
    gram = (rows.T @ rows).astype(float)
    best = np.zeros(X.shape[1], dtype=np.longdouble)
    for _ in range(8):
        best += np.linalg.solve(gram, (rows.T @ (y - rows @ best)).astype(float))
    rest, hessian = y - rows @ best, rows.T @ rows / n
    b, rate = int(method.batch_size or n), method.learning_rate
    gamma = (n - b) / ((n - 1) * b)
    shrink = np.eye(X.shape[1]) - rate * hessian
    mean, moment = -best, np.outer(best, best)
    for _ in range(last):
        power = ((rows @ moment) * rows).sum(axis=1) - 2.0 * rest * (rows @ mean) + rest**2
        noise = (rows.T * power) @ rows / n - hessian @ moment @ hessian
        moment, mean = shrink @ moment @ shrink + gamma * rate**2 * noise, shrink @ mean
    return 0.5 * np.trace(hessian @ moment) + 0.5 * np.mean(rest**2)


@pytest.mark.slow
def test_label_noise_at_the_rounding_of_targets_is_known_no_better_than_they_are() -> None:
    offs = []
    for seed, noise in enumerate([1e-11, 3e-10, 1e-8, 1e-6, 3e-11, 1e-11]):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((24, 3))
        y = X @ rng.standard_normal(3) + noise * rng.standard_normal(24)
        data = gf.LinearData.from_features(X, y)
        method = gf.SGD(0.3 * gf.max_learning_rate(data, 0.0, 4, noise="exact"), 0.0, 4)
        right = extended_losses(X, y, method, 700)
        for kind in ("exact", "measured"):
            found = gf.predict(data, method, [20, 700, 10**6], noise=kind)
            off = abs(float(found.loss[1] / right - 1.0))
            assert off < found.error[1] + found.noise_error[1]
            # By one rounding of the targets over what a fit leaves of them, and some.
            assert found.error[1] < 1e-10 + 64.0 * 2.3e-16 * np.sqrt(np.mean(y**2) / data.noise_variance)
            assert found.error[0] < 1e-9  # the start knows nothing of it
            assert found.error[2] > 0.1 * found.error[1]
            offs.append(off)
    assert max(offs) > 1e-6  # and so much it is
