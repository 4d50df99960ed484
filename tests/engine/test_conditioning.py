"""How much rounding grows, by the quick ways and by the formulas that they replace."""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.engine.conditioning import FADED, Conditioning, MomentMaps, _inverse

STEPS = np.array([0, 1, 2, 7, 30, 1000, 10**9])


def directly(found: Conditioning, steps: np.ndarray) -> np.ndarray:
    """The largest kappa t of the modes that have not faded."""
    with np.errstate(invalid="ignore"):
        lasting = (found.rates.max() - found.rates) * steps[:, None] < FADED
    return np.where(lasting, found.kappa * steps[:, None], 0.0).max(axis=1)


def test_growth_is_that_of_the_modes_that_last():
    rng = np.random.default_rng(1)
    for n in (1, 2, 24):
        # Modes that end at once, that end between the steps, and two that last as long.
        rates = -np.exp(rng.uniform(-12.0, 3.0, n))
        rates[-1] = -np.inf if n > 1 else rates[-1]
        rates[: n // 8] = rates[0]
        found = Conditioning(rates, rng.uniform(1.0, 90.0, n), np.zeros((1, n)))
        np.testing.assert_array_equal(found.growth(STEPS), directly(found, STEPS))


def test_growth_of_moderate_and_of_large_kappa_is_one_function():
    moderate = MomentMaps.of_method(gf.SGD(0.5, 0.5, 10), np.geomspace(1e-4, 1.0, 50))
    maps = np.abs(moderate.of(0.1))
    found = Conditioning.of(moderate, 0.0, maps)
    assert not found.early.any()
    assert found.kappa.max() > 1.0
    np.testing.assert_array_equal(found.growth(STEPS), directly(found, STEPS))
    # Next to the curvature limit of a momentum near 1 the eigenvectors are nearly one.
    large = MomentMaps.of_method(gf.SGD(3.99, 0.999, 10), np.geomspace(1e-4, 1.0, 50))
    found = Conditioning.of(large, 0.0, np.abs(large.of(0.1)))
    assert found.early.any()
    assert (found.growth(STEPS) <= directly(found, STEPS)).all()


def test_what_is_fed_back_is_in_the_column_of_the_loss():
    maps = MomentMaps.of_method(gf.SGD(0.5, 0.5, 10), np.array([1.0, 0.2]))
    found = maps.fed_back(0.3)
    a = maps.a
    np.testing.assert_array_equal(found[:, :, 0], np.repeat(0.3 * a[:, None] ** 2, 3, axis=1))
    assert not found[:, :, 1:].any()


def test_a_matrix_without_an_inverse_spoils_no_other():
    regular = np.array([[2.0, 1.0], [0.0, 4.0]])
    found = _inverse(np.stack([regular, np.ones((2, 2)), np.zeros((2, 2))]))
    np.testing.assert_allclose(found[0] @ regular, np.eye(2), atol=1e-15)
    assert np.isnan(found[1:]).all()
