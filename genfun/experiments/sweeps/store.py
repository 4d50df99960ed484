"""Finished cells of a sweep on disk: each file whole or absent, sealed by a checksum, bound to one problem."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genfun._files import write_whole
from genfun._typing import Array, Float
from genfun._version import __version__
from genfun.data.linear import LinearData
from genfun.experiments.sweeps.cell_folder import (
    CELLS,
    DATA,
    SUFFIX,
    CellFolder,
    claim,
    digest_of_fields,
    make,
    other_cell,
    read_manifest,
    require_same,
    sweep_up,
)
from genfun.experiments.sweeps.sealed import Damaged, decode, encode
from genfun.experiments.sweeps.shared_data import SharedData, as_arrays, difference, digest_of, fits, from_arrays
from genfun.methods.sgd import SGD


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
        make(folder)
        manifest = read_manifest(folder, damaged)
        stored = _read_data(folder, damaged)
        bound = manifest is not None or any(cells.glob(f"*{SUFFIX}"))
        arrays = as_arrays(data)
        if manifest is not None:
            require_same(folder, manifest, spec)
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
        if manifest is None and not claim(folder, fresh):
            return cls.open(path, data, spec)  # another sweep has been started here just now: is it this one?
        file = folder / DATA
        if stored is None or not bound:
            write_whole(file, encode({}, arrays))
        cells.mkdir(exist_ok=True)
        sweep_up(cells)
        return cls(folder, fresh["problem"], SharedData(str(file), digest, from_arrays(arrays)), damaged)

    def path(self, setting: SGD) -> Path:
        """Where a cell is stored."""
        return self._cells.path(_name(setting))

    def load(self, setting: SGD, shape: tuple[int, int]) -> Float[Array, "replicas t"] | None:
        """The losses of a finished cell; None if there are none, or their file is damaged."""
        loss = self._cells.load(_name(setting), _facts(setting), "loss", "losses")
        if loss is not None and loss.shape != shape:
            raise other_cell(self.path(setting))
        return loss

    def save(self, setting: SGD, loss: Float[Array, "replicas t"]) -> None:
        """Keep the losses of a finished cell."""
        self._cells.save(_name(setting), _facts(setting), "loss", loss)

    @property
    def _cells(self) -> CellFolder:
        return CellFolder(self.folder, self.problem, self.damaged)


def _name(setting: SGD) -> str:
    return f"lr{setting.learning_rate!r}_m{setting.momentum!r}_b{setting.batch_size}"


def _facts(setting: SGD) -> dict[str, Any]:
    return {key: getattr(setting, key) for key in ("learning_rate", "momentum", "batch_size")}


def _manifest(spec: Mapping[str, Any], digest: str, arrays: Mapping[str, Array]) -> dict[str, Any]:
    n, rank = arrays["eigenfeatures"].shape
    fields = {"format": 1, "genfun": __version__, "n_samples": n, "rank": rank, "data": digest} | dict(spec)
    return fields | {"problem": digest_of_fields(fields)}


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
