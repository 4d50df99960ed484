"""What sympy derives for late times is what the engine computes: slow modes and phases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from late_times import at, constants, is_zero
from own_methods import Nesterov

import genfun as gf
from genfun.symbolic import array_function, asymptotics, derive, optimum, responses, show
from genfun.symbolic.phases import gamma_array_function
from genfun.symbolic.slow_mode import names, slow_mode

n = names()
beta = sympy.Symbol("beta")


class LateKick:
    """The gradient enters w one step late, multiplied by beta."""

    @staticmethod
    def update(a: Any, beta: Any, /) -> Any:
        return ((1, beta), (-a, beta)), (0, 1)


class TwoIntegrators:
    """Not one slow mode: at a = 0 both components of the state stay for ever."""

    @staticmethod
    def update(a: Any, /) -> Any:
        return ((1 - a, 1), (0, 1)), (1, 1)


@pytest.mark.slow
def test_slow_mode_of_heavy_ball_and_of_other_methods() -> None:
    heavy, nesterov, late = (slow_mode(derive(method)) for method in (gf.SGD, Nesterov, LateKick))
    for slow in (heavy, nesterov):
        assert is_zero(slow.u - 1 / (1 - beta) ** 2)
        assert is_zero(slow.v - 1)
        assert is_zero(slow.effective - 1 / (1 - beta))
    assert is_zero(late.effective - beta / (1 - beta))
    assert all(slow.kick == 1 for slow in (heavy, nesterov, late))
    with pytest.raises(ValueError, match="no single slow mode"):
        slow_mode(derive(TwoIntegrators))


@pytest.mark.parametrize("method", [gf.SGD, Nesterov])
@pytest.mark.parametrize("momentum", [-0.5, 0.0, 0.7])
def test_responses_approach_the_slow_mode_to_first_order(method: Any, momentum: float) -> None:
    """The next term is relative epsilon times at most a few (1-beta)^-2."""
    slow = slow_mode(derive(method))
    u, v, r = (float(f) for f in array_function([slow.u, slow.v, slow.effective], [beta])(momentum))
    epsilon, a, p, g = 1e-7, 0.8, 1.3, -0.6
    q = -np.expm1(-epsilon * p)
    d, n_u, n_v = responses(method)(epsilon * a, q, momentum)
    S = d + g * (epsilon * a) ** 2 * (1 - q) * n_u
    np.testing.assert_allclose(epsilon * n_u / S, u / (p + 2 * r * a), rtol=100 * epsilon)
    np.testing.assert_allclose(epsilon * n_v / S, v / (p + 2 * r * a), rtol=100 * epsilon)


def test_constants_are_the_published_ones() -> None:
    late = asymptotics(gf.SGD)
    C_U = n.gamma * n.tau1 * n.rate**2 * n.Lambda ** (1 / n.nu) / n.nu * sympy.gamma(2 - 1 / n.nu)
    C_U *= (2 * n.rate) ** (1 / n.nu - 2)
    L_s = n.Q * sympy.gamma(n.zeta + 1) * (2 * n.rate) ** -n.zeta / (1 - n.U1) / 2
    L_n = n.V1 * C_U / (1 - n.U1) ** 2 / 2
    assert is_zero(late.explicit(late.signal).doit() / L_s - 1)
    assert is_zero(late.explicit(late.noise).doit() / L_n - 1)
    assert (late.kernel.exponent, late.decay.exponent, late.boundary) == (2 - 1 / n.nu, n.zeta, 2 - 1 / n.nu)


@pytest.mark.parametrize("tau2", [0.8, -1.0])
@pytest.mark.parametrize("momentum", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize(("zeta", "leading"), [(0.5, 0), (2.0, 1)])
def test_predicted_curve_approaches_its_constant(zeta: float, leading: int, momentum: float, tau2: float) -> None:
    p, noise = gf.PowerLaw(1.5, zeta, eigenvalue_scale=2.0, signal_scale=3.0), gf.SpectrallyExpressible(0.8, tau2)
    m, t = at(gf.SGD, 0.2, momentum, 2), 10**8
    assert 0.2 < gf.stability(p, m, noise).noise_gain < 0.8
    exponent = (zeta, 2.0 - 1.0 / p.nu)[leading]
    found = float(gf.predict(p, m, t, noise).loss) / (constants(p, m, noise)[leading] * t**-exponent)
    # The next term is smaller by the singular part of U~ at p = 1/t, t^(1/nu-1) = 0.002 times a number of order 1.
    assert abs(found - 1.0) < 0.02


@pytest.mark.slow
def test_constants_hold_for_other_methods() -> None:
    p, noise, t = gf.PowerLaw(1.5, 2.0), gf.SpectrallyExpressible(), 10**8
    m = at(Nesterov, 0.2, 0.5, 2)
    found = float(gf.predict(p, m, t, noise).loss) / (constants(p, m, noise)[1] * t ** (1.0 / p.nu - 2.0))
    assert abs(found - 1.0) < 0.02


@pytest.mark.parametrize(("nu", "zeta"), [(1.5, 0.6), (3.0, 0.4)])
def test_singular_parts_are_those_of_the_engine(nu: float, zeta: float) -> None:
    """V~ is infinite at p = 0 for zeta < 1: its singular part leads. Next terms are smaller by p^(1/nu), p^(1-zeta)."""
    late, p = asymptotics(gf.SGD), gf.PowerLaw(nu, zeta)
    m, point = gf.SGD(0.2, 0.3, 1), 1e-12
    arguments = [n.nu, n.zeta, n.Lambda, n.Q, n.gamma, n.tau1, n.rate, n.p]
    parts = [late.explicit(part).doit() for part in (late.kernel_singular, late.decay_singular)]
    U, V = gamma_array_function(parts, arguments)(nu, zeta, 1.0, 1.0, 1.0, 1.0, m.effective_learning_rate, point)
    G = gf.GeneratingFunction(p, m)
    q = np.array([0.0, -np.expm1(-point)])
    noise, signal = G.sums(q)
    np.testing.assert_allclose(noise[1] - noise[0], U, rtol=0.01)
    np.testing.assert_allclose(signal[1], V, rtol=0.01)


def test_transition_is_where_both_parts_are_equal() -> None:
    p, noise = gf.PowerLaw(1.5, 2.0), gf.SpectrallyExpressible()
    m = gf.SGD(0.1, 0.0, 100)
    G, late = gf.GeneratingFunction(p, m, noise), asymptotics(gf.SGD)
    arguments = [n.nu, n.zeta, n.Lambda, n.Q, n.gamma, n.tau1, n.rate, n.U1, n.V1]
    values = (1.5, 2.0, 1.0, 1.0, G.gamma, 1.0, 0.1, G.noise(1.0), G.signal(1.0))
    (t,) = gamma_array_function([late.explicit(late.transition).doit()], arguments)(*values)
    signal, noisy = constants(p, m, noise)
    np.testing.assert_allclose(signal * t**-2.0, noisy * t ** (1 / 1.5 - 2.0), rtol=1e-12)


@pytest.mark.parametrize("nu", [0.6, 0.8])
def test_growth_of_eventual_divergence_at_small_gamma(nu: float) -> None:
    """U~(e^-p) = C p^(1-1/nu) + O(gamma), so that p_* errs by O(gamma), relative."""
    late, m = asymptotics(gf.SGD), gf.SGD(0.3, 0.4, 2000)
    arguments = [n.nu, n.Lambda, n.gamma, n.tau1, n.rate]
    (growth,) = gamma_array_function([late.explicit(late.growth).doit()], arguments)(
        nu, 1.0, 1 / 2000, 1.0, m.effective_learning_rate
    )
    np.testing.assert_allclose(gf.stability(gf.PowerLaw(nu, 1.0), m).growth_rate, growth, rtol=0.01)


@pytest.mark.slow
def test_page_of_formulas_says_what_cannot_be_derived() -> None:
    assert "No best settings near zero momentum" in show(LateKick)
    assert "No power laws at late times" in show(TwoIntegrators)
    with pytest.raises(ValueError, match="does not learn"):
        optimum(LateKick)


@pytest.mark.slow
def test_page_of_formulas_holds_the_results() -> None:
    text = show(gf.SGD, latex=True)
    for line in (
        r"v = \frac{1}{p + 2 \alpha_{eff} \lambda}",
        r"C_{V} = Q \Gamma\left(1 + \zeta\right) \left(2 \alpha_{eff}\right)^{- \zeta}",
        r"\tilde{U}{\left(1 \right)} = \frac{-1 + \nu}{-1 + 3 \nu}",
        r"\tilde{U}{\left(1 \right)} = \frac{\zeta}{1 + \zeta}",
        r"\left(\sum_{k=1}^{N} \lambda_{k}\right) \sum_{k=1}^{N} s_{k} >",
    ):
        assert line in text
