"""What commands that run SGD need of a TARGET: data, and options of the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from genfun.cli.output import Block, Grid
from genfun.cli.target import Target
from genfun.cli.types import WHOLE

if TYPE_CHECKING:
    from genfun.data import LinearData
    from genfun.experiments.agreement.agreements import Agreements


def run_options(steps: str, replicas: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options --steps, --replicas and --run-seed.

    Parameters
    ----------
    steps, replicas : str
        Defaults.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--run-seed", type=WHOLE, default="0", show_default=True, help="Seed of the batches."),
            click.option("--replicas", type=WHOLE, default=replicas, show_default=True, help="Runs of each setting."),
            click.option("--steps", type=WHOLE, default=steps, show_default=True, help="Steps of each run."),
        ):
            command = option(command)
        return command

    return decorate


@contextmanager
def kept(store: str | None) -> Iterator[None]:
    """Around runs: Ctrl-C tells how they go on.

    Parameters
    ----------
    store : str or None
        The folder that keeps what is finished.
    """
    try:
        yield
    except KeyboardInterrupt:
        told = (
            "nothing is kept without --store" if store is None else f"the same command goes on from what {store} keeps"
        )
        raise KeyboardInterrupt(told) from None


def runnable(target: Target) -> LinearData:
    """The data of a target; for a spectrum alone, data that have it and for which the theory is exact.

    Parameters
    ----------
    target : Target
    """
    from genfun.data import LinearData, translation_invariant
    from genfun.problems.power_law import PowerLaw
    from genfun.problems.problem import LinearProblem

    if isinstance(target.source, LinearData):
        if target.inputs["noise_variance"] is not None:
            raise ValueError("--noise-variance cannot change the labels of data that are run; drop it")
        return target.source
    problem = target.problem
    assert isinstance(problem, LinearProblem | PowerLaw)
    if isinstance(problem, PowerLaw) and problem.n_modes is None:
        raise ValueError("a power law without end cannot be run; give --n-modes, e.g. --n-modes 100")
    return translation_invariant(problem.eigenvalues, problem.signal, problem.n_samples, problem.noise_variance)


def compared(found: Agreements, replicas: int, n_samples: int) -> list[Block]:
    """Theory and runs at the last step, which all settings have in common and is told once.

    Parameters
    ----------
    found : Agreements
    replicas, n_samples : int
        Of each setting; of the data.
    """
    from genfun.experiments.agreement.agreements import LEGEND

    headings, lines = found.cells()
    at = headings.index("step")
    rows = [line[:at] + line[at + 1 :] for line in (headings, *lines)]
    told = f"{replicas} runs of each setting on {n_samples} samples; at step {lines[0][at]}:"
    return [told, Grid(rows[0], rows[1:], keys=3), LEGEND]
