"""Measured runs are found by the names that people and trackers give, laid over predictions, and judged."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import result_of, run

import genfun as gf
from genfun.experiments.steps.measured import MeasuredSteps

pytest.importorskip("pandas")

LANGUAGE = Path(os.environ.get("GENFUN_STEPS_LM", Path(__file__).parents[3] / "shared" / "data" / "steps_lm.csv"))
B = np.array([8, 16, 32, 64, 128, 256])
STEPS = 900.0 * (1.0 + 128.0 / B)
LAW = ("--n-modes", "40", "--n-samples", "100")
PROBLEM = gf.PowerLaw(1.5, 0.5, n_modes=40, n_samples=100)


def written(path, *rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def drawn(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


NAMES = [("batch_size", "steps"), ("Batch Size", "Steps to target"), ("bs", "iterations"), ("params_batch", "_step")]


@pytest.mark.parametrize("names", NAMES)
def test_columns_are_found_under_the_names_that_trackers_give(tmp_path, names):
    path = written(tmp_path / "points.csv", names, *zip(B, STEPS, strict=True))
    found = result_of("critical-batch", path)[""]
    assert found["ratio"] == pytest.approx(128.0, rel=1e-6)
    assert found["overhead"] == pytest.approx(1.2 * 8 + 0.2 * 128.0, rel=1e-6)


@pytest.mark.slow
def test_columns_of_any_name_are_chosen_and_series_are_told_apart(tmp_path):
    rows = [(n, b, f * k, 7) for n, f in (("a", 1), ("b", 3)) for b, k in zip(B, STEPS, strict=True)]
    path = written(tmp_path / "points.csv", ("kind", "width", "when", "steps"), *rows)
    words = ("critical-batch", path, "--x", "width", "--y", "when", "--by", "kind")
    found = result_of(*words, "--overhead", 0.5, "--reference", 0)
    assert set(found) == {"a", "b"}
    assert found["b"]["overhead"] == pytest.approx(64.0, rel=1e-6)
    run(*words, "--out", tmp_path / "fit.png")
    assert {row["panel"] for row in drawn(tmp_path / "fit.csv")} == {"a", "b"}
    assert "--x 'b' is not one of the columns" in run("critical-batch", path, "--x", "b", code=2).stderr


def test_series_by_a_number_are_called_by_its_column_too(tmp_path):
    rows = [(lr, b, k) for lr in (0.1, 0.3) for b, k in zip(B, STEPS, strict=True)]
    path = written(tmp_path / "points.csv", ("lr", "bs", "steps"), *rows)
    assert set(result_of("critical-batch", path, "--by", "lr")) == {"lr 0.1", "lr 0.3"}


@pytest.mark.parametrize("word", ["", "not reached", "inf", "> 5000", "NaN"])
def test_points_that_were_not_reached_are_left_out_and_named(tmp_path, word):
    path = written(tmp_path / "points.csv", ("bs", "steps"), *zip(B, STEPS, strict=True), (512, word))
    assert result_of("critical-batch", path)[""]["ratio"] == pytest.approx(128.0, rel=1e-6)
    assert "not reached at batch size 512: left out" in run("critical-batch", path).stdout


def test_runs_that_did_not_finish_are_left_out(tmp_path):
    rows = [(b, k, "finished") for b, k in zip(B, STEPS, strict=True)]
    path = written(tmp_path / "points.csv", ("bs", "steps", "State"), *rows, (512, 17, "crashed"))
    assert result_of("critical-batch", path)[""]["ratio"] == pytest.approx(128.0, rel=1e-6)
    assert "1 of 7 runs did not finish" in run("critical-batch", path).stdout


def test_of_several_learning_rates_the_best_counts_at_each_batch_size(tmp_path):
    # The best rate differs with the batch size; at rate 0.5 the smallest batch gets there in one run of two.
    rows = [
        (b, lr, round(k * (1.0 if (lr == 0.1) == (b < 64) else 3.0), 6))
        for b, k in zip(B, STEPS, strict=True)
        for lr in (0.1, 0.3)
    ]
    path = written(tmp_path / "points.csv", ("bs", "lr", "steps"), *rows, (8, 0.5, 10.0), (8, 0.5, "not reached"))
    assert result_of("critical-batch", path)[""]["ratio"] == pytest.approx(128.0, rel=1e-6)
    text = run("critical-batch", path).stdout
    assert "note: several values of lr at a batch size: those of fewest steps count at each" in text
    assert "not reached" not in text


def test_the_length_of_runs_is_not_taken_for_steps_to_a_target(tmp_path):
    rows = [(b, 5000, k) for b, k in zip(B, STEPS, strict=True)]
    named = written(tmp_path / "named.csv", ("bs", "_step", "steps_to_target"), *rows)
    assert result_of("critical-batch", named)[""]["ratio"] == pytest.approx(128.0, rel=1e-6)
    other = written(tmp_path / "other.csv", ("bs", "_step", "reached at"), *rows)
    said = run("critical-batch", other, code=2).stderr
    assert "'_step' is 5000 at every batch size, the length of the runs it seems" in said
    assert "by --y" in said
    assert result_of("critical-batch", other, "--y", "reached at")[""]["ratio"] == pytest.approx(128.0, rel=1e-6)


@pytest.mark.skipif(not LANGUAGE.exists(), reason="the measured points of language models are not here")
def test_the_published_critical_batch_sizes_of_language_models_come_out():
    # arXiv 2410.21676: 20 % more samples than at batch size 256.
    found = result_of("critical-batch", LANGUAGE, "--reference", 256)
    got = {name: round(series["overhead"]) for name, series in found.items()}
    assert got == {"85M": 745, "302M": 1394, "1.2B": 2533}


@pytest.mark.parametrize(("name", "power"), [("squared_norm", 1.0), ("grad_norm", 0.5)])
def test_the_noise_scale_comes_from_norms_and_from_their_squares(tmp_path, name, power):
    squared = 2.0 + 60.0 / B
    path = written(tmp_path / "norms.csv", ("batch", name), *zip(B, squared**power, strict=True))
    assert result_of("noise-scale", path)["noise_scale"] == pytest.approx(30.0, rel=1e-9)
    assert ("taken for norms and squared" in run("noise-scale", path).stdout) == (power == 0.5)


def test_own_runs_lie_over_the_prediction(tmp_path):
    steps = np.arange(0, 101, 5)
    loss = gf.predict(PROBLEM, gf.SGD(0.3, 0.5, 10), steps).loss
    rows = [
        (t, name, factor * value)
        for name, factor in (("a", 0.9), ("b", 1.2))
        for t, value in zip(steps, loss, strict=True)
    ]
    path = written(tmp_path / "runs.csv", ("Step", "run", "train_loss"), *rows)
    words = (
        "predict",
        "power-law",
        *LAW,
        "--batch-size",
        10,
        "--learning-rate",
        0.3,
        "--momentum",
        0.5,
        "--overlay",
        path,
    )
    found = result_of(*words, "--steps", "20,100,400")
    np.testing.assert_allclose(found["measured"][:2], 1.05 * np.array(found["loss"][:2]), rtol=1e-9)
    assert found["measured"][2] == "nan"
    shown = run(*words, "--out", tmp_path / "curve.png").stdout
    assert "2 runs; measured over predicted 1.05 at step 0, 1.05 at step 100" in shown
    assert "MSELoss" not in shown
    table = drawn(tmp_path / "curve.csv")
    assert {"measured a", "measured b"} <= {row["series"] for row in table}
    # Two runs at 0.9 and 1.2 times the loss: mean 1.05, standard error (1.2 - 0.9)/2.
    np.testing.assert_allclose(found["measured_error"][:2], 0.15 * np.array(found["loss"][:2]), rtol=1e-9)
    bars = [row for row in table if row["series"] == "mean of the runs ± 2.5 standard errors"]
    assert len(bars) > 3
    for row in bars:
        assert float(row["value"]) == pytest.approx(2.5 * 0.15 / 1.05 * float(row["y"]), rel=1e-6)


def test_a_chart_of_w_and_b_has_a_column_for_each_run_and_twice_the_loss_is_told(tmp_path):
    steps = np.arange(0, 101, 5)
    loss = 2.0 * gf.predict(PROBLEM, gf.SGD(0.3, 0.0, 10), steps).loss
    names = ("Step", "sun-1 - train/loss", "sun-1 - train/loss__MIN", "sun-1 - train/loss__MAX", "sun-2 - train/loss")
    path = written(tmp_path / "chart.csv", names, *zip(steps, loss, 0 * loss, 9 * loss, loss, strict=True))
    words = ("predict", "power-law", *LAW, "--batch-size", 10, "--learning-rate", 0.3, "--overlay", path)
    shown = run(*words).stdout
    assert "2 runs; measured over predicted 2 at step 0" in shown
    assert "torch.nn.MSELoss" in shown
    assert "0.5 times its losses and 2 times its learning rate" in shown


def test_prediction_needs_steps_or_runs():
    words = ("predict", "power-law", *LAW, "--batch-size", 10, "--learning-rate", 0.3)
    assert "give --steps, e.g. --steps 100,1000, or --overlay" in run(*words, code=2).stderr


EDGE = {size: gf.max_learning_rate(PROBLEM, 0.9, size) for size in (1, 10, None)}


def test_trials_are_judged_by_the_edge_of_their_own_batch_size(tmp_path):
    rows = [(share * EDGE[size], 0.9, "full" if size is None else size) for size in EDGE for share in (0.5, 0.95, 1.05)]
    path = written(tmp_path / "sweep.csv", ("lr", "momentum", "Batch Size"), *rows)
    found = result_of("prune", path, "--data", "power-law", *LAW)["trials"]
    assert [trial["verdict"] for trial in found] == ["converges", "near the edge", "diverges"] * 3
    assert [trial["share"] for trial in found] == pytest.approx([0.5, 0.95, 1.05] * 3)
    assert [trial["why"] for trial in found[2::3]] == ["batch noise", "batch noise", "curvature"]
    assert [trial["line"] for trial in found] == list(range(2, 11))
    assert (
        "3 of 9 trials must diverge, 3 more are near the edge" in run("prune", path, "--data", "power-law", *LAW).stdout
    )


def test_verdict_and_outcome_of_a_trial_stand_in_one_line_of_80_columns(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = [(share * EDGE[10], 0.9, 10, "finished") for share in (0.5, 0.95, 1.05)]
    path = written(tmp_path / "sweep.csv", ("lr", "momentum", "bs", "state"), *rows)
    text = run("prune", path, "--data", "power-law", *LAW).stdout
    verdicts = [line for line in text.splitlines() if line.rstrip().endswith("finished")]
    assert ["converges" in line for line in verdicts] == [True, False, False]
    assert "near edge  noise  finished" in " ".join(verdicts)


def test_what_a_sweep_lacks_is_given_and_what_is_no_sgd_is_not_judged(tmp_path):
    path = written(tmp_path / "sweep.csv", ("params_lr", "params_optimizer"), (2 * EDGE[10], "SGD"), (9.0, "Adam"))
    words = ("prune", path, "--data", "power-law", *LAW, "--momentum", 0.9)
    assert (
        "no column of batch sizes; it has params_lr, params_optimizer: give --batch-size" in run(*words, code=2).stderr
    )
    found = result_of(*words, "--batch-size", 10)["trials"]
    assert [trial["verdict"] for trial in found] == ["diverges", "not judged"]
    assert found[0]["share"] == pytest.approx(2.0)


def test_the_mean_squared_error_of_torch_has_twice_the_curvature(tmp_path):
    path = written(tmp_path / "sweep.csv", ("lr", "momentum", "bs"), (0.7 * EDGE[10], 0.9, 10))
    words = ("prune", path, "--data", "power-law", *LAW)
    assert result_of(*words)["trials"][0]["verdict"] == "converges"
    found = result_of(*words, "--mse")["trials"][0]
    assert (found["verdict"], found["share"]) == ("diverges", pytest.approx(1.4))
    assert found["max_rate"] == pytest.approx(EDGE[10] / 2.0)


def test_what_became_of_trials_is_compared_with_the_verdicts(tmp_path):
    rows = [
        (2 * EDGE[10], "FAIL", ""),
        (2 * EDGE[10], "COMPLETE", 0.1),
        (0.5 * EDGE[10], "COMPLETE", 0.2),
        (1, "WAITING", ""),
    ]
    path = written(tmp_path / "sweep.csv", ("lr", "state", "value"), *rows)
    words = ("prune", path, "--data", "power-law", *LAW, "--momentum", 0.9, "--batch-size", 10)
    assert [trial["outcome"] for trial in result_of(*words)["trials"]] == ["blew up", "finished", "finished", "waiting"]
    shown = run(*words).stdout
    assert "of 1 trial that blew up, 1 must diverge by theory" in shown
    assert "1 trial finished though the mean loss must diverge" in shown


def test_a_file_of_measured_runs_has_the_same_answer_as_the_measurement(tmp_path):
    # Runs scatter, one of batch size 64 missed the target, and a second optimizer is in the same file.
    rng = np.random.default_rng(0)
    steps = STEPS[:, None] * np.exp(0.3 * rng.standard_normal((B.size, 3)))
    steps[np.flatnonzero(B == 64), 1] = np.inf
    both = [
        MeasuredSteps(name, 0.1, B.astype(int), np.full(B.size, 0.1), factor * steps, np.full(B.size, 10**6))
        for name, factor in (("sgd", 1.0), ("adam", 0.5))
    ]
    rows = [row for measured in both for row in measured.rows()]
    path = written(tmp_path / "runs.csv", tuple(rows[0]), *(row.values() for row in rows))
    found = result_of("critical-batch", path)
    assert set(found) == {"sgd", "adam"}
    for measured in both:
        fit = measured.fit()
        for name in ("batch_size", "ratio", "interval", "ratio_interval"):
            want = getattr(fit, name)
            got = np.array(found[measured.optimizer][name], dtype=float)  # JSON has "nan" as text
            np.testing.assert_allclose(got, want, rtol=1e-12, err_msg=name)
        assert list(measured.batch_sizes[measured.reached]) == found[measured.optimizer]["batch_sizes"]


def test_steps_that_no_batch_size_lowers_have_no_critical_batch_size_in_digits(tmp_path):
    path = written(tmp_path / "points.csv", ("bs", "steps"), *((b, 18.5 + 0.1 * (i % 2)) for i, b in enumerate(B)))
    told = run("critical-batch", path).stdout
    found = gf.fit_steps(B, 18.5 + 0.1 * (np.arange(len(B)) % 2))
    assert found.ratio < found.ratio_interval[0]
    assert f"critical batch size below {found.ratio_interval[0]:.4g}, if any" in told
    assert f"{found.ratio:.4g}" not in told
