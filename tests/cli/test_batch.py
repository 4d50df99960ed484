"""The commands about batch sizes answer what the API answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import run

import genfun as gf

B = np.array([4, 8, 16, 32, 64, 128])
STEPS = np.rint(1e4 * (1 + 20 / B) ** 2).astype(int)


def write(path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def points(tmp_path):
    return write(
        tmp_path / "points.csv", "batch_size,steps\n" + "".join(f"{b},{k}\n" for b, k in zip(B, STEPS, strict=True))
    )


def test_critical_batch_is_the_fit_of_the_points_in_the_file(points, tmp_path):
    found = json.loads(run("critical-batch", points, "--epoch", 2000, "--json").stdout)["result"][""]
    expected = gf.fit_steps(B, STEPS, epoch=2000)
    assert found["batch_size"] == expected.batch_size
    assert found["interval"] == list(expected.interval)
    text = run("critical-batch", points, "--out", tmp_path / "fit.png").stdout
    expected = gf.fit_steps(B, STEPS)
    assert text.startswith(f"fewest samples at batch size {expected.batch_size:.4g}, 90 % interval ")
    low, high = expected.ratio_interval
    text = " ".join(text.split())
    assert f"critical batch size {expected.ratio:.4g}, 90 % interval" in text
    assert f"90 % interval {low:.4g} .. {high:.4g}" in text
    assert f"20 % more samples than at batch size {min(B):g}: batch size {expected.overhead(0.2):.4g}" in text
    assert (tmp_path / "fit.png").stat().st_size > 10_000
    assert "measured,4," in (tmp_path / "fit.csv").read_text(encoding="utf-8")


def test_series_of_a_file_are_fitted_one_by_one(tmp_path):
    lines = ["series,batch_size,steps"]
    for name, factor in (("one", 1), ("two", 3)):
        lines += [f"{name},{b},{factor * k}" for b, k in zip(B, STEPS, strict=True)]
    found = json.loads(run("critical-batch", write(tmp_path / "two.csv", "\n".join(lines)), "--json").stdout)["result"]
    assert set(found) == {"one", "two"}
    assert found["one"]["batch_size"] == pytest.approx(found["two"]["batch_size"], rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width,steps\n1,2\n", "no column that looks like batch_size; it has width, steps: choose one by --x"),
        ("b,loss\n1,2\n", "no column that looks like steps; it has b, loss: choose one by --y"),
        ("batch_size,steps\n4,many\n", "line 2: steps must be a number, got 'many'"),
        ("batch_size,steps\n", "has no points"),
        ("batch_size,steps\n1,9\n2,5\n4,3\n", "at least 4 different values, got 3"),
    ],
)
def test_bad_points_are_refused_in_one_line(tmp_path, text, message):
    result = run("critical-batch", write(tmp_path / "bad.csv", text), code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_batch_size_is_the_answer_of_the_api():
    problem = gf.PowerLaw(1.5, 0.25, n_modes=40)
    law = ("power-law", "--nu", 1.5, "--zeta", 0.25, "--n-modes", 40)
    words = ("batch-size", *law, "--learning-rate", 0.5, "--loss", 0.2, "--step-time", "1e-3,1e-4")
    found = json.loads(run(*words, "--json").stdout)["result"]
    expected = gf.critical_batch_size(problem, gf.SGD(0.5), loss=0.2, step_time=(1e-3, 1e-4))
    assert found["batch_size"] == expected.batch_size
    assert found["steps"] == expected.steps.tolist()
    assert expected.fastest is not None
    assert f"fastest: batch size {expected.fastest[0]}" in run(*words).stdout
    assert "give either --loss or --share" in run("batch-size", *law, code=2).stderr


def test_big_batch_is_the_answer_of_the_api():
    words = ("big-batch", "power-law", "--n-modes", 30, "--n-samples", 200, "--learning-rate", 0.4, "--batch-size", 10)
    found = json.loads(run(*words, "--steps", "0,5", "--theta", 0.7, "--json").stdout)["result"]
    problem = gf.PowerLaw(1.5, 0.5, n_modes=30, n_samples=200)
    assert (
        found["big_batch"]["batch_size"] == gf.big_batch(problem, gf.SGD(0.4, 0.0, 10), [0, 5], 0.7).batch_size.tolist()
    )
    assert found["noise_scale"]["samples"] == gf.noise_scale(problem, gf.SGD(0.4, 0.0, 10), [0, 5]).samples.tolist()


def test_the_noise_scale_of_data_comes_with_what_its_noise_leaves_out():
    words = ("big-batch", "mnist", "--n", 40, "--learning-rate", 0.4, "--batch-size", 10, "--steps", "0,50")
    found = json.loads(run(*words, "--json").stdout)["result"]["noise_scale"]
    data = gf.data.mnist(40)
    expected = gf.noise_scale(data, gf.SGD(0.4, 0.0, 10), [0, 50])
    assert found["noise_error"] == expected.noise_error.tolist()
    assert f"it is known to {100.0 * expected.noise_error[1]:.1g} %" in run(*words).stdout
    assert "it is known to" not in run(*words, "--noise", "fitted").stdout


@pytest.mark.slow
def test_escape_is_the_answer_of_the_api(tmp_path):
    words = (
        "escape",
        "power-law",
        "--n-modes",
        30,
        "--learning-rates",
        "0.2,1.5",
        "--sharpness",
        "1,3",
        "--batch-size",
        1,
    )
    found = json.loads(run(*words, "--json").stdout)["result"]
    chart = gf.escape_chart(gf.PowerLaw(1.5, 0.5, n_modes=30), [0.2, 1.5], [1], [1.0, 3.0])
    assert found["status"] == chart.status.tolist()
    assert "diverges" in run(*words, "--out", tmp_path / "chart.png").stdout
    assert (tmp_path / "chart.csv").exists()
    assert "needs a number of samples" in run(*words[:-1], "full", code=2).stderr
