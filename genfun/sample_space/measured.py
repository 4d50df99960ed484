"""The noise of data, measured once for every method, rate and batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.engine.many import one_by_one
from genfun.engine.settings import Settings
from genfun.engine.singularity import Singularity
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor
from genfun.sample_space.basis import FINE, SampleBasis, chosen, found_leading, sample_basis
from genfun.sample_space.galerkin import GalerkinSpace
from genfun.sample_space.many_settings import projected_gains, projected_losses_at
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_edge import ProjectedEdge, projected_edge
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.sample_space.projection import PairMeasure, label_moments, pair_measure
from genfun.sample_space.residuals import edge_residual, loss_residual
from genfun.sample_space.skeleton import LARGEST_MOMENTUM, WIDE_MOMENTUM, skeleton
from genfun.scaled import Scaled

TOLERANCE = 1e-3
"""Estimated relative error of an edge beyond which more vectors are taken."""
LOSS_TOLERANCE = 1e-2
"""The same for losses."""
EDGES = ((1, 0.0), (8, 0.9))
"""(batch size, momentum) of the edges by which `measure_noise` judges its vectors."""
LOSSES = (10, 100)
"""Steps of the losses by which it does, at batch size 1, no momentum and LOSS_SHARE of the edge."""
LOSS_SHARE, JUDGED = 0.8, 30
"""Once vectors have been added for these losses, they are exact there: another step tells what is left."""
MANY = 32
"""Settings from which a skeleton of the pairs is worth its making."""
ROUNDS = 2
"""Times that vectors are added at most."""


@dataclass(frozen=True, eq=False)
class MeasuredNoise:
    r"""The noise of mini-batches of given data: its operator in sample space on a few vectors.

    .. math:: A(z) \approx X K(z) X^T,\qquad K_{ab}(z) = \gamma\alpha^2\sum_P W^{ab}_P\,u_P(z)

    Made by `measure_noise`, once for a data set; it serves every method, learning rate, momentum and batch size.

    Parameters
    ----------
    pairs : PairMeasure
        W and the weights of the source.
    basis : array, shape (N, m)
        X.
    n_samples : int
        N.
    products : float
        Products with the operator that it took.
    error : float
        Largest estimated relative error of the stability edges that were checked (`EDGES`), nan if none was.
    loss_error : float
        The same of losses (`LOSSES`).

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=100, seed=0)
    >>> data.measured_noise
    MeasuredNoise(n_samples=100, vectors=..., pairs=3, error=..., loss_error=...)
    """

    pairs: PairMeasure
    basis: Float[Array, "N m"]
    n_samples: int
    products: float
    error: float = np.nan
    loss_error: float = np.nan

    def __repr__(self) -> str:
        return (
            f"MeasuredNoise(n_samples={self.n_samples}, vectors={self.pairs.size}, pairs={self.pairs.first.size}, "
            f"error={self.error:.2g}, loss_error={self.loss_error:.2g})"
        )

    knows_options = True
    """Weight decay, dampening and averaged weights are derived for it."""

    @property
    def words(self) -> str:
        """Where it is from and how well it is known, for a sentence."""
        return (
            f"measured on {self.pairs.size} vectors of sample space: largest learning rates are known to "
            f"{self.error:.1g}, losses to {self.loss_error:.1g}, relative"
        )

    @property
    def sound(self) -> bool:
        """Whether the estimated errors are within `TOLERANCE` and `LOSS_TOLERANCE`."""
        return self.error <= TOLERANCE and self.loss_error <= LOSS_TOLERANCE

    @cached_property
    def skeleton(self) -> PairMeasure:
        """Few pairs that stand for all in maps of heavy-ball SGD with momentum up to 0.9; found on first use."""
        return skeleton(self.pairs)

    def sampling(self, method: Method) -> float:
        """gamma of a method on these data.

        Parameters
        ----------
        method : Method
        """
        return sampling_factor(method.batch_size, self.n_samples, method.replacement)

    def leading(self, method: Method) -> ProjectedEdge:
        """The stability edge of a method with the leading vector of the noise there.

        Parameters
        ----------
        method : Method
            Its learning rate is ignored.
        """
        return projected_edge(self.pairs, method, self.sampling(method))

    def transform(self, problem: Any, method: Method) -> ProjectedFunction:
        """The generating function of the loss.

        Parameters
        ----------
        problem : Problem
            That of the data.
        method : Method or Averaged
        """
        if isinstance(method, Averaged):
            from genfun.sample_space.projected_average import ProjectedAverage

            return ProjectedAverage(self, problem, method)
        return ProjectedFunction(self, problem, method)

    def edge(self, problem: Any, method: Method) -> float:
        """The largest stable learning rate of a method, its own learning rate ignored.

        Parameters
        ----------
        problem : Problem
            That of the data.
        method : Method

        Examples
        --------
        >>> import genfun as gf
        >>> d = gf.LinearData.from_features([[1.0], [2.0]], [1.0, 2.0])
        >>> round(measure_noise(d).edge(d.problem, gf.SGD(1.0, batch_size=1)), 6)  # 2 mean(x^2)/mean(x^4)
        0.588235
        """
        return self.leading(method).learning_rate

    def gains(self, problem: Any, family: Family, rates: Array, momenta: Array, batch_size: int | None) -> Array:
        """Noise gains of many settings; inf where a pair of modes has no stationary state.

        Parameters
        ----------
        problem : Problem
            That of the data.
        family : Family
        rates, momenta : array, any one shape
        batch_size : int or None
        """
        if family.kind is SGD:
            gamma = sampling_factor(batch_size, self.n_samples, family.template.replacement)
            flat = (rates.ravel(), momenta.ravel(), np.full(rates.size, gamma))
            return projected_gains(self._for(momenta), *flat).reshape(rates.shape)
        methods = [family.at(float(a), float(b), batch_size) for a, b in zip(rates.flat, momenta.flat, strict=True)]
        at_one = [self.transform(problem, m).regular(np.zeros(1))[1][0] for m in methods]
        return np.array(at_one).reshape(rates.shape)

    def losses_at(self, settings: Settings, step: int) -> tuple[Scaled, Float[Array, " S"]]:
        """Mean losses of many settings at one step, and the estimated relative error of the computation.

        Parameters
        ----------
        settings : Settings
        step : int
        """
        if settings.kind is SGD:
            return projected_losses_at(self._for(settings.hyper[0]), settings, step)
        return one_by_one(settings, step)

    @cached_property
    def wide_skeleton(self) -> PairMeasure:
        """The same for momenta nearer to 1, of more pairs."""
        return skeleton(self.pairs, wide=True)

    def quick(self, momentum: float) -> MeasuredNoise:
        """What searches run on, before their answer is computed with all pairs: this noise on the skeleton alone.

        Parameters
        ----------
        momentum : float
            The largest of either sign that is searched; beyond those of the wide skeleton, the noise itself.

        Examples
        --------
        >>> import genfun as gf
        >>> noise = gf.data.mnist(50).measured_noise
        >>> few = noise.quick(0.9)
        >>> few.pairs.first.size < noise.pairs.first.size
        True
        """
        return self if momentum > WIDE_MOMENTUM else self._thinned

    @cached_property
    def _thinned(self) -> MeasuredNoise:
        thin = replace(self, pairs=self.wide_skeleton)
        # Nothing is gained by thinning once more.
        vars(thin).update(skeleton=self.skeleton, wide_skeleton=thin.pairs, _thinned=thin)
        return thin

    def _for(self, momenta: Array) -> PairMeasure:
        """A skeleton for maps and searches; all pairs for a few settings, or momenta that no skeleton serves."""
        largest = float(np.abs(momenta).max(initial=0.0))
        if momenta.size < MANY or largest > WIDE_MOMENTUM:
            return self.pairs
        return self.skeleton if largest <= LARGEST_MOMENTUM else self.wide_skeleton

    def loss_errors(self, steps: Float[Array, " t"], singular: Singularity) -> Float[Array, " t"]:
        r"""Estimated relative errors of the loss that the few vectors leave.

        .. math:: e(t) = e_L + e_\alpha\Big(\frac{\theta}{|1-\theta|} + |p_0|\,t\Big)

        with e_L and e_alpha those of the losses and edges that were checked: an error of the noise gain theta moves
        the loss as 1/(1 - theta), and the late rate p_0.

        Parameters
        ----------
        steps : array, shape (t,)
        singular : Singularity
        """
        theta = singular.noise_gain
        near = 1.0 / self.error if self.error > 0.0 else np.inf
        amplified = min(theta / abs(1.0 - theta), near) if np.isfinite(theta) and theta != 1.0 else near
        amplified = min(amplified, near) if np.isfinite(near) else 0.0
        rate = abs(singular.rate) if np.isfinite(singular.rate) else 0.0
        moved = np.where(steps > 0, self.loss_error + self.error * (amplified + rate * steps), 0.0)
        return np.minimum(moved, 1e300)


def project(data: Any, basis: SampleBasis) -> MeasuredNoise:
    """The noise of data on given vectors, not judged.

    Parameters
    ----------
    data : Any
    basis : SampleBasis
    """
    labels = label_moments(data.blocks, basis.vectors, data.coefficients)
    pairs = pair_measure(basis.moments, labels, data.eigenvalues, data.coefficients, data.n_samples)
    return MeasuredNoise(pairs, basis.vectors, data.n_samples, basis.products)


def measure_noise(
    data: Any, tolerance: float = TOLERANCE, progress: Callable[[float, str], None] | None = None
) -> MeasuredNoise:
    r"""Measure the noise of data: project its operator in sample space on the vectors of `sample_basis`.

    Two edges are checked (`EDGES`), by the residual of the leading vector under the exact operator, and two losses
    (`LOSSES`), by the residual of the projected equation. Where the estimated error of an edge is above the tolerance,
    the leading vector itself is searched for and joins the basis; where that of a loss is, its residual joins; and all
    are checked again, up to `ROUNDS` times. `MeasuredNoise.error` and `.loss_error` say what is left.

    **Assumptions.** The eigenfeatures fit in memory. Time about 20 products of 4 N r^2 operations.

    Parameters
    ----------
    data : Any
    tolerance : float
        Relative, of an edge.
    progress : callable or None
        Called with (fraction done, stage).

    Returns
    -------
    MeasuredNoise

    References
    ----------
    The exact threshold of plain SGD is that of arXiv 2306.07850.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=100, seed=0)
    >>> noise = measure_noise(d)
    >>> noise.sound
    True
    """
    features = SampleFeatures(data.eigenfeatures, data.eigenvalues)
    space = GalerkinSpace(features)
    columns = sample_basis(space, late=data.noise_variance == 0.0, progress=progress)
    checks, count = 0.0, 0
    while True:
        basis = chosen(space, columns)
        noise = project(data, basis)
        edges = [edge_residual(features, noise, at, basis.moments) for at in _methods(EDGES, data.n_samples)]
        setting = SGD(LOSS_SHARE * noise.leading(SGD(1.0, batch_size=1)).learning_rate, batch_size=1)
        steps = LOSSES if noise.sampling(setting) > 0.0 else ()
        losses = [loss_residual(data, features, noise, setting, step, basis.moments) for step in steps]
        checks += len(edges) + len(losses)
        bad_edges = [found for found in edges if found.error > tolerance]
        bad_losses = [rest for rest, error in losses if error > LOSS_TOLERANCE]
        if not bad_edges + bad_losses or count == ROUNDS:
            break
        count += 1
        for found in bad_edges:
            space.add(found.vector)
            columns.append(found_leading(space, found.weights, FINE)[0])
        for rest in bad_losses:
            if space.add(rest):
                columns.append(space.vectors @ rest)
    if count > 0 and steps:
        losses.append(loss_residual(data, features, noise, setting, JUDGED, basis.moments))
        checks += 1.0
    return replace(
        noise,
        products=0.5 * space.halves + checks,
        error=max((found.error for found in edges), default=0.0),
        loss_error=max((error for _, error in losses), default=0.0),
    )


def _methods(settings: tuple[tuple[int, float], ...], n_samples: int) -> list[SGD]:
    """Heavy-ball SGD at (batch size, momentum), where the batch is smaller than the data."""
    return [SGD(1.0, beta, b) for b, beta in settings if b < n_samples]
