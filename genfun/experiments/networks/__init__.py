"""Trained networks, and what is measured on them."""

from __future__ import annotations
