"""The noise gain, the best settings and the sign of the best momentum: derived, and found by the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from late_times import at, constants, is_zero
from own_methods import Nesterov
from scipy.optimize import brentq, minimize_scalar

import genfun as gf
from genfun.symbolic import array_function, derive, optimum
from genfun.symbolic.best_settings import noise_moment, signal_moment
from genfun.symbolic.slow_mode import names

n = names()
beta = sympy.Symbol("beta")


@pytest.mark.parametrize("method", [gf.SGD, Nesterov])
def test_noise_gain_in_the_effective_rate_and_its_limits(method: Any) -> None:
    gain, g = optimum(method).gain, derive(method).g
    p, noise = gf.PowerLaw(1.5, 2.0, n_modes=50), gf.SpectrallyExpressible(0.9, -0.7)
    lam, s = p.eigenvalues, p.signal
    summands = array_function([gain.U1, gain.V1], [gain.x, g, beta])
    first = array_function([optimum(method).noise_gain, optimum(method).signal_sum], _moments())
    for momentum in (-0.6, 0.0, 0.6):
        G = gf.GeneratingFunction(p, at(method, 0.3, momentum, 4), noise)
        U, V = summands(0.3 * lam, G.gamma * noise.tau2, momentum)
        np.testing.assert_allclose(G.gamma * noise.tau1 * U.sum(), G.noise(1.0), rtol=1e-12)
        np.testing.assert_allclose((s * V).sum(), G.signal(1.0), rtol=1e-12)
        G = gf.GeneratingFunction(p, at(method, 1e-6, momentum, 4), noise)
        U, V = first(1e-6, G.gamma, noise.tau1, *_sums(lam, s))
        np.testing.assert_allclose(U, G.noise(1.0), rtol=1e-5)
        np.testing.assert_allclose(V, G.signal(1.0), rtol=1e-5)
    (limit,) = gain.U1_limits.values()
    close = gf.GeneratingFunction(p, at(method, 0.3, 1.0 - 1e-8, 4), noise)
    (total,) = array_function([limit], [gain.x, g])(0.3 * lam, close.gamma * noise.tau2)
    np.testing.assert_allclose(close.noise(1.0), close.gamma * noise.tau1 * total.sum(), rtol=1e-6)


def _moments() -> list[Any]:
    return [n.rate, n.gamma, n.tau1, noise_moment(1), noise_moment(2), signal_moment(0), signal_moment(-1)]


def _sums(lam: Any, s: Any) -> tuple[float, ...]:
    return float(lam.sum()), float((lam**2).sum()), float(s.sum()), float((s / lam).sum())


def test_largest_rate_near_momentum_one_is_that_of_the_critical_eigenvalue() -> None:
    p, noise, momentum, b = gf.PowerLaw(1.5, 2.0, n_modes=50), gf.SpectrallyExpressible(0.9, 0.6), 1.0 - 1e-6, 2
    (limit,) = optimum(gf.SGD).gain.U1_limits.values()
    gain, g = optimum(gf.SGD).gain, derive(gf.SGD).g
    summand = array_function([limit], [gain.x, g])
    crit = brentq(lambda c: (p.eigenvalues / (c + 0.6 * p.eigenvalues)).sum() - 1 / 0.9, 0.01, 10.0, xtol=1e-14)
    effective = 2.0 * b / crit
    np.testing.assert_allclose(0.9 / b * summand(effective * p.eigenvalues, 0.6 / b)[0].sum(), 1.0, rtol=1e-12)
    largest = gf.max_learning_rate(p, momentum, b, noise) / (1.0 - momentum)
    np.testing.assert_allclose(largest, effective, rtol=1e-5)


def noise_phase(p: gf.PowerLaw, effective: float, momentum: float, method: Any = gf.SGD, batch_size: int = 1) -> float:
    """Log of the exact noise-phase constant; the engine's U~(1) and V~(1)."""
    m = at(method, effective, momentum, batch_size)
    return float(np.log(constants(p, m, gf.SpectrallyExpressible())[1]))


def best_rate(p: gf.PowerLaw, momentum: float, which: int) -> Any:
    """The minimum of the exact constant over alpha_eff, gamma tau2 = 1."""

    def loss(log_rate: float) -> float:
        m = at(gf.SGD, np.exp(log_rate), momentum, 1)
        return float(np.log(constants(p, m, gf.SpectrallyExpressible())[which]))

    # U~(1) < 1 for alpha_eff Tr H < 2 at beta = 0; beta = +-0.01 moves that by per cents.
    top = np.log(1.9 / p.trace)
    return minimize_scalar(loss, bounds=(top - 5.0, top), method="bounded", options={"xatol": 1e-9})


