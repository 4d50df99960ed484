"""What a translation keeps, where linear scaling does the same, and where it breaks."""

from __future__ import annotations

import math

import numpy as np
import pytest

import genfun as gf
from genfun.answers.batch.translate import translate

PROBLEM = gf.PowerLaw(1.5, 0.5, n_modes=60)


def loss_at(method: gf.SGD, samples: int, problem: gf.PowerLaw = PROBLEM) -> float:
    assert method.batch_size is not None
    assert samples % method.batch_size == 0
    return float(gf.predict(problem, method, samples // method.batch_size).loss)


@pytest.mark.parametrize(("beta", "old", "new"), [(-0.5, 4, 64), (-0.5, 8, 2), (0.0, 2, 8), (0.8, 4, 64), (0.8, 8, 2)])
def test_small_batches_in_the_signal_phase_scale_linearly(beta, old, new):
    # alpha b'/b is at most 0.13 of 2(1+beta)/lambda_max: decay and noise gain depend on alpha/b up to that share.
    method = gf.SGD(0.004 * (1 + beta) * old, beta, old)
    r = translate(PROBLEM, method, new)
    assert r.status == "ok"
    assert r.learning_rate == pytest.approx(r.linear_rate, rel=0.03)
    assert r.linear_rate == pytest.approx(method.learning_rate * new / old, rel=1e-15)
    assert r.square_root_rate == pytest.approx(method.learning_rate * math.sqrt(new / old), rel=1e-15)
    assert not 0.7 < r.square_root_rate / r.learning_rate < 1.4
    for samples in (64 * 50, 64 * 500, 64 * 5000):
        assert loss_at(r.method, samples) == pytest.approx(loss_at(method, samples), rel=0.05)


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.8])
def test_linear_scaling_breaks_at_the_curvature_limit(beta):
    rate, old = 0.02, 4
    r = translate(PROBLEM, gf.SGD(rate, beta, old), 16)
    # alpha b'/b = 2(1+beta)/lambda_max; what noise is left at that batch lowers the limit a little.
    assert r.linear_limit == pytest.approx(2 * (1 + beta) * old / rate, rel=0.05)
    assert r.limit == "curvature"
    b = int(r.linear_limit)
    for size, verdict in ((b - 1, "converges"), (b + 1, "diverges")):
        assert gf.stability(PROBLEM, gf.SGD(rate * size / old, beta, size)).status == verdict


def test_a_batch_beyond_the_limit_cannot_follow():
    method = gf.SGD(0.1, 0.0, 4)
    r = translate(PROBLEM, method, 4000)
    assert r.status == "impossible"
    assert r.learning_rate < r.max_rate <= 2.0 < r.linear_rate
    assert r.deviation > 0.5
    assert r.linear_loss[-1] > 1e10
    assert any("linear scaling gives" in note and "unstable" in note for note in r.notes)
    # Nothing stable is closer: the sum of squares over a fine grid of rates.
    best = np.sum(np.log(r.found_loss / r.loss) ** 2)
    for rate in np.geomspace(0.05, 0.999 * r.max_rate, 30):
        steps = np.rint(r.samples / 4000).astype(int)
        other = gf.predict(PROBLEM, gf.SGD(rate, 0.0, 4000), steps).loss
        assert np.sum(np.log(other / r.loss) ** 2) > 0.97 * best  # whole steps in place of interpolated ones


def test_noise_breaks_linear_scaling_downwards_from_the_full_batch():
    # Equal eigenvalues 1: U~ = gamma a M/(2 - a (1 - gamma)) is 0 at b = N = 40 and above 1 at b = 1.
    problem, rate = gf.LinearProblem(np.ones(50), np.ones(50), n_samples=40), 1.8

    def gain(b: int) -> float:
        gamma, a = (40 - b) / (39 * b), rate * b / 40
        return gamma * a * 50 / (2 - a * (1 - gamma))

    r = translate(problem, gf.SGD(rate), 4)
    assert r.limit == "noise"
    assert r.linear_limit == max(b for b in range(1, 41) if gain(b) >= 1.0)
    assert 1 < r.linear_limit < 30


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.9])
@pytest.mark.parametrize(("old", "new"), [(1, 100), (11, 7)])
def test_distance_to_the_edge_is_kept_exactly(beta, old, new):
    noise = gf.SpectrallyExpressible(1.0, -1.0)
    share = 0.37
    method = gf.SGD(share * gf.max_learning_rate(PROBLEM, beta, old, noise), beta, old)
    r = translate(PROBLEM, method, new, "edge", noise)
    assert r.status == "ok"
    assert r.method.batch_size == new
    assert r.learning_rate / gf.max_learning_rate(PROBLEM, beta, new, noise) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize(("old", "new", "samples"), [(4, 10, 4000), (10, 4, 40_000), (4, 20, 40_000)])
