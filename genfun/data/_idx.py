"""MNIST in its standard files: IDX (gzipped or not) and NPZ."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from genfun._typing import Array
from genfun.data._npz import check_size, opened

Pair = tuple[Array, Array]
"""Images (n, height, width) and labels (n,), uint8."""

UNSIGNED_BYTE = 0x08
PIECE = 1 << 24
PARTS = ("train", "t10k")
NPZ_KEYS = (("images", "labels"), ("x_train", "y_train"))


def read_idx(path: str | os.PathLike[str]) -> Array:
    """An IDX file of unsigned bytes, gzipped or not (seen from its content).

    The format: two zero bytes, a type code, the number of dimensions, each dimension as a big-endian uint32, the data.
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = _unpacked(path, raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is a damaged gzip file ({error}); copy or download it again") from error
    if len(raw) < 4 or raw[:2] != b"\x00\x00":
        raise ValueError(f"{path} is no IDX file: it starts with {raw[:4]!r} instead of two zero bytes")
    if raw[2] != UNSIGNED_BYTE:
        raise ValueError(f"{path} has IDX type code {raw[2]:#04x}; only unsigned bytes (0x08) are read")
    rank = raw[3]
    if len(raw) < 4 + 4 * rank:
        raise ValueError(f"{path} ends inside its IDX header; copy or download it again")
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    size = int(np.prod(shape, dtype=np.int64))
    if len(raw) - 4 - 4 * rank != size:
        raise ValueError(
            f"{path} holds {len(raw) - 4 - 4 * rank} bytes but its header says {shape}; copy or download it again"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _unpacked(path: str | os.PathLike[str], packed: bytes) -> bytes:
    """What a gzip file holds, piece by piece, so that a bomb is seen before it has filled the memory."""
    pieces, size = [], 0
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
        while piece := stream.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            check_size(path, size, len(packed), None)
    return b"".join(pieces)


def pair(images: Array, labels: Array, source: str) -> Pair:
    """The two arrays, checked against each other."""
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(images):
        raise ValueError(
            f"{source}: images must be (n, height, width) and labels (n,), got {images.shape} and {labels.shape}"
        )
    for name, values in (("images", images), ("labels", labels)):
        if values.dtype.kind not in "iu":
            raise ValueError(f"{source}: {name} must be whole numbers (bytes 0..255), got dtype {values.dtype}")
    return images, labels


def read_npz(path: str | os.PathLike[str]) -> Pair:
    """Images and labels of an NPZ file; the keys of the Keras file mnist.npz are understood too."""
    with opened(path, None, "numpy.savez(path, images=images, labels=labels)") as archive:
        for images, labels in NPZ_KEYS:
            if {images, labels} <= archive.keys:
                try:
                    found = archive.read(images), archive.read(labels)
                except ValueError as error:
                    raise ValueError(f"{path}: {error}") from error
                return pair(*found, os.fspath(path))
        raise ValueError(f"{path} has keys {sorted(archive.keys)}; MNIST needs 'images' and 'labels'")


def idx_names(part: str) -> tuple[str, str]:
    """Standard file names of a part, train or t10k."""
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def read_directory(path: Path, n: int) -> Pair:
    """The training part of a directory of the standard files; the test part is appended only where n asks for it."""
    pairs: list[Pair] = []
    for part in PARTS:
        files = [next((path / (name + end) for end in ("", ".gz") if (path / (name + end)).is_file()), None)
                 for name in idx_names(part)]  # fmt: skip
        images, labels = files
        if images is not None and labels is not None and sum(len(p[1]) for p in pairs) < n:
            pairs.append(pair(read_idx(images), read_idx(labels), os.fspath(path)))
    if not pairs:
        raise FileNotFoundError(f"{path} holds none of the standard MNIST files, such as {idx_names('train')[0]}[.gz]")
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def read_path(path: str | os.PathLike[str] | tuple[str | os.PathLike[str], ...], n: int) -> Pair:
    """MNIST from what the user has: a directory of standard files, an NPZ file, or (images file, labels file)."""
    if isinstance(path, tuple):
        if len(path) != 2:
            raise ValueError(f"path must be a directory, an NPZ file or (images file, labels file), got {path!r}")
        return pair(read_idx(path[0]), read_idx(path[1]), f"{path[0]}, {path[1]}")
    place = Path(path)
    if place.is_dir():
        return read_directory(place, n)
    if not place.exists():
        raise FileNotFoundError(f"path={os.fspath(path)!r} does not exist")
    if place.suffix == ".npz":
        return read_npz(place)
    raise ValueError(
        f"path={os.fspath(path)!r} is neither a directory nor an NPZ file; "
        "pass two IDX files as path=(images file, labels file)"
    )
