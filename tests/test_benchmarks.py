"""Every benchmark still imports what it times: nothing else runs them."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import benchmarks
from benchmarks.compare import table

MODULES = [m.name for m in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.") if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", [*MODULES, "benchmarks.__main__", "benchmarks.gpu.__main__"])
def test_a_benchmark_imports_what_it_times(name):
    if name.startswith("benchmarks.gpu"):
        pytest.importorskip("torch")
    importlib.import_module(name)


def test_two_files_are_compared_line_by_line_by_one_clock_and_what_got_slower_is_marked():
    old = {"a_map": {"median_s": 1.0, "inside": {"median_s": 2e-3, "processor_min_s": 1e-3}}, "gone": {"median_s": 1.0}}
    new = {
        "a_map": {"median_s": 0.25, "inside": {"median_s": 1.0, "processor_min_s": 2e-3}},
        "fresh": {"median_s": 1.0},
    }
    head, first, second = table(old, new).splitlines()
    assert head.split() == ["work", "before", "now", "now/before"]
    assert first.split() == ["a", "map", "1", "s", "250", "ms", "0.25"]
    assert second.split() == ["a", "map,", "inside", "1", "ms", "2", "ms", "2.00", "slower"]
    assert "nothing in common" in table(old, {})
