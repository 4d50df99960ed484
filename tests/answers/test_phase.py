"""Phases: constants, exponents and the steps at which one gives way to the next, against the exact curve."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf

CASES = [(1.5, 0.5), (1.5, 2.0), (2.5, 1.4), (2.5, 1.8), (3.0, 1.0)]


@pytest.mark.parametrize("tau2", [1.0, -1.0])
@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize(("nu", "zeta"), CASES)
def test_constants_give_the_exact_curve_at_1e8(nu, zeta, beta, tau2):
    problem, noise = gf.PowerLaw(nu, zeta), gf.SpectrallyExpressible(1.0, tau2)
    method = gf.SGD(0.3 * (1 - beta**2), beta, 4)
    f = gf.phase(problem, method, noise)
    assert f.name == ("signal-dominated" if zeta < 2 - 1 / nu else "noise-dominated")
    t = 1e8
    signal = f.signal_constant * t**-f.signal_exponent
    # Without V~(1) there is no noise term at leading order.
    noisy = 0.0 if np.isnan(f.noise_constant) else f.noise_constant * t**-f.noise_exponent
    loss = float(gf.predict(problem, method, int(t), noise).loss)
    assert loss / (signal + noisy) == pytest.approx(1.0, abs=0.02)
    if f.transition_step < 1e-3 * t or f.name == "signal-dominated":
        assert loss / (f.constant * t**-f.exponent) == pytest.approx(1.0, abs=0.02)


def test_strong_noise_alone_gives_the_curve_where_the_exponents_are_close():
    problem, method = gf.PowerLaw(2.5, 1.8), gf.SGD(0.6 * gf.max_learning_rate(gf.PowerLaw(2.5, 1.8), 0.0, 1), 0.0, 1)
    f = gf.phase(problem, method)
    t = 10**14
    assert f.transition_step < 1e-6 * t
    assert float(gf.predict(problem, method, t).loss) / (f.constant * t**-f.exponent) == pytest.approx(1.0, abs=0.02)


def test_the_published_transition():
    # Setting of arXiv 2206.11124: lambda_k = k^-1.5, s_k = k^-4, alpha 0.4, gamma 0.01: 8069 predicted.
    k = np.arange(1.0, 1e5 + 1)
    problem, method = gf.LinearProblem(k**-1.5, k**-4.0), gf.SGD(0.4, 0.0, 100)
    f = gf.phase(problem, method)
    assert f.name == "noise-dominated"
    assert f.transition_step == pytest.approx(8069, rel=0.02)
    t = np.unique(np.geomspace(2000, 40000, 200).astype(int))
    midpoint = np.interp(-0.5 * (2.0 + 4.0 / 3.0), -gf.local_exponent(problem, method, t), t)
    assert f.transition_step == pytest.approx(midpoint, rel=0.02)


@pytest.mark.parametrize("zeta", [0.5, 1.5])
@pytest.mark.parametrize(("nu", "rate", "batch"), [(0.6, 0.1, 100), (0.7, 0.1, 100), (0.8, 0.1, 10), (0.9, 0.25, 1)])
def test_divergence_step_is_the_minimum_of_the_exact_curve(nu, zeta, rate, batch):
    problem, method = gf.PowerLaw(nu, zeta), gf.SGD(rate, 0.0, batch)
    f = gf.phase(problem, method)
    assert f.name == "eventual divergence"
    assert np.isnan(f.exponent)
    t = np.unique(np.geomspace(1, 1e3 * f.divergence_step, 900).astype(np.int64))
    least = t[gf.predict(problem, method, t).log_loss.argmin()]
    assert 0.5 < f.divergence_step / least < 2.0


def test_infinite_capacity_and_too_large_rates_diverge_at_once():
    assert gf.phase(gf.PowerLaw(0.4, 0.5), gf.SGD(0.1, 0.0, 10)).name == "immediate divergence"
    assert gf.phase(gf.PowerLaw(1.5, 0.5), gf.SGD(2.5, 0.0, 10)).name == "immediate divergence"
    assert gf.phase(gf.PowerLaw(1.5, 0.5), gf.SGD(0.1, 0.0, 10)).divergence_step == np.inf


def test_full_batch_has_no_noise_phase():
    f = gf.phase(gf.PowerLaw(1.5, 3.0), gf.SGD(0.5, 0.3))
    assert (f.name, f.noise_constant, f.transition_step) == ("signal-dominated", 0.0, np.inf)
    t = 10**6
    assert float(gf.predict(gf.PowerLaw(1.5, 3.0), gf.SGD(0.5, 0.3), t).loss) == pytest.approx(
        f.constant * t**-3.0, rel=0.01
    )


def test_a_short_spectrum_is_flagged_where_the_infinite_formula_is_wrong():
    method = gf.SGD(0.4, 0.0, 100)
    short = gf.phase(gf.PowerLaw(1.5, 2.0, n_modes=100), method)
    assert short.transition_step > short.end_step
    assert any("will not be seen" in note for note in short.notes)
    # and rightly so: at the transition the curve is far below either term.
    t = int(short.transition_step)
    loss = float(gf.predict(gf.PowerLaw(1.5, 2.0, n_modes=100), method, t).loss)
    assert loss < 1e-3 * short.signal_constant * t**-2.0
    long = gf.phase(gf.PowerLaw(1.5, 2.0, n_modes=10**5), method)
    assert not any("will not be seen" in note for note in long.notes)
    cut = gf.phase(gf.PowerLaw(0.8, 0.5, n_modes=100), gf.SGD(0.1, 0.0, 100))
    assert any("only because the spectrum ends" in note for note in cut.notes)


def test_local_exponent_goes_from_zeta_to_the_noise_exponent_and_keeps_shape():
    problem, method = gf.PowerLaw(1.5, 2.0, noise_variance=1e-3), gf.SGD(0.4, 0.0, 100)
    quiet = gf.PowerLaw(1.5, 2.0)
    e = gf.local_exponent(quiet, method, np.array([[300, 10**9]]))
    assert e.shape == (1, 2)
    np.testing.assert_allclose(e, [[2.0, 4 / 3]], atol=0.1)
    # With label noise the excess loss ends on its own floor and stops falling.
    assert gf.local_exponent(problem, method, 10**9) == pytest.approx(0.0, abs=0.01)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        gf.local_exponent(quiet, method, [0, 1])


def test_a_spectrum_without_exponents_is_refused():
    with pytest.raises(ValueError, match="no exponents"):
        gf.phase(gf.LinearProblem([1.0], [1.0]), gf.SGD(0.1))


@pytest.mark.parametrize("zeta", [1.5 - 1e-13, 1.5, 1.5 + 1e-13])
def test_the_border_of_the_two_phases_has_an_answer_and_a_note(zeta):
    f = gf.phase(gf.PowerLaw(2.0, zeta, n_modes=1000), gf.SGD(0.1, -0.3, 32))
    assert f.name in ("signal-dominated", "noise-dominated")
    assert f.exponent == pytest.approx(1.5)
    assert any("border of the two phases" in note for note in f.notes)
    assert not np.isnan(f.transition_step)
    assert f.constant == f.signal_constant + f.noise_constant


@pytest.mark.parametrize(("nu", "t"), [(2.0, 10**12), (1.2, 10**15)])
@pytest.mark.parametrize("beta", [-0.4, 0.0, 0.6])
def test_on_the_border_both_constants_add_up(nu, beta, t):
    problem = gf.PowerLaw(nu, 2.0 - 1.0 / nu)
    method = gf.SGD(0.6 * gf.max_learning_rate(problem, beta, 1), beta, 1)
    f = gf.phase(problem, method)
    assert min(f.signal_constant, f.noise_constant) > 0.05 * f.constant
    # Corrections of order t^-(1-1/nu): 1e-6 and 3e-3 times a constant of some units.
    limit = float(gf.predict(problem, method, t).loss) * t**f.exponent
    assert limit == pytest.approx(f.constant, rel=10.0 * t ** -(1.0 - 1.0 / nu))


def test_near_the_edge_noise_may_lead_first_in_the_signal_phase():
    problem = gf.PowerLaw(3.0, 1.5)
    method = gf.SGD(0.98 * gf.max_learning_rate(problem, 0.0, 1), 0.0, 1)
    f = gf.phase(problem, method)
    assert (f.name, f.later) == ("signal-dominated", "signal")
    assert f.transition_step == pytest.approx(4.6e6, rel=0.02)
    assert any("the noise term leads" in note for note in f.notes)
    for t, first in ((1e5, "noise"), (1e9, "signal")):
        terms = {"signal": f.signal_constant * t**-1.5, "noise": f.noise_constant * t ** -(5.0 / 3.0)}
        assert max(terms, key=lambda name: terms[name]) == first
    # What is left at 1e12: terms of relative order C_U t^-(2/3)/(1 - U), 3e-6 here.
    assert float(f.excess(10**12)) == pytest.approx(float(gf.predict(problem, method, 10**12).loss), rel=1e-4)
    slower = gf.phase(problem, gf.SGD(0.5 * method.learning_rate, 0.0, 1))
    assert slower.transition_step == np.inf
    assert slower.notes == ()


@pytest.mark.parametrize(("nu", "zeta"), [(1.5, 0.5), (1.5, 2.0), (3.0, 1.0)])
@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.7])
@pytest.mark.parametrize("taus", [(1.0, 1.0), (1.0, -1.0), (0.5, 0.0), (0.0, -1.0)])
def test_label_noise_has_a_floor_that_is_filled_slowly(nu, zeta, beta, taus):
    noise = gf.SpectrallyExpressible(*taus)
    problem = gf.PowerLaw(nu, zeta, noise_variance=0.2)
    method = gf.SGD(0.2 * (1.0 - beta), beta, 4)
    f = gf.phase(problem, method, noise)
    t = 10 ** np.array([9, 12])
    excess = gf.predict(problem, method, t, noise).loss - 0.1
    # At 1e9 the next term is of relative order t^-(1-1/nu) beside the one that is checked.
    np.testing.assert_allclose(f.excess(t), excess, rtol=1e-4)
    missing, quiet = f.floor - excess, gf.predict(gf.PowerLaw(nu, zeta), method, t, noise).loss
    slow = f.floor_constant * t ** -(1.0 - 1.0 / nu)
    np.testing.assert_allclose(missing + quiet, slow, rtol=1e-2)
    assert any("label noise holds the loss" in note for note in f.notes)
    assert f.floor == pytest.approx(float(gf.stability(problem, method, noise).floor), rel=1e-6) or taus[0] == 0.0
    # Where the decaying terms meet the floor.
    at = f.floor_step
    decaying = [f.signal_constant * at**-zeta, np.nan_to_num(f.noise_constant) * at**-f.noise_exponent]
    assert max(decaying) == pytest.approx(f.floor, rel=1e-6)


def test_without_label_noise_or_batch_noise_there_is_no_floor():
    for problem, method in (
        (gf.PowerLaw(1.5, 0.5), gf.SGD(0.1, 0.0, 4)),
        (gf.PowerLaw(1.5, 0.5, noise_variance=0.2), gf.SGD(0.1)),
    ):
        f = gf.phase(problem, method)
        assert (f.floor, f.floor_constant, f.floor_step) == (0.0, 0.0, np.inf)
        assert not any("label noise" in note for note in f.notes)
    with pytest.raises(ValueError, match="at least 1"):
        gf.phase(gf.PowerLaw(1.5, 0.5), gf.SGD(0.1, 0.0, 4)).excess([0, 3])


@pytest.mark.parametrize("tau2", [0.0, -1.0])
def test_noise_without_feedback_leaves_the_signal_exponent(tau2):
    problem, method, noise = gf.PowerLaw(1.5, 2.0), gf.SGD(0.4, 0.0, 100), gf.SpectrallyExpressible(0.0, tau2)
    f = gf.phase(problem, method, noise)
    assert (f.name, f.exponent, f.noise_constant, f.transition_step) == ("signal-dominated", 2.0, 0.0, np.inf)
    # Every mode decays by itself; the slow ones carry the power law.
    loss = float(gf.predict(problem, method, 10**6, noise).loss)
    assert loss == pytest.approx(f.constant * 1e-12, rel=1e-3)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.02, 0.5])
def test_eigenvalues_that_hardly_differ_are_refused_with_the_reason(seed, apart):
    rng = np.random.default_rng(seed)
    problem = gf.LinearProblem(1.0 + apart * rng.random(20), rng.random(20))
    with pytest.raises(ValueError, match="problem has no exponents"):
        gf.phase(problem, gf.SGD(0.1, 0.0, 10))


def test_the_reason_is_that_the_eigenvalues_are_equal():
    k = np.arange(20.0)
    with pytest.raises(ValueError, match="eigenvalues are all equal within 2e-08"):
        gf.phase(gf.LinearProblem(1.0 - 1e-9 * k, np.exp(-0.1 * k)), gf.SGD(0.1, 0.0, 10))


@pytest.mark.slow
def test_that_fitted_constants_stand_for_the_noise_of_data_is_said() -> None:
    k = np.arange(1.0, 31.0)
    data = gf.data.gaussian(k**-1.5, k**-1.75, n_samples=60, seed=0)
    method = gf.SGD(0.2, batch_size=8)
    told = gf.phase(data, method)
    assert told.fitted_noise
    assert "constants fitted to the data" in told.notes[-1]
    assert repr(told).endswith(", by constants fitted to the data's noise)")
    # Nothing stands for anything without data, with constants that were given, and without batch noise.
    quiet = (
        gf.phase(data.problem, method),
        gf.phase(data, method, gf.SpectrallyExpressible()),
        gf.phase(data, gf.SGD(0.2)),
    )
    for found in quiet:
        assert not found.fitted_noise
        assert "fitted" not in repr(found)
    line = next(x for x in gf.explain(data, method, 100, "fitted").lines if x.startswith("Phase"))
    assert "fitted" not in line  # all of it is by them, as the line on the noise says


@pytest.mark.slow
def test_whether_data_diverge_is_by_their_own_noise_where_fitted_constants_say_otherwise() -> None:
    k = np.arange(1.0, 31.0)
    rng = np.random.default_rng(0)
    outlier = rng.standard_normal((200, 30)) * k**-0.8
    outlier[0] *= 6.0
    category = rng.choice(30, size=300, p=k**-1.6 / (k**-1.6).sum())
    rare = np.eye(30)[category]
    rare = rare[:, rare.any(axis=0)]
    tables = {"diverges": gf.LinearData.from_features(outlier, outlier @ np.ones(30))}
    tables["converges"] = gf.LinearData.from_features(rare, rare @ np.ones(rare.shape[1]))
    for status, data in tables.items():
        own, fitted = (gf.max_learning_rate(data, 0.0, 1, noise=name) for name in ("measured", "fitted"))
        # Between the two edges, of which one is well above the other.
        assert max(own / fitted, fitted / own) > 1.3
        method = gf.SGD(0.9 * max(own, fitted), 0.0, 1)
        assert gf.stability(data, method).status == status != gf.stability(data, method, "fitted").status
        found, constants = gf.phase(data, method), gf.phase(data, method, data.noise)
        assert ("divergence" in found.name) == (status == "diverges") != ("divergence" in constants.name)
        assert "by the data's own noise it" in found.notes[-1]
        assert np.isnan(found.constant)
        assert not found.fitted_noise
        assert "nan" not in repr(found)
        assert "fitted" not in repr(found)
        if status == "diverges":
            assert gf.asymptotic_optimum(data, 1, 0.0).method.learning_rate <= own
            losses = gf.predict(data, method, np.arange(200)).log_loss
            assert found.divergence_step == pytest.approx(float(losses.argmin()), abs=2.0)
        else:
            assert found.exponent == found.signal_exponent
            assert "t^-" in repr(found)
            line = next(x for x in gf.explain(data, method, 100).lines if x.startswith("Phase"))
            assert f"an unknown multiple of t^-{found.exponent:.4g} while" in line


def test_times_that_no_run_takes_are_not_told_as_steps():
    law = gf.PowerLaw(nu=1.5, zeta=0.01, n_modes=None, noise_variance=1e-3)
    late = gf.phase(law, gf.SGD(0.1, batch_size=10))
    assert late.floor_step > 1e30
    assert any("the decay lasts longer than any run" in note for note in late.notes)
    soon = gf.phase(gf.PowerLaw(nu=1.5, zeta=0.5, noise_variance=0.1), gf.SGD(0.1, batch_size=10))
    assert any(f"the decay ends at step {soon.floor_step:.3g}" in note for note in soon.notes)
    ended = gf.phase(gf.PowerLaw(nu=1.5, zeta=0.01, n_modes=20, noise_variance=1e-3), gf.SGD(0.1, batch_size=10))
    assert any("once the spectrum has ended" in note for note in ended.notes)
    assert "from step" not in repr(ended)
