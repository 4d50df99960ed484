"""SGD that enlarges its batch when the sampling noise of the gradient is too large."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch

from genfun import _check
from genfun.optim.curvature import largest_curvature
from genfun.optim.sample_gradients import SampleGradients, Scatter
from genfun.optim.source import batch_source

LineSearch = Literal["none", "armijo", "bb"]
Status = Literal["running", "converged", "stalled", "diverged"]
ARMIJO = 0.1
"""The share of the decrease promised by the slope that a step must reach."""
MAX_HALVINGS = 40
"""A step halved so often no longer moves the parameters."""


class Record(NamedTuple):
    """One step: what was drawn and seen, at the parameters before it."""

    batch_size: int
    learning_rate: float
    loss: float
    squared_gradient: float
    variance: float


def grown(batch_size: int, n_samples: int) -> int:
    """The next larger batch: a tenth more samples, at least one, at most all.

    Parameters
    ----------
    batch_size, n_samples : int
    """
    return min(n_samples, batch_size + max(1, batch_size // 10))


class _Generator:
    """A generator as its device and state, which every torch can copy and pickle."""

    def __init__(self, generator: torch.Generator) -> None:
        self.device, self.state = str(generator.device), generator.get_state()

    def made(self) -> torch.Generator:
        """A generator of its own that goes on from there."""
        generator = torch.Generator(self.device)
        generator.set_state(self.state)
        return generator


class BigBatchSGD(torch.optim.Optimizer):
    r"""SGD that enlarges its batch until the gradient is larger than its sampling noise, at every step.

    .. math:: \text{accept } B \iff |\nabla L_B|^2 \ge \frac{V_B}{\theta^2 |B|},\qquad
              V_B = \frac{1}{|B|-1}\sum_{i\in B}|\nabla f_i - \nabla L_B|^2

    Each step draws a fresh batch without replacement and adds a tenth (at least one sample) to it until it is
    accepted, which a batch without any gradient is not; the batch never shrinks, and ends at the full batch. The rate
    is fixed, or found on the batch itself: Armijo halves it until L_B(x - a g) <= L_B(x) - 0.1 a abs(g)^2, and doubles
    it after the batch grew;
    Barzilai-Borwein aims at a~ = (1 - V_B/(b abs(g)^2))/nu with nu = <dx, dg>/abs(dx)^2 on one batch (1/nu on the
    full batch), moves a to (1 - b/N) a + (b/N) a~ and applies Armijo. `genfun.big_batch` predicts the batch sizes of
    a linear model.

    **Assumptions.** The loss is a mean over samples that do not interact: batch normalisation in training mode has
    no gradient of one sample. theta = 1 is degenerate, for abs(grad L_B)^2 contains the noise and passes on average;
    the undebiased test keeps b abs(grad L)^2/Tr Sigma at about (1 - theta^2)/theta^2, the debiased one at 1/theta^2.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters that require gradients are trained.
    criterion : callable
        (outputs, targets) -> mean loss over the samples, e.g. `torch.nn.CrossEntropyLoss()`.
    samples : pair of tensors, Dataset, or callable
        (inputs, targets); or an indexable dataset of such pairs; or a function from a tensor of sample numbers to a
        batch (inputs, targets) of just these samples.
    n_samples : int or None
        N, only needed with a callable.
    lr : float or None
        a > 0, the rate; the first guess of a line search. None guesses 1.0 for a line search; without one it measures
        the largest curvature L of the full loss (by power iteration) and takes (1 - theta^2)/L, or 1/((1 + theta^2) L)
        for the debiased test: the rate that lowers the loss most for the noise that theta allows. L is measured again
        on the batch when that has grown or its loss risen, and the rate then lowered where L asks for it.
    theta : float
        In (0, 1], or positive with the debiased test, dimensionless: the relative noise allowed.
    batch_size : int
        The first batch.
    line_search : "none", "armijo" or "bb"
        How the rate is chosen.
    debiased : bool
        Whether V_B/b, the noise's own share, is first taken off abs(grad L_B)^2.
    tolerance : float
        Converged once the full gradient's norm is this times that of the first step.
    chunk_size : int or None
        Samples whose gradients are held at once; None bounds them to 2^24 numbers.
    generator : torch.Generator or None
        Draws the batches (on the CPU); None uses torch's global one.

    Attributes
    ----------
    status : str
        "running", "converged", "stalled" (no rate lowers the full loss by more than its rounding) or "diverged" (loss
        not finite).
    history : list of Record
        (batch_size, learning_rate, loss, squared_gradient, variance) of every step.
    evaluations : int
        Gradients of single samples computed for batches and their test, line searches apart.

    Raises
    ------
    ValueError
        If an argument is out of range.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 1610.05792, algorithms 1 to 3 (growth by a tenth: the authors' code).

    Examples
    --------
    >>> import torch
    >>> from genfun.optim import BigBatchSGD
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(500, 3)
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = BigBatchSGD(model, torch.nn.MSELoss(), (x, x.sum(1, keepdim=True)), line_search="bb")
    >>> while not optimizer.finished:
    ...     loss = optimizer.step()
    >>> optimizer.status, loss < 1e-4
    ('converged', True)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        criterion: Callable[[Any, Any], Any],
        samples: Any,
        n_samples: int | None = None,
        *,
        lr: float | None = None,
        theta: float = 0.5,
        batch_size: int = 10,
        line_search: str = "armijo",
        debiased: bool = False,
        tolerance: float = 1e-3,
        chunk_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        _check.choice("line_search", line_search, LineSearch)
        theta = _check.positive("theta", theta)
        if theta > 1.0 and not debiased:
            raise ValueError(f"theta must be at most 1, where the test passes on average, got {theta!r}; lower it")
        source, count = batch_source(samples, n_samples)
        first = _check.integer("batch_size", batch_size, 1)
        chunk = None if chunk_size is None else _check.integer("chunk_size", chunk_size, 1)
        self._gradients = SampleGradients(model, criterion, source, chunk)
        self.n_samples = count
        self.line_search = line_search
        self._rate_follows_curvature = lr is None and line_search == "none"
        self.debiased, self.generator = debiased, generator
        self.status: Status = "running"
        self.history: list[Record] = []
        self.evaluations = 0
        defaults = {
            "lr": self._first_rate(theta) if lr is None else _check.positive("lr", lr),
            "theta": theta,
            "tolerance": _check.nonnegative("tolerance", tolerance),
            "batch_size": min(first, count),
        }
        super().__init__(list(self._gradients.parameters.values()), defaults)

    def _first_rate(self, theta: float) -> float:
        if self.line_search != "none":
            return 1.0
        rate = self._curvature_rate(theta, torch.arange(self.n_samples))
        if not (math.isfinite(rate) and rate > 0.0):
            raise ValueError(
                f"lr cannot be derived from theta={theta!r}: it comes out as {rate:.3g}; pass lr, or a line_search"
            )
        return rate

    def _curvature_rate(self, theta: float, index: torch.Tensor) -> float:
        """The rate of least expected change -a |G|^2 + a^2 L (|G|^2 + noise)/2, the noise at what theta allows."""
        share = 1.0 / (1.0 + theta**2) if self.debiased else 1.0 - theta**2
        curvature = largest_curvature(self._gradients, index)
        return share / curvature if curvature > 0.0 else math.inf

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused after the first: one batch serves all parameters.

        Parameters
        ----------
        param_group : dict
            As in torch.
        """
        if self.param_groups:
            raise ValueError("BigBatchSGD has one group of parameters; freeze some with requires_grad=False instead")
        super().add_param_group(param_group)

    @property
    def batch_size(self) -> int:
        """b, of the last step."""
        return self.param_groups[0]["batch_size"]

    @property
    def learning_rate(self) -> float:
        """a, of the next step."""
        return self.param_groups[0]["lr"]

    @property
    def finished(self) -> bool:
        """Whether further steps would not move."""
        return self.status != "running"

    @torch.no_grad()
    def step(self, closure: Any = None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Draw a batch, let it grow until it is accepted, and take one step.

        Parameters
        ----------
        closure : None
            Refused: the optimizer evaluates the model itself.

        Returns
        -------
        float
            Mean loss of the batch before the step.
        """
        if closure is not None:
            raise TypeError("step takes no closure: BigBatchSGD draws its batches and evaluates the model itself")
        group, before = self.param_groups[0], self.batch_size
        batch, index = self._accepted_batch()
        group["batch_size"] = batch.count
        gradient, size = batch.mean, batch.squared_norm
        if not (math.isfinite(batch.loss) and math.isfinite(size)):
            self.status = "diverged"
        self.history.append(Record(batch.count, group["lr"], batch.loss, size, batch.variance))
        full = batch.count == self.n_samples
        if full and size <= group["tolerance"] ** 2 * self.history[0].squared_gradient:
            self.status = "converged"
        if self.finished:
            return batch.loss
        if self.line_search == "none":
            risen = len(self.history) > 1 and batch.loss > self.history[-2].loss
            if self._rate_follows_curvature and (batch.count > before or risen):
                group["lr"] = min(group["lr"], self._curvature_rate(group["theta"], index))
                self.history[-1] = self.history[-1]._replace(learning_rate=group["lr"])
            self._move(gradient, group["lr"])
            return batch.loss
        if batch.count > before and self.line_search == "armijo":
            group["lr"] *= 2.0
        rate = self._armijo(gradient, size, index)
        if rate > 0.0:
            group["lr"] = rate
            self.history[-1] = self.history[-1]._replace(learning_rate=rate)
            if self.line_search == "bb":
                self._barzilai_borwein(batch, gradient, size, index)
        if full and ARMIJO * rate * size <= torch.finfo(gradient[0].dtype).eps * abs(batch.loss):
            self.status = "stalled"
        return batch.loss

    def _accepted_batch(self) -> tuple[Scatter, torch.Tensor]:
        """The batch, grown until it passes the test, and its sample numbers."""
        order = torch.randperm(self.n_samples, generator=self.generator)
        batch, size = Scatter(self._gradients), self.batch_size
        while True:
            batch.add(order[batch.count : size])
            if size == self.n_samples or self._passes(batch):
                self.evaluations += size
                return batch, order[:size]
            size = grown(size, self.n_samples)

    def _passes(self, batch: Scatter) -> bool:
        # Where no sample has a gradient there is no noise either: 0 >= 0 would pass, and the step would go nowhere.
        if batch.squared_norm == 0.0:
            return False
        noise = batch.variance / batch.count
        theta = self.param_groups[0]["theta"]
        return batch.squared_norm - (noise if self.debiased else 0.0) >= noise / theta**2

    def _move(self, direction: list[torch.Tensor], rate: float) -> None:
        for p, d in zip(self._gradients.parameters.values(), direction, strict=True):
            p.add_(d, alpha=-rate)

    def _armijo(self, gradient: list[torch.Tensor], size: float, index: torch.Tensor) -> float:
        """Move by the first rate that lowers the batch's loss enough; 0.0 if none does, and no move."""
        parameters = list(self._gradients.parameters.values())
        start = [p.clone() for p in parameters]
        loss, rate = self._gradients.loss(index), self.learning_rate
        for _ in range(MAX_HALVINGS):
            self._move(gradient, rate)
            if self._gradients.loss(index) <= loss - ARMIJO * rate * size:
                return rate
            for p, old in zip(parameters, start, strict=True):
                p.copy_(old)
            rate /= 2.0
        return 0.0

    def _barzilai_borwein(self, batch: Scatter, gradient: list[torch.Tensor], size: float, index: torch.Tensor) -> None:
        """The rate of the next step, from the change of the gradient along this one on the same batch."""
        group, share = self.param_groups[0], batch.count / self.n_samples
        after = self._gradients.gradient(index)
        # dx = -a g: nu = <dx, dg>/|dx|^2 = <g, g - g'>/(a |g|^2).
        along = sum(float((g.double() * (g.double() - h.double())).sum()) for g, h in zip(gradient, after, strict=True))
        scale = group["lr"] * size
        curvature = along / scale if scale > 0.0 else math.nan  # scale: underflow
        if not (math.isfinite(curvature) and curvature > 0.0):
            return
        noise = 0.0 if batch.count == self.n_samples else batch.variance / (batch.count * size)
        target = (1.0 - noise) / curvature
        if math.isfinite(target) and target > 0.0:
            group["lr"] = (1.0 - share) * group["lr"] + share * target

    def __getstate__(self) -> dict[str, Any]:
        """All of it, model included: a copy trains its own copy of the model, and draws batches of its own."""
        own = ("_gradients", "n_samples", "line_search", "_rate_follows_curvature", "debiased", "status", "evaluations")
        state = super().__getstate__() | {name: getattr(self, name) for name in own}
        state["history"] = list(self.history)
        return state | {"generator": None if self.generator is None else _Generator(self.generator)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse of `__getstate__`."""
        kept = state.get("generator")  # absent where torch loads a state_dict by way of this
        super().__setstate__(state if kept is None else state | {"generator": kept.made()})

    def state_dict(self) -> dict[str, Any]:
        """The rate and batch size, as in torch, and the generator, status and history."""
        # Plain tuples: torch.load refuses classes other than its own.
        history = [tuple(record) for record in self.history]
        own: dict[str, Any] = {"status": self.status, "history": history, "evaluations": self.evaluations}
        own["rate_follows_curvature"] = self._rate_follows_curvature
        own["generator"] = None if self.generator is None else self.generator.get_state()
        return super().state_dict() | {"big_batch": own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`.
        """
        own = state_dict["big_batch"]
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "big_batch"})
        self.status, self.evaluations = own["status"], own["evaluations"]
        self._rate_follows_curvature = own["rate_follows_curvature"]
        self.history = [Record(*record) for record in own["history"]]
        if own["generator"] is not None and self.generator is not None:
            self.generator.set_state(own["generator"])
