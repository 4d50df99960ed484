"""The estimated error of the measured noise: it covers the true one, and is small where that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import genfun as gf
from genfun.sample_space.basis import SampleBasis
from genfun.sample_space.measured import MeasuredNoise, measure_noise, project
from genfun.sample_space.moments import exact_curve
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.snapshots import PANEL, main_directions, settings_for

STEPS = np.array([1, 3, 10, 30, 100, 300])


def gaussian_table() -> gf.LinearData:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 15)) * np.logspace(0, -1, 15)
    return gf.LinearData.from_features(X, X @ rng.standard_normal(15) + 0.3 * rng.standard_normal(120))


def rare_categories(noise: float) -> gf.LinearData:
    """One-hot categories of very uneven frequency, as they are, with an intercept."""
    rng = np.random.default_rng(1)
    category = np.minimum(rng.zipf(1.5, 100), 30) - 1
    X = np.column_stack([np.eye(30)[category][:, np.unique(category)], np.ones(100)])
    return gf.LinearData.from_features(X, X @ rng.standard_normal(X.shape[1]) + noise * rng.standard_normal(100))


def log_normal() -> gf.LinearData:
    rng = np.random.default_rng(2)
    X = np.exp(rng.standard_normal((80, 12)))
    return gf.LinearData.from_features(X, X @ rng.standard_normal(12) + rng.standard_normal(80))


def many_scales() -> gf.LinearData:
    """Columns over ten decades, as tables come that nobody has standardised."""
    rng = np.random.default_rng(3)
    X = np.abs(rng.standard_normal((60, 11))) * np.logspace(3, -2, 11)
    return gf.LinearData.from_features(X, (X[:, 0] > 600.0).astype(float))


SETS = {
    "Gaussian": gaussian_table,
    "rare categories": lambda: rare_categories(0.3),
    "rare categories without label noise": lambda: rare_categories(0.0),
    "log-normal": log_normal,
    "many scales": many_scales,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_estimate_covers_the_true_error_and_losses_are_known_to_one_per_cent(name: str) -> None:
    data, covered = SETS[name](), []
    for beta, b in ((0.0, 1), (0.9, 16), (-0.4, 4)):
        edge = data.exact_noise.edge(data.problem, gf.SGD(1.0, beta, b))
        assert abs(gf.max_learning_rate(data, beta, b) / edge - 1.0) < 1e-3
        for share in (0.3, 0.8):
            method = gf.SGD(share * edge, beta, b)
            found, exact = gf.predict(data, method, STEPS), exact_curve(data, method, STEPS)
            assert found.status == "ok"
            off = np.abs(found.log_loss - exact.loss.log()) - found.error - exact.error
            assert off.max() < 5e-3
            covered.append(off <= found.noise_error + 1e-9)
    assert np.mean(covered) >= 0.95


@pytest.mark.slow
def test_next_to_the_edge_its_own_error_is_in_that_of_late_losses() -> None:
    rng = np.random.default_rng(1)
    target, X = rng.standard_normal(30), rng.standard_normal((60, 30))
    data = gf.LinearData.from_features(X, X @ target + rng.standard_normal(60))
    steps, covered, known = [3_000, 10**5], [], []
    for beta, b in ((0.0, 1), (0.9, 1)):
        edge = data.exact_noise.edge(data.problem, gf.SGD(1.0, beta, b))
        for share in (0.3, 0.98):
            method = gf.SGD(share * edge, beta, b)
            found, exact = gf.predict(data, method, steps), gf.predict(data, method, steps, noise="exact")
            off = np.abs(found.log_loss - exact.log_loss) - found.error - exact.error
            covered.append((off <= found.noise_error + 1e-9).all())
            # What the last vectors change of such a loss is not all.
            changes = data.measured_noise.loss_changes(data.problem, method, np.array(steps), found.log_loss)
            known.append((off <= changes + 1e-9).all())
            gain = gf.stability(data, method).noise_gain
            expected = 0.1 * data.measured_noise.error * gain / (1.0 - gain)
            assert found.noise_error - changes == pytest.approx(expected, rel=1e-6)
    assert all(covered)
    assert not any(known[1::2])


def test_at_a_floor_of_label_noise_the_error_is_not_said_to_be_large() -> None:
    data = gaussian_table()
    method = gf.SGD(0.3 * gf.max_learning_rate(data, 0.5, 10), 0.5, 10)
    found = gf.predict(data, method, [10, 1_000, 10**6])
    exact = gf.predict(data, method, [10, 1_000, 10**6], noise="exact")
    assert found.status == "ok"
    assert (np.abs(found.loss / exact.loss - 1.0) <= found.noise_error).all()
    assert found.noise_error.max() < 2e-3


def test_a_poor_basis_is_called_uncertain() -> None:
    data = log_normal()
    full = data.measured_noise
    poor = replace(full, pairs=full.pairs.on_first(4), basis=full.basis[:, :4], fewer=2)
    method = gf.SGD(0.8 * data.exact_noise.edge(data.problem, gf.SGD(1.0, 0.0, 1)), 0.0, 1)
    steps = np.array([30, 100])
    found, exact = gf.predict(data, method, steps, poor), exact_curve(data, method, steps)
    off = np.abs(found.log_loss - exact.loss.log())
    assert (off > 1e-2).any()
    assert (off <= found.noise_error).all()
    assert found.status == "noise uncertain"
    assert poor.edge_error(method) > 1e-2 > full.edge_error(method)


def test_the_coarser_noise_is_the_projection_on_the_first_vectors() -> None:
    data = log_normal()
    noise = data.measured_noise
    few = noise.basis[:, : noise.fewer]
    features = SampleFeatures(data.eigenfeatures, data.eigenvalues)
    moments = np.stack([features.moment(vector) for vector in few.T])
    alone = project(data, SampleBasis(few, moments, np.eye(noise.fewer), 0.0))
    for name in ("kernel", "source", "modes", "floor", "norms", "gradient"):
        expected = getattr(alone.pairs, name)
        np.testing.assert_allclose(getattr(noise.coarser.pairs, name), expected, atol=1e-9 * np.abs(expected).max())
    assert noise.fewer < noise.pairs.size


def test_a_noise_that_was_not_judged_does_not_know_its_error() -> None:
    noise = data_of_two().measured_noise
    bare: MeasuredNoise = replace(noise, fewer=0)
    found = gf.predict(data_of_two(), gf.SGD(0.1, 0.0, 1), [0, 5], bare)
    assert found.noise_error[0] == 0.0
    assert np.isnan(found.noise_error[1])


def data_of_two() -> gf.LinearData:
    return gf.LinearData.from_features([[1.0], [2.0]], [1.0, 2.0])


def test_where_the_vectors_span_all_samples_nothing_is_left_out() -> None:
    data = data_of_two()
    method = gf.SGD(0.1, 0.0, 1)
    found, exact = gf.predict(data, method, STEPS), exact_curve(data, method, STEPS)
    np.testing.assert_allclose(found.log_loss, exact.loss.log(), atol=1e-9)
    assert found.noise_error.max() < 1e-8


def test_targets_that_are_fitted_exactly_leave_no_floor() -> None:
    data = rare_categories(0.0)
    assert data.noise_variance == 0.0
    assert np.abs(data.targets - data.eigenfeatures @ data.coefficients).max() > 0.0  # rounding
    method = gf.SGD(0.25 * gf.max_learning_rate(data, 0.9, 32), 0.9, 32)
    step = np.array([1_000])
    exact = exact_curve(data, method, step).loss.log()
    assert exact < -70.0
    np.testing.assert_allclose(gf.predict(data, method, step).log_loss, exact, atol=1e-2)


def test_directions_leave_the_basis_and_fall_in_weight() -> None:
    rng = np.random.default_rng(0)
    known = np.linalg.qr(rng.standard_normal((6, 2)))[0]
    found = [known @ rng.standard_normal(2) + 1e-3 * rng.standard_normal(6) for _ in range(3)]
    found.append(known[:, 0] + 1j * np.eye(6)[5])
    directions = np.array(main_directions(6, known, found, 2))
    np.testing.assert_allclose(directions @ known, 0.0, atol=1e-12)
    outside = np.eye(6)[5] - known @ known[5]
    assert abs(directions[0] @ outside) > 0.99 * np.linalg.norm(outside)


def test_large_data_solve_for_fewer_settings() -> None:
    assert settings_for(1e5) == PANEL
    assert settings_for(1e9) == PANEL[:4]


@pytest.mark.slow
def test_of_many_vectors_a_search_takes_few_and_the_answer_all() -> None:
    data = gaussian_table()
    noise = measure_noise(data)
    assert noise.quick(0.9).pairs.size == noise.fewer < noise.pairs.size
    best = gf.optimize(data, batch_size=4, steps=60)
    assert best.loss == float(gf.predict(data, best.method, 60).loss)
    assert best.noise_error < 1e-2
