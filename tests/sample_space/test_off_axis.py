"""Nesterov's method at negative momentum, where what decides is off the positive axis, against the plain recursion."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.sample_space.moments import exact_curve


@pytest.fixture(scope="module")
def data() -> gf.LinearData:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(50), 7.0 * (np.arange(50) == 3), rng.standard_normal(50)])
    return gf.LinearData.from_features(X, X.sum(axis=1) + 0.01 * rng.standard_normal(50))


def nesterov(data: gf.LinearData, momentum: float, batch_size: int, share: float) -> gf.SGD:
    edge = gf.max_learning_rate(data, method=gf.SGD(1.0, momentum, batch_size, nesterov=True))
    return gf.SGD(share * edge, momentum, batch_size, nesterov=True)


@pytest.mark.parametrize("noise", ["measured", "exact"])
@pytest.mark.parametrize(("momentum", "batch_size", "share"), [(-0.99, 25, 0.9), (-0.9, 25, 0.999), (-0.95, 10, 0.95)])
def test_noise_that_alternates_is_seen(data, momentum, batch_size, share, noise):
    # A singularity on the negative axis is nearly as slow as that on the positive one, which products of roots are not.
    method, steps = nesterov(data, momentum, batch_size, share), np.array([70, 100, 150, 300, 500])
    found, true = gf.predict(data, method, steps, noise), exact_curve(data, method, steps).loss.value()
    assert (np.abs(found.loss / true - 1.0) <= found.error + 1e-10).all()
    assert found.error.max() < 1e-6


@pytest.mark.parametrize(("momentum", "share", "rate"), [(-0.7, 1.2, 0.2922), (-0.5, 1.05, 0.0723)])
def test_a_pair_of_roots_that_grows_shows_where_noise_hardly_matters(data, momentum, share, rate):
    method, steps = nesterov(data, momentum, 49, share), np.array([20, 80, 400])
    found, true = gf.predict(data, method, steps), exact_curve(data, method, steps).loss
    np.testing.assert_allclose(found.log_loss, true.log(), rtol=0.0, atol=1e-8)
    assert gf.stability(data, method).growth_rate == pytest.approx(rate, abs=1e-4)
    spectrum = gf.LinearProblem([1.0], [1.0], 20)
    late = gf.predict(spectrum, nesterov_of(spectrum), [20, 30]).log_loss
    assert gf.stability(spectrum, nesterov_of(spectrum)).growth_rate == pytest.approx(
        (late[1] - late[0]) / 10.0, abs=1e-3
    )


def nesterov_of(spectrum: gf.LinearProblem) -> gf.SGD:
    return gf.SGD(
        3.0 * gf.max_learning_rate(spectrum, method=gf.SGD(1.0, -0.3, 19, nesterov=True)), -0.3, 19, nesterov=True
    )
