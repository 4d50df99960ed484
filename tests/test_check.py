"""What is no array of real numbers is refused at the door by name, also where NumPy would convert it in silence."""

from __future__ import annotations

import datetime
import fractions

import numpy as np
import pytest
import scipy.sparse

import genfun as gf

X = np.random.default_rng(0).standard_normal((8, 2))
Y = X[:, 0] + 1.0

ODD_VECTORS = {
    "complex": (np.array([1.0, 2.0 + 0j]), "dtype complex128; pass its real part"),
    "complex numbers": ([1.0, 2j], "dtype complex128"),
    "complex objects": (np.array([1.0, 2j], dtype=object), "dtype object"),
    "dates": (np.array(["2020", "2021"], dtype="M8[Y]"), "dtype datetime64"),
    "date objects": ([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)], "real numbers"),
    "durations": (np.array([1, 2], dtype="m8[s]"), "dtype timedelta64"),
    "words": (["1", "2"], "dtype <U1; convert it with .astype"),
    "bytes": (np.array([b"1", b"2"]), "dtype [|]S1"),
    "words among numbers": ([1.0, "2"], "dtype <U32"),
    "objects": (np.array([1.0, "2"], dtype=object), "dtype object; convert it to float64"),
    "records": (np.array([(1.0,), (2.0,)], dtype=[("a", float)]), "pass one of its fields"),
    "a sparse array": (scipy.sparse.csr_array(np.array([[1.0, 2.0]])), r"sparse array, csr_array; pass .*\.toarray"),
    "masked": (np.ma.array([1.0, 2.0], mask=[False, True]), r"masked entries \(1\), which are no numbers; leave"),
    "a masked number": ([1.0, np.ma.masked], "masked entries"),
    "too large": ([1.0, 10**400], "beyond the range of doubles"),
}


@pytest.mark.parametrize(("value", "message"), ODD_VECTORS.values(), ids=ODD_VECTORS)
def test_spectra_of_anything_but_real_numbers_are_refused_by_name(value, message):
    for name, make in (
        ("eigenvalues", lambda v: gf.LinearProblem(v, [1.0, 1.0])),
        ("signal", lambda v: gf.LinearProblem([1.0, 1.0], v)),
        ("nodes", lambda v: gf.SpectralMeasure(v, [1.0, 1.0])),
        ("weights", lambda v: gf.SpectralMeasure([1.0, 1.0], v)),
        ("values", gf.schedules.Table),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^{name} .*{message}"):
            make(value)


ODD_TABLES = {
    "complex": (X + 0j, "dtype complex128"),
    "sparse complex": (scipy.sparse.csr_array(X + 0j), "dtype complex128"),
    "dates": (X.astype("M8[s]"), "dtype datetime64"),
    "words": (X.astype(str), "dtype <U32"),
    "objects": (X.astype(object), "dtype object"),
    "masked": (np.ma.array(X, mask=X.max() - 1e-9 < X), r"masked entries \(1\)"),
}


@pytest.mark.parametrize(("value", "message"), ODD_TABLES.values(), ids=ODD_TABLES)
def test_samples_of_anything_but_real_numbers_are_refused_by_name(value, message):
    for name, make in (
        ("X", lambda v: gf.LinearData.from_features(v, Y)),
        ("y", lambda v: gf.LinearData.from_features(X, v)),
        ("K", lambda v: gf.LinearData.from_kernel(v[:2], Y[:2])),
        ("X", gf.data.relu_ntk),
    ):
        if name == "K" and "masked" in message:
            continue  # the entry lies below
        with pytest.raises((TypeError, ValueError), match=f"^{name} .*{message}"):
            make(value)


def test_a_mask_of_nothing_is_no_matter():
    assert gf.LinearProblem(np.ma.array([1.0, 2.0]), [1.0, 1.0]).lambda_max == 2.0
    masked = gf.LinearData.from_features(np.ma.array(X, mask=False), np.ma.array(Y))
    np.testing.assert_array_equal(masked.eigenvalues, gf.LinearData.from_features(X, Y).eigenvalues)


@pytest.mark.other_kinds
@pytest.mark.parametrize(
    "value",
    [1j, np.complex128(1.0), np.array(1.0 + 0j), np.timedelta64(3, "s"), np.datetime64("2020"), np.array("1"),
     np.array([1.0]), np.ma.masked, 10**400],
    ids=repr,
)  # fmt: skip
def test_numbers_of_another_kind_are_refused_by_name(value):
    with pytest.raises((TypeError, ValueError), match=r"^learning_rate (must be a real number|has masked|is beyond)"):
        gf.SGD(value)
    if not isinstance(value, int):
        with pytest.raises(TypeError, match=r"^batch_size must be an integer"):
            gf.SGD(0.1, 0.0, value)


@pytest.mark.other_kinds
def test_exact_numbers_of_python_are_numbers():
    half = fractions.Fraction(1, 2)
    assert gf.LinearProblem([half, 1], [1.0, 1.0]).lambda_min == 0.5
    assert gf.SGD(half).learning_rate == 0.5


@pytest.mark.other_kinds
def test_tensors_are_taken_for_what_they_hold():
    torch = pytest.importorskip("torch")
    tracked = torch.tensor(X, requires_grad=True)
    expected = gf.LinearData.from_features(X, Y).eigenvalues
    for features in (tracked, list(tracked), torch._neg_view(torch.tensor(-X)), scipy.sparse.csr_array(X)):
        found = gf.LinearData.from_features(features, torch.tensor(Y, requires_grad=True))
        np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-12)
    np.testing.assert_array_equal(gf.data.relu_ntk(tracked), gf.data.relu_ntk(X))
    spectrum = torch.tensor([2.0, 1.0], requires_grad=True)
    assert gf.LinearProblem(spectrum, list(spectrum)).lambda_max == 2.0
    assert gf.SGD(spectrum[1]).learning_rate == 1.0


