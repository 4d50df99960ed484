"""`genfun doctor`: what is installed, and whether a GPU is seen."""

from __future__ import annotations

import platform
import sys

import click

from genfun._version import __version__
from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples

PARTS = {
    "core": ("numpy", "scipy", "sympy", "matplotlib", "click", "rich", "jinja2"),
    "tables": ("pandas",),
    "parquet": ("pyarrow",),
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
    from importlib.metadata import PackageNotFoundError, version  # only this command pays for it

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def gpus() -> list[str]:
    """Names of the GPUs that torch sees; none without torch."""
    if installed("torch") is None:
        return []
    from genfun.experiments.simulation.torch_backend import gpu_names

    return gpu_names()


@click.command(cls=Job, epilog=examples("genfun doctor", "genfun doctor --json"))
@answers()
def doctor() -> Answer:
    """Say what is installed, and whether a GPU is seen."""
    versions = {extra: {package: installed(package) for package in packages} for extra, packages in PARTS.items()}
    seen = gpus()
    result = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "interpreter": sys.executable,
        "packages": versions,
        "gpus": seen,
    }
    shown = [f"genfun {__version__}, Python {result['python']}, {result['platform']}", f"interpreter: {sys.executable}"]
    for extra, packages in versions.items():
        words = ", ".join(f"{name} {version or 'missing'}" for name, version in packages.items())
        lacks = any(version is None for version in packages.values())
        hint = f'   (pip install "genfun[{extra}]")' if lacks and extra != "core" else ""
        shown.append(f"{extra:<12} {words}{hint}")
    shown.append(f"{'GPU':<12} {', '.join(seen) if seen else 'none seen'}")
    return Answer({}, result, shown)
