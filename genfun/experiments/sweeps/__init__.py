"""Grids of runs that are kept in a folder and survive interruption."""

from __future__ import annotations