@pytest.mark.parametrize(("nu", "zeta", "which"), [(1.5, 2.0, 1), (2.5, 3.0, 1), (1.5, 0.5, 0), (2.0, 1.2, 0)])
def test_noise_gain_at_the_optimum(nu: float, zeta: float, which: int) -> None:
    """A minimum is found to the root of the rounding of the objective: 1e-7, some digits of which the sums take."""
    best, p = optimum(gf.SGD), gf.PowerLaw(nu, zeta)
    assert best.exact
    expected = ((zeta / (1 + zeta)), (nu - 1) / (3 * nu - 1))[which]
    solved = (best.signal_phase, best.noise_phase)[which]
    assert is_zero(solved - (n.zeta / (1 + n.zeta), (n.nu - 1) / (3 * n.nu - 1))[which])
    rate = (best.signal_rate, best.noise_rate)[which].subs({n.gamma: 1, n.tau1: 1, n.nu: nu, n.zeta: zeta})
    rate = float(rate.subs(noise_moment(1), p.trace))
    found = float(np.exp(best_rate(p, 0.0, which).x))
    np.testing.assert_allclose(found, rate, rtol=1e-5)
    np.testing.assert_allclose(gf.stability(p, gf.SGD(found, 0.0, 1)).noise_gain, expected, rtol=1e-5)
    # The predicted loss itself is least there: t = 10^8 is not infinity, hence the coarse step.
    around = [gf.SGD(rate * factor, 0.0, 1) for factor in (0.9, 1.0, 1.1)]
    loss = [float(gf.predict(p, m, 10**8, route="contour").loss) for m in around]
    assert loss[1] == min(loss)


@pytest.mark.parametrize("method", [gf.SGD, Nesterov])
def test_slopes_in_momentum_are_those_of_the_engine(method: Any) -> None:
    """Any gamma and tau2; central differences of step h err by h^2 and rounding/h."""
    gain, g = optimum(method).gain, derive(method).g
    p, noise, effective, h = gf.PowerLaw(1.5, 2.0, n_modes=40), gf.SpectrallyExpressible(1.0, -0.8), 0.7, 1e-4
    (dU,), (dV,) = gain.U1_slopes.values(), gain.V1_slopes.values()
    U, V = array_function([dU, dV], [gain.x, g])(effective * p.eigenvalues, noise.tau2 / 5)
    up, down = (gf.GeneratingFunction(p, at(method, effective, x, 5), noise) for x in (h, -h))
    np.testing.assert_allclose(U.sum() / 5, (up.noise(1.0) - down.noise(1.0)) / (2 * h), rtol=1e-5, atol=1e-7)
    slope = (up.signal(1.0) - down.signal(1.0)) / (2 * h)
    np.testing.assert_allclose((p.signal * V).sum(), slope, rtol=1e-5, atol=1e-7)


# The last two have most of their signal in small eigenvalues.
SIGNS = [
    (1.2, 1.3, None, True),
    (1.5, 4.0, None, True),
    (4.0, 6.0, None, True),
    (2, 0.8, 300, False),
    (3, 1, 20, False),
]


@pytest.mark.parametrize(("nu", "zeta", "n_modes", "negative_helps"), SIGNS)
def test_sign_of_the_best_momentum(nu: float, zeta: float, n_modes: int | None, negative_helps: bool) -> None:
    """d/dbeta of the exact constant, least over alpha_eff at every beta, and the derived slope at gamma tau2 = 1."""
    (sign,), p, h = optimum(gf.SGD).momentum.values(), gf.PowerLaw(nu, zeta, n_modes=n_modes), 1e-3
    assert sign.exact
    T1, T2, M0, M1 = _moments()[3:]
    assert is_zero(sign.left - T1 * M0)
    assert is_zero(sign.right - (n.nu - 1) / n.nu * T2 * M1)
    signal = p.measures()[1]
    sums = (p.trace, p.capacity_total, p.signal_total, float((signal.weights / signal.nodes).sum()))
    rate = 2 * (nu - 1) / (3 * nu - 1) / p.trace
    f = array_function([sign.at_optimum, sign.left, sign.right], [n.nu, *_moments()])
    slope, left, right = (float(x) for x in f(nu, rate, 1.0, 1.0, *sums))
    found = (best_rate(p, h, 1).fun - best_rate(p, -h, 1).fun) / (2 * h)
    # Central differences err by h^2 times the third derivative, of the order of alpha_eff lambda_max as is the slope.
    np.testing.assert_allclose(slope, found, atol=10 * h**2 * rate)
    assert (left > right) == (found > 0) == negative_helps


@pytest.mark.parametrize("nu", [1.05, 1.3, 2.0, 5.0, 15.0])
def test_negative_momentum_helps_in_every_noise_dominated_power_law(nu: float) -> None:
    (sign,) = optimum(gf.SGD).momentum.values()
    f = array_function([sign.left / sign.right], [n.nu, *_moments()[3:]])
    for above in (0.001, 0.1, 1.0, 5.0):
        p = gf.PowerLaw(nu, 2.0 - 1.0 / nu + above)
        signal = p.measures()[1]
        sums = (p.trace, p.capacity_total, p.signal_total, float((signal.weights / signal.nodes).sum()))
        assert f(nu, *sums)[0] > 1.0


def test_small_nesterov_momentum_changes_nothing_at_fixed_effective_rate() -> None:
    (sign,) = optimum(Nesterov).momentum.values()
    assert sign.noise_slope == sign.signal_slope == 0
    p, h = gf.PowerLaw(1.5, 2.0), 1e-3
    change = noise_phase(p, 0.1, h, Nesterov) - noise_phase(p, 0.1, -h, Nesterov)
    assert abs(change) < h**2
