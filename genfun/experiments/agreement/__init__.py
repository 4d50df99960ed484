"""Theory against runs, and the rungs from a trained network to the theory."""

from __future__ import annotations
