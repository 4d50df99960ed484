"""The loss at samples left out, one at a time, at any step and for any setting, from the training samples alone."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.answers.held_out.curve import added_by_noise, check_held_out
from genfun.answers.held_out.ridge import Resolvent
from genfun.data.linear import LinearData
from genfun.engine.inversion import Rule, rules
from genfun.engine.powers import mean_path
from genfun.engine.singularity import update_roots
from genfun.methods.sgd import SGD
from genfun.sample_space.measured import MeasuredNoise
from genfun.sample_space.moment_forms import FormFunction, MomentForms, form_values, packed_moments, thinned
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_curve import ALWAYS_EARLY, circle_rule
from genfun.sample_space.projected_function import ProjectedFunction

KNOTS = 2
"""Paces a factor of 2, at which the leverage rule is taken; in between it is interpolated."""
LATEST = 20_000
"""Oscillations are waited for up to this step."""
TOGETHER = 1 << 22
"""Numbers, samples times nodes, that are kept at once."""


class LeftOutCurve:
    r"""Leave-one-out losses of one data set, for any heavy-ball setting and step.

    .. math:: \frac{1}{1-z}\,\frac{[(K/N+p)^{-1}y]_i}{[(K/N+p)^{-1}]_{ii}},\qquad
              p(z) = \frac{(1-z)(1-\beta z)}{\alpha z}

    generates the residual at i of the mean path of the run without i. To the noise the leverage rule applies:

    .. math:: \tfrac12\operatorname{mean}_i\,\Big[\varphi_i'^T\operatorname{Cov}_t\,\varphi_i'
              - \text{kicks of } i\Big],\qquad
              \varphi_{ij}' = \frac{\varphi_{ij}}{p_j[(K/N+p_j)^{-1}]_{ii}},\quad
              p_j = \lambda_j + \frac{1-\beta}{2\alpha t}

    **Assumptions.** Fresh batches, w_0 = 0. Time does not grow with the step.

    Parameters
    ----------
    data : LinearData
    """

    def __init__(self, data: LinearData) -> None:
        self.data = data
        self._questions: dict[int, Any] = {}
        self._thin: tuple[range, Any] = (range(0), None)

    @cached_property
    def resolvent(self) -> Resolvent:
        """Of the data."""
        return Resolvent(self.data)

    @cached_property
    def noise(self) -> MeasuredNoise:
        """That of the data."""
        return self.data.measured_noise

    @cached_property
    def _forms(self) -> MomentForms:
        return MomentForms(self.data, self.noise)

    def _place(self, pace: Float[Array, " t"]) -> Float[Array, " t"]:
        """Where a pace lies among the knots."""
        lam = self.data.eigenvalues
        # Far below all eigenvalues, or above them, the pace does not matter.
        return np.log(lam[0] / np.clip(pace, 1e-3 * lam[-1], 1e3 * lam[0])) / np.log(KNOTS)

    def check(self, method: SGD, name: str) -> None:
        """Refuse what this does not know.

        Parameters
        ----------
        method : SGD
        name : str
            Of the answer.
        """
        check_held_out(self.data, method, name)
        if not isinstance(method, SGD):
            raise TypeError(f"method must be an SGD, got {type(method).__name__}; {name} knows heavy ball alone")
        _check.options(method, nesterov=False)
        limit = method.curvature_limit(method.momentum) / self.data.eigenvalues[0]
        if method.learning_rate >= limit:
            raise ValueError(
                f"learning_rate must be below {limit:.6g}, where the full batch diverges, got {method.learning_rate}"
            )

    def mean_residuals(self, method: SGD, steps: Int[Array, " t"]) -> Float[Array, "n t"]:
        """Squares of the left-out residuals of the mean path, summed over outputs.

        Parameters
        ----------
        method : SGD
        steps : array, shape (t,)
            Ascending.
        """
        reach = self._reach(method, int(steps[-1]))
        soon = int(np.searchsorted(steps, reach, side="right"))
        late = steps[soon:].astype(np.float64)
        found = [(0, circle_rule(steps[:soon], 0.0))] if soon else []
        if late.size:
            found += [(soon, rule) for rule in rules(late, 0.0)]
        squares = np.zeros((self.data.n_samples, steps.size))
        for offset, rule in found:
            squares[:, offset:][:, rule.window] = self._squares(method, rule)
        return squares

    def _squares(self, method: SGD, rule: Rule) -> Float[Array, "n t"]:
        q, result = rule.q, np.zeros((self.data.n_samples, rule.weights.shape[0]))
        p = q * ((1.0 - method.momentum) + method.momentum * q) / (method.learning_rate * (1.0 - q))
        together = max(1, TOGETHER // q.size)
        for start in range(0, self.data.n_samples, together):
            rows = slice(start, start + together)
            diagonal = self.resolvent.diagonal(p, rows) * q
            for output in range(self.data.n_outputs):
                values = self.resolvent.residual(p, output, rows) / diagonal
                result[rows] += (values @ rule.weights.T).imag ** 2
        return result

    def _reach(self, method: SGD, last: int) -> int:
        """Until when roots off the positive real axis matter: to 1e-13, those of all eigenvalues up to the largest."""
        nodes = np.concatenate(([0.0], self.data.eigenvalues))
        a = method.learning_rate * nodes
        roots: Any = update_roots(method.update(a, *method.hyperparameters)[0], a.shape)
        off = (np.abs(np.imag(roots)) > 1e-12) | (np.real(roots) < 0.0)
        radius = float(np.where(off, np.abs(roots), 0.0).max())
        fade = 30.0 / -np.log(radius) if radius > 0.0 else 0.0
        return int(min(last, max(ALWAYS_EARLY, min(fade, LATEST))))

    def _question(self, knot: int) -> tuple[Any, Float[Array, "r r"]]:
        """Weights of the leverage rule at the pace lambda_1 2^-knot, and its matrix."""
        if knot not in self._questions:
            data = self.data
            p = data.eigenvalues + data.eigenvalues[0] * float(KNOTS) ** -knot
            left = data.eigenfeatures / self.resolvent.diagonal(p)
            matrix = left.T @ left / data.n_samples
            products = SampleFeatures(left * data.eigenfeatures, data.eigenvalues)
            own = packed_moments(products, self.noise.basis) / data.n_samples
            self._questions[knot] = self._forms.weights(matrix, self._forms.fold.ascending(own)), matrix
        return self._questions[knot]

    def noise_losses(self, method: SGD, steps: Int[Array, " t"]) -> Float[Array, " t"]:
        """What batch noise adds, by the leverage rule; inf where it diverges beyond doubles.

        Parameters
        ----------
        method : SGD
        steps : array, shape (t,)
            Ascending.
        """
        data, noise = self.data, self.noise
        if noise.sampling(method) == 0.0:
            return np.zeros(steps.size)
        pace = (1.0 - method.momentum) / (2.0 * method.learning_rate * np.maximum(steps, 1))
        knots, mix = self._mixture(pace)
        found = [self._question(knot) for knot in knots]
        F = ProjectedFunction(noise, data.problem, method, few=False)
        values, _ = form_values(FormFunction(F, [weights for weights, _ in found]), steps, mix)
        means = mean_path(method, data.eigenvalues, steps)
        squares = self._squares_of(means, knots)
        with np.errstate(invalid="ignore"):
            added = 0.5 * np.maximum(values - (mix * squares).sum(axis=1), 0.0)
        return np.where(steps > 0, np.nan_to_num(added, nan=np.inf, posinf=np.inf), 0.0)

    def _mixture(self, pace: Float[Array, " t"]) -> tuple[range, Float[Array, "t f"]]:
        """The knots about some paces, and the weights of linear interpolation."""
        place = self._place(pace)
        knots = range(int(np.floor(place.min())), int(np.floor(place.max())) + 2)
        low, rows = np.floor(place).astype(np.int64) - knots.start, np.arange(place.size)
        mix = np.zeros((place.size, len(knots)))
        mix[rows, low] = 1.0 - (place - np.floor(place))
        mix[rows, low + 1] = place - np.floor(place)
        return knots, mix

    def _squares_of(self, means: Float[Array, "t r"], knots: range) -> Float[Array, "t f"]:
        """m^T H' m of the mean path, for every knot."""
        start = self.data.coefficients @ self.data.coefficients.T
        matrices = [self._question(knot)[1] * start for knot in knots]
        return np.stack([((means @ matrix) * means).sum(axis=1) for matrix in matrices], axis=1)

    def many(self, rates: Array, momenta: Array, batch_size: int | None, step: int) -> Float[Array, " S"]:
        """Losses of many settings at one step, for searches: to about 1e-4.

        Parameters
        ----------
        rates, momenta : array, shape (S,)
        batch_size : int or None
        step : int
            t > 0.
        """
        at, methods = np.array([step]), [SGD(a, b) for a, b in zip(rates.tolist(), momenta.tolist(), strict=True)]
        mean = np.array([0.5 * self.mean_residuals(method, at).mean() for method in methods])
        knots, mix = self._mixture((1.0 - momenta) / (2.0 * rates * step))
        if not set(knots) <= set(self._thin[0]):
            weights = [self._question(knot)[0] for knot in knots]
            self._thin = knots, thinned(self.noise.pairs, weights)
        known, thin = self._thin
        wide = np.zeros((rates.size, len(known)))
        wide[:, knots.start - known.start : knots.stop - known.start] = mix
        means = np.concatenate([mean_path(method, self.data.eigenvalues, at) for method in methods])
        squares = (mix * self._squares_of(means, knots)).sum(axis=1)
        return mean + added_by_noise(self.data, thin, wide, squares, (rates, momenta, batch_size), step)

    def losses(self, method: SGD, steps: Int[Array, " t"]) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        """Leave-one-out losses, and those of the mean path.

        Parameters
        ----------
        method : SGD
        steps : array, shape (t,)
            Ascending.
        """
        mean = 0.5 * self.mean_residuals(method, steps).mean(axis=0)
        return mean + self.noise_losses(method, steps), mean
