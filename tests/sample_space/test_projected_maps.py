"""The measured noise for many settings at once against one setting at a time."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.engine.edge import curvature_limit
from genfun.engine.settings import Settings
from genfun.methods import Family
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.sample_space.fast_pairs import HeavyBallPairs
from genfun.sample_space.many_settings import _Evaluator, _on_circle, projected_gains, projected_losses_at
from genfun.sample_space.measured import MANY, MeasuredNoise, measure_noise
from genfun.sample_space.oscillations import left_out
from genfun.sample_space.projected_curve import projected_curve
from genfun.sample_space.projected_function import ProjectedFunction

MOMENTA = np.array([-0.6, 0.0, 0.5, 0.9])


def table(noise: float) -> gf.LinearData:
    rng = np.random.default_rng(0)
    X = rng.standard_t(5, size=(100, 40)) * np.arange(1, 41) ** -0.8
    return gf.LinearData.from_features(X, X @ rng.standard_normal(40) + noise * rng.standard_normal(100))


@pytest.fixture(scope="module", params=[0.0, 0.5])
def measured(request: pytest.FixtureRequest) -> tuple[gf.LinearData, MeasuredNoise]:
    data = table(request.param)
    return data, measure_noise(data)


def settings(data: gf.LinearData, noise: MeasuredNoise, b: int) -> Settings:
    """Rates from far below the edge to beyond it, at every momentum."""
    edges = np.array([noise.leading(gf.SGD(1.0, float(beta), b)).learning_rate for beta in MOMENTA])
    rates = (np.array([0.05, 0.5, 0.9, 1.1])[:, None] * edges).ravel()
    return Settings.of(data.problem, Family(), rates, np.tile(MOMENTA, 4), b, SpectrallyExpressible())


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 30, 150, 3_000])
def test_losses_of_a_map_are_those_of_single_curves(measured: tuple[gf.LinearData, MeasuredNoise], step: int) -> None:
    data, noise = measured
    s = settings(data, noise, 4)
    found, error = projected_losses_at(noise.pairs, s, step)
    single = [
        projected_curve(ProjectedFunction(noise, data.problem, gf.SGD(a, beta, 4)), np.array([step])).loss.log()[0]
        for a, beta in zip(s.rates, s.hyper[0], strict=True)
    ]
    # The quadratures of maps aim at 1e-6.
    np.testing.assert_allclose(found.log(), single, rtol=0.0, atol=3e-6)
    assert error.max() < 1e-5


def test_gains_of_a_map_reach_1_at_the_edge_and_are_infinite_beyond_the_curvature(
    measured: tuple[gf.LinearData, MeasuredNoise],
) -> None:
    data, noise = measured
    for b in (1, 8, 100):
        gamma = np.full(MOMENTA.size, sampling_factor(b, 100))
        edges = np.array([noise.leading(gf.SGD(1.0, float(beta), b)).learning_rate for beta in MOMENTA])
        top = np.array([curvature_limit(data.problem, gf.SGD(1.0, float(beta))) for beta in MOMENTA])
        gains = projected_gains(noise.pairs, edges * (1.0 - 1e-9), MOMENTA, gamma)
        if b == 100:
            np.testing.assert_array_equal(gains, 0.0)
            np.testing.assert_allclose(edges, top, rtol=1e-12)
        else:
            np.testing.assert_allclose(gains, 1.0, rtol=1e-7)
        assert np.isinf(projected_gains(noise.pairs, top * 1.001, MOMENTA, gamma)).all()


def test_a_skeleton_of_the_pairs_gives_nearly_the_same_gains_and_losses(
    measured: tuple[gf.LinearData, MeasuredNoise],
) -> None:
    data, noise = measured
    few = noise.skeleton
    assert few.first.size <= 200 < noise.pairs.first.size
    s = settings(data, noise, 8)
    arguments = (s.rates, s.hyper[0], s.gamma)
    gains, nearly = projected_gains(noise.pairs, *arguments), projected_gains(few, *arguments)
    finite = np.isfinite(gains)
    np.testing.assert_allclose(nearly[finite], gains[finite], rtol=1e-6)
    for step in (10, 300):
        exact, close = (projected_losses_at(pairs, s, step)[0].log() for pairs in (noise.pairs, few))
        np.testing.assert_allclose(close, exact, rtol=0.0, atol=1e-4)


def test_losses_far_from_the_start_say_what_few_pairs_err_by(measured: tuple[gf.LinearData, MeasuredNoise]) -> None:
    data, noise = measured
    s = settings(data, noise, 1)
    s = s.take(np.tile(np.arange(16), 2))
    assert s.rates.size >= MANY
    step = 100_000
    (close, error), (exact, _) = noise.losses_at(s, step), projected_losses_at(noise.pairs, s, step)
    beyond = np.abs(exact.log() - np.log(data.problem.signal_total / 2.0)) > 100.0
    assert beyond.any()
    assert (np.abs(close.log() - exact.log()) <= error).all()
    # Nothing is said where nothing moved.
    assert error[~beyond].max(initial=0.0) < 1e-3


def test_losses_below_the_range_of_doubles_and_next_to_zeros_of_an_oscillation_have_an_error() -> None:
    # One mode, no batch noise: L = 1/2 w^2, w the recursion of heavy ball; at these steps it almost crosses zero.
    data = gf.LinearData.from_features(np.ones((8, 1)), np.ones(8))
    beta, rate = 0.8, 0.15
    w, path = [1.0, 1.0], []
    for _ in range(2_000):
        w.append(w[-1] - rate * w[-1] + beta * (w[-1] - w[-2]))
    path = np.log(np.abs(np.array(w[1:]))) * 2.0 + np.log(0.5)
    noise = data.measured_noise
    found = []
    for step in (20, 60, 120, 300):
        s = Settings.of(data.problem, Family(), np.array([rate]), np.array([beta]), 4, noise)
        loss, error = projected_losses_at(noise.pairs, s, step)
        found.append(abs(loss.log()[0] - path[step]) <= max(1e-6, 1.01 * error[0]))
        assert error[0] < 1e-2
    assert all(found)
    X = np.random.default_rng(4).standard_t(3, size=(50, 2))
    deep = gf.LinearData.from_features(X, X @ np.ones(2))
    m = gf.SGD(0.3 / float(deep.problem.lambda_max), 0.3, 33)
    cells = gf.loss_map(deep, [m.learning_rate], [m.momentum], 2_000, 33)
    assert cells.loss[0, 0] == 0.0
    assert cells.error[0, 0] < 1e-5
    assert cells.log_loss[0, 0] == pytest.approx(float(gf.predict(deep, m, 2_000).log_loss), abs=1e-5)


def test_a_circle_that_encloses_a_singularity_says_so() -> None:
    data = gf.LinearData.from_features(np.arange(1.0, 9.0)[:, None], np.arange(8.0))
    noise = data.measured_noise
    s = Settings.of(data.problem, Family(), np.array([0.01]), np.array([0.0]), 1, noise)
    own, start = _Evaluator(s, HeavyBallPairs(noise.pairs)), 0.5 * (data.problem.signal_total + data.noise_variance)
    _, sound = _on_circle(own, np.zeros(1), 30, 1.1, start)
    # Next to the limit that label noise leaves, a circle wider than 1 encloses its pole.
    _, enclosing = _on_circle(own, np.full(1, -1.0), 30, 1.1, start)
    assert sound[0] < 1e-5
    assert enclosing[0] > 0.1


def kind_of_data(kind: str) -> gf.LinearData:
    rng = np.random.default_rng(0)
    if kind == "log-normal":
        X = np.exp(rng.standard_normal((60, 12)))
    elif kind == "t3":
        X = rng.standard_t(3, size=(60, 12))
    elif kind == "a rare indicator":
        X = rng.standard_normal((200, 6))
        X[:, -1] = np.arange(200) < 2
    elif kind == "categories":
        X = np.eye(25)[np.minimum(rng.zipf(1.6, 120), 25) - 1]
        X = X[:, X.any(axis=0)]
    elif kind == "a narrow kernel":
        x = rng.standard_normal((30, 2))
        return gf.LinearData.from_kernel(
            np.exp(-((x[:, None] - x) ** 2).sum(axis=2) / (2.0 * 0.15**2)), np.sin(3.0 * x[:, 0])
        )
    else:
        return gf.data.mnist(n=30, model="ntk")
    return gf.LinearData.from_features(X, X @ rng.standard_normal(X.shape[1]) + 0.2 * rng.standard_normal(len(X)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["log-normal", "t3", "a rare indicator", "categories", "a narrow kernel", "digits"])
def test_maps_are_single_predictions_on_all_kinds_of_data(kind: str) -> None:
    data, betas, shares = kind_of_data(kind), np.array([-0.4, 0.0, 0.9]), np.array([0.02, 0.4, 0.9])
    noise = data.measured_noise
    for b, step in ((4, 30), (1, 100_000)):
        edges = np.array([noise.leading(gf.SGD(1.0, float(beta), b)).learning_rate for beta in betas])
        rates, momenta = np.outer(shares, edges).ravel(), np.tile(betas, shares.size)
        # As many settings as it takes for few pairs to stand for all.
        s = Settings.of(data.problem, Family(), np.tile(rates, 4), np.tile(momenta, 4), b, noise)
        found, error = noise.losses_at(s, step)
        for i in (4, 6, 8):
            single = gf.predict(data, s.method(i), step)
            allowed = 3e-6 + 3.0 * float(error[i]) + float(single.error)
            assert abs(found.log()[i] - float(single.log_loss)) <= allowed
            assert allowed < 1e-4 + 2e-5 * abs(float(single.log_loss))


@pytest.mark.slow
def test_stated_errors_hold_where_losses_still_oscillate() -> None:
    data, b = table(0.0), 85
    noise, momenta = measure_noise(data), np.array([-0.8, 0.0, 0.6, 0.8, 0.86, 0.9, 0.95, 0.98])
    edges = np.array([noise.leading(gf.SGD(1.0, float(beta), b)).learning_rate for beta in momenta])
    rates = (np.array([0.03, 0.2, 0.5, 0.9])[:, None] * edges).ravel()
    s = Settings.of(data.problem, Family(), rates, np.tile(momenta, 4), b, SpectrallyExpressible())
    assert rates.size >= MANY
    found, error = noise.losses_at(s, 200)
    some = np.arange(0, rates.size, 3)  # every momentum, at some rate
    steps = [ProjectedFunction(noise, data.problem, s.method(i)).stepper(np.pi * 200, 200) for i in some]
    off = np.abs(np.expm1(found.log()[some] - [run.losses(200).log()[-1] for run in steps]))
    assert (off <= error[some] + 1e-9).all()
    # What pairs leave out is made good.
    assert off.max() < 2e-3
    # Where nothing oscillates any more, nothing is added.
    assert np.median(error[momenta[np.arange(32) % 8] <= 0.6]) < 1e-4


def test_what_pairs_leave_out_is_seen_at_every_step_from_their_own_sum() -> None:
    data = table(0.0)
    noise, rates = measure_noise(data), np.array([0.05, 0.3, 0.5])
    s = Settings.of(data.problem, Family(), rates, np.array([0.9, 0.5, -0.5]), None, SpectrallyExpressible())
    for step in (1, 7, 100):
        rest, envelope = left_out(noise.pairs, s, step)
        start = 0.5 * data.problem.signal_total
        # All pairs leave out nothing.
        assert np.abs(rest).max() < 1e-9 * start
        few = noise.skeleton
        rest, envelope = left_out(few, s, step)
        assert (np.abs(rest) <= envelope * (1.0 + 1e-12)).all()
        for i, (rate, beta) in enumerate(zip(rates, s.hyper[0], strict=True)):
            nodes = np.concatenate((few.nodes, data.problem.eigenvalues))
            w, v = np.ones(nodes.size), np.zeros(nodes.size)
            for _ in range(step):
                v = beta * v - rate * nodes * w
                w = w + v
            few_w, all_w = w[: few.nodes.size], w[few.nodes.size :]
            made = few.source[0] @ (few_w[few.first] * few_w[few.second]) / (2.0 * np.sqrt(data.problem.n_samples))
            assert rest[i] == pytest.approx(0.5 * data.problem.signal @ all_w**2 - made, abs=1e-13 * start)
