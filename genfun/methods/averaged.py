"""Averages of the weights along training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from genfun import _check
from genfun.methods.base import UpdateMatrices

Average = Literal["ema", "polyak", "tail"]


@dataclass(frozen=True)
class Averaged:
    r"""A method whose averaged weights are what is deployed: the loss asked for is that of the average.

    .. math:: \text{ema:}\quad m_t = \kappa\, m_{t-1} + (1-\kappa)\, w_t,\qquad m_0 = w_0

    .. math:: \text{polyak:}\quad m_t = \frac1t\sum_{k=1}^t w_k,\qquad
              \text{tail:}\quad m_t = \frac1{t-t_0}\sum_{k=t_0+1}^t w_k

    "ema" is `torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))` whose
    `update_parameters` is called once before the first step, which copies w_0, and then after every step. "polyak" is
    the same without `multi_avg_fn` (stochastic weight averaging), first called after step 1; "tail" first called after
    step t_0 + 1. Until then the loss of "tail" is that of the weights.

    **Assumptions.** Those of the method; spectrally expressible noise or that of data. `predict`, `steps_to_loss`,
    `stability`, `max_learning_rate`, `simulate` and `optimize`, which finds the average too, know it; other answers
    refuse it. Averaging changes neither stability nor the edge.

    Parameters
    ----------
    method : Method
        What trains the weights, e.g. `SGD(0.5, batch_size=10)`.
    kind : "ema", "polyak" or "tail"
        The average.
    decay : float
        kappa of "ema", in [0, 1), dimensionless; 0 is no average.
    start : int
        t_0 of "tail", steps.

    Raises
    ------
    ValueError
        If kind is unknown or a number is out of range.
    TypeError
        If method is no method with constant hyperparameters.

    References
    ----------
    arXiv 1803.05407 (stochastic weight averaging); Polyak and Juditsky, SIAM J. Control Optim. 30 (1992) 838.

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.PowerLaw(nu=1.5, zeta=0.5, noise_variance=0.1)
    >>> plain = gf.SGD(0.3, batch_size=1)
    >>> averaged = gf.Averaged(plain, "ema", decay=0.999)
    >>> late = 10**6
    >>> bool(gf.predict(problem, averaged, late).loss < gf.predict(problem, plain, late).loss)
    True
    """

    method: Any
    kind: Average = "ema"
    decay: float = 0.999
    start: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.method, (type, Averaged)) or not hasattr(self.method, "update"):
            raise TypeError(f"method must be a method such as SGD(0.5), got {self.method!r}; averages do not nest")
        _check.choice("kind", self.kind, Average)
        decay = _check.nonnegative("decay", self.decay, "0 is no average")
        if decay >= 1.0:
            raise ValueError(f"decay must be below 1, got {decay!r}; at 1 the average stays at the first weights")
        object.__setattr__(self, "decay", decay)
        object.__setattr__(self, "start", _check.integer("start", self.start, 0, "the first step that is not averaged"))
        if self.start > 0 and self.kind != "tail":
            raise ValueError(f"start={self.start} is for kind='tail', got kind={self.kind!r}; leave it out")

    @property
    def learning_rate(self) -> float:
        """That of the method."""
        return self.method.learning_rate

    @property
    def momentum(self) -> float:
        """That of the method; 0 of one that has none."""
        return getattr(self.method, "momentum", 0.0)

    @property
    def batch_size(self) -> int | None:
        """That of the method."""
        return self.method.batch_size

    @property
    def replacement(self) -> bool:
        """That of the method."""
        return self.method.replacement

    @property
    def sampling(self) -> str:
        """That of the method."""
        return getattr(self.method, "sampling", "fresh")

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Those of the method."""
        return self.method.hyperparameters

    @staticmethod
    def update(*args: Any, **kwargs: Any) -> UpdateMatrices:
        """Refused: the average is an output of the method, and has no update of its own.

        Parameters
        ----------
        *args, **kwargs : Any
        """
        raise ValueError("averaged weights: not derived here; known to predict, steps_to_loss and stability")

    @property
    def options(self) -> str:
        """What an answer must know of, by name."""
        return " and ".join(filter(None, (f"averaged weights ({self.kind})", getattr(self.method, "options", ""))))

    @property
    def is_uniform(self) -> bool:
        """Whether all averaged steps count alike, so that the average is a sum over a number of steps."""
        return self.kind != "ema"
