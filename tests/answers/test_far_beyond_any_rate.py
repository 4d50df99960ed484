"""Rates and losses beyond all bounds: refused by name, or answered as divergence, without a warning."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import genfun as gf

HUGE = 1e300


@cache
def data():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((20, 3))
    return gf.LinearData.from_features(X, X @ [1.0, -1.0, 0.5] + 0.3 * rng.standard_normal(20))


@pytest.mark.parametrize("noise", [None, "exact", "fitted"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda noise: gf.predict(data(), gf.SGD(HUGE, 0.9, 5), 10, noise=noise),
        lambda noise: gf.spread(data(), gf.SGD(HUGE, 0.9, 5), 10, noise=noise),
        lambda noise: gf.big_batch(data(), gf.SGD(HUGE, 0.9, 5), 10, noise=noise),
        lambda noise: gf.epochs_curve(data(), gf.SGD(HUGE, 0.9, 5), 10),
        lambda noise: gf.predict_test(data(), gf.SGD(HUGE, 0.9, 5), 10, np.eye(3), np.ones(3)),
        lambda noise: gf.noise_gain_map(data(), [HUGE], [0.0], batch_size=5, noise=noise),
        lambda noise: gf.loss_map(data(), [HUGE], [0.0], 10, batch_size=5, noise=noise),
        lambda noise: gf.escape_chart(data(), [1.0], [5], sharpness=[HUGE], noise=noise),
    ],
)
def test_a_rate_whose_powers_leave_the_range_of_doubles_is_refused_by_name(ask, noise):
    with pytest.raises(ValueError, match=r"learning_rate.* must be below"):
        ask(noise)


def test_big_batches_of_averaged_weights_are_refused_by_name():
    with pytest.raises(ValueError, match="averaged weights"):
        gf.big_batch(data(), gf.Averaged(gf.SGD(0.1, batch_size=5)), 10)


def test_a_loss_that_has_left_the_range_of_doubles_is_infinite_in_epochs():
    found = gf.predict(data(), gf.SGD(1e20, 0.9, 5, sampling="epochs"), [0, 1, 40])
    assert found.status != "ok"
    assert np.isinf(found.loss[-1])
    assert not np.isnan(found.loss).any()


def test_held_out_losses_and_exponents_far_beyond_the_edge_raise_no_warning():
    method = gf.SGD(1e20, 0.9, 5)
    assert gf.predict_test(data(), method, [0, 5, 100], np.eye(3), np.ones(3)).loss[-1] > 1e100
    assert not np.isfinite(gf.local_exponent(data(), method, [100], noise="exact")).all()
    averaged = gf.predict(data(), gf.Averaged(method), [0, 7, 40], noise="exact")
    assert averaged.status == "diverges"
    assert np.isinf(averaged.loss[-1])


@pytest.mark.parametrize("ask_of", [lambda: data(), lambda: data().problem])
def test_a_map_of_lost_losses_has_them_infinite(ask_of):
    found = gf.loss_map(ask_of(), np.array([0.1, 1e3, 1e25]), [0.0, 0.9], 10**12, batch_size=5)
    assert not np.isnan(found.loss).any()
    assert np.isinf(found.loss[1:]).all()
    assert (found.log_loss[1:] > 1e12).all()


def test_a_map_answers_where_all_is_over_after_a_step():
    """At alpha lambda = 1 of a single mode, and equal rows, the squared root of the mode is 0."""
    rows = gf.LinearData.from_features(np.tile([[1.0, -0.7]], (30, 1)), np.arange(30.0))
    rate = 1.0 / rows.eigenvalues[0]
    found = gf.loss_map(rows, [rate], [0.0], 10, batch_size=10)
    assert found.loss[0, 0] == pytest.approx(0.5 * rows.noise_variance * (1.0 + 20.0 / 290.0), rel=1e-6)


@pytest.mark.parametrize("noise", [None, "exact"])
def test_a_schedule_that_leaves_the_range_of_doubles_in_one_step_diverges(noise):
    found = gf.predict(data(), gf.ScheduledSGD([HUGE] * 3, 0.9, 5), [0, 1, 2], noise=noise)
    assert found.status == "diverges"
    assert np.isinf(found.loss[1:]).all()
