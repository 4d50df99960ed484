"""Numbers in words, the same in every text and table."""

from __future__ import annotations

import math


def figures(value: float | None, digits: int = 4) -> str:
    """A number for a table; a dash where there is none.

    Parameters
    ----------
    value : float or None
        Also inf and nan.
    digits : int
        Significant digits.
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0.0 else "-inf"
    return f"{value:.{digits}g}"


def batch(size: int | None) -> str:
    """A batch size.

    Parameters
    ----------
    size : int or None
        None means the full batch.
    """
    return "full" if size is None else str(size)


def count(value: float) -> str:
    """A number of steps or samples.

    Parameters
    ----------
    value : float
        Also inf: never.
    """
    if not math.isfinite(value):
        return "never" if value > 0.0 else "-"
    return f"{value:,.0f}" if value < 1e7 else f"{value:.3g}"


def loss(value: float, log_value: float, digits: int = 3) -> str:
    """A loss, also one too small or too large for a double.

    Parameters
    ----------
    value : float
        The loss.
    log_value : float
        Its natural logarithm.
    digits : int
        Significant digits.
    """
    if (value > 0.0 and math.isfinite(value)) or not math.isfinite(log_value):
        return figures(value, digits)
    exponent = log_value / math.log(10.0)
    return f"{10.0 ** (exponent % 1.0):.{digits - 1}f}e{math.floor(exponent):+d}"


def ratio(log_value: float, digits: int = 3) -> str:
    """A ratio of losses, given by its logarithm.

    Parameters
    ----------
    log_value : float
        Natural logarithm.
    digits : int
        Significant digits.
    """
    return loss(math.exp(min(max(log_value, -800.0), 709.0)) if log_value < 709.0 else math.inf, log_value, digits)


def share(part: float) -> str:
    """A share in per cent; what is not quite 100 % is not rounded to it.

    Parameters
    ----------
    part : float
        0 to 1.
    """
    if 0.99 <= part < 1.0:
        return f"> {math.floor(min(1000.0 * part, 999.0)) / 10.0:g}%"
    return f"{part:.1%}"
