"""The responses of pairs of modes, exactly: what the noise of data itself asks of a method."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from genfun.symbolic._equation import Section, equal
from genfun.symbolic._types import Expr, Symbol
from genfun.symbolic.derivation import cramer, symbols_of, update_matrices


@dataclass(frozen=True)
class PairDerivation:
    r"""What sympy derives from `update` for two modes of eigenvalues lambda_j and lambda_k.

    With h_t(lambda) the response of w to a unit kick and g_t(lambda) that to a unit initial error,

    .. math:: u^0_{jk} = \sum_t h_t(\lambda_j) h_t(\lambda_k) z^t = n_u/d,\qquad
              v^0_{jk} = \sum_t g_t(\lambda_j) g_t(\lambda_k) z^t = n_v/d,

    .. math:: S_{jk} = d + g\, a_j a_k z\, n_u,\qquad u_{jk} = n_u/S_{jk},\qquad v_{jk} = n_v/S_{jk}

    where g = gamma: data spare a pair its own noise as tau2 = 1 spares a mode. For the heavy ball

    .. math:: S_{jk} = (1-\beta z)^2[q(1-\beta^2 z) + z((1+\beta)(a_j+a_k) - a_j a_k)] + \beta z^2(a_j-a_k)^2
              + \gamma a_j a_k z\,(1-\beta^2z^2),\qquad u_{jk} = (1-\beta^2z^2)/S_{jk}

    **Assumptions.** The entries of `update` are rational in a and the hyperparameters. The start is w alone, and all
    kicks are alike: dampening's first step and the pull of weight decay are no part of it.

    Attributes
    ----------
    a_j, a_k, z, g : symbols
        a = learning rate * eigenvalue, z, g = gamma; dimensionless.
    hyperparameters : tuple of symbols
        Named as in the signature of `update`.
    d, n_u, n_v : polynomials in z
        Without a common factor, with d = 1 at z = 0; symmetric in j and k.

    References
    ----------
    The diagonal j = k is theorem 1 of arXiv 2206.11124 with tau2 = 1.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> pair = derive_pair(SGD)
    >>> pair.n_u.factor(), pair.S.subs("beta", 0).expand()
    (-(beta*z - 1)*(beta*z + 1), a_j*a_k*g*z - a_j*a_k*z + a_j*z + a_k*z - z + 1)
    """

    a_j: Symbol
    a_k: Symbol
    z: Symbol
    g: Symbol
    hyperparameters: tuple[Symbol, ...]
    d: Expr
    n_u: Expr
    n_v: Expr

    @property
    def S(self) -> Expr:
        """The denominator d + g a_j a_k z n_u."""
        return self.d + self.g * self.a_j * self.a_k * self.z * self.n_u

    @property
    def u(self) -> Expr:
        """Response of E[w_j w_k] to a unit kick."""
        return self.n_u / self.S

    @property
    def v(self) -> Expr:
        """Response of E[w_j w_k] to a unit initial error."""
        return self.n_v / self.S

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.hyperparameters))
        return f"PairDerivation(hyperparameters=({names}), d={self.d}, n_u={self.n_u}, n_v={self.n_v})"


@functools.cache
def derive_pair(method: type[Any]) -> PairDerivation:
    r"""Derive the responses of pairs of modes.

    .. math:: u^0_{jk} = e_{ww}^\top (1 - z\,T_j\otimes T_k)^{-1} (k_j\otimes k_k),\qquad
              v^0_{jk} = e_{ww}^\top (1 - z\,T_j\otimes T_k)^{-1} e_{ww}

    by Cramer's rule, as for one mode.

    **Assumptions.** As for `PairDerivation`. Two states take about a second, three half a minute.

    Parameters
    ----------
    method : class
        What `genfun.symbolic.derive` takes, and refuses.

    Returns
    -------
    PairDerivation
        Kept for each class.

    References
    ----------
    Theorem 1 of arXiv 2206.11124 is the diagonal j = k.

    Examples
    --------
    >>> from genfun.symbolic import derive
    >>> from genfun.methods import SGD
    >>> pair, mode = derive_pair(SGD), derive(SGD)
    >>> one = {pair.a_j: mode.a, pair.a_k: mode.a}
    >>> (pair.S.subs(one) / mode.S).factor()  # the factor that u and v of one mode do not need
    -beta*z + 1
    """
    import sympy

    hyperparameters = symbols_of(method)
    a_j, a_k, z, g = sympy.symbols("a_j a_k z g")
    (T_j, k_j), (T_k, k_k) = (update_matrices(method, a, hyperparameters) for a in (a_j, a_k))
    moved: Any = sympy.kronecker_product(T_j, T_k)
    kicks: Any = sympy.kronecker_product(k_j, k_k)
    start = sympy.ImmutableMatrix([1] + [0] * (moved.rows - 1))
    d, n_u, n_v = cramer(moved, z, (kicks, start))
    return PairDerivation(a_j, a_k, z, g, hyperparameters, d, n_u, n_v)


def pair_sections(method: type[Any]) -> Iterator[Section]:
    """Equations of pairs of modes, in s = a_j + a_k and p = a_j a_k, with the operator in sample space.

    Parameters
    ----------
    method : class
        As for `derive_pair`.
    """
    import sympy

    pair = derive_pair(method)
    S = sympy.Symbol("S_jk")
    n_u, n_v, denominator = (in_sums(p, pair) for p in (pair.n_u, pair.n_v, pair.S))
    yield (
        "Pairs of modes, for the noise of data itself: g = gamma, s = a_j + a_k, p = a_j a_k",
        [equal("S_jk", denominator), equal("u_jk", n_u / S), equal("v_jk", n_v / S)],
    )
    gamma, alpha, N, i, j, k, n = sympy.symbols("gamma alpha N i j k l")
    A, u, *phi = sympy.symbols("A_il u_jk phi_ij phi_ik phi_lj phi_lk")
    over_modes = sympy.Sum(sympy.prod(phi) * u, (j, 1, N), (k, 1, N))
    R_i, R_l, B = sympy.symbols("Rtilde_i Rtilde_l Btilde_i")
    yield (
        "Squared residuals R~ of the samples; stable while A has no eigenvalue above 1 at z = 1",
        [equal(A, gamma * alpha**2 / N * over_modes), equal(R_i, B + pair.z * sympy.Sum(A * R_l, (n, 1, N)))],
    )
    yield (
        "Over the vector of ones: U~ with tau1 = tau2 = 1, whose edge is an upper bound therefore",
        [equal("Utilde", sympy.Sum(A, (i, 1, N), (n, 1, N)) / N)],
    )


def in_sums(p: Expr, pair: PairDerivation) -> Expr:
    r"""A symmetric polynomial of a_j and a_k in s = a_j + a_k and p = a_j a_k, the coefficients factored.

    Parameters
    ----------
    p : sympy expression
        For example `pair.S`.
    pair : PairDerivation
        Gives the symbols.

    Raises
    ------
    ValueError
        If the polynomial is not symmetric.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> pair = derive_pair(SGD)
    >>> in_sums(pair.n_u, pair)
    (-beta*z + 1)*(beta*z + 1)
    """
    import sympy

    from genfun.symbolic.paper import factored

    s, product = sympy.symbols("s p")
    even: Any = sympy.symmetrize(sympy.expand(p), [pair.a_j, pair.a_k], formal=True)
    symmetric, rest, names = even
    if rest != 0:
        raise ValueError(f"p must be symmetric in {pair.a_j} and {pair.a_k}, got {p}")
    renamed = sympy.expand(symmetric).subs(dict(zip((name for name, _ in names), (s, product), strict=True)))
    order = (pair.z, *pair.hyperparameters)
    terms = sympy.Poly(renamed, s, product, pair.g).terms()
    return sympy.Add(*(s**i * product**n * pair.g**m * factored(c, order) for (i, n, m), c in reversed(terms)))
