"""The responses of pairs of modes, derived by sympy: what data's own noise asks of a method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from own_methods import GradientDescent, LateKick

import genfun as gf
from genfun.methods import QHM, SGD
from genfun.methods.torch_sgd import Damped, Nesterov
from genfun.sample_space.pairs import PairResponses
from genfun.symbolic import array_function, derive, derive_pair
from genfun.symbolic.pairs import in_sums

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in (Nesterov, QHM)]
METHODS = [SGD, Damped, GradientDescent, LateKick, *SLOW]
A_J, A_K, Z, G = sympy.symbols("a_j a_k z g")
B = sympy.Symbol("beta")


def is_zero(expression: Any) -> bool:
    return sympy.expand(sympy.numer(sympy.together(expression))) == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_pair_of_a_mode_with_itself_is_the_mode(method: type[Any]) -> None:
    """S_kk = (1 - z det T) S, a factor that n_u and n_v have too; of one state there is no such factor."""
    pair, mode = derive_pair(method), derive(method)
    one: Any = {pair.a_j: mode.a, pair.a_k: mode.a}
    spare = 1 - mode.z * mode.T.det() if mode.T.rows == 2 else sympy.Integer(1)
    for own, other in ((pair.S, mode.S), (pair.d, mode.d), (pair.n_u, mode.n_u), (pair.n_v, mode.n_v)):
        assert is_zero(own.subs(one) - spare * other)


def test_S_of_heavy_ball_is_the_form_without_cancellation() -> None:
    """A polynomial identity with the form that the engine evaluates, and with its v0."""
    pair, s, p, d = derive_pair(SGD), A_J + A_K, A_J * A_K, A_J - A_K
    forgets, squared = 1 - B * Z, 1 - B**2 * Z
    S = forgets**2 * ((1 - Z) * squared + Z * ((1 + B) * s - p)) + B * Z**2 * d**2 + G * p * Z * (1 - B**2 * Z**2)
    assert is_zero(pair.S - S)
    assert is_zero(pair.n_u - (1 - B**2 * Z**2))
    assert is_zero(pair.n_v - forgets * (forgets * squared + B * Z * s))


def test_limits_without_momentum_and_with_the_full_batch() -> None:
    pair = derive_pair(SGD)
    S = 1 - Z * (1 - A_J) * (1 - A_K) + G * A_J * A_K * Z
    assert is_zero(pair.u.subs(B, 0) - 1 / S)
    assert is_zero(pair.v.subs(B, 0) - 1 / S)
    assert is_zero(pair.S.subs(G, 0) - pair.d)
    # gamma = 0: the poles are the products of an eigenvalue of T_j and one of T_k, four of them.
    rows = [sympy.Matrix(SGD.update(a, B)[0]) for a in (A_J, A_K)]
    (t_j, t_k), poly = [m.trace() for m in rows], sympy.Poly(pair.d, Z)
    assert poly.degree() == 4
    assert is_zero(poly.coeff_monomial(Z) + t_j * t_k)
    assert is_zero(poly.coeff_monomial(Z**4) - B**4)


@pytest.mark.parametrize("method", METHODS)
def test_series_without_noise_are_products_of_impulse_responses(method: type[Any]) -> None:
    """Exactly, in rationals: n = d * series, of h_t(a_j) h_t(a_k) and of g_t(a_j) g_t(a_k)."""
    pair, steps = derive_pair(method), 9
    hyper = [sympy.Rational(x) for x in ("-2/9", "4/11", "1/7", "3/5")[: len(pair.hyperparameters)]]
    values: Any = dict(
        zip((pair.a_j, pair.a_k, *pair.hyperparameters), map(sympy.Rational, ("3/7", "5/4")), strict=False)
    )
    values |= dict(zip(pair.hyperparameters, hyper, strict=True))
    d, n_u, n_v = (
        (sympy.Poly(p.subs(values), pair.z).all_coeffs()[::-1] + [0] * steps)[:steps]
        for p in (pair.d, pair.n_u, pair.n_v)
    )
    states = []
    for a in (values[pair.a_j], values[pair.a_k]):
        rows, kick = method.update(a, *hyper)
        T, k = sympy.Matrix([list(row) for row in rows]), sympy.Matrix(list(kick))
        first = sympy.Matrix([1] + [0] * (T.rows - 1))
        states.append([(T**t * k, T**t * first) for t in range(steps)])
    for place, numerator in enumerate((n_u, n_v)):
        series = [one[place][0] * other[place][0] for one, other in zip(*states, strict=True)]
        assert [sum(d[i] * series[t - i] for i in range(t + 1)) for t in range(steps)] == numerator


@pytest.mark.parametrize(
    "method",
    [
        SGD(0.1, -0.4),
        SGD(0.1, 0.9),
        SGD(0.1, 0.7, nesterov=True),
        QHM(0.1, 0.8, 0.6),
        QHM(0.1, -0.3, 0.9),
    ],
)
@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_numeric_pair_responses_are_the_derived_ones(method: Any, gamma: float) -> None:
    """At real and complex z, to what the expanded polynomials lose: all terms are below 100, q above .01."""
    kind = Nesterov if isinstance(method, SGD) and method.nesterov else type(method)
    hyper = (method.momentum, 0.0) if kind is Nesterov else method.hyperparameters
    pair = derive_pair(kind)
    evaluate = array_function([pair.u, pair.v], [pair.a_j, pair.a_k, pair.z, pair.g, *pair.hyperparameters])
    rng = np.random.default_rng(3)
    a_j, a_k = rng.uniform(0.0, 0.9, (2, 200))
    q = rng.uniform(0.01, 1.0, 200)
    for at in (q, q + 0.5j * rng.uniform(-1.0, 1.0, 200)):
        found = PairResponses(method, gamma).dressed(at, a_j, a_k)
        for number, symbol in zip(found, evaluate(a_j, a_k, 1.0 - at, gamma, *hyper), strict=True):
            np.testing.assert_allclose(number, symbol, rtol=1e-8)


def test_projected_on_the_vector_of_ones_the_operator_is_the_noise_gain_with_both_constants_one() -> None:
    """Exactly, for 4 samples of 3 modes: 1^T A(z) 1/N = gamma sum_k a_k^2 u(a_k, z) at g = gamma."""
    pair, mode = derive_pair(SGD), derive(SGD)
    signs: Any = sympy.Matrix([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    eigenvalues = [sympy.Rational(x) for x in ("1", "1/3", "1/10")]
    # phi phi^T / N = diag(lambda); an entry of phi holds the square root, of which only even powers occur.
    total = sympy.Integer(0)
    alpha, z, gamma, beta = map(sympy.Rational, ("4/5", "6/7", "2/9", "-3/8"))
    values: Any = {pair.z: z, pair.g: gamma, pair.hyperparameters[0]: beta}
    for j, lam_j in enumerate(eigenvalues):
        for k, lam_k in enumerate(eigenvalues):
            u = pair.u.subs({pair.a_j: alpha * lam_j, pair.a_k: alpha * lam_k, **values})
            summed = sum(signs[i, j] * signs[i, k] for i in range(4))
            total += gamma * alpha**2 / 4 * lam_j * lam_k * summed**2 * u / 4
    gain = sum(
        gamma * (alpha * lam) ** 2 * mode.u.subs({mode.a: alpha * lam, mode.z: z, mode.g: gamma, B: beta})
        for lam in eigenvalues
    )
    assert total == gain
    problem = gf.LinearProblem([float(x) for x in eigenvalues], [1.0, 1.0, 1.0])
    G_ = gf.GeneratingFunction(problem, SGD(0.8, -0.375, 1), gf.SpectrallyExpressible(1.0, 1.0))
    at_one = sum(
        float(alpha * lam) ** 2
        * float(pair.u.subs({pair.a_j: alpha * lam, pair.a_k: alpha * lam, **values, pair.g: 1}))
        for lam in eigenvalues
    )
    assert abs(G_.noise(float(z)) / at_one - 1.0) < 1e-12


def test_S_of_heavy_ball_is_positive_wherever_the_mean_is_stable() -> None:
    """0 < z <= 1, |beta| < 1, a = 2(1+beta)x with 0 < x < 1: S at g = 0 is a sum of products of terms >= 0.

    The term in g is positive, so that S > 0 for every gamma >= 0, and u = (1 - beta^2 z^2)/S > 0: A is positive
    semidefinite. Let x_j >= x_k, D = x_j - x_k; else the names change places.
    """
    pair = derive_pair(SGD)
    x_j, x_k, c = sympy.symbols("x_j x_k c")
    D, turn = x_j - x_k, {A_J: 2 * (1 + B) * x_j, A_K: 2 * (1 + B) * x_k}
    assert is_zero(pair.S - pair.d - G * A_J * A_K * Z * (1 - B * Z) * (1 + B * Z))
    positive = (
        (1 - B * Z) ** 2 * (1 - Z) * (1 - B**2 * Z)
        + 2 * Z * (1 + B) ** 2 * (1 - B * Z) ** 2 * (x_j * (1 - x_k) + x_k * (1 - x_j))
        + 4 * B * Z**2 * (1 + B) ** 2 * D**2
    )
    assert is_zero(pair.d.subs(turn) - positive)  # beta >= 0: no term is negative
    negative = (1 + c * Z) ** 2 * (1 - Z) * (1 - c**2 * Z) + 2 * Z * (1 - c) ** 2 * (
        2 * (1 + c * Z) ** 2 * x_k * (1 - x_j) + D * (1 + c**2 * Z**2 + 2 * c * Z * (1 - D))
    )
    assert is_zero(pair.d.subs(turn).subs(B, -c) - negative)  # beta = -c < 0: 0 <= D <= 1


@pytest.mark.parametrize("method", [SGD, QHM, Nesterov])
def test_S_is_positive_on_random_points_of_the_stable_region_and_not_beyond(method: type[Any]) -> None:
    """T_j and T_k contract; S at z in (0, 1] and gamma in (0, 1) then starts from 1 and meets no pole."""
    pair = derive_pair(method)
    rng = np.random.default_rng(4)
    n = 20_000
    a = rng.uniform(0.0, 4.0, (2, n))
    hyper = [rng.uniform(-1.0, 1.0, n)] + ([rng.uniform(0.0, 1.0, n)] if method is QHM else [])
    hyper += [np.zeros(n)] if method is Nesterov else []
    radius = []
    for one in a:
        rows, _ = method.update(one, *hyper)
        T = np.stack([np.stack([np.broadcast_to(x, n) for x in row], axis=-1) for row in rows], axis=-2)
        radius.append(np.abs(np.linalg.eigvals(T)).max(axis=-1))
    stable = np.maximum(*radius) < 1.0
    evaluate = array_function([pair.d], [pair.a_j, pair.a_k, pair.z, *pair.hyperparameters])
    z = rng.uniform(0.0, 1.0, n)
    (d,) = evaluate(*a, z, *hyper)
    assert 0.02 < stable.mean() < 0.98
    assert (d[stable] > 0.0).all()
    assert (evaluate(*a, np.ones(n), *hyper)[0][~stable] < 0.0).any()


@pytest.mark.slow
def test_formulas_of_pairs_are_shown_and_equal_what_they_arrange() -> None:
    tex = gf.symbolic.show(SGD, latex=True)
    for part in ("Pairs of modes", "S_{jk} =", r"\phi_{ij}", r"\tilde{R}"):
        assert part in tex
    for method in (SGD, Damped, GradientDescent):
        pair = derive_pair(method)
        back: Any = {sympy.Symbol("s"): pair.a_j + pair.a_k, sympy.Symbol("p"): pair.a_j * pair.a_k}
        for p in (pair.S, pair.n_u, pair.n_v):
            assert is_zero(in_sums(p, pair).doit().subs(back) - p)
    with pytest.raises(ValueError, match="must be symmetric"):
        in_sums(A_J, derive_pair(SGD))
