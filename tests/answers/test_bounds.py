"""Bounds on the steps against the batch size: each against the inequality it comes from, summed in full."""

from __future__ import annotations

import math

import numpy as np
import pytest

import genfun as gf
from genfun.answers.batch.bounds import (
    SmoothConstants,
    adam_bound,
    constant_rate_bound,
    heavy_ball_bound,
    linear_scaling_bound,
    polynomial_decay_bound,
    step_decay_bound,
    tuned_rate_bound,
)

CONSTANTS = SmoothConstants(smoothness=2.0, gradient_noise=30.0, gap=3.0)
EPS2 = 0.05
B = np.geomspace(0.5, 1e5, 4001)


def in_full(rates: np.ndarray, b: float, c: SmoothConstants = CONSTANTS) -> float:
    """The bound on the least squared gradient after all the rates; the first is the largest."""
    left = 2.0 - c.smoothness * rates[0]
    noise = c.smoothness * c.gradient_noise * (rates**2).sum() / (left * b * rates.sum())
    return 2.0 * c.gap / left / rates.sum() + noise


@pytest.mark.parametrize(("rate", "star"), [(0.1, 105), (0.5, 667), (1.0, 2000)])
def test_the_quadratic_of_the_batch_size_papers(rate, star):
    bound = constant_rate_bound(SmoothConstants(1.0, 50.0, 1.0), rate, 0.05)
    assert round(bound.critical_batch_size) == star


def test_a_constant_rate_meets_the_inequality_and_one_step_less_does_not():
    bound = constant_rate_bound(CONSTANTS, 0.05, EPS2)
    for b in (40.0, 100.0, 1000.0):
        k = math.ceil(float(bound.steps(b)))
        # Rounding of the sums, where K is whole by itself.
        assert in_full(np.full(k, 0.05), b) <= EPS2 * (1.0 + 1e-12) < in_full(np.full(k - 1, 0.05), b)
    assert np.isinf(bound.steps(0.5 * bound.critical_batch_size))


