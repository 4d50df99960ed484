"""From the update matrix of a method to its impulse responses, exactly."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

from genfun.symbolic._types import Expr, Matrix, Symbol


@dataclass(frozen=True)
class Derivation:
    r"""What sympy derives from `update` for one mode of eigenvalue lambda.

    With X = E[x x^T] the second moments of the state of a mode and w its first component,

    .. math::

        X' = T X T^\top - g a^2 X_{ww}\, k k^\top + \dots,\qquad
        S = d + g a^2 z\, n_u,\qquad u = n_u/S,\qquad v = n_v/S

    where the dots are the noise from the other modes, and u_0 = n_u/d, v_0 = n_v/d are the generating functions of the
    squared impulse responses without noise.

    **Assumptions.** Spectrally expressible noise; the entries of `update` are rational in a and the hyperparameters.

    Attributes
    ----------
    a, z, q, g : symbols
        a = learning rate * eigenvalue, z, q = 1 - z, g = gamma tau2; dimensionless.
    hyperparameters : tuple of symbols
        Named as in the signature of `update`.
    T, kick : matrices, (m, m) and (m, 1)
        One step of the mode.
    A : matrix, (M, M), M = m(m+1)/2
        Acts on X_ij, i <= j, in lexicographic order; for SGD (c, j, p).
    d, n_u, n_v : polynomials in z
        Without a common factor, with d = 1 at z = 0.
    stable : tuple of three expressions
        (d, n_u, n_v) in a, q, z = 1 - q and the hyperparameters, arranged for evaluation near z = 1 and a = 0.

    References
    ----------
    arXiv 2206.11124, theorem 1; Sherman-Morrison for the term in g.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> derivation = derive(SGD)
    >>> derivation.u.subs({derivation.z: 1, derivation.g: 0}).factor()
    (beta + 1)/(a*(beta - 1)*(a - 2*beta - 2))
    """

    a: Symbol
    z: Symbol
    q: Symbol
    g: Symbol
    hyperparameters: tuple[Symbol, ...]
    T: Matrix
    kick: Matrix
    A: Matrix
    d: Expr
    n_u: Expr
    n_v: Expr
    stable: tuple[Expr, Expr, Expr]

    @property
    def S(self) -> Expr:
        """The denominator d + g a^2 z n_u; equal to det(1 - zA) up to factors that u and v do not share."""
        return self.d + self.g * self.a**2 * self.z * self.n_u

    @property
    def u(self) -> Expr:
        """Response of E[w^2] to a unit noise kick; U~(z) = gamma tau1 sum_k a_k^2 u(a_k, z)."""
        return self.n_u / self.S

    @property
    def v(self) -> Expr:
        """Response of E[w^2] to a unit initial error; V~(z) = sum_k s_k v(a_k, z)."""
        return self.n_v / self.S

    @property
    def U1(self) -> Expr:
        """Summand of the noise gain; U~(1) = gamma tau1 sum_k U1(a_k)."""
        import sympy

        return sympy.cancel((self.a**2 * self.u).subs(self.z, 1))

    @property
    def V1(self) -> Expr:
        """Summand of V~(1) = sum_k s_k V1(a_k)."""
        import sympy

        return sympy.cancel(self.v.subs(self.z, 1))

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.hyperparameters))
        return f"Derivation(hyperparameters=({names}), d={self.d}, n_u={self.n_u}, n_v={self.n_v})"


@functools.cache
def derive(method: type[Any]) -> Derivation:
    r"""Derive the update matrix of the second moments and the responses u, v of a method.

    .. math:: u_0 = e_{ww}^\top (1 - zA_0)^{-1} \mathrm{vec}(kk^\top),\qquad
              v_0 = e_{ww}^\top (1 - zA_0)^{-1} \mathrm{vec}(e_w e_w^\top)

    with A_0 = A at g = 0, the symmetric square of T. Numerators and denominator come from Cramer's rule, which needs
    only determinants of polynomial matrices.

    **Assumptions.** As for `Derivation`.

    Parameters
    ----------
    method : class
        With a static `update(a, *hyperparameters)` in plain arithmetic (see `genfun.methods.base.Method`).

    Returns
    -------
    Derivation
        Cached: one derivation a class.

    Raises
    ------
    TypeError
        If `method` is not a class with such an `update`.
    ValueError
        If the shapes of T and k disagree or a hyperparameter is named a, z, q or g.

    References
    ----------
    arXiv 2206.11124, theorem 1 and appendix on the generating functions.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> derive(SGD).n_u
    beta*z + 1
    """
    import sympy

    hyperparameters = symbols_of(method)
    a, z, q, g = sympy.symbols("a z q g")
    T, k = update_matrices(method, a, hyperparameters)
    A_0 = symmetric_square(T)
    source_u = symmetric_vector(k)
    source_v = sympy.ImmutableMatrix([1] + [0] * (A_0.rows - 1))
    d, n_u, n_v = cramer(A_0, z, (source_u, source_v))
    variables = (a, q, *hyperparameters)
    d_, n_u_, n_v_ = (_stable(p, z, q, variables) for p in (d, n_u, n_v))
    A = sympy.ImmutableMatrix(A_0 - g * a**2 * source_u * source_v.T)
    return Derivation(a, z, q, g, hyperparameters, T, k, A, d, n_u, n_v, (d_, n_u_, n_v_))


def symbols_of(method: type[Any]) -> tuple[Symbol, ...]:
    """The hyperparameters of a class as symbols; refuses what is no class with an `update`."""
    import sympy

    if not isinstance(method, type) or not callable(getattr(method, "update", None)):
        raise TypeError(f"method must be a class with a static update(a, *hyperparameters), got {method!r}")
    return tuple(sympy.Symbol(name) for name in hyperparameter_names(method))


def update_matrices(method: type[Any], a: Symbol, hyperparameters: Sequence[Symbol]) -> tuple[Matrix, Matrix]:
    """T and the kick in symbols; refuses shapes that disagree."""
    import sympy

    rows, kick = method.update(a, *hyperparameters)
    T = sympy.ImmutableMatrix([list(row) for row in rows])
    k = sympy.ImmutableMatrix(list(kick))
    m = T.rows
    if T.shape != (m, m) or k.shape != (m, 1):
        raise ValueError(
            f"{method.__name__}.update must return m rows of m entries and m kicks, got T {T.shape}, k {k.shape}; "
            "make both match the state"
        )
    return T, k


def hyperparameter_names(method: type[Any]) -> tuple[str, ...]:
    """Names of the parameters of `update` after a."""
    parameters = list(inspect.signature(method.update).parameters.values())
    if not parameters or any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters):
        raise TypeError(f"{method.__name__}.update must take a and named hyperparameters; write them out one by one")
    names = tuple(p.name for p in parameters[1:])
    taken = {"a", "z", "q", "g"} & set(names)
    if taken:
        raise ValueError(f"{method.__name__}.update names a hyperparameter {sorted(taken)[0]!r}; choose another name")
    return names


def symmetric_square(T: Matrix) -> Matrix:
    """Matrix of X -> T X T^T on the entries X_ij, i <= j, in lexicographic order."""
    import sympy

    rows: Any = T.tolist()
    pairs = list(combinations_with_replacement(range(T.rows), 2))

    def entry(i: int, j: int, r: int, s: int) -> Any:
        if r == s:
            return rows[i][r] * rows[j][r]
        return rows[i][r] * rows[j][s] + rows[i][s] * rows[j][r]

    return sympy.ImmutableMatrix([[entry(i, j, r, s) for r, s in pairs] for i, j in pairs])


def symmetric_vector(k: Matrix) -> Matrix:
    """Entries of k k^T, i <= j, in the order of `symmetric_square`."""
    import sympy

    entries: Any = k.flat()
    return sympy.ImmutableMatrix([x * y for x, y in combinations_with_replacement(entries, 2)])


def cramer(matrix: Matrix, z: Symbol, sources: Sequence[Matrix]) -> list[Expr]:
    """d, and n for each source, with n/d the first component of (1 - z matrix)^-1 source, without a common factor."""
    import sympy

    resolvent = sympy.eye(matrix.rows) - z * matrix
    numerators = (_determinant(_first_column(resolvent, source)) for source in sources)
    return _reduced([_determinant(resolvent), *numerators], z)


def _first_column(matrix: Matrix, column: Matrix) -> Matrix:
    return column.row_join(matrix[:, 1:])


def _determinant(matrix: Matrix) -> Expr:
    from sympy.polys.matrices import DomainMatrix

    domain = DomainMatrix.from_Matrix(matrix).to_field()
    return domain.domain.to_sympy(domain.charpoly()[-1]) * (-1) ** matrix.rows


def _reduced(polynomials: Sequence[Expr], z: Symbol) -> list[Expr]:
    """The polynomials without their greatest common divisor, the first with value 1 at z = 0, factored."""
    import sympy

    common = sympy.gcd_list([sympy.numer(sympy.together(p)) for p in polynomials])
    reduced: list[Any] = [sympy.cancel(p / common) for p in polynomials]
    scale = reduced[0].subs(z, 0)
    return [_factored(sympy.cancel(p / scale)) for p in reduced]


def _factored(p: Expr) -> Expr:
    """Its factors, from the same draws every time: sympy tries random points, some of which take much longer."""
    import sympy
    from sympy.core import random

    before = random.rng.getstate()
    random.seed(0)
    try:
        found: Any = sympy.factor(p)
        return found
    finally:
        random.rng.setstate(before)


def _stable(p: Expr, z: Symbol, q: Symbol, variables: Sequence[Symbol]) -> Expr:
    from genfun.symbolic.form import stable_form

    return stable_form(p.subs(z, 1 - q), variables, {1 - q: z})
