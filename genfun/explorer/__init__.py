"""A local web page to explore settings: numbers in `state`, `problems`, `model` and `words`, the page in `view`."""

from __future__ import annotations
