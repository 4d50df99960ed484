"""Pictures: each takes `ax` and returns it; matplotlib is imported on first use."""

from __future__ import annotations

from genfun.plotting.loss_curves import loss_curves
from genfun.plotting.spectrum import spectrum

__all__ = ["loss_curves", "spectrum"]
