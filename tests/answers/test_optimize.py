"""The optimum is no worse than any grid, and says how much it matters."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.answers.best._sensitivity import crossings, outwards
from genfun.answers.best.budget import StepTime, fit_step_time
from genfun.engine.many import losses_at
from genfun.engine.recursion import Recursion
from genfun.engine.settings import Settings
from genfun.methods import Family


def least_on_grid(problem, batch, steps, noise):
    """A 25 x 25 grid over the stable region, by the recursion."""
    betas = np.tanh(np.linspace(-2.5, 2.5, 25))
    shares = 1.0 / (1.0 + np.exp(-np.linspace(-7.0, 7.0, 25)))
    methods = [gf.SGD(s * gf.max_learning_rate(problem, b, batch, noise), b, batch) for b in betas for s in shares]
    run = Recursion(problem, methods, noise, problem.full_measures)
    while run.step < steps:
        run.advance()
    mantissa, exponent = run.loss()
    return float((mantissa * 2.0**exponent).min())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_no_grid_beats_the_optimum(seed):
    rng = np.random.default_rng(seed)
    law = gf.PowerLaw(rng.uniform(1.2, 2.5), rng.uniform(0.3, 2.0), n_modes=40)
    problem = gf.LinearProblem(law.eigenvalues, law.signal, n_samples=500, noise_variance=rng.choice([0.0, 1e-3]))
    noise, batch = gf.SpectrallyExpressible(1.0, rng.choice([1.0, -1.0])), int(rng.choice([1, 5, 50]))
    o = gf.optimize(problem, batch, steps=150, noise=noise)
    assert o.loss == float(gf.predict(problem, o.method, 150, noise).loss)
    assert o.loss <= 1.001 * least_on_grid(problem, batch, 150, noise)


@pytest.mark.parametrize(("nu", "zeta", "steps"), [(1.5, 0.5, 150), (1.2, 2.0, 80)])
def test_no_grid_beats_the_optimum_on_the_uneven_ground_of_full_batches(nu, zeta, steps):
    law = gf.PowerLaw(nu, zeta, n_modes=60)
    problem = gf.LinearProblem(law.eigenvalues, law.signal, n_samples=60)
    o = gf.optimize(problem, steps=steps)
    # The search turns to powers of matrices, the answer to the curve itself: all three agree.
    assert o.loss <= 1.001 * least_on_grid(problem, None, steps, gf.SpectrallyExpressible())
    # Noiseless heavy ball needs at least the momentum of critical damping for its slowest useful modes.
    assert o.gain > 0.5


@pytest.mark.parametrize("sigma2", [0.0, 0.01])
def test_losses_without_noise_are_powers_at_any_step(sigma2):
    law = gf.PowerLaw(1.5, 0.5, n_modes=500)
    problem = gf.LinearProblem(law.eigenvalues, law.signal, noise_variance=sigma2)
    rates, betas = np.array([0.3, 1.9, 3.8, 0.05]), np.array([0.0, -0.02, 0.95, 0.999])
    for step in (1, 77, 10**6):
        found, error = losses_at(Settings.of(problem, Family(), rates, betas, None, gf.SpectrallyExpressible()), step)
        assert error.max() < 1e-8
        for i in range(4):
            r = gf.predict(problem, gf.SGD(rates[i], betas[i]), step)
            # The search may be off by the rounding of a million products; a lost factor would be of order 1.
            assert found.log()[i] == pytest.approx(float(r.log_loss), abs=1e-7 + 1e-9 * step**0.5)


def test_the_band_of_the_answer_is_its_loss_at_both_ends_of_the_noise_model():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=50)
    o = gf.optimize(problem, 5, steps=200, noise=gf.SpectrallyExpressible(1.0, 0.0))
    for end, tau2 in zip(o.loss_band, (-1.0, 1.0), strict=True):
        assert end == float(gf.predict(problem, o.method, 200, gf.SpectrallyExpressible(1.0, tau2)).loss)
    assert min(o.loss_band) < o.loss < max(o.loss_band)
    full = gf.optimize(problem, steps=50)
    assert full.loss_band == (full.loss, full.loss)


@pytest.mark.slow
def test_the_answer_draws_itself_and_keeps_its_question_out_of_json():
    from matplotlib.figure import Figure

    from genfun.report.encode import plain

    o = gf.optimize(gf.PowerLaw(1.5, 0.5, n_modes=20), 5, steps=50)
    ax = Figure().subplots()
    assert o.plot(ax) is ax
    assert "batch size 5" in ax.get_title()
    assert "_asked" not in plain(o)


def test_published_best_rates():
    # arXiv 2206.11124: T = N = 10^4, gamma = 1, beta = 0; a grid of rates a few per cent apart.
    k = np.arange(1.0, 10_001.0)
    for nu, kappa, rate in ((1.5, 4.0, 0.113), (2.0, 8.0, 0.251)):
        problem = gf.LinearProblem(k**-nu, k ** -(kappa + 1.0))
        o = gf.optimize(problem, 1, steps=10_000, momentum=0.0)
        assert o.method.momentum == 0.0
        assert o.method.learning_rate == pytest.approx(rate, rel=0.04)
        # Deep in the noise phase the noise gain at the optimum is (nu - 1)/(3 nu - 1).
        assert gf.stability(problem, o.method).noise_gain == pytest.approx((nu - 1) / (3 * nu - 1), rel=0.04)


def test_negative_momentum_wins_in_the_noise_phase_and_positive_in_the_signal_phase():
    noisy = gf.optimize(gf.PowerLaw(1.5, 2.7, n_modes=1000), 1, steps=10_000)
    assert noisy.method.momentum < -0.2
    assert 0.005 < noisy.gain < 0.1
    assert "negative momentum worth" in repr(noisy)
    quiet = gf.optimize(gf.PowerLaw(1.5, 0.5, n_modes=1000), 10, steps=1000)
    assert quiet.method.momentum > 0.5
    assert quiet.gain > 0.1


@pytest.mark.parametrize("width", [1.0, 15.0, 30.0])
def test_ranges_look_further_only_where_the_nearest_losses_are_too_low(width):
    values, limit, asked = np.arange(21.0), np.log(1.05), []
    losses = ((values - 12.0) / width) ** 2

    def found(at):
        asked.extend(at.tolist())
        return losses[at]

    row, reach = outwards(found, 21, 12, (3, 4)), width * np.sqrt(limit)
    assert crossings(values, row, 12, limit) == crossings(values, losses, 12, limit)
    assert sorted(asked) == list(range(9 if reach < 3.0 else 0, 17 if reach < 4.0 else 21))


def test_sensitivity_is_a_rise_of_5_per_cent():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=300)
    o = gf.optimize(problem, 10, steps=1000)
    for rate in o.learning_rate_range:
        assert float(gf.predict(problem, gf.SGD(rate, o.method.momentum, 10), 1000).loss) / o.loss == pytest.approx(
            1.05, abs=0.005
        )
    for beta in o.momentum_range:
        assert float(
            gf.predict(problem, gf.SGD(o.method.learning_rate, beta, 10), 1000).loss
        ) / o.loss == pytest.approx(1.05, abs=0.01)


@pytest.mark.slow
def test_a_budget_frees_the_batch_size():
    law = gf.PowerLaw(1.5, 0.5, n_modes=100)
    problem = gf.LinearProblem(law.eigenvalues, law.signal, n_samples=200)
    # A step costs as much as 50 samples: neither one sample a step nor the full batch is best.
    o = gf.optimize(problem, budget=20_000.0, step_time=(50.0, 1.0), momentum=0.0)
    best = {}
    for b in (1, 5, 10, 20, 50, 200):
        best[b] = gf.optimize(problem, b, steps=int(20_000 / (50 + b)), momentum=0.0).loss
    assert o.loss <= 1.001 * min(best.values())
    assert 1 < o.method.batch_size < 200
    assert o.steps == int(20_000 / (50 + o.method.batch_size))
    again = gf.optimize(problem, budget=20_000.0, step_time=StepTime(50.0, 1.0), momentum=0.0)
    assert again.method == o.method
    # Without that cost small batches are never worse: the bound is said.
    assert gf.optimize(problem, budget=5_000.0, momentum=0.0).at_bound


@pytest.mark.parametrize("batch", [1, 10, None])
@pytest.mark.parametrize("sigma2", [0.0, 0.3])
def test_momentum_that_has_no_effect_is_none(batch, sigma2):
    problem = gf.LinearProblem([1.0, 0.3, 0.1], [1.0, 1.0, 1.0], noise_variance=sigma2)
    o = gf.optimize(problem, batch, steps=1)
    assert (o.method.momentum, o.gain) == (0.0, 0.0)
    assert "worth" not in repr(o)
    # By hand: L(1) is a parabola in the rate.
    lam, s, g = problem.eigenvalues, problem.signal, 0.0 if batch is None else 1.0 / batch
    slope = (lam * s).sum()
    bend = ((1.0 - g) * lam**2 * s).sum() + g * lam.sum() * (lam * s).sum() + g * sigma2 * (lam**2).sum()
    bend = bend + g * ((lam**2).sum() * s.sum() - lam.sum() * (lam * s).sum())
    assert o.method.learning_rate == pytest.approx(slope / bend, rel=1e-3)
    # After two steps it has one.
    assert gf.optimize(problem, batch, steps=2).method.momentum != 0.0


def test_what_momentum_is_worth_is_printed_as_a_share():
    steep = gf.optimize(gf.LinearProblem([1.0, 0.001], [1.0, 1.0]), None, steps=400)
    assert steep.gain > 0.995
    assert "momentum worth 100 %" in repr(steep) or "momentum worth 99." in repr(steep)
    assert "e+02" not in repr(steep)


def test_bad_questions_are_refused():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=10)
    with pytest.raises(ValueError, match="either steps or budget"):
        gf.optimize(problem, 10)
    with pytest.raises(ValueError, match="either steps or budget"):
        gf.optimize(problem, 10, steps=10, budget=10.0)
    with pytest.raises(ValueError, match="infinite trace"):
        gf.optimize(gf.PowerLaw(0.9, 0.5), 10, steps=10)
    with pytest.raises(ValueError, match="momentum"):
        gf.optimize(problem, 10, steps=10, momentum=1.0)
    with pytest.raises(ValueError, match="step_time"):
        gf.optimize(problem, budget=10.0, step_time=(0.0, 0.0))
    with pytest.raises(ValueError, match="step_time goes with a budget"):
        gf.optimize(problem, 10, steps=10, step_time=(1.0, 1.0))
    with pytest.raises(ValueError, match="budget must pay for one step"):
        gf.optimize(problem, budget=10.0, step_time=(50.0, 1.0))


def measured_times(rng, n, slow=0):
    """10 ms a step and 0.1 ms a sample, 3 % scatter, some five times too slow."""
    b = np.rint(np.geomspace(1, 2000, n))
    seconds = (0.01 + 1e-4 * b) * (1.0 + 0.03 * rng.standard_normal(n))
    seconds[rng.choice(n, slow, replace=False)] *= 5.0
    return b, seconds


@pytest.mark.slow
@pytest.mark.parametrize("slow", [0, 1])
def test_intervals_of_the_step_time_cover_the_truth(slow):
    rng, hits = np.random.default_rng(0), np.zeros(2)
    for _ in range(100):
        t = fit_step_time(*measured_times(rng, 8, slow))
        hits += [
            t.fixed_interval[0] <= 0.01 <= t.fixed_interval[1],
            t.per_sample_interval[0] <= 1e-4 <= t.per_sample_interval[1],
        ]
        assert t.fixed == pytest.approx(0.01, rel=0.1)
        assert t.per_sample == pytest.approx(1e-4, rel=0.15)
    # 95 of 100 are expected: fewer than 87 have probability 1e-3.
    assert hits.min() >= 87


@pytest.mark.slow
def test_step_times_are_exact_without_scatter_and_never_negative():
    b = np.array([1.0, 10.0, 100.0])
    t = fit_step_time(b, 0.02 + 0.003 * b)
    assert (t.fixed, t.per_sample) == (pytest.approx(0.02), pytest.approx(0.003))
    assert t.seconds(50) == pytest.approx(0.17)
    assert fit_step_time(b, 0.01 - 5e-5 * b).per_sample == 0.0
    assert fit_step_time(b, 0.01 * b - 0.002).fixed == 0.0
    two = fit_step_time([1, 100], [0.02, 0.05])
    assert two.fixed_interval == two.per_sample_interval == (0.0, np.inf)


def test_a_budget_of_whole_steps_loses_none_to_rounding():
    t = StepTime(0.0, 0.1)
    assert t.steps(0.3, 1) == 3
    assert t.largest_batch(0.3, None) == 3
    assert t.largest_batch(0.3, 2) == 2
    assert StepTime(1.0, 0.0).largest_batch(0.5, None) == 0


def test_bad_step_times_are_refused():
    for b, s, message in (
        ([1, 2], [1.0], "one length"),
        ([0, 2], [1.0, 1.0], "batch_sizes must be at least 1"),
        ([1, 2], [0.0, 1.0], "seconds must be positive"),
        ([2, 2], [1.0, 1.0], "batch_sizes must differ"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_step_time(b, s)
    with pytest.raises(ValueError, match="step_time"):
        StepTime(-1.0, 1.0)


def test_a_smaller_rate_costs_what_the_prediction_says_and_the_cap_holds():
    problem = gf.PowerLaw(1.5, 2.0, n_modes=50, n_samples=100)
    free = gf.optimize(problem, 2, steps=100, momentum=0.0)
    smaller = gf.SGD(0.9 * free.method.learning_rate, 0.0, 2)
    ratio = float(gf.predict(problem, smaller, 100).loss) / free.loss
    assert free.smaller_rate_cost == pytest.approx(ratio - 1.0, rel=1e-9)
    assert free.smaller_rate_cost > 0.0
    capped = gf.optimize(problem, 2, steps=100, momentum=0.0, max_share_of_edge=0.5 * free.share_of_edge)
    assert capped.share_of_edge == pytest.approx(0.5 * free.share_of_edge, rel=1e-5)
    assert capped.at_bound
    with pytest.raises(ValueError, match="max_share_of_edge must lie in"):
        gf.optimize(problem, 2, steps=100, max_share_of_edge=1.5)


def test_near_the_edge_the_loss_has_two_digits_and_a_warning():
    """A slow mode with a long horizon presses the best rate against the edge, 1 - 1/(2 a lambda T) of it or so."""
    problem = gf.LinearProblem([1.0, 1e-3], [1e-6, 1.0], n_samples=100)
    o = gf.optimize(problem, 1, steps=40_000, momentum=0.0)
    assert o.share_of_edge > 0.9
    assert o.near_edge
    assert o.digits == 2
    assert "near the edge" in repr(o)
    assert f"loss {o.loss:.2g} at" in repr(o)


def test_data_have_a_noise_error_in_place_of_a_band_and_exact_noise_has_none():
    data = gf.data.gaussian([1.0, 0.5, 0.2], [1.0, 1.0, 1.0], n_samples=30, seed=0)
    measured, exact = (gf.optimize(data, 2, steps=50, noise=name) for name in (None, "exact"))
    assert measured.loss_band is exact.loss_band is None
    assert exact.noise_error == 0.0
    assert measured.noise_error == float(gf.predict(data, measured.method, 50).noise_error)
    assert measured.loss == pytest.approx(exact.loss, rel=0.01)
    assert exact.loss == float(gf.predict(data, exact.method, 50, noise="exact").loss)
