"""--cross-entropy: the answers are those of `genfun.SoftmaxData`, and what is not derived is refused by name."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from command_line import result_of, run

import genfun as gf

pytest.importorskip("pandas")
SETTING = ("--batch-size", 4, "--learning-rate", 0.05)


@pytest.fixture
def table(tmp_path):
    """A table of three features and a label, and the same as arrays."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((40, 3)) * [2.0, 1.0, 0.5], rng.integers(3, size=40)
    X[:, 0] += labels
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = ((*x, ("cat", "dog", "fox")[c]) for x, c in zip(X, labels, strict=True))
        csv.writer(stream).writerows([("a", "b", "c", "kind"), *rows])
    return path, X, labels


@pytest.mark.slow
def test_curve_and_edge_are_those_of_the_probe_on_the_features_as_they_are(table):
    path, X, labels = table
    probe = gf.SoftmaxData.from_features(np.hstack([np.ones((40, 1)), X]), labels)
    told = gf.predict(probe, gf.SGD(0.05, 0.5, 4), [5, 60])
    found = result_of("predict", path, "--cross-entropy", "--intercept", *SETTING, "--momentum", 0.5, "--steps", "5,60")
    # The features are turned to their eigenfeatures, so that the draws for the averages fall elsewhere.
    assert found["loss"] == pytest.approx(told.loss.tolist(), rel=2e-3)
    assert found["error_rate"] == pytest.approx(told.error_rate.tolist(), abs=0.02)
    edge = result_of("max-lr", path, "--cross-entropy", "--intercept", "--batch-size", 4, "--momentum", 0.5)
    assert edge["start_edge"] == pytest.approx(gf.max_learning_rate(probe, 0.5, 4), rel=1e-9)
    printed = run("max-lr", path, "--cross-entropy", "--batch-size", 4).stdout
    assert "3 times that of squared loss" in printed
    assert "a largest stable learning rate does not exist" in printed


@pytest.mark.slow
def test_the_largest_rate_whose_loss_rises_little_is_told(table):
    path, X, labels = table
    words = ("max-lr", path, "--cross-entropy", "--batch-size", 2, "--momentum", 0.9, "--steps", 20, "--rise", 0.2)
    found = result_of(*words)
    probe = gf.SoftmaxData.from_features(X, labels)
    # The features are turned, so that draws fall elsewhere.
    assert found["rate_of_rise"] == pytest.approx(gf.max_learning_rate(probe, 0.9, 2, rise=0.2, steps=20), rel=0.03)
    assert "rises by no more than 0.2 of its least up to step 20" in run(*words).stdout
    assert "give --steps" in run(*words[:-4], "--rise", 0.2, code=2).stderr
    assert "are of cross-entropy" in run("max-lr", path, "--classes", "--batch-size", 2, "--steps", 9, code=2).stderr


def test_held_out_rows_are_told_beside_the_training_ones(table, tmp_path):
    path, X, labels = table
    probe = gf.SoftmaxData.from_features(X, labels)
    other = tmp_path / "other.csv"
    with other.open("w", newline="", encoding="utf-8") as stream:
        rows = ((*x, ("fox", "cat", "dog")[c]) for x, c in zip(X, labels, strict=True))
        csv.writer(stream).writerows([("a", "b", "c", "kind"), *rows])
    told = gf.predict_test(probe, gf.SGD(0.05, batch_size=4), [60], X, (labels + 2) % 3)
    found = result_of("predict", path, "--test", other, "--cross-entropy", *SETTING, "--steps", 60)
    assert found["test_loss"] == pytest.approx(told.loss.tolist(), rel=1e-9)
    assert found["test_error_rate"] == pytest.approx(told.error_rate.tolist(), abs=1e-9)
    assert found["test_loss"][0] > 1.1 * found["loss"][0]  # wrong labels


@pytest.mark.slow
def test_digits_are_classes_and_held_out_ones_have_their_scale():
    words = ("predict", "mnist", "--model", "pixels", "--n", 100, "--cross-entropy", "--batch-size", 8)
    found = result_of(*words, "--learning-rate", 1, "--steps", "0,5", "--holdout", 0.2)
    assert found["loss"][0] == pytest.approx(np.log(10.0))
    assert found["loss"][1] < found["test_loss"][1] < found["test_loss"][0] == pytest.approx(np.log(10.0))


@pytest.mark.slow
def test_the_best_setting_is_that_of_the_probe(table):
    path, X, labels = table
    best = gf.optimize(gf.SoftmaxData.from_features(X, labels), batch_size=4, steps=30, momentum=0.0)
    found = result_of("optimize", path, "--cross-entropy", "--batch-size", 4, "--steps", 30, "--momentum", 0)
    assert found["loss"] == pytest.approx(best.loss, rel=5e-3)
    assert found["method"]["learning_rate"] == pytest.approx(best.method.learning_rate, rel=0.3)


def test_a_setting_is_explained_in_the_words_of_the_probe(table):
    path, X, labels = table
    told = gf.explain(gf.SoftmaxData.from_features(X, labels), gf.SGD(0.05, 0.5, 4), 60)
    words = ("explain", path, "--cross-entropy", *SETTING, "--momentum", 0.5, "--steps", 60)
    found = result_of(*words)
    assert found["lines"][:2] == list(told.lines[:2])
    assert found["start_edge"] == pytest.approx(told.start_edge, rel=1e-9)
    assert found["steps"] == [30, 60, 120]
    # The features are turned, so that draws fall elsewhere.
    assert found["loss"] == pytest.approx(told.prediction.loss.tolist(), rel=2e-3)
    shown = run(*words).stdout
    assert "learning rate 0.05, momentum 0.5, batch size 4" in shown
    assert "power law" not in shown
    assert shown.startswith(f"{path}, --cross-entropy\n")
    assert "--noise is of squared loss" in run(*words, "--noise", "fitted", code=2).stderr


