"""Held-out losses, read off generating functions, against the recursion of the full second moments.

Breast cancer, MNIST pixels and the tangent kernel of MNIST digits, one-hot; three rates, momentum of both signs. And
what choosing a setting by the training loss, by leave-one-out or by held-out rows costs on held-out rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf
from genfun.data.digits import mnist_arrays
from genfun.data.kernels import relu_ntk
from validation.claim import Claim

TABLE = Path(__file__).resolve().parents[1] / "docs" / "data" / "breast_cancer.csv"
SETTINGS = ((0.0, 1), (-0.4, 4), (0.9, 8))
STEPS = np.array([1, 5, 20, 60, 200])
Rows = tuple[str, gf.LinearData, Any, Any, Any]


def cancer() -> Rows:
    """Half of the rows of breast cancer, standardised by that half, with an intercept."""
    table = np.loadtxt(TABLE, delimiter=",", skiprows=1)
    table = table[np.random.default_rng(0).permutation(len(table))]
    X, y = table[:, :-1], 2.0 * table[:, -1] - 1.0
    n = len(X) // 2
    X = np.hstack([(X - X[:n].mean(axis=0)) / X[:n].std(axis=0), np.ones((len(X), 1))])
    return "breast cancer", gf.LinearData.from_features(X[:n], y[:n]), X[n:], y[n:], None


def sets(n: int) -> Iterator[Rows]:
    """The data with their held-out rows."""
    yield cancer()
    images, labels = mnist_arrays(10_000)
    some = np.random.default_rng(1).permutation(10_000)[: n + 300]
    x = images[some].reshape(n + 300, -1) / 255.0
    y = np.eye(10)[labels[some]] - 0.1
    yield f"MNIST pixels, n={n}", gf.LinearData.from_features(x[:n], y[:n]), x[n:], y[n:], x[:n]
    kernel = gf.LinearData.from_kernel(relu_ntk(x[:n]), y[:n])
    yield f"MNIST NTK, n={n}", kernel, relu_ntk(x[n:], x[:n]), y[n:], None


def claims(fast: bool = False) -> list[Claim]:
    result, source = [], "recursion of the full second moments"
    for name, data, Xt, yt, X in sets(60 if fast else 300):
        for beta, b in SETTINGS[1:2] if fast else SETTINGS:
            for share in (0.8,) if fast else (0.1, 0.4, 0.8):
                m = gf.SGD(share * gf.max_learning_rate(data, beta, b), beta, b)
                told, full = (gf.predict_test(data, m, STEPS, Xt, yt, X, noise) for noise in ("measured", "exact"))
                worst = int(np.argmax(np.abs(told.loss / full.loss - 1.0)))
                note = f"worst of steps {STEPS.tolist()}; estimated error {float(told.noise_error[worst]):.2%}"
                what = f"{name}: held-out loss over the full recursion's, beta={beta:g}, b={b}, {share:g} of the edge"
                computed = float(told.loss[worst] / full.loss[worst])
                result.append(Claim(what, computed, 1.0, 5e-3, "approximate", source, note))
    # Of choices on few data the tests of `optimize(objective="test")` say the same.
    return result if fast else result + _choices()


def _choices() -> list[Claim]:
    name, data, Xt, yt, _ = cancer()
    steps, result = 1_000, []

    def test(method: gf.SGD) -> float:
        return float(gf.predict_test(data, method, steps, Xt, yt).loss)

    best = gf.optimize(data, 8, steps, objective="test", X_test=Xt, y_test=yt)
    chosen = {"the training loss": gf.optimize(data, 8, steps).method}
    chosen["leave-one-out"] = gf.optimize(data, 8, steps, objective="test").method
    for by, method in chosen.items():
        what = f"{name}: held-out loss of the setting chosen by {by}, over the least, b=8, step {steps}"
        note = f"ridge regression over the least: {best.ridge_loss / best.loss:.3f}"
        result.append(Claim(what, test(method) / best.loss, 1.0, 0.05, "approximate", "search on held-out rows", note))
    return result
