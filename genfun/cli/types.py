"""How words on the command line become numbers: 1e6 is a whole number, `full` a batch size, commas make lists."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import click

LARGEST_EXPONENT = 18


def whole(text: str) -> int:
    """A whole number, also written as 1e6.

    Parameters
    ----------
    text : str
        e.g. "1000", "1e6", "-3".
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number; write it like 1000 or 1e6") from None
    if not value.is_finite() or value.adjusted() > LARGEST_EXPONENT or value != value.to_integral_value():
        raise ValueError(f"{text!r} is no whole number below 1e{LARGEST_EXPONENT}; write it like 1000 or 1e6")
    return int(value)


def real(text: str) -> float:
    """A real number.

    Parameters
    ----------
    text : str
        e.g. "0.5".
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number; write it like 0.5 or 1e-3") from None


def batch(text: str) -> int | None:
    """A batch size; `full` (no batch noise) is None.

    Parameters
    ----------
    text : str
        e.g. "10" or "full".
    """
    if text.strip().lower() == "full":
        return None
    try:
        return whole(text)
    except ValueError as error:
        raise ValueError(f"{error}, or `full`") from None


class Parsed(click.ParamType):
    """A parameter type made from a function of the text that raises ValueError.

    Parameters
    ----------
    name : str
        Shown in the help.
    parse : callable
        From text to value.
    """

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self.parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value of the text, or a usage error.

        Parameters
        ----------
        value, param, ctx
            As for `click.ParamType.convert`.
        """
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _list_of(parse: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def parse_all(text: str) -> tuple[Any, ...]:
        return tuple(parse(word) for word in text.split(","))

    return parse_all


WHOLE = Parsed("integer", whole)
REAL = Parsed("number", real)
BATCH = Parsed("integer|full", batch)
WHOLES = Parsed("integers", _list_of(whole))
REALS = Parsed("numbers", _list_of(real))
BATCHES = Parsed("integers|full", _list_of(batch))
