"""The analytic kernel is the infinite-width limit, accurate at all angles."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from genfun.data import LinearData, relu_ntk
from genfun.data.kernels import ROWS


def test_the_kernel_is_the_mean_of_finite_networks():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5, 3))
    d, units = X.shape[1], 200_000
    W, a = rng.standard_normal((units, d)), rng.standard_normal(units)
    hidden = X @ W.T / np.sqrt(d)
    active = (hidden > 0.0).astype(float)
    relu = hidden * active
    gram = X @ X.T / d
    exact = relu_ntk(X)
    for i in range(5):
        for j in range(5):
            # Gradients by a and by w of the network sum a relu(w x / sqrt d) / sqrt m, one term a unit.
            terms = relu[i] * relu[j] + a**2 * active[i] * active[j] * gram[i, j]
            error = terms.std() / np.sqrt(units)
            assert abs(terms.mean() - exact[i, j]) < 4.0 * error


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-7, 1e-4, 0.0446, 0.0448, 1.0, np.pi - 1e-3, np.pi - 1e-8, np.pi])
def test_every_angle_is_accurate_to_rounding(angle):
    x, y = np.array([3.0, 0.0]), 2.0 * np.array([np.cos(angle), np.sin(angle)])
    with mpmath.workdps(40):
        # The angle between the rounded vectors themselves.
        t = mpmath.atan2(mpmath.mpf(float(y[1])), mpmath.mpf(float(y[0])))
        expected = 6 * (mpmath.sin(t) + 2 * (mpmath.pi - t) * mpmath.cos(t)) / (2 * mpmath.pi * 2)
    # arccos would err by 1e-8 near 0 and pi; 1 - cos = 1e-3 lies at t = 0.0447.
    assert abs(relu_ntk([x], [y])[0, 0] - float(expected)) < 2e-14


def test_the_matrix_is_symmetric_positive_definite_with_norms_on_the_diagonal():
    rng = np.random.default_rng(1)
    base = rng.standard_normal((30, 4))
    X = np.vstack([base, base[:5] * (1.0 + 1e-12), base[:5] + 1e-6])
    K = relu_ntk(X)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(np.diag(K), np.sum(X**2, axis=1) / 4, rtol=1e-14)
    np.testing.assert_allclose(K, relu_ntk(X, X), rtol=0, atol=1e-13 * K.max())
    # Nearly equal inputs leave no negative eigenvalue beyond the rounding of the eigensolver.
    assert np.linalg.eigvalsh(K)[0] > -len(X) * np.finfo(float).eps * K.max() * len(X)
    assert LinearData.from_kernel(K, np.ones(40)).rank >= 30


def test_scaling_an_input_scales_its_row():
    X = np.random.default_rng(2).standard_normal((4, 3))
    np.testing.assert_allclose(relu_ntk(2.0 * X, X), 2.0 * relu_ntk(X, X), rtol=1e-13)


def test_a_zero_input_has_a_zero_row():
    K = relu_ntk([[0.0, 0.0], [2.0, 0.0]])
    np.testing.assert_array_equal(K, [[0.0, 0.0], [0.0, 2.0]])


def test_inputs_of_different_width_are_refused():
    with pytest.raises(ValueError, match="got 2 and 3"):
        relu_ntk(np.ones((1, 2)), np.ones((1, 3)))


def test_a_symmetric_kernel_of_several_blocks_of_rows_is_the_kernel_of_the_rows_with_themselves() -> None:
    x = np.random.default_rng(0).standard_normal((2 * ROWS + 5, 3))
    found = relu_ntk(x)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, relu_ntk(x, x.copy()), rtol=1e-13, atol=1e-13)
