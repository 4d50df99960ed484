"""Bounds on the steps against the batch size: each against the inequality it comes from, summed in full."""

from __future__ import annotations

import math
import time

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


def first_in_full(rates: np.ndarray, b: float, eps2: float, c: SmoothConstants = CONSTANTS) -> float:
    """The first K at which the inequality holds, by adding up all rates; 1e-12 of it is granted to rounding."""
    left = 2.0 - c.smoothness * rates[0]
    noise = c.smoothness * c.gradient_noise / (left * b)
    met = eps2 * np.cumsum(rates) - noise * np.cumsum(rates**2) >= 2.0 * c.gap / left * (1.0 - 1e-12)
    return float(met.argmax() + 1) if met.any() else np.inf


@pytest.mark.slow
@pytest.mark.parametrize("power", [0.1, 0.4999999, 0.5, 0.50000001, 0.95])
def test_polynomial_decay_is_the_first_step_after_one_period_that_meets_the_inequality(power):
    rng = np.random.default_rng(int(1000 * power))
    seen = 0
    for _ in range(12):
        rate, eps2, b = rng.uniform(0.05, 0.95), 10.0 ** rng.uniform(-1.0, 1.0), 10.0 ** rng.uniform(-0.5, 3.0)
        period = int(10.0 ** rng.uniform(0.0, 3.0))
        rates = rate * (np.arange(100_000) // period + 1.0) ** -power
        expected = first_in_full(rates, b, eps2)
        if expected < np.inf:
            found = float(polynomial_decay_bound(CONSTANTS, rate, power, period, eps2).steps(b))
            assert found == max(expected, period)
            seen += expected > period
    assert seen > 2


@pytest.mark.parametrize(("eps2", "star"), [(0.2, 27), (0.05, 85), (0.02, 175)])
def test_the_critical_batch_size_of_a_polynomial_decay_grows_as_the_accuracy_falls(eps2, star):
    c = SmoothConstants(1.0, 50.0, 1.0)
    bound = polynomial_decay_bound(c, 0.1, 0.25, 100, eps2)
    # By hand: all whole batch sizes. Steps are whole numbers, which moves a flat minimum by a per cent or two.
    rates = 0.1 * (np.arange(20_000) // 100 + 1.0) ** -0.25
    samples = {b: b * first_in_full(rates, b, eps2, c) for b in range(15, 250)}
    assert min(samples, key=lambda b: samples[b]) == pytest.approx(star, abs=1)
    assert bound.critical_batch_size == pytest.approx(star, rel=0.02)
    assert float(bound.samples(bound.critical_batch_size)) < 1.005 * min(samples.values())


def test_a_period_that_is_longer_than_the_run_is_run_once():
    # The inequality holds after 4 steps of the constant rate; a schedule is run for at least one period.
    c = SmoothConstants(1.0, 1.0, 1.0)
    assert polynomial_decay_bound(c, 0.5, 0.5, 1000, 1.0).steps([1.0]).tolist() == [1000.0]
    assert constant_rate_bound(c, 0.5, 1.0).steps([1.0]).tolist() == pytest.approx([4.0])


def test_critical_batch_sizes_of_polynomial_decays_at_the_finest_accuracies():
    slow = [polynomial_decay_bound(CONSTANTS, 0.1, 0.25, 100, e).critical_batch_size for e in (1e-9, 1e-10)]
    assert slow[1] / slow[0] == pytest.approx(10.0 ** (0.5 / 0.75), rel=1e-3)
    # sum of j^-1.5 is 2.612375348685488; D2/D1 = L sigma^2/(2 Delta) = 10.
    fast = polynomial_decay_bound(CONSTANTS, 0.1, 0.75, 100, 1e-9).critical_batch_size
    assert fast == pytest.approx(3.0 * 10.0 * 0.01 * 100 * 2.612375348685488, rel=1e-3)


@pytest.mark.parametrize("factor", [0.999, 1.0 - 1e-9])
def test_a_rate_that_falls_ever_so_slowly_takes_no_longer_to_bound(factor):
    began = time.perf_counter()
    bound = step_decay_bound(CONSTANTS, 0.05, factor, 1000, EPS2)
    assert time.perf_counter() - began < 1.0
    rates = 0.05 * factor ** (np.arange(100_000) // 1000)
    for b in (40.0, 300.0):
        assert bound.steps(b) == first_in_full(rates, b, EPS2)
    constant = constant_rate_bound(CONSTANTS, 0.05, EPS2).critical_batch_size
    # 1 - factor of the rate is lost in each period of 1,000 steps, some tenths of which are needed.
    assert bound.critical_batch_size == pytest.approx(constant, rel=2e-3)


@pytest.mark.parametrize("scale", [1e-100, 1e-6, 1e100])
def test_bounds_of_falling_rates_keep_their_form_when_the_loss_changes_its_unit(scale):
    c = SmoothConstants(2.0 * scale, 30.0 * scale**2, 3.0 * scale)
    for power in (0.25, 0.5, 0.75):
        one = polynomial_decay_bound(CONSTANTS, 0.05, power, 50, EPS2)
        other = polynomial_decay_bound(c, 0.05 / scale, power, 50, EPS2 * scale**2)
        assert other.critical_batch_size == pytest.approx(one.critical_batch_size, rel=1e-6)
    one = step_decay_bound(CONSTANTS, 0.1, 0.5, 2000, EPS2)
    other = step_decay_bound(c, 0.1 / scale, 0.5, 2000, EPS2 * scale**2)
    assert other.critical_batch_size == pytest.approx(one.critical_batch_size, rel=1e-6)


def test_without_noise_samples_only_grow_with_the_batch():
    still = SmoothConstants(1.0, 0.0, 1.0)
    for bound in (polynomial_decay_bound(still, 0.5, 0.5, 3, 0.1), step_decay_bound(still, 0.5, 0.9, 100, 0.1)):
        assert math.isnan(bound.critical_batch_size)
        assert len(set(bound.steps([1.0, 10.0, 1e6]).tolist())) == 1


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
