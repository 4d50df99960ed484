"""What predict accepts, refuses and reports."""

from __future__ import annotations

import time

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun.engine.recursion import Recursion

PROBLEM = gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=100)
METHOD = gf.SGD(0.3, 0.4, 5)


def test_shape_order_and_repeats_of_steps_are_kept():
    steps = np.array([[1000, 0, 7], [7, 1000, 2]])
    r = gf.predict(PROBLEM, METHOD, steps)
    assert r.loss.shape == r.error.shape == r.log_loss.shape == r.steps.shape == (2, 3)
    one_by_one = [[float(gf.predict(PROBLEM, METHOD, int(t)).loss) for t in row] for row in steps]
    np.testing.assert_allclose(r.loss, one_by_one, rtol=1e-12)
    assert r.loss[0, 2] == r.loss[1, 0]
    assert gf.predict(PROBLEM, METHOD, 7).loss.shape == ()
    assert gf.predict(PROBLEM, METHOD, [0.0, 3.0]).steps.dtype == np.int64


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (-1, ValueError, "steps must be zero or positive, got -1"),
        ([1.5], ValueError, "steps must be whole numbers, got 1.5"),
        ([np.nan], ValueError, "steps must be whole numbers"),
        ([], ValueError, "steps is empty"),
        ("12", TypeError, "steps must be integers"),
        ([True], TypeError, "steps must be integers"),
        (10**16, ValueError, "at most"),
    ],
)
def test_bad_steps_are_refused(steps, error, message):
    with pytest.raises(error, match=message):
        gf.predict(PROBLEM, METHOD, steps)


def test_wrong_kinds_of_arguments_are_named():
    from genfun import _check

    noise = gf.SpectrallyExpressible()
    for arguments, message in (
        (([1.0], METHOD, noise), "problem must be a LinearProblem, a PowerLaw or a LinearData, got list"),
        ((PROBLEM, 0.1, noise), "method must be a method such as SGD, got float"),
        ((PROBLEM, METHOD, 1.0), "noise must be a SpectrallyExpressible or a genfun.Noise, got float"),
    ):
        with pytest.raises(TypeError, match=message):
            _check.setting(*arguments)
        # Under pytest the annotations refuse first, elsewhere the check does: a TypeError either way.
        with pytest.raises(TypeError):
            gf.stability(*arguments)


@pytest.mark.other_kinds
def test_bad_choices_are_refused():
    with pytest.raises(ValueError, match="batch_size must be at most n_samples=100, got 101"):
        gf.predict(PROBLEM, gf.SGD(0.1, 0.0, 101), 1)
    with pytest.raises(ValueError, match="needs the data"):
        gf.predict(PROBLEM, METHOD, 1, noise="exact")
    with pytest.raises(ValueError, match="route must be one of"):
        gf.predict(PROBLEM, METHOD, 1, route="magic")
    with pytest.raises(ValueError, match="noise must be"):
        gf.predict(PROBLEM, METHOD, 1, noise="magic")
    with pytest.raises(ValueError, match="use route='auto'"):
        gf.predict(PROBLEM, METHOD, 10**9, route="recursion")


@pytest.mark.parametrize("beta", [-0.6, 0.0, 0.8])
def test_first_steps_by_hand(beta):
    # One mode, b = 1 of N = 3: gamma = (3-1)/((3-1) 1) = 1. w_1 = (1-a) w_0 + noise of variance gamma a^2 (c - c).
    problem, a = gf.LinearProblem([1.0], [2.0], n_samples=3), 0.3
    r = gf.predict(problem, gf.SGD(a, beta, 1), [0, 1, 2], gf.SpectrallyExpressible(1.0, 0.0))
    assert r.loss[0] == 1.0
    assert r.loss[1] == pytest.approx((1 - a) ** 2 + a**2, rel=1e-15)
    # v_1 has second moment 2 a^2 and correlation -a (1-a) + a^2 with w_1, in units of w_0^2.
    w1, j1, v1 = (1 - a) ** 2 + a**2, -a * (1 - a) + a**2, 2 * a**2
    assert r.loss[2] == pytest.approx((1 - a) ** 2 * w1 + 2 * beta * (1 - a) * j1 + beta**2 * v1 + a**2 * w1, rel=1e-14)


def test_full_batch_is_gradient_descent_without_noise():
    lam, s = PROBLEM.eigenvalues, PROBLEM.signal
    steps = np.array([0, 1, 2, 10, 1000, 10**6])
    for batch in (None, 100):
        r = gf.predict(PROBLEM, gf.SGD(0.7, 0.0, batch), steps)
        exact = 0.5 * (s * np.exp(2.0 * np.multiply.outer(steps, np.log1p(-0.7 * lam)))).sum(axis=1)
        np.testing.assert_allclose(r.loss, exact, rtol=1e-11)


