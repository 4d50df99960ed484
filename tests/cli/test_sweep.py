"""`genfun sweep` and `genfun validate`: what the experiments say, printed, written and kept."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

import genfun as gf
from genfun.cli.sweep import sweep
from genfun.cli.validate import validate
from genfun.data import gaussian, translation_invariant
from genfun.experiments import simulate, simulate_many
from genfun.experiments.agreement.agreements import agreements
from genfun.experiments.agreement.check_theory import check_theory

SPECTRUM = ("power-law", "--n-modes", "3", "--steps", "20", "--replicas", "30")
GRID = ("--learning-rates", "0.1,0.3", "--momenta", "0,-0.5", "--batch-sizes", "2,full")


def run(command, *words, error: str = ""):
    result = CliRunner().invoke(command, [str(word) for word in words])
    if error:
        assert isinstance(result.exception, ValueError), result.output
        assert error in str(result.exception)
    else:
        assert result.exception is None, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """One sweep by a process pool, with a store and both kinds of output; the second run finds all in the store."""
    folder = tmp_path_factory.mktemp("cli")
    words = (*SPECTRUM, *GRID, "--store", folder / "store", "--workers", 1)
    return folder, run(sweep, *words, "--out", folder / "s.nc"), run(sweep, *words, "--out", folder / "s.csv")


@pytest.mark.slow
def test_sweep_prints_and_writes_what_simulate_gives(swept):
    import xarray

    folder, first, second = swept
    power_law = gf.PowerLaw(1.5, 0.5, n_modes=3)
    data = translation_invariant(power_law.eigenvalues, power_law.signal)
    rows = list(csv.DictReader((folder / "s.csv").read_text().splitlines()))
    with xarray.open_dataset(folder / "s.nc", engine="scipy") as found:
        assert found.step.values.tolist() == list(range(21))
        for row in rows:
            setting = gf.SGD(float(row["learning_rate"]), float(row["momentum"]), int(row["batch_size"]))
            runs = simulate(data, setting, steps=20, replicas=30)
            assert float(row["mean"]) == pytest.approx(runs.mean[-1], rel=1e-12)
            assert float(row["theory"]) == pytest.approx(gf.predict(data.problem, setting, 20).loss.item(), rel=1e-12)
            kept = found.loss.sel({k: float(row[k]) for k in ("learning_rate", "momentum", "batch_size")})
            np.testing.assert_allclose(kept.values, runs.loss, rtol=1e-12)
    assert len(rows) == 8
    assert "8 cells computed, 0 found in the store" in first
    assert "0 cells computed, 8 found in the store" in second
    lines = first.splitlines()
    table = next(i for i, line in enumerate(lines) if set(line.strip()) == {"─"}) + 1
    for row, line in zip(rows, lines[table : table + len(rows)], strict=True):
        assert row["verdict"] in line


@pytest.mark.slow
def test_sweep_names_a_damaged_cell(swept):
    folder, *_ = swept
    victim = folder / "store" / "cells" / "lr0.3_m-0.5_b4.cell"
    victim.write_bytes(victim.read_bytes()[:-1])
    words = (*SPECTRUM, *GRID, "--store", folder / "store", "--workers", 1)
    assert f"note: damaged and made again: {victim.name}: it is truncated" in run(sweep, *words)
    assert json.loads(run(sweep, *words, "--json"))["result"]["stored"] == 8


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("power-law", "--learning-rates", "0.1"), "give --n-modes"),
        ((*SPECTRUM, *GRID, "--out", "s.doc"), "--out must end in .json, .csv, .txt or .nc"),
        ((*SPECTRUM, *GRID, "--out", "nowhere/s.nc"), "make 'nowhere' first"),
        ((*SPECTRUM, *GRID, "--batch-sizes", "5"), "at most 4, the number of samples"),
        (("mnist", "--n", "50", "--noise-variance", "1", *GRID), "--noise-variance cannot change"),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_runs(words, error):
    run(sweep, *words, error=error)


def test_validate_agrees_on_data_for_which_the_theory_is_exact():
    out = json.loads(run(validate, "power-law", "--n-modes", 15, "--fast", "--replicas", 400, "--json"))
    settings = out["result"]["settings"]
    # N = 16 leaves the batch sizes 1 and 10, each with two momenta at two shares of the edge.
    assert [row["batch_size"] for row in settings] == [1] * 4 + [10] * 4
    assert {round(row["share_of_edge"], 12) for row in settings} == {0.25, 0.5}
    assert {row["step"] for row in settings} == {200}
    assert "differs" not in {row["verdict_over_steps"] for row in settings}
    assert "agrees" in {row["verdict_over_steps"] for row in settings}


def test_validate_sees_a_wrong_theory_and_says_so():
    # tau1 twice as large makes twice the noise.
    words = ("power-law", "--n-modes", 15, "--steps", 100, "--batch-sizes", 1, "--momenta", 0, "--shares", 0.5)
    right, wrong = run(validate, *words), run(validate, *words, "--tau1", 2.0, "--tau2", 1.0)
    assert "agrees at all steps in 1 of 1 settings" in right
    assert "on 16 samples; at step 100:" in right  # told once, so that 100 columns hold one table
    assert right.count(" batch  momentum ") == 1
    assert "agrees at all steps in 0 of 1 settings" in wrong


def test_a_setting_differs_if_one_step_does():
    data = gaussian([1.0, 0.5, 0.2], [1.0, 1.0, 1.0], 64, seed=0)
    settings = [gf.SGD(0.1, 0.0, None), gf.SGD(0.2, 0.5, 4)]
    runs = simulate_many(data, settings, steps=30, replicas=20)
    right = agreements(data.problem, runs, data.noise, relative=0.5)
    assert right.verdict == ("agrees", "agrees")
    assert right.agrees
    # The start agrees with any noise; what follows does not.
    wrong = agreements(data.problem, runs, gf.SpectrallyExpressible(40.0, 1.0))
    assert wrong.parts[1].verdict[0] == "agrees"
    assert wrong.verdict == ("agrees", "differs")
    assert wrong.worst_ratio[0] == pytest.approx(1.0, rel=1e-9)
    assert wrong.worst_ratio[1] < 0.8
    assert wrong.shares[1] == pytest.approx(
        0.2 / gf.max_learning_rate(data.problem, 0.5, 4, gf.SpectrallyExpressible(40.0, 1.0)), rel=1e-9
    )


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"batch_sizes": [4, 9]}, "below n_samples=4"),
        ({"batch_sizes": [0]}, "batch_sizes must be at least 1"),
        ({"shares": [0.0]}, "shares must be positive"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_check_theory_refuses_what_it_cannot_check(arguments, match):
    with pytest.raises(ValueError, match=match):
        check_theory(translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0]), **arguments)


def test_no_runs_are_refused():
    with pytest.raises(ValueError, match="runs is empty"):
        agreements(gf.LinearProblem([1.0], [1.0]), [])
