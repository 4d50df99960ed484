"""Big Batch SGD: the predicted batches and losses against runs, and against Gaussian gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from big_batch_by_hand import written_out

import genfun as gf
from genfun.answers.batch._batch_chain import BatchChain, GradientNoise
from genfun.answers.batch.big_batch import big_batch
from genfun.answers.batch.noise_scale import noise_scale


def gaussian_first_batches(signal, covariance, first, n, theta, runs=4000):
    """Accepted first batches where one sample's gradient is Gaussian; the samples of a batch are a Brownian bridge."""
    rng = np.random.default_rng(0)
    b, total = first, rng.standard_normal((runs, signal.size)) * np.sqrt(covariance * first * (n - first) / (n - 1))
    growing, accepted = np.ones(runs, dtype=bool), np.full(runs, n)
    while b < n:
        g = signal + total / b
        passes = growing & ((g**2).sum(axis=1) >= covariance.sum() * n / (n - 1) / (theta**2 * b))
        accepted[passes] = b
        growing &= ~passes
        more = min(n - b, max(1, b // 10))
        spread = np.sqrt(covariance * more * (n - b - more) / (n - b) * n / (n - 1))
        total = total * (1 - more / (n - b)) + spread * rng.standard_normal(total.shape)
        b += more
    return accepted


@pytest.mark.parametrize("theta", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("power", [0.5, 1.5])
def test_growth_within_a_step_follows_gaussian_gradients(theta, power):
    covariance = np.arange(1.0, 41.0) ** -power
    signal = np.sqrt(0.004 * covariance.sum() * np.arange(1.0, 41.0) ** -1.0)
    ladder = BatchChain(10, 1000, theta)
    pair = (covariance**2).sum(), (signal**2 * covariance).sum()
    ladder.advance(GradientNoise((signal**2).sum(), covariance.sum(), *pair))
    accepted = gaussian_first_batches(signal, covariance, 10, 1000, theta)
    # Two moments stand for the law of |g|^2: 10 %, and 2.5 standard errors.
    assert ladder.mean() == pytest.approx(
        accepted.mean(), rel=0.1, abs=2.5 * accepted.std(ddof=1) / np.sqrt(accepted.size)
    )
    assert ladder.probability.sum() == pytest.approx(1.0)


def test_real_batches_on_data_grow_as_predicted():
    lam = np.arange(1.0, 31.0) ** -1.2
    data = gf.data.translation_invariant(lam, lam**1.3)
    x, y = data.eigenfeatures, data.targets[:, 0]
    n = data.n_samples
    for theta in (0.5, 0.7):
        # The gradient of the mean square is twice that of the loss of the theory.
        runs = [written_out(x, y, seed, 40, 0.15, theta, "none", False, 4)[0][:, 0] for seed in range(20)]
        predicted = big_batch(data.problem, gf.SGD(0.3, batch_size=4), np.arange(40), theta)
        assert np.mean(np.abs(predicted.batch_size / np.mean(runs, axis=0) - 1.0)) < 0.2
        assert predicted.batch_size[0] < 0.7 * n  # it is the growth that is compared


@pytest.mark.slow
def test_the_samples_of_data_are_followed_unless_constants_are_asked_for_which_stand_for_them_in_words(
    monkeypatch: pytest.MonkeyPatch,
):
    """Rare indicators, 60 runs: the samples tell the batches within 7 %, where constants are off by up to 11 %."""
    rng = np.random.default_rng(0)
    x = (rng.random((200, 8)) < np.geomspace(0.5, 0.03, 8)).astype(float)
    y = x @ rng.standard_normal(8) + 0.5 * rng.standard_normal(200)
    data = gf.data.LinearData.from_features(x, y)
    rate, steps = 0.2 * gf.max_learning_rate(data, 0.0, 4), np.arange(30)
    setting = gf.SGD(rate, batch_size=4)
    runs = np.mean(
        [written_out(x, y, seed, 30, rate / 2, 0.7, "none", False, 4)[0][:, 0] for seed in range(60)], axis=0
    )
    own, fitted, bare = (
        big_batch(problem, setting, steps, 0.7, noise)
        for problem, noise in ((data, None), (data, "fitted"), (data.problem, None))
    )
    error = [np.mean(np.abs(found.batch_size / runs - 1.0)) for found in (own, fitted, bare)]
    assert error[0] < 0.1
    assert error[0] < error[1] < error[2]
    assert (own.notes, bare.notes) == ((), ())
    assert "constants fitted to the data" in fitted.notes[0]
    assert "fitted" in repr(fitted)
    np.testing.assert_array_equal(own.batch_size, big_batch(data, setting, steps, 0.7, "exact").batch_size)
    # Where it would take too long, constants stand in, and the answer says so.
    monkeypatch.setattr("genfun.answers.batch._batch_moments.WORK", 1e4)
    assert "constants fitted to the data" in big_batch(data, setting, [0], 0.7).notes[0]
    monkeypatch.undo()
    # With the batch full from the start nothing is left of the noise: gradient descent, both ways.
    still, other = (big_batch(data, gf.SGD(rate, 0.5, 200), [0, 20], 0.7, noise) for noise in ("exact", "fitted"))
    np.testing.assert_allclose(still.loss, other.loss, rtol=1e-10)
    assert big_batch(data, gf.SGD(50.0 * rate, batch_size=4), 400, 0.7, "exact").status == "diverges"
    with pytest.raises(ValueError, match="follows all 200 samples step by step in big_batch, too long for 1000000"):
        big_batch(data, setting, 10**6, 0.7, "exact")


@pytest.mark.parametrize(("debiased", "factor"), [(False, (1 - 0.6**2) / 0.6**2), (True, 1 / 0.6**2)])
def test_where_chance_averages_out_the_batch_is_the_noise_scale_over_the_signal_kept(debiased, factor):
    lam = np.full(20_000, 1.0)  # one test sums as many squares: fluctuations of 1 %
    problem = gf.LinearProblem(lam, lam / lam.size)
    setting = gf.SGD(1e-3, batch_size=1000)
    found = big_batch(problem, setting, 30, theta=0.6, debiased=debiased)
    expected = factor * noise_scale(problem, gf.SGD(1e-3), 30).samples
    assert found.batch_size == pytest.approx(expected, rel=0.1)  # a rung is 10 %
    assert found.batch_size > 0.97 * expected


def test_predicted_batches_never_shrink_and_end_full():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=300)
    found = big_batch(problem, gf.SGD(0.5, 0.3, batch_size=5), np.arange(300), 0.6)
    assert (np.diff(found.batch_size) >= -1e-9).all()
    assert (found.low <= found.high).all()
    assert found.low[8] < found.batch_size[8] < found.high[8]
    assert found.batch_size[-1] == pytest.approx(300, rel=1e-9)
    step = found.full_batch_step
    assert step is not None
    assert found.batch_size[step - 5] < 300
    np.testing.assert_allclose(np.diff(found.samples), found.batch_size[:-1], rtol=1e-9)


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.6])
def test_from_the_full_batch_on_the_loss_is_that_of_gradient_descent(beta):
    problem = gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=300)
    found = big_batch(problem, gf.SGD(0.5, beta, batch_size=300), [0, 1, 10, 60], 0.6)
    np.testing.assert_allclose(found.loss, gf.predict(problem, gf.SGD(0.5, beta), [0, 1, 10, 60]).loss, rtol=1e-10)


