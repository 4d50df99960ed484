"""The command line answers what the API answers."""

from __future__ import annotations

import csv
import re
from typing import get_args

import numpy as np
import pytest
from command_line import answer, run

import genfun as gf
from genfun._display import digits_of
from genfun.answers import max_learning_rate, predict, stability
from genfun.data import mnist

pytestmark = pytest.mark.usefixtures("coarse_searches")
SMALL = ("mnist", "--n", "24", "--seed", "3")


@pytest.fixture(scope="module")
def digits():
    return mnist(24, 3)


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [-0.5, 0.9])
def test_max_lr_is_the_answer_of_the_api(digits, momentum):
    found = answer("max-lr", *SMALL, "--momentum", momentum, "--batch-size", 5)
    noise = digits.measured_noise
    expected = max_learning_rate(digits, momentum, 5)
    assert found["result"]["learning_rate"] == expected
    assert found["result"]["limit"] == "noise"
    assert found["result"]["noise_error"] == noise.error
    assert found["inputs"]["noise"] == {
        "model": "MeasuredNoise",
        "tau1": None,
        "tau2": None,
        "error": noise.error,
        "loss_error": noise.loss_error,
        "sound": noise.sound,
        "source": "measured on the data",
    }
    assert found["genfun"] == gf.__version__
    shown = run("max-lr", *SMALL, "--momentum", momentum, "--batch-size", 5).stdout
    assert f"{expected:.{digits_of(noise.error)}g}" in shown
    assert noise.words in shown


@pytest.mark.parametrize("name", ["measured", "exact", "fitted"])
def test_the_noise_of_data_is_chosen_by_name(digits, name):
    found = answer("predict", *SMALL, "--noise", name, "--learning-rate", 0.2, "--batch-size", 5, "--steps", "10")
    expected = predict(digits, gf.SGD(0.2, 0.0, 5), [10], noise=name)
    assert found["result"]["loss"] == expected.loss.tolist()
    assert found["result"]["noise_error"] == ["nan" if name == "fitted" else float(expected.noise_error[0])]
    assert ("at_tau2_plus" in found["result"]) == (name == "fitted")
    assert (found["inputs"]["noise"]["tau1"] is None) == (name != "fitted")


def test_the_error_of_measured_noise_stands_beside_that_of_the_computation(digits):
    shown = run("predict", *SMALL, "--learning-rate", 0.2, "--batch-size", 5, "--steps", "10").stdout
    expected = predict(digits, gf.SGD(0.2, 0.0, 5), 10)
    assert "noise error" in shown
    assert f"{float(expected.noise_error):.1e}" in shown
    assert "noise error" not in run("predict", *LAW, "--learning-rate", 0.2, "--batch-size", 5, "--steps", "10").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SMALL, "--noise", "exact", "--tau2", -1), "drop one of them"),
        ((*SMALL, "--noise", "measured", "--noise-variance", 0.1), "use --noise fitted"),
        (("power-law", "--noise", "measured"), "needs data, and TARGET is a spectrum"),
    ],
)
def test_noise_that_does_not_go_with_the_target_is_refused(words, message):
    assert message in run("max-lr", *words, "--batch-size", 5, code=2).stderr


def test_the_cap_on_the_share_of_the_edge_is_kept_and_named():
    words = ("optimize", *LAW, "--batch-size", 1, "--steps", 50, "--momentum", 0, "--max-share-of-edge", 0.1)
    found = answer(*words)["result"]
    assert found["share_of_edge"] == pytest.approx(0.1, rel=1e-5)
    assert found["share_of_edge"] <= 0.1 * (1.0 + 1e-12)
    shown = run(*words).stdout
    assert "the learning rate reaches the allowed share 0.1 of the stability edge" in shown
    assert "a learning rate 10 % smaller costs" in shown


