"""The measured noise for many settings at once against one setting at a time."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.engine.edge import curvature_limit
from genfun.engine.settings import Settings
from genfun.methods import Family
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.sample_space.many_settings import projected_gains, projected_losses_at
from genfun.sample_space.measured import MeasuredNoise, measure_noise
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
@pytest.mark.parametrize("step", [0, 1, 30, 150, 3_000])
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
