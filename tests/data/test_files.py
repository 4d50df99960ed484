"""A user's own files are read as they are, or refused with the reason and the remedy."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from genfun import LinearProblem
from genfun.data import LinearData, load

X = np.random.default_rng(0).standard_normal((20, 3))
y = X @ [1.0, -2.0, 0.5] + 0.1 * np.random.default_rng(1).standard_normal(20)


def table(path, header=None, delimiter=",", values=None):
    lines = [] if header is None else [delimiter.join(header)]
    values = np.column_stack([X, y]) if values is None else values
    lines += [delimiter.join(repr(float(v)) for v in row) for row in values]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_npz_features_kernels_and_spectra_are_read(tmp_path):
    expected = LinearData.from_features(X, y)
    np.savez(tmp_path / "features.npz", X=X, y=y)
    np.savez(tmp_path / "kernel.npz", K=X @ X.T, y=y)
    np.savez(tmp_path / "spectrum.npz", eigenvalues=[1.0, 0.5], signal=[2.0, 1.0], n_samples=10, noise_variance=0.25)
    for name in ("features.npz", "kernel.npz"):
        data = load(tmp_path / name)
        assert isinstance(data, LinearData)
        np.testing.assert_allclose(data.signal, expected.signal, rtol=1e-10)
    problem = load(tmp_path / "spectrum.npz")
    assert isinstance(problem, LinearProblem)
    assert (problem.n_samples, problem.noise_variance) == (10, 0.25)
    np.savez(tmp_path / "bare.npz", eigenvalues=[1.0, 0.5], signal=[2.0, 1.0])
    assert load(tmp_path / "bare.npz").n_samples is None


HEADERS = [(None, None), (("a", "b", "c", "y"), None), (("a", "b", "c", "y"), "y"), (None, 3), (None, -1)]


@pytest.mark.parametrize(("header", "target"), HEADERS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_tables_are_read_with_and_without_header(tmp_path, header, target, delimiter):
    data = load(table(tmp_path / "data.csv", header, delimiter), target=target)
    # Some pandas read a number off by a few units of its last digit.
    np.testing.assert_allclose(data.targets[:, 0], y, rtol=1e-15)
    np.testing.assert_allclose(data.signal, LinearData.from_features(X, y).signal, rtol=1e-13)


def test_a_named_target_may_be_any_column(tmp_path):
    path = table(tmp_path / "data.csv", ("y", "a", "b", "c"), values=np.column_stack([y, X]))
    np.testing.assert_allclose(load(path, target="y").targets[:, 0], y, rtol=1e-15)


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


BAD_TABLES = [
    ("a,b\n1,2\n3\n", None, "line 3, column 'b' is missing"),
    ("a,b\n1,2\n3,x\n", None, "line 3, column 'b': 'x' is no number"),
    ("1,2\n3,\n", None, "line 2, column 1 is missing"),
    ("a,b\n1,2\n\n3,nan\n", None, "line 4, column 'b' is missing"),
    ("a,b\n1,2\n3,4,5\n", None, "no text table.*Expected 2 fields in line 3, saw 3"),
    ("a,b\n1,2\n3,inf\n", None, "line 3, column 'b' is inf"),
    ("a,b\n", None, "no rows of numbers"),
    ("", None, "no rows of numbers"),
    ("1\n2\n", None, "one column"),
    ("a,b\n1,2\n", "c", r"target='c' is not one of the columns of .*data.csv: a, b"),
    ("1,2\n", "c", "has no header"),
    ("1,2\n", 2, "target=2 is beyond the 2 columns"),
    ("0,1\n0,2\n", None, "X is all zero"),
]


@pytest.mark.parametrize(("content", "target", "message"), BAD_TABLES)
def test_bad_tables_are_told_by_line_and_column(tmp_path, content, target, message):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path / "data.csv", content), target=target)


BAD_ARCHIVES = [
    ({"X": X}, r"has keys \['X'\]; it needs X, y"),
    ({"X": X, "y": y[:-1]}, "bad.npz: y has 19 samples but there are 20 rows"),
    ({"X": X, "y": np.array([None] * 20)}, "bad.npz: y is an object array, which is a pickle"),
    ({"X": np.where(X > 2, np.nan, X) * np.inf, "y": y}, r"bad.npz: X\[0, 0\] is"),
    ({"K": X, "y": y}, "bad.npz: K must be square"),
    ({"eigenvalues": [1.0], "signal": [1.0, 2.0]}, "bad.npz: eigenvalues and signal must have one length"),
    ({"eigenvalues": [1.0], "signal": [1.0], "n_samples": 1.5}, "n_samples must be a whole number"),
    ({"eigenvalues": [1.0], "signal": [1.0], "n_samples": [1, 2]}, "n_samples must be one number"),
]


@pytest.mark.parametrize(("content", "message"), BAD_ARCHIVES)
def test_bad_archives_are_told_by_file_and_key(tmp_path, content, message):
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "bad.npz")


def test_an_archive_of_other_names_is_told_how_to_be_saved_though_choices_are_given(tmp_path):
    np.savez(tmp_path / "bad.npz", features=X, labels=y)
    with pytest.raises(
        ValueError, match=r"\['features', 'labels'\]; it needs X, y .*numpy.savez\(path, X=..., y=...\)"
    ):
        load(tmp_path / "bad.npz", standardize=True)


class Exploding:
    """Unpickling it would run code."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.parametrize("name", ["data.pkl", "data.npz", "data.joblib"])
