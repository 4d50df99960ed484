"""The report says what the API says."""

from __future__ import annotations

import csv
import json
import re
from html import unescape

import numpy as np
import pytest
from command_line import strict
from rich.console import Console

import genfun as gf
from genfun.answers import max_learning_rate, predict, stability
from genfun.report import build, columns, files, rate_limit, tables
from genfun.report.html import signs
from genfun.report.text import print_report


@pytest.mark.slow
def test_every_limit_is_the_answer_of_the_api(report, data):
    assert len(report.limits) == 6
    for limit in report.limits:
        arguments = (data.problem, limit.momentum, limit.batch_size)
        assert limit.learning_rate == max_learning_rate(*arguments, noise=data.measured_noise)
        assert limit.effective_learning_rate == pytest.approx(limit.learning_rate / (1.0 - limit.momentum), rel=1e-15)
        assert limit.at_tau2_plus is limit.at_tau2_minus is None
        assert limit.noise_error == (data.measured_noise.error if limit.limit == "noise" else 0.0)
        assert limit.popular == pytest.approx(2.0 * (1.0 + limit.momentum) / data.problem.lambda_max, rel=1e-15)
        assert limit.factor == pytest.approx(limit.popular / limit.learning_rate, rel=1e-15)
        inside = stability(
            data.problem, gf.SGD(0.9 * limit.learning_rate, limit.momentum, limit.batch_size), data.measured_noise
        )
        assert (inside.status, inside.limit) == ("converges", limit.limit)


def test_the_popular_formula_is_41_times_too_large_in_the_known_case():
    limit = rate_limit(gf.PowerLaw(1.5, 0.5, n_modes=1000), 0.9, 1, gf.SpectrallyExpressible())
    assert round(limit.factor) == 41


@pytest.mark.slow
def test_a_batch_of_all_samples_is_the_full_batch(report):
    full = [limit for limit in report.limits if limit.batch_size is None]
    assert [limit.momentum for limit in full] == [0.0, 0.9]
    assert all(limit.limit == "curvature" and limit.factor == 1.0 for limit in full)


def test_every_curve_is_the_prediction_of_the_api(report, data):
    assert [(c["batch_size"], c["choice"]) for c in map(columns, report.curves)] == [
        (b, choice) for b in (1, 10, None) for choice in ("reference", "best")
    ]
    for shown in report.curves:
        c = shown.prediction
        r = predict(data.problem, c.method, c.steps, data.measured_noise)
        np.testing.assert_array_equal(c.loss, r.loss)
        assert repr(shown.stability) == repr(stability(data.problem, c.method, data.measured_noise))
        assert c.steps[0] == 0
        assert c.steps[-1] == 1000
        limit = max_learning_rate(data.problem, c.method.momentum, c.method.batch_size, data.measured_noise)
        assert c.method.learning_rate == pytest.approx(shown.share * limit, rel=1e-12)
        assert shown.last is None
        np.testing.assert_array_equal(columns(shown)["noise_error"], r.noise_error)


def test_the_best_setting_is_no_worse_than_any_on_the_grid(report, data):
    for b in (1, 10, None):
        of_batch = [c for c in report.curves if c.prediction.method.batch_size == b]
        best = next(c.prediction for c in of_batch if c.choice == "best")
        for limit in (limit for limit in report.limits if limit.batch_size == b):
            for share in (0.25, 0.5, 0.75):
                other = predict(
                    data.problem, gf.SGD(share * limit.learning_rate, limit.momentum, b), 1000, data.measured_noise
                )
                # The same setting asked for at other steps may differ by the error estimate.
                assert best.log_loss[-1] <= float(other.log_loss) + 2.0 * float(other.error)


@pytest.mark.slow
def test_every_best_setting_is_that_of_optimize_with_its_noise_error(report, data):
    assert [best.optimum.method.batch_size for best in report.best] == [1, 10, None]
    for best in report.best:
        o = gf.optimize(data.problem, best.optimum.method.batch_size, 60, noise=data.measured_noise)
        assert best.optimum == o
        row = columns(best)
        assert (row["step"], row["loss"], row["at_tau2_plus"], row["at_tau2_minus"]) == (60, o.loss, None, None)
        assert row["noise_error"] == float(predict(data.problem, o.method, 60, data.measured_noise).noise_error)
        assert gf.SGD(row["learning_rate"], row["momentum"], row["batch_size"]) == o.method


