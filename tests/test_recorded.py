"""The answers are those recorded, in a fast part of the cases; and the comparison sees what has changed."""

from __future__ import annotations

import copy
import math

import pytest

from validation.recorded.__main__ import RECORDED, compare, compute, read
from validation.recorded.difference import differences
from validation.recorded.everything import everything

FAST = (
    "spectrum,",
    "data, features",
    "predict by recursion",
    "predict by contour",
    "predict by exact, ",
    "predict, power law, b=",
    "predict, finite data, cosine",
    "generating function,",
    "max learning rate, finite data",
    "stability, two modes",
    "steps to loss 0.1, two modes",
    "fit of a power law, scaled",
    "escape",
    "convert,",
    "noise scale, power law",
    "bound,",
    "genfun convert",
    "genfun max-lr",
)


@pytest.fixture(scope="module")
def recorded():
    return {name: x for name, x in read(RECORDED).items() if name.startswith(FAST)}


@pytest.fixture(scope="module")
def now():
    return compute({name: case for name, case in everything().items() if name.startswith(FAST)})[0]


@pytest.mark.slow
def test_the_fast_part_of_the_answers_is_as_recorded(recorded, now):
    assert len(recorded) > 100
    assert compare(recorded, now) == []


def test_the_file_has_every_case_and_no_other():
    wanted = everything().keys()
    # Measured points lie in a file that not every machine has.
    assert {name for name in read(RECORDED) if "measured" not in name} == {n for n in wanted if "measured" not in n}
    assert len(wanted) >= 300


@pytest.mark.parametrize(("factor", "seen"), [(1.0 + 1e-8, True), (1.0 - 1e-8, True), (1.0 + 1e-10, False)])
def test_a_number_that_moved_by_more_than_the_tolerance_is_found_wherever_it_stands(recorded, factor, seen):
    moved = copy.deepcopy(recorded)
    name = "max learning rate, finite data, momentum 0.9, b=1, noise (1, 1)"
    moved[name] *= factor
    moved["data, features"]["eigenvalues"][3] *= factor
    moved["stability, two modes, b=10"]["noise_gain"] *= factor
    found = {d.where for d in compare(recorded, moved)}
    assert found == (
        {name, "data, features.eigenvalues[3]", "stability, two modes, b=10.noise_gain"} if seen else set()
    )


def test_a_changed_word_a_lost_field_another_length_and_a_lost_case_are_found(recorded):
    bound = "bound, adam"
    for change in (
        lambda x: x[bound]["bound"].update(formula="another"),
        lambda x: x[bound]["bound"].pop("formula"),
        lambda x: x[bound]["steps"].pop(),
        lambda x: x[bound].update(steps=None),
        lambda x: x.pop(bound),
        lambda x: x.update({bound: {"raises": "ValueError"}}),
    ):
        moved = copy.deepcopy(recorded)
        change(moved)
        assert any(d.where.startswith(bound) for d in compare(recorded, moved))


def test_a_value_may_move_by_its_stated_error_and_no_further():
    old = {"loss": [2.0, 2.0], "error": [1e-3, 1e-12], "log_loss": [0.0, 0.0]}
    assert not list(differences(old, {"loss": [2.001, 2.0], "error": [1e-3, 1e-12], "log_loss": [9e-4, 0.0]}))
    assert [d.where for d in differences(old, old | {"loss": [2.003, 2.001]})] == [".loss[0]", ".loss[1]"]
    assert [d.where for d in differences(old, old | {"log_loss": [2e-3, 2e-3]})] == [".log_loss[0]", ".log_loss[1]"]
    assert [d.where for d in differences(old, old | {"error": [3e-3, 1e-12]})] == [".error"]


def test_what_is_not_a_number_stays_so_and_infinity_is_no_tolerance_for_it():
    assert not list(differences({"x": math.nan, "y": math.inf}, {"x": math.nan, "y": math.inf}))
    assert len(list(differences({"x": math.nan, "y": math.inf}, {"x": 1.0, "y": 1e308}))) == 2
    assert len(list(differences({"x": 1.0, "y": 1.0}, {"x": math.nan, "y": math.inf}))) == 2


def test_the_sum_of_a_long_array_sees_an_entry_that_is_not_shown():
    shown = {"shape": [100], "entries": [1.0] * 12, "sum": 100.0, "not_finite": 0}
    assert not list(differences(shown, dict(shown)))
    assert [d.where for d in differences(shown, shown | {"sum": 100.001})] == [".sum"]
    assert [d.where for d in differences(shown, shown | {"sum": 99.0, "not_finite": 1})] == [".sum", ".not_finite"]
