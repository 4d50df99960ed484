"""Files that are complete or absent: written in one step, and checked by their length and SHA-256."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genfun._typing import Array, Float

MAGIC, TEMPORARY = b"genfun sweep 1", ".tmp"


class Damaged(Exception):
    """A file whose content is not what was written, and how that was found."""


def encode(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Facts and arrays of doubles as the bytes of a file that can be checked: length, SHA-256, JSON, raw numbers."""
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    head = json.dumps({"facts": dict(facts), "arrays": shapes}).encode()
    body = b"".join([head, b"\n", *(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays.values())])
    return b"%s %d %s\n%s" % (MAGIC, len(body), hashlib.sha256(body).hexdigest().encode(), body)


def decode(raw: bytes) -> tuple[dict[str, Any], dict[str, Float[Array, "..."]]]:
    """Facts and arrays of `encode`; raises Damaged if a single byte is missing or changed."""
    seal, _, body = raw.partition(b"\n")
    words = seal.split(b" ")
    if b" ".join(words[:3]) != MAGIC or len(words) != 5 or not words[3].isdigit():
        raise Damaged("its first line is damaged" if raw else "it is empty")
    if len(body) != int(words[3]):
        raise Damaged(f"it is truncated: {len(body)} of {int(words[3])} bytes")
    if hashlib.sha256(body).hexdigest().encode() != words[4]:
        raise Damaged("its checksum does not match")
    head, _, numbers = body.partition(b"\n")
    content = json.loads(head)
    arrays, place = {}, 0
    for name, shape in content["arrays"].items():
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(numbers, "<f8", count, place).reshape(shape).astype(np.float64)
        place += 8 * count
    return content["facts"], arrays


def write_whole(path: Path, raw: bytes) -> None:
    """Write a file so that it is complete or absent, also after an interruption.

    A temporary file in the same folder reaches the disk first, then takes the name in one step; an error removes it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with open(temporary, "xb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; some network file systems cannot and need not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
