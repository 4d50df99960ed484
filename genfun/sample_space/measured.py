"""The noise of data, measured once for every method, rate and batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any
from weakref import ref

import numpy as np

from genfun._display import percent, several
from genfun._threads import one_thread
from genfun._typing import Array, Float
from genfun.engine.edge import one_by_one as edges_one_by_one
from genfun.engine.loss_curve import automatic
from genfun.engine.many import one_by_one
from genfun.engine.settings import Settings
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor
from genfun.sample_space.any_pairs import serves
from genfun.sample_space.basis import FINE, SampleBasis, chosen, found_leading, sample_basis
from genfun.sample_space.error_estimate import RECENT, ErrorEstimate
from genfun.sample_space.galerkin import GalerkinSpace
from genfun.sample_space.many_edges import heavy_ball_edges
from genfun.sample_space.many_settings import losses_in_parts, projected_gains
from genfun.sample_space.projected_edge import KeptEdges, ProjectedEdge
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.sample_space.projection import PairMeasure, label_moments, pair_measure
from genfun.sample_space.residuals import edge_residual
from genfun.sample_space.skeleton import LARGEST_MOMENTUM, WIDE_MOMENTUM
from genfun.sample_space.snapshots import supplemented
from genfun.sample_space.streamed import features_of
from genfun.sample_space.thinned import FewerPairs
from genfun.scaled import Scaled

TOLERANCE = 1e-3
"""Estimated relative error of an edge beyond which more vectors are taken."""
LOSS_TOLERANCE = 1e-2
"""The same of a loss: beyond it the noise is not sound."""
EDGES = ((1, 0.0), (8, 0.9), (32, 0.9), (8, -0.4))
"""(batch size, momentum) of the edges by which `measure_noise` judges its vectors."""
LOSS_SHARE, LOSSES = 0.8, np.array([1, 3, 10, 30, 100])
"""Steps of the losses by which it does, at batch size 1, no momentum and this share of the edge."""
MANY = 32
"""Settings from which a skeleton of the pairs is worth its making."""
NARROW_MOMENTUM = 0.6
"""Up to here the smaller skeleton serves losses: at 0.7 and more, where decay is fast, it errs by up to a thousandth of
its logarithm."""
SMALL = 2e9
"""N r^2 up to which one thread measures: a product takes it a second or two."""
ROUNDS = 2
"""Times that vectors are added at most."""


@dataclass(frozen=True, eq=False)
class MeasuredNoise(ErrorEstimate, FewerPairs):
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
    fewer : int
        Vectors of the coarser basis against which errors are estimated, the first ones of X; 0 if it was not judged.

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=100, seed=0)
    >>> data.measured_noise
    MeasuredNoise(n_samples=100, vectors=..., pairs=3, error=..., loss_error=...)
    """

    pairs: PairMeasure = field(repr=False)
    basis: Float[Array, "N m"] = field(repr=False)
    n_samples: int
    products: float
    error: float = np.nan
    loss_error: float = np.nan
    fewer: int = 0

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
            f"measured on {several(self.pairs.size, 'vectors')}: largest rates known to {percent(self.error, 1)}, "
            f"losses to {percent(self.loss_error, 1)}"
        )

    @property
    def sound(self) -> bool:
        """Whether the estimated errors are within `TOLERANCE` and `LOSS_TOLERANCE`."""
        return self.error <= TOLERANCE and self.loss_error <= LOSS_TOLERANCE

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
        return self._edges(method, self.sampling(method))

    @cached_property
    def _edges(self) -> KeptEdges:
        return KeptEdges(self.pairs)

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

            found = ProjectedAverage(self, problem, method)
        else:
            found = ProjectedFunction(self, problem, method)
        RECENT[self] = ref(found)
        return found

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

    def edges(self, problem: Any, family: Family, momenta: Array, batch_size: int | None) -> Array:
        """The largest stable learning rates of a family at one batch size.

        Parameters
        ----------
        problem : Problem
            That of the data.
        family : Family
        momenta : array, shape (momenta,)
        batch_size : int or None
        """
        gamma = sampling_factor(batch_size, self.n_samples, family.template.replacement)
        if family.kind is not SGD or gamma == 0.0 or momenta.size == 0:
            return edges_one_by_one(problem, family, momenta, batch_size, self)
        return heavy_ball_edges(self.pairs, momenta, gamma)

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
            flat, found = (rates.ravel(), momenta.ravel(), np.full(rates.size, gamma)), np.empty(rates.size)
            for pick, pairs in self._parts(flat[1]):
                found[pick] = projected_gains(pairs, *(x[pick] for x in flat))
            return found.reshape(rates.shape)
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
        if settings.kind is not SGD:
            if not (settings.rates.size and serves(settings.kind, tuple(float(h[0]) for h in settings.hyper))):
                return one_by_one(settings, step)
            return losses_in_parts([(np.arange(settings.rates.size), self.pairs)], self.pairs, settings, step)
        return losses_in_parts(self._parts(settings.hyper[0], NARROW_MOMENTUM), self.pairs, settings, step)

    def _parts(self, momenta: Array, narrow: float = LARGEST_MOMENTUM) -> Iterator[tuple[Array, PairMeasure]]:
        """Settings worked on together, with the pairs that serve them: as few as their momenta take, all for a few."""
        thinned = vars(self).get("_thinned") is self
        kind = np.searchsorted([narrow, WIDE_MOMENTUM], np.abs(momenta))
        if momenta.size < MANY and not thinned:
            kind[:] = 2
        for each, pairs in enumerate((lambda: self.skeleton, lambda: self.wide_skeleton, lambda: self.pairs)):
            pick = np.flatnonzero(kind == each)
            if pick.size:
                yield pick, pairs()