def test_predict_is_the_answer_of_the_api_with_given_noise(digits):
    noise = gf.SpectrallyExpressible(0.9, -0.3)
    setting = ("--learning-rate", 0.4, "--momentum", 0.5, "--batch-size", 5, "--tau1", 0.9, "--tau2", -0.3)
    found = answer("predict", *SMALL, *setting, "--steps", "100,0,1e3")
    expected = predict(digits.problem, gf.SGD(0.4, 0.5, 5), [100, 0, 1000], noise)
    assert found["result"]["steps"] == [100, 0, 1000]
    assert found["result"]["loss"] == expected.loss.tolist()
    assert found["result"]["status"] == expected.status == "ok"
    shown = run("predict", *SMALL, *setting, "--steps", "100,0,1e3").stdout
    assert f"{expected.loss[0]:.6g}" in shown
    assert "1,000" in shown


def test_stability_is_the_answer_of_the_api():
    p = gf.PowerLaw(1.2, 0.7, n_modes=50, n_samples=100, noise_variance=0.1)
    words = ("power-law", "--nu", 1.2, "--zeta", 0.7, "--n-modes", 50, "--n-samples", 100, "--noise-variance", 0.1)
    found = answer("stability", *words, "--learning-rate", 0.2, "--batch-size", 4)["result"]
    expected = stability(p, gf.SGD(0.2, 0.0, 4))
    assert (found["status"], found["noise_gain"], found["floor"]) == ("converges", expected.noise_gain, expected.floor)
    assert "converges" in run("stability", *words, "--learning-rate", 0.2, "--batch-size", 4).stdout


def test_numbers_beyond_json_are_strings():
    found = answer("max-lr", "power-law", "--nu", 0.8, "--batch-size", 10)["result"]
    assert (found["learning_rate"], found["factor"]) == (0.0, "inf")


def test_the_full_batch_is_written_full():
    found = answer("max-lr", "power-law", "--batch-size", "full")
    assert found["inputs"]["batch_size"] is None
    assert found["result"]["learning_rate"] == 2.0


@pytest.mark.slow
def test_schedule_is_the_answer_of_the_api_and_its_table_is_that_of_the_rates(tmp_path):
    target = ("power-law", "--nu", 1.5, "--zeta", 0.5, "--n-modes", 40)
    words = ("schedule", *target, "--batch-size", 5, "--steps", 60, "--momentum", "free", "--out", tmp_path / "a.csv")
    found = answer(*words)
    expected = gf.best_schedule(gf.PowerLaw(1.5, 0.5, n_modes=40), 5, 60, None)
    assert found["result"]["loss"] == expected.loss
    assert found["result"]["gaps"] == expected.gaps
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert [float(row["learning_rate"]) for row in rows] == expected.table()["learning_rate"].tolist()
    shown = run("schedule", *target, "--batch-size", 5, "--samples", 300).stdout
    assert "of the edge" in shown
    assert "seesaw" in shown
    assert "--steps or --samples" in run("schedule", *target, "--batch-size", 5, code=2).stderr
    assert (
        "--steps must be at least 2, got 0" in run("schedule", *target, "--batch-size", 5, "--steps", 0, code=2).stderr
    )


@pytest.mark.slow
def test_schedule_of_data_is_capped_by_their_own_edge_and_says_what_its_noise_is_worth(digits):
    best = gf.best_schedule(digits, 5, 30)
    found = answer("schedule", *SMALL, "--batch-size", 5, "--steps", 30)["result"]
    assert found["edge"] == best.edge
    assert found["noise_error"] == best.noise_error
    shown = run("schedule", *SMALL, "--batch-size", 5, "--steps", 30).stdout
    assert "tuned with constants fitted to the data's noise, compared by the data's own" in shown


