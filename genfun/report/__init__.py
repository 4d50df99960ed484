"""The report: what can be said about a problem before training, computed once and shown in four ways."""

from __future__ import annotations

from genfun.report.build import build
from genfun.report.columns import columns
from genfun.report.files import write
from genfun.report.limits import rate_limit
from genfun.report.model import BatchCost, BestSetting, RateLimit, Report, SettingCurve, SettingPhase

__all__ = [
    "BatchCost",
    "BestSetting",
    "RateLimit",
    "Report",
    "SettingCurve",
    "SettingPhase",
    "build",
    "columns",
    "rate_limit",
    "write",
]
