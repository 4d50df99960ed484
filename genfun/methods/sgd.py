"""Heavy-ball SGD."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from genfun import _check
from genfun._display import Tabled
from genfun.methods import torch_sgd
from genfun.methods._sgd_responses import responses as _responses
from genfun.methods.base import UpdateMatrices

Sampling = Literal["fresh", "replacement", "epochs"]
"""How batches are drawn: anew at every step, so with replacement within a batch, or as slices of a shuffled epoch."""
UNEQUAL = (
    "for unequal chances p_i repeat rows in proportion to them, divided by sqrt(N p_i) where gradients are divided by "
    "N p_i"
)


@dataclass(frozen=True, repr=False)
class SGD(Tabled):
    r"""Mini-batch SGD with heavy-ball momentum, in torch's convention, with torch's options.

    .. math:: v_{t+1} = \beta v_t - \alpha \nabla L_B(w_t),\qquad w_{t+1} = w_t + v_{t+1}

    With weight decay rho, dampening d and Nesterov momentum, as `torch.optim.SGD` has them,

    .. math:: g_t = \nabla L_B(w_t) + \rho w_t,\qquad v_{t+1} = \beta v_t - \alpha (1-d) g_t,\qquad
              w_{t+1} = w_t + v_{t+1}\ \text{or}\ w_t + \beta v_{t+1} - \alpha g_t

    where the first step is undamped, and no step is damped without momentum. The loss is that of the data, without
    the penalty; weight decay pulls to 0, where training starts.

    **Assumptions.** Constant hyperparameters; batches drawn anew at every step, all samples alike. With weight decay or
    dampening the noise is spectrally expressible or that of data; answers that do not know them refuse.

    Parameters
    ----------
    learning_rate : float
        alpha > 0, in units of 1/eigenvalue. The effective rate is alpha/(1-beta).
    momentum : float
        beta in (-1, 1), dimensionless; it may be negative.
    batch_size : int or None
        b, samples in a batch; None means the full batch (plain gradient descent with momentum).
    replacement : bool
        Whether the samples of one batch are drawn with replacement; the same as sampling="replacement".
    dampening : float
        d in [0, 1), dimensionless. As in torch it has no effect where the momentum is 0.
    weight_decay : float
        rho >= 0, in units of an eigenvalue.
    nesterov : bool
        Nesterov momentum; dampening must be 0. torch asks for a positive momentum; here any will do.
    sampling : "fresh", "replacement" or "epochs"
        "fresh": distinct samples in a batch, drawn anew at every step. "epochs": slices of one shuffle an epoch, the
        rest of N by b dropped; `predict`, `max_learning_rate`, `optimize` and `simulate` know it, with all options.
    maximize : bool
        Only False: the loss that an ascent increases has no largest value.
    drop_last : bool
        Only True, which a loader has to be told: an epoch with a smaller last batch is not derived.

    Raises
    ------
    ValueError
        If a number is out of range, nesterov comes with dampening, maximize is True, or drop_last is False.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2206.11124, eq. (2); negative momentum: section 6.

    Examples
    --------
    >>> SGD(learning_rate=0.5, momentum=-0.3, batch_size=10).effective_learning_rate
    0.3846153846153846
    """

    learning_rate: float
    momentum: float = 0.0
    batch_size: int | None = None
    replacement: bool = False
    dampening: float = field(default=0.0, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)
    nesterov: bool = field(default=False, kw_only=True)
    sampling: Sampling = field(default="fresh", kw_only=True)
    maximize: bool = field(default=False, kw_only=True)
    drop_last: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        rate = _check.positive("learning_rate", self.learning_rate, "choose a learning rate above 0")
        object.__setattr__(self, "learning_rate", rate)
        object.__setattr__(self, "momentum", _check.momentum(self.momentum))
        _check.batches(self, "torch's options, such as dampening, are given by name")
        self._check_options()
        if self.sampling == "replacement":
            object.__setattr__(self, "replacement", True)
        elif self.replacement:
            if self.sampling == "epochs":
                raise ValueError("replacement=True contradicts sampling='epochs'; leave one of them out")
            object.__setattr__(self, "sampling", "replacement")
        # The engine knows a method by the update of its class: each form of the update is one.
        damped = self.weight_decay > 0.0 or self.damping < 1.0
        form = NesterovSGD if self.nesterov else DampedSGD if damped else SGD
        object.__setattr__(self, "__class__", form)

    def _check_options(self) -> None:
        dampening = _check.nonnegative("dampening", self.dampening, "0 adds the whole gradient")
        if dampening >= 1.0:
            raise ValueError(f"dampening must be below 1, got {dampening!r}; at 1 no gradient after the first counts")
        object.__setattr__(self, "dampening", dampening)
        decay = _check.nonnegative("weight_decay", self.weight_decay, "0 is none")
        object.__setattr__(self, "weight_decay", decay)
        object.__setattr__(self, "nesterov", _check.boolean("nesterov", self.nesterov))
        if self.nesterov and dampening != 0.0:
            raise ValueError(f"dampening must be 0 with nesterov=True, as in torch, got {dampening!r}")
        _check.choice("sampling", self.sampling, Sampling, UNEQUAL)
        if self.maximize is not False:
            raise ValueError(
                f"maximize must be False, got {self.maximize!r}: a quadratic loss has no maximum, ascent diverges"
            )
        if self.drop_last is not True:
            raise ValueError(
                f"drop_last must be True, got {self.drop_last!r}: a smaller last batch is not derived; take a batch "
                "size that divides the number of samples, which leaves none, or let the loader drop it"
            )

    def __repr__(self) -> str:
        shown = ("learning_rate", "momentum", "batch_size", "replacement")
        extra = (f.name for f in fields(self) if f.kw_only and getattr(self, f.name) != f.default)
        names = [*shown, *(x for x in extra if (x, self.sampling) != ("sampling", "replacement"))]
        return f"SGD({', '.join(f'{x}={getattr(self, x)!r}' for x in names)})"

    @property
    def damping(self) -> float:
        """The factor of a gradient in the velocity, 1 - dampening; 1 without momentum, as in torch."""
        return 1.0 - self.dampening if self.momentum != 0.0 else 1.0

    @property
    def options(self) -> str:
        """The options in use for which a second-moment map from (1, 0) is not enough, by name; "" if there is none."""
        forced = [f"weight_decay={self.weight_decay:g}"] if self.weight_decay > 0.0 else []
        return " and ".join([*forced, *([f"dampening={self.dampening:g}"] if self.damping < 1.0 else [])])

    @property
    def effective_learning_rate(self) -> float:
        """alpha_eff = alpha (1 - dampening)/(1 - beta)."""
        return self.learning_rate * self.damping / (1.0 - self.momentum)

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """(beta,)"""
        return (self.momentum,)

    @staticmethod
    def update(a: Any, beta: Any, /) -> UpdateMatrices:
        """The step of the state (w - w*, v): rows of T and the kick."""
        return ((1 - a, beta), (-a, beta)), (1, 1)

    @staticmethod
    def curvature_limit(beta: Any, /) -> Any:
        """Largest stable learning rate without noise, in units of 1/lambda_max: 2(1 + beta).

        Parameters
        ----------
        beta : float or array
            Momentum.
        """
        return 2.0 * (1.0 + beta)

    responses = staticmethod(_responses)


class DampedSGD(SGD):
    """With dampening or weight decay."""

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """(beta, 1 - dampening, alpha rho)"""
        return self.momentum, self.damping, self.learning_rate * self.weight_decay

    update: Any = staticmethod(torch_sgd.Damped.update)
    curvature_limit: Any = None
    responses: Any = staticmethod(torch_sgd.Damped.responses)


class NesterovSGD(SGD):
    """With Nesterov momentum, and perhaps weight decay."""

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """(beta, alpha rho)"""
        return self.momentum, self.learning_rate * self.weight_decay

    update: Any = staticmethod(torch_sgd.Nesterov.update)
    curvature_limit: Any = None
    responses: Any = staticmethod(torch_sgd.Nesterov.responses)
