"""The one seam from expressions to functions of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun.methods.base import Method
from genfun.symbolic._types import Expr, Symbol


@runtime_checkable
class Responses(Protocol):
    """(a, q, *hyperparameters) -> (d, n_u, n_v), arrays that broadcast against each other; u_0 = n_u/d, v_0 = n_v/d."""

    def __call__(self, a: Any, q: Any, /, *hyperparameters: Any) -> tuple[Any, Any, Any]:
        """(d, n_u, n_v)."""
        ...


def array_function(expressions: Sequence[Expr], arguments: Sequence[Symbol]) -> Callable[..., tuple[Any, ...]]:
    """Function of arrays that evaluates several expressions with their common parts shared.

    **Assumptions.** Arithmetic and NumPy functions only. Parentheses kept by `genfun.symbolic._group.Group` are
    evaluated as they stand.

    Parameters
    ----------
    expressions : sequence of sympy expressions
        What to evaluate.
    arguments : sequence of symbols
        The arguments of the function, in order; every free symbol of the expressions.

    Returns
    -------
    callable
        Takes one number or array (real or complex) an argument and returns a tuple with one array an expression, all
        of the common shape of the arguments, also where an expression is constant. Scalars give scalars. Results may
        be read-only views.

    Raises
    ------
    ValueError
        If an expression has a symbol that is not an argument.

    Examples
    --------
    >>> import sympy
    >>> x, y = sympy.symbols("x y")
    >>> f = array_function([x * y, sympy.Integer(1)], [x, y])
    >>> f(2.0, np.array([1.0, 1j]))
    (array([2.+0.j, 0.+2.j]), array([1.+0.j, 1.+0.j]))
    """
    import sympy

    expressions = [sympy.sympify(expression) for expression in expressions]
    free = {symbol for expression in expressions for symbol in expression.free_symbols} - set(arguments)
    if free:
        raise ValueError(
            f"arguments must hold every free symbol, {sorted(map(str, free))} missing from {list(arguments)}"
        )
    evaluate = sympy.lambdify(list(arguments), expressions, modules="numpy", cse=True)

    def function(*values: Any) -> tuple[Any, ...]:
        shape = np.broadcast_shapes(*(np.shape(value) for value in values))
        dtype = np.result_type(np.float64, *(np.asarray(value).dtype for value in values))
        return tuple(np.broadcast_to(np.asarray(result, dtype), shape)[()] for result in evaluate(*values))

    return function


def responses(method: Method | type[Any]) -> Responses:
    r"""The squared impulse responses of a method as a function of arrays.

    .. math:: u_0 = n_u/d,\qquad v_0 = n_v/d,\qquad
              u = n_u/(d + g a^2 z n_u),\qquad v = n_v/(d + g a^2 z n_u),\qquad z = 1 - q

    **Assumptions.** As for `genfun.symbolic.derivation.Derivation`.

    Parameters
    ----------
    method : instance or class
        Its class may carry `responses` ready-made; otherwise they are derived from `update` on first use.

    Returns
    -------
    callable
        (a, q, \*hyperparameters) -> (d, n_u, n_v), with a = learning rate * eigenvalue and q = 1 - z, so that nothing
        is lost near z = 1 and a = 0. The three broadcast against each other and to the shape of the arguments.

    Raises
    ------
    TypeError
        If the class has neither `responses` nor `update`.

    References
    ----------
    arXiv 2206.11124, theorem 1.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> [float(x) for x in responses(SGD)(0.5, 0.0, 0.0)]
    [0.75, 1.0, 1.0]
    """
    return _responses_of_class(method if isinstance(method, type) else type(method))


@functools.cache
def _responses_of_class(method: type[Any]) -> Responses:
    ready: Any = getattr(method, "responses", None)
    if ready is not None:
        return ready
    from genfun.symbolic._group import group
    from genfun.symbolic.derivation import derive

    derivation = derive(method)
    z = group(1 - derivation.q)
    expressions: list[Any] = [expression.subs(derivation.z, z) for expression in derivation.stable]
    evaluate = array_function(expressions, (derivation.a, derivation.q, *derivation.hyperparameters))

    def derived(a: Any, q: Any, /, *hyperparameters: Any) -> tuple[Any, Any, Any]:
        d, n_u, n_v = evaluate(a, q, *hyperparameters)
        return d, n_u, n_v

    return derived
