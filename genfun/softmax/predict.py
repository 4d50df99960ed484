"""Mean cross-entropy and classification error of a linear probe at given steps, and the steps to a loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Bool, Float, Int
from genfun.engine.edge import edge, with_rate
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor
from genfun.softmax.curve import at, curve, each_curve
from genfun.softmax.data import SoftmaxData
from genfun.softmax.flow import Stretch, boundaries, start, stretches
from genfun.softmax.left_out import left_out

FINE, COARSE, DRAWN = 2, 1, 4
"""Linearisations while the step number doubles, for the answer and for its error estimate; losses of a drawn curve."""
MOST_EDGES = 2.0
"""A learning rate beyond so many start edges is refused."""
UNCERTAIN = 0.03
LATE, EARLY = 0.06, 0.5
"""Of the part of the loss that batch noise makes, what taking the weights as Gaussian costs: for good, and over the
root of the number of samples drawn. Runs on four data sets with 31 to 189 weights, batches of 2 to 32 and shares of .1
to .9 of the start edge differed by that much beyond a standard error: .0 to .07 after 60 samples, .2 to .4 after 2."""
BLOCKED, LEFT_OUT = 0.15, 0.5
"""Of the same part, what following the covariance in blocks costs, and what the noise that they leave out does. On
eight data sets in 10 to 100 classes, in groups of 1 to 64 eigenfeatures, 0 to 60 % of it were left out, and the
estimated errors covered 96 of 100 losses at a tenth and three tenths of the start edge, twice these 99. There the part
is taken of the logarithm of the loss: one that is nearly all noise may be any number of times too high."""
SEPARATED = 0.4
"""Once the mean weights put every sample in its class: what taking the weights as Gaussian costs then, of the root of
that part and of its largest value since, both of logarithms. Mistakes are then in tails that training cuts: of six data
sets at .3 to .9 of the start edge losses were told up to 14 times those of 60 runs, which twice this covered."""
MANY = 10
"""Classes up to which `EARLY` is known; of more, samples are few for longer, by their share of these."""
FEW = 10
"""Samples drawn for each class, or as many as there are classes if these are fewer, from which error rates were right
to a point or so: before, digits had up to 12 points more after 4 samples, 6 after 12, 3 after 40. Of 300 samples in 100
classes 18.1 % were wrong for 16.8 % after 16 samples a class."""
LAST_STEP = 10**8
MEANING = {
    "ok": "the estimated error of the loss is below 3 % at every step",
    "diverges": "the weights left the range of doubles; losses from there on are inf",
}


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxPrediction(Displayed):
    """Mean cross-entropy at given steps.

    Parameters
    ----------
    steps : integer array, any shape
        As asked for.
    loss : array, same shape
        Mean loss E L(t), in nats, on the training samples or on the held-out ones that were asked about.
    error : array, same shape
        Estimated relative error: by the number of linearisations, a third of the difference to half as many; and by the
        weights not being Gaussian, 6 % of the part of the loss that batch noise makes, more after few samples, and much
        more once the mean weights put every training sample in its class; where their covariance is followed in blocks
        15 % more of it, and half the share of the noise that blocks leave out.
    error_rate : array, same shape
        Mean share of the same samples classified wrongly. Too low in the first steps, until several samples a class
        have been drawn: of MNIST digits in 10 classes by 12 points after 4 samples, 3 after 40; `few` says where. Then
        right to a point or so.
    status : str
        "ok", "inaccurate" or "diverges"; `meaning` puts it in words.
    data : SoftmaxData
        As asked.
    method : SGD
        As asked.
    separable : bool
        Whether the mean weights at one of these steps put every training sample in its class. That proves the classes
        to be separable: the loss falls towards 0 with ever larger weights, without a minimum. False proves nothing.
    held_out : SoftmaxData or None
        Of `predict_test` the samples whose loss this is.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.SoftmaxData.from_features([[1.0], [2.0], [-1.0], [0.5]], [1, 1, 0, 0])
    >>> gf.predict(d, gf.SGD(0.1, batch_size=1), [0, 100]).loss.round(3).tolist()
    [0.693, 0.396]
    """

    steps: Int[Array, "..."]
    loss: Float[Array, "..."]
    error: Float[Array, "..."]
    error_rate: Float[Array, "..."]
    status: Literal["ok", "inaccurate", "diverges"]
    data: SoftmaxData
    method: SGD
    separable: bool = False
    held_out: SoftmaxData | None = None

    @cached_property
    def curves(self) -> dict[str, tuple[Any, Any]]:
        """Steps and losses for the picture, by name: "training", and before it "held-out" of `predict_test`.

        At the steps asked for and at four in each doubling of the step. Computed when it is first asked for.
        """
        last = int(np.max(self.steps))
        between = [step for step in boundaries(DRAWN, last) if step <= last]
        steps = np.union1d(np.ravel(self.steps), np.asarray(between))
        names = {"training": self.data} if self.held_out is None else {"held-out": self.held_out, "training": self.data}
        found = each_curve(self.data, self.method, steps, FINE, list(names.values()))
        return {name: (steps, values[0]) for name, values in zip(names, found, strict=True)}

    @property
    def best_step(self) -> int:
        """Of `predict_test`, the step of least held-out loss among those of `curves`: when to stop.

        Raises
        ------
        ValueError
            Of a prediction on the training samples, whose least loss does not say when to stop.
        """
        if self.held_out is None:
            raise ValueError("best_step needs held-out samples; ask predict_test(data, method, steps, X_test, y_test)")
        steps, loss = self.curves["held-out"]
        return int(steps[np.argmin(loss)])

    @property
    def meaning(self) -> str:
        """The status in words."""
        if self.status != "inaccurate":
            return MEANING[self.status]
        reasons = ["the estimated error of the loss is above 3 % at some steps: see the error"]
        reasons = reasons if (self.error > UNCERTAIN).any() else []
        if self.few.any():
            reasons.append("at some steps so few samples have been drawn that the error rate is several points too low")
        return "; ".join(reasons)

    @property
    def few(self) -> Bool[Array, "..."]:
        """Whether fewer samples have been drawn by a step than its error rate needs: 10 a class, or C if less."""
        count, size = len(self.data.classes), self.method.batch_size
        fresh = size is not None and size < self.data.n_samples
        return np.asarray(fresh & (self.steps > 0) & (self.steps * (size or 1) < count * min(count, FEW)))

    def __repr__(self) -> str:
        last = int(np.argmax(self.steps))
        return (
            f"SoftmaxPrediction({self.status}: loss {self.loss.flat[last]:.6g} nats, "
            f"{100.0 * self.error_rate.flat[last]:.3g} % of the samples wrong at step {self.steps.flat[last]}, "
            f"error about {np.max(self.error):.1e}{', classes are separable' if self.separable else ''})"
        )


def start_edge(data: SoftmaxData, method: Any) -> float:
    r"""C times the edge of least squares on the same features: where the mean square of the first steps grows.

    .. math:: 1 - \alpha\Big(\frac{\lambda}{C} + \rho\Big) = 1 - \frac{\alpha}{C}(\lambda + C\rho)

    so that least squares is asked with C times the weight decay.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
        Its learning rate is ignored.
    """
    check_method(method)
    squared = data.squared
    sampling_factor(method.batch_size, data.n_samples, method.replacement)
    count = len(data.classes)
    method = replace(with_rate(method, 1.0), weight_decay=count * method.weight_decay)
    return count * edge(squared.problem, method, squared.measured_noise)


def check_method(method: Any) -> None:
    """Refuse what is no SGD, and its options that are not derived.

    Parameters
    ----------
    method : SGD
    """
    if not isinstance(method, SGD):
        raise TypeError(f"method must be an SGD for a SoftmaxData, got {type(method).__name__}; momentum is its field")
    remedies = {
        "dampening": "drop it, and multiply the learning rate by 1 - dampening",
        "nesterov": "use heavy-ball momentum, nesterov=False",
    }
    for name, remedy in remedies.items():
        if getattr(method, name):
            raise ValueError(f"{name} must be left out for a SoftmaxData, got {getattr(method, name)!r}; {remedy}")
    if method.sampling == "epochs":
        raise ValueError(
            "sampling='epochs' is not derived for a SoftmaxData; use 'fresh', which is close, a little noisier"
        )


def checked(data: SoftmaxData, method: Any, noise: Any = None) -> float:
    """The start edge, once the setting is found to be one that can be answered.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    noise : None
        Whatever else is refused.
    """
    own_noise(noise)
    top = start_edge(data, method)
    if method.learning_rate > MOST_EDGES * top:
        raise ValueError(
            f"learning_rate must be at most twice the start edge of cross-entropy, {MOST_EDGES * top:.6g}, got "
            f"{method.learning_rate:.6g}; max_learning_rate gives that edge"
        )
    return top


def own_noise(noise: Any) -> None:
    """Refuse a noise model: the noise under cross-entropy is that of the data.

    Parameters
    ----------
    noise : None
    """
    if noise is not None:
        raise ValueError(f"noise must be left out for a SoftmaxData, whose noise is computed, got {noise!r}")


def softmax_predict(
    data: SoftmaxData, method: Any, steps: Any, noise: Any = None, on: SoftmaxData | None = None
) -> SoftmaxPrediction:
    """What `predict` and `predict_test` answer for a SoftmaxData.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    steps : int or array of ints
    noise : None
    on : SoftmaxData or None
        Samples whose loss is asked for; None is those that are trained on.
    """
    wanted = _check.steps(steps)
    if wanted.max() > LAST_STEP:
        raise ValueError(f"steps must be at most {LAST_STEP} for a SoftmaxData, got {wanted.max()}")
    checked(data, method, noise)
    # At steps in between too, for what an earlier step costs a later one.
    last = int(wanted.max())
    looked = np.union1d(wanted, [step for step in boundaries(COARSE, last) if step <= last])
    fine, coarse = (curve(data, method, looked, count, on) for count in (FINE, COARSE))
    error = np.nan_to_num(_error(data, method, looked, fine, coarse), nan=np.inf)
    at_steps = np.searchsorted(looked, wanted)
    loss, wrong, error = (np.asarray(x[at_steps]) for x in (fine[0], fine[1], error))
    separable = on is None and bool((fine[3][at_steps] == 0.0).any())
    found = SoftmaxPrediction(wanted, loss, error, wrong, "ok", data, method, separable, on)
    if np.isinf(loss).any():
        return replace(found, status="diverges")
    return replace(found, status="inaccurate") if (found.few | (error > UNCERTAIN)).any() else found


def _error(
    data: SoftmaxData, method: SGD, steps: Int[Array, " t"], fine: Float[Array, "4 t"], coarse: Float[Array, "4 t"]
) -> Float[Array, " t"]:
    """Estimated relative error of the losses of a curve, beside one of half as many linearisations."""
    drawn = np.maximum(steps, 1) * (method.batch_size or data.n_samples)
    inside, _ = data.inside(data)
    blocked = BLOCKED + LEFT_OUT * left_out(inside) if inside.blocks[0] > 1 else 0.0
    early = EARLY * np.sqrt(max(1.0, len(data.classes) / MANY))
    with np.errstate(invalid="ignore", divide="ignore"):
        folds = np.abs(np.log(fine[0] / fine[2]))
        made = folds if blocked else np.abs(fine[0] - fine[2]) / fine[0]
        error = np.abs(fine[0] - coarse[0]) / (3.0 * fine[0]) + made * (LATE + blocked + early / np.sqrt(drawn))
        tails = np.where(fine[3] == 0.0, folds, 0.0)
        return error + SEPARATED * np.sqrt(tails * np.maximum.accumulate(tails))


def softmax_steps_to_loss(data: SoftmaxData, method: Any, loss: float, noise: Any = None) -> float:
    """What `steps_to_loss` answers for a SoftmaxData: looked for at the ends of stretches, then inside the first one.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    loss : float
    noise : None
    """
    target = _check.positive("loss", loss, "the mean loss never reaches 0; pass a small positive loss")
    checked(data, method, noise)
    data, _ = data.inside(data)
    if at(data, start(data))[0] <= target:
        return 0.0
    for first, end, stretch in stretches(data, method, FINE, LAST_STEP):
        if at(data, stretch.after(end - first))[0] <= target:
            return float(first + _bisected(data, stretch, end - first, target))
    return np.inf


def _bisected(data: SoftmaxData, stretch: Stretch, below: int, target: float) -> int:
    above = 0
    while below - above > 1:
        middle = (above + below) // 2
        if at(data, stretch.after(middle))[0] <= target:
            below = middle
        else:
            above = middle
    return below
