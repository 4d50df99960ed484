"""How far sums over few pairs are from those over all, for one setting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array, Float, Int
from genfun.methods.sgd import SGD
from genfun.sample_space.fast_pairs import denominator_coefficients
from genfun.sample_space.projection import PairMeasure
from genfun.sample_space.skeleton import folded, turn
from genfun.scaled import EPS, Scaled

if TYPE_CHECKING:
    from genfun.engine.singularity import Singularity
    from genfun.sample_space.projected_function import ProjectedFunction

TRUSTED, TRUSTED_ABOUT = 1e-7, 3e-9
"""Departure near the real axis, and elsewhere about the unit circle, up to which few pairs stand for all in a single
curve: losses in which resonances had not faded were off by up to 2,300 times the second."""
ROUNDED = 256.0 * EPS
"""What sums over thousands of pairs round by near the slowest pole, where no departure is smaller."""
RESONANT = 10.0
"""Times the second and how far the loss has fallen that such losses are off by at most, of 1,000 digits and of 200."""
SCALES, NEAREST, FURTHEST = 12, 0.1, 0.05
"""Distances from the slowest pole at which the two are compared, the first of them in units of the pole, the last."""
RIGHTMOST = 10.0
"""How far right the contour of a late loss goes, in units of 1/t, with a little to spare."""
CONTOUR_FACTOR = 4.0
"""Logarithm of the factor by which values on the contour enter a late loss at most."""
LASTING = 10.0
"""Times of the last decay after which what is left of the other modes no longer counts."""
A_DECADE = 3
"""Points at which the generating function is looked at for that."""


@dataclass(frozen=True, eq=False)
class FewPairs:
    """Pairs for one setting, and how far their sums are from those of all, relative to their absolute terms.

    Parameters
    ----------
    pairs : PairMeasure
    real : float
        The largest departure near the real axis, down to the slowest rate of decay.
    circle : float
        The largest elsewhere about the unit circle, where the resonances of the fastest modes are.
    distances, largest : array, shape (k,)
        Of points on the real axis from the slowest pole, ascending, and the largest departure up to each.
    """

    pairs: PairMeasure
    real: float = 0.0
    circle: float = 0.0
    distances: Float[Array, " k"] = field(default_factory=lambda: np.zeros(1))
    largest: Float[Array, " k"] = field(default_factory=lambda: np.zeros(1))

    @property
    def serves(self) -> bool:
        """Whether they stand for all in a single curve."""
        return self.real <= TRUSTED and self.circle <= TRUSTED_ABOUT

    @property
    def resonant(self) -> float:
        """What losses are off by as long as resonances have not faded, over how far they have fallen."""
        return RESONANT * self.circle


@on_one_thread
def departure(pairs: PairMeasure, few: PairMeasure, method: SGD, gamma: float) -> FewPairs:
    """The few pairs with how far their sums are from those over all for one setting.

    Parameters
    ----------
    pairs, few : PairMeasure
    method : SGD
        Heavy-ball SGD.
    gamma : float
        Sampling factor.
    """
    beta, rate = method.momentum, method.learning_rate
    fastest = float(turn(beta, rate * pairs.nodes[-1]))
    angle = np.concatenate([[1e-3, 1e-2, 0.1], np.linspace(0.6, np.pi, 6), folded(fastest * np.arange(1, 3))])
    pole = min(2.0 * rate * pairs.nodes[0] / (1.0 - beta), 0.5)
    scale = np.geomspace(NEAREST * pole, FURTHEST, SCALES)
    p = np.concatenate([-pole * np.array([0.0, 0.9, 1.0 - 1e-6]), scale - 0.999 * pole])
    real = _inverses((pairs, few), p, beta, gamma, rate)
    turned = _inverses((pairs, few), 1e-3 - 1.0j * angle, beta, gamma, rate)
    on_axis, about = (_apart(pairs, few, *each) for each in (real, turned))
    near, circle = max(on_axis.max(), about[:3].max()), about[3:].max()
    distances, largest = np.append(0.0, scale), np.maximum.accumulate(np.append(on_axis[:3].max(), on_axis[3:]))
    largest = np.maximum(largest, ROUNDED)
    return FewPairs(few, float(near), float(circle), distances, largest)


def _inverses(both: tuple[PairMeasure, PairMeasure], p: Array, beta: float, gamma: float, rate: float) -> list[Array]:
    """1/S of all pairs, and of the few."""
    table = np.ascontiguousarray(denominator_coefficients(-np.expm1(-p), beta, gamma, rate))
    return [np.reciprocal((each.features @ table.view(float)).view(table.dtype)) for each in both]


def _apart(pairs: PairMeasure, few: PairMeasure, all_terms: Array, few_terms: Array) -> Array:
    """The distance of the sums of both at every point, relative to the absolute terms: of random mixtures of them."""
    sizes, worst = np.abs(all_terms), np.zeros(all_terms.shape[1])
    for old, new, norms in zip(pairs.mixtures, few.mixtures, pairs.sizes, strict=True):
        difference = (old @ all_terms.view(float)) - (new @ few_terms.view(float))
        difference = np.abs(difference.view(all_terms.dtype))
        worst = np.maximum(worst, difference.max(axis=0) / (norms @ sizes))
    return worst


def late_departure(
    F: ProjectedFunction, loss: Scaled, steps: Int[Array, " t"], singular: Singularity
) -> Float[Array, " t"]:
    r"""What it does to late losses, relative, that sums are taken over few pairs in place of all.

    .. math:: e(t) = e\,\Big(\frac{1}{|1-\theta|} + \min\Big(|p_0|\,t, 10 + \Big|\frac{dp_0}{d\theta}\Big|\,t\Big)\Big)
              \max\Big(1, \frac{c\,\tilde L(e^{-p_0-1/t})}{t\,L(t)\,e^{-p_0t}}\Big)

    near the edge of the noise they move the loss by more, and the rate as its rounding does. Late losses are a small
    part of what their generating function sums; e is the departure as far right as the contour goes, c the largest
    factor of that.

    Parameters
    ----------
    F : ProjectedFunction
        Over few pairs or over all.
    loss : Scaled
        The losses.
    steps : array, shape (t,)
        Ascending.
    singular : Singularity
    """
    t = steps.astype(float)
    if F.few.real == 0.0:
        return np.zeros(t.shape)
    near = abs(1.0 - singular.noise_gain)
    amplified = 1.0 / near if np.isfinite(near) and near > 0.0 else 1.0
    moved = abs(singular.rate) * t if np.isfinite(singular.rate) else np.zeros(t.shape)
    if singular.rate_error > 0.0:
        moved = np.minimum(moved, LASTING + singular.rate_error / (4.0 * EPS) * t)
    some = np.geomspace(t[0], t[-1], max(2, int(A_DECADE * np.log10(t[-1] / t[0])) + 2)) if t.size > 2 else t
    values = np.log(np.abs(F.loss(-np.expm1(-(singular.shift + 1.0 / some)))))
    share = np.interp(np.log(t), np.log(some), values) - np.log(t) + CONTOUR_FACTOR
    share = np.exp(np.clip(share - (loss.log() - singular.shift * t), 0.0, 700.0))
    reached = np.searchsorted(F.few.distances, RIGHTMOST / t).clip(max=F.few.distances.size - 1)
    return F.few.largest[reached] * (amplified + moved) * np.nan_to_num(share, nan=1.0)
