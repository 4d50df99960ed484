"""What the engine needs of a noise model."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

from genfun.noise.expressible import SpectrallyExpressible


@runtime_checkable
class Noise(Protocol):
    r"""A model of the covariance of the batch noise, as a function of the second moments C of w - w*.

    .. math:: \Sigma(C) = \gamma\Big[\tfrac1N\sum_i E[r_i^2]\,\phi_i\phi_i^T - H C H\Big]

    exactly; a model replaces the sum by what it keeps of it. The engine asks one thing: the generating function of the
    mean loss of a method on a problem under this noise, an object with the members of
    `genfun.engine.transform.Transform`. Two optional members make answers fast where they would otherwise try one
    setting after the other: `edge(problem, method)`, the largest stable learning rate, and
    `losses_at(settings, step)`, the losses of many settings at one step. `loss_errors(problem, method, steps,
    log_losses)` says what the model may leave out of losses, as relative errors; `quick(momentum)` is a model that
    stands in for it in searches, `for_maps(momentum)` the same model, quicker, to some five digits.

    Examples
    --------
    >>> import genfun as gf
    >>> isinstance(gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=20, seed=0).measured_noise, Noise)
    True
    """

    def transform(self, problem: Any, method: Any) -> Any:
        """The generating function of the loss.

        Parameters
        ----------
        problem : Problem
        method : Method

        Returns
        -------
        Transform
        """
        ...


NoiseModel: TypeAlias = SpectrallyExpressible | Noise
"""What answers take: the paper's model, which the engine knows from within, or any other."""


def quick(noise: NoiseModel, momentum: float) -> NoiseModel:
    """The stand-in that a noise model has for searches up to a momentum, or itself.

    Parameters
    ----------
    noise : SpectrallyExpressible or Noise
    momentum : float
    """
    return noise.quick(momentum) if hasattr(noise, "quick") else noise  # pyright: ignore[reportAttributeAccessIssue]


def for_maps(noise: NoiseModel, momentum: float) -> NoiseModel:
    """The same noise model as maps up to a momentum are computed with, quicker, to some five digits, or itself.

    Parameters
    ----------
    noise : SpectrallyExpressible or Noise
    momentum : float
    """
    return noise.for_maps(momentum) if hasattr(noise, "for_maps") else noise  # pyright: ignore[reportAttributeAccessIssue]