@pytest.mark.other_kinds
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_tensors_that_numpy_cannot_hold_are_refused_with_the_remedy():
    torch = pytest.importorskip("torch")
    full = torch.tensor(X)
    for tensor, remedy in (
        (full.to_sparse(), r"sparse tensor \(torch.sparse_coo\); pass X.to_dense\(\)"),
        (full.to_sparse_csr(), r"pass X.to_dense\(\)"),
        (full.bfloat16(), r"bfloat16, which NumPy lacks; pass X.float\(\)"),
        (full + 0j, "dtype complex128"),
    ):
        with pytest.raises(TypeError, match=f"^X .*{remedy}"):
            gf.LinearData.from_features(tensor, Y)
    with pytest.raises(TypeError, match=r"pass eigenvalues.to_dense\(\)"):
        gf.LinearProblem(torch.tensor([1.0, 2.0]).to_sparse(), [1.0, 1.0])
    with pytest.raises(TypeError, match="learning_rate must be a real number"):
        gf.SGD(torch.tensor(1j))


@pytest.mark.other_kinds
@pytest.mark.parametrize(
    ("ask", "remedy"),
    [
        (lambda d, s: gf.LinearData(X, Y), r"LinearData.from_features\(X, y\) makes it"),
        (lambda d, s: gf.SoftmaxData(X, labels=Y), r"SoftmaxData.from_features\(X, labels\) makes it"),
        (lambda d, s: gf.predict(s, d, [1]), "the problem or data come first, then the method"),
        (lambda d, s: gf.stability(s, s), "the problem or data come first, then the method"),
        (lambda d, s: gf.predict(X, s, [1]), r"LinearData.from_features\(X, y\) makes one of arrays"),
        (lambda d, s: gf.optimize("homes.csv", 4, 10), r"genfun.data.load\(path\) of a file"),
    ],
)
def test_arguments_in_anothers_place_are_told_where_they_go(ask, remedy):
    with pytest.raises(TypeError, match=remedy):
        ask(gf.LinearData.from_features(X, Y), gf.SGD(0.1, 0.0, 4))


def test_a_misspelt_name_carries_what_python_asks_did_you_mean_by():
    with pytest.raises(AttributeError, match="'optimise'") as caught:
        _ = gf.optimise
    assert (caught.value.name, caught.value.obj) == ("optimise", gf)
    assert "optimize" in dir(gf)


ARRAY = np.array([1, 2])


@pytest.mark.other_kinds
@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: gf.SGD(0.1, sampling=ARRAY), "sampling must be one of 'fresh'"),
        (lambda: gf.Averaged(gf.SGD(0.1), ARRAY), "kind must be one of 'ema'"),
        (lambda: gf.predict(gf.LinearProblem([1.0], [1.0]), gf.SGD(0.1), 3, route=ARRAY), "route must be one of"),
        (lambda: gf.ScheduledSGD(0.1, convention=ARRAY), "convention must be one of 'torch', 'keras'"),
        (lambda: gf.convert({"lr": 0.1}, ARRAY, "keras"), "source must be one of"),
        (lambda: gf.convert({"lr": 0.1}, "torch", "tourch"), "target must be one of"),
        (lambda: gf.convert(None, "torch", "keras"), "settings must be a dict"),
        (lambda: gf.optimize(gf.LinearProblem([1.0], [1.0]), 1, 10**18), "steps must be at most 10"),
        (lambda: gf.optimize(gf.LinearProblem([1.0], [1.0]), 1, 10**400), "steps is beyond the range of doubles"),
        (lambda: gf.loss_map(gf.LinearProblem([1.0], [1.0]), [0.1], [0.0], 10**16), "step must be at most 10"),
        (lambda: gf.optimize(gf.LinearProblem([1.0], [1.0]), 1, 9, max_share_of_edge=1e-320), "max_share_of_edge must"),
        (lambda: gf.MemorySGD(0.1, 0.0, 10**400, 1.0, 0.0), "reads must be finite"),
        (lambda: gf.MemorySGD(0.1, [], 1.0, 1.0, 0.0), "direct must be a real number"),
        (lambda: gf.max_learning_rate("abc", rise=0.1, steps=10), "problem must be"),
        (
            lambda: gf.critical_batch_size(gf.LinearProblem([1.0], [1.0]), gf.SGD(0.1), loss=0.1, batch_sizes=[]),
            "batch_sizes must not be empty",
        ),
        (lambda: gf.LinearData.from_features([[1e-300], [2e-300]], [1.0, 2.0]), "measure in other units"),
    ],
)
def test_words_and_numbers_of_no_use_are_refused_by_name(ask, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ask()
