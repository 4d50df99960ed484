"""The loss of averaged weights under the projected noise of data."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Float, Int, Shaped
from genfun.engine.average_curve import LAST_TAIL, averaged_loss
from genfun.engine.contour_curve import LossCurve, joined
from genfun.engine.inversion import coefficients
from genfun.engine.output_function import NEXT_TO_ONE, OutputFunction
from genfun.engine.singularity import Singularity, update_roots
from genfun.engine.transform import Transform
from genfun.methods.averaged import Averaged
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.sample_space.projected_curve import circle_series, inverted, projected_singularity
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.scaled import EPS, Scaled

if TYPE_CHECKING:
    from genfun.sample_space.measured import MeasuredNoise

EVERY_STEP = 4_096
"""Up to this step a tail average takes the squared residuals step by step; later ones are interpolated."""
PER_DECADE = 48
"""Steps at which they are known there."""


class ProjectedAverage(ProjectedFunction):
    """L~(z) of averaged weights, or of their sum: the squared residuals X x of the weights drive the output.

    The modes are not coupled once those are known: see `OutputFunction.driven`.

    **Assumptions.** Those of `ProjectedFunction`.

    Parameters
    ----------
    noise : MeasuredNoise
    problem : Problem
        Of the same data.
    method : Averaged

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.LinearData.from_features([[1.0], [2.0]], [1.0, 2.0])
    >>> F = ProjectedAverage(d.measured_noise, d.problem, gf.Averaged(gf.SGD(0.1, batch_size=1), decay=0.5))
    >>> round(F(0.0), 12)  # L(0)
    1.25
    """

    def __init__(self, noise: MeasuredNoise, problem: Problem, method: Averaged) -> None:
        super().__init__(noise, problem, method.method)
        self.average, self.levels = method, False
        self.label_noise = 0.0 if method.is_uniform else problem.noise_variance

    def on_first(self, noise: MeasuredNoise) -> Transform:
        """The same average under the noise on the first vectors, which shares nothing with this one.

        Parameters
        ----------
        noise : MeasuredNoise
        """
        return noise.transform(self.problem, self.average)

    @cached_property
    def output(self) -> OutputFunction:
        """The same average under spectrally expressible noise, whose responses serve here."""
        return OutputFunction(self.problem, self.average, SpectrallyExpressible(), label_noise=self.label_noise)

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q; of "polyak" and "tail" half of sum lambda E S^2, without label noise.

        Parameters
        ----------
        q : real or complex array, shape (k,)
        """
        pairs = self.noise.pairs
        power = pairs.gradient / pairs.nodes
        signal = pairs.start / pairs.nodes
        return self.output.driven(q, pairs.nodes, signal, self.residuals(q) @ power, self._start @ power)

    def known_singularity(self) -> Singularity:
        """That of the weights; the contour stays right of what the average keeps."""
        return kept_singularity(projected_singularity(self), self.output, self.noise.pairs.nodes)

    def floor(self) -> float:
        """The excess loss in the end."""
        q = np.full(1, NEXT_TO_ONE)
        if self.average.is_uniform:
            bias = self.output.system.bias(self.noise.pairs.nodes)
            return 0.5 * float(bias**2 @ (self.noise.pairs.start / self.noise.pairs.nodes))
        return float(self.loss(q)[0] * q[0]) - 0.5 * self.problem.noise_variance

    def known_curve(self, steps: Int[Array, " t"], singular: Singularity) -> LossCurve:
        """Mean losses at ascending steps.

        Parameters
        ----------
        steps : array, shape (t,)
            Ascending, without repeats.
        singular : Singularity
        """
        if not self.average.is_uniform:
            return inverted(self, steps, singular)
        begin = self.average.start
        plain = ProjectedFunction(self.noise, self.problem, self.method)
        soon, late = steps[steps <= begin], steps[steps > begin]
        parts = [inverted(plain, soon, plain.known_singularity())] if soon.size else []
        if late.size:
            summed = inverted(self, late, singular) if begin == 0 else self._tail(late, begin)
            parts.append(averaged_loss(summed, late - begin, 0.5 * self.problem.noise_variance))
        return joined(parts)

    @np.errstate(over="ignore", invalid="ignore")
    def _tail(self, steps: Array, begin: int) -> LossCurve:
        """Half of sum lambda E S^2 for the sum S of the weights after `begin`, mode by mode, step by step."""
        last = int(steps[-1])
        if last > LAST_TAIL:
            raise ValueError(
                f"steps must be at most {LAST_TAIL} for kind='tail', which is followed step by step, got {last}; "
                "'ema' and 'polyak' know any step"
            )
        pairs, system = self.noise.pairs, self.output.system
        # In units of exp(growth t), so that what diverges stays in the range of doubles.
        growth = max(projected_singularity(self).shift, 0.0)
        drives, error = self._residuals_in_time(last, growth)
        a = self.method.learning_rate * pairs.nodes
        T = system.rows(a)
        start = system.start + a[:, None] * system.start_slope
        kick = np.multiply.outer(np.ones(a.size), np.outer(system.kick, system.kick))
        signal = pairs.start / pairs.nodes
        # The part of the start and that of the noise are kept apart, for neither depends on the other's weights.
        state = np.einsum("ni,nj,n->nij", start, start, signal)
        gains = self._scale * (pairs.gradient / pairs.nodes)
        found = []
        for t in range(last):
            if t == begin:
                state[:, system.output, :] = state[:, :, system.output] = 0.0
            noise = drives[t] @ gains - self.gamma * a * a * state[:, 0, 0]
            if t == 0:
                noise = noise * system.first_noise
            state = np.exp(-growth) * (T @ state @ T.transpose(0, 2, 1) + noise[:, None, None] * kick)
            if t + 1 in steps:
                found.append(0.5 * float(state[:, system.output, system.output].sum()))
        # Modes that grow but for the noise of others round beyond all bounds.
        value = np.array(found)
        rounding = np.where(np.isfinite(value), EPS * (64.0 + 16.0 * steps), np.inf)
        value = np.where(np.isfinite(value), value, np.inf)
        return LossCurve(
            Scaled.exponential(value, growth * steps), rounding + error, "recursion on the circle's residuals"
        )

    def _residuals_in_time(self, last: int, growth: float) -> tuple[Float[Array, "t m"], float]:
        """x(t) exp(-growth t) at steps 0, ..., last - 1, and what may be wrong with it."""
        from scipy.interpolate import CubicSpline

        singular = projected_singularity(self)
        reach = min(last, EVERY_STEP)
        early = circle_series(self.residuals, reach, singular.shift)
        rate = singular.shift - growth
        early = early * np.exp(rate * np.arange(reach + 1))[:, None]
        if reach >= last:
            return early[:last], 0.0
        count = int(np.ceil(PER_DECADE * np.log10(last / (0.5 * reach)))) + 4
        grid = np.unique(np.geomspace(0.5 * reach, last, count).astype(np.int64))
        columns, error = [], 0.0
        for place in range(self.noise.pairs.size):
            known = coefficients(_Component(self, place), grid.astype(float), singular.shift, signed=True)
            columns.append(known.mantissa * np.exp(rate * grid))
        table = np.stack(columns, axis=1)
        later = np.arange(reach, last)
        late = CubicSpline(np.log(grid), table)(np.log(later))
        overlap = grid[grid <= reach]
        scale = np.abs(table[:, 0]).max()
        error = float(np.abs(early[overlap] - table[: overlap.size]).max() / scale)
        return np.concatenate([early[:reach], late]), max(error, 1e-9)


