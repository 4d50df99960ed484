"""Files that prove themselves whole: sealed by their length and SHA-256."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from genfun._typing import Array, Float

MAGIC = b"genfun sweep 1"
LONGEST_COUNT = 18
"""Digits of a number of bytes."""


class Damaged(Exception):
    """A file whose content is not what was written, and how that was found."""


def encode(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Facts and arrays of doubles as the bytes of a file that can be checked: length, SHA-256, JSON, raw numbers."""
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    head = json.dumps({"facts": dict(facts), "arrays": shapes}).encode()
    body = b"".join([head, b"\n", *(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays.values())])
    return b"%s %d %s\n%s" % (MAGIC, len(body), hashlib.sha256(body).hexdigest().encode(), body)


def decode(raw: bytes) -> tuple[dict[str, Any], dict[str, Float[Array, "..."]]]:
    """Facts and arrays of `encode`; Damaged if a single byte is missing or other, or the content is of another form."""
    seal, _, body = raw.partition(b"\n")
    words = seal.split(b" ")
    if b" ".join(words[:3]) != MAGIC or len(words) != 5 or not words[3].isdigit() or len(words[3]) > LONGEST_COUNT:
        raise Damaged("its first line is damaged" if raw else "it is empty")
    if len(body) != int(words[3]):
        raise Damaged(f"it is truncated: {len(body)} of {int(words[3])} bytes")
    if hashlib.sha256(body).hexdigest().encode() != words[4]:
        raise Damaged("its checksum does not match")
    head, _, numbers = body.partition(b"\n")
    # A right checksum does not say who wrote it.
    try:
        content = json.loads(head)
        facts, shapes = content["facts"], {name: tuple(shape) for name, shape in content["arrays"].items()}
        whole = all(type(side) is int and side >= 0 for shape in shapes.values() for side in shape)
        counts = [math.prod(shape) for shape in shapes.values()]
        if not isinstance(facts, dict) or not whole or 8 * sum(counts) != len(numbers):
            raise ValueError
        places = np.cumsum([0, *counts])
        arrays = {
            name: np.frombuffer(numbers, "<f8", count, 8 * int(place)).reshape(shape).astype(np.float64)
            for (name, shape), count, place in zip(shapes.items(), counts, places[:-1], strict=True)
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise Damaged("its content is none of a sweep") from error
    return facts, arrays
