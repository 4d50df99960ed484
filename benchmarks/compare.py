"""Two files of timings as a table: the work, before, now, and now over before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CLOCKS = ("processor_median_s", "processor_min_s", "median_s")
"""Which figure is compared: the first that both have. Other work on the machine disturbs the processor's time least."""
SLOWER = 1.1
"""A line that takes this many times as long as before is marked."""


def lines(found: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every timing, with the names of the work above it.

    Parameters
    ----------
    found : dict
        As `python -m benchmarks` writes it.
    name : str
        What stands above.
    """
    if not isinstance(found, dict):
        return
    if "median_s" in found:
        yield name, found
    for key, value in found.items():
        yield from lines(value, f"{name}, {key}" if name else key)


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """(work, seconds before, seconds now, ratio) of what both have timed by one clock."""
    before, rows = dict(lines(old)), []
    for name, now in lines(new):
        clock = next((c for c in CLOCKS if c in now and c in before.get(name, {})), None)
        if clock is not None:
            was, takes = float(before[name][clock]), float(now[clock])
            rows.append((name.replace("_", " "), was, takes, takes / was))
    return rows


def table(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The lines of `compared`, in columns; what got slower is marked."""
    rows = compared(old, new)
    if not rows:
        return "nothing in common to compare"
    width = max(len(row[0]) for row in rows)
    text = [f"{'work':{width}}   before      now  now/before"]
    for name, was, takes, ratio in rows:
        mark = "  slower" if ratio > SLOWER else ""
        text.append(f"{name:{width}} {_seconds(was)} {_seconds(takes)}  {ratio:10.2f}{mark}")
    return "\n".join(text)


def _seconds(value: float) -> str:
    """In the unit that leaves the fewest zeros."""
    unit, scale = next(((u, s) for u, s in (("s ", 1.0), ("ms", 1e3)) if value * s >= 1.0), ("us", 1e6))
    return f"{value * scale:5.3g} {unit}"
