"""`genfun report`: what it prints, the files that it writes, and the folders that it replaces."""

from __future__ import annotations

import json

import pytest
from command_line import run

from genfun.answers import max_learning_rate
from genfun.data import mnist

pytestmark = pytest.mark.usefixtures("coarse_searches")
SMALL = ("mnist", "--n", "24", "--seed", "3")
QUICK = ("--batch-sizes", "1", "--momenta", "-0.5", "--steps", "1e1")


@pytest.fixture(scope="module")
def digits():
    return mnist(24, 3)


@pytest.mark.slow
def test_report_prints_tables_and_says_where_the_files_are(tmp_path, digits):
    result = run("report", *SMALL, *QUICK, "--out", tmp_path / "r")
    tables = ("spectrum.csv", "loss_curves.csv", "max_learning_rate.csv", "best_settings.csv", "phases.csv")
    for name in ("report.html", "report.json", *tables):
        assert (tmp_path / "r" / name).is_file()
        assert f"wrote {tmp_path / 'r' / name}" in result.stdout
    assert f"{max_learning_rate(digits, -0.5, 1):.4g}" in result.stdout
    assert "model=ntk, n=24, seed=3" in result.stdout
    assert "\x1b[" not in result.stdout


@pytest.mark.slow
def test_a_report_is_replaced_by_that_of_the_same_command_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    law = ("report", "power-law", "--n-modes", 9, *QUICK)
    page = tmp_path / "genfun-report-power-law" / "report.html"
    run(*law)
    before = page.read_bytes()
    remedy = "choose another folder by --out, or replace it by --force"
    said = run(*law, "--nu", 1.7, code=2).stderr
    assert f"'genfun-report-power-law' holds the report of power-law, n_modes=9, nu=1.5, zeta=0.5; {remedy}" in said
    for other in (("--momenta", 0.5), ("--best-at", 3)):
        assert f"holds a report with other options; {remedy}" in run(*law, *other, code=2).stderr
    assert page.read_bytes() == before
    monkeypatch.setattr("genfun.report.build", stopped)
    for allowed in ((), ("--best-at", 10), ("--nu", 1.7, "--force"), ("--nu", 1.7, "--out", "other")):
        assert "the report begins" in run(*law, *allowed, code=2).stderr


def stopped(*_, **__):
    raise ValueError("the report begins")


def test_files_that_are_no_report_are_not_replaced_by_one(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    assert "holds files of the same names" in run("report", "power-law", "--out", tmp_path, code=2).stderr
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.slow
def test_report_json_is_the_file_and_the_paths_go_to_stderr(tmp_path):
    result = run("report", *SMALL, *QUICK, "--out", tmp_path, "--json")
    assert result.stdout == (tmp_path / "report.json").read_text(encoding="utf-8")
    found = json.loads(result.stdout)
    assert found["inputs"]["seed"] == 3
    assert (found["inputs"]["last_step"], found["inputs"]["best_step"]) == (10, 10)
    assert "wrote" in result.stderr


@pytest.mark.slow
def test_the_page_names_options_as_the_command_does(tmp_path):
    (tmp_path / "rows.csv").write_text("a,y\n" + "".join(f"{i % 3 - 1},{i % 4}\n" for i in range(12)))
    run("report", tmp_path / "rows.csv", *QUICK, "--out", tmp_path / "r")
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "is the target; --target chooses another" in page
    assert "target= chooses" not in page


@pytest.mark.slow
def test_report_of_a_power_law_needs_no_data(tmp_path):
    shown = run("report", "power-law", "--nu", 1.5, "--zeta", 0.5, *QUICK, "--best-at", 1, "--out", tmp_path).stdout
    assert "infinitely many" in shown
    assert "streaming" in shown
