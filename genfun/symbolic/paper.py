"""The layout in which papers print these polynomials: by powers of a, then of z."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genfun.symbolic._types import Expr, Symbol
from genfun.symbolic.derivation import Derivation
from genfun.symbolic.form import stable_form


def paper_form(p: Expr, derivation: Derivation) -> Expr:
    r"""Collect in a; the part at a = 0 in powers of z, the others factored, g apart.

    .. math:: S = 1 - z(1+\beta+\beta^2) + z^2\beta(1+\beta+\beta^2) - \beta^3 z^3 + 2a(1+\beta)z(1-\beta z)
              + a^2 z\,[g(1+\beta z) - (1-\beta z)]

    **Assumptions.** A polynomial in a, z and g.

    Parameters
    ----------
    p : sympy expression
        For example `derivation.S`.
    derivation : Derivation
        Gives the symbols.

    Returns
    -------
    sympy expression
        Equal to p; parentheses are kept by `genfun.symbolic._group.Group`.

    References
    ----------
    arXiv 2206.11124, heavy-ball generating functions.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> from genfun.symbolic import derive
    >>> D = derive(SGD)
    >>> paper_form(D.n_v, D)
    2*a*beta*z + beta**3*z**2 - beta*z*(beta + 1) + 1
    """
    import sympy

    from genfun.symbolic._group import group

    a, z, g = derivation.a, derivation.z, derivation.g
    order = (z, *derivation.hyperparameters)
    low, *high = _coefficients(p, a)
    terms = [factored(c, derivation.hyperparameters) * z**i for i, c in enumerate(_coefficients(low, z))]
    for power, coefficient in enumerate(high, start=1):
        without, *others = _coefficients(coefficient, g)
        if not others:
            terms.append(a**power * factored(without, order))
            continue
        common: Any = sympy.gcd_list([without, *others])
        bracket = factored(sympy.cancel(without / common), order)
        for i, other in enumerate(others, start=1):
            bracket = bracket + g**i * factored(sympy.cancel(other / common), order)
        terms.append(a**power * factored(common, order) * group(bracket))
    return sympy.Add(*terms)


def sum_over_modes(summand: Expr, derivation: Derivation) -> tuple[Expr, Expr, Expr]:
    """Split a rational function of a into (factor without a, numerator, denominator); the last two depend on a."""
    import sympy

    a = derivation.a
    top, bottom = sympy.fraction(sympy.factor(summand))
    (top_outside, numerator), (bottom_outside, denominator) = (p.as_independent(a, as_Add=False) for p in (top, bottom))
    at_zero = denominator.subs(dict.fromkeys(denominator.free_symbols, 0))
    sign = -1 if at_zero.is_negative else 1
    outside: Any = sympy.factor(sign * top_outside / bottom_outside)
    return (
        stable_form(outside, derivation.hyperparameters),
        paper_form(numerator, derivation),
        paper_form(sympy.expand(sign * denominator), derivation),
    )


def _coefficients(p: Expr, x: Symbol) -> list[Any]:
    import sympy

    return sympy.Poly(sympy.expand(p), x).all_coeffs()[::-1]


def factored(p: Expr, variables: Sequence[Symbol]) -> Expr:
    """Factored, each factor with a positive constant term where it has one."""
    import sympy

    from genfun.symbolic._group import group, ungroup

    if not p.free_symbols & set(variables):
        return p
    factorisation: Any = sympy.factor_list(p, *variables)
    product, factors = factorisation
    for factor, power in factors:
        sign = -1 if factor.subs(dict.fromkeys(variables, 0)).is_negative else 1
        factor = sympy.expand(sign * factor)
        product = product * sign**power * group(factor) ** power
    return ungroup(product)
