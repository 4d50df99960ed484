"""Unstable minima of the linear model and their chart: growth in theory, in recursions, in runs and in a network."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun.answers.escape.escape_chart import escape_chart
from genfun.answers.escape.escape_steps import escape_steps
from genfun.experiments.networks.two_layer import DiagonalNetwork
from genfun.experiments.simulation.cloning import cloned_runs
from genfun.plotting._table import series
from genfun.plotting.escape_chart import escape_chart as draw

LAW = gf.PowerLaw(1.5, 0.5, n_modes=200)
NOISE = gf.SpectrallyExpressible(0.9, -0.5)


@pytest.mark.parametrize("momentum", [-0.4, 0.0, 0.6])
@pytest.mark.parametrize("beyond", [1.02, 1.2])
def test_steps_to_grow_are_those_of_the_recursion(momentum, beyond):
    method = gf.SGD(beyond * gf.max_learning_rate(LAW, momentum, 2, NOISE), momentum, 2)
    for factor in (1.5, 1e4):
        found = escape_steps(LAW, method, factor, NOISE)
        assert found.status == "escapes"
        last = int(found.steps)
        loss = gf.predict(LAW, method, [0, last - 1, last], NOISE, route="recursion").loss
        assert loss[1] < factor * loss[0] <= loss[2]
        assert found.by_rate == pytest.approx(math.log(factor) / gf.stability(LAW, method, NOISE).growth_rate)
    # The transient is forgotten in the end.
    far, further = (escape_steps(LAW, method, factor, NOISE) for factor in (1e50, 1e250))
    assert (further.steps - far.steps) == pytest.approx(further.by_rate - far.by_rate, rel=1e-3, abs=1.0)


def test_slow_escapes_are_searched_beyond_the_steps_looked_at_one_by_one():
    method = gf.SGD(1.0002 * gf.max_learning_rate(LAW, 0.0, 1), 0.0, 1)
    found = escape_steps(LAW, method)
    last = int(found.steps)
    loss = gf.predict(LAW, method, [0, last - 1, last]).loss
    assert last > 5_000
    assert loss[1] < 10.0 * loss[0] <= loss[2]


@pytest.mark.parametrize("excess", [1e-11, 3e-12, 1e-10])
def test_escapes_just_beyond_the_curvature_limit_are_found_where_rounding_blurs_the_crossing(excess):
    problem = gf.LinearProblem([1.0], [1.0], 10**12)
    found = escape_steps(problem, gf.SGD(2.0 * (1.0 + excess), 0.0, 10**12 - 1))
    # (1 - alpha)^2 = (1 + 2 excess)^2 a step; 2 + 2e-11 itself is rounded by 2.2e-16, 2e-5 of the excess.
    assert found.steps == pytest.approx(math.log(10.0) / (4.0 * excess), rel=2e-4)


@pytest.mark.parametrize(
    ("method", "status"),
    [
        (gf.SGD(0.5, 0.0, 1), "stable"),
        (gf.SGD(gf.max_learning_rate(LAW, 0.3, 1), 0.3, 1), "marginal"),
        (gf.SGD(1.5, 0.0, 1), "escapes"),
        (gf.SGD(2.1, 0.0, 100), "diverges"),
        (gf.SGD(2.1), "diverges"),
    ],
)
def test_each_setting_is_of_one_kind(method, status):
    found = escape_steps(LAW, method)
    assert found.status == status
    assert math.isfinite(found.steps) == (status in ("escapes", "diverges"))


def test_a_factor_that_is_no_growth_or_a_loss_that_is_none_is_refused():
    with pytest.raises(ValueError, match="factor"):
        escape_steps(LAW, gf.SGD(1.5, batch_size=1), factor=1.0)
    with pytest.raises(ValueError, match="signal"):
        escape_steps(gf.LinearProblem([1.0], [0.0]), gf.SGD(2.5))


@pytest.mark.parametrize(("beta", "beyond"), [(0.0, 1.2), (0.5, 1.15), (-0.3, 1.2)])
def test_real_minibatch_runs_grow_at_the_predicted_rate(beta, beyond):
    data = gf.data.translation_invariant(np.linspace(1.0, 0.2, 12), np.ones(12), 16)
    method = gf.SGD(beyond * gf.max_learning_rate(data.problem, beta, 2), beta, 2)
    rate, error = cloned_runs(data, method, steps=150, runs=200, populations=6).rate()
    expected = escape_steps(data.problem, method).growth_rate
    assert error < 0.03 * expected
    assert abs(rate - expected) < 4.0 * error


@pytest.mark.parametrize("beyond", [0.9, 1.3])
def test_the_exact_second_moments_grow_at_the_same_rate(beyond):
    data = gf.data.translation_invariant(np.linspace(1.0, 0.2, 12), np.ones(12), 16)
    method = gf.SGD(beyond * gf.max_learning_rate(data.problem, 0.4, 2), 0.4, 2)
    logs = gf.predict(data, method, [300, 400], noise="exact").log_loss
    assert (logs[1] - logs[0]) / 100.0 == pytest.approx(gf.stability(data.problem, method).growth_rate, rel=1e-6)


def test_a_network_leaves_a_sharp_minimum_at_the_predicted_rate_for_a_flatter_one():
    network = DiagonalNetwork(32, 64)
    sharp = network.linearised(2.0).problem
    edge = gf.max_learning_rate(sharp, 0.0, 4)
    above, below = gf.SGD(1.3 * edge, batch_size=4), gf.SGD(0.9 * edge, batch_size=4)
    rate = escape_steps(sharp, above).growth_rate
    early = network.run(above, 2.0, steps=10, runs=2000).loss[:, -1]
    start = 0.5 * 32 * 1e-12
    error = early.std(ddof=1) / early.mean() / math.sqrt(2000) / 10.0
    assert error < 0.03 * rate
    assert abs(math.log(early.mean() / start) / 10.0 - rate) < 4.0 * error
    left, kept = (network.run(method, 2.0, steps=600, runs=50) for method in (above, below))
    # It settles where the same rate is stable, and one below the edge never moves.
    assert left.loss.max(axis=1).min() > 1e-2
    assert left.loss[:, -1].max() < 1e-3
    assert left.sharpness.max() < 0.9 * 17.0 / 4.0
    assert above.learning_rate < gf.max_learning_rate(network.linearised(1.0).problem, 0.0, 4)
    assert kept.loss[:, -1].max() < 1e-3 * kept.loss[:, 0].max()
    np.testing.assert_allclose(kept.sharpness, 17.0 / 4.0, rtol=1e-5)


# The chart


RATES, SIZES, SCALES = np.geomspace(0.05, 5.0, 9), [1, 4, 40], [0.3, 1.0, 3.0]


def scaled(c):
    return gf.LinearProblem(c * LAW.eigenvalues, c * (LAW.eigenvalues**0.5 - LAW.eigenvalues**0.5 * 0.9))


@pytest.mark.slow
@pytest.mark.parametrize("beta", [-0.3, 0.0, 0.7])
def test_every_cell_of_the_chart_is_the_stability_of_the_scaled_problem(beta):
    chart = escape_chart(LAW, RATES, SIZES, SCALES, beta, 100.0, NOISE)
    for i, j, k in np.ndindex(chart.status.shape):
        method = gf.SGD(float(RATES[i]), beta, SIZES[j])
        found = gf.stability(scaled(SCALES[k]), method, NOISE)
        cell = chart.status[i, j, k]
        assert (cell == "stable") == (found.status == "converges")
        assert (cell == "diverges") == (RATES[i] * SCALES[k] * LAW.lambda_max >= 2.0 * (1.0 + beta))
        if cell != "stable":
            assert chart.escape_rate[i, j, k] == pytest.approx(found.growth_rate, rel=1e-7)
            assert chart.steps[i, j, k] == pytest.approx(math.log(100.0) / found.growth_rate, rel=1e-7)
        else:
            assert (chart.escape_rate[i, j, k], chart.steps[i, j, k]) == (0.0, math.inf)
            assert chart.noise_gain[i, j, k] == pytest.approx(found.noise_gain, rel=1e-9)
    assert set(chart.status.ravel()) == {"stable", "escapes", "diverges"}


def test_the_full_batch_has_no_escapes():
    problem = gf.LinearProblem([1.0, 0.5], [1.0, 1.0], n_samples=8)
    chart = escape_chart(problem, [0.5, 1.9, 2.1], [8])
    assert chart.status.ravel().tolist() == ["stable", "stable", "diverges"]
    assert chart.escape_rate[2, 0, 0] == pytest.approx(2.0 * math.log(1.1), rel=1e-8)


def test_the_picture_shows_the_cells_the_edge_and_the_limit():
    chart = escape_chart(LAW, RATES, SIZES, SCALES)
    ax = draw(chart, Figure(layout="constrained").subplots(), at=0)
    drawn = series(ax)
    (edge,), (limit,) = drawn["edge of stability"], drawn["curvature limit"]
    np.testing.assert_allclose(edge.x, gf.max_learning_rate(LAW, 0.0, 1) / np.array(SCALES))
    np.testing.assert_allclose(limit.x, 2.0 / (LAW.lambda_max * np.array(SCALES)))
    (cells,) = drawn["log10 steps to escape"]
    escapes = chart.status[:, 0] == "escapes"
    assert cells.value is not None
    np.testing.assert_allclose(cells.value[escapes], np.clip(np.log10(chart.steps[:, 0][escapes]), 0.0, 4.0))
    assert np.isinf(cells.value[~escapes]).all()
    ax.figure.canvas.draw()
    labels = {label.get_text() for label in ax.get_yticklabels(which="both")} - {""}
    assert labels
    assert not any("mathdefault" in label for label in labels)  # 2, not 2 x 10^0
    by_batch = draw(chart, Figure(layout="constrained").subplots(), "batch_size", at=1)
    (edge,) = series(by_batch)["edge of stability"]
    np.testing.assert_allclose(edge.x, [gf.max_learning_rate(LAW, 0.0, b) for b in SIZES])
    with pytest.raises(ValueError, match="at must be an index"):
        draw(chart, Figure().subplots(), at=3)
    with pytest.raises(ValueError, match="two rates"):
        draw(escape_chart(LAW, RATES, [1], [1.0]), Figure().subplots())
