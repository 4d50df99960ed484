"""Results show themselves in notebooks: a table of their fields, a picture where there is one, and nothing injected."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun._display import Displayed, short

PROBLEM = gf.PowerLaw(1.5, 0.5, n_modes=20)
SETTING = gf.SGD(0.3, 0.2, 10)
RESULTS = {
    "prediction": lambda: gf.predict(PROBLEM, SETTING, [1, 10, 100]),
    "phase": lambda: gf.phase(PROBLEM, SETTING),
    "fit": lambda: gf.fit_power_law(PROBLEM),
    "stability": lambda: gf.stability(PROBLEM, SETTING),
    "noise scale": lambda: gf.noise_scale(PROBLEM, SETTING, [0, 10]),
    "problem": lambda: gf.LinearProblem([1.0, 0.5], [1.0, 0.2], n_samples=10),
    "power law": lambda: PROBLEM,
    "data": lambda: gf.LinearData.from_features(np.eye(4) + 0.5, np.arange(4.0)),
    "steps": lambda: gf.fit_steps([4, 8, 16, 32, 64], [900, 400, 220, 130, 90]),
}
NO_PICTURE = ("stability", "noise scale")


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_a_table_of_its_fields_with_a_picture_where_it_has_one(name):
    result = RESULTS[name]()
    page = result._repr_html_()
    shown = [name for name in result.__dataclass_fields__ if not name.startswith("_") and name != "store"]
    assert page.count("<tr>") == len(shown)
    assert ("data:image/png;base64,iVBOR" in page) == (name not in NO_PICTURE)


@pytest.mark.parametrize("name", NO_PICTURE)
def test_a_result_without_a_picture_says_so_and_which_have_one(name):
    with pytest.raises(TypeError, match=r"has no picture; there is one for Agreement, .*Phase, .*Prediction"):
        RESULTS[name]().plot()


def test_a_setting_and_a_probe_are_tables_of_what_they_were_given():
    page = gf.SGD(0.3, 0.2, 10, weight_decay=0.01)._repr_html_()
    assert "learning_rate</th>" in page
    assert "0.01</td>" in page
    page = gf.SoftmaxData.from_features(np.eye(3), ["a", "b", "a"])._repr_html_()
    assert "classes</th>" in page
    assert ">_" not in page
    assert not hasattr(gf.SGD(0.3), "plot")


def test_every_result_with_a_picture_is_in_the_one_description_of_plot():
    described = {name.rpartition(".")[2] for name in re.findall(r"`(\S+?)`", Displayed.plot.__doc__)}
    drawn = {kind.__name__ for kind in gf.plotting.draw.registry if kind is not object}
    assert len(drawn) > 10
    assert drawn <= described
    # The pictures are named beside the results that they draw.
    assert {name for name in described if name.islower()} - {"best", "against", "at"} <= set(gf.plotting.__all__)


def test_a_picture_of_ones_own_is_drawn_by_plot_and_takes_options_by_name():
    @dataclass(frozen=True)
    class Mine(Displayed):
        value: float

    with pytest.raises(TypeError, match="Mine has no picture"):
        Mine(1.0).plot()
    gf.plotting.draw.register(Mine, lambda result, ax=None, scale=1.0: ax.axhline(scale * result.value).axes)
    ax = Figure().subplots()
    assert Mine(2.0).plot(ax, scale=3.0) is ax
    assert ax.lines[0].get_ydata() == [6.0, 6.0]
    assert "data:image/png" in Mine(2.0)._repr_html_()


def test_an_option_that_the_picture_does_not_take_is_refused():
    with pytest.raises(TypeError, match="best"):
        gf.predict(PROBLEM, SETTING, [1, 10]).plot(best=SETTING)


def test_what_cannot_be_drawn_is_a_table_alone():
    page = gf.predict(PROBLEM, SETTING, [0])._repr_html_()
    assert "<table>" in page
    assert "<img" not in page


@pytest.mark.slow
def test_text_cannot_become_markup():
    found = gf.translate(PROBLEM, SETTING, 20)._repr_html_()
    assert "<script" not in found
    explained = gf.explain(gf.LinearProblem([1.0], [1.0]), gf.SGD(0.5, batch_size=1))
    assert explained._repr_html_().count("<li>") == len(explained.lines)
    assert "tau2 <" not in explained._repr_html_()


def test_short_arrays_are_shown_in_full_and_long_ones_by_their_ends():
    assert ">1, 10, 100</td>" in gf.predict(PROBLEM, SETTING, [1, 10, 100])._repr_html_()
    assert short((0.25, 3)) == "0.25, 3"
    # What is no plain row of numbers keeps its own form.
    for value in ((), ((1.0, 2.0), (3.0,)), (1.0, "x"), (True, False), np.eye(2)):
        assert short(value) == repr(value)
    page = gf.predict(PROBLEM, SETTING, range(500))._repr_html_()
    assert "0 .. 499  (500,)" in page
    assert len(page) < 200_000
