"""A setting in words."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from genfun.answers.words.numbers import figures
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.schedules.base import Table
from genfun.schedules.scheduled_sgd import ScheduledSGD


def setting_words(method: Method | ScheduledSGD) -> str:
    """A setting in words.

    Parameters
    ----------
    method : Method or ScheduledSGD

    Examples
    --------
    >>> from genfun.schedules import Cosine, Warmup
    >>> setting_words(ScheduledSGD(Warmup(50, Cosine(0.2, 500)), 0.9, 16))
    'SGD with learning rate Warmup(50, Cosine(0.2, 500)), momentum 0.9, batch size 16'
    """
    if type(method) is not SGD and not isinstance(method, ScheduledSGD):
        return repr(method)
    size = "the full batch" if method.batch_size is None else f"batch size {written(method.batch_size)}"
    drawn = " drawn with replacement" if method.replacement else ""
    momentum = method.momentum if callable(method.momentum) else beta_words(method.momentum)
    knobs = f"learning rate {written(method.learning_rate)}, momentum {written(momentum)}"
    if isinstance(method, ScheduledSGD):
        knobs += " as in Keras" if method.convention == "keras" else ""
        knobs += f", dampening {method.dampening:g}" if method.dampening else ""
    return f"SGD with {knobs}, {size}{drawn}"


def written(value: Any) -> str:
    """A number, or a schedule as one would write it in Python, without what stands there by default.

    Parameters
    ----------
    value : float, int, str or Schedule

    Examples
    --------
    >>> from genfun.schedules import StepDecay
    >>> written(StepDecay(0.2, 0.5, 100)), written(1 / 3)
    ('StepDecay(0.2, 0.5, 100)', '0.333333')
    """
    if isinstance(value, float):
        return figures(value, 6)
    if not is_dataclass(value) or isinstance(value, Table):
        return "a function of the step" if inspect.isroutine(value) else str(value)
    held = [(field, getattr(value, field.name)) for field in fields(value)]
    while held and held[-1][0].default is not MISSING and held[-1][1] == held[-1][0].default:
        held.pop()
    return f"{type(value).__name__}({', '.join(written(entry) for _, entry in held)})"


def beta_words(momentum: float) -> str:
    """A momentum, with as many digits as keep it from reading 1.

    Parameters
    ----------
    momentum : float
    """
    return figures(momentum) if abs(momentum) < 0.9995 else f"{momentum:.9g}"
