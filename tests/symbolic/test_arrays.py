"""Expressions become array functions without losing digits near z = 1 and a = 0, and without sympy where they can."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from own_methods import GradientDescent, Nesterov

from genfun.methods import SGD
from genfun.methods._sgd_responses import responses as generated
from genfun.symbolic import array_function, derive, responses
from genfun.symbolic.form import stable_form

EPS = np.finfo(float).eps


def points(n: int, seed: int) -> tuple[Any, Any, Any]:
    """a in 1e-12..2, complex q with 1e-12 < abs(q) < 1, beta in -0.99..0.99."""
    rng = np.random.default_rng(seed)
    a = 2.0 * 10.0 ** rng.uniform(-12, 0, n)
    q = 10.0 ** rng.uniform(-12, 0, n) * np.exp(1j * rng.uniform(-np.pi, np.pi, n))
    return a, q, rng.uniform(-0.99, 0.99, n)


def exact(method: type[Any], a: Any, q: Any, beta: Any) -> list[list[Any]]:
    """(d, n_u, n_v) from the expanded polynomials in 50 digits; columns are points."""
    D = derive(method)
    with mpmath.workdps(50):
        # Expanded polynomials cancel up to 1e-36 here, so 50 digits leave 14 beyond double precision.
        f = sympy.lambdify((D.a, D.z, *D.hyperparameters), [D.d, D.n_u, D.n_v], "mpmath")
        rows = zip(map(mpmath.mpf, a), map(mpmath.mpc, q), map(mpmath.mpf, beta), strict=True)
        return [list(column) for column in zip(*(f(x, 1 - y, b) for x, y, b in rows), strict=True)]


def relative(computed: Any, true: list[Any]) -> Any:
    with mpmath.workdps(50):
        return np.array([float(abs(mpmath.mpc(c) - t) / abs(t)) for c, t in zip(computed, true, strict=True)])


def magnitude(p: Any) -> Any:
    """The expression with every term replaced by its absolute value; abs(z) is at most 1 + abs(q)."""
    if p.is_Number:
        return abs(p)
    if p.is_Symbol:
        return 1 + sympy.Symbol("q") if p.name == "z" else p
    if p.is_Pow:
        return magnitude(p.base) ** p.exp
    parts = [magnitude(part) for part in p.args]
    return sympy.Mul(*parts) if p.is_Mul else sympy.Add(*parts)


@pytest.mark.parametrize(("method", "roundings"), [(SGD, 12), (Nesterov, 20)])
def test_error_is_a_few_roundings_of_the_largest_term(method: type[Any], roundings: int) -> None:
    """Backward error: every sum and product adds at most sqrt(5) eps/2 to its terms, `roundings` of them in a row."""
    a, q, beta = points(400, seed=3)
    D = derive(method)
    bound = array_function([magnitude(p) for p in D.stable], (D.a, D.q, *D.hyperparameters))(a, abs(q), abs(beta))
    for computed, true, size in zip(responses(method)(a, q, beta), exact(method, a, q, beta), bound, strict=True):
        error = relative(computed, true) * np.array([float(abs(t)) for t in true])
        assert (error <= roundings * np.sqrt(5) / 2 * EPS * size).all()


def test_relative_accuracy_where_z_is_real_and_modes_are_stable() -> None:
    """Real q in (0, 1), 0 < a < 1.9 (1+beta): d loses nothing.

    The last factor of d is a sum of two positive terms, and 2(1+beta) - a loses at most the factor 2/0.1 = 20; 1 + beta
    is exact to half a rounding. n_v is a sum of positive terms for beta >= 0; for beta < 0 the loss is the conditioning
    in the data, at most (1-beta)^2/(1+beta)^2 at the edge.
    """
    rng = np.random.default_rng(4)
    n = 1000
    beta = rng.uniform(-0.99, 0.99, n)
    a = (1 + beta) * 1.9 * 10.0 ** rng.uniform(-12, 0, n)
    q = 10.0 ** rng.uniform(-12, 0, n)
    d, n_u, n_v = (relative(c, t) for c, t in zip(generated(a, q, beta), exact(SGD, a, q, beta), strict=True))
    edge = 2 * (1 + beta) / (2 * (1 + beta) - a)
    assert (d <= 8 * EPS * edge).all()
    assert (n_u <= 4 * EPS / (1 + np.minimum(beta, 0))).all()
    assert (n_v <= 8 * EPS * np.where(beta < 0, 2 * (1 - beta) ** 2 / (1 + beta) ** 2, 1)).all()


def test_expanded_polynomials_would_lose_most_digits() -> None:
    D = derive(SGD)
    naive = sympy.lambdify((D.a, D.z, *D.hyperparameters), sympy.expand(D.d), "numpy")
    a, q, beta = 1e-12, 1e-14, 0.9
    true = exact(SGD, [a], [q], [beta])[0]
    assert relative([naive(a, 1 - q, beta)], true)[0] > 1e-5
    assert relative([generated(a, q, beta)[0]], true)[0] < 4 * EPS


def test_shipped_responses_equal_those_derived_on_first_use() -> None:
    class SameButDerived:
        update = staticmethod(SGD.update)

    a, q, beta = points(50, seed=6)
    for shipped, derived in zip(responses(SGD)(a, q, beta), responses(SameButDerived)(a, q, beta), strict=True):
        np.testing.assert_allclose(shipped, derived, rtol=1e-12)
    assert responses(SGD) is SGD.responses
    assert responses(SGD(learning_rate=0.1)) is SGD.responses
    assert responses(SameButDerived) is responses(SameButDerived)


def test_methods_without_momentum_broadcast_their_constants() -> None:
    a, q = np.linspace(0.1, 1.9, 4)[:, None], np.array([0.5, 0.1 + 0.2j, 1e-9])
    d, n_u, n_v = responses(GradientDescent)(a, q)
    assert d.shape == n_u.shape == n_v.shape == (4, 3)
    assert n_u.dtype == n_v.dtype == np.complex128
    np.testing.assert_allclose(d, 1 - (1 - q) * (1 - a) ** 2, rtol=1e-14)


def test_scalars_give_scalars_and_dtypes_are_kept() -> None:
    x, y = sympy.symbols("x y")
    f = array_function([x + y, sympy.Integer(3), x], [x, y])
    assert all(np.ndim(value) == 0 for value in f(1, 2.0))
    assert f(1, 2) == (3.0, 3.0, 1.0)
    total, constant, first = f(np.ones(2, np.longdouble), 1.0)
    assert {value.dtype for value in (total, constant, first)} == {np.dtype(np.longdouble)}
    total, constant, first = f(np.ones((2, 1)), np.ones(3) * 1j)
    assert {value.shape for value in (total, constant, first)} == {(2, 3)}


def test_a_symbol_that_is_not_an_argument_is_named() -> None:
    x, y = sympy.symbols("x y")
    with pytest.raises(ValueError, match=r"\['y'\] missing"):
        array_function([x * y], [x])


def test_groups_survive_common_subexpressions() -> None:
    """(1 - b) + b q must not become 1 - b (1 - q) or 1 + (b q - b): at b = 1 - 2^-50 these lose q."""
    a, q, b = sympy.symbols("a q b")
    p = sympy.expand((1 - b + b * q) * (1 + a) + a**2 * b * q)
    f = array_function([stable_form(p, (a, q, b)), b * q - b], [a, q, b])
    beta, small = 1 - 2.0**-50, 2.0**-60
    assert f(0.0, small, beta)[0] == 2.0**-50 + beta * small


def test_sgd_never_imports_sympy() -> None:
    code = (
        "import sys; from genfun.symbolic.arrays import responses; from genfun.methods import SGD;"
        "import numpy as np; responses(SGD)(np.array([0.1]), 0.5, 0.3); import genfun.symbolic;"
        "assert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
