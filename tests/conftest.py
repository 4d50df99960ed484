"""Settings of every test. genfun is not imported here, because its shape checks are installed only afterwards."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Read by matplotlib on its first import: no test opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")
# Read by the workers of `pytest -n`, which share the cores already.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read by sympy on its first import: a tenth of the time of the symbolic tests.
os.environ.setdefault("SYMPY_CACHE_SIZE", "100000")
# Workers of `pytest -n` are told a width, which output that is no terminal would take.
os.environ.pop("COLUMNS", None)

# `pytest --hypothesis-profile=search` looks for new failures; the default repeats the same examples on every run.
settings.register_profile("repeat", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("search", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("repeat")


@pytest.fixture
def coarse_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches as coarse as they come, where what is tested is whose loss they look at or how they are told."""
    from genfun.answers.batch import tuned
    from genfun.answers.best import _search, asymptotic_optimum, budget_map

    for module, names in (
        (_search, {"GRID": (3, 3), "ZOOM": 3, "ROUNDS": 1, "REFINEMENTS": 1, "AGAIN": 3, "STARTS": 1}),
        (budget_map, {"COARSE": 3, "ROUNDS": 1, "FINE": 3}),
        (asymptotic_optimum, {"GRID": (3, 3), "ZOOM": 3, "ROUNDS": 1}),
        (tuned, {"GRID": (3, 3), "ROUNDS": 1}),
    ):
        for name, value in names.items():
            monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of a user, far from the scale of the explorer's defaults."""
    import numpy as np  # after its number of threads has been set

    path = tmp_path_factory.mktemp("own") / "own.npz"
    rng = np.random.default_rng(0)
    np.savez(path, X=30.0 * rng.standard_normal((8, 5)), y=rng.standard_normal(8))
    return str(path)