def project(data: Any, basis: SampleBasis) -> MeasuredNoise:
    """The noise of data on given vectors, not judged.

    Parameters
    ----------
    data : Any
    basis : SampleBasis
    """
    if data.noise_variance > 0.0:
        labels = label_moments(data.blocks, basis.vectors, data.coefficients)
    else:  # Residuals at the rounding of the targets are none.
        labels = np.zeros((basis.vectors.shape[1], data.rank)), np.zeros(basis.vectors.shape[1])
    at = data.eigenvalues, data.coefficients, data.n_samples
    pairs = pair_measure(basis.moments, labels, *at, first=basis.first)
    return MeasuredNoise(pairs, basis.vectors, data.n_samples, basis.products)


def measure_noise(
    data: Any, tolerance: float = TOLERANCE, progress: Callable[[float, str], None] | None = None
) -> MeasuredNoise:
    r"""Measure the noise of data: project its operator in sample space on the vectors of `sample_basis`.

    Edges are checked (`EDGES`) by the residual of the leading vector under the exact operator. Where the estimated
    error is above the tolerance, the leading vector itself is searched for and joins the basis, and all are checked
    again, up to `ROUNDS` times. Then the main directions of exact solutions at a few settings join
    (`genfun.sample_space.snapshots`), as many as later answers can afford. What the last of them change is the
    estimated error of every answer; `MeasuredNoise.error` and `.loss_error` say it for some.

    **Assumptions.** Time about 30 products of 4 N r^2 operations, 100 on small data. Eigenfeatures
    that do not fit in memory are read in blocks, once for half a product. Where N r^2 is large, vectors are searched
    for and judged in single precision; the moments of those that are kept are double where that would lose digits, and
    that of the constant vector is exact.

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
    with one_thread(data.n_samples * data.rank**2 <= SMALL):
        return _measured(data, tolerance, progress)


def _measured(data: Any, tolerance: float, progress: Callable[[float, str], None] | None) -> MeasuredNoise:
    features = features_of(data)
    space = GalerkinSpace(features)
    columns = sample_basis(space, late=data.noise_variance == 0.0, progress=progress)
    checks, count = 0.0, 0
    while True:
        basis = chosen(space, columns)
        noise = project(data, basis)
        edges = [edge_residual(features, noise, at, basis.moments) for at in _methods(EDGES, data.n_samples)]
        checks += len(edges)
        bad_edges = [found for found in edges if found.error > tolerance]
        if not bad_edges or count == ROUNDS:
            break
        count += 1
        for found in bad_edges:
            space.add(found.vector)
            columns.append(found_leading(space.seen(found.weights), FINE)[0])
    noise = replace(noise, error=max((found.error for found in edges), default=0.0), fewer=noise.pairs.size)
    if data.n_samples > 1:
        noise = supplemented(data, features, space, basis, noise, partial(_judged, data, noise))
    else:  # one sample has no batch noise that could be left out
        noise = replace(noise, loss_error=0.0)
    return replace(noise, products=0.5 * space.halves + checks)


def _judged(data: Any, before: MeasuredNoise, basis: SampleBasis) -> MeasuredNoise:
    """The noise on a larger basis, its errors at some edges and losses by what half of the new vectors change."""
    found = project(data, basis)
    more = found.pairs.size - before.pairs.size
    found = replace(found, error=before.error, fewer=before.pairs.size + more // 2, loss_error=0.0)
    error = max([before.error, *(found.moved(at) for at in _methods(EDGES, data.n_samples))])
    setting = SGD(LOSS_SHARE * found.leading(SGD(1.0, batch_size=1)).learning_rate, batch_size=1)
    found = found.on_all_pairs()
    function = found.transform(data.problem, setting)
    losses = automatic(function, LOSSES).loss.log()
    return replace(
        found, error=error, loss_error=float(found.loss_changes(data.problem, setting, LOSSES, losses).max())
    )


def _methods(settings: tuple[tuple[int, float], ...], n_samples: int) -> list[SGD]:
    """Heavy-ball SGD at (batch size, momentum), where the batch is smaller than the data."""
    return [SGD(1.0, beta, b) for b, beta in settings if b < n_samples]
