"""Published and derived claims against what genfun computes: one file a claim, the table by `python -m validation`."""

from __future__ import annotations
