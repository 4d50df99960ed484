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
    numerator, denominator = sympy.fraction(sympy.cancel(sympy.together(expression)))
    top = _arrange(numerator, variables, names)
    if denominator == 1:
        return top
    return group(top) / group(_arrange(denominator, variables, names))


def _arrange(p: Expr, variables: Sequence[Symbol], names: Mapping[Expr, Symbol]) -> Expr:
    import sympy

    from genfun.symbolic._group import group, ungroup

    p = sympy.expand(p)
    if not p.free_symbols & set(variables):
        return p
    factorisation: Any = sympy.factor_list(p, *variables)
    product, factors = factorisation
    for factor, power in factors:
        # The sign is free: prefer 1 - beta to beta - 1.
        constant = factor.subs(dict.fromkeys(variables, 0))
        if constant.is_negative:
            factor, product = -factor, product * (-1) ** power
        product = product * group(_split(sympy.expand(factor), variables, names)) ** power
    return ungroup(product)


def _split(p: Expr, variables: Sequence[Symbol], names: Mapping[Expr, Symbol]) -> Expr:
    import sympy

    from genfun.symbolic._group import group

    if p in names:
        return names[p]
    x = next((variable for variable in variables if variable in p.free_symbols), None)
    if x is None or p == x:
        return p
    low = sympy.expand(p.subs(x, 0))
    rest = x * _arrange(sympy.expand((p - low) / x), variables, names)
    return rest if low == 0 else group(_arrange(low, variables, names)) + rest
