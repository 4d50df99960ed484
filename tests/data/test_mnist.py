"""The embedded digits are real and intact, and the full set is found on disk, downloaded, or refused in clear words."""

from __future__ import annotations

import gzip
import hashlib
import struct
import sys
from importlib import resources

import numpy as np
import pytest

from genfun.data import LinearData, _download, _idx, digits, mnist, mnist_arrays, relu_ntk


def test_the_embedded_digits_are_the_published_file():
    raw = resources.files("genfun.data").joinpath("mnist10k.npz").read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    assert digest == "0217e13bd0668deb198aa7d305edbf0331eb89f8a6e7dd226e03d1aa3a9bd4ef"
    assert digest in resources.files("genfun.data").joinpath("MNIST_ATTRIBUTION.md").read_text(encoding="utf-8")
    images, labels = mnist_arrays()
    assert images.shape == (10_000, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert set(labels) == set(range(10))


def test_damaged_embedded_digits_are_not_used(monkeypatch):
    monkeypatch.setattr(digits, "EMBEDDED_SHA256", "0" * 64)
    with pytest.raises(ValueError, match="damaged"):
        mnist(n=10)


def test_ntk_digits_have_the_documented_spectrum():
    data = mnist(n=1000, seed=0)
    assert data.eigenvalues[0] == 1.0
    assert data.eigenvalues[1] == pytest.approx(0.129, abs=5e-4)
    assert data.eigenvalues.sum() == pytest.approx(2.85, abs=5e-3)
    assert data.eigenvalues[-1] == pytest.approx(5.9e-5, abs=5e-7)
    assert (data.rank, data.noise_variance, data.n_samples) == (1000, 0.0, 1000)
    assert data.signal.sum() == pytest.approx(1.0, rel=1e-12)
    assert data.noise.tau1 == pytest.approx(1.059, abs=1e-3)
    assert data.noise.tau2 == pytest.approx(0.735, abs=1e-3)


def test_ntk_digits_are_the_kernel_of_the_standardised_digits():
    images, labels = mnist_arrays()
    chosen = np.random.default_rng(3).choice(10_000, 50, replace=False)
    x, y = images[chosen].reshape(50, -1) / 255.0, labels[chosen].astype(float)
    kernel = relu_ntk((x - x.mean()) / x.std())
    expected = LinearData.from_kernel(kernel, (y - y.mean()) / y.std())
    data = mnist(n=50, seed=3)
    np.testing.assert_allclose(data.eigenvalues, expected.eigenvalues / expected.eigenvalues[0], rtol=1e-10)
    np.testing.assert_allclose(data.signal, expected.signal, rtol=1e-9, atol=1e-14)


@pytest.mark.slow
def test_pixels_leave_the_documented_residual():
    data = mnist(n=4000, seed=0, model="pixels")
    assert data.noise_variance == pytest.approx(0.315, abs=5e-4)
    assert data.signal.sum() + data.noise_variance == pytest.approx(1.0, rel=1e-12)
    assert data.rank + data.n_dropped == 785
    assert data.n_dropped > 0  # border pixels that are never drawn on
    assert data.eigenvalues[0] == 1.0


def test_the_seed_chooses_the_digits():
    same, again, other = mnist(n=30, seed=1), mnist(n=30, seed=1), mnist(n=30, seed=2)
    np.testing.assert_array_equal(same.eigenvalues, again.eigenvalues)
    assert not np.allclose(same.eigenvalues, other.eigenvalues)


def idx(values, code=0x08):
    return struct.pack(f">2xBB{values.ndim}I", code, values.ndim, *values.shape) + values.tobytes()


def some(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 4, 3), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)


@pytest.fixture
def directory(tmp_path):
    for part, n, pack in (("train", 20, gzip.compress), ("t10k", 5, bytes)):
        end = ".gz" if pack is gzip.compress else ""
        for name, values in zip(_idx.idx_names(part), some(n, seed=n), strict=True):
            (tmp_path / (name + end)).write_bytes(pack(idx(values)))
    return tmp_path


def test_a_directory_of_standard_files_is_read_gzipped_or_not(directory):
    images, labels = mnist_arrays(20, path=directory)
    np.testing.assert_array_equal(images, some(20, seed=20)[0])
    np.testing.assert_array_equal(labels, some(20, seed=20)[1])
    images, labels = mnist_arrays(21, path=directory)
    np.testing.assert_array_equal(images, np.concatenate([some(20, seed=20)[0], some(5, seed=5)[0]]))
    assert mnist(n=25, model="pixels", path=directory).n_samples == 25
    with pytest.raises(ValueError, match="has 25; lower n"):
        mnist_arrays(26, path=directory)


