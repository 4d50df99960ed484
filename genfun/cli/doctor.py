"""`genfun doctor`: what is installed, and whether a GPU is seen."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import click

from genfun._version import __version__
from genfun.cli.answers import AS_JSON
from genfun.cli.group import examples
from genfun.cli.output import emit_json, say

PARTS = {
    "core": ("numpy", "scipy", "sympy", "matplotlib", "click", "rich", "jinja2"),
    "experiments": ("torch", "xarray"),
    "schedules": ("numba",),
    "explorer": ("bokeh",),
    "download": ("pooch",),
}


def installed(package: str) -> str | None:
    """The version of a package, None if it is not there.

    Parameters
    ----------
    package : str
        Its name on the package index.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def gpus() -> list[str]:
    """Names of the GPUs that torch sees; none without torch."""
    if installed("torch") is None:
        return []
    from genfun.experiments._torch import gpu_names

    return gpu_names()


@click.command(epilog=examples("genfun doctor", "genfun doctor --json"))
@AS_JSON
def doctor(as_json: bool) -> None:
    """Say what is installed, and whether a GPU is seen."""
    versions = {extra: {package: installed(package) for package in packages} for extra, packages in PARTS.items()}
    seen = gpus()
    if as_json:
        result = {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": versions,
            "gpus": seen,
        }
        emit_json("doctor", {}, result)
        return
    say(f"genfun {__version__}, Python {platform.python_version()}, {platform.platform()}")
    say(f"interpreter: {sys.executable}")
    for extra, packages in versions.items():
        words = ", ".join(f"{name} {version or 'missing'}" for name, version in packages.items())
        lacks = any(version is None for version in packages.values())
        hint = f'   (pip install "genfun[{extra}]")' if lacks and extra != "core" else ""
        say(f"{extra:<12} {words}{hint}")
    say(f"{'GPU':<12} {', '.join(seen) if seen else 'none seen'}")