def test_optimize_is_the_answer_of_the_api():
    target = ("power-law", "--nu", 1.5, "--zeta", 0.5, "--n-modes", 40)
    found = answer("optimize", *target, "--batch-size", 5, "--steps", "2e2")
    expected = gf.optimize(gf.PowerLaw(1.5, 0.5, n_modes=40), 5, steps=200)
    assert found["result"]["loss"] == expected.loss
    assert found["result"]["method"]["momentum"] == expected.method.momentum
    shown = run("optimize", *target, "--batch-size", 5, "--steps", 200, "--momentum", 0).stdout
    assert "momentum      0" in shown
    assert "for 5 % more loss" in shown
    assert "either --steps or --budget, got neither" in run("optimize", *target, "--batch-size", 5, code=2).stderr


def test_phase_is_the_answer_of_the_api():
    setting = ("power-law", "--nu", 1.5, "--zeta", 2, "--batch-size", 100, "--learning-rate", 0.4)
    found = answer("phase", *setting)
    expected = gf.phase(gf.PowerLaw(1.5, 2.0), gf.SGD(0.4, 0.0, 100))
    assert found["result"]["name"] == expected.name == "noise-dominated"
    assert found["result"]["transition_step"] == expected.transition_step
    assert found["result"]["divergence_step"] == "inf"
    shown = run("phase", *setting).stdout
    assert f"noise takes over at step {expected.transition_step:,.0f}" in shown


LAW = ("power-law", "--nu", 1.5, "--zeta", 0.5, "--n-modes", 40, "--n-samples", 100)
PROBLEM = gf.PowerLaw(1.5, 0.5, n_modes=40, n_samples=100)
PLUS, MINUS = gf.SpectrallyExpressible(1.0, 1.0), gf.SpectrallyExpressible(1.0, -1.0)


@pytest.mark.slow
def test_explain_says_what_the_api_says(digits):
    setting = ("--learning-rate", 0.4, "--momentum", 0.5, "--batch-size", 5, "--steps", 3)
    expected = gf.explain(digits, gf.SGD(0.4, 0.5, 5), 3)
    shown = run("explain", *SMALL, *setting).stdout.splitlines()
    assert shown[0] == "mnist, model=ntk, n=24, seed=3"
    assert tuple(shown[1:]) == expected.lines
    found = answer("explain", *LAW, *setting, "--tau2", -1)["result"]
    told = gf.explain(PROBLEM, gf.SGD(0.4, 0.5, 5), 3, MINUS)
    assert found["lines"] == list(told.lines)
    assert (found["loss"], found["phase"]["name"]) == (told.loss, told.phase.name)
    assert [change["loss"] for change in found["changes"]] == [change.loss for change in told.changes]


def test_the_band_over_noise_models_is_shown_unless_the_noise_is_given():
    setting = ("--learning-rate", 0.4, "--batch-size", 5, "--steps", "1e2")
    found = answer("predict", *LAW, *setting)["result"]
    band = [float(predict(PROBLEM, gf.SGD(0.4, 0.0, 5), 100, noise).loss) for noise in (PLUS, MINUS)]
    assert [found["at_tau2_plus"], found["at_tau2_minus"]] == [[band[0]], [band[1]]]
    shown = run("predict", *LAW, *setting).stdout
    assert all(f"{loss:.4g}" in shown for loss in band)
    assert "tau2 = +1" in shown
    assert "tau2 = +1" not in run("predict", *LAW, *setting, "--tau2", 0).stdout
    assert "tau2 = +1" not in run("predict", *LAW, *setting[:3], "full", *setting[4:]).stdout
    best = ("--momentum", 0, "--batch-size", 5, "--steps", 50)
    minus, plus = gf.optimize(PROBLEM, 5, 50, 0.0).loss_band
    text = run("optimize", *LAW, *best).stdout
    assert f"over noise models: {minus:.6g} at tau2 = -tau1, {plus:.6g} at tau2 = tau1" in text
    assert "over noise models" not in run("optimize", *LAW, *best, "--tau1", 1).stdout


