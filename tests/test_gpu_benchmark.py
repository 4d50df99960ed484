"""The one command for a GPU runs at reduced size on a CPU, and keeps what it found before anything failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu.agreement import SMALL, compared, losses
from benchmarks.gpu.findings import Findings, failures

ROOT = Path(__file__).parents[1]


def test_a_measurement_that_fails_leaves_its_traceback_and_those_beside_it(tmp_path, capsys):
    findings = Findings(tmp_path / "found.json", "cpu", True, time.monotonic() + 60.0)
    findings.attempt("first", lambda: {"s": np.float64(0.5)})
    findings.attempt("second", lambda: {"s": 1 / 0})
    findings.attempt("third", lambda: {"s": 2.0}, needs=1000.0)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["first"] == {"s": 0.5}
    assert "ZeroDivisionError" in found["second"]["failed"]
    assert "1 / 0" in found["second"]["traceback"]
    assert [line.partition(":")[0] for line in failures({"part": found})] == ["part/second", "part/third"]
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_agreement_sees_a_wrong_number_a_nan_and_a_missing_inf():
    right = np.array([[[1.0, 2.0, np.inf]]])
    assert compared(right, right, right, True)["from_double"] == 0.0
    assert compared(right * [1.0, 1.001, 1.0], right, right, True)["from_double"] == pytest.approx(1e-3)
    for wrong in ([1.0, 2.0, np.nan], [1.0, 2.0, 1e300]):
        with pytest.raises(ArithmeticError, match="nan"):
            compared(np.array([[wrong]]), right, right, True)


def test_the_diverging_case_diverges_and_the_others_do_not():
    for case in SMALL:
        assert np.isinf(losses(case, "float64", "numpy", "cpu")[..., -1]).all() == (case.share > 1.0)


@pytest.mark.slow
def test_the_command_runs_small_on_a_cpu_and_writes_one_file(tmp_path):
    pytest.importorskip("torch")
    command = ["bash", str(ROOT / "benchmarks/gpu.sh"), "--device", "cpu", "--small", "--limit", "100"]
    command += ["--parts", "machine", "speed", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"]
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert list(found) == ["machine", "speed"]
    assert found["machine"]["machine"]["torch"]
    assert found["speed"]["many runs"]["s"] > 0.0
    # 6 settings x 60 steps.
    peers = found["speed"]["peers"]
    assert peers["extrapolated_s_of_all_settings_and_steps"] == pytest.approx(6 * 60 * peers["s_per_run_and_step"])
