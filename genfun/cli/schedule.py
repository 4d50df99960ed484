"""Schedules on the command line, written as in Python: `Cosine(0.5, 1000)`, also inside one another."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import click

from genfun.cli.types import BATCH, REAL, Parsed, batch, real

NAMES = ("Cosine", "ExponentialGrowth", "LinearGrowth", "Piecewise", "Polynomial", "StepDecay", "Warmup")
LONGEST = 500
EXAMPLE = "Warmup(100, Cosine(0.5, 1000))"


def schedule(text: str) -> Any:
    """A schedule of `genfun.schedules` from a call of its name with numbers, tuples and other schedules.

    Parameters
    ----------
    text : str
        e.g. "Cosine(0.5, 1000)", "Warmup(100, then=Cosine(0.5, 1000))", "Piecewise((0.5, 0.1), (300,))".

    Examples
    --------
    >>> schedule("Warmup(100, Cosine(0.5, 1000))")
    Warmup(steps=100, then=Cosine(initial=0.5, period=1000, final=0.0), start=0.0)
    """
    try:
        if len(text) > LONGEST:
            raise ValueError
        return _value(ast.parse(text.strip(), mode="eval").body)
    except TypeError as error:
        raise ValueError(f"{text!r} does not fit: {error}") from None
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        # A message of the schedule itself says more than that it could not be read.
        reason = f": {error}" if isinstance(error, ValueError) and str(error) else ""
        shown = text if len(text) <= LONGEST else text[:40] + "..."
        raise ValueError(f"{shown!r} is neither a number nor a schedule like {EXAMPLE}{reason}") from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        import genfun.schedules

        if node.func.id not in NAMES:
            raise ValueError(f"{node.func.id} is none of {', '.join(NAMES)}")
        named = {word.arg: _value(word.value) for word in node.keywords if word.arg is not None}
        return _made(getattr(genfun.schedules, node.func.id), [_value(part) for part in node.args], named)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(map(_value, node.elts))
    try:
        found = ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)} is neither a number nor one of {', '.join(NAMES)}") from None
    # 1e3 is a whole number on the command line, and so inside a schedule.
    return int(found) if isinstance(found, float) and found.is_integer() and found > 1.0 else found


def _made(kind: Any, values: list[Any], named: dict[str, Any]) -> Any:
    takes = inspect.signature(kind)
    try:
        takes.bind(*values, **named)
    except TypeError:
        words = [f"{p.name}={p.default}" if p.default is not p.empty else p.name for p in takes.parameters.values()]
        raise TypeError(f"{kind.__name__} takes {', '.join(words)}") from None
    return kind(*values, **named)


def _or_schedule(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: schedule(text) if "(" in text else parse(text)


RATES = Parsed(f"{REAL.name}|schedule", _or_schedule(real))
BATCHES = Parsed(f"{BATCH.name}|schedule", _or_schedule(batch))


def scheduled_setting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a setting of SGD, each a number or a schedule.

    Parameters
    ----------
    command : callable
        What is decorated.
    """
    for option in (
        click.option(
            "--convention",
            type=click.Choice(("torch", "keras")),
            default="torch",
            show_default=True,
            help="Whose momentum where the rate is a schedule.",
        ),
        click.option("--momentum", type=RATES, default="0", show_default=True, help="Between -1 and 1."),
        click.option("--learning-rate", type=RATES, required=True, help=f'A number, or e.g. "{EXAMPLE}".'),
        click.option(
            "--batch-size",
            type=BATCHES,
            required=True,
            help='Samples in a batch, `full`, or e.g. "ExponentialGrowth(8, 2, 100)".',
        ),
    ):
        command = option(command)
    return command


def method_of(learning_rate: Any, momentum: Any, batch_size: Any, convention: Any = "torch") -> Any:
    """An SGD of numbers; where one of them is a schedule, a ScheduledSGD.

    Parameters
    ----------
    learning_rate, momentum, batch_size
        Numbers or schedules.
    convention : "torch" or "keras"
        Of the momentum under a schedule.
    """
    if any(map(callable, (learning_rate, momentum, batch_size))):
        from genfun.schedules import ScheduledSGD

        return ScheduledSGD(learning_rate, momentum, batch_size, convention=convention)
    from genfun.methods import SGD

    return SGD(learning_rate, momentum, batch_size)
