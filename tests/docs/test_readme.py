"""The README says what the package does: its links lead somewhere, its names exist, its numbers are those measured.

The code blocks run as doctests of README.md itself.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

import genfun as gf
from validation.page import markdown

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "docs" / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_local_link_leads_to_a_file():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert {"docs/img/mnist.png", "docs/img/mnist.csv", "docs/validation.md", "benchmarks/results.json"} <= set(links)
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_name_shown_exists():
    names = set(re.findall(r"\bgf\.([A-Za-z_.]+[A-Za-z])", README))
    assert len(names) > 10
    for name in names:
        value = gf
        for part in name.split("."):
            value = getattr(value, part)
    for rest in ("from_kernel", "from_features"):
        assert hasattr(gf.LinearData, rest)
    assert hasattr(gf.experiments, "agree")


def test_the_two_commands_are_shown():
    assert "pip install . && genfun report mnist" in README
    assert 'pip install -e ".[dev]" -c constraints.txt && python -m pytest' in README


def test_the_limits_quote_the_measurements():
    text = " ".join(README.split())
    edges = rows("img/noise_edges.csv")
    assert len(edges) == 13
    assert "on thirteen data sets" in text
    one, fitted, measured = (
        [float(r[name]) for r in edges] for name in ("tau1 = tau2 = 1", "fitted tau1, tau2", "measured")
    )
    assert max(abs(ratio - 1.0) for ratio in measured) < 1e-4
    assert "within 0.01 % of the exact one" in text
    assert f"up to {max(one):.0f} times too much and fitted constants up to {max(fitted):.0f} times" in text


def test_the_picture_shows_predictions_that_agree_well_inside_the_stable_region():
    curves = [r for r in rows("img/mnist.csv") if r["panel"] == "curve" and r["learning_rate"] != "0.5"]
    assert len(curves) >= 36
    for r in curves:
        predicted, mean, error = (float(r[name]) for name in ("predicted", "mean", "sem"))
        if r["momentum"] != "0.9":
            # Some 30 points: three standard errors and the 2 % of the noise approximation.
            assert abs(predicted - mean) < 0.02 * predicted + 3.0 * error, r


def test_the_page_of_claims_has_the_numbers_of_its_table():
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    machine = re.search("^Machine: .*$", page, re.MULTILINE)
    assert machine is not None
    assert page == markdown([tuple(r.values()) for r in rows("validation.csv")], machine[0])


@pytest.mark.parametrize("name", ["predict_1000_modes", "predict_1000000_modes", "stability_map_200x200"])
def test_benchmarks_say_their_machine_and_whether_targets_are_met(name):
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    assert {"cpu", "cores", "python", "numpy", "scipy"} <= set(results["machine"])
    assert results[name]["target_met"] == (results[name]["median_s"] <= results[name]["target_s"])
