"""--test and --holdout: held-out rows are treated by what the training rows gave, and the answers are the API's."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from command_line import answer, run

import genfun as gf
from genfun.data.held_out_rows import chosen_rows, split_file, split_mnist
from genfun.data.tables import Choices

pytest.importorskip("pandas")
SETTING = ("--batch-size", 4, "--learning-rate", 0.05, "--steps", "10,60")
METHOD, STEPS = gf.SGD(0.05, batch_size=4), [10, 60]


def drawn(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def written(path: Path, rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


@pytest.fixture
def table(tmp_path):
    """60 rows for training and 20 others of another mean and deviation, with a text column and a constant one."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((60, 3)), 5.0 + 4.0 * rng.standard_normal((20, 3))])
    kind = np.array(["a", "b"])[rng.integers(2, size=80)]
    y = x @ [1.0, -0.5, 0.2] + 0.3 * (kind == "a") + 0.1 * rng.standard_normal(80)
    head = ("u", "v", "w", "same", "kind", "y")
    rows = [(*map(repr, map(float, x[i])), 7.0, kind[i], float(y[i])) for i in range(80)]
    first, second = (
        written(tmp_path / "train.csv", [head, *rows[:60]]),
        written(tmp_path / "new.csv", [head, *rows[60:]]),
    )
    return first, second, x, kind, y


@pytest.mark.slow
def test_rows_of_another_file_are_moved_and_scaled_by_the_training_rows(table):
    first, second, x, kind, y = table
    scaled = (x - x[:60].mean(axis=0)) / x[:60].std(axis=0)
    X = np.column_stack([np.ones(80), scaled, kind == "a", kind == "b"]).astype(float)
    told = gf.predict_test(gf.LinearData.from_features(X[:60], y[:60]), METHOD, STEPS, X[60:], y[60:], X[:60])
    found = answer("predict", first, "--test", second, "--standardize", "--intercept", "--one-hot", *SETTING)["result"]
    assert found["loss"] == pytest.approx(told.loss.tolist(), rel=1e-9)
    assert found["train_loss"] == pytest.approx(told.train_loss.tolist(), rel=1e-9)
    assert found["best_step"] == told.best_step
    # By their own mean and deviation the answer would be another one.
    own = (x[60:] - x[60:].mean(axis=0)) / x[60:].std(axis=0)
    wrong = np.column_stack([np.ones(20), own, X[60:, 4:]])
    assert (
        gf.predict_test(gf.LinearData.from_features(X[:60], y[:60]), METHOD, 60, wrong, y[60:], X[:60]).loss
        > 1.2 * (told.loss[1])
    )


def test_columns_in_another_order_are_found_by_name_and_missing_ones_are_refused(table, tmp_path):
    first, second, *_ = table
    rows = drawn(second)
    turned = written(tmp_path / "turned.csv", [row[::-1] for row in rows])
    words = ("--standardize", "--one-hot", "--target", "y", *SETTING)
    straight, other = (answer("predict", first, "--test", file, *words)["result"] for file in (second, turned))
    assert straight["loss"] == other["loss"]
    short = written(tmp_path / "short.csv", [row[1:] for row in rows])
    assert "lacks the column 'u'" in run("predict", first, "--test", short, *words, code=2).stderr


