"""The options --shapes and --one-of-each; where torch is not installed, what needs it is skipped, and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import gc
import importlib.util
import itertools
import os
import threading
import types
from collections.abc import Callable, Generator, Hashable
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
FIRST = ("tests/explorer/test_browser.py", "tests/test_validation.py")
"""Files of which each takes a worker long: they begin first, so that no worker is at them alone in the end."""
# An int passes where a float is asked for, as everywhere in Python.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
PLAIN: set[type] = {bool, int, float, complex, type(None)}
"""Types of which every value passes an annotation or none; those that turn out to be so are added on the way."""
MOST, LONGEST = 20, 40
"""Entries of a container that are looked at, and the longest string that may be a word of a `Literal`."""
MISSING = importlib.util.find_spec("torch") is None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --shapes, the same tests at up to twice the time, and --one-of-each, fewer tests."""
    parser.addoption("--shapes", action="store_true", help="check shapes and types in every call of genfun")
    parser.addoption("--one-of-each", action="store_true", help="run every test with its first parameters alone")


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


def _kind(value: Any) -> Hashable:
    """What decides whether a value passes an annotation: its type, with its shape, its entries, or the word it is."""
    kind = type(value)
    return kind if kind in PLAIN else (KINDS.get(kind) or _kinds_of(kind))(value)


def _array(value: Any) -> Hashable:
    return value.shape, value.dtype.num


def _tensor(value: Any) -> Hashable:
    return type(value), getattr(value, "shape", None), getattr(value, "dtype", None)


def _word(value: str) -> Hashable:
    return value if len(value) <= LONGEST else str


def _named(value: dict[Any, Any]) -> Hashable:
    return type(value), tuple((_kind(name), _kind(entry)) for name, entry in itertools.islice(value.items(), MOST))


def _entries(value: Any) -> Hashable:
    return type(value), isinstance(value, tuple) and len(value), tuple(map(_kind, itertools.islice(value, MOST)))


KINDS: dict[type, Callable[[Any], Hashable]] = {str: _word}
"""Of types that are not plain, how kinds are told; those that are met are added on the way."""


def _kinds_of(kind: type) -> Callable[[Any], Hashable]:
    """How the kinds of a type that is met for the first time are told."""
    if kind.__name__ == "ndarray":
        KINDS[kind] = _array
    elif issubclass(kind, type):
        KINDS[kind] = lambda value: value
    elif issubclass(kind, dict):
        KINDS[kind] = _named
    elif issubclass(kind, (tuple, list, set, frozenset)):
        KINDS[kind] = _entries
    elif kind.__module__ == "torch":
        KINDS[kind] = _tensor
    else:
        PLAIN.add(kind)
        return type
    return KINDS[kind]