def test_steps_is_the_answer_of_the_api():
    setting = ("--learning-rate", 0.4, "--momentum", 0.5, "--batch-size", 5)
    found = answer("steps", *LAW, *setting, "--share", 0.2)["result"]
    start = 0.5 * PROBLEM.signal_total
    steps = [gf.steps_to_loss(PROBLEM, gf.SGD(0.4, 0.5, 5), 0.2 * start, noise) for noise in (PLUS, MINUS)]
    assert [found["steps"], found["at_tau2_plus"], found["at_tau2_minus"]] == [steps[0], *steps]
    assert (found["loss"], found["samples"], found["epochs"]) == (0.2 * start, 5 * steps[0], steps[0] / 20)
    shown = run("steps", *LAW, *setting, "--loss", 0.2 * start).stdout
    assert f"steps:   {steps[0]:,.0f}\n" in shown
    assert f"samples: {5 * steps[0]:,.0f}  ({steps[0] / 20:,.4g} epochs)" in shown
    noisy = ("--noise-variance", 0.2, *setting)
    assert "never reached: no loss falls below 0.1" in run("steps", *LAW, *noisy, "--loss", 0.09).stdout
    floor = stability(gf.PowerLaw(1.5, 0.5, 1.0, 1.0, 40, 100, 0.2), gf.SGD(0.4, 0.5, 5)).floor
    assert f"the loss tends to {0.1 + floor:.6g}" in run("steps", *LAW, *noisy, "--loss", 0.1001).stdout
    wild = ("--learning-rate", 2.5, "--batch-size", 1, "--loss", 1e-9)
    assert "diverges before" in run("steps", *LAW, *wild).stdout
    assert answer("steps", *LAW, *wild)["result"]["steps"] == "inf"


@pytest.mark.slow
def test_translate_is_the_answer_of_the_api():
    words = (*LAW, "--learning-rate", 0.02, "--momentum", 0.5, "--batch-size", 2, "--to", 8)
    expected = gf.translate(PROBLEM, gf.SGD(0.02, 0.5, 2), 8)
    found = answer("translate", *words)["result"]
    assert found["method"]["learning_rate"] == expected.learning_rate
    assert (found["status"], found["meaning"]) == (expected.status, expected.meaning)
    shown = run("translate", *words).stdout
    for rate in (expected.learning_rate, expected.linear_rate, expected.square_root_rate, expected.max_rate):
        assert f"{rate:.6g}" in shown
    assert all(f"{losses[-1]:.4g}" in shown for losses in (expected.loss, expected.found_loss, expected.linear_loss))
    kept = gf.translate(PROBLEM, gf.SGD(0.02, 0.5, 2), 8, keep="edge").learning_rate
    assert f"{kept:.6g}" in run("translate", *words, "--keep", "edge").stdout


def test_convert_is_the_answer_of_the_api():
    given = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    found = answer("convert", "torch", "qhm", "lr=0.1", "momentum=0.9", "nesterov=true")
    assert found["result"]["settings"] == gf.convert(given, "torch", "qhm").settings
    assert found["inputs"]["settings"] == given
    assert "learning_rate  1\n" in run("convert", "torch", "ema", "lr=0.1", "momentum=0.9").stdout
    shown = run("convert", "torch", "paper", "lr=0.1", "momentum=0.9", "dampening=0.5").stdout
    assert "learning_rate  0.05\n" in shown
    assert "not quite the same iterates" in shown


def test_the_choices_are_those_of_the_api():
    from genfun.answers.batch.translate import Keep
    from genfun.answers.convert import Convention
    from genfun.cli.convert import CONVENTIONS
    from genfun.cli.steps import KEEP

    assert get_args(Convention) == CONVENTIONS
    assert get_args(Keep) == KEEP