def test_a_new_category_is_a_row_of_zeros_and_a_new_class_is_refused(tmp_path):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    train = pd.DataFrame({"x": rng.standard_normal(20), "kind": ["a", "b"] * 10, "label": ["p", "q", "q", "p"] * 5})
    new = pd.DataFrame({"x": [0.5, 1.0], "kind": ["a", "c"], "label": ["p", "q"]})
    choices = Choices(one_hot=True, classes=True)
    split = split_file(train, choices, new)
    assert np.asarray(split.X_test).tolist() == [[0.5, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert split.y_test.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(ValueError, match="'r' is no class of the training rows"):
        split_file(train, choices, new.assign(label=["p", "r"]))


def test_rows_that_are_held_out_are_a_share_none_of_which_is_trained_on():
    train, test = chosen_rows(50, 0.2, seed=3)
    assert len(test) == 10
    assert sorted([*train, *test]) == list(range(50))
    assert not np.array_equal(test, chosen_rows(50, 0.2, seed=4)[1])
    for share in (0.0, 1.0, 1.5, 0.99):
        with pytest.raises(ValueError, match="holdout"):
            chosen_rows(50, share)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ntk", "pixels"])
def test_held_out_digits_are_those_of_data_made_of_the_others(model):
    split = split_mnist(0.25, n=60, seed=2, model=model)
    images, labels = gf.data.mnist_arrays()
    chosen = np.random.default_rng(2).choice(len(labels), 60, replace=False)
    train, test = (chosen[part] for part in chosen_rows(60, 0.25))
    pixels, numbers = images.reshape(-1, 784), labels.astype(float)
    x, x_new = ((pixels[part] - pixels[train].mean()) / pixels[train].std() for part in (train, test))
    y, y_new = ((numbers[part] - numbers[train].mean()) / numbers[train].std() for part in (train, test))
    X, X_new, X_train = np.hstack([x, np.ones((45, 1))]), np.hstack([x_new, np.ones((15, 1))]), None
    if model == "ntk":
        data, X_new = gf.LinearData.from_kernel(gf.data.relu_ntk(x), y), gf.data.relu_ntk(x_new, x)
    else:
        data, X_train = gf.LinearData.from_features(X, y), X
    m = gf.SGD(0.3, batch_size=5)
    same = gf.SGD(0.3 / data.problem.lambda_max, batch_size=5)
    told = gf.predict_test(data, same, [0, 20, 90], X_new, y_new, X_train)
    found = gf.predict_test(split.data, m, [0, 20, 90], split.X_test, split.y_test, split.X_train)
    assert found.loss == pytest.approx(told.loss, rel=1e-8)


@pytest.mark.slow
def test_classes_have_their_rate_of_errors_and_pictures_and_tables_are_written(tmp_path):
    file = written(tmp_path / "cells.csv", drawn(Path(__file__).parents[2] / "docs/data/breast_cancer.csv")[:151])
    words = ("predict", file, "--classes", "--standardize", "--holdout", 0.2, *SETTING)
    text = run(*words, "--out", tmp_path / "curve.png").stdout
    assert "wrong" in text
    assert "ridge regression" in text
    run(*words, "--out", tmp_path / "curve.csv")
    head, *rows = drawn(tmp_path / "curve.csv")
    found = answer(*words)
    assert [float(row[head.index("test_loss")]) for row in rows] == found["result"]["loss"]
    assert all(0.0 < rate < 0.5 for rate in found["result"]["error_rate"])
    assert found["inputs"]["holdout"] == 0.2
    assert found["inputs"]["n_samples"] == 120
    assert answer(*words, "--split-seed", 1)["result"]["loss"] != found["result"]["loss"]


@pytest.mark.slow
@pytest.mark.usefixtures("coarse_searches")
def test_best_settings_for_held_out_rows_are_those_of_the_api():
    words = ("optimize", "mnist", "--n", 32, "--model", "pixels", "--batch-size", 4, "--steps", 10, "--momentum", 0)
    split = split_mnist(0.25, n=32, model="pixels")
    rows = {"X_test": split.X_test, "y_test": split.y_test, "X_train": split.X_train}
    told = gf.optimize(split.data, 4, 10, 0.0, objective="test", **rows)
    found = answer(*words, "--holdout", 0.25)["result"]
    assert found["method"]["learning_rate"] == pytest.approx(told.method.learning_rate, rel=1e-9)
    assert found["by"] == "held-out rows"
    assert answer(*words, "--objective", "test")["result"]["by"] == "leave-one-out"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "power-law", "--n-modes", 9, "--holdout", 0.2, *SETTING), "no samples to hold out"),
        (("predict", "mnist", "--test", "x.csv", *SETTING), "--holdout 0.2"),
        (("predict", "mnist", "--n", 40, "--holdout", 0.2, "--tau1", 1, *SETTING), "--tau1 replaces the noise"),
        (("predict", "mnist", "--n", 40, "--holdout", 0.2, "--noise", "fitted", *SETTING), "--noise fitted"),
        (("predict", "mnist", "--n", 40, "--holdout", 1.2, *SETTING), "below 1"),
        (("predict", "mnist", "--holdout", 0.2, "--test", "x.csv", *SETTING), "drop one of the two"),
        (("predict", "nowhere.csv", "--holdout", 0.2, *SETTING), "does not exist"),
        (
            ("predict", "mnist", "--n", 40, "--holdout", 0.2, "--batch-size", 4, "--steps", 9, "--learning-rate",
             "Cosine(1, 9)"),
            "constant hyperparameters",
        ),
        (("optimize", "mnist", "--n", 40, "--holdout", 0.2, "--budget", 100), "no --budget"),
        (
            ("optimize", "mnist", "--n", 40, "--holdout", 0.2, "--objective", "folds", "--batch-size", 4, "--steps", 9),
            "needs no held-out rows",
        ),
        (("optimize", "power-law", "--objective", "test", "--batch-size", 4, "--steps", 9), "needs data"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_by_name(words, told):
    assert told in run(*words, code=2).stderr


@pytest.mark.slow
def test_features_kernels_and_sparse_tables_hold_out_the_same_rows(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    y = X @ [1.0, 2.0, 3.0, 4.0] + rng.standard_normal(50)
    np.savez(tmp_path / "features.npz", X=X, y=y)
    np.savez(tmp_path / "kernel.npz", K=X @ X.T, y=y)
    sparse.save_npz(tmp_path / "sparse.npz", sparse.csr_array(np.column_stack([X, y])))
    names = ("features", "kernel", "sparse")
    found = [answer("predict", tmp_path / f"{name}.npz", "--holdout", 0.2, *SETTING)["result"] for name in names]
    assert found[1]["loss"] == pytest.approx(found[0]["loss"], rel=1e-6)
    assert found[2]["loss"] == pytest.approx(found[0]["loss"], rel=1e-9)
    stderr = run("predict", tmp_path / "kernel.npz", "--test", tmp_path / "kernel.npz", *SETTING, code=2).stderr
    assert "use --holdout" in stderr
