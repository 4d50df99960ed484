"""Numbers in words, the same in every text and table."""

from __future__ import annotations

import math

from genfun._display import plain

LEAST = math.log(1e-300)
"""Losses below are told in words: 1e-1490 may be exact for the model, and is nothing that training reaches."""


def figures(value: float | None, digits: int = 4) -> str:
    """A number for a table; a dash where there is none.

    Parameters
    ----------
    value : float or None
        Also inf and nan.
    digits : int
        Significant digits.

    Examples
    --------
    >>> figures(0.123456), figures(134422.0), figures(1.3e9)
    ('0.1235', '134,400', '1.3e+09')
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0.0 else "-inf"
    return plain(value, digits)


def batch(size: int | None) -> str:
    """A batch size.

    Parameters
    ----------
    size : int or None
        None means the full batch.
    """
    return "full" if size is None else str(size)


def batches(size: int | None) -> str:
    """A batch size in a sentence.

    Parameters
    ----------
    size : int or None
        None means the full batch.

    Examples
    --------
    >>> batches(10), batches(None)
    ('batch size 10', 'full batches')
    """
    return "full batches" if size is None else f"batch size {size}"


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
    """A loss; in words where it is smaller or larger than any that a computer trains to.

    Parameters
    ----------
    value : float
        The loss.
    log_value : float
        Its natural logarithm; nan where it is not known, and a value of 0 then means too small for a double.
    digits : int
        Significant digits.

    Examples
    --------
    >>> loss(0.25, math.log(0.25)), loss(0.0, -3430.0), loss(0.0, -math.inf), loss(math.inf, 2000.0)
    ('0.25', 'below 1e-300', '0', 'above 1e300')
    """
    if -math.inf < log_value < LEAST or (math.isnan(log_value) and 0.0 <= value < 1e-300):
        return "below 1e-300"
    return "above 1e300" if -LEAST < log_value < math.inf else figures(value, digits)


def ratio(log_value: float, digits: int = 3) -> str:
    """A ratio of losses, given by its logarithm.

    Parameters
    ----------
    log_value : float
        Natural logarithm.
    digits : int
        Significant digits.
    """
    return loss(math.exp(min(log_value, 709.0)), log_value, digits)


def share(part: float) -> str:
    """A share in per cent; what is not quite 0 or 100 % is not rounded to it.

    Parameters
    ----------
    part : float
        0 to 1.

    Examples
    --------
    >>> share(0.0), share(0.0002), share(0.615), share(0.9999)
    ('0.0 %', '< 0.1 %', '61.5 %', '> 99.9 %')
    """
    if 0.0 < part < 0.0005:
        return "< 0.1 %"
    if 0.99 <= part < 1.0:
        return f"> {math.floor(min(1000.0 * part, 999.0)) / 10.0:g} %"
    return f"{100.0 * part:.1f} %"
