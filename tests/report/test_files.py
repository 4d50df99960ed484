"""The files of a report are whole, valid and self-contained."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from command_line import strict

import genfun as gf
from genfun.report import build, files, write
from genfun.report.encode import plain

FILES = {"report.html", "report.json", "spectrum.csv", "loss_curves.csv", "max_learning_rate.csv"}
FILES |= {"best_settings.csv", "batch_sizes.csv", "phases.csv", "loss_map.csv"}


@pytest.mark.slow
def test_json_holds_every_number_with_inputs_and_version(report):
    found = strict(files.as_json(report))
    assert (found["genfun"], found["command"]) == (gf.__version__, "report")
    assert found["inputs"]["momenta"] == [0.0, 0.9]
    assert found["inputs"]["batch_sizes"] == [1, 10, None]
    result = found["result"]
    assert [limit["learning_rate"] for limit in result["limits"]] == [limit.learning_rate for limit in report.limits]
    assert result["curves"][0]["loss"] == report.curves[0].prediction.loss.tolist()
    assert result["spectrum"]["eigenvalues"] == report.spectrum.eigenvalues.tolist()
    assert result["fit"]["nu"] == report.fit.nu
    assert '"inf"' in found["conventions"]


def test_numbers_that_json_cannot_write_are_strings():
    assert plain([np.inf, -np.inf, np.nan, np.float64(1.0), np.int64(2), None, True]) == [
        "inf",
        "-inf",
        "nan",
        1.0,
        2,
        None,
        True,
    ]


@pytest.mark.slow
def test_a_report_without_exponents_is_written_too(tmp_path):
    r = build(gf.LinearProblem([1.0], [1.0]), batch_sizes=[1], momenta=[0.0], last_step=1)
    paths = write(r, tmp_path / "deep" / "er")
    found = strict(paths["report.json"].read_text())["result"]
    assert (found["fit"]["nu"], found["phases"][0]["name"]) == ("nan", None)
    assert found["explanation"]["phase"] is None


@pytest.mark.slow
def test_all_files_are_written_and_no_other(written):
    directory = written["report.html"].parent
    assert {path.name for path in directory.iterdir()} == set(written) == FILES


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(written):
    text = written["report.html"].read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"} == set()
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4
    assert all((image["src"] or "").startswith("data:image/svg+xml;base64,") and image["alt"] for image in images)
    assert not re.search(r"https?://|url\(|@import", text)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert "test &lt;&amp;&gt; data" in text
    assert "2(1+β)/λ<sub>max</sub>" in text
    assert not re.search(r"lambda_max|beta|tau[12]|R\^2", text)


@pytest.mark.slow
def test_the_page_shows_the_learning_rates(written, report):
    text = written["report.html"].read_text(encoding="utf-8")
    assert all(f"<td>{limit.learning_rate:.4g}</td>" in text for limit in report.limits)


@pytest.mark.slow
def test_the_same_report_gives_the_same_page(written, report, tmp_path):
    again = write(report, tmp_path)
    assert all(again[name].read_bytes() == written[name].read_bytes() for name in FILES)


@pytest.mark.slow
def test_csv_twins_hold_the_plotted_numbers(written, report):
    def rows(name: str):
        with open(written[name], newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    np.testing.assert_array_equal(
        [float(row["eigenvalue"]) for row in rows("spectrum.csv")], report.spectrum.eigenvalues
    )
    curve = report.curves[-1]
    last = [row for row in rows("loss_curves.csv") if (row["batch_size"], row["choice"]) == ("full", "best")]
    np.testing.assert_array_equal([float(row["loss"]) for row in last], curve.prediction.loss)
    limits = rows("max_learning_rate.csv")
    assert [float(row["learning_rate"]) for row in limits] == [limit.learning_rate for limit in report.limits]
    best = rows("best_settings.csv")
    assert [float(row["momentum_range_high"]) for row in best] == [b.optimum.momentum_range[1] for b in report.best]
    assert [float(row["loss"]) for row in best] == [b.optimum.loss for b in report.best]
    phases = rows("phases.csv")
    assert [(row["name"], float(row["transition_step"])) for row in phases] == [
        (shown.phase.name, shown.phase.transition_step) for shown in report.phases
    ]


@pytest.mark.slow
def test_an_interruption_leaves_the_old_files_and_nothing_half_written(report, tmp_path, monkeypatch):
    monkeypatch.setattr("genfun.report.html.page", lambda report: "page")
    old = write(report, tmp_path)
    old["report.html"].write_text("old")
    written = []

    def interrupted(handle):
        written.append(handle)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(report, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert old["report.html"].read_text() == "old"
