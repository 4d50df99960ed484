"""Methods whose memory outlasts the step that is asked for: any step at equal cost, against plain recursions."""

from __future__ import annotations

import functools

import mpmath
import numpy as np
import pytest

import genfun as gf
from genfun.engine.tall_contour import FINE, SHARP, USUAL, nodes_and_weights
from genfun.sample_space.moments import exact_curve
from genfun.sample_space.two_states import TwoStates

LONG = (
    gf.QHM(0.3, 0.999, 0.7, batch_size=4),
    gf.SGD(0.0005, 0.9995, 4),
    gf.Averaged(gf.SGD(0.001, 0.999, batch_size=4), "ema", decay=0.999),
)


def second_moments(lam, signal, method, steps, n_samples):
    """Losses by the second moments of every mode, (w, memory), with tau1 = tau2 = 1 and no label noise."""
    inner = getattr(method, "method", method)
    beta, b = inner.momentum, inner.batch_size
    nu = inner.nu if isinstance(inner, gf.QHM) else 1.0
    into = (1.0 - beta) if isinstance(inner, gf.QHM) else 1.0
    kappa = method.decay if isinstance(method, gf.Averaged) else 0.0
    gamma = (n_samples - b) / ((n_samples - 1) * b)
    # w' = w - rate [(1 - nu) g + nu m'], m' = beta m + into g, e' = kappa e + (1 - kappa) w'.
    zero, one = np.zeros_like(lam), np.ones_like(lam)
    direct = (1.0 - nu) + nu * into
    w = [one - inner.learning_rate * direct * lam, -inner.learning_rate * nu * beta * one, zero]
    m = [into * lam, beta * one, zero]
    e = [(1.0 - kappa) * w[0], (1.0 - kappa) * w[1], kappa * one]
    T = np.stack([np.stack(row, axis=-1) for row in (w, m, e)], axis=1)
    kick = np.array([-inner.learning_rate * direct, into, -(1.0 - kappa) * inner.learning_rate * direct])
    start = np.array([1.0, 0.0, 1.0])
    X = (signal / lam)[:, None, None] * np.outer(start, start)
    found = []
    for t in range(max(steps) + 1):
        if t in steps:
            found.append(0.5 * lam @ X[:, 2, 2])
        noise = gamma * lam * (lam @ X[:, 0, 0] - lam * X[:, 0, 0])
        X = T @ X @ T.transpose(0, 2, 1) + noise[:, None, None] * np.outer(kick, kick)
    return np.array(found)


@functools.cache
def table(noise):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 3)) * np.arange(1, 4) ** -0.7
    return gf.LinearData.from_features(X, X @ np.ones(3) + noise * rng.standard_normal(12))


@pytest.mark.slow
@pytest.mark.parametrize("method", LONG, ids=lambda m: type(m).__name__)
def test_a_memory_of_a_thousand_steps_is_followed_to_step_ten_thousand(method):
    lam = np.arange(1, 27) ** -1.5
    problem = gf.LinearProblem(lam, lam, n_samples=200)
    steps = [5_000, 10_000]
    found = gf.predict(problem, method, steps)
    expected = second_moments(lam, lam, method, steps, 200)
    assert found.status == "ok"
    assert found.error.max() < 1e-8
    assert (np.abs(found.loss / expected - 1.0) <= np.maximum(found.error, 1e-11)).all()  # 1e-11: rounding of the steps


