"""Escape from minima: over a barrier, and out of a minimum that is too sharp."""

from __future__ import annotations
