"""The best settings: searches over learning rate, momentum, batch size and schedules, and maps of them."""

from __future__ import annotations
