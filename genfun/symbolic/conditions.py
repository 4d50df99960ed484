"""Stability of the mean of a method, as inequalities on one mode."""

from __future__ import annotations

from typing import Any, cast

from genfun.symbolic._types import Expr, Matrix, Symbol
from genfun.symbolic.derivation import Derivation
from genfun.symbolic.form import stable_form


def stability_conditions(derivation: Derivation) -> tuple[Expr, ...]:
    r"""Expressions that are all positive exactly where every eigenvalue of T lies inside the unit circle.

    .. math:: x = \frac{1+s}{1-s}:\quad |x| < 1 \iff \operatorname{Re} s < 0,\qquad
              (1-s)^m \det(x - T) = \sum_i c_i s^{m-i}

    with c_0 > 0, c_m > 0 and the Hurwitz determinants of order 1 to m - 1 positive.

    **Assumptions.** Real a and hyperparameters. Without noise; mini-batch noise adds the one condition U~(1) < 1.

    Parameters
    ----------
    derivation : Derivation
        Of the method.

    Returns
    -------
    tuple of expressions
        In a and the hyperparameters; for SGD a, 2(1 + beta) - a and 1 - beta, up to order.

    References
    ----------
    Hurwitz criterion; for heavy ball arXiv 2206.11124, proposition on the stability of mean dynamics.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> from genfun.symbolic import derive
    >>> stability_conditions(derive(SGD))
    (-a + 2*(beta + 1), 1 - beta, a)
    """
    import sympy

    s = sympy.Dummy("s")
    m = derivation.T.rows
    polynomial = sympy.expand(sympy.cancel((1 - s) ** m * _characteristic(derivation.T, s).subs(s, (1 + s) / (1 - s))))
    c = [polynomial.coeff(s, m - i) for i in range(m + 1)]
    hurwitz = sympy.Matrix(m, m, lambda i, j: c[2 * (j + 1) - (i + 1)] if 0 <= 2 * (j + 1) - (i + 1) <= m else 0)
    minors = [cast(Any, hurwitz[:i, :i]).det() for i in range(1, m)]
    variables = (derivation.a, *derivation.hyperparameters)
    found = (_without_positive_content(stable_form(p, variables)) for p in [c[0], *minors, c[m]])
    return tuple(dict.fromkeys(p for p in found if not p.is_positive))


def _characteristic(T: Matrix, x: Symbol) -> Expr:
    import sympy

    return cast(Any, sympy.eye(T.rows) * x - T).det()


def _without_positive_content(p: Expr) -> Expr:
    """2 (1 - beta) > 0 and 1 - beta > 0 say the same."""
    from genfun.symbolic._group import ungroup

    number, rest = p.as_coeff_Mul()
    return ungroup(rest) if number.is_positive else p
