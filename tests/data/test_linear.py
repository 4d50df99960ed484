"""LinearData is the given least-squares problem, however the numbers are stored."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import scipy.sparse

from genfun.data import LinearData, _arrays, store
from genfun.data.eigenbasis import from_tall, triangle_qr

EPS = np.finfo(float).eps


def problem(n, d, m, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.geomspace(1.0, spread, d) @ np.linalg.qr(rng.standard_normal((d, d)))[0]
    return X, rng.standard_normal((n, m))


SHAPES = [(60, 7, 1), (60, 7, 3), (9, 9, 2), (8, 30, 1), (8, 30, 2), (5, 1, 1), (1, 4, 1)]


@pytest.mark.parametrize(("n", "d", "m"), SHAPES)
def test_spectrum_signal_and_residual_are_those_of_least_squares(n, d, m):
    X, y = problem(n, d, m)
    data = LinearData.from_features(X, y)
    expected = np.linalg.eigvalsh(X.T @ X / n)[::-1][: min(n, d)]
    optimum = np.linalg.lstsq(X, y, rcond=None)[0]
    # The spectrum of these matrices spans less than 1e3: errors stay near 1e3 max(n, d) eps.
    np.testing.assert_allclose(data.eigenvalues, expected, rtol=1e-11)
    np.testing.assert_allclose(data.noise_variance, np.sum((y - X @ optimum) ** 2) / n, rtol=1e-11, atol=1e-24)
    # L(0) = |y|^2/2N, and the gradient at 0 has the norm sum lambda_k s_k.
    np.testing.assert_allclose(data.signal.sum() + data.noise_variance, np.sum(y**2) / n, rtol=1e-12)
    np.testing.assert_allclose(data.eigenvalues @ data.signal, np.sum((X.T @ y / n) ** 2), rtol=1e-11)
    assert (data.rank, data.n_outputs, data.n_samples, data.n_dropped) == (min(n, d), m, n, 0)
    assert data.problem.n_samples == n


@pytest.mark.parametrize(("n", "d", "m"), SHAPES)
def test_eigenfeatures_reproduce_the_loss_at_every_point(n, d, m):
    X, y = problem(n, d, m)
    data = LinearData.from_features(X, y)
    phi = data.eigenfeatures
    np.testing.assert_allclose(phi.T @ phi / n, np.diag(data.eigenvalues), atol=1e-13 * data.eigenvalues[0])
    np.testing.assert_allclose(data.residuals, y - phi @ data.coefficients, atol=1e-13)
    np.testing.assert_allclose(np.sum(data.residuals**2) / n, data.noise_variance, rtol=1e-10, atol=1e-24)
    w = np.random.default_rng(1).standard_normal((data.rank, m))
    direct = np.sum((phi @ w - y) ** 2) / (2 * n)
    formula = 0.5 * (data.eigenvalues @ np.sum((w - data.coefficients) ** 2, axis=1) + data.noise_variance)
    np.testing.assert_allclose(formula, direct, rtol=1e-11)


def test_the_gram_route_is_taken_where_it_is_safe_and_agrees_with_qr():
    X, y = problem(400, 20, 2, spread=0.1)
    data = LinearData.from_features(X, y)
    assert data.solver == "gram"
    triangle = triangle_qr([np.hstack([X, y])])
    singular = np.linalg.svd(triangle[:20, :20], compute_uv=False)
    np.testing.assert_allclose(data.eigenvalues, singular**2 / 400, rtol=1e-12)
    np.testing.assert_allclose(data.noise_variance, np.sum(triangle[20:, 20:] ** 2) / 400, rtol=1e-12)


@pytest.mark.parametrize("spread", [1e-4, 1e-7, 1e-10])
def test_small_eigenvalues_far_below_the_reach_of_a_gram_matrix_are_resolved(spread):
    rng = np.random.default_rng(3)
    n, d = 300, 12
    singular = np.geomspace(1.0, spread, d)
    U = np.linalg.qr(rng.standard_normal((n, d)))[0]
    V = np.linalg.qr(rng.standard_normal((d, d)))[0]
    signal = np.geomspace(1.0, 1e-3, d)
    data = LinearData.from_features((U * singular) @ V.T, U @ np.sqrt(n * signal) + 0.0)
    assert data.solver == "qr"
    # Forming X rounds its entries, which moves the singular values by a few eps and u_k by eps / (gap of sigma_k).
    error = 20 * EPS / singular
    assert (np.abs(data.eigenvalues * n / singular**2 - 1) < 2 * error).all()
    assert (np.abs(data.signal / signal - 1) < 2000 * error).all()


def test_targets_in_the_span_of_tall_features_leave_no_residual_from_subtraction():
    X, _ = problem(400, 20, 1, spread=0.1)
    data = LinearData.from_features(X, X @ np.ones(20))
    assert data.solver == "qr"
    assert data.noise_variance < (100 * EPS) ** 2 * np.mean((X @ np.ones(20)) ** 2)


def test_rank_deficiency_is_counted_and_what_y_has_there_is_noise():
    X, y = problem(50, 6, 2)
    deficient = np.hstack([X, X[:, :2] + X[:, 2:4], np.zeros((50, 1))])
    data = LinearData.from_features(deficient, y)
    full = LinearData.from_features(X, y)
    assert (data.rank, data.n_dropped) == (6, 3)
    assert "3 directions" in data.notes[0]
    assert "noise_variance" not in data.notes[0]  # the command line prints it too
    assert "n_dropped=3" in repr(data)
    np.testing.assert_allclose(data.noise_variance, full.noise_variance, rtol=1e-12)
    wide = LinearData.from_features(np.vstack([X[:4], X[:4]]), np.arange(8.0))
    assert (wide.rank, wide.n_dropped) == (4, 2)
    # Equal samples with targets i and i + 4: the best any model does is their mean, residual 2 each.
    np.testing.assert_allclose(wide.noise_variance, 4.0, rtol=1e-12)


class Recorder:
    """An HDF5-like source: slices only, and it remembers how much was read at once."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.largest = values, values.shape, values.dtype, 0

    def __getitem__(self, key):
        piece = self.values[key]
        self.largest = max(self.largest, piece.size)
        return piece

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole array was read")


