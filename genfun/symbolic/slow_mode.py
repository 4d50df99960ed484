"""Where lambda -> 0 and z -> 1 together: the leading responses of a method."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

from genfun.symbolic._types import Expr, Symbol
from genfun.symbolic.derivation import Derivation


class Names(NamedTuple):
    """The symbols of this module; all positive. `U1` and `V1` stand for U~(1) and V~(1), `rate` for alpha_eff."""

    alpha: Symbol
    rate: Symbol
    gamma: Symbol
    tau1: Symbol
    lam: Symbol
    p: Symbol
    t: Symbol
    nu: Symbol
    zeta: Symbol
    Lambda: Symbol
    Q: Symbol
    U1: Symbol
    V1: Symbol
    C_U: Symbol
    C_V: Symbol


@functools.cache
def names() -> Names:
    """The symbols, made once."""
    import sympy

    text = "alpha alpha_eff gamma tau_1 lambda p t nu zeta Lambda Q Utilde_1 Vtilde_1 C_U C_V"
    return Names(*sympy.symbols(text, positive=True))


@dataclass(frozen=True)
class SlowMode:
    r"""The responses of a mode where lambda -> 0 and z -> 1 together.

    .. math:: u(\epsilon a, e^{-\epsilon p}) \to \frac{1}{\epsilon}\frac{u_*}{p + 2ra},\qquad
              v(\epsilon a, e^{-\epsilon p}) \to \frac{1}{\epsilon}\frac{v_*}{p + 2ra}

    so that h_t^2 -> u_* exp(-2 r a t) and g_t^2 -> v_* exp(-2 r a t): gradient flow with rate r alpha = alpha_eff.

    Attributes
    ----------
    u, v : expressions in the hyperparameters
        The factors u_* and v_*; for the heavy ball 1/(1-beta)^2 and 1.
    effective : expression in the hyperparameters
        r = alpha_eff/alpha; for the heavy ball 1/(1-beta).
    """

    u: Expr
    v: Expr
    effective: Expr

    @property
    def kick(self) -> Expr:
        """u_*/r^2, so that alpha^2 u_* = alpha_eff^2 * kick; 1 for the heavy ball."""
        import sympy

        return sympy.cancel(self.u / self.effective**2)


def slow_mode(derivation: Derivation) -> SlowMode:
    r"""Expand u and v in epsilon after a -> epsilon a, z -> exp(-epsilon p); the leading coefficients.

    .. math:: S(\epsilon a, e^{-\epsilon p}) = \epsilon c\,(p + 2ra) + O(\epsilon^2),\qquad u_* = n_u(0, 1)/c

    The mode's own noise g a^2 z n_u is of order epsilon^2 and drops out.

    **Assumptions.** One slow mode: S has a simple zero at z = 1 when a = 0.

    Parameters
    ----------
    derivation : Derivation
        Of the method.

    Returns
    -------
    SlowMode

    Raises
    ------
    ValueError
        If the method has no slow mode or several.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> from genfun.symbolic import derive
    >>> slow_mode(derive(SGD))
    SlowMode(u=(beta - 1)**(-2), v=1, effective=-1/(beta - 1))
    """
    import sympy

    p, a, epsilon = names().p, derivation.a, sympy.Dummy("epsilon", positive=True)

    def coefficient(polynomial: Any, order: int) -> Any:
        """Of epsilon^order in the Taylor series, order 0 or 1."""
        scaled = polynomial.subs({a: epsilon * a, derivation.z: sympy.exp(-epsilon * p)})
        return sympy.expand(sympy.diff(scaled, epsilon, order).subs(epsilon, 0))

    zeroth, first = (coefficient(derivation.S, order) for order in (0, 1))
    c = sympy.factor(first.coeff(p))
    if zeroth != 0 or c == 0 or first.coeff(a) == 0:
        raise ValueError(f"the method has no single slow mode: at a = 0, z = 1 its S is {zeroth} + epsilon ({first})")
    u_top, v_top = (coefficient(polynomial, 0) for polynomial in (derivation.n_u, derivation.n_v))
    ratios: list[Any] = [sympy.factor(x / c) for x in (u_top, v_top, first.coeff(a))]
    u, v, twice = ratios
    return SlowMode(u, v, twice / 2)
