"""Uploaded files: kept in a temporary folder of the server, each found by a secret key that only its page has."""

from __future__ import annotations

import base64
import binascii
import secrets
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from genfun.data.files import CONTENTS

LARGEST = 32 * 2**20
"""Bytes of a file that the page takes; larger ones are for `genfun explore FILE`."""
LARGEST_UNPACKED = 2 * LARGEST
"""Bytes of the arrays in it: an archive of zeros is a thousand times smaller than what it holds."""
SUFFIXES = ".npz", ".csv"
LONGEST_NAME = 60


@dataclass(frozen=True)
class Upload:
    """One file.

    Parameters
    ----------
    key : str
        Secret by which its own page, and no other, finds it.
    path : str
        Where it is stored. Paths are never used twice, so that what is cached by path is never of another file.
    name : str
        What the user calls it, without folders; any printable text.
    """

    key: str
    path: str
    name: str


def name_of(told: str) -> str:
    r"""The file name that a browser sent, without folders and control characters, and shortened where it is long.

    Parameters
    ----------
    told : str
        Anything.

    Examples
    --------
    >>> name_of("../../etc/data.csv"), name_of("C:\\data\\x.npz")
    ('data.csv', 'x.npz')
    """
    last = told.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(c for c in last if c.isprintable()).strip()
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 8] + "..." + name[-5:]


class Uploads:
    """All files of a server, in one temporary folder."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="genfun-"))
        self._kept: dict[str, Upload] = {}

    def keep(self, told: str, content: str, suffixes: tuple[str, ...] = SUFFIXES) -> Upload:
        """Store a file.

        Parameters
        ----------
        told : str
            Its name, from anyone. It is shown and never used as a path.
        content : str
            Its bytes in base64.
        suffixes : tuple of str
            What its name may end in.

        Raises
        ------
        ValueError
            If it is too large, or of another kind.
        """
        name = name_of(told)
        suffix = Path(name).suffix.lower()
        if suffix not in suffixes:
            what = f"; an .npz holds {CONTENTS}" if ".npz" in suffixes else "; runs have the columns step and loss"
            raise ValueError(f"{name!r} is no {' or '.join(suffixes)} file{what}")
        if len(content) > 4 * (LARGEST // 3 + 1):
            raise ValueError(too_large(repr(name)))
        try:
            body = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise ValueError(f"{name!r} did not arrive whole; choose it again") from error
        if not body:
            raise ValueError(f"{name!r} is empty")
        upload = Upload(secrets.token_urlsafe(24), str(self._folder / secrets.token_hex(12)) + suffix, name)
        Path(upload.path).write_bytes(body)
        self._kept[upload.key] = upload
        try:
            _check_unpacked(upload)
        except ValueError:
            self.drop(upload)
            raise
        return upload

    def find(self, key: str) -> Upload:
        """The file of a key.

        Parameters
        ----------
        key : str

        Raises
        ------
        ValueError
            If there is none, or no more.
        """
        try:
            return self._kept[key]
        except KeyError:
            raise ValueError("the page with this file is closed; choose the file again") from None

    def drop(self, upload: Upload | None) -> None:
        """Remove a file.

        Parameters
        ----------
        upload : Upload or None
            None is nothing to remove.
        """
        if upload is not None and self._kept.pop(upload.key, None) is not None:
            Path(upload.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all."""
        self._kept.clear()
        shutil.rmtree(self._folder, ignore_errors=True)


def too_large(name: str) -> str:
    """The message about a file that is too large.

    Parameters
    ----------
    name : str
        What it is called in the sentence.
    """
    return f"{name} is larger than {LARGEST // 2**20} MiB; start with `genfun explore FILE`, which has no limit"


def _check_unpacked(upload: Upload) -> None:
    if not zipfile.is_zipfile(upload.path):
        return  # the reader says what is wrong with it
    try:
        with zipfile.ZipFile(upload.path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ValueError(f"{upload.name!r} is a broken archive ({error}); write it again") from error
    if size > LARGEST_UNPACKED:
        raise ValueError(
            f"the arrays in {upload.name!r} take {size / 2**20:,.0f} MiB, more than {LARGEST_UNPACKED // 2**20}; "
            "start with `genfun explore FILE`, which has no limit"
        )