class _Checks:
    """jaxtyping's checks of a function, and the kinds of arguments and results that have passed them."""

    on = True
    """False in tests that hand over other kinds on purpose."""

    def __init__(self, function: Callable[..., Any], jaxtyped: Callable[..., Any], typechecker: Any) -> None:
        self.function, self.jaxtyped, self.typechecker = function, jaxtyped, typechecker
        self.passed: dict[Hashable, set[Hashable]] = {}
        """The kinds of results, by the kinds of arguments."""
        self.held = threading.local()

    def _instead(self, *typecheckers: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is called as the other one and returns the result that is held."""
        like = lambda *_args, **_named: self.held.result  # noqa: E731
        instead = types.FunctionType(like.__code__, self.function.__globals__, closure=like.__closure__)
        functools.update_wrapper(instead, self.function)
        # jaxtyping decorates two functions, one of the arguments and the result, then one of the arguments alone; and
        # once a check has failed, one of each argument.
        decorators = itertools.chain(typecheckers, itertools.repeat(self.typechecker))
        return self.jaxtyped(instead, typechecker=lambda what: next(decorators)(what))

    @functools.cached_property
    def _arguments(self) -> Callable[..., Any]:
        return self._instead(lambda what: what, self.typechecker)

    @functools.cached_property
    def _arguments_and_result(self) -> Callable[..., Any]:
        with_result = "return" in self.function.__annotations__
        return self._instead(self.typechecker, (lambda what: what) if with_result else self.typechecker)

    def arguments(self, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Check the arguments of a call that has failed."""
        self.held.result = None
        self._arguments(*args, **named)

    def arguments_and_result(self, args: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        """Check a call that has returned."""
        self.held.result = result
        try:
            self._arguments_and_result(*args, **named)
        except Exception:
            self._arguments(*args, **named)  # says which, if it is an argument
            raise


def _checking_new_kinds(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """jaxtyping's decorator; a call is checked once for every combination of kinds that a function gets and returns."""
    inner: dict[int, _Checks] = {}

    def once(function: Callable[..., Any], typechecker: Any) -> Callable[..., Any]:
        checks = _Checks(function, jaxtyped, typechecker)
        if "<locals>" in function.__qualname__:  # made anew in every call of the function around it
            checks = inner.setdefault(id(function.__code__), checks)
        passed = checks.passed

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            if not _Checks.on:
                return function(*args, **named)
            kinds: Any = tuple(map(type, args))
            if named or not PLAIN.issuperset(kinds):
                kinds = tuple(map(_kind, args))
                if named:
                    kinds = (*kinds, *named, *map(_kind, named.values()))
            known = passed.get(kinds)
            try:
                result = function(*args, **named)
            except Exception:
                if known is None:
                    checks.arguments(args, named)
                    passed.setdefault(kinds, set())
                raise
            kind: Any = type(result)
            if kind not in PLAIN:
                kind = _kind(result)
            if known is None or kind not in known:
                checks.arguments_and_result(args, named, result)
                passed.setdefault(kinds, set()).add(kind)
            return result

        return call

    def decorate(what: Any, *, typechecker: Any) -> Any:
        if not isinstance(what, type):
            return once(what, typechecker)
        if dataclasses.is_dataclass(what) and "__init__" in vars(what):
            what.__init__ = once(what.__init__, typechecker)
        return what

    return lambda *, typechecker: functools.partial(decorate, typechecker=typechecker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Check nothing in a test that hands over other kinds than are annotated: the annotations would refuse first."""
    _Checks.on = item.get_closest_marker("other_kinds") is None
    try:
        return (yield)
    finally:
        _Checks.on = True


def pytest_collection_finish() -> None:
    """Garbage is what the tests leave, not what they have imported."""
    gc.freeze()
    # To look through what the tests hold takes a tenth of their time, as often as Python does by itself.
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files that cannot even be imported."""
    name = collection_path.relative_to(ROOT).as_posix()
    return True if MISSING and any(name == part or f"{name}/" == part for part in WITH_TORCH) else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Mark pages as slow, skip single tests, take long files first, and leave one of each where that is asked for."""
    for item in items:
        if item.path.suffix == ".md":
            item.add_marker(pytest.mark.slow)
        if MISSING and item.nodeid in WITH_TORCH:
            item.add_marker(pytest.mark.skip(reason="torch is not installed"))
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
    yield
    if items and items[0].config.getoption("one_of_each"):
        _keep_one_of_each(items)


def _keep_one_of_each(items: list[pytest.Item]) -> None:
    """Of the tests of one function leave the first that is not skipped; all where parameters are files of a release."""
    kept: dict[str, pytest.Item] = {}
    for item in items:
        whole = item.path.is_relative_to(ROOT / "tests" / "docs")
        kept.setdefault(
            item.nodeid if whole or item.get_closest_marker("skip") else item.nodeid.partition("[")[0], item
        )
    items[0].config.hook.pytest_deselected(items=[item for item in items if item not in set(kept.values())])
    items[:] = kept.values()
