"""Results of any kind as plain values: what of them is recorded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

Cases = dict[str, Callable[[], Any]]

SHOWN = 12
"""Entries of an array that are kept, beside its shape and sum."""
LONGEST = 400
"""Characters of a text that is kept as it is; of longer ones the digest."""
DIGITS = 12
ECHOES = {"problem", "noise", "conventions", "genfun", "python", "platform", "interpreter", "packages", "gpus"}
"""Fields that repeat the question, or speak of the machine or the release."""
ONE_NAME = {"optimizer": "method", "optimizers": "methods", "--optimizer": "--method"}
"""Fields that may be called either way."""


def outcome(case: Callable[[], Any]) -> Any:
    """The result of a case as plain values; of a refusal, or of a case that no longer runs, the kind of the error."""
    try:
        return plain(case())
    except Exception as error:
        return {"raises": type(error).__name__}


def plain(value: Any) -> Any:
    """Numbers, texts, lists and dictionaries of them; arrays and long lists by samples; nothing of other objects."""
    if value is None or isinstance(value, bool | np.bool_):
        return value if value is None else bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return _rounded(float(value))
    if isinstance(value, complex | np.complexfloating):
        return [_rounded(float(value.real)), _rounded(float(value.imag))]
    if isinstance(value, str):
        return value if len(value) <= LONGEST else {"digest": hashlib.sha256(value.encode()).hexdigest()[:16]}
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        pairs = ((ONE_NAME.get(str(key), str(key)), x) for key, x in value.items() if str(key) not in ECHOES)
        return {key: x for key, x in ((key, plain(x)) for key, x in pairs) if x is not _NOTHING}
    if isinstance(value, list | tuple):
        return _list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in fields(value) if not f.name.startswith("_")})
    return _NOTHING


_NOTHING = object()


def _rounded(x: float) -> float:
    return float(f"{x:.{DIGITS}g}") if math.isfinite(x) else x


def _samples(size: int) -> list[int]:
    """Places from the first to the last; all of them where there are few."""
    return list(range(size)) if size <= SHOWN else [i * (size - 1) // (SHOWN - 1) for i in range(SHOWN)]


def _array(a: np.ndarray) -> Any:
    flat = a.ravel()
    kept = [plain(flat[i].item()) for i in _samples(flat.size)]
    if flat.size <= SHOWN and a.ndim == 1:
        return kept
    found: dict[str, Any] = {"shape": list(a.shape), "entries": kept}
    if a.dtype.kind in "iufc":
        # Sums of the finite entries and the number of the others, since one inf would hide all else.
        finite = np.isfinite(flat)
        found |= {"sum": plain(flat[finite].sum().item()), "not_finite": int((~finite).sum())}
    elif a.dtype.kind in "US":
        found |= {"counts": {str(word): int(n) for word, n in zip(*np.unique(flat, return_counts=True), strict=True)}}
    return found


def _list(values: list[Any] | tuple[Any, ...]) -> Any:
    if len(values) > SHOWN and all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
        return _array(np.array(values, dtype=float))
    entries = [x for x in map(plain, values) if x is not _NOTHING]
    if len(entries) > SHOWN:
        return {"length": len(entries), "entries": [entries[i] for i in _samples(len(entries))]}
    return entries
