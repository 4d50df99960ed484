"""Maps are what the recursion gives, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun.engine.many import Settings, losses_at
from genfun.engine.mode_sums import polynomials
from genfun.engine.recursion import Recursion


def by_recursion(problem, methods, step, noise):
    full = problem.full_measures if isinstance(problem, gf.LinearProblem) else problem.measures()
    run = Recursion(problem, methods, noise, full)
    while run.step < step:
        run.advance()
    mantissa, exponent = run.loss()
    return np.log(mantissa) + exponent * np.log(2.0)


@pytest.mark.parametrize(
    ("batch", "sigma2", "tau2"), [(1, 0.0, 1.0), (10, 0.0, -1.0), (10, 0.1, 1.0), (None, 0.0, 1.0)]
)
@pytest.mark.parametrize("step", [0, 1, 30, 2000])
def test_every_cell_is_the_recursion(batch, sigma2, tau2, step):
    p = gf.PowerLaw(1.5, 0.5, n_modes=400)
    problem = gf.LinearProblem(p.eigenvalues, p.signal, n_samples=1000, noise_variance=sigma2)
    noise = gf.SpectrallyExpressible(1.0, tau2)
    rates, betas = np.array([0.01, 0.3, 1.0, 2.5, 4.5]), np.array([-0.9, -0.3, 0.0, 0.6, 0.95])
    m = gf.loss_map(problem, rates, betas, step, batch, noise)
    methods = [gf.SGD(a, b, batch) for a in rates for b in betas]
    exact = by_recursion(problem, methods, step, noise).reshape(5, 5)
    # The recursion's own rounding grows with the step, and with log L where it diverges.
    np.testing.assert_allclose(m.log_loss, exact, rtol=1e-9, atol=1e-6)
    assert np.array_equal(np.isfinite(m.loss), exact < 709.78)
    assert np.array_equal(m.noise_gain, gf.noise_gain_map(problem, rates, betas, batch, noise))


@pytest.mark.slow
def test_a_map_on_an_infinite_spectrum_is_predict():
    problem = gf.PowerLaw(1.5, 2.0)
    rates, betas = np.array([0.1, 0.7]), np.array([-0.5, 0.5])
    m = gf.loss_map(problem, rates, betas, 10**6, 20)
    for i, a in enumerate(rates):
        for j, b in enumerate(betas):
            assert m.loss[i, j] == pytest.approx(float(gf.predict(problem, gf.SGD(a, b, 20), 10**6).loss), rel=1e-6)


def test_any_method_goes_through_the_same_engine():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=60)
    rates, betas = np.array([0.1, 0.5, 1.2]), np.array([0.0, 0.5, 0.8])
    settings = Settings(
        problem,
        Nesterov,
        rates,
        (betas,),
        np.full(3, 0.2),
        gf.SpectrallyExpressible(),
        lambda a, b, _: Nesterov(a, b, 5),
    )
    found, _ = losses_at(settings, 3000)
    exact = by_recursion(problem, [Nesterov(a, b, 5) for a, b in zip(rates, betas, strict=True)], 3000, settings.noise)
    np.testing.assert_allclose(found.log(), exact, atol=1e-6)


def test_responses_are_polynomials_of_known_degree():
    assert polynomials(gf.SGD, 1).degrees == (2, 0, 1)
    # Nesterov's determinant beta (1 - a) depends on a, which raises every degree.
    assert polynomials(Nesterov, 1).degrees[0] == 3


def test_bad_maps_are_refused():
    problem = gf.PowerLaw(1.5, 0.5)
    with pytest.raises(ValueError, match="step must be at least 0"):
        gf.loss_map(problem, [0.1], [0.0], -1)
    with pytest.raises(ValueError, match="learning_rates must be positive"):
        gf.loss_map(problem, [-0.1], [0.0], 1)


def test_a_map_of_step_0_has_the_loss_at_the_start_of_data_too():
    data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], 20, seed=1, noise_variance=0.1)
    start = gf.predict(data, gf.SGD(0.1, batch_size=4), 0).loss
    assert np.allclose(gf.loss_map(data, [0.1, 0.2], [0.0, 0.5], 0, 4).loss, start, rtol=1e-12)
