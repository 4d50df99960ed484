"""The exponents of a measured spectrum: fits of power laws, with intervals and the window they hold in."""

from __future__ import annotations
