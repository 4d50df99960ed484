"""The conditions at the best learning rate and momentum for late times, solved by sympy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from genfun.symbolic._types import Symbol
from genfun.symbolic.noise_gain import NoiseGain, leading_term, noise_gain
from genfun.symbolic.phases import asymptotics
from genfun.symbolic.slow_mode import names


def noise_moment(power: int) -> Symbol:
    """T_i = sum_k lambda_k^i."""
    import sympy

    return sympy.Symbol(f"T_{power}", positive=True)


def signal_moment(power: int) -> Symbol:
    """M_i = sum_k s_k lambda_k^i."""
    import sympy

    return sympy.Symbol(f"M_{power}", positive=True)


class Momentum(NamedTuple):
    """How a hyperparameter h changes the loss near h = 0 at fixed alpha_eff, to first order in alpha_eff.

    `noise_slope` and `signal_slope` are d log L_n/dh and d log L_s/dh in U~(1), alpha_eff and moments. `at_optimum` is
    the former at the best alpha_eff: there h < 0 helps if and only if it is positive, that is `left` > `right`. With
    `exact` all of this holds to every order where g = gamma tau2 = 1.
    """

    noise_slope: Any
    signal_slope: Any
    at_optimum: Any
    left: Any
    right: Any
    exact: bool


@dataclass(frozen=True)
class LateOptimum:
    r"""The best effective learning rate for late times, and the sign of the best momentum.

    .. math:: \frac{d\log L_n}{d\log\alpha_{eff}} = \frac1\nu - 1 + \frac{2\tilde U(1)}{1-\tilde U(1)} = 0,\qquad
              \frac{d\log L_s}{d\log\alpha_{eff}} = -\zeta + \frac{\tilde U(1)}{1-\tilde U(1)} = 0

    with U~(1) and V~(1) to first order in alpha_eff. At the optimum over alpha_eff the total derivative of the loss by
    the momentum is the partial one at fixed alpha_eff, because the other partial derivative is zero there.

    **Assumptions.** As for `Asymptotics`. alpha_eff lambda_max << 1; or, if `exact`, g = gamma tau2 = 1 and no
    momentum. The curvature limit does not bind.

    Attributes
    ----------
    gain : NoiseGain
        U~(1) and V~(1) mode by mode.
    noise_gain, signal_sum : expressions
        U~(1) and V~(1) to first order, in moments.
    noise_balance, signal_balance : expressions
        d log L_n/d log alpha_eff and d log L_s/d log alpha_eff, in U~(1).
    noise_phase, signal_phase : expressions
        U~(1) at the optimum of either phase.
    noise_rate, signal_rate : expressions
        alpha_eff at the optimum of either phase.
    exact : bool
        Whether the first order is the whole where g = 1 and all hyperparameters are 0.
    momentum : mapping of hyperparameter to Momentum
        Empty for a method without hyperparameters.

    References
    ----------
    arXiv 2206.11124, section 6.
    """

    gain: NoiseGain
    noise_gain: Any
    signal_sum: Any
    noise_balance: Any
    signal_balance: Any
    noise_phase: Any
    signal_phase: Any
    noise_rate: Any
    signal_rate: Any
    exact: bool
    momentum: Mapping[Symbol, Momentum]


@functools.cache
def optimum(method: type[Any]) -> LateOptimum:
    """Differentiate the logarithms of the phase constants and solve.

    **Assumptions.** As for `LateOptimum`; the method still learns where all hyperparameters are 0.

    Parameters
    ----------
    method : class
        With a static `update(a, *hyperparameters)`, for example `SGD`.

    Returns
    -------
    LateOptimum
        Cached: one derivation a class.

    Raises
    ------
    ValueError
        If the method has no slow mode, several, or none where all hyperparameters are 0.

    References
    ----------
    arXiv 2206.11124, section 6.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> best = optimum(SGD)
    >>> best.noise_phase, best.signal_phase, best.exact
    ((nu - 1)/(3*nu - 1), zeta/(zeta + 1), True)
    >>> (sign,) = best.momentum.values()
    >>> sign.left, sign.right  # the signal must fall off faster than the noise
    (M_0*T_1, M_-1*T_2*(nu - 1)/nu)
    """
    import sympy

    n, late = names(), asymptotics(method)
    hyperparameters, g = late.derivation.hyperparameters, late.derivation.g
    at_zero: Any = dict.fromkeys(hyperparameters, 0)
    if late.slow.effective.subs(at_zero) == 0:
        raise ValueError(f"{method.__name__} does not learn where all of {hyperparameters} are 0")
    gain = noise_gain(late.derivation, late.slow)

    def total(leading: Any, moment: Callable[[int], Symbol]) -> Any:
        """Sum over modes of c x^i."""
        c, i = leading.as_coeff_exponent(gain.x)
        return c * n.rate**i * moment(int(i))

    L_s, L_n = (late.explicit(constant).doit() for constant in (late.signal, late.noise))
    strength = n.gamma * n.tau1
    U, V = strength * total(gain.U1_small, noise_moment), total(gain.V1_small, signal_moment)
    # Only the elasticities of the sums enter; U~(1) itself stays a symbol, to be solved for.
    along = {n.rate: n.rate} | {s: s * n.rate * sympy.diff(f, n.rate) / f for s, f in ((n.U1, U), (n.V1, V))}
    balance_n, balance_s = (_log_slope(L, along) for L in (L_n, L_s))
    best_n, best_s = (_factor(sympy.solve(balance, n.U1)[0]) for balance in (balance_n, balance_s))
    rate_n, rate_s = (_factor(sympy.solve(U - best, n.rate)[0]) for best in (best_n, best_s))

    def exact(*pairs: tuple[Any, Any]) -> bool:
        return all(sympy.cancel((p - first).subs({g: 1, **at_zero})) == 0 for p, first in pairs)

    all_exact = exact((gain.U1, gain.U1_small), (gain.V1, gain.V1_small))
    U_0, V_0 = U.subs(at_zero), V.subs(at_zero)
    odds = sympy.cancel(best_n / (1 - best_n))  # so that 1 - U~(1) = U/odds at the optimum
    common = sympy.Mul(*(p.as_independent(*p.free_symbols - {n.gamma, n.tau1, n.rate})[1] for p in (U_0, V_0))) / n.rate
    momentum = {}
    for h in hyperparameters:
        dU, dV = (leading_term(p, gain.x) for p in (gain.U1_slopes[h], gain.V1_slopes[h]))
        noise_moves = {n.U1: strength * total(dU, noise_moment)}
        by_noise = _log_slope(L_n, noise_moves)
        by_signal = _log_slope(L_n, {n.V1: total(dV, signal_moment), h: 1}).subs(at_zero).subs(n.V1, V_0)
        best_by_noise = _factor(by_noise.subs(at_zero).subs(n.U1, 1 - U_0 / odds))
        momentum[h] = Momentum(
            noise_slope=by_signal + by_noise.subs(at_zero),
            signal_slope=_log_slope(L_s, noise_moves | {h: 1}).subs(at_zero),
            at_optimum=by_signal + best_by_noise,
            left=sympy.cancel(by_signal * common),
            right=_factor(-best_by_noise * common),
            exact=all_exact and exact((gain.U1_slopes[h], dU), (gain.V1_slopes[h], dV)),
        )
    return LateOptimum(
        gain=gain,
        noise_gain=U,
        signal_sum=V,
        noise_balance=balance_n,
        signal_balance=balance_s,
        noise_phase=best_n,
        signal_phase=best_s,
        noise_rate=rate_n,
        signal_rate=rate_s,
        exact=all_exact,
        momentum=momentum,
    )


def _factor(p: Any) -> Any:
    import sympy

    return sympy.factor(p)


def _log_slope(L: Any, moves: Mapping[Any, Any]) -> Any:
    """Rate of log L as every symbol s moves at the rate moves[s]."""
    import sympy

    log = sympy.expand_log(sympy.log(L))
    return sympy.Add(*(sympy.cancel(sympy.diff(log, s) * rate) for s, rate in moves.items()))
