"""Numbers and settings in words, the same in the terminal and on the page."""

from __future__ import annotations

from genfun.answers.words._words import LEAST, batch, count, figures, loss, ratio, share

__all__ = ["LEAST", "batch", "count", "figures", "loss", "ratio", "share"]
