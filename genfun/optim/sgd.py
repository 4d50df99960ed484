"""torch.optim.SGD without its refusal of negative momentum."""

from __future__ import annotations

from typing import Any

import torch

from genfun import _check


class SGD(torch.optim.SGD):
    r"""`torch.optim.SGD` with momentum anywhere in (-1, 1), a drop-in replacement.

    .. math:: m_1 = g_1,\quad m_{t+1} = \beta m_t + (1-\text{dampening})\,g_{t+1},\qquad
              w_{t+1} = w_t - \alpha m_{t+1}

    With v = -alpha m and no dampening this is the update of `genfun.SGD`. Everything but the check of the constructor
    is torch's own code, so for momentum >= 0 the parameters are those of `torch.optim.SGD` to the last bit, by
    whichever of its implementations (single tensor, foreach, fused), and schedulers, closures, `state_dict` and
    gradient scaling work alike. Negative momentum also goes with `nesterov`, where torch's formula
    g + beta m is meant for either sign.

    **Assumptions.** None on the model. Momentum -1 < beta < 0 lowers the effective rate alpha/(1-beta) and the
    gradient noise that the iterates keep; it pays off where noise, not slowness, limits the loss.

    Parameters
    ----------
    params : iterable
        Parameters, or dicts that define parameter groups, each with a momentum of its own if it names one.
    lr : float or Tensor
        alpha >= 0, the learning rate.
    momentum : float
        beta in (-1, 1), dimensionless.
    dampening : float
        Share of the gradient kept out of the buffer, dimensionless.
    weight_decay : float
        Coefficient >= 0 of an added L2 penalty.
    nesterov : bool
        Whether to step along g + beta m; needs a momentum other than 0 and no dampening.
    maximize : bool
        Whether to ascend.
    foreach : bool or None
        Whether to update all tensors of a group at once; None lets torch choose.
    differentiable : bool
        Whether gradients flow through the step.
    fused : bool or None
        Whether to use torch's fused kernel.

    Raises
    ------
    ValueError
        If a momentum is outside (-1, 1), or torch refuses another argument.
    TypeError
        If a momentum is not a number.

    References
    ----------
    arXiv 2206.11124, section 6 (negative momentum).

    Examples
    --------
    >>> import torch
    >>> from genfun import optim
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = optim.SGD([w], lr=0.5, momentum=-0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w**2 / 2).sum().backward()
    ...     optimizer.step()
    >>> w.item()  # 1 -> 0.5 -> 0.5 - 0.5 (0.5 - 0.5)
    0.5
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: Any = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        self._given_momentum = _check.momentum(momentum)
        # torch's checks (Nesterov included) ask for the sign only, and hold for the size.
        super().__init__(
            params,
            lr,
            abs(momentum),
            dampening,
            weight_decay,
            nesterov,
            maximize=maximize,
            foreach=foreach,
            differentiable=differentiable,
            fused=fused,
        )
        self.defaults["momentum"] = momentum
        del self._given_momentum

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters.

        Parameters
        ----------
        param_group : dict
            "params", and hyperparameters that differ from the defaults.
        """
        if isinstance(param_group, dict):  # torch refuses anything else in its own words
            default = vars(self).get("_given_momentum", self.defaults["momentum"])
            momentum = _check.momentum(param_group.setdefault("momentum", default))
            nesterov = param_group.get("nesterov", self.defaults["nesterov"])
            if nesterov and (momentum == 0.0 or param_group.get("dampening", self.defaults["dampening"]) != 0.0):
                raise ValueError(
                    "nesterov=True needs a momentum other than 0 and no dampening, also in each group; "
                    f"got momentum={momentum!r}"
                )
        super().add_param_group(param_group)
