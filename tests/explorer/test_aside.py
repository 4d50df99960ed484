"""Epochs, averaged weights and steps against batch size in the explorer: its functions, without a browser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

import genfun as gf
from genfun.explorer import further, model
from genfun.explorer.averages import averaged, averaged_words
from genfun.explorer.batches import against_batch, against_batch_words
from genfun.explorer.beside import Pinned, of_best
from genfun.explorer.downloads import files, python_lines
from genfun.explorer.problems import MOST_SCHEDULED, data_of, measure, pose
from genfun.explorer.state import State, parse

LAW = State(problem="power-law", n_modes=20, learning_rate=0.4, momentum=0.0, batch_size=2, steps=60, label_noise=0.2)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 3))
    rows = np.column_stack([x, x @ [1.0, 2.0, 0.5] + 0.3 * rng.standard_normal(300)])
    path = tmp_path_factory.mktemp("tables") / "own.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,c,price", comments="")
    measure(FRESH, str(path))
    return str(path)


FRESH = State(problem="file", batch_size=8, learning_rate=0.2, momentum=0.0, steps=74)
EPOCHS = replace(FRESH, sampling="epochs")


def _run(lines: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    drawn = ("plot()", "line(ax", "ax.legend", "plotting.save")
    exec("\n".join(line for line in lines.splitlines() if not any(word in line for word in drawn)), names)
    return names


def test_all_of_it_is_in_the_link() -> None:
    state = replace(FRESH, sampling="replacement", average="tail", decay=0.9, tail=0.25, below="batch")
    assert parse(dict(parse_qsl(state.query))) == (state, ())
    _, messages = parse({"sampling": "sorted", "average": "<b>", "below": "", "decay": "1"})
    assert [m.split(" must be")[0] for m in messages] == ["sampling", "average", "below", "decay"]


@pytest.mark.slow
@pytest.mark.usefixtures("coarse_searches")
def test_in_epochs_curve_and_first_words_are_those_of_predict_and_the_rest_says_fresh(table: str) -> None:
    data, run = gf.data.load(table), gf.SGD(0.2, 0.0, 8, sampling="epochs")
    found = model.curve(EPOCHS, table).prediction
    np.testing.assert_array_equal(found.loss, gf.predict(data, run, found.steps).loss)
    at_end, fresh = gf.predict(data, run, 74).loss, gf.predict(data, gf.SGD(0.2, 0.0, 8), 74).loss
    assert at_end < 0.995 * fresh, "otherwise the words could not be wrong"
    first, second, *rest = model.words(EPOCHS, table)
    assert f"in epochs of 37 steps: loss {at_end:.3g} at step 74; with fresh batches it is {fresh:.3g}." in first
    assert second.endswith("are those of fresh batches.")
    assert tuple(rest) == model.words(FRESH, table)
    assert model.loss_at(EPOCHS, 74, table) == at_end
    assert data_of(EPOCHS, table)[1] == run, "runs of SGD go in epochs too"
    assert model.chart(EPOCHS, table) is model.chart(FRESH, table)
    assert "in epochs" in Pinned(FRESH, table).words(EPOCHS, table)[1]
    assert model.last_step(pose(EPOCHS, table), replace(EPOCHS, steps=MOST_SCHEDULED)) == MOST_SCHEDULED


def test_an_uncertain_answer_in_epochs_says_so(table: str) -> None:
    high = replace(EPOCHS, learning_rate=1.0)
    assert model.curve(high, table).prediction.status == "epochs uncertain"
    assert further.epochs_words(high, table)[1].startswith("Epochs uncertain: so near the stability edge")
    assert not any("uncertain" in line for line in further.epochs_words(EPOCHS, table))


@pytest.mark.slow
@pytest.mark.usefixtures("coarse_searches")
def test_batches_with_replacement_are_those_of_every_answer(table: str) -> None:
    data, drawn = gf.data.load(table), replace(FRESH, batch_size=30, sampling="replacement")
    setting = gf.SGD(0.2, 0.0, 30, replacement=True)
    assert model.loss_at(drawn, 74, table) == gf.predict(data, setting, 74).loss
    chart = model.chart(drawn, table)
    i = int(np.searchsorted(chart.edge_momenta, 0.0))
    beta = float(chart.edge_momenta[i])
    assert chart.edge[i] == gf.max_learning_rate(data, method=replace(setting, momentum=beta))
    assert chart.edge[i] < 0.995 * gf.max_learning_rate(data, beta, 30)
    assert "batch size 30 drawn with replacement" in model.words(drawn, table)[0]
    assert model.best(drawn, table).method.replacement


@pytest.mark.parametrize(
    ("average", "method"),
    [
        ({"average": "ema", "decay": 0.9}, gf.Averaged(gf.SGD(0.4, 0.0, 2), "ema", decay=0.9)),
        ({"average": "tail", "tail": 0.5}, gf.Averaged(gf.SGD(0.4, 0.0, 2), "tail", start=30)),
    ],
    ids=["ema", "tail"],
)
def test_averaged_weights_are_drawn_beside_the_last_ones(average: dict[str, Any], method: Any) -> None:
    state = replace(LAW, **average)
    found = averaged(state)
    assert found is not None
    assert found.steps[-1] == 600
    law = gf.PowerLaw(1.5, 0.5, n_modes=20, noise_variance=0.2)
    np.testing.assert_array_equal(found.loss, gf.predict(law, method, found.steps).loss)
    assert model.curve(state) is model.curve(LAW), "of the last weights"
    expected, last = gf.predict(law, method, 60).loss, gf.predict(law, gf.SGD(0.4, 0.0, 2), 60).loss
    (line,) = averaged_words(found, state)
    assert f"loss {expected:.3g} at step 60, {last / expected:.3g} times less than that of the last weights." in line
    assert of_best(state, None) == of_best(LAW, None)
    names = _run(python_lines(state))
    np.testing.assert_array_equal(names["averaged"].loss, gf.predict(law, method, names["steps"]).loss)
    assert b"averaged weights" in files(state)["curve.csv"]
    assert averaged(LAW) is None


def test_steps_against_batch_size_are_those_of_critical_batch_size_at_the_loss_of_step_t() -> None:
    state = replace(LAW, below="batch", batch_size=16, average="ema")
    found, steps = against_batch(state)
    law = gf.PowerLaw(1.5, 0.5, n_modes=20, noise_variance=0.2)
    loss = float(gf.predict(law, gf.SGD(0.4, 0.0, 16), 60).loss)
    expected = gf.critical_batch_size(law, gf.SGD(0.4, 0.0, 16), loss=loss)
    assert (found.batch_size, found.loss, steps) == (expected.batch_size, loss, 60.0)
    np.testing.assert_array_equal(found.steps, expected.steps)
    least = expected.samples.min()
    more = 100.0 * (16 * 60 / least - 1.0)
    assert more > 1.0
    assert against_batch_words(found, steps, state).endswith(f"; 16 takes {more:.0f} % more.")
    scheduled = replace(state, average="none", schedule="cosine")
    assert against_batch(scheduled)[0].loss == loss
    assert against_batch_words(found, steps, scheduled).startswith("At a constant rate, samples to loss")
    assert "critical_batch_size(problem, method, loss=float(gf.predict(problem, method, 60, noise).loss)" in (
        python_lines(state)
    )
    with pytest.raises(ValueError, match="not below that at the start"):
        against_batch(replace(state, learning_rate=3.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "power-law"}, "epochs need data"),
        ({"schedule": "cosine"}, "set the schedule to constant, or batches to fresh"),
        ({"average": "ema"}, "averages are derived for fresh batches"),
        ({"average": "ema", "sampling": "fresh", "schedule": "hold"}, "averages are derived for constant rates"),
        ({"held_out": 0.2}, "test loss is derived for fresh batches"),
        ({"steps": 10**5}, "epochs are followed step by step: set step T to at most 10,000"),
        ({"steps": 10**5, "sampling": "fresh", "average": "tail"}, "a tail average is followed step by step"),
    ],
)
def test_what_no_answer_knows_together_is_refused_by_name(table: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pose(replace(EPOCHS, **change), table)
    pose(EPOCHS, table)


def test_the_python_lines_of_epochs_make_the_curve_and_its_picture_is_drawn(table: str) -> None:
    names = _run(python_lines(EPOCHS, table))
    np.testing.assert_array_equal(names["prediction"].loss, model.curve(EPOCHS, table).prediction.loss)
    assert b"added by batch noise" in files(EPOCHS, table)["curve.csv"]


def test_gains_in_words() -> None:
    assert further.gain_words(-np.log(3.0)) == "3 times more"
