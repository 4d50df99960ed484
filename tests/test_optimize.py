"""The optimum is no worse than any grid, and says how much it matters."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.recursion import Recursion


def least_on_grid(problem, batch, steps, noise):
    """A 30 x 30 grid over the stable region, by the recursion."""
    betas = np.tanh(np.linspace(-2.5, 2.5, 30))
    shares = 1.0 / (1.0 + np.exp(-np.linspace(-7.0, 7.0, 30)))
    methods = [gf.SGD(s * gf.max_learning_rate(problem, b, batch, noise), b, batch) for b in betas for s in shares]
    run = Recursion(problem, methods, noise)
    while run.step < steps:
        run.advance()
    mantissa, exponent = run.loss()
    return float((mantissa * 2.0**exponent).min())


@pytest.mark.parametrize("seed", range(2))
def test_no_grid_beats_the_optimum(seed):
    rng = np.random.default_rng(seed)
    law = gf.PowerLaw(rng.uniform(1.2, 2.5), rng.uniform(0.3, 2.0), n_modes=40)
    problem = gf.LinearProblem(law.eigenvalues, law.signal, n_samples=500, noise_variance=rng.choice([0.0, 1e-3]))
    noise, batch = gf.SpectrallyExpressible(1.0, rng.choice([1.0, -1.0])), int(rng.choice([1, 5, 50]))
    o = gf.optimize(problem, batch, steps=150, noise=noise)
    assert o.loss == float(gf.predict(problem, o.method, 150, noise).loss)
    assert o.loss <= 1.001 * least_on_grid(problem, batch, 150, noise)


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


def test_a_budget_frees_the_batch_size():
    law = gf.PowerLaw(1.5, 0.5, n_modes=100)
    problem = gf.LinearProblem(law.eigenvalues, law.signal, n_samples=200)
    # A step costs as much as 50 samples: neither one sample a step nor the full batch is best.
    o = gf.optimize(problem, budget=20_000.0, step_time=(50.0, 1.0), momentum=0.0)
    best = {}
    for b in (1, 2, 5, 10, 20, 50, 100, 200):
        best[b] = gf.optimize(problem, b, steps=int(20_000 / (50 + b)), momentum=0.0).loss
    assert o.loss <= 1.001 * min(best.values())
    assert 1 < o.method.batch_size < 200
    assert o.steps == int(20_000 / (50 + o.method.batch_size))
    # Without that cost small batches are never worse: the bound is said.
    assert gf.optimize(problem, budget=5_000.0, momentum=0.0).at_bound


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
