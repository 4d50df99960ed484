"""The band over noise models: what tau2 = +1 or -1 would change."""

from __future__ import annotations

from dataclasses import dataclass

from genfun._typing import Array, Float
from genfun.answers.predict import predict
from genfun.engine.edge import edge
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.schedules.scheduled_sgd import ScheduledSGD

PLUS, MINUS = SpectrallyExpressible(1.0, 1.0), SpectrallyExpressible(1.0, -1.0)


@dataclass(frozen=True, eq=False)
class LossBand:
    """Mean losses under two noise models, tau1 = 1 in both.

    Parameters
    ----------
    plus, minus : array, shape of the steps
        Loss at tau2 = +1 (translation-invariant data) and tau2 = -1 (Gaussian features).
    log_plus, log_minus : array, same shape
        Natural logarithms.
    """

    plus: Float[Array, "..."]
    minus: Float[Array, "..."]
    log_plus: Float[Array, "..."]
    log_minus: Float[Array, "..."]


def loss_band(problem: Problem, method: Method | ScheduledSGD, steps: object) -> LossBand:
    """Predicted losses at tau2 = +1 and -1.

    Parameters
    ----------
    problem : Problem
    method : Method or ScheduledSGD
    steps : int or array of ints
    """
    high, low = (predict(problem, method, steps, noise) for noise in (PLUS, MINUS))
    return LossBand(high.loss, low.loss, high.log_loss, low.log_loss)


def edge_band(problem: Problem, method: Method) -> tuple[float, float]:
    """Largest stable learning rates at tau2 = +1 and -1.

    Parameters
    ----------
    problem : Problem
    method : Method
        Its learning rate is ignored.
    """
    return edge(problem, method, PLUS), edge(problem, method, MINUS)
