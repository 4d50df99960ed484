"""The stability edges of many momenta at once are those of one after the other."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import genfun as gf
from genfun._root import bracketed_roots
from genfun.engine.edge import edges_of, one_by_one
from genfun.methods.family import Family

MOMENTA = np.array([-0.95, -0.4, 0.0, 0.5, 0.9, 0.99])


@cache
def data() -> gf.LinearData:
    rng = np.random.default_rng(5)
    return gf.LinearData.from_features(rng.standard_normal((60, 12)) / np.arange(1, 13), rng.standard_normal(60))


@pytest.mark.parametrize("batch_size", [1, 7, 59, None])
def test_edges_at_once_are_those_one_by_one(batch_size: int | None) -> None:
    noise, problem = data().measured_noise, data().problem
    found = edges_of(problem, Family(), MOMENTA, batch_size, noise)
    alone = one_by_one(problem, Family(), MOMENTA, batch_size, noise)
    # Both find logarithms to 1e-13; the slope of the gain in them is about 1 at the least.
    np.testing.assert_allclose(found, alone, rtol=1e-12)


def test_those_of_another_method_that_is_the_same_are_too() -> None:
    # QHM with nu = 1 is heavy-ball SGD at the learning rate (1 - beta) alpha.
    noise, problem, beta = data().measured_noise, data().problem, MOMENTA[2:4]
    found = edges_of(problem, Family(gf.QHM(0.1, 0.5, 1.0, 4)), beta, 4, noise)
    np.testing.assert_allclose((1.0 - beta) * found, edges_of(problem, Family(), beta, 4, noise), rtol=1e-11)


def test_a_function_with_a_jump_has_its_root_there() -> None:
    found = bracketed_roots(lambda i, x: np.where(x < 1.0 / (1.0 + i), -1.0, 700.0), np.zeros(3), np.ones(3) * 2, 1e-12)
    np.testing.assert_allclose(found, 1.0 / (1.0 + np.arange(3)), atol=3e-12)
