"""A setting in words."""

from __future__ import annotations

from genfun.answers.words.numbers import figures
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.schedules.scheduled_sgd import ScheduledSGD


def setting_words(method: Method | ScheduledSGD) -> str:
    """A setting in words.

    Parameters
    ----------
    method : Method or ScheduledSGD
    """
    if type(method) is not SGD:
        return repr(method)
    size = "the full batch" if method.batch_size is None else f"batch size {method.batch_size}"
    drawn = " drawn with replacement" if method.replacement else ""
    knobs = f"learning rate {figures(method.learning_rate, 6)}, momentum {beta_words(method.momentum)}"
    return f"SGD with {knobs}, {size}{drawn}"


def beta_words(momentum: float) -> str:
    """A momentum, with as many digits as keep it from reading 1.

    Parameters
    ----------
    momentum : float
    """
    return figures(momentum) if abs(momentum) < 0.9995 else f"{momentum:.9g}"
