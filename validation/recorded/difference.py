"""Which recorded values differ from those computed now, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

RELATIVE = 1e-9
GROWN = 2.0
"""How far an error estimate may grow before that counts as a difference."""
ESTIMATES: dict[str, str] = dict.fromkeys(("loss", "log_loss", "samples", "gradient"), "error")
"""Fields beside an error of their own: a relative one, which is an absolute one of the logarithm."""
OF_ORDER_ONE = {"local_exponent", "log_gain", "misfit", "noise_misfit", "path_misfit"}
"""Fields that may vanish up to rounding, where RELATIVE is an absolute tolerance too."""


class Difference(NamedTuple):
    """One value that is not what it was."""

    where: str
    recorded: Any
    now: Any
    relative: float
    """Of numbers; inf of all else."""


def differences(recorded: Any, now: Any, where: str = "") -> Iterator[Difference]:
    """All values of a recorded result that differ; what the result has besides is no difference."""
    yield from _compare(recorded, now, where, RELATIVE, 0.0)


def _compare(old: Any, new: Any, where: str, relative: Any, absolute: Any) -> Iterator[Difference]:
    """Tolerances are numbers, or lists of them beside lists of values."""
    if _number(old) and _number(new):
        yield from _numbers(float(old), float(new), where, relative, absolute)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            place = f"{where}.{key}"
            if key not in new:
                yield Difference(place, value, "missing", math.inf)
            elif key == "error":
                yield from _grown(value, new[key], place)
            elif key == "sum" and "entries" in old:
                # A sum may cancel: it is compared on the scale of its entries.
                scale = max((abs(x) for x in _flat(old["entries"]) if math.isfinite(x)), default=0.0)
                loosest = max(_flat(relative), default=RELATIVE), max(_flat(absolute), default=0.0)
                size = math.prod(old["shape"])
                yield from _compare(value, new[key], place, loosest[0], loosest[1] * size + loosest[0] * scale)
            else:
                yield from _compare(value, new[key], place, *_granted(old, key, relative, absolute))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _compare(a, b, f"{where}[{i}]", _at(relative, i, len(old)), _at(absolute, i, len(old)))
    elif old != new or type(old) is not type(new):
        yield Difference(where, old, new, math.inf)


def _granted(record: dict[str, Any], key: str, relative: Any, absolute: Any) -> tuple[Any, Any]:
    """The tolerance of a field: that of its record, or the error which the record states for it."""
    error = record.get(ESTIMATES.get(key, ""))
    error = error.get("entries") if isinstance(error, dict) else error
    if key in OF_ORDER_ONE:
        return RELATIVE, RELATIVE
    if error is None:
        return relative, absolute
    granted = _at_least(error)
    return (RELATIVE, granted) if key == "log_loss" else (granted, 0.0)


def _at_least(error: Any) -> Any:
    if isinstance(error, list):
        return [_at_least(x) for x in error]
    # The command line writes inf and nan as texts, and nothing as null.
    return RELATIVE if error is None else max(RELATIVE, float(error))


def _numbers(old: float, new: float, where: str, relative: float, absolute: float) -> Iterator[Difference]:
    if old == new or (math.isnan(old) and math.isnan(new)):
        return
    apart = abs(new - old)
    share = apart / abs(old) if old != 0.0 and math.isfinite(apart) else math.inf
    # From or to inf, nothing is near.
    if not (apart < math.inf and apart <= relative * abs(old) + absolute):
        yield Difference(where, old, new, share)


def _grown(old: Any, new: Any, where: str) -> Iterator[Difference]:
    """An error estimate differs where it has grown; below RELATIVE it is not looked at."""
    pairs = list(zip(_flat(old), _flat(new), strict=False))
    if len(_flat(old)) != len(_flat(new)):
        yield Difference(where, old, new, math.inf)
    for a, b in pairs:
        if not (b <= max(RELATIVE, GROWN * a) or (math.isnan(a) and math.isnan(b))):
            yield Difference(where, a, b, abs(b - a) / a if a > 0.0 else math.inf)


def _number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


def _flat(x: Any) -> list[float]:
    if isinstance(x, dict):
        return _flat(x.get("entries", []))
    return [y for part in x for y in _flat(part)] if isinstance(x, list) else [float(x)] if _number(x) else []


def _at(tolerance: Any, i: int, size: int) -> Any:
    return tolerance[i] if isinstance(tolerance, list) and len(tolerance) == size else tolerance
