"""What the pages say about real runs is what their table holds."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
with (ROOT / "docs" / "img" / "outcomes.csv").open(newline="", encoding="utf-8") as stream:
    ROWS = list(csv.DictReader(stream))
WAYS = {
    "`optimize`, also with": ("advice", "advice, 0.8 of edge"),
    "0.1 / 0.9 ": ("0.1 / 0.9",),
    "0.01 / 0.9": ("0.01 / 0.9",),
    "0.001 / 0.9": ("0.001 / 0.9",),
    "1/λ_max": ("1 / largest eigenvalue",),
    "0.1 / 0.9, cosine": ("0.1 / 0.9, cosine to 0",),
    "Adam": ("Adam 0.001",),
    "learning-rate finder": ("rate finder / 0.9",),
    "random search | 10 ": ("random search, 10",),
    "random search | 30 ": ("random search, 30",),
    "random search | 100": ("random search, 100",),
    "Optuna's TPE | 10 ": ("Optuna's TPE, 10",),
    "Optuna's TPE | 30": ("Optuna's TPE, 30",),
    "Optuna's TPE | 100": ("Optuna's TPE, 100",),
}


def of(ways, order="fresh", name="ratio"):
    return [float(r[name]) for r in ROWS if r["order"] == order and r["way"] in ways]


@pytest.mark.parametrize("start", WAYS)
def test_the_table_of_ways_has_the_numbers_of_the_runs(start):
    text = (ROOT / "docs" / "choose.md").read_text(encoding="utf-8")
    (line,) = [row for row in text.splitlines() if row.startswith(f"| {start}")]
    low, high = re.findall(r"([\d.]+) to ([\d.]+)", line)[0]
    found = of(WAYS[start])
    for shown, value in ((low, min(found)), (high, max(found))):
        decimals = len(shown.partition(".")[2])
        assert f"{value:.{decimals}f}" == shown
    several = sum(x > 0.0 for x in of(WAYS[start][:1], name="diverged"))
    assert int(line.split("|")[-2]) == several


def test_the_readme_states_wins_and_losses_of_the_runs():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    worst = max(of(["advice"]) + of(["advice"], "epochs"))
    assert f"at most {100 * (worst - 1):.1f} % above the best constant setting" in text
    habit = of(["0.1 / 0.9"])
    assert f"{min(habit):.1f} to {max(habit):.0f} times" in text
    needed = of(["random search, 100"], name="runs_needed")
    assert f"{min(needed):.0f} to {max(needed):.0f} trials" in text
    learned = of(["Optuna's TPE, 100"], name="runs_needed")
    assert f"Optuna's TPE {min(learned):.0f} to {max(learned):.0f}" in text
    cosine = sorted(of(["0.1 / 0.9, cosine to 0"]))
    assert f"{100 * (1 - cosine[1]):.0f} and {100 * (1 - cosine[0]):.0f} % better" in text
    assert max(of(["advice"], name="diverged")) == 0.0