def test_a_pair_of_idx_files_is_read(directory):
    files = tuple(str(directory / name) for name in _idx.idx_names("t10k"))
    np.testing.assert_array_equal(mnist_arrays(5, path=files)[1], some(5, seed=5)[1])
    with pytest.raises(ValueError, match="images must be"):
        mnist_arrays(5, path=files[::-1])


@pytest.mark.parametrize("keys", [("images", "labels"), ("x_train", "y_train")])
def test_an_npz_file_is_read(tmp_path, keys):
    np.savez(tmp_path / "mnist.npz", **dict(zip(keys, some(6), strict=True)))
    np.testing.assert_array_equal(mnist_arrays(6, path=tmp_path / "mnist.npz")[0], some(6)[0])


DAMAGED = [
    (idx(some(3)[0])[:-1], "its header says"),
    (b"\x00\x00\x08\x03\x00", "ends inside its IDX header"),
    (b"PNG!", "no IDX file"),
    (b"", "no IDX file"),
    (idx(some(3)[0], code=0x0D), "type code 0x0d"),
    (gzip.compress(idx(some(3)[0]))[:-9], "damaged gzip"),
]


@pytest.mark.parametrize(("raw", "message"), DAMAGED, ids=[message for _, message in DAMAGED])
def test_damaged_idx_files_are_told(tmp_path, raw, message):
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        _idx.read_idx(tmp_path / "file")


def test_paths_without_digits_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        mnist_arrays(5, path=tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        mnist_arrays(5, path=tmp_path / "nowhere")
    (tmp_path / "digits.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="no NPZ archive"):
        mnist_arrays(5, path=tmp_path / "digits.npz")
    np.savez(tmp_path / "other.npz", X=np.ones(3))
    with pytest.raises(ValueError, match=r"has keys \['X'\]"):
        mnist_arrays(5, path=tmp_path / "other.npz")
    (tmp_path / "digits.png").write_bytes(b"")
    with pytest.raises(ValueError, match="neither a directory nor an NPZ file"):
        mnist_arrays(5, path=tmp_path / "digits.png")
    with pytest.raises(ValueError, match="path must be a directory"):
        mnist_arrays(5, path=("a", "b", "c"))


def test_the_full_set_comes_from_the_first_mirror_that_works(monkeypatch, directory):
    import pooch

    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append(url)
        assert known_hash == f"sha256:{_download.SHA256[fname]}"
        if url.startswith(_download.MIRRORS[0]):
            raise ValueError("wrong hash")
        for end in ("", ".gz"):
            if (directory / fname.removesuffix(".gz")).with_suffix(end).is_file():
                return str((directory / fname.removesuffix(".gz")).with_suffix(end))
        raise AssertionError(fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(digits, "EMBEDDED", 10)
    assert len(mnist_arrays(20)[1]) == 20
    assert len(asked) == 4
    assert {len(digest) for digest in _download.SHA256.values()} == {64}
    assert len(_download.download(60_001)[1]) == 25


def test_offline_the_file_the_address_and_the_way_out_are_named(monkeypatch):
    import pooch
    import requests

    def retrieve(url, known_hash, fname, path):
        raise requests.exceptions.ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(ConnectionError) as caught:
        mnist(n=20_001, model="pixels")
    for text in ("train-images-idx3-ubyte.gz", *_download.MIRRORS, "no route to host", "path="):
        assert text in str(caught.value)


def test_without_pooch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r'pip install "genfun\[download\]"'):
        mnist_arrays(10_001)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="model must be one of 'ntk', 'pixels', got 'cnn'"):
        mnist(model="cnn")
    with pytest.raises(ValueError, match="n must be at most 20000 with model='ntk', got 60000"):
        mnist(n=60_000)
    with pytest.raises(ValueError, match="n must be at most 70000"):
        mnist(n=70_001, model="pixels")
    with pytest.raises(ValueError, match="n must be at least 2"):
        mnist(n=1)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        mnist(n=10, seed=-1)


@pytest.mark.slow
def test_a_gzip_bomb_is_seen_before_it_is_unpacked(tmp_path):
    import tracemalloc

    with gzip.open(tmp_path / "images.gz", "wb") as stream:
        for _ in range(200):
            stream.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"images\.gz unpacks to"):
        _idx.read_idx(tmp_path / "images.gz")
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()
