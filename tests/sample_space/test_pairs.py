"""Pair responses against sums over impulse responses and the single mode of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun.sample_space.pairs import PairResponses
from genfun.symbolic.arrays import responses

A = np.array([1e-9, 0.02, 0.4, 0.81])
PAIRS = A[:, None], A[None, :]
POINTS = [0.3, 0.02 + 0.0j, 0.4 + 0.5j]


@dataclass(frozen=True)
class OneOff:
    """Plain gradient descent: one state."""

    learning_rate: float
    batch_size: int | None = None
    replacement: bool = False
    hyperparameters: tuple[float, ...] = ()

    @staticmethod
    def update(a: Any, /) -> Any:
        return ((1 - a,),), (1,)


@dataclass(frozen=True)
class Quasi(Nesterov):
    """Quasi-hyperbolic momentum, in general and (as heavy ball in disguise) with nu = 1."""

    nu: float = 0.7

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        return (self.momentum, self.nu)

    @staticmethod
    def update(a: Any, beta: Any, nu: Any, /) -> Any:
        # m' = beta m - g, w' = w + nu m' - (1 - nu) g
        return ((1 - a, nu * beta), (-a, beta)), (1, 1)


METHODS = [gf.SGD(1.0, 0.0), gf.SGD(1.0, 0.8), gf.SGD(1.0, -0.5), Nesterov(1.0, 0.6), Quasi(1.0, 0.7), OneOff(1.0)]


def impulses(method: Any, a: float, steps: int, column: Any) -> np.ndarray:
    T = np.array(method.update(a, *method.hyperparameters)[0], dtype=float)
    state, seen = np.array(column, dtype=float), []
    for _ in range(steps):
        seen.append(state[0])
        state = T @ state
    return np.array(seen)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("q", POINTS)
def test_pairs_are_sums_over_products_of_impulse_responses(method: Any, q: complex) -> None:
    steps = 4_000
    kick = method.update(0.1, *method.hyperparameters)[1]
    start = [1.0] + [0.0] * (len(kick) - 1)
    h, g = (np.array([impulses(method, a, steps, x) for a in A]) for x in (kick, start))
    power = (1.0 - q) ** np.arange(steps)
    u0, v0 = PairResponses(method, 0.2).raw(q, *PAIRS)
    np.testing.assert_allclose(u0, (h * power) @ h.T, rtol=1e-11)
    np.testing.assert_allclose(v0, (g * power) @ g.T, rtol=1e-11)
    np.testing.assert_allclose(PairResponses(method, 0.2).mean(q, A), g @ power, rtol=1e-11)


@pytest.mark.parametrize("beta", [-0.9, -0.4, 0.0, 0.9, 0.99])
@pytest.mark.parametrize("gamma", [0.0, 0.03, 1.0])
def test_the_closed_form_is_the_solve_down_to_the_smallest_eigenvalues(beta: float, gamma: float) -> None:
    a = (1.0 + beta) * np.array([1e-12, 1e-5, 0.3, 1.5, 1.99])
    disguised, plain = PairResponses(Quasi(1.0, beta, nu=1.0), gamma), PairResponses(gf.SGD(1.0, beta), gamma)
    assert disguised.momentum is None
    assert plain.momentum == beta
    for q in (0.0, 1e-9, 1e-3 + 2e-3j, 0.9):
        for one, other in zip(disguised.dressed(q, a[:, None], a), plain.dressed(q, a[:, None], a), strict=True):
            # Rounding of the solve grows with its condition, 1/(1 - abs(beta)) to a few powers.
            np.testing.assert_allclose(one, other, rtol=1e-13 / (1 - abs(beta)) ** 2)
        if np.isreal(q):
            assert np.array_equal(disguised.positive(q, a[:, None], a), plain.positive(q, a[:, None], a))


@pytest.mark.parametrize("method", METHODS[:4], ids=repr)
def test_the_diagonal_is_the_single_mode_with_tau2_one(method: Any) -> None:
    gamma, q = 0.3, np.array([0.0, 0.1, 0.2 + 0.3j])[:, None]
    d, n_u, n_v = responses(method)(A, q, *method.hyperparameters)
    bottom = d + gamma * A**2 * (1 - q) * n_u
    u, v = PairResponses(method, gamma).dressed(q, A, A)
    # The engine counts kicks from their first effect, as the pairs do.
    np.testing.assert_allclose(u, n_u / bottom, rtol=1e-11)
    np.testing.assert_allclose(v, n_v / bottom, rtol=1e-11)


@pytest.mark.parametrize("method", [METHODS[1], METHODS[2], METHODS[3]], ids=repr)
def test_slopes_are_those_of_differences(method: Any) -> None:
    pairs, q, h = PairResponses(method, 0.4), 0.05, 1e-6
    a_j, a_k = A[1:, None], A[1:]
    u, by_q, by_rate = pairs.kick_slopes(q, a_j, a_k)
    np.testing.assert_allclose(u, pairs.kick(q, a_j, a_k), rtol=1e-13)
    difference = np.log(pairs.kick(q + h, a_j, a_k) / pairs.kick(q - h, a_j, a_k)) / (2 * h)
    np.testing.assert_allclose(by_q, difference, rtol=1e-6, atol=1e-7)
    difference = np.log(
        pairs.kick(q, a_j * np.exp(h), a_k * np.exp(h)) / pairs.kick(q, a_j / np.exp(h), a_k / np.exp(h))
    )
    np.testing.assert_allclose(by_rate, difference / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", [METHODS[1], METHODS[2], METHODS[3]], ids=repr)
def test_pairs_are_positive_exactly_right_of_their_poles(method: Any) -> None:
    pairs = PairResponses(method, 0.0)
    fast = np.array([1.4, 1.9])  # a mode beyond the curvature limit of beta = -0.5: |root| > 1
    roots = [np.linalg.eigvals(np.array(method.update(a, *method.hyperparameters)[0], float)) for a in fast]
    radius = max(np.abs(r).max() for r in roots)
    right, left = np.exp(-2.001 * np.log(radius)), np.exp(-1.999 * np.log(radius))
    assert pairs.positive(1.0 - right, fast[:, None], fast).all()
    if max(np.abs(r.imag).max() for r in roots) == 0.0:
        assert not pairs.positive(1.0 - left, fast[:, None], fast).all()
