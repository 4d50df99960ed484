"""The explorer without a browser or server: what links mean, and which numbers are shown."""

from __future__ import annotations

import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.explorer import model
from genfun.explorer.downloads import python_lines
from genfun.explorer.problems import data_of, first_state, fitting, is_known, measure, own_noise, pose
from genfun.explorer.state import LIMITS, State, parse, read, text

LAW = State(problem="power-law", nu=1.5, zeta=2.0, n_modes=100, learning_rate=0.4, momentum=0.0, batch_size=20)
FURTHER = replace(LAW, schedule="hold", hold=0.25, target="x & y", held_out=0.2)
OTHER = State("power-law", 1.25, 0.7, None, 0.123456789012345, -0.3, None, -1.0, 0.25, 12345)


def _arguments(query: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


@pytest.mark.parametrize("state", [State(), LAW, OTHER, FURTHER], ids=["as at first", "some", "all changed", "further"])
def test_a_link_gives_back_its_view_to_the_last_digit(state: State) -> None:
    assert parse(_arguments(state.query)) == (state, ())


def test_a_link_gives_back_its_view_where_a_file_is_shown_too(own: str) -> None:
    """Links leave out what is as at first, so that must not depend on the file."""
    for state in (State(), LAW, State(problem="file", batch_size=3)):
        arguments = _arguments(state.query)
        assert parse(arguments, first_state(bool(arguments), own)) == (state, ())


@pytest.mark.parametrize("name", sorted(LIMITS))
@pytest.mark.parametrize(
    "word", ["nan", "inf", "-inf", "-1e9", "1e400", "1e12", "", "<script>alert(1)</script>", "0x10", "9" * 5000, "\x00"]
)
def test_what_is_no_use_in_a_link_is_named_and_ignored(name: str, word: str) -> None:
    state, messages = parse({name: word, "zeta" if name != "zeta" else "nu": "1.0"})
    assert getattr(state, name) == getattr(State(), name)
    assert len(messages) == 1
    assert name.replace("_", " ") in messages[0]
    assert len(messages[0]) < 200
    assert (state.zeta if name != "zeta" else state.nu) == 1.0


def test_unknown_parts_and_problems_are_named() -> None:
    _, messages = parse({"colour": "red", "problem": "../../etc/passwd"})
    assert ["'colour'" in messages[0], "mnist-ntk" in messages[1]] == [True, True]


def test_whole_numbers_may_be_written_with_exponents_but_not_with_fractions() -> None:
    assert read("steps", "1e6") == 10**6
    assert [read(n, text(n, None)) for n in ("batch_size", "tau2", "n_modes")] == [None, None, None]
    with pytest.raises(ValueError, match="whole number"):
        read("batch_size", "2.5")


def test_the_curve_is_the_prediction_and_its_parts_add_up() -> None:
    found = model.curve(LAW)
    problem, method = gf.PowerLaw(1.5, 2.0, n_modes=100), gf.SGD(0.4, 0.0, 20)
    steps = found.prediction.steps
    assert steps[0] == 1
    assert steps[-1] == 10 * LAW.steps
    np.testing.assert_array_equal(found.prediction.loss, gf.predict(problem, method, steps).loss)
    shown = np.isfinite(found.excess)
    assert shown.mean() > 0.9
    np.testing.assert_allclose((found.quiet + found.excess)[shown], found.prediction.loss[shown], rtol=1e-12)


def test_marks_are_the_steps_of_the_phase() -> None:
    """A noise-dominated problem turns; one beyond the edge of nu = 1 grows."""
    state = replace(LAW, n_modes=None, batch_size=100, steps=10**6)
    turn = gf.phase(gf.PowerLaw(1.5, 2.0), gf.SGD(0.4, 0.0, 100)).transition_step
    assert model.curve(state).marks == ((turn, "noise takes over"),)
    state = replace(LAW, nu=0.9, n_modes=None, batch_size=1, learning_rate=0.1, steps=10**6)
    grows = gf.phase(gf.PowerLaw(0.9, 2.0), gf.SGD(0.1, 0.0, 1)).divergence_step
    assert (grows, "loss grows") in model.curve(state).marks


def test_the_map_has_the_loss_and_the_edge_of_its_settings_and_is_made_once_for_all_of_them() -> None:
    chart = model.chart(LAW)
    i, j = 20, 11
    setting = gf.SGD(float(chart.rates[i]), float(chart.momenta[j]), 20)
    problem = gf.PowerLaw(1.5, 2.0, n_modes=100)
    expected = np.log10(gf.predict(problem, setting, LAW.steps).loss)
    assert chart.decades[i, j] == pytest.approx(expected, abs=1e-5)
    assert chart.edge[20] == gf.max_learning_rate(problem, float(chart.edge_momenta[20]), 20)
    assert model.chart(replace(LAW, learning_rate=0.01, momentum=0.7)) is chart
    assert model.chart(replace(LAW, steps=2000)) is not chart


def test_the_prediction_beside_runs_is_that_of_their_last_step() -> None:
    """Not of the nearest step of the curve."""
    state = replace(LAW, steps=300)
    assert 300 not in model.steps_of(3000)
    expected = gf.predict(gf.PowerLaw(1.5, 2.0, n_modes=100), gf.SGD(0.4, 0.0, 20), 300).loss
    assert model.loss_at(state, 300) == expected


def test_a_map_that_is_no_longer_wanted_is_not_finished() -> None:
    from genfun.explorer.worker import Stale

    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stale

    state = replace(LAW, steps=77)
    with pytest.raises(Stale):
        model.chart(state, check=check)
    assert len(calls) == 3
    whole = gf.loss_map(
        gf.PowerLaw(1.5, 2.0, n_modes=100), *(getattr(model.chart(state), x) for x in ("rates", "momenta")), 77, 20
    )
    shown = np.isfinite(model.chart(state).decades)
    np.testing.assert_allclose(model.chart(state).decades[shown], (whole.log_loss / np.log(10.0))[shown], atol=1e-6)


@pytest.mark.slow
def test_nothing_stable_is_drawn_without_an_edge() -> None:
    chart = model.chart(replace(LAW, nu=0.9, n_modes=None, steps=10))
    assert (chart.edge == 0.0).all()


def test_the_border_of_two_phases_has_a_curve_and_words() -> None:
    state = replace(LAW, nu=2.0, zeta=1.5, steps=10)
    assert np.isfinite(model.curve(state).prediction.loss).all()
    assert any(line.startswith("Phase: ") for line in model.words(state))


def test_added_label_noise_adds_to_the_loss_at_the_start() -> None:
    quiet, loud = pose(LAW), pose(replace(LAW, label_noise=0.5))
    assert model.start_of(loud) - model.start_of(quiet) == pytest.approx(0.25, rel=1e-14)


@pytest.mark.slow
def test_what_does_not_go_together_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        pose(State(batch_size=1001))
    with pytest.raises(ValueError, match="tau2"):
        pose(replace(LAW, tau2=1.5))
    with pytest.raises(ValueError, match="modes to"):
        data_of(replace(LAW, n_modes=None))
    with pytest.raises(ValueError, match="label noise to 0"):
        data_of(State(label_noise=0.1))


def test_data_made_for_a_power_law_have_its_spectrum_and_its_batch_noise() -> None:
    """Batches with replacement: gamma = 1/b, as the prediction for streaming data has it, not (N-b)/((N-1)b)."""
    data, method = data_of(LAW)
    predicted = gf.predict(data.problem, method, [1, 100, 1000]).loss
    np.testing.assert_allclose(
        predicted, gf.predict(gf.PowerLaw(1.5, 2.0, n_modes=100), gf.SGD(0.4, 0.0, 20), [1, 100, 1000]).loss, rtol=1e-10
    )


@pytest.mark.parametrize(
    "state",
    [LAW, replace(OTHER, steps=100), State(label_noise=0.1, tau2=0.0), replace(LAW, steps=30, schedule="cosine")],
)
def test_the_python_lines_make_the_curve(state: State, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = python_lines(state).splitlines()
    assert lines[-1].startswith("gf.plotting.save(")  # drawn in the test of the files
    names: dict[str, Any] = {}
    exec("\n".join(lines[:-1]), names)
    np.testing.assert_array_equal(names["prediction"].loss, model.curve(state).prediction.loss)


def test_a_file_of_the_user_is_a_problem(tmp_path: Any) -> None:
    path = tmp_path / "a 'quoted' name.npz"
    rng = np.random.default_rng(0)
    np.savez(path, X=rng.standard_normal((40, 5)), y=rng.standard_normal(40))
    state = State(problem="file", batch_size=4, learning_rate=0.05)
    names: dict[str, Any] = {}
    exec("\n".join(python_lines(state, str(path)).splitlines()[:-1]), names)
    measure(state, str(path))
    np.testing.assert_array_equal(names["prediction"].loss, model.curve(state, str(path)).prediction.loss)
    with pytest.raises(ValueError, match="no file was given"):
        pose(state)


def test_a_file_is_first_shown_with_a_setting_that_fits_it(own: str) -> None:
    state = first_state(False, own)
    problem = pose(state, own).problem
    assert state.batch_size == problem.n_samples == 8
    largest = gf.max_learning_rate(problem, state.momentum, 8, pose(state, own).noise)
    assert state.learning_rate == pytest.approx(0.5 * largest, rel=0.01)
    assert largest < State().learning_rate, "the default would diverge"
    assert model.curve(state, own).stability.status == "converges"


@pytest.mark.slow
def test_the_words_are_those_of_explain() -> None:
    state = replace(LAW, n_modes=9, steps=100)
    assert model.words(state) == gf.explain(gf.PowerLaw(1.5, 2.0, n_modes=9), gf.SGD(0.4, 0.0, 20), 100).lines


@pytest.fixture
def heavy(tmp_path: Any) -> str:
    """Features with heavy tails: the fitted constants' edge is the larger."""
    rng = np.random.default_rng(1)
    x = rng.standard_t(2.5, (120, 6)) * np.arange(1.0, 7.0) ** -0.5
    np.savez(tmp_path / "heavy.npz", X=x, y=x @ np.ones(6) + 0.3 * rng.standard_normal(120))
    return str(tmp_path / "heavy.npz")


@pytest.mark.slow
def test_once_the_noise_of_data_is_measured_curve_colours_edge_and_words_are_by_it(heavy: str) -> None:
    state = replace(fitting(State(problem="file", batch_size=1, momentum=0.3), heavy), steps=50)
    data = gf.data.load(heavy)
    edge, drawn = (gf.max_learning_rate(data, 0.3, 1, noise) for noise in ("measured", "fitted"))
    assert edge < 0.9 * drawn
    state = replace(state, learning_rate=0.5 * (edge + drawn))  # between the two
    assert not is_known(state, heavy)
    assert model.curve(state, heavy).stability.status == "converges"
    measure(state, heavy)
    assert is_known(state, heavy)
    assert model.curve(state, heavy).stability.status == "diverges"
    assert model.loss_at(state, 50, heavy) == gf.predict(data, gf.SGD(state.learning_rate, 0.3, 1), 50).loss
    chart = model.chart(state, heavy)
    i = int(np.searchsorted(chart.edge_momenta, 0.0))
    assert chart.edge[i] == gf.max_learning_rate(data, float(chart.edge_momenta[i]), 1)
    cell = gf.SGD(float(chart.rates[20]), float(chart.momenta[22]), 1)
    assert 10.0 ** chart.decades[20, 22] == pytest.approx(gf.predict(data, cell, 50).loss, rel=1e-5)
    assert any(line.startswith("Batch noise is that of the data, measured") for line in model.words(state, heavy))


def test_constants_stand_where_the_state_asks_for_them(heavy: str) -> None:
    state = State(problem="file", batch_size=2, learning_rate=0.1)
    measure(state, heavy)
    assert pose(state, heavy).asked is own_noise(state, heavy) is not None
    for change in ({"tau2": 0.5}, {"label_noise": 0.1}, {"batch_size": None}, {"problem": "power-law"}):
        other = replace(state, **change)
        assert own_noise(other, heavy) is None
        assert isinstance(pose(other, heavy).noise, gf.SpectrallyExpressible)


def test_only_the_newest_question_is_answered() -> None:
    from genfun.explorer.worker import Newest

    answers: list[Any] = []
    first, go, done = threading.Event(), threading.Event(), threading.Event()
    worker = Newest(lambda deliver: deliver())

    def slow(check: Any) -> str:
        first.set()
        assert go.wait(10)
        check()
        return "old"

    worker.ask(slow, lambda answer, error: answers.append((answer, error)))
    assert first.wait(10)
    worker.ask(lambda check: 1 / 0, lambda answer, error: (answers.append((answer, type(error))), done.set()))
    go.set()
    assert done.wait(10)
    worker.close()
    assert answers == [(None, ZeroDivisionError)]


@pytest.mark.parametrize(
    "told", [1e308, -1e308, float("inf"), float("-inf"), float("nan"), 10**400, None, "1"], ids=repr
)
def test_a_slider_beyond_its_ends_stands_at_one_of_them(told: Any) -> None:
    pytest.importorskip("bokeh", reason="the page needs the extra `explorer`")
    from genfun.explorer.controls import ENDLESS, SLIDERS, Controls

    heard: list[tuple[str, Any]] = []
    nothing = [lambda _n, _c: None] * 2
    controls = Controls(State(), lambda name, value: heard.append((name, value)), pytest.fail, *nothing)
    for name in SLIDERS:
        controls._slid(name, told)
    if told is None or isinstance(told, str) or told != told:
        assert heard == []
        return
    assert [name for name, _ in heard] == list(SLIDERS)
    for name, value in heard:
        _, low, high, _, logarithmic = SLIDERS[name]
        end = high if told > 0 else low
        expected = None if name in ENDLESS and told > 0 else 10.0**end if logarithmic else end
        assert value == (None if expected is None else pytest.approx(expected, rel=1e-3))
        if value is not None:
            assert LIMITS[name][0] <= value <= LIMITS[name][1]


def test_a_problem_that_there_is_not_is_refused() -> None:
    pytest.importorskip("bokeh", reason="the page needs the extra `explorer`")
    from genfun.explorer.controls import Controls

    refused: list[str] = []
    controls = Controls(State(), lambda *_: pytest.fail("changed"), refused.append, *[lambda _n, _c: None] * 2)
    controls._typed("problem", "../../etc/passwd")
    controls._typed("steps", None)
    assert len(refused) == 1
    assert "problem must be one of" in refused[0]