def test_every_phase_is_that_of_the_setting(report, data):
    choices = [(phase.method.batch_size, phase.choice) for phase in report.phases]
    assert choices == [(b, choice) for b in (1, 10, None) for choice in ("reference", "best", "optimum")]
    for shown in report.phases:
        f = gf.phase(data, shown.method)
        assert shown.phase == f
        row = columns(shown)
        assert (row["name"], row["constant"], row["end_step"]) == (f.name, f.constant, f.end_step)
    settings = {c.prediction.method for c in report.curves} | {o.optimum.method for o in report.best}
    assert {phase.method for phase in report.phases} == settings


def test_what_is_no_entry_of_a_report_has_no_columns():
    with pytest.raises(TypeError, match="entry must be one of NoiseSummary, RateLimit"):
        columns(gf.SGD(0.1))


@pytest.mark.slow
def test_the_words_are_those_of_explain_for_the_middle_mini_batch(report, data, written):
    assert report.advice.best is report.best[1].optimum
    told = gf.explain(data, report.advice.method, 60)
    assert report.explanation is not None
    assert report.explanation.lines == told.lines
    page = unescape(written["report.html"].read_text(encoding="utf-8"))
    found = json.loads(written["report.json"].read_text(encoding="utf-8"))["result"]["explanation"]
    assert found["lines"] == list(told.lines)
    assert all(f"<li>{unescape(str(signs(line)))}</li>" in page for line in told.lines)
    assert "the setting to use with batch size 10" in page


def test_every_cost_is_that_of_the_best_rate_at_the_batch_size(report, data):
    assert [cost.batch_size for cost in report.costs] == [1, 10, None]
    target = 0.5 * (0.1 * data.problem.signal_total + data.problem.noise_variance)
    for cost in report.costs:
        b = cost.batch_size or data.problem.n_samples
        setting = gf.SGD(cost.learning_rate, 0.0, b)
        assert cost.loss == target
        assert cost.steps == gf.steps_to_loss(data.problem, setting, target, data.measured_noise)
        assert cost.samples == b * cost.steps
        assert cost.noise_scale == gf.noise_scale(data.problem, setting, int(cost.steps), data.noise).samples
    assert report.costs[0].steps > report.costs[-1].steps


@pytest.mark.slow
def test_the_best_step_is_by_default_1000_or_the_last():
    p = gf.PowerLaw(1.5, 0.5, n_modes=20)
    for last, step in ((5, 5), (2000, 1000)):
        r = build(p, batch_sizes=[None], momenta=[0.0], last_step=last)
        assert (r.best[0].optimum.steps, r.inputs["best_step"]) == (step, step)


def test_the_data_are_described(report, data):
    summary = report.data
    assert (summary.n_samples, summary.rank, summary.n_outputs, summary.n_dropped) == (200, 30, 1, 0)
    assert summary.initial_loss == pytest.approx(0.5 * (data.problem.signal.sum() + data.noise_variance), rel=1e-14)
    assert summary.trace == pytest.approx(data.problem.eigenvalues.sum(), rel=1e-14)
    assert report.noise.source == "measured on the data"
    assert columns(report.noise)["error"] == data.measured_noise.error
    assert report.noise.noise is data.measured_noise
    assert report.noise.estimate is not None
    assert report.noise.estimate == data.noise_fit


@pytest.mark.slow
def test_fitted_constants_come_with_the_band_over_noise_models(data):
    r = build(data, noise="fitted", batch_sizes=[5], momenta=[0.5], last_step=10)
    assert (r.noise.source, r.noise.noise) == ("estimated from the data", data.noise)
    ends = [gf.SpectrallyExpressible(1.0, tau2) for tau2 in (1.0, -1.0)]
    assert [r.limits[0].at_tau2_plus, r.limits[0].at_tau2_minus] == [
        max_learning_rate(data.problem, 0.5, 5, noise=end) for end in ends
    ]
    curve, best = r.curves[0], r.best[0]
    for shown, method in ((curve.last, curve.prediction.method), (best.band, best.optimum.method)):
        assert [shown.plus, shown.minus] == [float(predict(data.problem, method, 10, end).loss) for end in ends]


@pytest.mark.slow
def test_labels_of_another_variance_go_with_fitted_constants_only(data):
    r = build(data, batch_sizes=[5], momenta=[0.0], last_step=10, noise_variance=0.5)
    assert (r.noise.source, r.noise.noise) == ("estimated from the data", data.noise)
    with pytest.raises(ValueError, match="leave out noise_variance, or use noise='fitted'"):
        build(data, noise="measured", noise_variance=0.5)


@pytest.mark.slow
def test_given_noise_and_noise_variance_are_used(data):
    noise = gf.SpectrallyExpressible(1.0, -1.0)
    r = build(data, noise=noise, batch_sizes=[5], momenta=[0.0], last_step=10, noise_variance=0.5)
    assert (r.noise.source, r.noise.noise, r.data.noise_variance) == ("given", noise, 0.5)
    assert r.limits[0].learning_rate == r.limits[0].at_tau2_minus
    assert r.curves[0].prediction.loss[0] == pytest.approx(0.5 * (data.problem.signal.sum() + 0.5), rel=1e-12)