def memmapped(values, path):
    np.save(path / "values.npy", values)
    return np.load(path / "values.npy", mmap_mode="r")


SOURCES = {
    "list": lambda values, path: values.tolist(),
    "memmap": memmapped,
    "dask": lambda values, path: dask.array.from_array(values, chunks=(37, 5)),
    "hdf5": lambda values, path: Recorder(values),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("n", "d"), [(500, 6), (6, 500)])
@pytest.mark.parametrize("spread", [1.0, 1e-5])
def test_streamed_blocks_give_the_same_as_the_whole_array(source, n, d, spread, monkeypatch, tmp_path):
    X, y = problem(n, d, 2, spread=spread)
    whole = LinearData.from_features(X, y)
    monkeypatch.setattr(_arrays, "BLOCK_BYTES", 1600)
    reader = SOURCES[source](X, tmp_path)
    streamed = LinearData.from_features(reader, y)
    np.testing.assert_allclose(streamed.eigenvalues, whole.eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(streamed.signal, whole.signal, rtol=1e-8)
    np.testing.assert_allclose(streamed.noise_variance, whole.noise_variance, rtol=1e-10, atol=1e-24)
    if source == "hdf5":
        assert reader.largest <= 500  # of 3000: 4 (d + outputs) rows at most, or 200 numbers


def test_targets_are_streamed_too():
    X, y = problem(300, 4, 1)
    lazy = LinearData.from_features(dask.array.from_array(X, chunks=(50, 4)), dask.array.from_array(y[:, 0], chunks=50))
    expected = LinearData.from_features(X, y).signal
    np.testing.assert_allclose(lazy.signal, expected, rtol=1e-11)
    recorder = Recorder(y[:, 0])
    np.testing.assert_allclose(LinearData.from_features(Recorder(X), recorder).signal, expected, rtol=1e-11)


def test_sparse_features_are_read_as_dense_blocks():
    X, y = problem(60, 5, 1)
    X[np.abs(X) < 0.5] = 0.0
    sparse = LinearData.from_features(scipy.sparse.csr_array(X), y)
    np.testing.assert_allclose(sparse.signal, LinearData.from_features(X, y).signal, rtol=1e-11)


def test_beyond_the_memory_limit_eigenfeatures_are_read_again_and_the_noise_is_the_same(monkeypatch):
    monkeypatch.setattr(_arrays, "BLOCK_BYTES", 1600)
    X, y = problem(300, 4, 1)
    small, huge = LinearData.from_features(X, y), LinearData.from_features(X, y, memory_limit=100)
    with pytest.raises(MemoryError, match=r"300 samples x 4 modes.*memory_limit"):
        _ = huge.eigenfeatures
    np.testing.assert_allclose(np.vstack([phi for phi, _ in huge.blocks()]), small.eigenfeatures, atol=1e-14)
    assert huge.noise_fit.tau1 == pytest.approx(small.noise_fit.tau1, rel=1e-12)
    scaled = huge.normalized()
    phi = np.vstack([phi for phi, _ in scaled.blocks()])
    np.testing.assert_allclose(phi.T @ phi / 300, np.diag(scaled.eigenvalues), atol=1e-13)


@pytest.mark.parametrize(("n", "d"), [(30, 5), (20, 40)])
def test_a_kernel_matrix_gives_the_same_as_its_features(n, d):
    X, y = problem(n, d, 2)
    kernel, features = LinearData.from_kernel(X @ X.T, y), LinearData.from_features(X, y)
    assert kernel.rank == features.rank
    assert kernel.n_dropped == n - kernel.rank
    np.testing.assert_allclose(kernel.eigenvalues, features.eigenvalues, rtol=1e-10)
    np.testing.assert_allclose(kernel.signal, features.signal, rtol=1e-9)
    np.testing.assert_allclose(kernel.noise_variance, features.noise_variance, rtol=1e-10, atol=1e-24)
    np.testing.assert_allclose(np.abs(kernel.eigenfeatures), np.abs(features.eigenfeatures), atol=1e-10)


def test_normalized_data_have_largest_eigenvalue_one_and_the_same_signal():
    X, y = problem(40, 5, 2)
    data = LinearData.from_features(3.0 * X, y)
    scaled = data.normalized()
    assert scaled.eigenvalues[0] == 1.0
    np.testing.assert_allclose(scaled.signal, data.signal, rtol=1e-14)
    np.testing.assert_allclose(scaled.residuals, data.residuals, atol=1e-13)
    phi = scaled.eigenfeatures
    np.testing.assert_allclose(phi.T @ phi / 40, np.diag(scaled.eigenvalues), atol=1e-14)


def test_single_precision_is_computed_in_double_and_its_floor_is_told():
    X, y = problem(50, 6, 1)
    data = LinearData.from_features(X.astype(np.float32), y)
    np.testing.assert_allclose(data.eigenvalues, LinearData.from_features(X, y).eigenvalues, rtol=1e-6)
    assert data.eigenvalues.dtype == np.float64
    assert "relative rounding 1.2e-07" in data.notes[0]
    assert LinearData.from_features(np.arange(12).reshape(6, 2), np.arange(6)).notes == ()
    kernel = (X @ X.T).astype(np.float32)
    single = LinearData.from_kernel(kernel, y)
    assert single.rank == 6  # the 44 eigenvalues that float32 rounding makes of the zeros are dropped


def test_progress_reaches_the_end_of_every_stage():
    X, y = problem(4000, 3, 1)
    told = []
    LinearData.from_features(X, y, progress=lambda fraction, stage: told.append((fraction, stage)))
    assert told[-1] == (1.0, "Gram matrix")
    LinearData.from_kernel(np.eye(3), np.ones(3), progress=lambda fraction, stage: told.append((fraction, stage)))
    assert told[-1] == (1.0, "eigenvalues of the kernel")


def test_eigenfeatures_are_made_when_first_asked_for_and_features_let_go():
    X, y = problem(300, 4, 2)
    data = LinearData.from_features(X, y)
    assert vars(data.store)["features"] is not None
    scaled = data.normalized()
    phi = data.eigenfeatures
    assert vars(data.store)["features"] is None
    assert data.eigenfeatures is phi
    np.testing.assert_allclose(phi.T @ phi / 300, np.diag(data.eigenvalues), atol=1e-13)
    np.testing.assert_allclose(scaled.eigenfeatures * np.sqrt(data.eigenvalues[0]), phi, atol=1e-13)
    np.testing.assert_allclose(data.store.scaled(2.0).arrays()[0], 2.0 * phi, rtol=1e-15)


CHANGES = {
    "one value": lambda X: X.__setitem__((7, 2), X[7, 2] + 1e-3),
    "samples in another order": lambda X: X.__setitem__(slice(None), X[::-1].copy()),
    "the sign": lambda X: np.negative(X, out=X),
    "nan": lambda X: X.__setitem__((7, 2), np.nan),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_features_reaches_no_data_that_have_a_copy_and_is_refused_by_those_that_have_none(
    change, monkeypatch
):
    X, y = problem(300, 4, 2)
    copied, expected = LinearData.from_features(X, y), LinearData.from_features(X.copy(), y).eigenfeatures
    monkeypatch.setattr(store, "COPIED", 0)
    referred, made = LinearData.from_features(X, y).normalized(), LinearData.from_features(X, y)
    _ = made.eigenfeatures
    change(X)
    np.testing.assert_array_equal(copied.eigenfeatures, expected)
    np.testing.assert_array_equal(made.eigenfeatures, expected)
    with pytest.raises(ValueError, match=r"X was changed .* 4 eigenfeatures.* pass X.copy\(\)"):
        _ = referred.eigenfeatures


def test_unchanged_features_are_recognised_whatever_their_scale_and_condition(monkeypatch):
    monkeypatch.setattr(store, "COPIED", 0)
    rng = np.random.default_rng(5)
    cases = [(40, 30, 16.0, 1.0, 0.0), (400, 20, 3.0, 1e-37, 1.0), (400, 20, 8.0, 1e37, 0.1)]
    for n, d, spread, scale, noise in cases:
        X = scale * rng.standard_normal((n, d)) @ np.diag(np.logspace(0.0, -spread, d))
        y = 1e-100 * (X[:, 0] / scale + noise * rng.standard_normal(n))
        data = LinearData.from_features(X, y)
        assert data.eigenfeatures.shape == (n, data.rank)


def test_results_cannot_be_changed_by_accident():
    X, y = problem(20, 3, 1)
    data = LinearData.from_features(X, y)
    for values in (data.eigenvalues, data.coefficients, data.eigenfeatures, data.targets):
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0.0
    X[:], y[:] = 0.0, 0.0
    assert data.targets.any()


def with_nan():
    X = np.ones((5, 2))
    X[3, 1] = np.nan
    return X


BAD_FEATURES = [
    (with_nan(), np.ones(5), ValueError, r"X\[3, 1\] is nan"),
    (np.ones((5, 2)), [1, 2, np.inf, 4, 5], ValueError, r"y\[2, 0\] is inf"),
    (np.ones((5, 2)), np.ones(4), ValueError, "y has 4 samples but there are 5 rows"),
    (np.ones(5), np.ones(5), ValueError, "X must be two-dimensional"),
    (np.ones((5, 2)), np.ones((5, 1, 1)), ValueError, r"y must have shape \(n,\) or \(n, outputs\)"),
    (np.ones((0, 2)), np.ones(0), ValueError, "X is empty"),
    (np.ones((5, 2)), np.ones((5, 0)), ValueError, "y must have shape"),
    (np.zeros((5, 2)), np.ones(5), ValueError, "X is all zero"),
    (np.ones((5, 2)) * 1j, np.ones(5), TypeError, "X must hold real numbers"),
    (np.full((5, 2), "a"), np.ones(5), TypeError, "X must hold real numbers"),
    (np.full((5, 2), None), np.ones(5), TypeError, "X must hold real numbers"),
    ("data.npz", np.ones(5), TypeError, "X must be an array"),
    ([[1.0, 2.0], [3.0]], np.ones(2), TypeError, "X must be a two-dimensional array"),
]


@pytest.mark.parametrize(("X", "y", "error", "message"), BAD_FEATURES)
def test_bad_features_are_named(X, y, error, message):
    with pytest.raises(error, match=message):
        LinearData.from_features(X, y)


BAD_KERNELS = [
    (np.ones((3, 2)), r"K must be square, got shape \(3, 2\)"),
    (np.array([[1.0, 0.5], [0.4, 1.0]]), r"K\[0, 1\]=0.5 and K\[1, 0\]=0.4"),
    (np.diag([1.0, -0.25]), r"eigenvalues run from -0.25 to 1"),
    (np.zeros((2, 2)), "positive semi-definite and not zero"),
    (np.array([[1.0, np.nan], [np.nan, 1.0]]), r"K\[0, 1\] is nan"),
]


@pytest.mark.parametrize(("K", "message"), BAD_KERNELS)
def test_bad_kernels_are_named(K, message):
    with pytest.raises(ValueError, match=message):
        LinearData.from_kernel(K, np.ones(K.shape[0]))


def test_a_bad_value_in_a_late_block_is_named_by_its_place_in_the_whole(monkeypatch):
    monkeypatch.setattr(_arrays, "BLOCK_BYTES", 1)
    X = np.ones((50, 2))
    X[41, 1] = np.inf
    with pytest.raises(ValueError, match=r"X\[41, 1\] is inf"):
        LinearData.from_features(X, np.ones(50))
    with pytest.raises(ValueError, match=r"X\[1, 41\] is inf"):
        LinearData.from_features(X.T, np.ones(2))


def test_the_decomposition_itself_knows_when_the_features_are_zero():
    assert from_tall(np.zeros((4, 2)), np.ones((4, 1))).eigenvalues.size == 0


def test_a_kernel_diagonalised_in_place_gives_the_same_and_is_left_as_it_was(monkeypatch):
    rng = np.random.default_rng(11)
    X, y = rng.standard_normal((60, 90)), rng.standard_normal((60, 2))
    kernel = X @ X.T
    before, usual = kernel.copy(), LinearData.from_kernel(kernel, y)
    monkeypatch.setattr("genfun.data.eigenbasis.IN_PLACE", 1)
    data = LinearData.from_kernel(kernel, y)
    assert np.array_equal(kernel, before)
    np.testing.assert_allclose(data.eigenvalues, usual.eigenvalues, rtol=1e-12)
    np.testing.assert_allclose(data.signal, usual.signal, rtol=1e-9)
    np.testing.assert_allclose(np.abs(data.eigenfeatures), np.abs(usual.eigenfeatures), atol=1e-9)


@pytest.mark.parametrize("shape", [(200, 5), (20, 70)])
def test_data_are_kept_whatever_becomes_of_the_arrays_they_came_from(shape):
    rng = np.random.default_rng(12)
    X, y = rng.standard_normal(shape), rng.standard_normal((shape[0], 1))
    data = LinearData.from_features(X, y)
    before = data.eigenfeatures.copy(), data.targets.copy()
    X[:], y[:] = 7.0, 8.0
    assert data.solver == "gram"
    assert np.array_equal(data.eigenfeatures, before[0])
    assert np.array_equal(data.targets, before[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_gram_matrix_shows_what_is_not_finite(bad):
    rng = np.random.default_rng(13)
    X, y = rng.standard_normal((100, 4)), rng.standard_normal(100)
    X[17, 2] = bad
    with pytest.raises(ValueError, match=r"X\[17, 2\]"):
        LinearData.from_features(X, y)


def test_one_sample_has_no_batch_noise_that_could_be_unknown():
    noise = LinearData.from_features(np.array([[2.0]]), np.array([1.0])).measured_noise
    assert noise.sound
    assert noise.words == ("measured on 1 vector: largest rates known to 0 %, losses to 0 %")
