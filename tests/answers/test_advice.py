"""What is advised is as simple as it can be for at most 1 % more loss."""

from __future__ import annotations

import functools

import pytest

import genfun as gf
from genfun.answers.best.advice import WITHIN, advice

STEPS = 100


@functools.cache
def best(batch_size: int | None = 1, momentum: float | None = None, share: float = 1.0):
    spectrum = gf.PowerLaw(1.5, 2.0, n_modes=20)
    return gf.optimize(spectrum, batch_size, STEPS, momentum, max_share_of_edge=share)


@pytest.mark.slow
def test_momentum_of_little_worth_is_left_out_with_the_best_rate_without_it():
    found = advice(best())
    assert 0.0 < best().gain <= WITHIN
    assert found.best is best()
    assert found.chosen == best(momentum=0.0)
    assert found.why.endswith("here and is left out")


def test_nine_tenths_are_taken_where_they_are_as_good_and_momentum_is_not_left_out():
    # In a flat valley 0.9 costs less than 1 %, no momentum much more.
    o = gf.optimize(gf.PowerLaw(1.5, 0.5, n_modes=200), batch_size=3, steps=600)
    found = advice(o)
    assert o.gain > WITHIN
    assert found.method.momentum == 0.9 != o.method.momentum
    assert o.loss <= found.chosen.loss <= (1.0 + WITHIN) * o.loss
    assert "0.9 costs" in found.why


def test_a_momentum_that_matters_stays_the_best_one():
    found = advice(best(None))
    assert best(None).gain > WITHIN
    assert found.chosen is found.best is best(None)
    assert found.why.startswith("momentum lowers the least loss by")


@pytest.mark.parametrize("momentum", [0.3, -0.2])
def test_a_momentum_that_was_asked_for_is_kept(momentum):
    o = best(momentum=momentum)
    found = advice(o)
    assert found.chosen is o
    assert found.why == ""


def test_the_share_of_the_edge_is_kept():
    o = best(share=0.1)
    found = advice(o)
    assert o.share_of_edge <= 0.1 * (1.0 + 1e-9)
    assert found.chosen.share_of_edge <= 0.1 * (1.0 + 1e-9)


def test_other_hyperparameters_of_the_method_are_kept():
    data = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], n_samples=4)
    o = gf.optimize(data, 4, 50, method=gf.SGD(1.0, replacement=True))
    assert advice(o).method.replacement


def test_a_search_that_begins_at_another_setting_is_the_same_and_not_made_again() -> None:
    problem = gf.PowerLaw(1.5, 0.5, n_modes=20)
    found = gf.optimize(problem, 2, 50, momentum=0.9)
    assert gf.optimize(problem, 2, 50, momentum=0.9, method=gf.SGD(0.01, 0.3)) is found
    assert gf.optimize(problem, 2, 50, momentum=0.9, method=gf.SGD(0.01, replacement=True)) is not found
