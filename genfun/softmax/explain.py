"""A setting of a linear probe in a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfun import _check
from genfun.softmax.averages import loss_of
from genfun.softmax.data import SoftmaxData
from genfun.softmax.flow import start
from genfun.softmax.predict import SoftmaxPrediction, checked, softmax_predict

DEFAULT_STEPS = 1000


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxExplanation:
    """A setting in words.

    Parameters
    ----------
    lines : tuple of str
        Sentences.
    start_edge : float
        C times the edge of least squares.
    prediction : SoftmaxPrediction
        At the step asked for, half of it and twice it.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.SoftmaxData.from_features([[1.0], [2.0], [-1.0], [0.5]], [1, 1, 0, 0])
    >>> print(gf.explain(d, gf.SGD(0.1, batch_size=1), 100).lines[0])
    Softmax regression on 4 samples of 1 features in 2 classes, from a loss of 0.693 nats.
    """

    lines: tuple[str, ...]
    start_edge: float
    prediction: SoftmaxPrediction

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __repr__(self) -> str:
        return f"SoftmaxExplanation({self.lines[2]})"


def softmax_explain(data: SoftmaxData, method: Any, steps: int | None = None, noise: Any = None) -> SoftmaxExplanation:
    """What `explain` answers for a SoftmaxData.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    steps : int or None
    noise : None
    """
    t = _check.step("steps", DEFAULT_STEPS if steps is None else steps, 1)
    top = checked(data, method, noise)
    told = softmax_predict(data, method, [max(t // 2, 1), t, 2 * t])
    half, now, twice = (float(x) for x in told.loss)
    first = loss_of(data, start(data).mean[0])[0]
    share = method.learning_rate / top
    lines = [
        f"Softmax regression on {data.n_samples} samples of {data.features.shape[1]} features in "
        f"{len(data.classes)} classes, from a loss of {first:.3f} nats.",
        f"The learning rate is {share:.2g} of the start edge {top:.4g}, {len(data.classes)} times the edge of least "
        "squares: beyond it the first steps grow in mean square, but there is no largest stable rate, since the "
        "gradient is bounded.",
        f"At step {t:,} the mean loss is {now:.4g} nats and {100.0 * float(told.error_rate[1]):.3g} % of the training "
        f"samples are classified wrongly; half the steps give {half:.4g}, twice the steps {twice:.4g}.",
        "Adam and epochs without replacement are outside this prediction.",
    ]
    held = " and ".join(
        what
        for what, there in (
            ("weight decay", method.weight_decay > 0.0),
            ("label smoothing", data.label_smoothing > 0.0),
        )
        if there
    )
    if told.separable and held:
        lines.append(f"The classes are separable, as the mean weights show; {held} keeps the weights finite.")
    elif told.separable:
        lines.append(
            "The classes are separable, as the mean weights show: the loss falls towards 0 with ever larger weights, "
            "without a minimum, and held-out rows say when to stop."
        )
    elif told.error_rate[2] * data.n_samples < 0.5:
        lines.append("Hardly any training sample is classified wrongly in the end: the classes look separable.")
    if told.status != "ok":
        lines.append(f"Caution: {told.meaning}.")
    return SoftmaxExplanation(tuple(lines), top, told)