@pytest.mark.slow
def test_map_writes_every_cell_or_a_picture_with_its_numbers(tmp_path):
    words = ("map", *LAW, "--step", 60, "--cells", 4, "--batch-sizes", "1,full")
    found = answer(*words)["result"]["maps"]
    assert [m["batch_size"] for m in found] == [1, None]
    rates, momenta = found[0]["learning_rates"], found[0]["momenta"]
    assert rates[0] == pytest.approx(0.02 * max_learning_rate(PROBLEM, 0.0, 1), rel=1e-12)
    assert (rates[-1], momenta[0], momenta[-1]) == (pytest.approx(4.0), -0.98, 0.98)
    assert found[0]["loss"][1][2] == pytest.approx(
        float(predict(PROBLEM, gf.SGD(rates[1], momenta[2], 1), 60).loss), rel=1e-6
    )
    shown = run(*words, "--out", tmp_path / "cells.csv").stdout
    assert f"wrote {tmp_path / 'cells.csv'}" in shown
    with open(tmp_path / "cells.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["batch_size"] for row in rows] == ["1"] * 16 + ["full"] * 16
    np.testing.assert_allclose([float(row["loss"]) for row in rows[:16]], np.ravel(np.array(found[0]["loss"], float)))
    run(*words, "--out", tmp_path / "map.svg")
    assert {path.name for path in tmp_path.iterdir()} == {"cells.csv", "map.csv", "map.svg"}


def test_losses_below_any_training_are_told_in_words_with_their_exponent_apart():
    shown = run(
        "predict", "power-law", "--n-modes", 1, "--learning-rate", 0.9, "--batch-size", "full", "--steps", "1e4"
    )
    # L(t) = (1/2) 0.1^(2t): 5e-20001
    assert "below 1e-300" in shown.stdout
    assert "log10 of the mean losses below 1e-300: -20,000.3 at step 10,000" in shown.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("optimize", "--steps", "1e5"),
        ("map", "--step", "1e5", "--cells", "4"),
        ("explain", "--learning-rate", "0.5", "--steps", "5000"),
        ("big-batch", "--learning-rate", "0.5", "--steps", "9000", "--n-samples", "10"),
    ],
    ids=lambda words: words[0],
)
def test_no_answer_shows_an_impossible_loss_without_a_word(words):
    sizes = {"map": ("--batch-sizes", "full"), "big-batch": ("--batch-size", "2")}
    shown = run(
        words[0], "power-law", "--n-modes", 3, *words[1:], *sizes.get(words[0], ("--batch-size", "full"))
    ).stdout
    assert "below 1e-300" in shown
    assert re.search(r"e[-+]\d{3}", shown.replace("1e-300", "")) is None


def test_a_loss_of_nothing_is_zero_and_no_tiny_one(tmp_path):
    np.savez(tmp_path / "none.npz", eigenvalues=[1.0, 0.5], signal=[0.0, 0.0])
    words = (tmp_path / "none.npz", "--batch-size", "full", "--learning-rate", "0.5")
    assert "below 1e-300" not in run("predict", *words, "--steps", "10").stdout
    assert "below 1e-300" not in run("explain", *words, "--steps", "10").stdout


@pytest.mark.slow
def test_own_files_are_read(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=40)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    table = np.column_stack([y, X])
    np.savetxt(tmp_path / "data.csv", table, delimiter=",", header="price,a,b,c", comments="", fmt="%.17g")
    d = gf.LinearData.from_features(X, y)
    expected = max_learning_rate(d, 0.0, 2)
    for words in (
        [tmp_path / "data.npz"],
        [tmp_path / "data.csv", "--column", "price"],
        [tmp_path / "data.csv", "--column", 0],
    ):
        assert answer("max-lr", *words, "--batch-size", 2)["result"]["learning_rate"] == pytest.approx(
            expected, rel=1e-9
        )


def test_a_spectrum_file_is_a_target(tmp_path):
    np.savez(tmp_path / "s.npz", eigenvalues=[1.0, 0.5], signal=[1.0, 1.0], n_samples=10)
    found = answer("max-lr", tmp_path / "s.npz", "--batch-size", 2, "--noise-variance", 0.3)
    p = gf.LinearProblem([1.0, 0.5], [1.0, 1.0], 10)
    assert found["result"]["learning_rate"] == max_learning_rate(p, 0.0, 2)
    assert found["inputs"]["noise"]["source"] == "assumed"
