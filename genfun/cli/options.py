"""Options and words that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from genfun.cli.flags import told as in_own_words
from genfun.cli.target import Target
from genfun.cli.types import BATCH, REAL

MOMENTUM = click.option("--momentum", type=REAL, default="0", show_default=True, help="Between -1 and 1.")
BATCH_SIZE = click.option("--batch-size", type=BATCH, required=True, help="Samples in a batch, or `full`.")
RATE = click.option("--learning-rate", type=REAL, required=True, help="As torch has it.")


def setting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a setting of SGD: learning rate, momentum and batch size.

    Parameters
    ----------
    command : callable
        What is decorated.
    """
    for option in (MOMENTUM, RATE, BATCH_SIZE):
        command = option(command)
    return command


def aims(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options that name a loss to reach.

    Parameters
    ----------
    command : callable
        Takes `loss` and `share`, of which `aim_of` makes the target.
    """
    share = click.option("--share", type=REAL, help="The target as a share of the initial loss, instead of --loss.")
    return click.option("--loss", type=REAL, help="The target, in units of the loss.")(share(command))


def aim_of(target: Target, loss: float | None, share: float | None) -> tuple[float, float]:
    """The loss to reach, and the initial loss.

    Parameters
    ----------
    target : Target
    loss, share : float or None
        One of them.
    """
    if (loss is None) == (share is None):
        raise click.UsageError(
            f"give either --loss or --share, got {'neither' if loss is None else 'both'}", click.get_current_context()
        )
    start = 0.5 * (target.problem.signal_total + target.problem.noise_variance)
    if share is None:
        assert loss is not None
        return loss, start
    if not 0.0 < share < math.inf:
        raise ValueError(f"--share must be a positive number, got {share}; 0.1 is a tenth of the initial loss")
    return share * start, start


def preamble(target: Target, noise: Any = None) -> list[str]:
    """What the answer is about, in two lines, and what was done to a table or could be, in further ones.

    Parameters
    ----------
    target : Target
    noise : SpectrallyExpressible or None
        That of an answer which knows no other, in place of the target's.
    """
    from genfun.answers.words.noise import noise_words as words_of
    from genfun.answers.words.problem import problem_words

    source = target.noise_source if noise is None else target.expressible_source
    told = notes(target.remarks)
    words = words_of(noise or target.noise)
    # What was measured says so itself.
    of_noise = words if words.startswith("measured") else f"{words} ({source})"
    return [f"{target.label}: {problem_words(target.problem)}", *told, f"batch noise: {of_noise}"]


def notes(lines: Any) -> list[str]:
    """What an answer adds, a line each, in the words of the command line.

    Parameters
    ----------
    lines : iterable of str
    """
    return [f"note: {in_own_words(line)}" for line in lines]


def told(method: Any) -> str:
    """A setting in words, the full batch by its name.

    Parameters
    ----------
    method : SGD or ScheduledSGD
    """
    from genfun.answers.words.settings import setting_words

    return setting_words(method)


def remedy(status: str, problem: Any, method: Any, noise: Any) -> list[str]:
    """What to do about a setting that diverges, in a line; none about another.

    Parameters
    ----------
    status : str
        Of a prediction or a verdict.
    problem : LinearProblem or PowerLaw
    method : SGD or ScheduledSGD
    noise : SpectrallyExpressible or Noise
    """
    from genfun._display import digits_of
    from genfun.answers.words.numbers import batch, figures
    from genfun.methods import SGD
    from genfun.report.limits import rate_limit

    if status != "diverges":
        return []
    if not isinstance(method, SGD):
        return ["remedy: lower rates; `genfun max-lr` says which are stable at a momentum and batch size"]
    found = rate_limit(problem, method.momentum, method.batch_size, noise)
    at = f"momentum {figures(method.momentum)} and batch size {batch(method.batch_size)}"
    if found.learning_rate == 0.0:
        return [f"remedy: no learning rate is stable at {at}; set --n-modes"]
    edge = figures(found.learning_rate, min(4, digits_of(found.noise_error)))
    return [f"remedy: a --learning-rate below {edge}, the largest stable one at {at}"]


def banded(target: Target, batch_size: Any, only: Any = None) -> bool:
    """Whether the noise model is a guess of constants, so that the band over tau2 belongs to the answer.

    Parameters
    ----------
    target : Target
    batch_size : int, None or Schedule
    only : SpectrallyExpressible or None
        The noise of an answer that knows no other.
    """
    guessed = target.chosen in (None, "fitted") or (only is not None and isinstance(target.chosen, str))
    return guessed and batch_size is not None and batch_size != target.problem.n_samples


def inputs(target: Target, only: Any = None, **setting: Any) -> dict[str, Any]:
    """What was asked, for the JSON.

    Parameters
    ----------
    target : Target
    only : SpectrallyExpressible or None
        The noise of an answer that knows no other, in place of the target's.
    **setting
        Further inputs.
    """
    from genfun.answers.words.noise import noise_facts

    source = target.noise_source if only is None else target.expressible_source
    noise = noise_facts(target.noise if only is None else only) | {"source": source}
    return target.inputs | {"noise": noise, "n_samples": target.problem.n_samples} | setting


def asked(method: Any) -> dict[str, Any]:
    """An method for the JSON: its fields, schedules as they are written in Python.

    Parameters
    ----------
    method : SGD or ScheduledSGD
    """
    from dataclasses import fields

    values = {field.name: getattr(method, field.name) for field in fields(method)}
    return {name: repr(value) if callable(value) else value for name, value in values.items()}


def table_argument(name: str, metavar: str) -> Any:
    """An argument that is a table of measurements.

    Parameters
    ----------
    name, metavar : str
    """
    return click.argument(name, metavar=metavar, type=click.Path(path_type=Path))
