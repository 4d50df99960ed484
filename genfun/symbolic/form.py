"""Arrange a polynomial so that it can be evaluated without avoidable cancellation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genfun.symbolic._types import Expr, Symbol


def stable_form(expression: Expr, variables: Sequence[Symbol], shorthand: Mapping[Expr, Symbol] | None = None) -> Expr:
    r"""Factored Horner form: factor, split each factor at its smallest variable, repeat on both parts.

    .. math:: P = c \prod_i P_i^{e_i},\qquad P_i = P_i|_{x=0} + x\, R_i

    Each irreducible factor becomes a sum of exactly two terms, and both terms are arranged in turn. A polynomial that
    vanishes with x then keeps the factor x explicitly, so its relative accuracy survives x -> 0; a factor common to
    several powers, such as 2(1+beta) - a, is evaluated once and keeps its accuracy where it vanishes.

    **Assumptions.** Rational in the variables. The parentheses are kept by `genfun.symbolic._group.Group`,
    so that neither sympy nor its common-subexpression pass regroups the sums; `.doit()` removes them.

    Parameters
    ----------
    expression : sympy expression
        The polynomial (or rational function) to arrange.
    variables : sequence of symbols
        In the order of the splitting: the quantities that become small first.
    shorthand : mapping, optional
        Factors with a name of their own, e.g. {1 - q: z}.

    Returns
    -------
    sympy expression
        Equal to `expression`.

    Examples
    --------
    >>> import sympy
    >>> a, q, b = sympy.symbols("a q b")
    >>> stable_form(sympy.expand(q * (1 - b**2) + 3 * a * q - a * b * q), (a, q, b))
    q*(a*(3 - b) + (1 - b)*(b + 1))
    """
    import sympy

    from genfun.symbolic._group import group

    names = {} if shorthand is None else {sympy.expand(key): name for key, name in shorthand.items()}
    others = sorted(expression.free_symbols - set(variables), key=str)
    numerator, denominator = (
        _arrange(_ring_element(part, [*variables, *others]), names)
        for part in sympy.fraction(sympy.cancel(sympy.together(expression)))
    )
    return numerator if denominator == 1 else group(numerator) / group(denominator)


def _ring_element(p: Expr, variables: Sequence[Any]) -> Any:
    """Sparse polynomial: factoring and splitting it is many times faster than with expressions."""
    import sympy
    from sympy.polys.rings import PolyRing

    if not variables:
        variables = [sympy.Dummy()]
    polynomial: Any = sympy.Poly(p, *variables)
    return PolyRing(variables, polynomial.domain).from_dict(polynomial.as_dict(native=True))


def _arrange(p: Any, names: Mapping[Expr, Symbol]) -> Expr:
    from genfun.symbolic._group import group, ungroup

    if p.is_ground:
        return p.as_expr()
    content, factors = p.factor_list()
    product = p.ring.domain.to_sympy(content)
    for factor, power in factors:
        # The sign is free: prefer 1 - beta to beta - 1.
        if p.ring.domain.to_sympy(factor.coeff(1)).is_negative:
            factor, product = -factor, product * (-1) ** power
        product = product * group(_split(factor, names)) ** power
    return ungroup(product)


def _split(p: Any, names: Mapping[Expr, Symbol]) -> Expr:
    """Two terms: p at x = 0, and x times the rest."""
    from genfun.symbolic._group import group

    expression = p.as_expr()
    if expression in names:
        return names[expression]
    if expression.is_Symbol:
        return expression
    # p is irreducible, so that it is not zero at x = 0.
    i = next(i for i, degree in enumerate(p.degrees()) if degree > 0)
    low = p.ring.from_dict({monomial: c for monomial, c in p.items() if monomial[i] == 0})
    rest = p.ring.from_dict(
        {(*monomial[:i], monomial[i] - 1, *monomial[i + 1 :]): c for monomial, c in p.items() if monomial[i] > 0}
    )
    return group(_arrange(low, names)) + p.ring.symbols[i] * _arrange(rest, names)
