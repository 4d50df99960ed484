"""The gradient noise scale fitted to measured norms: against drawn gradients, and against that of a linear problem."""

from __future__ import annotations

import math

import numpy as np
import pytest

import genfun as gf
from genfun.answers.batch.fit_noise_scale import fit_noise_scale

SIZES = np.array([1.0, 4.0, 16.0, 64.0, 256.0])


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_two_batch_sizes_give_the_simple_estimator(scale):
    r = fit_noise_scale([2, 50], [5.5 * scale, 0.7 * scale])
    # Unbiased: |G|^2 = (50 y_50 - 2 y_2)/48, Tr Sigma = (y_2 - y_50)/(1/2 - 1/50).
    assert r.gradient_squared == pytest.approx((35.0 - 11.0) / 48.0 * scale, rel=1e-9)
    assert r.trace == pytest.approx(4.8 / 0.48 * scale, rel=1e-9)
    assert r.noise_scale == pytest.approx(20.0, rel=1e-9)
    assert math.isnan(r.interval[0])
    assert "no interval" in r.notes[0]


def drawn(rng, noise_scale, repeats, power):
    """Mean squared norms of 20 drawn gradients each, |G| = 1, noise of variance k^-power in direction k."""
    b, d = np.repeat(SIZES, repeats), 40
    shares = np.arange(1.0, d + 1.0) ** -power
    spread = np.sqrt(noise_scale * shares / shares.sum())
    g = 1.0 / math.sqrt(d) + rng.standard_normal((b.size, 20, d)) * spread / np.sqrt(b)[:, None, None]
    return b, (g**2).sum(axis=2).mean(axis=1)


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("noise_scale", [3.0, 100.0, 3000.0])
def test_the_interval_holds_the_noise_scale_as_often_as_it_says(noise_scale, power):
    rng, sets = np.random.default_rng(int(noise_scale)), 200
    found = [fit_noise_scale(*drawn(rng, noise_scale, 3, power)) for _ in range(sets)]
    hits = sum(r.interval[0] <= noise_scale <= r.interval[1] for r in found)
    # 180 expected; three standard deviations of a binomial, and 2 % for errors that are not quite normal.
    assert abs(hits - 180) <= 3.0 * math.sqrt(18.0) + 0.02 * sets
    assert np.median([r.noise_scale for r in found]) == pytest.approx(noise_scale, rel=0.15)


def test_gradients_of_a_linear_problem_have_its_noise_scale():
    data = gf.data.translation_invariant(np.linspace(1.0, 0.2, 12), np.ones(12), 16)
    gradients = -data.eigenfeatures * (data.eigenfeatures @ data.coefficients)[:, None]
    rng = np.random.default_rng(0)
    b = np.array([1, 2, 4, 8, 16])
    norms = [
        np.mean([(gradients[rng.integers(0, len(gradients), n)].mean(axis=0) ** 2).sum() for _ in range(4000)])
        for n in b
    ]
    expected = float(gf.noise_scale(data.problem, gf.SGD(0.1, batch_size=1), [0]).samples[0])
    found = fit_noise_scale(b, norms)
    assert found.interval[0] < expected < found.interval[1]
    assert found.noise_scale == pytest.approx(expected, rel=0.1)


def test_what_is_not_told_from_zero_is_said():
    flat = fit_noise_scale(SIZES, 5.0 / SIZES * np.array([1.0, 1.1, 0.9, 1.05, 0.95]))
    assert math.isinf(flat.interval[1])
    assert any("gradient is not told from 0" in n for n in flat.notes)
    still = fit_noise_scale(SIZES, [1.0, 1.01, 0.99, 1.02, 1.03])
    assert still.interval[0] == 0.0
    assert any("noise is not told from 0" in n for n in still.notes)


@pytest.mark.parametrize(
    ("b", "y", "message"),
    [
        ([1, 2], [1.0], "one length, got 2 and 1"),
        ([1, 0], [1.0, 1.0], "batch_sizes must be positive, got 0"),
        ([1, 2], [1.0, 0.0], "squared_norms must be positive, got 0"),
        ([4, 4], [1.0, 2.0], "at least 2 different values, got 4 only"),
    ],
)
def test_bad_measurements_are_refused_by_name(b, y, message):
    with pytest.raises(ValueError, match=message):
        fit_noise_scale(b, y)


@pytest.mark.parametrize(
    ("sizes", "norms", "name"),
    [
        ([2, 1e9], [1e300, 1e-300], "squared_norms"),
        ([2, 5, 1e9], [1e300, 1.0, 1e-300], "squared_norms"),
        ([1e-300, 1e300], [2.0, 1.0], "batch_sizes"),
    ],
)
def test_values_too_far_apart_for_doubles_are_refused_by_name(sizes, norms, name):
    with pytest.raises(ValueError, match=rf"^{name} must lie within a factor of 1e\+12"):
        fit_noise_scale(sizes, norms)


def test_the_widest_ratio_of_values_still_has_a_line():
    b = np.array([1.0, 9e11])
    found = fit_noise_scale(b, 1.0 + 1e11 / b)
    assert found.noise_scale == pytest.approx(1e11, rel=1e-3)
    assert found.gradient_squared == pytest.approx(1.0, rel=1e-3)