@pytest.mark.parametrize("beta", [-0.5, 0.6])
def test_a_batch_that_always_passes_gives_the_loss_of_that_batch(beta):
    # Noise far below the gradient: one mode, one strong signal.
    problem = gf.LinearProblem([1.0, 1e-6], [1.0, 1.0], noise_variance=1e-9)
    noise, setting = gf.SpectrallyExpressible(1e-9, 1e-9), gf.SGD(0.1, beta, 7)
    found = big_batch(problem, setting, [0, 5, 20], 0.9, noise)
    assert found.batch_size.tolist() == pytest.approx([7.0, 7.0, 7.0])
    np.testing.assert_allclose(found.loss, gf.predict(problem, setting, [0, 5, 20], noise).loss, rtol=1e-10)


@pytest.mark.parametrize("rate", [3.0, 1e6])
def test_losses_beyond_doubles_leave_batch_sizes_as_they_are(rate):
    problem = gf.PowerLaw(1.5, 0.5, n_modes=50)  # of streaming data: no batch is all of them
    found = big_batch(problem, gf.SGD(rate, batch_size=8), [0, 10, 1000])
    assert found.status == "diverges"
    assert np.isposinf(found.loss[-1])
    assert np.isfinite(found.samples).all()
    np.testing.assert_allclose(found.batch_size[2], found.batch_size[1], rtol=0.03)  # the test knows no scale


def test_a_rate_beyond_every_batch_is_said_to_diverge_and_order_is_kept():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=300)
    assert big_batch(problem, gf.SGD(2.5, batch_size=5), 100).status == "diverges"
    once = big_batch(problem, gf.SGD(0.5, batch_size=5), [0, 9])
    again = big_batch(problem, gf.SGD(0.5, batch_size=5), [[9, 0], [0, 9]])
    assert once.status == "ok"
    np.testing.assert_array_equal(again.batch_size, [once.batch_size[::-1], once.batch_size])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"theta": 1.5}, "theta must be at most 1"),
        ({"theta": -0.1}, "theta must be positive"),
        ({"steps": 10**7}, "steps must be at most"),
        ({"method": gf.SGD(0.1)}, "batch_size is None"),
        ({"problem": gf.PowerLaw(0.8, 0.5)}, "infinite trace"),
        ({"method": gf.SGD(0.1, batch_size=51)}, "batch_size must be at most"),
    ],
)
def test_bad_arguments_of_the_prediction_are_refused(arguments, message):
    good: dict[str, Any] = {
        "problem": gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=50),
        "method": gf.SGD(0.1, batch_size=5),
        "steps": 1,
    }
    with pytest.raises(ValueError, match=message):
        big_batch(**good | arguments)
