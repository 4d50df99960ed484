"""Scales that doubles do not hold are refused at the door by name; within them no answer depends on the unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import genfun as gf

ROWS = np.random.default_rng(0).standard_normal((20, 3))


@pytest.mark.parametrize("scale", [1e-160, 1e160])
@pytest.mark.parametrize(
    "make",
    [
        lambda s: gf.LinearProblem([s, s / 2.0], [1.0, 1.0]),
        lambda s: gf.PowerLaw(1.5, 0.5, eigenvalue_scale=s),
        lambda s: gf.LinearData.from_features(np.sqrt(s) * ROWS, ROWS[:, 0]),
        lambda s: gf.SoftmaxData.from_features(np.sqrt(s) * ROWS, (ROWS[:, 0] > 0).astype(int)),
        lambda s: gf.LinearProblem.from_operator(lambda v: s * np.arange(1.0, 101.0) * v, np.ones(100), n_samples=100),
        lambda s: gf.data.gaussian([s, s / 2.0], [1.0, 1.0], n_samples=10, seed=0),
    ],
    ids=["spectrum", "power law", "features", "softmax", "operator", "synthetic"],
)
def test_eigenvalues_out_of_range_are_refused_on_construction(make: Callable[[float], Any], scale: float) -> None:
    def asked() -> float:
        return gf.max_learning_rate(make(scale), 0.0, 1)  # a SoftmaxData looks at its spectrum when it is asked

    with pytest.raises(ValueError, match=r"eigenvalues.* must have their largest between .* divide them"):
        asked()


@pytest.mark.parametrize(
    ("eigenvalue", "signal", "noise", "name"),
    [
        (1.0, 1e301, 0.0, "signal"),
        (1.0, 1.0, 1e301, "noise_variance"),
        (1.0, 1e-310, 0.0, "signal"),
        (1.0, 1.0, 1e-310, "noise_variance"),
        (1e60, 1e200, 0.0, "signal"),
        (1e60, 1.0, 1e200, "noise_variance"),
    ],
)
def test_losses_out_of_range_are_refused_on_construction(
    eigenvalue: float, signal: float, noise: float, name: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must .* divide it and .* by one number"):
        gf.LinearProblem([eigenvalue], [signal], noise_variance=noise)


@pytest.mark.parametrize("array", ["X", "y"])
def test_arrays_whose_squares_overflow_are_refused_by_name(array: str) -> None:
    X, y = ROWS, ROWS[:, 0]
    with pytest.raises(ValueError, match=rf"^{array} holds .* divide it by"):
        gf.LinearData.from_features(*((1e160 * X, y) if array == "X" else (X, 1e160 * y)))


@pytest.mark.parametrize("unit", [1e-290, 1e-160, 1e160, 1e290])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_answers_do_not_depend_on_the_unit_of_the_loss(unit: float, noise: float) -> None:
    method = gf.SGD(0.3, 0.5, 4)
    one, other = (gf.LinearProblem([1.0, 0.5], [u, u / 2.0], 100, noise * u) for u in (1.0, unit))
    assert gf.predict(other, method, 20).loss == pytest.approx(unit * gf.predict(one, method, 20).loss, rel=1e-11)
    wide, narrow = (gf.spread(p, method, 20) for p in (other, one))
    assert wide.sd == pytest.approx(unit * narrow.sd, rel=1e-11)
    assert wide.quantile(0.9) == pytest.approx(unit * narrow.quantile(0.9), rel=1e-11)
    for question in (gf.noise_scale, gf.big_batch):
        found, right = (getattr(question(p, method, [0, 20]), _SIZE[question.__name__]) for p in (other, one))
        assert found == pytest.approx(right, rel=1e-9)
    assert gf.steps_to_loss(other, method, 0.4 * unit) == gf.steps_to_loss(one, method, 0.4)
    best, right = (gf.optimize(p, 4, 20) for p in (other, one))
    assert best.loss == pytest.approx(unit * right.loss, rel=1e-6)


_SIZE = {"noise_scale": "samples", "big_batch": "batch_size"}


@pytest.mark.parametrize(
    ("eigenvalue", "signal", "noise"),
    [(1e75, 1e149, 1e149), (1e-75, 1e-299, 1e-299), (1.0, 1e-290, 1e299), (1.0, 0.0, 1.0), (1.0, 1e299, 0.0)],
)
def test_the_extremes_that_are_let_in_warn_of_nothing(eigenvalue: float, signal: float, noise: float) -> None:
    """Warnings are errors in these tests."""
    problem = gf.LinearProblem([eigenvalue, eigenvalue / 2.0], [signal, signal / 2.0], 100, noise)
    method = gf.SGD(0.3 / eigenvalue, 0.5, 4)
    for question in (gf.predict, gf.noise_scale, gf.big_batch):
        question(problem, method, [0, 50])
    gf.escape_steps(problem, gf.SGD(3.0 / eigenvalue, 0.0, 1))
    gf.spread(problem, method, 50)
    gf.explain(problem, method, 100)


def test_features_so_small_that_their_coefficients_overflow_are_refused_and_no_warning_is_raised():
    X = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(ValueError, match="largest between 1e-75"):
        gf.LinearData.from_features(1e-160 * X, X[:, 0])