@pytest.mark.slow
def test_the_default_batch_sizes_stay_below_the_samples():
    r = build(gf.PowerLaw(1.5, 0.5, n_modes=20, n_samples=100), momenta=[0.0], last_step=2)
    assert [limit.batch_size for limit in r.limits] == [1, 10, None]


def test_an_infinite_trace_is_reported_and_leaves_no_mini_batch_curve():
    r = build(gf.PowerLaw(0.8, 0.5), batch_sizes=[10], momenta=[0.0, 0.5], last_step=100)
    assert all(limit.learning_rate == 0.0 and np.isinf(limit.factor) for limit in r.limits)
    assert r.curves == r.best == r.phases == ()
    assert r.explanation is None
    assert strict(files.as_json(r))["result"]["limits"][0]["factor"] == "inf"
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_report(r, console)
    assert "infinite" in console.export_text()


def test_text_fits_a_hundred_columns_without_folded_numbers(report):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_report(report, console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 100
    for limit in report.limits:
        assert re.search(rf"\s{limit.learning_rate:.4g}\s", text)
    assert "…" not in text
    for o in (best.optimum for best in report.best):
        m = o.method
        assert re.search(rf"\s{m.learning_rate:.4g}\s+\S+\s+{m.momentum:.4g}\s+{o.loss:.{min(4, o.digits)}g}\s", text)
    assert "- It converges" in text


@pytest.mark.slow
def test_the_map_is_that_of_the_api_about_the_recommended_setting(report, data, written):
    m, chosen = report.chart, report.explanation.method
    assert (m.batch_size, m.step) == (chosen.batch_size, 60)
    assert m.learning_rates[0] < chosen.learning_rate < m.learning_rates[-1]
    assert m.momenta[0] <= chosen.momentum <= m.momenta[-1]
    rates, momenta = m.learning_rates[8:10], m.momenta[10:12]
    expected = gf.loss_map(data.problem, rates, momenta, 60, chosen.batch_size, data.measured_noise)
    np.testing.assert_allclose(m.loss[8:10, 10:12], expected.loss, rtol=1e-6)
    edge = gf.max_learning_rate(data, float(m.momenta[10]), chosen.batch_size)
    np.testing.assert_array_equal(m.noise_gain[:, 10] < 1.0, m.learning_rates < edge)
    with open(written["loss_map.csv"], newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert len(cells) == m.loss.size
    k = 9 * m.momenta.size + 11
    assert float(cells[k]["loss"]) == m.loss[9, 11]
    assert float(cells[k]["learning_rate"]) == m.learning_rates[9]
    page = written["report.html"].read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml") == 3 + report.fit.is_power_law


@pytest.mark.slow
def test_stacked_tables_repeat_what_tells_their_rows_apart(report):
    console = Console(width=56, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_report(report, console)
    text = console.export_text()
    for name in ("limit_table", "curve_table", "best_table", "cost_table", "phase_table"):
        table = getattr(tables, name)(report)
        keys = [row[: table.keys] for row in table.rows]
        assert len(set(keys)) == len(keys), name
    for row in tables.curve_table(report).rows:
        pattern = r"\s+".join(map(re.escape, row[:4]))
        assert len(re.findall(rf"^ +{pattern} ", text, re.MULTILINE)) >= 2, row


@pytest.mark.slow
def test_a_note_about_phases_comes_once_with_its_rows(report):
    caption = tables.phase_table(report).caption
    notes = [note for shown in map(columns, report.phases) for note in shown["notes"] if note not in report.fit.notes]
    notes = [note for note in notes if not note.startswith("label noise")]
    assert notes
    for note in list(dict.fromkeys(notes))[:3]:
        assert caption.count(note) == 1
    told = caption[caption.index("those of the curves.") :]
    assert "In every row: " in told or "In the rows of batch 1" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_sizes": [201]}, r"batch_size must be at most n_samples=200, got 201"),
        ({"batch_sizes": []}, r"batch_sizes is empty"),
        ({"momenta": [1.0]}, r"momentum must lie strictly between -1 and 1, got 1.0"),
        ({"momenta": []}, r"momenta is empty"),
        ({"last_step": 0}, r"last_step must be at least 1, got 0"),
        ({"best_step": 0}, r"best_step must be at least 1, got 0"),
        ({"noise_variance": -1.0}, r"noise_variance must be zero or positive, got -1.0"),
    ],
)
def test_wrong_arguments_are_named(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(data, **arguments)
