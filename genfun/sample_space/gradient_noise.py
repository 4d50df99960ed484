"""The gradient and its noise along training, under the measured noise of data."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Int, Shaped
from genfun.engine.contour_curve import LossCurve
from genfun.engine.singularity import Singularity
from genfun.engine.transform import residue
from genfun.sample_space.projected_curve import inverted
from genfun.sample_space.projected_function import ProjectedFunction


class _Observed(ProjectedFunction):
    """A quantity linear in the projected residuals, on the singular points of the loss."""

    def known_curve(self, steps: Int[Array, " t"], singular: Singularity) -> LossCurve:
        """The quantity at ascending steps.

        Parameters
        ----------
        steps : array, shape (t,)
        singular : Singularity
        """
        return inverted(self, steps, singular)

    def limit(self) -> float:
        """What label noise leaves of it."""
        return residue(self)


class SampleGradients(_Observed):
    r"""The generating function of the mean squared gradient of one sample.

    .. math:: \frac1N\sum_i |\varphi_i|^2\,\mathrm E\,r_i(t)^2

    :math:`|\varphi_i|^2` is in the span of the basis, so that nothing but the noise of the residuals is approximated.
    """

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """The function at z = 1 - q.

        Parameters
        ----------
        q : real or complex array, shape (k,)
        """
        return self.residuals(q) @ self.noise.pairs.norms / self.noise.n_samples


class FullGradient(_Observed):
    r"""The generating function of the mean squared norm of the full gradient.

    .. math:: \operatorname{Tr}(H^2C) = \sum_k\lambda_k^2\,[v_{kk}\,C_{kk}(0) + z\gamma\alpha^2u_{kk}\,Q_{kk}],\qquad
              Q_{kk} = \frac1N\sum_i\varphi_{ik}^2\,\tilde p_i
    """

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """The function at z = 1 - q.

        Parameters
        ----------
        q : real or complex array, shape (k,)
        """
        pairs, a = self.noise.pairs, self.method.learning_rate * self.noise.pairs.nodes
        u, v = self.responses.dressed(q, a[:, None], a[:, None])
        kicked = ((pairs.gradient @ u).T * self.residuals(q)).sum(axis=1)
        return pairs.start @ v + (1.0 - q) * self.gamma * self.method.learning_rate**2 * kicked