@pytest.mark.parametrize("method", [LONG[0], LONG[1]], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("noise", ["measured", pytest.param("exact", marks=pytest.mark.slow)])
def test_no_step_costs_more_than_an_earlier_one(method, noise, monkeypatch):
    data = table(0.3)
    kind = type((data.measured_noise if noise == "measured" else data.exact_noise).transform(data.problem, method))
    points, original = [0], kind.loss

    def counted(self, q):
        points[0] += np.size(q)
        return original(self, q)

    monkeypatch.setattr(kind, "loss", counted)
    counts = []
    for step in (10_000, 10**9):
        points[0] = 0
        assert gf.predict(data, method, [step], noise=noise).status == "ok"
        counts.append(points[0])
    assert counts[1] <= counts[0]
    assert counts[0] < 15_000  # of a circle that gives all steps up to this one


@pytest.mark.slow
def test_data_are_followed_over_all_their_samples():
    data, method, steps = table(0.3), gf.SGD(0.0005, 0.999, 4), np.array([4_500])
    by_steps = exact_curve(data, method, steps).loss.value()
    exact, measured = (gf.predict(data, method, steps, noise=n) for n in ("exact", "measured"))
    assert exact.status == measured.status == "ok"
    assert (np.abs(exact.loss / by_steps - 1.0) < np.maximum(exact.error, 1e-10)).all()
    assert (np.abs(measured.loss / by_steps - 1.0) < measured.noise_error + 1e-10).all()


@pytest.mark.parametrize("spacing", [FINE, SHARP, USUAL])
@pytest.mark.parametrize("height", [0.00025, 0.001, 0.004, 0.05, 1.5, 3.1])
def test_a_tall_contour_sees_poles_up_to_its_height(height, spacing):
    last, rng = 2_000.0, np.random.default_rng(1)
    angle = np.append(0.0, rng.uniform(0.0, height, 10))
    poles = np.exp(-np.append(0.0, rng.uniform(0.0, 20.0 / last, 10)) + 1j * angle)
    drawn = nodes_and_weights(height, last / 8.0, last, spacing=spacing)
    assert drawn is not None
    c, weight = drawn
    z = np.exp(-c / last)[:, None]
    values = (1.0 / (1.0 - z * poles) + 1.0 / (1.0 - z * poles.conj())).sum(axis=1)
    for t in (last / 8.0, last):
        found = (weight / last * values * np.exp(c * t / last)).sum().imag
        # What each of 22 poles may err by, and exp(8) times the rounding of angles up to 3 last.
        allowed = 22.0 * spacing.aliasing(height * last) + 3e-10
        assert abs(found - 2.0 * (poles**t).real.sum()) < allowed < 1e-8


@pytest.mark.parametrize("method", [gf.QHM(1.0, 0.999, 0.7), gf.QHM(1.0, 0.9999, 0.99), gf.QHM(1.0, -0.5, 0.7)])
def test_pairs_of_quasi_hyperbolic_momentum_lose_no_digits(method):
    rng, mp = np.random.default_rng(2), mpmath.mp.clone()
    mp.dps = 50
    hyper = [mp.mpf(h) for h in method.hyperparameters]
    for _ in range(12):
        a_j, a_k = 10 ** rng.uniform(-7, 0, 2)
        q = 10 ** rng.uniform(-7, 0) * np.exp(1j * rng.uniform(-1.5, 1.5))
        (T, k), (U, n) = (method.update(mp.mpf(a), *hyper) for a in (a_j, a_k))
        z, pairs = 1 - mp.mpmathify(q), [(i, j) for i in range(2) for j in range(2)]
        M = mp.matrix([[(r == c) - z * T[r[0]][c[0]] * U[r[1]][c[1]] for c in pairs] for r in pairs])
        wanted = [mp.lu_solve(M, mp.matrix(x))[0] for x in ([k[i] * n[j] for i, j in pairs], [1, 0, 0, 0])]
        pair = TwoStates.of(method)
        assert pair is not None
        found = pair.moments(q, a_j, a_k)[:2]
        for value, exact in zip(found, wanted, strict=True):
            assert abs(complex(value) / complex(exact) - 1.0) < 1e-12


@pytest.mark.parametrize(
    ("problem", "method", "step", "route"),
    [
        (gf.PowerLaw(1.5, 0.5), gf.SGD(0.001, 0.999, 10), 6_000, "recursion"),
        (gf.PowerLaw(1.5, 0.5), gf.SGD(0.01, 0.99, 10), 20_000, "contour"),
        (gf.PowerLaw(1.5, 0.5, n_modes=100), gf.SGD(0.0003, 0.9999, 10), 20_000, "contour"),
        (gf.PowerLaw(1.5, 0.5, n_modes=100), gf.SGD(0.03, 0.97, 10), 20_000, "contour"),
    ],
    ids=["many modes that turn", "faded on the way", "few modes", "faded long before"],
)
def test_what_oscillates_is_stepped_through_or_enclosed_whichever_is_less_work(problem, method, step, route):
    found = gf.predict(problem, method, step)
    assert found.route == route
    # Steps in extended precision, or in doubles, of which each rounds once.
    stepped = gf.predict(problem, method, step, route="recursion")
    assert abs(found.loss / stepped.loss - 1.0) < min(1e-9, float(found.error + stepped.error))
    assert found.status == "ok"
