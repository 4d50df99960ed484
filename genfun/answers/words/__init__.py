"""A setting in words: every sentence from a computed number."""

from __future__ import annotations
