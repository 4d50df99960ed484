"""The option --shapes; and where torch is not installed, what needs it is skipped, and everything else is tested."""

from __future__ import annotations

import dataclasses
import functools
import gc
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
WITH_TORCH = {
    "docs/failures.md",
    "docs/my_network.md",
    "genfun/data/linear.py::genfun.data.linear.LinearData.from_torch",
    "genfun/data/tangent_operator.py",
    "genfun/experiments/simulation/torch_backend.py",
    "genfun/experiments/networks/network.py",
    "genfun/experiments/steps/measure.py",
    "genfun/experiments/suggest.py",
    "genfun/experiments/networks/smoothness.py",
    "genfun/optim/",
    "tests/answers/test_big_batch.py",
    "tests/big_batch_by_hand.py",
    "tests/cli/test_output.py::test_files_hold_what_is_printed[measure-steps]",
    "tests/data/test_from_torch.py",
    "tests/data/test_torch_operator.py",
    "tests/test_house.py",
    "tests/experiments/test_ladder.py",
    "tests/experiments/test_suggest.py",
    "tests/optim/",
    "tests/docs/test_readme.py",
    "tests/experiments/test_smoothness.py",
    "tests/test_validation.py::test_every_claim_of_the_file_holds[rungs]",
}
"""Files, folders and single tests that import torch."""
# An int passes where a float is asked for, as everywhere in Python.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
tests_begun = 0
MISSING = importlib.util.find_spec("torch") is None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --shapes: the same tests, at up to twice the time."""
    parser.addoption("--shapes", action="store_true", help="check shapes and types in every call of genfun")


def pytest_configure(config: pytest.Config) -> None:
    """Install the checks, before genfun is imported; and let workers take files in the order they are collected."""
    # By default pytest-xdist puts the files of most tests first, and long pages, which are one test each, last of all.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
        if config.option.numprocesses:
            # The workers are the threads: with two of BLAS each, they wait for each other.
            os.environ.setdefault("OMP_NUM_THREADS", "1")
    # What is imported stays: to look for garbage among it takes a quarter of the time of the collection.
    gc.disable()
    if config.getoption("shapes"):
        import jaxtyping

        jaxtyping.jaxtyped = _checking_new_kinds(jaxtyping.jaxtyped)
        jaxtyping.install_import_hook("genfun", CHECKER)


def _checking_new_kinds(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """jaxtyping's decorator; in each test a call is checked once for every combination of types and shapes it gets."""

    def kind(value: Any) -> Any:
        return (value.shape, value.dtype.num) if type(value).__name__ == "ndarray" else type(value)

    def once(function: Callable[..., Any], check: Callable[..., Any]) -> Callable[..., Any]:
        test, seen, checked = -1, set(), None

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            nonlocal test, checked
            if test != tests_begun:
                test = tests_begun
                seen.clear()
            kinds = (*map(kind, args), *named, *map(kind, named.values()))
            if kinds in seen:
                return function(*args, **named)
            seen.add(kinds)
            if checked is None:
                checked = check(function)
            return checked(*args, **named)

        return call

    def decorate(what: Any, *, typechecker: Any) -> Any:
        check = functools.partial(jaxtyped, typechecker=typechecker)
        if not isinstance(what, type):
            return once(what, check)
        if dataclasses.is_dataclass(what) and "__init__" in vars(what):
            what.__init__ = once(what.__init__, check)
        return what

    return lambda *, typechecker: functools.partial(decorate, typechecker=typechecker)


def pytest_runtest_logstart() -> None:
    """Calls of a function are counted in each test."""
    global tests_begun
    tests_begun += 1


def pytest_collection_finish() -> None:
    """Garbage is what the tests leave, not what they have imported."""
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files that cannot even be imported."""
    name = collection_path.relative_to(ROOT).as_posix()
    return True if MISSING and any(name == part or f"{name}/" == part for part in WITH_TORCH) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark pages as slow, and skip single tests."""
    for item in items:
        if item.path.suffix == ".md":
            item.add_marker(pytest.mark.slow)
        if item.config.getoption("shapes") and item.get_closest_marker("other_kinds"):
            item.add_marker(pytest.mark.skip(reason="the annotations refuse first"))
        if MISSING and item.nodeid in WITH_TORCH:
            item.add_marker(pytest.mark.skip(reason="torch is not installed"))
