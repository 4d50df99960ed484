"""The noise of data with nothing left out, as a noise model."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.sample_space.edge import sample_edge
from genfun.sample_space.exact_function import ExactFunction
from genfun.sample_space.operator import SampleFeatures


class ExactNoise:
    r"""The batch noise of given data, exactly: every answer solves in the space of all samples.

    .. math:: \Sigma(C) = \gamma\Big[\tfrac1N\sum_i E[r_i^2]\,\varphi_i\varphi_i^T - H C H\Big]

    **Assumptions.** Batches drawn anew at every step; w_0 = 0. One product costs 4 N r^2 operations, an edge or a loss
    some ten to some hundred of them, whatever the step.

    Parameters
    ----------
    data : LinearData
        Its eigenfeatures, shape (N, rank), must fit in memory.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.LinearData.from_features([[1.0], [2.0]], [1.0, 2.0])
    >>> round(gf.max_learning_rate(d, batch_size=1, noise="exact"), 6)  # 2 mean(x^2)/mean(x^4)
    0.588235
    """

    knows_options = True
    """Weight decay and dampening are derived for it, and averaged weights step by step."""
    error = 0.0
    """Relative error of an edge: nothing is left out."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"ExactNoise({self.data!r})"

    @property
    def words(self) -> str:
        """Where it is from and how well it is known, for a sentence."""
        return "exact: nothing of it is left out"

    def quick(self, momentum: float) -> Any:
        """What searches run on, before their answer is computed exactly: the measured noise of the same data.

        Parameters
        ----------
        momentum : float
            The largest of either sign that is searched.
        """
        return self.data.measured_noise.quick(momentum)

    @cached_property
    def features(self) -> SampleFeatures:
        """The eigenfeatures, on the processor in double precision."""
        return SampleFeatures(self.data.eigenfeatures, self.data.eigenvalues)

    def transform(self, problem: Any, method: Method) -> ExactFunction:
        """The generating function of the loss.

        Parameters
        ----------
        problem : Problem
            That of the data.
        method : Method
        """
        if problem.n_samples != self.data.n_samples or problem.lambda_max != self.data.problem.lambda_max:
            raise ValueError(f"problem must be that of the data whose noise this is, {self.data!r}, got {problem!r}")
        if isinstance(method, Averaged):
            from genfun.sample_space.exact_average import ExactAverage

            return ExactAverage(self.data, method, self.features)
        return ExactFunction(self.data, method, self.features)

    def edge(self, problem: Any, method: Method) -> float:
        """The largest stable learning rate of a method, its own learning rate ignored.

        Parameters
        ----------
        problem : Problem
            That of the data.
        method : Method
        """
        return sample_edge(self.features, method).learning_rate

    def loss_errors(
        self, problem: Any, method: Method, steps: Int[Array, " t"], log_losses: Float[Array, " t"]
    ) -> Float[Array, " t"]:
        """What the model leaves out of the loss at these steps, relative: nothing.

        Parameters
        ----------
        problem : Problem
        method : Method
        steps : integer array, shape (t,)
        log_losses : array, shape (t,)
        """
        return np.zeros(steps.size)
