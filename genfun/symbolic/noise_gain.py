"""The noise gain U~(1) and the signal sum V~(1) in the effective learning rate, and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genfun.symbolic._types import Expr, Symbol
from genfun.symbolic.derivation import Derivation
from genfun.symbolic.slow_mode import SlowMode


@dataclass(frozen=True)
class NoiseGain:
    r"""U~(1) and V~(1) at a given effective learning rate, mode by mode.

    .. math:: \tilde U(1) = \gamma\tau_1\sum_k U_1(\alpha_{eff}\lambda_k),\qquad
              \tilde V(1) = \sum_k s_k V_1(\alpha_{eff}\lambda_k)

    **Assumptions.** One slow mode, so that alpha_eff is defined.

    Attributes
    ----------
    x : symbol
        alpha_eff lambda.
    U1, V1 : expressions in x, g and the hyperparameters
        The summands; for the heavy ball U1 = x/(2 - x [(1-beta)/(1+beta) - g]).
    U1_small, V1_small : expressions
        Leading terms as x -> 0; for the heavy ball x/2 and 1/(2x).
    U1_limits : mapping of hyperparameter to expression
        U1 where that hyperparameter goes to 1 at fixed x, if alpha_eff/alpha then goes to infinity; for the heavy ball
        x/(2 + g x).
    U1_slopes, V1_slopes : mappings of hyperparameter to expression
        Derivatives at fixed x where all hyperparameters are 0.

    References
    ----------
    arXiv 2206.11124, section 4.
    """

    x: Symbol
    U1: Expr
    V1: Expr
    U1_small: Any
    V1_small: Any
    U1_limits: Mapping[Symbol, Any]
    U1_slopes: Mapping[Symbol, Any]
    V1_slopes: Mapping[Symbol, Any]


def noise_gain(derivation: Derivation, slow: SlowMode) -> NoiseGain:
    """Write U~(1) and V~(1) in alpha_eff and take their limits.

    **Assumptions.** As for `NoiseGain`.

    Parameters
    ----------
    derivation : Derivation
        Of the method.
    slow : SlowMode
        Its slow mode.

    Returns
    -------
    NoiseGain

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> from genfun.symbolic import derive
    >>> from genfun.symbolic.slow_mode import slow_mode
    >>> gain = noise_gain(derive(SGD), slow_mode(derive(SGD)))
    >>> gain.U1_small, gain.V1_small, *gain.U1_limits.values()
    (x/2, 1/(2*x), x/(g*x + 2))
    """
    import sympy

    x = sympy.Symbol("x", positive=True)
    at_x: Any = {derivation.a: x / slow.effective}
    U1, V1 = (sympy.cancel(p.subs(at_x)) for p in (derivation.U1, derivation.V1))
    hyperparameters = derivation.hyperparameters
    runaway = [h for h in hyperparameters if sympy.cancel(1 / slow.effective).subs(h, 1) == 0]
    at_zero: Any = dict.fromkeys(hyperparameters, 0)

    def slopes(p: Any) -> dict[Symbol, Any]:
        return {h: sympy.factor(sympy.cancel(sympy.diff(p, h).subs(at_zero))) for h in hyperparameters}

    return NoiseGain(
        x=x,
        U1=U1,
        V1=V1,
        U1_small=leading_term(U1, x),
        V1_small=leading_term(V1, x),
        U1_limits={h: sympy.cancel(U1.subs(h, 1)) for h in runaway},
        U1_slopes=slopes(U1),
        V1_slopes=slopes(V1),
    )


def leading_term(p: Any, x: Symbol) -> Any:
    """c x^i as x -> 0."""
    import sympy

    return p if p == 0 else sympy.factor(p.as_leading_term(x))
