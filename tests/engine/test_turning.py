"""Modes that turn slowly need few nodes: the bins are as wide as what turns allows, and no wider."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.noiseless import narrowness, noiseless_losses, resolved_losses
from genfun.engine.recorded_run import SingleRecursion
from genfun.engine.roots import turning
from genfun.engine.settings import Settings
from genfun.methods.family import Family
from genfun.problems.measure import SpectralMeasure

INFINITE = gf.PowerLaw(1.5, 0.5)


def test_the_bound_of_turning_is_that_of_the_formula():
    beta, largest = 0.9, np.array([0.004, 0.1, 1.0])
    a = largest
    exact = a / (2.0 * np.sqrt(beta) * np.sqrt(1.0 - ((1.0 + beta - a) / (2.0 * np.sqrt(beta))) ** 2))
    slope, first = turning(gf.SGD, (np.full(3, beta),), largest)
    threshold = (1.0 - np.sqrt(beta)) ** 2
    # Twice the slope between two points of a grid 7 % apart, and the steep beginning at the threshold, below.
    assert np.all(slope[1:] >= np.minimum(1.9 * exact[1:], 1.0))
    assert np.all(slope[1:] <= 2.3 * np.maximum(exact[1:], 0.5 * np.sqrt(threshold / 0.07)))
    assert np.all(first < threshold)
    assert np.all(first > 0.4 * threshold)
    none = turning(gf.SGD, (np.zeros(1),), np.array([0.5]))
    assert none[0] == 0.0
    assert np.isinf(none[1])


@pytest.mark.parametrize("beta", [0.99, 0.999])
def test_a_slow_momentum_is_followed_on_few_nodes_as_exactly_as_on_all(beta):
    method, last = gf.SGD(1.0 - beta, beta, 10), 700
    G = GeneratingFunction(INFINITE, method)
    few = G.stepper(G.turning * last, last)
    every = SingleRecursion(G.on(G.lumped(INFINITE.measures(1e-3), last)))
    assert few.size < every.size / 8
    np.testing.assert_allclose(few.losses(last).log(), every.losses(last).log(), rtol=0, atol=1e-12)


def test_merging_below_a_mode_leaves_those_above_as_they_are():
    lam = np.geomspace(1e-6, 1.0, 3_000)
    merged = SpectralMeasure(lam, lam).coarser_below(0.1)
    assert np.array_equal(merged.nodes[merged.nodes >= 0.1], lam[lam >= 0.1])
    assert merged.nodes.size < 0.6 * lam.size
    assert merged.total == pytest.approx(lam.sum(), rel=1e-14)


@pytest.mark.parametrize("step", [30, 1000])
def test_each_setting_without_noise_has_the_bins_that_its_modes_ask_for(step):
    rates, momenta = (x.ravel() for x in np.meshgrid([0.01, 0.3, 2.0], [-0.8, 0.0, 0.9, 0.99, 0.999], indexing="ij"))
    settings = Settings.of(INFINITE, Family(), rates, momenta, None, gf.SpectrallyExpressible())
    narrow = noiseless_losses(settings, INFINITE.measures(4.0 / 3000.0)[1], step)
    found = resolved_losses(settings, step)
    np.testing.assert_allclose(found.log(), narrow.log(), rtol=1e-14, atol=1e-12 + 4e-16 * step)
    halvings = narrowness(settings, step)
    assert (halvings[momenta <= 0.0] == 0).all()  # nothing turns
    assert halvings.max() == np.ceil(np.log2(step * 0.7 / 4.0))  # of modes that turn by about 1 in every step
    # What turned has gone by step 1000 where the momentum is .9, and has not where it is .999.
    assert (halvings[momenta == 0.9] == 0).all() == (step == 1000)
    assert halvings[(momenta == 0.999) & (rates == 2.0)] == halvings.max()
