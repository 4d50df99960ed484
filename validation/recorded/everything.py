"""All cases."""

from __future__ import annotations

from validation.recorded.best import best
from validation.recorded.commands import commands
from validation.recorded.curves import curves
from validation.recorded.inputs import inputs
from validation.recorded.plain import Cases
from validation.recorded.settings import settings


def everything() -> Cases:
    """All of them, by name."""
    return inputs() | curves() | settings() | best() | commands()
