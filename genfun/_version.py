"""The version, in this one place: the build and the package both read it here."""

from __future__ import annotations

__version__ = "0.1.0"
