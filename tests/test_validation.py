"""A fast part of the validation runs with the tests: the same files, fewer runs and settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / "validation").is_dir(), reason="the validation folder is only in the repository"
)


def test_rows_of_finished_claims_wait_for_the_version_that_made_them(tmp_path):
    from validation import kept

    rows = [("a, quoted", "1", "2", "0.1", "exact", "NO", "here", "", "escape")]
    assert kept.read("escape", "v1", tmp_path) is None
    kept.write("escape", rows, "v1", tmp_path)
    assert kept.read("escape", "v1", tmp_path) == rows
    assert kept.read("escape", "v2", tmp_path) is None
    assert kept.newest("rungs", tmp_path) is None
    kept.write("escape", rows[:0], "v2", tmp_path)
    os.utime(tmp_path / "v1" / "escape.csv", (1, 1))
    assert kept.newest("escape", tmp_path) == ([], "v2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    [
        "critical_rates",
        "power_law_exponents",
        "phase_constants",
        "popular_formula",
        "regimes",
        "escape",
        "rungs",
        "mnist_ntk",
        "mnist_pixels",
        "noise_weights",
        "epochs",
        "measured_noise",
        "regret",
        "own_noise",
        "outcomes",
        "held_out",
    ],
)
def test_every_claim_of_the_file_holds(file, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    from validation.__main__ import main

    monkeypatch.setattr(sys, "argv", ["validation", "--fast", file])
    status = main()
    shown = capsys.readouterr().out
    assert status == 0, shown
    assert " 0 are known not to, 0 fail" in shown


@pytest.mark.slow
def test_the_command_is_a_module_of_its_own():
    command = [sys.executable, "-W", "error", "-m", "validation", "--fast", "published_optima"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 are known not to, 0 fail" in done.stdout
