"""A folder bound to one problem by its manifest, with a sealed file for each finished cell."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genfun._files import TEMPORARY, create_whole, write_whole
from genfun._typing import Array, Float
from genfun._version import __version__
from genfun.experiments.sweeps.sealed import Damaged, decode, encode

MANIFEST, DATA, CELLS, SUFFIX = "sweep.json", "data.bin", "cells", ".cell"
STALE_SECONDS = 3600.0
"""A temporary file as old as this was left by a killed sweep; writing one takes seconds."""


@dataclass(frozen=True, eq=False)
class CellFolder:
    """The finished cells of one problem.

    Attributes
    ----------
    folder : Path
    problem : str
        SHA-256 of all that the cells have in common; every cell carries it.
    damaged : list of str
        Files found damaged, and how; all of them are written again.
    """

    folder: Path
    problem: str
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, fields: Mapping[str, Any]) -> CellFolder:
        """The folder of a problem that is all in the manifest, made if need be; ValueError if it is of another.

        Parameters
        ----------
        folder : Path
        fields : mapping
            All that the cells have in common, in types of JSON.
        """
        damaged: list[str] = []
        make(folder)
        manifest = read_manifest(folder, damaged)
        full = {"format": 1, "genfun": __version__} | dict(fields)
        fresh = full | {"problem": digest_of_fields(full)}
        if manifest is None and not claim(folder, fresh):
            return cls.open(folder, fields)  # another has been quicker: is it of the same problem?
        if manifest is not None:
            require_same(folder, manifest, fields)
        (folder / CELLS).mkdir(exist_ok=True)
        sweep_up(folder / CELLS)
        return cls(folder, fresh["problem"], damaged)

    def path(self, name: str) -> Path:
        """Where a cell is stored."""
        return self.folder / CELLS / f"{name}{SUFFIX}"

    def load(self, name: str, facts: Mapping[str, Any], array: str, what: str) -> Float[Array, "..."] | None:
        """The numbers of a finished cell; None if there are none, or their file is damaged.

        Parameters
        ----------
        name : str
        facts : mapping
            Which cell it is.
        array : str
            The name of the numbers.
        what : str
            What they are, for a message.
        """
        path = self.path(name)
        try:
            found, arrays = decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except Damaged as error:
            self.damaged.append(f"{path.name}: {error}")
            return None
        if list(arrays) != [array]:
            self.damaged.append(f"{path.name}: it holds no {what}")
            return None
        if found != {"problem": self.problem} | dict(facts):
            raise other_cell(path)
        return arrays[array]

    def save(self, name: str, facts: Mapping[str, Any], array: str, values: Float[Array, "..."]) -> None:
        """Keep the numbers of a finished cell.

        Parameters
        ----------
        name : str
        facts : mapping
            Which cell it is.
        array : str
            The name of the numbers.
        values : array
        """
        write_whole(self.path(name), encode({"problem": self.problem} | dict(facts), {array: values}))


def other_cell(path: Path) -> ValueError:
    """The refusal of a cell that is of another problem or setting."""
    return ValueError(f"{path} belongs to another problem or setting; remove it, or use a new folder")


def make(folder: Path) -> None:
    """The folder, which must hold a sweep or nothing."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"store must be a folder, but {folder} is a file; choose another path")
    folder.mkdir(parents=True, exist_ok=True)
    sweep_up(folder)
    ours = {MANIFEST, DATA, CELLS}
    other = sorted(e.name for e in folder.iterdir() if e.name not in ours and not e.name.endswith(TEMPORARY))
    if other and not (folder / MANIFEST).exists():
        raise ValueError(f"store {folder} holds {other[0]!r} and no sweep; choose an empty or a new folder")


def claim(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Write the manifest, by which the folder is of one problem; False if another sweep has been quicker."""
    raw = (json.dumps(manifest, indent=1) + "\n").encode()
    if create_whole(folder / MANIFEST, raw):
        return True
    if read_manifest(folder, []) is not None:
        return False
    write_whole(folder / MANIFEST, raw)  # in place of a damaged one
    return True


def sweep_up(folder: Path) -> None:
    """Remove what killed sweeps left half-written, but nothing that another sweep may be writing now."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def digest_of_fields(fields: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest without its own."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path, damaged: list[str]) -> dict[str, Any] | None:
    """The manifest of a folder; None if there is none, or it is damaged, which is noted."""
    try:
        fields = json.loads((folder / MANIFEST).read_bytes())
        whole = fields["problem"] == digest_of_fields({k: v for k, v in fields.items() if k != "problem"})
        whole = whole and isinstance(fields["data"], str)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole, fields = False, None
    if not whole:
        damaged.append(f"{MANIFEST}: its checksum does not match")
        return None
    return fields


def require_same(folder: Path, manifest: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    """Refuse a folder of another problem, by the first field that differs."""
    for key, ours in {"format": 1, "genfun": __version__, **spec}.items():
        if manifest.get(key) != ours:
            if key == "record":
                raise ValueError(f"store {folder} records other steps of the runs; use a new folder")
            raise ValueError(f"store {folder} has {key}={manifest.get(key)!r}, not {ours!r}; use a new folder")