def test_pickles_are_never_read_whatever_their_name(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Exploding()))
    with pytest.raises(ValueError, match=r"pickle|no NPZ archive"):
        load(tmp_path / name)


def test_a_pickled_object_inside_an_archive_is_not_read(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.array([[Exploding()]], dtype=object), y=np.ones(1))
    with pytest.raises(ValueError, match="X is an object array, which is a pickle"):
        load(tmp_path / "data.npz")


def test_missing_files_unknown_extensions_and_misplaced_targets_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load(tmp_path / "data.npz")
    with pytest.raises(ValueError, match=r"extension '\.mat'; files are \.npz"):
        load(tmp_path / "data.mat")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    with pytest.raises(ValueError, match="target is about the columns of a table"):
        load(tmp_path / "data.npz", target="y")
    (tmp_path / "data.csv").write_bytes(b"\xff\xfe1,2\n")
    with pytest.raises(ValueError, match="no text table"):
        load(tmp_path / "data.csv")


@pytest.mark.slow
def test_damaged_archives_name_the_file_and_nothing_else_happens(tmp_path):
    # Truncations, flipped bytes, and pieces cut out of or moved within stored and deflated archives.
    rng, told = np.random.default_rng(0), []
    whole = []
    for save in (np.savez, np.savez_compressed):
        page = io.BytesIO()
        save(page, X=X, y=y)
        whole.append(page.getvalue())
    place = tmp_path / "data.npz"
    for i in range(1500):
        raw = bytearray(whole[i % 2])
        start, length = int(rng.integers(len(raw))), int(rng.integers(1, 40))
        match i % 5:
            case 0:
                raw = raw[:start]
            case 1:
                raw[start] ^= 1 << int(rng.integers(8))
            case 2:
                raw[start : start + length] = rng.bytes(length)
            case 3:
                del raw[start : start + length]
            case 4:
                raw[start:start] = raw[-length:]
        place.write_bytes(raw)
        try:
            load(place)
        except ValueError as error:
            told.append(str(error))
    assert len(told) > 1000
    assert all(str(place) in words and len(words) < 1000 for words in told)


def test_a_member_that_is_no_array_is_told_in_few_words(tmp_path):
    np.savez(tmp_path / "data.npz", X=X, y=y)
    with zipfile.ZipFile(tmp_path / "data.npz", "a") as archive:
        archive.writestr("K", b"no array" * 1000)
    np.testing.assert_array_equal(load(tmp_path / "data.npz").targets[:, 0], y)
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("X", b"no array" * 1000)
        archive.writestr("y", b"no array" * 1000)
    with pytest.raises(ValueError, match=r"bad\.npz: X is no NumPy array; write the file again") as caught:
        load(tmp_path / "bad.npz")
    assert len(str(caught.value)) < 300


def bomb(path, megabytes):
    """An archive of zeros, a thousand times smaller than they are."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (megabytes << 10, 128)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("y.npy", b"")
        with archive.open("X.npy", "w", force_zip64=True) as stream:
            stream.write(head.getvalue())
            for _ in range(megabytes):
                stream.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize(("limit", "message"), [(None, "unpacks to 0.105 GB, .* times its size"), (10**8, "0.1 GB")])
def test_a_bomb_is_seen_before_it_is_unpacked(tmp_path, limit, message):
    path = bomb(tmp_path / "bomb.npz", 100)
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(ValueError, match=message):
        load(path, memory_limit=limit)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_file_of_any_kind_may_be_limited(tmp_path):
    np.savez(tmp_path / "data.npz", X=X, y=y)
    for path in (tmp_path / "data.npz", table(tmp_path / "data.csv")):
        assert load(path, memory_limit=10**5).n_samples == 20
        with pytest.raises(ValueError, match=f"{path.name} holds .* memory_limit"):
            load(path, memory_limit=100)