@pytest.mark.slow
def test_the_setting_to_use_is_one_line_and_has_momentum_only_where_that_is_worth_it(table):
    path, _, _ = table
    words = ("optimize", path, "--cross-entropy", "--batch-size", 4, "--steps", 8)
    found = result_of(*words)
    plain = found["loss_without_momentum"]
    use = found["without_momentum"] if plain <= 1.01 * found["loss"] else found["method"]
    line = next(line for line in run(*words).stdout.splitlines() if line.startswith("use "))
    assert f"use learning rate {use['learning_rate']:.4g}, momentum {use['momentum']:.3g}, batch size 4: mean" in line
    fixed = run(*words, "--momentum", 0.5).stdout
    assert "momentum 0.5, batch size 4: mean loss" in fixed
    assert "without momentum" not in fixed  # none was looked for


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("predict", "power-law", *SETTING, "--steps", 5), "a power law has none"),
        (("predict", "FILE", *SETTING, "--steps", 5, "--noise", "fitted"), "--noise is of squared loss"),
        (("predict", "FILE", "--batch-size", 4, "--learning-rate", "Cosine(1, 10)", "--steps", 5), "got a schedule"),
        (
            ("optimize", "FILE", "--batch-size", 4, "--steps", 5, "--objective", "test"),
            "--objective is of squared loss",
        ),
        (("optimize", "FILE", "--batch-size", 4, "--steps", 5, "--out", "a.png"), "draws no picture"),
        (("optimize", "FILE", "--batch-size", 4, "--budget", 50), "--budget is of squared loss"),
        (("optimize", "FILE", "--batch-size", 4), "give --steps"),
        (("predict", "FILE", "--column", "a", "--drop", "kind", *SETTING, "--steps", 5), "fractions"),
        (("stability", "FILE", *SETTING), "it belongs to explain, optimize, max-lr, predict"),
    ],
)
def test_what_is_not_derived_is_refused_by_name(table, tmp_path, monkeypatch, words, text):
    monkeypatch.chdir(tmp_path)
    given = [table[0] if word == "FILE" else word for word in words]
    assert text in run(*given, "--cross-entropy", code=2).stderr


def test_an_edge_has_no_picture_and_says_so_before_it_is_looked_for(table, tmp_path, monkeypatch):
    path, _, _ = table
    monkeypatch.setattr("genfun.answers.max_learning_rate", lambda *given: pytest.fail("computed"))
    words = ("max-lr", path, "--cross-entropy", "--batch-size", 4, "--out", tmp_path / "edge.png")
    assert "--out draws no picture" in run(*words, code=2).stderr


@pytest.mark.slow
def test_the_picture_of_a_curve_has_the_held_out_loss_beside_it(table, tmp_path):
    path, _, _ = table
    words = ("predict", path, "--cross-entropy", *SETTING, "--steps", 30, "--holdout", 0.2)
    run(*words, "--out", tmp_path / "curve.png")
    with (tmp_path / "curve.csv").open(encoding="utf-8", newline="") as stream:
        drawn = {(line["series"], line["x"]): line["y"] for line in csv.DictReader(stream)}
    told = result_of(*words)
    for series, name in (("training", "loss"), ("held-out", "test_loss")):
        assert float(drawn[series, "30"]) == pytest.approx(told[name][0], rel=1e-9)


@pytest.mark.slow
def test_held_out_rows_are_what_the_best_setting_is_for(table):
    path, _, _ = table
    words = ("optimize", path, "--cross-entropy", "--batch-size", 4, "--steps", 30, "--momentum", 0)
    held, own = result_of(*words, "--holdout", 0.3), result_of(*words)
    assert (held["by"], own["by"]) == ("held-out rows", "training samples")
    assert held["loss"] > own["loss"]


def test_targets_that_are_no_labels_are_refused_by_the_option_that_was_given(tmp_path):
    path = tmp_path / "amounts.csv"
    path.write_text("a,price\n1,0.5\n2,1.5\n3,0.2\n4,0.1\n", encoding="utf-8")
    told = run("max-lr", path, "--target", "price", "--cross-entropy", "--batch-size", 2, code=2).stderr
    assert "--cross-entropy needs labels" in told
    assert "leave --cross-entropy out" in told
    assert "--classes" not in told
    told = run("max-lr", path, "--target", "price", "--classes", "--batch-size", 2, code=2).stderr
    assert "leave --classes out" in told


def test_no_least_squared_loss_is_told_under_cross_entropy(table):
    path, _, _ = table
    squared = run("max-lr", path, "--classes", "--batch-size", 4).stdout
    assert "the least loss is" in squared  # or the next says nothing
    told = run("max-lr", path, "--cross-entropy", "--batch-size", 4).stdout
    assert "the least loss is" not in told
    assert "a target of 0 and 1 for each of" in squared
    assert "' is a class, one of " in told
    assert "--intercept adds it" in " ".join(told.split())


def test_the_edge_is_named_as_the_command_that_tells_it(table):
    path, _, _ = table
    words = ("predict", path, "--cross-entropy", "--batch-size", 4, "--learning-rate", 99, "--steps", 5)
    assert "`genfun max-lr` gives that edge" in run(*words, code=2).stderr
