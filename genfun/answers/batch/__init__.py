"""Batch size: what each costs, critical ones, growing ones, the noise scale, and translation between them."""

from __future__ import annotations
