"""How far a sweep is, and how long it will still take."""

from __future__ import annotations

import math
import time

from genfun._typing import Progress


class Pace:
    """Tells how many cells are done, and the time left at the pace of those computed since the start."""

    def __init__(self, progress: Progress | None, total: int, todo: int) -> None:
        self.progress, self.total, self.stored = progress, total, total - todo
        self.done, self.start = self.stored, time.monotonic()
        self._tell()

    def one_more(self) -> None:
        """A cell is finished."""
        self.done += 1
        self._tell()

    def _tell(self) -> None:
        if self.progress is None:
            return
        stage = f"{self.done} of {self.total} cells"
        if self.stored < self.done < self.total:
            pace = (time.monotonic() - self.start) / (self.done - self.stored)
            stage += f", about {duration(pace * (self.total - self.done))} left"
        elif self.done == self.stored > 0:
            stage += " found in the store"
        self.progress(self.done / self.total, stage)


def duration(seconds: float) -> str:
    """A time in words, rounded up: 40 s, 12 min, 3.5 h."""
    if seconds < 100.0:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60.0)} min" if seconds < 6000.0 else f"{seconds / 3600.0:.1f} h"
