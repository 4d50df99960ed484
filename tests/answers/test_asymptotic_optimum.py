"""The best setting for late times obeys its conditions, and is where the exact optimum goes."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.answers.best.asymptotic_optimum import asymptotic_optimum
from genfun.symbolic import optimum
from genfun.symbolic.slow_mode import names


@pytest.mark.parametrize(("nu", "zeta"), [(1.5, 0.5), (1.5, 2.7), (2.5, 1.4), (2.5, 1.8)])
def test_noise_gain_at_the_optimum_is_the_derived_one(nu, zeta):
    best, n = optimum(gf.SGD), names()
    o = asymptotic_optimum(gf.PowerLaw(nu, zeta), 1, momentum=0.0)
    derived = best.noise_phase.subs(n.nu, nu) if o.phase == "noise-dominated" else best.signal_phase.subs(n.zeta, zeta)
    # gamma tau2 = 1 and no momentum: the condition is exact; the search ends at about 1e-6 in log alpha.
    assert o.noise_gain == pytest.approx(float(derived), rel=1e-5)
    assert o.gain == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(("nu", "zeta", "batch", "tau2"), [(1.5, 2.7, 1, 1.0), (3.0, 4.0, 10, -1.0)])
def test_the_optimum_at_1e8_steps_is_the_asymptotic_one(nu, zeta, batch, tau2):
    p, noise = gf.PowerLaw(nu, zeta), gf.SpectrallyExpressible(1.0, tau2)
    o = asymptotic_optimum(p, batch, noise=noise)
    late = gf.optimize(p, batch, steps=10**8, noise=noise)
    assert o.phase == "noise-dominated"
    # Corrections are of relative order t^(1/nu - 1), 2e-3 at nu = 1.5; the flat minimum takes the root of errors.
    assert late.method.momentum == pytest.approx(o.method.momentum, abs=0.02)
    assert late.method.momentum < -0.1
    assert late.method.learning_rate == pytest.approx(o.method.learning_rate, rel=0.02)
    assert late.loss == pytest.approx(o.constant * 1e8**-o.exponent, rel=5e-3)
    assert late.gain == pytest.approx(o.gain, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 10])
def test_on_the_border_the_optimum_is_that_of_the_sum(batch):
    p = gf.PowerLaw(2.0, 1.5)
    o = asymptotic_optimum(p, batch)
    late = gf.optimize(p, batch, steps=10**12)
    # Corrections of order t^-1/2; the constant of one term alone is least at another rate, up to 1.9 times worse.
    assert float(gf.predict(p, o.method, 10**12).loss) < late.loss * (1.0 + 1e-4)
    assert o.constant * 1e12**-1.5 == pytest.approx(late.loss, rel=1e-3)
    assert any("border" in note for note in o.notes)


@pytest.mark.slow
def test_label_noise_leaves_no_best_setting_in_the_end_and_the_answer_says_so():
    p = gf.PowerLaw(1.5, 0.5, noise_variance=0.1)
    o = asymptotic_optimum(p, 4)
    t = 10**8
    found = float(gf.predict(p, o.method, t).loss) - 0.05
    assert found == pytest.approx(0.0264, rel=5e-3)
    assert o.floor + o.constant * t**-o.exponent == pytest.approx(found, rel=1e-2)
    assert any("no setting is best in the end" in note for note in o.notes)
    assert f"held at {o.floor:.3g} by label noise" in repr(o)
    # A rate 9 times lower is 55 times better at that step.
    assert float(gf.predict(p, gf.SGD(0.0099, 0.0, 4), t).loss) - 0.05 == pytest.approx(4.8e-4, rel=0.02)
    quiet = asymptotic_optimum(gf.PowerLaw(1.5, 0.5), 4)
    assert (quiet.floor, quiet.notes) == (0.0, ())


def test_without_feedback_of_noise_the_signal_phase_is_asked_for():
    o = asymptotic_optimum(gf.PowerLaw(1.5, 2.7), 4, noise=gf.SpectrallyExpressible(0.0, -1.0))
    assert (o.phase, o.exponent) == ("signal-dominated", 2.7)


def test_no_setting_of_a_grid_has_a_smaller_constant():
    p = gf.PowerLaw(1.5, 2.7)
    o = asymptotic_optimum(p, 4)
    assert not o.at_bound
    for beta in (-0.6, o.method.momentum, 0.3):
        for share in (0.1, o.method.learning_rate / gf.max_learning_rate(p, o.method.momentum, 4), 0.6):
            f = gf.phase(p, gf.SGD(share * gf.max_learning_rate(p, beta, 4), beta, 4))
            assert f.constant >= o.constant * (1.0 - 1e-9)


@pytest.mark.slow
def test_momentum_turns_positive_where_the_signal_sits_in_small_eigenvalues():
    k = np.arange(1.0, 20_001.0)
    for first, sign in ((1, -1.0), (10, 1.0)):
        signal = np.where(k < first, 0.0, (k / first) ** -13.0)
        problem = gf.LinearProblem(k**-1.5, signal)
        # The valley is narrow and aslant: a search along its axes stops at beta = 0.08 where the best is 0.39.
        best = gf.optimize(problem, 1, steps=10_000).method
        assert sign * best.momentum > 0.3


def test_the_signal_phase_asks_for_all_the_momentum_there_is():
    o = asymptotic_optimum(gf.PowerLaw(2.5, 1.4), 1)
    assert o.phase == "signal-dominated"
    assert o.at_bound
    assert o.method.momentum == pytest.approx(0.999)
    assert "at a bound" in repr(o)


def test_a_measured_spectrum_goes_through_its_fitted_exponents():
    law = gf.PowerLaw(1.5, 2.7, n_modes=3000)
    o = asymptotic_optimum(gf.LinearProblem(law.eigenvalues, law.signal), 1, momentum=0.0)
    # At gamma tau2 = 1 the condition knows only nu, which the fit has to a few per cent.
    assert o.noise_gain == pytest.approx(0.5 / 3.5, rel=0.03)


def test_what_never_converges_is_refused():
    with pytest.raises(ValueError, match="no setting converges"):
        asymptotic_optimum(gf.PowerLaw(0.9, 0.5), 1)
    with pytest.raises(ValueError, match="momentum"):
        asymptotic_optimum(gf.PowerLaw(1.5, 0.5), 1, momentum=1.0)
    with pytest.raises(ValueError, match="batch_size"):
        asymptotic_optimum(gf.PowerLaw(1.5, 0.5), 0)
    assert np.isfinite(asymptotic_optimum(gf.PowerLaw(1.5, 0.5), 10**6, momentum=-0.5).constant)
