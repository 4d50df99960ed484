"""The explorer's further choices: a pinned setting, a column of a table, a schedule, held-out rows."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

import genfun as gf
from genfun.data.tables import Choices
from genfun.explorer import further, model
from genfun.explorer.downloads import python_lines
from genfun.explorer.given import OwnFile, columns, source, split
from genfun.explorer.look import SCENARIOS, scenario_links
from genfun.explorer.problems import data_of, first_state, measure, pose
from genfun.explorer.state import State, link, parse, parse_pinned
from genfun.schedules import Cosine, HoldThenLinear, ScheduledSGD

LAW = State(problem="power-law", nu=1.5, zeta=2.0, n_modes=100, learning_rate=0.4, momentum=0.0, batch_size=20)
FURTHER = replace(LAW, schedule="hold", hold=0.25, target="x & y", held_out=0.2)


def test_a_pinned_setting_comes_back_with_the_link() -> None:
    query = link(State(), FURTHER)
    assert parse_pinned(dict(parse_qsl(query))) == (FURTHER, ())
    assert link(State()) == State().query
    assert parse_pinned(dict(parse_qsl(State().query))) == (None, ())
    pinned, messages = parse_pinned({"pinned": "problem=power-law&momentum=<b>"})
    assert pinned is None
    assert messages[0].startswith("the pinned setting: momentum must be")


@pytest.fixture
def table(tmp_path: Any) -> str:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60, 3))
    rows = np.column_stack([x, x @ [1.0, 2.0, 0.5] + 0.3 * rng.standard_normal(60)])
    np.savetxt(tmp_path / "own.csv", rows, delimiter=",", header="a,b,c,price", comments="")
    return str(tmp_path / "own.csv")


def test_scenarios_are_links_to_views_that_show_what_their_names_say() -> None:
    for name, state in SCENARIOS.items():
        assert f'href="?{escape(state.query)}" target="_blank">{name}</a>' in scenario_links()
        assert parse(dict(parse_qsl(state.query)), State()) == (state, ())
    law = {name: pose(state) for name, state in SCENARIOS.items() if state.problem == "power-law"}
    noisy = law["noise sets the edge"]
    edge = gf.max_learning_rate(noisy.problem, 0.9, 1)
    assert 0.9 * edge < noisy.method.learning_rate < edge < 0.03 * 2.0 * 1.9 / noisy.problem.lambda_max
    late = law["stable for 4e7 steps"]
    assert 3e7 < gf.phase(late.problem, late.method).divergence_step < 5e7
    below = law["negative momentum"]
    loss = [gf.predict(below.problem, gf.SGD(rate, beta, 1), 1000).loss for rate, beta in ((0.248, -0.138), (0.3, 0.0))]
    assert loss[0] < loss[1]


def test_the_target_is_a_column_of_the_table(table: str) -> None:
    assert columns(table) == ("a", "b", "c", "price")
    for target in ("", "b", "0"):
        given: Any = source(State(problem="file", target=target), table)
        np.testing.assert_array_equal(given.targets, gf.data.load(table, target=target or None).targets)
    with pytest.raises(ValueError, match="did you mean 'price'"):
        pose(State(problem="file", target="prise"), table)
    with pytest.raises(ValueError, match="of your own table"):
        pose(State(target="price"))


def test_a_schedule_is_predicted_over_its_steps_and_its_words_name_the_constant_rate() -> None:
    for schedule, rate in (("hold", HoldThenLinear(0.4, 0.25, 40)), ("cosine", Cosine(0.4, 40))):
        state = replace(LAW, steps=40, schedule=schedule, hold=0.25)
        found = model.curve(state).prediction
        run = ScheduledSGD(rate, 0.0, 20)
        assert found.steps[-1] == 40, "not 10 T, where the rate is 0"
        np.testing.assert_array_equal(found.loss, gf.predict(gf.PowerLaw(1.5, 2.0, n_modes=100), run, found.steps).loss)
        constant = gf.predict(gf.PowerLaw(1.5, 2.0, n_modes=100), gf.SGD(0.4, 0.0, 20), 40).loss
        assert any(f"{constant:.3g}" in line for line in model.words(state))
        assert model.chart(state) is model.chart(replace(LAW, steps=40)), "the map is of constant rates"
    assert data_of(state)[1] == replace(run, replacement=True)


def test_the_test_loss_is_that_of_predict_test_on_rows_not_trained_on(table: str) -> None:
    state = State(problem="file", batch_size=4, learning_rate=0.05, momentum=0.0, steps=50, held_out=0.2)
    held = split(state, table)
    assert held is not None
    assert (held.data.n_samples, len(held.y_test)) == (48, 12)
    assert source(state, table) is held.data
    found = further.held_out_loss(state, table)
    assert found is not None
    expected = gf.predict_test(held.data, gf.SGD(0.05, 0.0, 4), [50, 500], held.X_test, held.y_test, held.X_train)
    np.testing.assert_array_equal(found.loss, expected.loss)
    (line,) = further.held_out_words(found)
    assert f"on 12 held-out rows: {expected.loss[0]:.4g} at step 50" in line
    names: dict[str, Any] = {}
    exec("\n".join(python_lines(state, table).splitlines()[:-1]), names)
    measure(state, table)
    np.testing.assert_array_equal(names["prediction"].loss, model.curve(state, table).prediction.loss)


def test_a_table_is_read_as_the_command_line_says_and_so_are_the_lines_to_take_away(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{10 * rng.normal():.4f},{'ab'[i % 2]},{rng.normal():.4f},{i}" for i in range(40)]
    path = tmp_path / "homes.csv"
    path.write_text("\n".join(["size,kind,price,id", *rows]))
    asked = Choices(target="price", drop=("id",), standardize=True, one_hot=True)
    own = OwnFile(str(path), asked)
    expected = gf.data.load(path, target="price", drop="id", standardize=True, one_hot=True)
    first = first_state(False, own)
    assert first.target == "price"
    data = source(first, own)
    assert isinstance(data, gf.LinearData)
    np.testing.assert_array_equal(data.eigenvalues, expected.eigenvalues)
    # The page goes on from half of the edge, once the noise is measured too.
    measure(first, own)
    again = first_state(False, own)
    edge = gf.max_learning_rate(expected, again.momentum, again.batch_size)
    assert again.learning_rate == pytest.approx(0.5 * edge, rel=5e-3)
    for state in (again, replace(again, held_out=0.25)):
        names: dict[str, Any] = {}
        exec("\n".join(python_lines(state, own).splitlines()[:-1]), names)
        assert names["data"].rank == 3
        np.testing.assert_array_equal(names["data"].eigenvalues, source(state, own).eigenvalues)
    with pytest.raises(ValueError, match="drop has 'id', which is the target"):
        source(replace(again, target="id"), own)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": "hold", "steps": 10**5}, "at most 10,000"),
        ({"schedule": "hold", "n_modes": 10**5}, "10,000 modes"),
        ({"held_out": 0.2}, "no rows to hold out"),
        ({"held_out": 0.2, "problem": "mnist-ntk", "schedule": "cosine"}, "constant rates"),
        ({"held_out": 0.2, "problem": "mnist-ntk", "tau2": 0.5}, "tau2 to default"),
        ({"held_out": 0.2, "problem": "mnist-ntk", "label_noise": 0.1}, "label noise to 0"),
    ],
)
def test_choices_that_no_answer_takes_together_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pose(replace(LAW, **change))


@pytest.mark.slow
def test_the_best_schedule_is_gone_to_with_its_rate_and_its_share() -> None:
    state = replace(LAW, nu=1.2, zeta=0.5, n_modes=20, steps=60, batch_size=2, label_noise=0.2, schedule="hold")
    found = further.schedule(state)
    line, fields = further.shown_schedule(found)
    assert f"loss {found.loss:.4g}" in line
    assert fields is not None
    there = replace(state, **fields)
    assert model.loss_at(there, 60) == pytest.approx(found.loss, rel=1e-3)
    assert found.loss < model.loss_at(replace(there, learning_rate=0.7 * there.learning_rate), 60)