def test_full_batch_at_a_trillion_steps_keeps_slow_modes():
    problem = gf.LinearProblem([1.0, 1e-13], [1.0, 1.0])
    r = gf.predict(problem, gf.SGD(1.0, 0.0), 10**12)
    assert float(r.loss) == pytest.approx(0.5 * np.exp(2e12 * np.log1p(-1e-13)), rel=1e-12)


def test_replacement_changes_the_sampling_factor():
    with_, without = (gf.predict(PROBLEM, gf.SGD(0.3, 0.0, 50, r), 30).loss for r in (True, False))
    assert with_ > 1.001 * without


def test_losses_beyond_double_precision_are_reported_as_such():
    small = gf.predict(gf.LinearProblem([1.0, 0.9], [1.0, 1.0]), gf.SGD(0.5, 0.0, 4), [10, 10**5])
    assert small.status == "underflow"
    assert small.loss[1] == 0.0
    assert -1e6 < small.log_loss[1] < -1e3
    big = gf.predict(gf.LinearProblem([1.0, 0.9], [1.0, 1.0]), gf.SGD(1.9, 0.0, 1), [10, 10**5])
    assert big.status == "diverges"
    assert big.loss[1] == np.inf
    assert np.isfinite(big.log_loss).all()
    # Both logarithms continue the late rate to the relative accuracy of doubles.
    for r in (small, big):
        s = gf.stability(r.problem, r.method)
        assert r.log_loss[1] / 1e5 == pytest.approx(s.growth_rate, rel=1e-3)


def test_losses_of_few_digits_count_as_none():
    r = gf.predict(gf.LinearProblem([1.0], [2.0]), gf.SGD(0.5), [510, 511, 512, 530])  # 4^-t
    assert r.loss[0] == 0.25**510
    assert r.loss[1:].tolist() == [2.0**-1022, 0.0, 0.0]
    assert r.status == "underflow"
    assert r.log_loss == pytest.approx(-2.0 * r.steps * np.log(2.0), rel=1e-15)


def test_full_batch_far_below_double_precision_knows_its_error():
    r = gf.predict(gf.LinearProblem([1.0, 0.5], [1.0, 1.0]), gf.SGD(0.9), [1, 100, 10**4, 10**6])
    assert r.status == "underflow"
    assert r.error.max() < 1e-6
    # The slower mode shrinks by 0.55 a step, and is alone in the end.
    np.testing.assert_allclose(r.log_loss[1:], np.log(0.5) + 2 * r.steps[1:] * np.log(0.55), rtol=1e-13)


def test_rates_absurdly_beyond_the_edge_diverge_without_nan():
    problem = gf.LinearProblem([0.36, 0.1, 0.0035], [1.0, 1.0, 1.0])
    r = gf.predict(problem, gf.SGD(3e6, 0.0, 3), [0, 1, 100, 10**4, 10**6, 10**12])
    assert r.status == "diverges"
    assert np.isfinite(r.log_loss).all()
    assert (np.diff(r.log_loss) > 0).all()
    assert r.log_loss[-1] / 1e12 == pytest.approx(gf.stability(problem, r.method).growth_rate, rel=1e-6)


def test_a_floor_is_as_accurate_at_1e12_as_anywhere():
    problem = gf.LinearProblem([1.0, 0.5, 1e-3], [1.0, 1.0, 1.0], noise_variance=0.1)
    for batch in (5, None):
        r = gf.predict(problem, gf.SGD(0.3, 0.6, batch), [10**6, 10**12])
        assert r.status == "ok"
        assert r.error.max() < 1e-8


def test_label_noise_ends_at_the_floor():
    problem = gf.LinearProblem([1.0, 1e-3], [1.0, 1.0], noise_variance=0.2)
    method = gf.SGD(0.3, 0.5, 2)
    r = gf.predict(problem, method, [10**5, 10**8, 10**12])
    np.testing.assert_allclose(r.loss, 0.1 + gf.stability(problem, method).floor, rtol=1e-10)
    assert r.status == "ok"


def test_any_step_up_to_1e12_costs_the_same_and_follows_the_power_law():
    r = gf.predict(gf.PowerLaw(1.5, 0.5), gf.SGD(0.3, 0.0, 10), 10 ** np.arange(13))
    assert r.status == "ok"
    assert r.error.max() < 1e-8
    slopes = np.diff(np.log10(r.loss))[7:]
    np.testing.assert_allclose(slopes, -0.5, atol=2e-3)