def kept_singularity(found: Singularity, output: OutputFunction, nodes: Float[Array, " n"]) -> Singularity:
    """The singularity of averaged weights, from that of the weights.

    Parameters
    ----------
    found : Singularity
    output : OutputFunction
        Its system has the average.
    nodes : array, shape (n,)
        Eigenvalues.
    """
    system = output.system
    rows = np.moveaxis(system.rows(output.method.learning_rate * nodes), 0, -1)
    roots: Any = update_roots(rows, nodes.shape).ravel()
    off = (np.abs(roots.imag) > 1e-12 * np.abs(roots)) | (roots.real < 0.0)
    largest = float(np.abs(roots[off]).max(initial=0.0)) * float(np.abs(roots).max())
    kept = [2.0 * np.log(x) for x in system.kept if x > 0.0]
    return replace(
        found,
        shift=max([found.shift, *kept]),
        unresolved_rate=max(found.unresolved_rate, float(np.log(largest)) if largest > 0.0 else -np.inf),
    )


class _Component:
    """One coordinate of the squared residuals, as the contour takes it."""

    def __init__(self, function: ProjectedFunction, place: int) -> None:
        self._function, self._place = function, place

    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """x_a at z = 1 - q.

        Parameters
        ----------
        q : complex array, shape (k,)
        """
        return self._function.residuals(q)[:, self._place]