def test_loss_at_one_number_of_samples_is_matched_exactly(old, new, samples):
    method = gf.SGD(0.05 * old, 0.3, old)
    r = translate(PROBLEM, method, new, samples=samples)
    assert r.status == "ok"
    assert r.samples.tolist() == [samples]
    assert loss_at(r.method, samples) == pytest.approx(loss_at(method, samples), rel=1e-9)
    assert r.loss[0] == pytest.approx(loss_at(method, samples), rel=1e-12)
    for rate, loss in ((r.linear_rate, r.linear_loss), (r.square_root_rate, r.square_root_loss)):
        assert loss[0] == pytest.approx(loss_at(gf.SGD(rate, 0.3, new), samples), rel=1e-12)


@pytest.mark.slow
def test_noise_dominated_losses_are_matched_on_the_branch_of_the_original():
    # L ~ rate^(-1/3) / (1-U~)^2: above U~ = 1/7 the loss grows with the rate, and is met once more at a smaller one.
    problem, method = gf.PowerLaw(1.5, 2.0), gf.SGD(0.4, 0.0, 2)
    assert gf.stability(problem, method).noise_gain > 0.2
    target = loss_at(method, 60_000, problem)
    low, middle = (loss_at(gf.SGD(rate, 0.0, 3), 60_000, problem) for rate in (0.08, 0.25))
    assert low > target > middle
    r = translate(problem, method, 3, samples=60_000)
    assert loss_at(r.method, 60_000, problem) == pytest.approx(target, rel=1e-9)
    assert 0.25 < r.learning_rate < r.linear_rate  # the other one lies between 0.08 and 0.25


@pytest.mark.slow
def test_back_and_forth_returns():
    method = gf.SGD(0.05, 0.5, 4)
    there = translate(PROBLEM, method, 32)
    back = translate(PROBLEM, there.method, 4)
    assert back.learning_rate == pytest.approx(0.05, rel=1e-2)
    assert translate(PROBLEM, method, 4).method == method


def test_label_noise_floor_is_kept():
    # Floor excess ~ U~/(1-U~), a function of alpha/b for small alpha.
    problem = gf.PowerLaw(1.5, 0.5, n_modes=100, noise_variance=0.1)
    method = gf.SGD(0.02, 0.0, 2)
    r = translate(problem, method, 6)
    assert r.status == "ok"
    assert r.learning_rate == pytest.approx(0.06, rel=0.03)
    before, after = (gf.stability(problem, m).floor for m in (method, r.method))
    assert after == pytest.approx(before, rel=0.1)


def test_full_batch_needs_the_number_of_samples():
    with pytest.raises(ValueError, match=r"streaming data have not; set problem\.n_samples"):
        translate(PROBLEM, gf.SGD(0.1, 0.0, 4), None)
    finite = gf.PowerLaw(1.5, 0.5, n_modes=300, n_samples=400)
    full = translate(finite, gf.SGD(0.01, 0.0, 4), None, "edge")
    assert full.method.batch_size is None
    assert full.linear_rate == pytest.approx(1.0, rel=1e-15)
    assert full.max_rate == pytest.approx(2.0, rel=1e-15)


def test_a_diverging_original_keeps_its_distance_beyond_the_edge():
    limit = gf.max_learning_rate(PROBLEM, 0.0, 4)
    r = translate(PROBLEM, gf.SGD(1.1 * limit, 0.0, 4), 40)
    assert r.status == "diverges"
    assert r.learning_rate == pytest.approx(1.1 * gf.max_learning_rate(PROBLEM, 0.0, 40), rel=1e-12)


@pytest.mark.slow
def test_infinite_trace_has_no_edge_to_keep():
    problem = gf.PowerLaw(0.8, 0.5)
    method = gf.SGD(0.02, 0.0, 4)
    r = translate(problem, method, 8, "edge")
    assert r.status == "impossible"
    assert r.learning_rate == r.linear_rate
    assert r.max_rate == 0.0
    curve = translate(problem, method, 8)
    assert curve.status == "ok"
    assert any("diverges in the end" in note for note in curve.notes)


def test_result_says_the_answer():
    r = translate(PROBLEM, gf.SGD(0.02, 0.5, 4, replacement=True), 8)
    assert repr(r).startswith("Translation(ok: learning rate 0.0")
    assert "linear 0.04" in repr(r)
    assert "kept" in r.meaning
    assert (r.method.momentum, r.method.replacement) == (0.5, True)
    assert len({len(x) for x in (r.samples, r.loss, r.found_loss, r.linear_loss, r.square_root_loss)}) == 1


def test_bad_input_is_refused():
    method = gf.SGD(0.1, 0.0, 4)
    finite = gf.LinearProblem([1.0], [1.0], n_samples=10)
    with pytest.raises(ValueError, match="batch_size must be at most n_samples=10, got 11"):
        translate(finite, method, 11)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        translate(finite, method, 0)
    with pytest.raises(ValueError, match="samples must be at least one batch, 8, got 7"):
        translate(PROBLEM, method, 8, samples=7)
    with pytest.raises((ValueError, TypeError), match="keep"):
        translate(PROBLEM, method, 8, "time")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        translate(PROBLEM, 0.1, 8)  # pyright: ignore[reportArgumentType]