def test_all_modes_oscillating_is_recognised_and_not_extrapolated_wrongly():
    # Every mode is underdamped, with almost no noise: no contour around the real axis sees the dominant poles.
    problem = gf.LinearProblem([1.0, 0.7, 0.5], [1.0, 1.0, 1.0])
    method = gf.SGD(0.05, 0.9, 1000)
    steps = np.arange(2000, 2010)
    mantissa, exponent = Recursion(problem, [method], dtype=np.longdouble).run(2010)
    exact = (np.log(mantissa[0]) + exponent[0] * np.log(np.longdouble(2)))[steps].astype(float)
    r = gf.predict(problem, method, steps)
    np.testing.assert_allclose(r.log_loss, exact, atol=1e-9)
    forced = gf.predict(problem, method, steps, route="contour")
    wrong = np.abs(np.expm1(forced.log_loss - exact))
    assert (wrong <= 10 * forced.error + 1e-9).all() or forced.status == "inaccurate"


def test_repr_says_the_answer_in_a_line():
    text = repr(gf.predict(PROBLEM, METHOD, [0, 100]))
    assert text.startswith("Prediction(ok: loss 0.")
    assert "at step 100" in text
    assert "\n" not in text


def test_a_method_of_ones_own_needs_only_its_update():
    method = Nesterov(0.4, 0.6, 5)
    steps = np.array([0, 1, 5, 100, 400, 10**5])
    r = gf.predict(PROBLEM, method, steps)
    assert r.status == "ok"
    slow = gf.predict(PROBLEM, method, steps[:-1], route="recursion")
    np.testing.assert_allclose(r.loss[:-1], slow.loss, rtol=1e-10)
    # The recursion itself, against simulated noise-free Nesterov.
    lam = PROBLEM.eigenvalues
    w, v = np.sqrt(PROBLEM.signal / lam), np.zeros(50)
    for _ in range(5):
        gradient = lam * w
        v = 0.6 * v - 0.4 * gradient
        w = w - 0.4 * gradient + 0.6 * v
    quiet = gf.predict(PROBLEM, Nesterov(0.4, 0.6, None), 5)
    assert float(quiet.loss) == pytest.approx(0.5 * (lam * w**2).sum(), rel=1e-13)
    limit = gf.max_learning_rate(PROBLEM, method=method)
    assert gf.stability(PROBLEM, Nesterov(0.99 * limit, 0.6, 5)).status == "converges"
    assert gf.stability(PROBLEM, Nesterov(1.01 * limit, 0.6, 5)).status == "diverges"


def test_single_samples_with_large_steps_stay_exact_on_compressed_spectra():
    # b = 1, tau2 = 1, a > 1: a mode's own noise terms, of size 1.7 a step, cancel only within one node.
    k = np.arange(1.0, 8001.0)
    for problem in (gf.PowerLaw(2.5, 3.0), gf.LinearProblem(k**-2.5, k**-8.5)):
        method = gf.SGD(0.9 * gf.max_learning_rate(problem, 0.0, 1), 0.0, 1)
        r = gf.predict(problem, method, [10, 200, 10**8])
        assert r.status == "ok"
        k = np.arange(1.0, 2001.0)
        listed = gf.LinearProblem(k**-2.5, k**-7.5 - (k + 1) ** -7.5 if isinstance(problem, gf.PowerLaw) else k**-8.5)
        full = Recursion(listed, [method], measures=listed.full_measures).run(200)[0][0]
        # 2000 modes hold all but 2000^-1.5/1.5 of the trace, which shifts the noise gain by 1e-5.
        np.testing.assert_allclose(r.loss[:2], full[[10, 200]], rtol=2e-3)


def test_no_answer_hangs_on_a_hard_problem():
    # Dominant poles off the axis, far from every route's comfort: an answer or "inaccurate", within the step budget.
    problem = gf.LinearProblem([1.0, 0.7], [1.0, 1.0])
    start = time.process_time()
    r = gf.predict(problem, gf.SGD(0.01, 0.98, 500), [10**3, 10**7])
    assert time.process_time() - start < 60.0
    assert np.isfinite(r.log_loss).all() or r.status == "inaccurate"


def test_exact_second_moments_that_overflow_diverge_without_a_warning():
    r = gf.predict(gf.data.mnist(30), gf.SGD(50.0, 0.9, 1), [1, 10, 1000], noise="exact")
    assert r.status == "diverges"
    assert np.isfinite(r.loss[:2]).all()
    assert r.loss[2] == np.inf


def test_data_that_blow_up_are_said_to_by_their_own_noise():
    """x = 0..199 and 1 with a linear y at batch size 1: tau1 = tau2 = 1 alone calls this stable."""
    x = np.column_stack([np.arange(200.0), np.ones(200)])
    data = gf.LinearData.from_features(x, x @ [2.0, 1.0])
    setting = gf.SGD(1.2e-4, 0.0, 1)
    exact, measured = (gf.predict(data, setting, 400, noise=name) for name in ("exact", None))
    assert gf.predict(data.problem, setting, 400).status == "ok"
    assert exact.status == measured.status == "diverges"
    assert float(exact.loss) == pytest.approx(4.7e154, rel=0.01)
    assert float(measured.log_loss) == pytest.approx(float(exact.log_loss), abs=1e-8)
