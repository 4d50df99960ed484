"""The house rules that no linter checks: light imports, documented arguments, small files, one version."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpydoc.docscrape import NumpyDocString

import genfun as gf
from genfun.methods import Method

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("data", "experiments", "optim", "plotting", "schedules", "symbolic")
PACKAGE = Path(gf.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# What the update rule and the impulse responses of a method take is documented once, at the protocol.
OF_THE_PROTOCOL = {name for name in vars(Method) if not name.startswith("_")} | {"responses"}
HEAVY = {
    "numba",
    "xarray",
    "scipy",
    "sympy",
    "matplotlib",
    "torch",
    "click",
    "rich",
    "jinja2",
    "pooch",
    "dask",
    "jaxtyping",
    "beartype",
}
TEST_COMMANDS = (
    'pip install -e ".[dev]" -c constraints.txt',
    'python -m pytest -n auto --dist loadfile -m "not slow"',
)


def _is_protocol(value: object) -> bool:
    return getattr(value, "_is_protocol", False)


def _public() -> Iterator[tuple[str, Any]]:
    """Names and values of all that is promised, each once: `gf.NAME` and `gf.ROOM.NAME`."""
    seen = set()
    for module in (gf, *(importlib.import_module(f"genfun.{room}") for room in ROOMS)):
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, ModuleType) and not name.startswith("__") and id(value) not in seen:
                seen.add(id(value))
                yield f"{module.__name__}.{name}", value


def _methods(name: str, cls: type) -> Iterator[tuple[str, Any]]:
    for attribute, raw in vars(cls).items():
        function = raw.__func__ if isinstance(raw, (classmethod, staticmethod)) else raw
        if inspect.isfunction(function) and not attribute.startswith("_") and attribute not in OF_THE_PROTOCOL:
            yield f"{name}.{attribute}", getattr(cls, attribute)


PUBLIC = dict(_public())
CALLABLES = {name: value for name, value in PUBLIC.items() if callable(value) and not _is_protocol(value)}
METHODS = {k: v for name, cls in CALLABLES.items() if inspect.isclass(cls) for k, v in _methods(name, cls)}


def _arguments(value: Any) -> set[str]:
    return {name for name in inspect.signature(value).parameters if name != "self"}


def _documented(value: Any, section: str = "Parameters") -> set[str]:
    entries = NumpyDocString(inspect.getdoc(value) or "")[section]
    return {name.strip().lstrip("*") for entry in entries for name in entry.name.split(",")}


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_public_names_are_found():
    assert {"genfun.SGD", "genfun.LinearProblem", "genfun.PowerLaw"} <= set(CALLABLES)


@pytest.mark.parametrize("name", sorted(CALLABLES | METHODS))
def test_every_public_argument_is_documented_and_no_other(name):
    value = (CALLABLES | METHODS)[name]
    if inspect.isclass(value) and (attributes := _documented(value, "Attributes")):
        # A result, which users read and do not build, lists its fields as attributes; what has both documents both.
        documented = attributes | _documented(value)
        assert _arguments(value) <= documented, f"{name}: fields missing from its Attributes section"
    else:
        assert _documented(value) == _arguments(value), f"{name}: Parameters section and signature differ"


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_every_public_name_shows_an_example(name):
    assert ">>> " in (inspect.getdoc(CALLABLES[name]) or ""), f"{name} has no Examples section"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_has_a_docstring_of_its_own(name):
    value = PUBLIC[name]
    if callable(value):
        # A dataclass without a docstring is given its signature as one.
        assert (value.__doc__ or "").strip(), name
        assert not value.__doc__.startswith(f"{value.__name__}("), name


def test_the_reference_has_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    named = {name.rpartition(".")[2] for name in re.findall(r":: (\S+)", page)}
    # An automodule shows all that its module promises, but for what the line below it leaves out.
    for module in re.findall(r"automodule:: (\S+)", page):
        named |= {name.rpartition(".")[2] for name in vars(importlib.import_module(module)).get("__all__", ())}
    assert sorted(name for name in PUBLIC if name.rpartition(".")[2] not in named) == []
    for left_out in re.findall(r":exclude-members: (.*)", page):
        assert set(left_out.split(", ")) <= set(re.findall(r"autoclass:: (\w+)", page))


def test_importing_genfun_loads_nothing_heavy():
    for used, least in (("pass", {"genfun"}), ("genfun.predict, genfun.LinearData, genfun.data", {"genfun", "numpy"})):
        code = f"import sys; old = set(sys.modules); import genfun; {used}; print(*{{*sys.modules}} - old)"
        packages = {name.partition(".")[0] for name in _run(code).split()}
        assert least <= packages
        assert packages & (HEAVY if "numpy" in least else HEAVY | {"numpy"}) == set()


def test_the_version_is_one():
    version = gf.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version)
    assert importlib.metadata.version("genfun") == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_file_of_the_package_exceeds_400_lines():
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


@pytest.mark.parametrize("file", ["README.md", ".ci/run"])
def test_readers_and_continuous_integration_run_the_same_commands(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for command in TEST_COMMANDS:
        assert command in text, f"{file} does not show: {command}"


def test_shapes_are_checked_where_that_is_asked_for(pytestconfig):
    if not pytestconfig.getoption("shapes"):
        pytest.skip("`python -m pytest --shapes` checks shapes and types in every call")
    from genfun.data.noise_fit import _share

    with pytest.raises(Exception, match="_share"):
        _share(np.ones((2, 2)))


def test_private_modules_are_imported_in_their_own_room_only():
    found = []
    for path in SOURCES:
        room = path.relative_to(PACKAGE).parts[0]
        for module in re.findall(
            r"^\s*(?:from|import) genfun\.(\w+(?:\.\w+)*)", path.read_text(encoding="utf-8"), re.M
        ):
            first, *rest = module.split(".")
            if any(name.startswith("_") for name in rest) and first != room:
                found.append(f"{path.relative_to(PACKAGE)}: {module}")
    assert found == []


def test_every_module_but_those_for_torch_is_forbidden_to_import_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = (c for c in contracts if c.get("forbidden_modules") == ["torch"])
    assert "ignore_imports" not in contract
    inside = {
        f"genfun.{path.stem}" for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    inside |= {f"genfun.data.{path.stem}" for path in (PACKAGE / "data").glob("*.py")}
    free = {
        "experiments",
        "optim",
        "data",
        "data.tangent_operator",
        "data.torch_model",
        "__init__",
        "__main__",
        "data.__init__",
    }
    assert set(contract["source_modules"]) == inside - {f"genfun.{name}" for name in free}
