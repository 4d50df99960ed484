"""Finished cells of a sweep on disk: each file whole or absent, sealed by a checksum, bound to one problem."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genfun._files import TEMPORARY, create_whole, write_whole
from genfun._typing import Array, Float
from genfun._version import __version__
from genfun.data.linear import LinearData
from genfun.experiments.sweeps.sealed import Damaged, decode, encode
from genfun.experiments.sweeps.shared_data import SharedData, as_arrays, difference, digest_of, fits, from_arrays
from genfun.methods.sgd import SGD

MANIFEST, DATA, CELLS, SUFFIX = "sweep.json", "data.bin", "cells", ".cell"
STALE_SECONDS = 3600.0
"""A temporary file as old as this was left by a killed sweep; writing one takes seconds."""


@dataclass(frozen=True, eq=False)
class SweepStore:
    """A folder with the problem of a sweep, a copy of its data, and one file for each finished cell.

    Attributes
    ----------
    folder : Path
    problem : str
        SHA-256 of all that the runs depend on but the setting; every cell carries it.
    shared : SharedData
        The data that runs use: the folder's copy, also when the data given differ from it by rounding.
    damaged : list of str
        Files found damaged, and how; all of them are written again.
    """

    folder: Path
    problem: str
    shared: SharedData
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, path: str | os.PathLike[str], data: LinearData, spec: Mapping[str, Any]) -> SweepStore:
        """The store at a path, made if need be; ValueError if it is of another problem.

        Parameters
        ----------
        path : path
            Folder.
        data : LinearData
        spec : mapping
            steps, replicas, seed and record, in types of JSON.
        """
        folder, damaged = Path(path), []
        cells = folder / CELLS
        _make(folder)
        manifest = _read_manifest(folder, damaged)
        stored = _read_data(folder, damaged)
        bound = manifest is not None or any(cells.glob(f"*{SUFFIX}"))
        arrays = as_arrays(data)
        if manifest is not None:
            _require_same(folder, manifest, spec)
        if stored is not None and bound:
            if reason := difference(stored, arrays):
                raise ValueError(f"store {folder} was made from other data: {reason}; use a new folder")
            arrays = stored
        digest = digest_of(arrays)
        if manifest is not None and manifest["data"] != digest:
            raise ValueError(
                f"store {folder} was made from data whose copy is gone, and these differ from it at least by rounding "
                f"(SHA-256 {digest[:12]}, not {manifest['data'][:12]}); use a new folder"
            )
        fresh = _manifest(spec, digest, arrays)
        if manifest is None and not _claim(folder, fresh):
            return cls.open(path, data, spec)  # another sweep has been started here just now: is it this one?
        file = folder / DATA
        if stored is None or not bound:
            write_whole(file, encode({}, arrays))
        cells.mkdir(exist_ok=True)
        _sweep_up(cells)
        return cls(folder, fresh["problem"], SharedData(str(file), digest, from_arrays(arrays)), damaged)

    def path(self, setting: SGD) -> Path:
        """Where a cell is stored."""
        name = f"lr{setting.learning_rate!r}_m{setting.momentum!r}_b{setting.batch_size}{SUFFIX}"
        return self.folder / CELLS / name

    def load(self, setting: SGD, shape: tuple[int, int]) -> Float[Array, "replicas t"] | None:
        """The losses of a finished cell; None if there are none, or their file is damaged."""
        path = self.path(setting)
        try:
            facts, arrays = decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except Damaged as error:
            self.damaged.append(f"{path.name}: {error}")
            return None
        if list(arrays) != ["loss"]:
            self.damaged.append(f"{path.name}: it holds no losses")
            return None
        if facts != self._facts(setting) or arrays["loss"].shape != shape:
            raise ValueError(f"{path} belongs to another problem or setting; remove it, or use a new folder")
        return arrays["loss"]

    def save(self, setting: SGD, loss: Float[Array, "replicas t"]) -> None:
        """Keep the losses of a finished cell."""
        write_whole(self.path(setting), encode(self._facts(setting), {"loss": loss}))

    def _facts(self, setting: SGD) -> dict[str, Any]:
        keys = ("learning_rate", "momentum", "batch_size")
        return {"problem": self.problem} | {key: getattr(setting, key) for key in keys}


def _make(folder: Path) -> None:
    """The folder, which must hold a sweep or nothing."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"store must be a folder, but {folder} is a file; choose another path")
    folder.mkdir(parents=True, exist_ok=True)
    _sweep_up(folder)
    ours = {MANIFEST, DATA, CELLS}
    other = sorted(e.name for e in folder.iterdir() if e.name not in ours and not e.name.endswith(TEMPORARY))
    if other and not (folder / MANIFEST).exists():
        raise ValueError(f"store {folder} holds {other[0]!r} and no sweep; choose an empty or a new folder")


def _claim(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Write the manifest, by which the folder is of one problem; False if another sweep has been quicker."""
    raw = (json.dumps(manifest, indent=1) + "\n").encode()
    if create_whole(folder / MANIFEST, raw):
        return True
    if _read_manifest(folder, []) is not None:
        return False
    write_whole(folder / MANIFEST, raw)  # in place of a damaged one
    return True


def _sweep_up(folder: Path) -> None:
    """Remove what killed sweeps left half-written, but nothing that another sweep may be writing now."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def _manifest(spec: Mapping[str, Any], digest: str, arrays: Mapping[str, Array]) -> dict[str, Any]:
    n, rank = arrays["eigenfeatures"].shape
    fields = {"format": 1, "genfun": __version__, "n_samples": n, "rank": rank, "data": digest} | dict(spec)
    return fields | {"problem": _digest_of_fields(fields)}


def _digest_of_fields(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _read_manifest(folder: Path, damaged: list[str]) -> dict[str, Any] | None:
    try:
        fields = json.loads((folder / MANIFEST).read_bytes())
        whole = fields["problem"] == _digest_of_fields({k: v for k, v in fields.items() if k != "problem"})
        whole = whole and isinstance(fields["data"], str)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole, fields = False, None
    if not whole:
        damaged.append(f"{MANIFEST}: its checksum does not match")
        return None
    return fields


def _read_data(folder: Path, damaged: list[str]) -> dict[str, Array] | None:
    try:
        arrays = decode((folder / DATA).read_bytes())[1]
        if not fits(arrays):
            raise Damaged("its arrays are none of a data set")
    except FileNotFoundError:
        return None
    except Damaged as error:
        damaged.append(f"{DATA}: {error}")
        return None
    return arrays


def _require_same(folder: Path, manifest: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    for key, ours in {"format": 1, "genfun": __version__, **spec}.items():
        if manifest.get(key) != ours:
            if key == "record":
                raise ValueError(f"store {folder} records other steps of the runs; use a new folder")
            raise ValueError(f"store {folder} has {key}={manifest.get(key)!r}, not {ours!r}; use a new folder")
