"""Settings of every test. genfun is not imported here, because its shape checks are installed only afterwards."""

from __future__ import annotations

import os

from hypothesis import settings

# Read by matplotlib on its first import: no test opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")
# Read by the workers of `pytest -n`, which share the cores already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# `pytest --hypothesis-profile=search` looks for new failures; the default repeats the same examples on every run.
settings.register_profile("repeat", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("search", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("repeat")
