"""Which learning rate does the same job at another batch size?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._root import bracketed_root
from genfun._typing import Array, Float
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import curvature_limit, edge
from genfun.engine.transform import memory as memory_of
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.noise import NoiseModel, sampling_factor
from genfun.problems.problem import Problem

Keep = Literal["samples", "edge"]
Status = Literal["ok", "approximate", "impossible", "diverges"]
Limit = Literal["noise", "curvature", "none"]
MEANING: dict[Status, str] = {
    "ok": "what was to be kept is kept (a loss curve to 5 %)",
    "approximate": "the closest loss curve differs by more than 5 % somewhere",
    "impossible": "no stable learning rate comes within 50 %; the closest is given",
    "diverges": "the original setting diverges; its distance beyond the edge is kept",
}
CLOSE, FAR = 0.05, 0.5
STEPS = (8.0, 1e4)
"""The curves are compared between so many memory times 1/(1-|beta|) of the larger batch,"""
POINTS = 25
FALL = 1e-6
"""and until the loss has fallen by this factor: what follows would outweigh all before it on a log scale."""
SCAN = 11
BELOW_EDGE = 1.0 - 1e-6
NEAR_CURVATURE = 0.9
EDGES = 12
"""Batch sizes at which linear scaling is tried."""


@dataclass(frozen=True, eq=False, repr=False)
class Translation(Displayed):
    """A setting at another batch size, beside what the two popular rules would have given.

    Parameters
    ----------
    method : Method
        The setting found: new batch size, all but the learning rate kept.
    original : Method
        As asked.
    keep : str
        "samples" or "edge".
    status : str
        "ok", "approximate", "impossible" or "diverges"; `meaning` puts it in words.
    linear_rate : float
        alpha b'/b.
    square_root_rate : float
        alpha (b'/b)^(1/2).
    max_rate : float
        Largest stable learning rate at the new batch size; 0.0 if there is none.
    linear_limit : float
        The batch size nearest to the original, upwards if there is one, at which alpha b'/b is unstable; inf if
        there is none within the data.
    limit : str
        What linear scaling meets there: "curvature" within 10 % of 2(1+beta)/lambda_max, else "noise"; or "none".
    samples : array, shape (m,)
        Numbers of samples at which the losses below are given.
    loss : array, shape (m,)
        Mean loss of the original setting; between two steps interpolated.
    found_loss : array, shape (m,)
        Of the setting found.
    linear_loss : array, shape (m,)
        Of linear scaling.
    square_root_loss : array, shape (m,)
        Of square-root scaling.
    deviation : float
        Largest relative difference between found_loss and loss, as a factor less 1.
    notes : tuple of str
        What to know, in words.

    Examples
    --------
    >>> import genfun as gf
    >>> translate(gf.PowerLaw(1.5, 0.5), gf.SGD(0.1, 0.0, 4), 8, keep="edge")
    Translation(ok: learning rate 0.1116, linear 0.2, square root 0.1414, edge kept)
    """

    method: Any
    original: Any
    keep: Keep
    status: Status
    linear_rate: float
    square_root_rate: float
    max_rate: float
    linear_limit: float
    limit: Limit
    samples: Float[Array, " m"]
    loss: Float[Array, " m"]
    found_loss: Float[Array, " m"]
    linear_loss: Float[Array, " m"]
    square_root_loss: Float[Array, " m"]
    deviation: float
    notes: tuple[str, ...]

    @property
    def learning_rate(self) -> float:
        """The learning rate found."""
        return self.method.learning_rate

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    def __repr__(self) -> str:
        return (
            f"Translation({self.status}: learning rate {self.learning_rate:.4g}, linear {self.linear_rate:.4g}, "
            f"square root {self.square_root_rate:.4g}, {self.keep} kept)"
        )


def translate(
    problem: Problem | LinearData,
    method: Method,
    batch_size: int | None,
    keep: Keep = "samples",
    noise: NoiseChoice = None,
    samples: float | None = None,
) -> Translation:
    r"""The learning rate for another batch size b', at the same momentum.

    .. math:: \text{samples:}\ \min_{\alpha'} \sum_n \log^2\frac{L'(n/b')}{L(n/b)},\qquad
              \text{edge:}\ \frac{\alpha'}{\alpha_{max}(b')} = \frac{\alpha}{\alpha_{max}(b)}

    While learning rates are far below 2(1+beta)/lambda_max, both the decay of the signal and the noise gain depend on
    alpha/b alone, and linear scaling keeps the loss as a function of samples. It breaks where alpha b'/b comes near
    that limit (`linear_limit`), or earlier on a small training set.

    **Assumptions.** Constant settings. The curves are compared at 25 numbers of samples between 8 and 10^4 times
    b/(1-abs(beta)), b the larger batch (of another method, by what it remembers), evenly in the logarithm, until the
    loss has fallen by 10^6. Earlier, while the momentum builds up, no learning rate makes the curves equal.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    method : Method
        The setting to translate, a dataclass; all but its learning rate is kept.
    batch_size : int or None
        b'; None means the full batch, which must then be known from the problem.
    keep : str
        "samples": the loss as a function of the number of samples; "edge": the distance to the stability edge.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    samples : float, optional
        With keep="samples": match the loss at this number of samples alone, exactly. Otherwise only where losses are
        reported.

    Returns
    -------
    Translation
        `.method`, `.status`, the two scaling rules and the losses of all.

    Raises
    ------
    ValueError
        If a batch size is out of range, or is None for streaming data.
    TypeError
        If the method is no dataclass with a learning rate and a batch size.

    References
    ----------
    arXiv 2206.11124, section 6: equal budgets at equal alpha/b. Steps against batch size: arXiv 2402.15344.

    Examples
    --------
    >>> import genfun as gf
    >>> r = translate(gf.PowerLaw(1.5, 0.5, n_modes=50), gf.SGD(0.01, 0.9, 2), 8)
    >>> r.status, round(r.learning_rate, 3), round(r.square_root_rate, 3), r.linear_limit
    ('ok', 0.04, 0.02, 760.0)
    """
    Family(method)  # refuses what has no rate or batch size to change
    _check.choice("keep", keep, Keep)
    case = Case.of(problem, method, noise)
    problem, model = case.problem, case.noise
    old, new = _size(problem, method, method.batch_size), _size(problem, method, batch_size)
    ratio, memory = new / old, max(old, new) / memory_of(type(method), method.hyperparameters)
    linear, root = method.learning_rate * ratio, method.learning_rate * np.sqrt(ratio)

    setting: Any = method  # a dataclass, as Family has seen to

    def at(rate: float) -> Any:
        return replace(setting, learning_rate=float(rate), batch_size=batch_size)

    def original(numbers: Array) -> Array:
        return _log_loss(problem, method, numbers / old, model)

    def logs(rate: float) -> Array:
        return _log_loss(problem, at(rate), numbers / new, model)

    if samples is None:
        numbers = _numbers(problem, memory, original)
    else:
        numbers = np.array([_check.positive("samples", samples)])
        if numbers[0] < max(old, new):
            raise ValueError(f"samples must be at least one batch, {max(old, new)}, got {samples!r}; ask for more")
    wanted = original(numbers)
    old_edge, new_edge = edge(problem, method, model), edge(problem, at(linear), model)
    diverges = 0.0 < old_edge <= method.learning_rate
    notes, rate = [], linear
    if new == old:
        rate = method.learning_rate
    elif keep == "edge" or diverges:
        if min(old_edge, new_edge) > 0.0:
            rate = new_edge * (method.learning_rate / old_edge)
        else:
            notes.append("no learning rate is stable (infinite trace), so there is no edge; linear scaling is given")
    else:
        high = BELOW_EDGE * (new_edge if new_edge > 0.0 else curvature_limit(problem, at(linear)))
        rate = _closest(lambda r: logs(r) - wanted, linear, high)
        if rate > 0.999 * high:
            notes.append("the largest stable learning rate binds")
    if min(old_edge, new_edge) == 0.0 and keep == "samples":
        notes.append("every learning rate diverges in the end (infinite trace); only these steps are matched")
    found = logs(rate)
    with np.errstate(over="ignore"):
        deviation = float(np.expm1(np.abs(found - wanted).max()))
    status: Status = "ok"
    if diverges:
        status = "diverges"
    elif keep == "edge":
        status = "ok" if min(old_edge, new_edge) > 0.0 else "impossible"
    elif deviation > CLOSE:
        status = "approximate" if deviation <= FAR else "impossible"
    linear_limit, limit = _breaking_point(problem, method, old, model)
    for name, other in (("linear", linear), ("square-root", root)):
        unstable = ", and is unstable" if 0.0 < new_edge <= other else ""
        notes.append(f"{name} scaling gives {other / rate:.3g} times the learning rate found{unstable}")
    if keep == "edge" and deviation > CLOSE:
        notes.append(f"the loss at equal numbers of samples changes, by a factor of {1.0 + deviation:.3g} at most")
    if limit != "none" and new_edge > 0.0:
        notes.append(f"linear scaling is unstable at batch size {linear_limit:.0f}, where {limit} binds")
    with np.errstate(over="ignore"):
        loss, found_loss, linear_loss, root_loss = (np.exp(x) for x in (wanted, found, logs(linear), logs(root)))
    rules = (float(linear), float(root), new_edge, linear_limit, limit)
    losses = (numbers, loss, found_loss, linear_loss, root_loss)
    return Translation(at(rate), method, keep, status, *rules, *losses, deviation, tuple(notes))


def _size(problem: Problem, method: Any, batch_size: int | None) -> int:
    sampling_factor(batch_size, problem.n_samples, method.replacement)  # refuses what is out of range
    if batch_size is None and problem.n_samples is None:
        raise ValueError("batch_size None is the full batch, which streaming data have not; set problem.n_samples")
    return int(problem.n_samples if batch_size is None else batch_size)  # pyright: ignore[reportArgumentType]


def _log_loss(problem: Problem, method: Any, steps: Array, noise: NoiseModel) -> Array:
    """log L at steps that need not be whole, linear between whole ones."""
    low = np.floor(steps)
    pair = predict(problem, method, np.stack((low, np.ceil(steps))), noise).log_loss
    share = steps - low
    with np.errstate(invalid="ignore"):
        mixed = np.where(share == 0.0, pair[0], (1.0 - share) * pair[0] + share * pair[1])
    return np.nan_to_num(mixed, nan=np.inf, posinf=1e300, neginf=-1e300)


def _numbers(problem: Problem, memory: float, original: Callable[[Array], Array]) -> Array:
    """Numbers of samples at which the curves are compared."""
    with np.errstate(divide="ignore"):  # targets that are all zero
        least = np.log(0.5 * (problem.signal_total + problem.noise_variance) * FALL)
    for first in (STEPS[0] * memory, memory):
        numbers = np.geomspace(first, STEPS[1] * memory, POINTS)
        values = original(numbers)
        kept = np.flatnonzero((values < least) | (np.abs(values) > 690.0))
        count = int(kept[0]) if kept.size else POINTS
        if count >= 2:
            return np.geomspace(first, numbers[count - 1], POINTS)
    return np.array([memory])


def _closest(difference: Callable[[float], Array], guess: float, high: float) -> float:
    """The rate below `high` with the least sum of squares; for a single number the root nearest to the guess."""
    from scipy.optimize import minimize_scalar  # on first use: importing it takes longer than the package

    def at(x: float) -> Array:
        return np.clip(difference(float(np.exp(x))), -1e3, 1e3)

    def squares(x: float) -> float:
        return float((at(x) ** 2).sum())

    def single(x: float) -> float:
        return float(at(x)[0])

    start = min(guess, high)
    grid = np.unique(np.log(np.r_[np.geomspace(start / 8.0, high, SCAN), start]))
    values = np.array([at(x) for x in grid])
    if values.shape[1] == 1:
        signs = np.sign(values[:, 0])
        turns = np.flatnonzero(signs[:-1] * signs[1:] <= 0.0)
        if turns.size:
            roots = [bracketed_root(single, grid[i], grid[i + 1], 1e-13, 1e-15) for i in turns]
            return float(np.exp(min(roots, key=lambda x: abs(x - np.log(guess)))))
    i = int(np.argmin((values**2).sum(axis=1)))
    bounds = (grid[max(i - 1, 0)], grid[min(i + 1, grid.size - 1)])
    best: Any = minimize_scalar(squares, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return float(np.exp(best.x if best.fun < squares(grid[i]) else grid[i]))


def _breaking_point(problem: Problem, method: Any, old: int, noise: NoiseModel) -> tuple[float, Limit]:
    """The nearest batch size above, or else below, at which linear scaling is unstable, and what binds there."""
    top = curvature_limit(problem, method)
    last = max(int(np.ceil(old * top / method.learning_rate)), old)
    if problem.n_samples is not None:
        last = min(last, problem.n_samples)

    def edge_at(size: int) -> float:
        return edge(problem, replace(method, batch_size=size), noise)

    def unstable(size: int) -> bool:
        return method.learning_rate * size / old >= edge_at(size)

    # Downwards only on a finite training set, where the noise vanishes at b = N and is back below.
    ends = (last,) if problem.n_samples is None else (last, 1)
    for end in ends:
        stable = old
        for size in dict.fromkeys(np.rint(np.geomspace(old, end, EDGES)).astype(np.int64).tolist()):
            if unstable(size):
                while abs(size - stable) > 1:
                    middle = (size + stable) // 2
                    stable, size = (stable, middle) if unstable(middle) else (middle, size)
                return float(size), "curvature" if edge_at(size) > NEAR_CURVATURE * top else "noise"
            stable = size
    return np.inf, "none"
