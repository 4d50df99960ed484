"""--test and --holdout: rows of a TARGET that are not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genfun.cli.group import TargetOption
from genfun.cli.output import progress
from genfun.cli.types import REAL, WHOLE

if TYPE_CHECKING:
    from genfun.data.held_out_rows import Split

HELD_OUT = (
    click.option(
        "--test",
        cls=TargetOption,
        type=click.Path(path_type=Path),
        help="file: another one with held-out rows; the loss is that on them.",
    ),
    click.option(
        "--holdout",
        cls=TargetOption,
        type=REAL,
        help="Share of the rows to hold out, e.g. 0.2; the loss is that on them.",
    ),
    click.option(
        "--split-seed",
        cls=TargetOption,
        type=WHOLE,
        default="0",
        show_default=True,
        help="Which rows --holdout holds out.",
    ),
)


def check_noise(name: str | None, given: Mapping[str, float | None]) -> None:
    """Refuse a noise that is not that of the data.

    Parameters
    ----------
    name : str or None
        That of --noise.
    given : mapping
        Values by their flags.
    """
    other = [flag for flag, value in given.items() if value is not None]
    other += ["--noise fitted"] if name == "fitted" else []
    if other:
        raise ValueError(f"{other[0]} replaces the noise of the data, which --test and --holdout need; drop it")


def split_of(name: str, chosen: Mapping[str, Any], test: Path | None, holdout: float | None, seed: int) -> Split:
    """The training rows and those held out.

    Parameters
    ----------
    name : str
        TARGET.
    chosen : mapping
        Its options, as the arguments of what reads it.
    test : Path or None
    holdout : float or None
    seed : int
        Of --split-seed.
    """
    from genfun.data.held_out_rows import split_file, split_mnist
    from genfun.data.tables import Choices

    if test is not None and holdout is not None:
        raise ValueError("--test brings the held-out rows, and --holdout draws them; drop one of the two")
    if name == "power-law":
        raise ValueError("--test and --holdout need data, and a power law has no samples to hold out; drop them")
    with progress() as report:
        if name == "mnist":
            if holdout is None:
                raise ValueError("--test is about files; for mnist hold out a share of the digits, e.g. --holdout 0.2")
            return split_mnist(holdout, **chosen, split_seed=seed, progress=report)
        for path in (name, test):
            if path is not None and not Path(path).exists():
                raise FileNotFoundError(f"{path} does not exist; check the path")
        report(0.0, f"reading {name}")
        options: dict[str, Any] = dict(chosen) | {"target": chosen["target"] or None}
        return split_file(name, Choices(**options), test, holdout, seed)
