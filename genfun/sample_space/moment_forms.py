"""Linear functions of the second moments of the weights, such as a held-out loss, under the projected noise."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int, Shaped
from genfun.engine.inversion import FEWER_NODES, NODES, Rule, rules
from genfun.engine.singularity import Singularity
from genfun.sample_space.elimination import solutions
from genfun.sample_space.fast_pairs import HeavyBallPairs
from genfun.sample_space.measured import MeasuredNoise
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_curve import ALWAYS_EARLY, LATEST, circle_rule
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.sample_space.projection import PairFold, PairMeasure
from genfun.sample_space.skeleton import skeleton

FADED = 22.0
"""Singularities off the real axis must have faded to exp(-22) = 3e-10 for the hyperbola to be used."""
TOGETHER = 4_096
"""Points evaluated together."""


def packed_moments(features: SampleFeatures, basis: Float[Array, "N m"]) -> Float[Array, "m pairs"]:
    """Q of the columns of a basis.

    Parameters
    ----------
    features : SampleFeatures
    basis : array, shape (N, m)
    """
    return np.stack([features.fetch(features.moment(column)) for column in basis.T])


class MomentForms:
    r"""What is asked about the second moments of the weights, as weights on pairs of eigenvalues.

    .. math:: \operatorname{tr}(R\,E\,xx^T) = \sum_P (R\circ C_0)_P\,v_P
              + z\,\gamma\alpha^2\sum_a x_a\sum_P (R\circ Q(X_a) - O_a)_P\,u_P,\qquad x = w - w^*

    with the x_a of `ProjectedFunction`. O_a, zero unless given, takes away what single samples contribute.

    **Assumptions.** As for `ProjectedFunction`; w_0 = 0.

    Parameters
    ----------
    data : LinearData
    noise : MeasuredNoise
        Of the same data, with all its pairs.
    """

    def __init__(self, data: Any, noise: MeasuredNoise) -> None:
        self.data, self.noise = data, noise
        self.fold = PairFold(data.eigenvalues)

    @cached_property
    def packed(self) -> Float[Array, "m pairs"]:
        """Q(X_a) of the basis, as `SampleFeatures.moment` gives them."""
        return packed_moments(SampleFeatures(self.data.eigenfeatures, self.data.eigenvalues), self.noise.basis)

    @cached_property
    def _own(self) -> Float[Array, "m r r"]:
        return self.fold.ascending(self.packed)

    @cached_property
    def _start(self) -> Float[Array, "r r"]:
        return (self.data.coefficients @ self.data.coefficients.T)[::-1, ::-1]

    def sources(
        self, F: ProjectedFunction, q: Shaped[Array, " k"], starts: list[Array], labels: list[Any]
    ) -> Shaped[Array, "s k m"]:
        """X^T b of other targets at z = 1 - q, the noise being the same.

        Parameters
        ----------
        F : ProjectedFunction
        q : array, shape (k,)
        starts : list of array, shape (r, r)
            w* w*^T of each target.
        labels : list of (array, array) or None
            From `label_moments`; None without label noise.
        """
        pairs, size = self.noise.pairs, self.noise.pairs.size
        weights = [
            self.fold(self.noise.n_samples * moment * start[::-1, ::-1]) for start in starts for moment in self._own
        ]
        measure = replace(pairs, kernel=np.zeros((0, pairs.first.size)), source=np.stack(weights))
        result = np.moveaxis(F.sums(measure, q)[1].reshape(len(starts), size, q.size), 1, 2)
        for i, found in enumerate(labels):
            if found is not None:
                modes, floor = self.fold.rule.fold(found[0][:, ::-1].T), found[1]
                mean = F.responses.mean(q[:, None], F.method.learning_rate * pairs.nodes)
                result[i] += mean @ modes + np.multiply.outer(1.0 / q, floor)
        return result

    def weights(self, matrix: Float[Array, "r r"], own: Float[Array, "m r r"] | None = None) -> PairMeasure:
        """The weights of one question.

        Parameters
        ----------
        matrix : array, shape (r, r)
            R, symmetric, in the order of the data's eigenvalues.
        own : array, shape (m, r, r), or None
            O_a, of ascending eigenvalues.
        """
        R = matrix[::-1, ::-1]
        kernel = [R * moment if own is None else R * moment - own[a] for a, moment in enumerate(self._own)]
        rows = np.stack([self.fold(weight) for weight in kernel])
        return replace(self.noise.pairs, kernel=rows, source=self.fold(R * self._start)[None])


class FormFunction:
    """The generating functions of the answers to several questions.

    Parameters
    ----------
    F : ProjectedFunction
        The setting.
    questions : list of PairMeasure
        From `MomentForms.weights`.
    """

    def __init__(self, F: ProjectedFunction, questions: list[PairMeasure]) -> None:
        self.F, self._count = F, len(questions)
        self._measure = combined(questions)
        self._heavy = HeavyBallPairs(self._measure) if F.responses.momentum is not None else None

    @np.errstate(all="ignore")
    def values(self, q: Shaped[Array, " k"]) -> Shaped[Array, "k f"]:
        """All of them at z = 1 - q.

        Parameters
        ----------
        q : array, shape (k,)
        """
        chunks = [self._some(q[start : start + TOGETHER]) for start in range(0, q.size, TOGETHER)]
        return np.concatenate(chunks)

    def _some(self, q: Array) -> Array:
        x = solutions(*self.F.parts(q), 1.0 - q)
        if self._heavy is not None:
            return self._heavy.answers(x, q, *self.F.setting)
        kicks, started = self.F.sums(self._measure, q)
        kicks = kicks.reshape(self._count, x.shape[1], -1)
        return (started + (1.0 - q) * np.einsum("ka,fak->fk", x, kicks)).T

    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """The first of them, by the name that inversion knows.

        Parameters
        ----------
        q : array, shape (k,)
        """
        return self.values(q)[:, 0]


def combined(questions: list[PairMeasure]) -> PairMeasure:
    """Several questions as one measure.

    Parameters
    ----------
    questions : list of PairMeasure
        From `MomentForms.weights`.
    """
    kernel = np.concatenate([question.kernel for question in questions])
    source = np.concatenate([question.source for question in questions])
    return replace(questions[0], kernel=kernel, source=source)


def thinned(pairs: PairMeasure, questions: list[PairMeasure]) -> tuple[PairMeasure, HeavyBallPairs]:
    """The noise and the questions on few pairs of eigenvalues, for searches over heavy-ball SGD.

    Parameters
    ----------
    pairs : PairMeasure
        Of the noise.
    questions : list of PairMeasure
        From `MomentForms.weights`, under that noise.
    """
    few = skeleton(combined([pairs, *questions]), wide=True)
    rows, sources = pairs.kernel.shape[0], pairs.source.shape[0]
    noise = replace(few, kernel=few.kernel[:rows], source=few.source[:sources])
    return noise, HeavyBallPairs(replace(few, kernel=few.kernel[rows:], source=few.source[sources:]))


def handover(singular: Singularity, last: int) -> tuple[int, float]:
    """Up to which step the circle is needed, and what the hyperbola misses beyond, relative.

    Parameters
    ----------
    singular : Singularity
    last : int
        The last step.
    """
    gap = singular.shift - singular.unresolved_rate
    fade = FADED / gap if gap > FADED / LATEST else LATEST
    reach = int(min(last, max(ALWAYS_EARLY, fade)))
    return reach, 0.0 if reach == last else float(np.exp(-gap * reach))


def rule_at(F: ProjectedFunction, step: int) -> tuple[Rule, float]:
    """The rule for a single step, and the rate that it leaves out.

    Parameters
    ----------
    F : ProjectedFunction
    step : int
    """
    singular, steps = F.known_singularity(), np.array([step])
    if step <= handover(singular, step)[0]:
        return circle_rule(steps, singular.shift), singular.shift
    return rules(steps.astype(np.float64), singular.shift)[0], singular.shift


def form_values(
    forms: FormFunction, steps: Int[Array, " t"], mix: Float[Array, "t f"]
) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
    """A mixture of the questions at every step, and the estimated relative error of the computation.

    Early steps by the circle, later ones by the hyperbola, once what the latter does not see has faded.

    Parameters
    ----------
    forms : FormFunction
    steps : array, shape (t,)
        Ascending.
    mix : array, shape (t, f)
        The weight of every question at every step.

    Returns
    -------
    (array, array)
        inf where a value is outside the range of doubles.
    """
    singular = forms.F.known_singularity()
    shift = singular.shift
    reach, missed = handover(singular, int(steps[-1]))
    soon = int(np.searchsorted(steps, reach, side="right"))
    late = steps[soon:].astype(np.float64)
    result, error = np.zeros(steps.size), np.zeros(steps.size)
    if soon:
        result[:soon] = _applied(forms, [circle_rule(steps[:soon], shift)], mix[:soon])
    if late.size:
        fine, coarse = (_applied(forms, rules(late, shift, n), mix[soon:]) for n in (NODES, FEWER_NODES))
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.abs(fine - coarse) / np.abs(fine)
        result[soon:], error[soon:] = fine, np.maximum(np.nan_to_num(gap, nan=np.inf), missed)
    with np.errstate(over="ignore", invalid="ignore"):
        return result * np.exp(np.minimum(shift * steps, 1e4)), error


def _applied(forms: FormFunction, found: list[Rule], mix: Float[Array, "t f"]) -> Float[Array, " t"]:
    result = np.empty(mix.shape[0])
    for rule in found:
        result[rule.window] = (np.imag(rule.weights @ forms.values(rule.q)) * mix[rule.window]).sum(axis=1)
    return result
