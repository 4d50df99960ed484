"""Measurements kept one by one, so that a crash or a limit loses only the one at hand."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Findings:
    """A JSON file that grows by one measurement at a time; a failed one leaves its traceback there instead."""

    path: Path
    device: str
    small: bool
    until: float
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.until - time.monotonic()

    def attempt(self, name: str, work: Callable[[], Any], needs: float = 0.0) -> Any:
        """The result of `work`, kept under `name`; None if it failed or fewer than `needs` seconds are left."""
        if self.left <= needs:
            self.keep(name, {"skipped": f"{self.left:.0f} s left"})
            return None
        start = time.monotonic()
        try:
            result = work()
        except Exception as error:
            trace = traceback.format_exc()
            print(f"{name} FAILED\n{trace}", flush=True)
            self.keep(name, {"failed": f"{type(error).__name__}: {error}"[:2000], "traceback": trace[-6000:]})
            return None
        self.keep(name, result)
        print(f"{name} ({time.monotonic() - start:.1f} s): {json.dumps(result, default=float)}", flush=True)
        return result

    def keep(self, name: str, value: Any) -> None:
        """Write all that is found so far."""
        self.found[name] = value
        temporary = self.path.with_suffix(".part")
        temporary.write_text(json.dumps(self.found, indent=2, default=float) + "\n", encoding="utf-8")
        temporary.replace(self.path)


def failures(found: Any, name: str = "") -> list[str]:
    """Names of the measurements that failed or were skipped, wherever they are in the findings."""
    if not isinstance(found, dict):
        return []
    here = [f"{name}: {word} ({found[word]})" for word in ("failed", "skipped") if word in found]
    return here + [line for key, value in found.items() for line in failures(value, f"{name}/{key}".strip("/"))]