BOUNDS = {
    "constant": constant_rate_bound(CONSTANTS, 0.05, EPS2),
    "heavy ball": heavy_ball_bound(CONSTANTS, 0.01, 0.6, EPS2),
    "heavy ball, negative": heavy_ball_bound(CONSTANTS, 0.01, -0.4, EPS2),
    "adam": adam_bound(2.0, 0.4, 0.01, EPS2),
    "decay 1/4": polynomial_decay_bound(CONSTANTS, 0.05, 0.25, 50, EPS2),
    "decay 1/2": polynomial_decay_bound(CONSTANTS, 0.05, 0.5, 50, EPS2),
    "decay 3/4": polynomial_decay_bound(CONSTANTS, 0.05, 0.75, 50, EPS2),
    "steps": step_decay_bound(CONSTANTS, 0.1, 0.5, 2000, EPS2),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_the_critical_batch_size_has_the_fewest_samples(name):
    bound = BOUNDS[name]
    # Steps K(b) that are whole numbers (step decay) or not below one period (decay) only bend the minimum.
    best = B[np.nanargmin(bound.samples(B))]
    assert bound.critical_batch_size == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize("power", [0.25, 0.5, 0.75])
def test_polynomial_decay_meets_the_inequality_in_full(power):
    bound = polynomial_decay_bound(CONSTANTS, 0.4, power, 50, 0.2)
    for b in (20.0, 200.0):
        k = math.ceil(float(bound.steps(b)))
        rates = 0.4 * (np.arange(k) // 50 + 1.0) ** -power
        assert 50 < k < 10**7
        assert in_full(rates, b) <= 0.2


def test_step_decay_is_the_first_step_that_meets_the_inequality():
    bound = step_decay_bound(CONSTANTS, 0.1, 0.5, 700, EPS2)
    for b in (30.0, 60.0, 300.0):
        k = bound.steps(b)
        rates = 0.1 * 0.5 ** (np.arange(4000) // 700)
        met = [n for n in range(1, 4000) if in_full(rates[:n], b) <= EPS2]
        assert k == (met[0] if met else np.inf)


def test_step_decay_cannot_go_on_for_ever():
    # The rates sum to at most 0.1 * 20 / (1 - 0.5): too little for any batch.
    bound = step_decay_bound(CONSTANTS, 0.1, 0.5, 20, EPS2)
    assert np.isinf(bound.steps(1e9))
    assert bound.choose().outcome == "unreachable"


def test_a_tuned_rate_is_the_best_of_all_constant_rates():
    b = 200.0
    rates = np.geomspace(1e-4, 0.99, 2001) * 2.0 / CONSTANTS.smoothness
    least = min(float(constant_rate_bound(CONSTANTS, r, EPS2).steps(b)) for r in rates)
    assert float(tuned_rate_bound(CONSTANTS, EPS2).steps(b)) == pytest.approx(least, rel=1e-4)
    assert np.isnan(tuned_rate_bound(CONSTANTS, EPS2).critical_batch_size)


def test_linear_scaling_is_a_constant_rate_in_proportion_to_the_batch():
    bound = linear_scaling_bound(CONSTANTS, 1e-4, EPS2)
    for b in (10.0, 500.0):
        assert bound.steps(b) == pytest.approx(
            float(constant_rate_bound(CONSTANTS, 1e-4 * b, EPS2).steps(b)), rel=1e-12
        )
    assert B[np.argmin(bound.steps(B))] == pytest.approx(bound.constants["fewest_steps"], rel=0.01)


def test_momentum_raises_the_critical_batch_size_and_none_is_looser_than_the_plain_bound():
    stars = [heavy_ball_bound(CONSTANTS, 0.01, m, EPS2).critical_batch_size for m in (0.0, 0.3, 0.6)]
    assert stars == sorted(stars)
    assert stars[0] > constant_rate_bound(CONSTANTS, 0.01, EPS2).critical_batch_size


def test_constants_of_a_linear_problem_are_those_of_its_first_gradient():
    data = gf.data.translation_invariant([1.0, 0.6, 0.3], [0.5, 1.0, 2.0])
    c = SmoothConstants.from_problem(data.problem)
    gradients = -data.eigenfeatures * (data.eigenfeatures @ -data.coefficients)
    spread = ((gradients - gradients.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert c.gradient_noise == pytest.approx(spread, rel=1e-10)
    assert c.gap == pytest.approx(float(data.problem.signal.sum()) / 2.0)
    assert c.smoothness == 1.0


def test_the_choice_respects_the_number_of_samples():
    bound = BOUNDS["constant"]
    star = bound.critical_batch_size
    assert bound.choose().outcome == "interior"
    assert bound.choose(int(0.8 * star)).outcome == "limited by the samples"
    assert bound.choose(int(0.4 * star)).outcome == "unreachable"
    assert tuned_rate_bound(CONSTANTS, EPS2).choose(100).batch_size == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: constant_rate_bound(CONSTANTS, 1.0, EPS2), "learning_rate must lie below 2/L = 1, got 1.0"),
        (lambda: constant_rate_bound(CONSTANTS, 0.1, -1.0), "accuracy must be positive"),
        (lambda: heavy_ball_bound(CONSTANTS, 0.2, 0.9, EPS2), "too large for this bound at momentum 0.9"),
        (lambda: polynomial_decay_bound(CONSTANTS, 0.1, 1.0, 5, EPS2), "power must lie between 0 and 1"),
        (lambda: step_decay_bound(CONSTANTS, 0.1, 1.5, 5, EPS2), "factor must lie between 0 and 1"),
        (lambda: SmoothConstants(0.0, 1.0, 1.0), "smoothness must be positive"),
        (lambda: SmoothConstants.from_problem(gf.PowerLaw(0.8, 1.0)), "infinite trace"),
        (lambda: BOUNDS["constant"].steps([0.0]), "batch_sizes must be positive"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
