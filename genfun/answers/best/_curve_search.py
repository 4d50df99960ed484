"""The best setting where every loss takes a whole curve: averaged weights, with the average, and training in epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.answers.best._search import X_RANGE
from genfun.answers.best._sensitivity import MARGIN, crossings
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.engine.edge import edge, with_rate
from genfun.engine.epochs import stepper
from genfun.methods.averaged import Averaged
from genfun.methods.family import in_fresh_batches
from genfun.noise import quick
from genfun.problems.problem import Problem

STARTS = ((0.0, 0.0), (1.5, 0.0), (0.0, 0.9))
"""(logit of the share of the edge, momentum) that searches start from."""
LEAST_LOGIT = -7.0
"""How far a start where there is no loss is moved to smaller learning rates."""
CAP = 0.99
"""Largest momentum of either sign, or exp(-10/T) where that is more."""
ROUNDS = 220
"""Settings that one search looks at, at most."""
CLOSE = 1e-4
"""Distance in the coordinates, and in the log of the loss, at which a search ends."""
SLOWEST = 4.0
"""The longest memory of an average, in runs."""


@dataclass(frozen=True)
class Found:
    """The best setting of a search.

    Attributes
    ----------
    method : Method
    log_loss : float
    share : float
        Of the stability edge.
    bounds : tuple of str
        Those that it sits on, in words.
    rates, momenta : (float, float)
        How far each can move for 5 % more loss.
    plain : float
        The least log loss with momentum 0.
    """

    method: Any
    log_loss: float
    share: float
    bounds: tuple[str, ...]
    rates: tuple[float, float]
    momenta: tuple[float, float]
    plain: float


class CurveSearch:
    """Log losses over share of the edge, momentum and average of a method.

    Parameters
    ----------
    problem : Problem or LinearData
    batch : int or None
    steps : int
    noise : SpectrallyExpressible, Noise, str or None
    momentum : float or None
        Fixed, or searched.
    template : Method or Averaged
        Its other hyperparameters are kept; the decay of an EMA and the start of a tail are searched.
    most_share : float
        Largest share of the edge.
    """

    def __init__(
        self,
        problem: Any,
        batch: int | None,
        steps: int,
        noise: NoiseChoice,
        momentum: float | None,
        template: Any,
        most_share: float,
    ) -> None:
        self.batch, self.steps, self.momentum, self.most_share = batch, steps, momentum, most_share
        self.cap = max(CAP, math.exp(-10.0 / steps))
        self.template = template
        self.average = template if isinstance(template, Averaged) else None
        self.case = Case.of(problem, in_fresh_batches(self._with(1.0, 0.0, 0.0)), noise, knows_options=True)
        epochs = template.sampling == "epochs"
        if epochs:
            stepper(ROUNDS * steps)  # loads numba where a search is worth it
        # Epochs ask for the data, whose own moments they take; a stand-in serves where there is one.
        self.asked: tuple[Problem | Any, Any] = (problem, noise)
        self.quick = (problem, noise) if epochs else (self.case.problem, quick(self.case.noise, self.cap))
        self._known: dict[Any, float] = {}
        self._edges: dict[float, float] = {}

    @property
    def sizes(self) -> list[str]:
        """Names of the coordinates."""
        free = ["rate"] + (["momentum"] if self.momentum is None else [])
        return free + (["average"] if self.average is not None and self.average.kind != "polyak" else [])

    def _with(self, rate: float, beta: float, memory: float) -> Any:
        """A setting; `memory` is the log of the memory of the average over the run."""
        inner = self.template if self.average is None else self.average.method
        inner = replace(inner, learning_rate=rate, momentum=beta, batch_size=self.batch)
        if self.average is None:
            return inner
        length = math.exp(min(memory, math.log(SLOWEST))) * self.steps
        if self.average.kind == "ema":
            return replace(self.average, method=inner, decay=max(0.0, 1.0 - 1.0 / max(length, 1.0)))
        if self.average.kind == "tail":
            return replace(self.average, method=inner, start=max(0, self.steps - max(1, round(length))))
        return replace(self.average, method=inner)

    def edge(self, beta: float) -> float:
        """The largest stable learning rate at a momentum."""
        if beta not in self._edges:
            method = in_fresh_batches(self._with(1.0, beta, 0.0))
            self._edges[beta] = edge(self.case.problem, method, self.case.noise)
        return self._edges[beta]

    def setting(self, point: Any) -> Any:
        """The setting at coordinates."""
        values = dict(zip(self.sizes, point, strict=True))
        beta = self.momentum if self.momentum is not None else math.tanh(values["momentum"])
        beta = min(max(beta, -self.cap), self.cap) if self.momentum is None else beta
        share = self.most_share / (1.0 + math.exp(-float(np.clip(values["rate"], *X_RANGE))))
        return self._with(share * self.edge(beta), beta, values.get("average", 0.0))

    def loss(self, method: Any, exactly: bool = False) -> float:
        """Log of the loss of a setting; inf where there is none."""
        if exactly or method not in self._known:
            problem, noise = self.asked if exactly else self.quick
            curve = predict(problem, method, self.steps, noise)
            # In epochs the closure may fall through zero, where its least losses would be: they are not believed.
            found = math.inf if np.isposinf(curve.noise_error) else float(curve.log_loss)
            if exactly:
                return found
            self._known[method] = found if math.isfinite(found) else math.inf
        return self._known[method]

    def best(self, fixed: float | None = None) -> tuple[Any, float]:
        """The best setting from several starts, and its log loss.

        Parameters
        ----------
        fixed : float, optional
            A momentum to keep.
        """
        from scipy.optimize import minimize

        if fixed is not None:
            whole, self.momentum = self.momentum, fixed
            try:
                return self.best()
            finally:
                self.momentum = whole
        found = []
        for logit, beta in STARTS:
            if self.momentum is not None and beta > 0.0:
                continue
            start = {"rate": logit, "momentum": math.atanh(beta), "average": math.log(0.2)}
            first = np.array([start[name] for name in self.sizes])
            while first[0] > LEAST_LOGIT and math.isinf(self.loss(self.setting(first))):
                first[0] -= 1.0
            corners = np.stack([first, *(first + np.eye(first.size) * np.array([1.0, 0.5, 0.7])[: first.size])])
            result: Any = minimize(
                lambda x: min(self.loss(self.setting(x)), 700.0),
                first,
                method="Nelder-Mead",
                options={"initial_simplex": corners, "maxfev": ROUNDS, "xatol": 30.0 * CLOSE, "fatol": CLOSE},
            )
            method = self.setting(result.x)
            found.append((method, self.loss(method)))
        return min(found, key=lambda pair: pair[1])

    def answer(self) -> Found:
        """The best setting with all that is told of it."""
        method, least = self.best()
        if math.isinf(least):
            raise ValueError(
                "problem is one that the theory of sampling='epochs' fails for: no setting that was tried has a "
                "possible loss; use sampling='fresh', or simulate with order='epochs'"
            )
        free = self.momentum is None
        plain = self.best(fixed=0.0)
        if free and plain[1] <= self.loss(method):
            method = plain[0]
        beta = float(getattr(method, "momentum", 0.0))
        top = self.edge(beta)
        share = method.learning_rate / top
        rates = np.concatenate((share * np.geomspace(0.1, 1.0, 25), share + (1.0 - share) * np.linspace(0, 1, 9)[1:-1]))
        losses = np.array([self.loss(with_rate(method, float(s) * top)) for s in rates])
        around = crossings(rates * top, losses, 24, losses[24] + math.log1p(MARGIN))
        momenta = self._momenta(method, beta) if free else (beta, beta)
        return Found(
            method, self.loss(method, exactly=True), share, self._bounds(method, share), around, momenta, plain[1]
        )

    def _momenta(self, method: Any, beta: float) -> tuple[float, float]:
        y, cap = math.atanh(beta), math.atanh(self.cap)
        values: Array = np.tanh(np.concatenate((np.linspace(-cap, y, 9), np.linspace(y, cap, 9)[1:])))
        inner = method if self.average is None else method.method
        changed = [replace(inner, momentum=float(b)) for b in values]
        settings = changed if self.average is None else [replace(method, method=m) for m in changed]
        losses = np.array(
            [
                self.loss(m) if m.learning_rate < self.edge(float(b)) else np.inf
                for m, b in zip(settings, values, strict=True)
            ]
        )
        losses[8] = self.loss(method)
        return crossings(values, losses, 8, losses[8] + math.log1p(MARGIN))

    def _bounds(self, method: Any, share: float) -> tuple[str, ...]:
        words = []
        if share > 0.999 * self.most_share:
            part = "" if self.most_share == 1.0 else f"the allowed share {self.most_share:g} of "
            words.append(f"the learning rate reaches {part}the stability edge")
        if self.momentum is None and abs(getattr(method, "momentum", 0.0)) > self.cap - 1e-3:
            words.append(f"momentum {self.cap:.4g}, the largest that was tried")
        return tuple(words)
