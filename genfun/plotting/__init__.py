"""Pictures: each takes `ax` and returns it; `save` writes the numbers beside. matplotlib is imported on first use."""

from __future__ import annotations

from genfun.plotting._draw import draw
from genfun.plotting._table import save, table
from genfun.plotting.agreement import agreement
from genfun.plotting.big_batch import big_batch
from genfun.plotting.budget_map import budget_map
from genfun.plotting.escape_chart import escape_chart
from genfun.plotting.held_out import held_out
from genfun.plotting.ladder import ladder
from genfun.plotting.loss_curves import loss_curves
from genfun.plotting.loss_map import loss_map
from genfun.plotting.loss_parts import loss_parts
from genfun.plotting.momentum_map import momentum_map
from genfun.plotting.phase_diagram import phase_diagram
from genfun.plotting.probe_curves import probe_curves
from genfun.plotting.samples import samples
from genfun.plotting.schedule import schedule
from genfun.plotting.settings_map import settings_map
from genfun.plotting.spectrum import spectrum
from genfun.plotting.spread import spread
from genfun.plotting.steps_fit import steps_fit

__all__ = [
    "agreement",
    "big_batch",
    "budget_map",
    "draw",
    "escape_chart",
    "held_out",
    "ladder",
    "loss_curves",
    "loss_map",
    "loss_parts",
    "momentum_map",
    "phase_diagram",
    "probe_curves",
    "samples",
    "save",
    "schedule",
    "settings_map",
    "spectrum",
    "spread",
    "steps_fit",
    "table",
]
