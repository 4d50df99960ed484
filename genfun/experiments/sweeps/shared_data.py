"""Data for other processes: they are sent the path of a file, which each process reads once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.data.store import InMemory
from genfun.experiments.sweeps.sealed import Damaged, decode

SAME = 1e-9
"""Two eigenbases of the same data differ by N eps, 2e-12 at N = 10^4, as kernels; other data by far more."""
PROBES = 3


def as_arrays(data: LinearData) -> dict[str, Float[Array, "..."]]:
    """All that runs depend on, in C order, since the order of summation depends on the layout."""
    return {
        "eigenvalues": np.ascontiguousarray(data.eigenvalues, dtype=np.float64),
        "coefficients": np.ascontiguousarray(data.coefficients, dtype=np.float64),
        "noise_variance": np.array([data.noise_variance]),
        "eigenfeatures": np.ascontiguousarray(data.eigenfeatures, dtype=np.float64),
        "targets": np.ascontiguousarray(data.targets, dtype=np.float64),
    }


def from_arrays(arrays: Mapping[str, Array]) -> LinearData:
    """The data of `as_arrays`; they share its arrays."""
    return LinearData(
        eigenvalues=arrays["eigenvalues"],
        coefficients=arrays["coefficients"],
        noise_variance=float(arrays["noise_variance"].item()),
        n_samples=arrays["eigenfeatures"].shape[0],
        n_dropped=0,
        solver="stored",
        notes=(),
        store=InMemory(arrays["eigenfeatures"], arrays["targets"]),
    )


def fits(arrays: Mapping[str, Array]) -> bool:
    """Whether these are finite arrays with the names and shapes of `as_arrays`."""
    if set(arrays) != {"eigenvalues", "coefficients", "noise_variance", "eigenfeatures", "targets"}:
        return False
    if any(arrays[name].ndim != 2 for name in ("eigenfeatures", "targets", "coefficients")):
        return False
    (n, rank), outputs = arrays["eigenfeatures"].shape, arrays["targets"].shape[1]
    shapes = {"eigenvalues": (rank,), "coefficients": (rank, outputs), "noise_variance": (1,), "targets": (n, outputs)}
    right = n > 0 and rank > 0 and all(arrays[name].shape == shape for name, shape in shapes.items())
    return right and all(np.isfinite(array).all() for array in arrays.values())


def digest_of(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over names, shapes and bits."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.shape}".encode())
        total.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return total.hexdigest()


def difference(one: Mapping[str, Array], other: Mapping[str, Array]) -> str:
    """How two data sets differ; empty if they are the same up to the rounding of their eigenbases.

    Eigenvectors have free signs, free mixtures where eigenvalues coincide, and bits that change with the number of
    threads. The targets and the kernel K = phi phi^T have none of this; K is compared by its action on random vectors.
    """
    shapes = [a["eigenfeatures"].shape[0] for a in (one, other)], [a["targets"].shape[1] for a in (one, other)]
    for name, (ours, theirs) in zip(("samples", "outputs"), shapes, strict=True):
        if ours != theirs:
            return f"{ours} {name}, not {theirs}"
    probes = np.random.default_rng(0).standard_normal((shapes[0][0], PROBES))
    kernels = [a["eigenfeatures"] @ (a["eigenfeatures"].T @ probes) for a in (one, other)]
    for name, (x, y) in {"targets": (one["targets"], other["targets"]), "features": kernels}.items():
        if not np.linalg.norm(x - y) <= SAME * np.linalg.norm(x):
            return f"its {name} differ"
    return ""


class Unseen(Exception):
    """The file of the data cannot be read in this process, or holds other data."""


@dataclass(frozen=True, eq=False)
class SharedData:
    """Data held in this process, and sent to others as the path of a file.

    Attributes
    ----------
    path : str
        A file written by `sealed.encode`.
    digest : str
        Of the arrays in it.
    data : LinearData or None
        Left behind when the object is pickled.
    """

    path: str
    digest: str
    data: LinearData | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "digest": self.digest, "data": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def get(self) -> LinearData:
        """The data; Unseen where their file is not."""
        return self.data if self.data is not None else _read(self.path, self.digest)


@lru_cache(maxsize=1)
def _read(path: str, digest: str) -> LinearData:
    try:
        _, arrays = decode(Path(path).read_bytes())
    except (OSError, Damaged) as error:
        raise Unseen(str(error)) from error
    if digest_of(arrays) != digest:
        raise Unseen(f"{path} holds other data")
    return from_arrays(arrays)
