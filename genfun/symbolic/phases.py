"""Late times from the derived responses: Watson's lemma over power laws, and the renewal argument."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from genfun.symbolic._types import Expr, Symbol
from genfun.symbolic.arrays import array_function
from genfun.symbolic.derivation import Derivation, derive
from genfun.symbolic.slow_mode import SlowMode, names, slow_mode


class Tail(NamedTuple):
    """constant * t^-exponent, from the integral of density * exp(-2 alpha_eff lambda t) over lambda."""

    constant: Any
    exponent: Any
    density: Any


def watson(density: Any) -> Tail:
    r"""Late-time form of the Laplace transform of a power-law density of eigenvalues.

    .. math:: \int_0^\infty c\,\lambda^{m-1} e^{-2\alpha_{eff}\lambda t}\,d\lambda
              = c\,\Gamma(m)\,(2\alpha_{eff} t)^{-m}

    Sympy does the integral. What it cannot do is pass from the sum over modes to it: by Karamata's Abelian theorem
    the transform of a measure is asymptotically that of its cumulative distribution near lambda = 0, which for
    lambda_k = Lambda k^-nu and for sum_{j>=k} s_j = Q lambda_k^zeta is a power of lambda up to a factor 1 + O(1/k).

    **Assumptions.** The density is c lambda^(m-1) with m > 0.

    Parameters
    ----------
    density : expression
        In `names().lam`.

    Returns
    -------
    Tail
        With exponent m.

    Examples
    --------
    >>> n = names()
    >>> watson(n.Q * n.lam**2)[:2]
    (2*Q/(2*alpha_eff)**3, 3)
    """
    import sympy

    from genfun.symbolic._group import Group

    n = names()
    m, decay = sympy.symbols("m decay", positive=True, cls=sympy.Dummy)
    exponent = sympy.expand(1 + n.lam * sympy.diff(sympy.expand_log(sympy.log(density)), n.lam))
    c = sympy.powsimp(density / n.lam ** (exponent - 1))
    integral: Any = sympy.integrate(n.lam ** (m - 1) * sympy.exp(-decay * n.lam * n.t), (n.lam, 0, sympy.oo))
    constant = sympy.powsimp(sympy.expand_power_base(integral) * n.t**m)
    power = constant.subs({decay: Group(2 * n.rate), m: exponent})
    return Tail(min(sympy.gammasimp(c * power), c * power, key=sympy.count_ops), exponent, density)


@dataclass(frozen=True)
class Asymptotics:
    r"""The loss at late times under power laws, derived.

    .. math:: L(t) \to L_s(t) + L_n(t),\qquad
              L_s = \frac{C_V t^{-\zeta}}{2(1-\tilde U(1))},\qquad
              L_n = \frac{\tilde V(1)\,C_U\,t^{1/\nu-2}}{2(1-\tilde U(1))^2}

    **Assumptions.** nu > 1, zeta > 0, U~(1) < 1; L_n needs zeta > 1, else V~(1) is infinite and L_s alone leads.

    The renewal argument: with z = e^-p and no label noise, L~ = V~/(2(1 - z U~)). A tail C t^-m adds the singular part
    C Gamma(1-m) p^(m-1) to its generating function at p = 0 (sympy: the Laplace transform for m < 1; beyond, its
    analytic continuation, since what the continuation leaves out is analytic at p = 0 and has no tail; at whole m a
    factor log p takes the place of the pole of Gamma and the coefficient of t^-m is the limit). To first order the
    singular part of L~ is linear in those of U~ and V~, and goes back to powers of t term by term. That no other point
    of the unit circle contributes and that the higher orders are smaller is the theorem of Chover, Ney and Wainger
    (J. Anal. Math. 26, 1973) on subexponential sequences; sympy has no part in it.

    Attributes
    ----------
    derivation : Derivation
        Of the method.
    slow : SlowMode
        Leading responses.
    kernel, decay : Tail
        U_t -> C_U t^(1/nu-2) and V_t -> C_V t^-zeta: the constants C_U, C_V, exponents and densities.
    kernel_singular, decay_singular : expressions
        Singular parts of U~(e^-p) and V~(e^-p), in C_U and C_V.
    signal, noise : expressions
        L_s(t) t^zeta and L_n(t) t^(2-1/nu), in C_U, C_V, U~(1) and V~(1).
    boundary : expression
        zeta where both fall equally fast; signal-dominated below.
    transition : expression
        The step t at which L_s = L_n.
    growth : expression
        p_*, where the singular part of U~ is 1, for 1/2 < nu < 1 and small gamma: eventually L ~ exp(p_* t).

    References
    ----------
    arXiv 2206.11124, section 5.
    """

    derivation: Derivation
    slow: SlowMode
    kernel: Tail
    decay: Tail
    kernel_singular: Any
    decay_singular: Any
    signal: Any
    noise: Any
    boundary: Any
    transition: Any
    growth: Any

    def explicit(self, expression: Any) -> Any:
        """Put the constants for C_U and C_V.

        Parameters
        ----------
        expression : expression
            One of the attributes, or made of them.
        """
        n = names()
        return expression.subs({n.C_U: self.kernel.constant, n.C_V: self.decay.constant})


@functools.cache
def asymptotics(method: type[Any]) -> Asymptotics:
    """Derive the late-time loss of a method under power laws.

    **Assumptions.** As for `Asymptotics`; one slow mode.

    Parameters
    ----------
    method : class
        With a static `update(a, *hyperparameters)`, for example `SGD`.

    Returns
    -------
    Asymptotics
        Cached: one derivation a class.

    Raises
    ------
    ValueError
        If the method has no slow mode or several.

    References
    ----------
    arXiv 2206.11124, section 5.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> late = asymptotics(SGD)
    >>> late.decay.constant
    Q*gamma(zeta + 1)/(2*alpha_eff)**zeta
    >>> late.boundary
    2 - 1/nu
    """
    import sympy

    from genfun.symbolic._group import group

    n, D = names(), derive(method)
    slow = slow_mode(D)
    modes_above = (n.lam / n.Lambda) ** (-1 / n.nu)
    capacity = sympy.powsimp(sympy.expand_power_base(-(n.lam**2) * sympy.diff(modes_above, n.lam)))
    kernel = watson(n.gamma * n.tau1 * slow.kick * n.rate**2 * capacity)
    decay = watson(slow.v * sympy.diff(n.Q * n.lam**n.zeta, n.lam))

    m, order, du, dv, rest, x, power = sympy.symbols("m order du dv rest x power", positive=True, cls=sympy.Dummy)
    transform: Any = sympy.laplace_transform(n.t**-m, n.t, n.p, noconds=True)
    back: Any = sympy.inverse_laplace_transform(n.p ** (m - 1), n.p, n.t)
    gamma_power = sympy.powsimp(transform)
    singular = {tail: C * gamma_power.subs(m, tail.exponent) for tail, C in ((kernel, n.C_U), (decay, n.C_V))}
    L = (n.V1 + order * dv) / (2 * (rest - order * du))  # rest = 1 - U~(1)
    first = sympy.expand(sympy.diff(L, order).subs(order, 0))

    def tail_of_L(tail: Tail, source: Any) -> Any:
        """Coefficient of t^-exponent in L(t), from the singular part of U~ or V~."""
        part = first.coeff(source) * singular[tail] / n.p ** (tail.exponent - 1)
        return sympy.powsimp(part * (back * n.t**m).subs(m, tail.exponent))

    signal, noise = tail_of_L(decay, dv), tail_of_L(kernel, du)
    gap = sympy.expand(decay.exponent - kernel.exponent)
    crossing: Any = sympy.solve(x * n.t**-power - 1, n.t)[0]
    root: Any = sympy.solve(x * n.p**-power - 1, n.p)[0]
    fall = sympy.expand(1 - kernel.exponent)
    return Asymptotics(
        derivation=D,
        slow=slow,
        kernel=kernel,
        decay=decay,
        kernel_singular=singular[kernel],
        decay_singular=singular[decay],
        signal=signal.subs(rest, group(1 - n.U1)),
        noise=noise.subs(rest, group(1 - n.U1)),
        boundary=sympy.expand(sympy.solve(gap, n.zeta)[0]),
        transition=crossing.subs({x: (signal / noise).subs(rest, group(1 - n.U1)), power: gap}),
        growth=root.subs({x: sympy.powsimp(singular[kernel] * n.p**fall), power: fall}),
    )


def phase_constants(method: type[Any]) -> Callable[..., tuple[Any, Any]]:
    r"""The constants of both phases as a function of arrays.

    .. math:: L_s(t) = \text{signal}\cdot t^{-\zeta},\qquad L_n(t) = \text{noise}\cdot t^{1/\nu-2}

    **Assumptions.** As for `Asymptotics`.

    Parameters
    ----------
    method : class
        With a static `update(a, *hyperparameters)`, for example `SGD`.

    Returns
    -------
    callable
        (nu, zeta, Lambda, Q, gamma_tau1, alpha, noise_gain, signal_sum, \*hyperparameters) -> (signal, noise), arrays
        that broadcast; gamma_tau1 = gamma tau1, noise_gain = U~(1), signal_sum = V~(1).

    References
    ----------
    arXiv 2206.11124, section 5.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> signal, noise = phase_constants(SGD)(2.0, 1.0, 1.0, 1.0, 1.0, 0.25, 0.5, 1.0, 0.5)
    >>> float(signal), round(float(noise), 6)
    (1.0, 0.221557)
    """
    late, n = asymptotics(method), names()
    effective = {n.rate: n.alpha * late.slow.effective, n.tau1: 1}
    return gamma_array_function(
        [late.explicit(expression).doit().subs(effective) for expression in (late.signal, late.noise)],
        [n.nu, n.zeta, n.Lambda, n.Q, n.gamma, n.alpha, n.U1, n.V1, *late.derivation.hyperparameters],
    )


def gamma_array_function(expressions: Sequence[Expr], arguments: Sequence[Symbol]) -> Callable[..., tuple[Any, ...]]:
    """`array_function` for expressions that hold the gamma function, which NumPy lacks.

    Parameters
    ----------
    expressions : sequence of sympy expressions
        What to evaluate.
    arguments : sequence of symbols
        The arguments of the function, in order.
    """
    import sympy
    from scipy import special

    gammas: list[Any] = sorted({g for expression in expressions for g in expression.atoms(sympy.gamma)}, key=str)
    values = sympy.symbols(f"Gamma:{len(gammas)}", cls=sympy.Dummy)
    inner = array_function([g.args[0] for g in gammas], arguments)
    outer = array_function(
        [expression.subs(dict(zip(gammas, values, strict=True))) for expression in expressions], [*arguments, *values]
    )
    return lambda *numbers: outer(*numbers, *(special.gamma(x) for x in inner(*numbers)))
