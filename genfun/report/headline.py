"""The report in two sentences: what to do, and why."""

from __future__ import annotations

import math

from genfun._display import percent
from genfun.answers.words import numbers as words
from genfun.report.model import Report


def headline(report: Report) -> str:
    """What to do, where it fails, and how far that is known.

    Parameters
    ----------
    report : Report
    """
    if report.advice is None:
        return "No learning rate converges with mini-batches: the trace of the Hessian is infinite."
    found, method = report.advice.chosen, report.advice.method
    unknown = math.nan if report.data.initial_loss > 0.0 else -math.inf
    edge = method.learning_rate / found.share_of_edge
    loss = words.loss(found.loss, unknown, min(4, found.digits))
    low, high = (words.figures(end, 3) for end in found.learning_rate_range)
    lines = [
        f"Use learning rate {words.figures(method.learning_rate)}, momentum {method.momentum:.3g}, "
        f"{words.batches(method.batch_size)}: mean loss {loss} at step {found.steps:,}, "
        f"from {words.figures(report.data.initial_loss)} at the start.",
        f"Rates from {low} to {high} lose at most 5 % more; it blows up from {words.figures(edge)} on.",
    ]
    if reason := report.advice.why:
        lines.append(f"{reason[0].upper()}{reason[1:]}.")
    if method.batch_size is None:
        lines.append("Full batches have no noise: the loss is exact for this model.")
    elif found.loss_band is not None:
        ends = " to ".join(words.loss(end, unknown, 3) for end in sorted(found.loss_band))
        lines.append(f"The batch noise is assumed: over noise models the loss is {ends}.")
    elif found.noise_error > 0.0:
        lines.append(f"The batch noise is that of the data: the loss is known to {percent(found.noise_error)}.")
    return " ".join(lines)


def why(report: Report) -> str:
    """What limits the learning rate, and how far the popular formula is off, in a sentence.

    Parameters
    ----------
    report : Report
    """
    worst = max(report.limits, key=lambda limit: limit.factor)
    if math.isinf(worst.factor):
        return "The popular formula 2(1+beta)/lambda_max knows nothing of batch noise, which is infinite here."
    setting = f"batch size {words.batch(worst.batch_size)} and momentum {worst.momentum:g}"
    if worst.factor < 1.0 + 1e-9:
        return "Curvature alone limits the learning rate in every setting below: 2(1+beta)/lambda_max holds."
    return (
        f"With {setting} the largest stable learning rate is {words.figures(worst.learning_rate)}; "
        f"the popular formula 2(1+beta)/lambda_max is {words.figures(worst.factor, 3)} times too large."
    )
