"""Steps and samples against batch size, and the batch size of fewest samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

import genfun as gf
from genfun.answers.batch._batch_search import BatchSearch
from genfun.answers.batch.critical_batch import critical_batch_size
from genfun.answers.batch.tuned import Tuned, _between, tuned_steps
from genfun.schedules import Cosine, ScheduledSGD


def test_the_search_finds_the_least_of_any_steps_that_never_rise():
    rng = np.random.default_rng(0)
    for _ in range(100):
        last = int(rng.integers(2, 600))
        steps = np.sort(rng.integers(1, 2000, last + 1))[::-1].astype(float)
        steps[: int(rng.integers(0, last))] = np.inf
        search = BatchSearch(lambda b, k=steps: float(k[b]), lambda b: 0.3 + b)
        search.double(last)
        for b in range(1, last + 1):  # the doubling may stop before a far end, where jumps of K are not seen
            if b > max(search.known):
                steps[b] = steps[max(search.known)]
        assert search.prove(10_000)
        sizes = np.arange(1, last + 1)
        assert search.cost(search.best()) == (steps[sizes] * (0.3 + sizes)).min()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "method", "loss"),
    [
        (gf.PowerLaw(1.5, 0.25, n_modes=100, n_samples=50), gf.SGD(0.3, 0.5), 0.15),
        (gf.LinearProblem([1.0, 0.3, 0.1], [1.0, 0.5, 0.5], noise_variance=0.1), gf.SGD(0.5), 0.053),
    ],
)
def test_critical_batch_is_that_of_brute_force(problem, method, loss):
    c = critical_batch_size(problem, method, loss=loss)
    sizes = np.arange(1, 51)
    steps = np.array(
        [gf.steps_to_loss(problem, gf.SGD(method.learning_rate, method.momentum, int(b)), loss) for b in sizes]
    )
    samples = steps * sizes
    assert (c.status, c.proven) == ("ok", True)
    assert c.batch_size == sizes[np.argmin(samples)]
    i = int(np.searchsorted(c.batch_sizes, c.batch_size))
    assert c.samples[i] == samples.min() == c.steps[i] * c.batch_size
    for share, (low, high) in c.ranges.items():
        inside = samples <= (1.0 + share) * samples.min()
        # K is a whole number, so that samples jump by b within the range; its ends are located to 2 %.
        assert inside[low - 1]
        assert inside[high - 1]
        assert abs(low - sizes[inside].min()) <= max(1, 0.1 * low)
        assert abs(high - sizes[inside].max()) <= max(1, 0.1 * high)
    assert c.interval == c.ranges[0.1]
    assert 1 < c.interval[0] <= c.batch_size <= c.interval[1] < 50


@pytest.mark.parametrize(("nu", "zeta", "sigma2"), [(1.5, 0.5, 0.0), (2.0, 1.0, 0.0), (1.5, 0.5, 0.0004)])
def test_closed_form_is_within_ten_percent_in_the_signal_phase(nu, zeta, sigma2):
    problem = gf.PowerLaw(nu, zeta, noise_variance=sigma2)
    c = critical_batch_size(problem, gf.SGD(0.5), loss=1e-3)
    reached = np.isfinite(c.steps) & (c.batch_sizes >= 2)
    ratio = c.steps[reached] / c.closed_form.steps(c.batch_sizes[reached])
    assert np.abs(ratio - 1.0).max() < 0.10
    assert c.closed_form.batch_size == pytest.approx(c.batch_size, abs=1.0)
    # It is no trivial agreement: the smallest of these batches needs many more steps.
    assert c.steps[reached].max() > 1.3 * c.closed_form.limit


@pytest.mark.slow
def test_closed_form_with_a_training_set_is_least_where_it_says():
    closed = critical_batch_size(gf.PowerLaw(1.5, 0.2, n_samples=20), gf.SGD(1.2), loss=0.1).closed_form
    b = np.linspace(1.0, 20.0, 20_000)
    assert closed.batch_size == pytest.approx(b[np.argmin(b * closed.steps(b))], abs=2e-3)
    assert closed.steps(20) == closed.limit


@pytest.mark.slow
def test_tuned_rate_is_that_of_brute_force():
    problem = gf.PowerLaw(1.5, 2.0, n_modes=30, noise_variance=0.01)
    for b in (1, 20):
        steps, setting = tuned_steps(problem, b, 0.006)
        rates = setting.learning_rate * np.geomspace(0.4, 2.5, 31)
        assert steps == min(gf.steps_to_loss(problem, gf.SGD(float(r), 0.0, b), 0.006) for r in rates)
        assert steps == gf.steps_to_loss(problem, setting, 0.006)
    with_momentum, setting = tuned_steps(problem, 20, 0.006, Tuned(None))
    assert with_momentum < steps
    assert setting.momentum != 0.0


@pytest.mark.slow
def test_tuning_leaves_no_interior_optimum():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=10, noise_variance=0.01)
    c = critical_batch_size(problem, loss=0.1)
    assert c.status == "smallest"
    assert c.batch_size == 1
    assert "no interior optimum" in c.meaning
    assert all(m.momentum == 0.0 for m in c.methods)


def test_unreachable_losses_are_a_status():
    problem = gf.LinearProblem([1.0], [1.0], noise_variance=0.1)
    for loss in (0.04, 0.05):
        c = critical_batch_size(problem, gf.SGD(0.5), loss=loss)
        assert (c.status, c.batch_size, c.interval) == ("unreachable", None, None)
        assert "unreachable" in repr(c)
    assert critical_batch_size(problem, loss=0.04).status == "unreachable"


def test_families_of_schedules_and_given_batch_sizes():
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)

    def family(b: int) -> ScheduledSGD:
        return ScheduledSGD(Cosine(0.5, 400, final=0.1), 0.0, b)

    c = critical_batch_size(problem, family, loss=0.2)
    samples = np.array([gf.steps_to_loss(problem, family(b), 0.2) * b for b in range(1, 30)])
    assert c.samples.min() == pytest.approx(samples.min(), rel=0.02)
    assert not c.proven
    some = critical_batch_size(problem, family, loss=0.2, batch_sizes=[4, 16, 8])
    assert some.batch_sizes.tolist() == [4, 8, 16]
    np.testing.assert_array_equal(some.samples, samples[[3, 7, 15]])
    with pytest.raises(TypeError, match="must return an SGD or a ScheduledSGD, got 3"):
        critical_batch_size(problem, lambda b: 3, loss=0.1)


def test_least_time_is_that_of_brute_force():
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    c = critical_batch_size(problem, gf.SGD(0.5), loss=0.06, step_time=(0.001, 1e-4))
    sizes = np.arange(1, 61)
    seconds = [gf.steps_to_loss(problem, gf.SGD(0.5, 0.0, int(b)), 0.06) * (0.001 + 1e-4 * b) for b in sizes]
    assert c.fastest[0] == sizes[np.argmin(seconds)]
    assert c.fastest[1] == pytest.approx(min(seconds), rel=1e-12)
    assert c.fastest[0] > c.batch_size


@pytest.mark.parametrize(
    ("method", "arguments", "error", "message"),
    [
        (gf.SGD(0.5), {"loss": 0.0}, ValueError, "loss must be positive"),
        (gf.SGD(0.5), {"loss": math.nan}, ValueError, "loss must be finite"),
        (gf.SGD(0.5), {"loss": 0.1, "batch_sizes": [0]}, ValueError, "batch_sizes must be at least 1"),
        (gf.SGD(0.5), {"loss": 0.1, "batch_sizes": [11]}, ValueError, "at most n_samples=10"),
        (gf.SGD(0.5), {"loss": 0.1, "step_time": (0.0, 0.0)}, ValueError, "step_time"),
        (ScheduledSGD(0.5), {"loss": 0.1}, TypeError, "method"),
    ],
)
def test_bad_questions_are_refused(method, arguments, error, message):
    with pytest.raises(error, match=message):
        critical_batch_size(gf.LinearProblem([1.0], [1.0], n_samples=10), method, **arguments)


def test_tries_for_a_number_of_steps_stay_between_and_find_the_root_of_a_power_law_at_once() -> None:
    assert _between(100, 400, 1.0, -1.0, 0) == 200  # halfway in log t
    assert _between(100, 400, np.inf, -1.0, 0) == _between(100, 400, 1.0, -3.0, 2) == 200
    assert _between(2, 7, 1.0, -1.0, 0) == 4
    for slow in (0, 1, 2):
        for above, below in ((1e-9, -5.0), (5.0, -1e-9), (1.0, 0.0)):
            for low, high in ((8, 10), (1000, 1010), (10**6, 4 * 10**6)):
                assert low < _between(low, high, above, below, slow) < high
    # A try that came no nearer is followed by one on the other side of where the first one points to.
    assert 120 < _between(100, 400, 0.3, -0.9, 1) < 400
    assert _between(100, 400, 0.3, -0.9, 0) == round(100 * 4**0.25)
    assert _between(100, 400, 0.3, -0.9, 1) == round(100 * 4**0.5)
