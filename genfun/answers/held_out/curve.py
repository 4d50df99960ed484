"""The loss on held-out samples at any step, for any setting."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.answers.held_out.directions import held_out_features
from genfun.answers.held_out.ridge import best_ridge
from genfun.case import Case
from genfun.data import _arrays
from genfun.data.linear import LinearData
from genfun.engine.powers import mean_path
from genfun.engine.settings import Settings
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.methods.sgd import SGD
from genfun.sample_space.basis import orthonormal_basis
from genfun.sample_space.fast_pairs import HeavyBallPairs
from genfun.sample_space.many_settings import Asked, projected_losses_at
from genfun.sample_space.measured import MeasuredNoise, project
from genfun.sample_space.moment_forms import FormFunction, MomentForms, form_values, thinned
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.sample_space.projection import PairMeasure
from genfun.sample_space.residuals import loss_residual
from genfun.schedules.scheduled_sgd import ScheduledSGD

PACES = (1e-4, 1e-2, 0.3)
"""Rates 1/(2 alpha_eff t), over the largest eigenvalue, at which the mean path's own squares join the basis."""
BELIEVED = 0.1
"""Estimated relative error up to which a search takes a number."""
NEAR = 1.01
"""Losses up to this many times the least are as good."""
JUDGED, SAFETY = 4, 2.0
"""Steps at which the projection is judged, and by how much more single steps may err than the average about them."""
TOGETHER = 1 << 24
"""Numbers, steps times samples times outputs, that are kept at once."""


def check_held_out(data: LinearData, method: Method, name: str) -> None:
    """Refuse what no held-out loss is derived for.

    Parameters
    ----------
    data : LinearData
    method : Method
    name : str
        Of the answer.
    """
    if not isinstance(data, LinearData):
        raise TypeError(f"{name} needs the data, a LinearData, got {type(data).__name__}; a spectrum has no samples")
    if isinstance(method, ScheduledSGD):
        raise ValueError(f"{name} takes constant hyperparameters, got a ScheduledSGD; pass an SGD")
    Case.of(data, method, "exact")


class HeldOutCurve:
    r"""Held-out losses of one data set, for any method and step.

    .. math:: L_{test}(t) = \frac{1}{2N_{test}}\sum_i|\varphi_i^T m_t - e_i|^2
              + \tfrac12\operatorname{tr}(H_{test}\operatorname{Cov}_t),\qquad
              e_i = y_i - \varphi_i^T w^*

    The mean path m_t is exact. The covariance is that of the noise projected on the vectors of the measured noise and
    on few more: what H_test asks for at small rates, and the squares of the mean path at `PACES`.

    **Assumptions.** Fresh batches, constant hyperparameters, w_0 = 0. Time does not grow with the step.

    Parameters
    ----------
    data : LinearData
        Training samples.
    X_test, y_test, X_train : Any
        As for `predict_test`.
    """

    def __init__(self, data: LinearData, X_test: Any, y_test: Any, X_train: Any = None) -> None:
        self.data = data
        self.phi = held_out_features(data, X_test, X_train)
        self.n_test = n = self.phi.shape[0]
        table = _arrays.targets("y_test", y_test, n)
        self.targets = _arrays.block("y_test", table, slice(0, n))
        if self.targets.shape[1] != data.n_outputs:
            raise ValueError(f"y_test must have the {data.n_outputs} outputs of the data, got {self.targets.shape[1]}")
        self.rest = self.targets - self.phi @ data.coefficients
        self.gram = self.phi.T @ self.phi / n

    @cached_property
    def noise(self) -> MeasuredNoise:
        """The measured noise on the further vectors, too."""
        features, lam = SampleFeatures(self.data.eigenfeatures, self.data.eigenvalues), self.data.eigenvalues
        j, k = features.pair_index
        twice, start = 2.0 - (j == k), self.data.coefficients @ self.data.coefficients.T
        sums = lam[j] + lam[k]
        vectors = [features.quadratic(twice * self.gram[j, k] / sums)]
        vectors += [features.quadratic(twice * start[j, k] / (pace * lam[0] + sums)) for pace in PACES]
        known = self.data.measured_noise
        return project(self.data, orthonormal_basis(features, [*known.basis.T, *vectors]))

    @cached_property
    def forms(self) -> MomentForms:
        """What can be asked about the second moments under that noise."""
        return MomentForms(self.data, self.noise)

    @cached_property
    def _question(self) -> Any:
        return self.forms.weights(self.gram)

    @cached_property
    def ridge(self) -> tuple[float, float]:
        """The held-out loss of ridge regression, and its penalty, of least leave-one-out loss."""
        found = best_ridge(self.data)
        rest = self.targets - self.phi @ found.coefficients(self.data)
        return 0.5 * float((rest**2).sum()) / self.n_test, found.penalty

    @cached_property
    def _thin(self) -> tuple[PairMeasure, HeavyBallPairs]:
        return thinned(self.noise.pairs, [self._question])

    def many(self, rates: Array, momenta: Array, batch_size: int | None, step: int) -> Float[Array, " S"]:
        """Losses of many settings of heavy-ball SGD at one step, for searches: to about 1e-4.

        Parameters
        ----------
        rates, momenta : array, shape (S,)
        batch_size : int or None
        step : int
            t > 0.
        """
        at = np.array([step])
        with np.errstate(over="ignore", invalid="ignore"):
            found = [self.mean_losses(SGD(a, b), at) for a, b in zip(rates.tolist(), momenta.tolist(), strict=True)]
        mean, squares = np.concatenate(found, axis=1)
        setting = (rates, momenta, batch_size)
        return mean + added_by_noise(self.data, self._thin, np.ones((rates.size, 1)), squares, setting, step)

    def mean_losses(self, method: Method, steps: Int[Array, " t"]) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        """The loss of the mean path, exactly, and its part m^T H_test m.

        Parameters
        ----------
        method : Method
        steps : array, shape (t,)
        """
        losses, squares = np.empty(steps.size), np.empty(steps.size)
        together = max(1, TOGETHER // (self.data.n_outputs * max(self.n_test, self.data.rank)))
        for start in range(0, steps.size, together):
            some = slice(start, start + together)
            left = mean_path(method, self.data.eigenvalues, steps[some])
            # One product of whole matrices: samples by (steps, outputs).
            paths = left.T[:, :, None] * self.data.coefficients[:, None, :]
            moved = (self.phi @ paths.reshape(self.data.rank, -1)).reshape(self.n_test, *paths.shape[1:])
            losses[some] = 0.5 * ((moved + self.rest[:, None]) ** 2).sum(axis=(0, 2)) / self.n_test
            squares[some] = (moved**2).sum(axis=(0, 2)) / self.n_test
        return losses, squares

    def noise_losses(self, method: Method, steps: Int[Array, " t"], squares: Float[Array, " t"]) -> Float[Array, " t"]:
        """What batch noise adds, inf where it diverges beyond doubles.

        Parameters
        ----------
        method : Method
        steps : array, shape (t,)
            Ascending.
        squares : array, shape (t,)
            From `mean_losses`.
        """
        if self.noise.sampling(method) == 0.0:
            return np.zeros(steps.size)
        F = ProjectedFunction(self.noise, self.data.problem, method, few=False)
        values, _ = form_values(FormFunction(F, [self._question]), steps, np.ones((steps.size, 1)))
        with np.errstate(invalid="ignore"):
            noise = np.nan_to_num(0.5 * np.maximum(values - squares, 0.0), nan=np.inf, posinf=np.inf)
        return np.where(steps > 0, noise, 0.0)

    def losses(self, method: Method, steps: Int[Array, " t"]) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        """Mean held-out losses, and those of the mean path.

        Parameters
        ----------
        method : Method
        steps : array, shape (t,)
            Ascending.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean, squares = (np.nan_to_num(x, nan=np.inf, posinf=np.inf) for x in self.mean_losses(method, steps))
        return mean + self.noise_losses(method, steps, squares), mean

    def noise_errors(
        self,
        method: Method,
        steps: Int[Array, " t"],
        losses: Float[Array, " t"],
        means: Float[Array, " t"],
        training: Float[Array, " t"],
    ) -> Float[Array, " t"]:
        """Estimated relative errors by what the projection leaves out, from products with the exact operator.

        The largest of those at `JUDGED` steps, relative to what noise adds, counts for all, but no less than that
        of the losses of training: residuals see too little where rare rows carry the noise (a seventh, on categories).

        Parameters
        ----------
        method : Method
        steps : array, shape (t,)
            Ascending.
        losses, means : array, shape (t,)
            From `losses`.
        training : array, shape (t,)
            Those of the losses on the samples that are trained on.
        """
        some = steps[steps > 0]
        if self.noise.sampling(method) == 0.0 or some.size == 0:
            return np.zeros(steps.size)
        features = SampleFeatures(self.data.eigenfeatures, self.data.eigenvalues)
        j, k = features.pair_index
        at = np.unique(np.rint(np.geomspace(some[0], some[-1], JUDGED)))
        moments = self.forms.packed
        found = [
            loss_residual(self.data, features, self.noise, method, t, moments, self.gram[j, k])[1] for t in at.tolist()
        ]
        relative = np.maximum(SAFETY * max(found), np.nan_to_num(training, nan=0.0, posinf=np.inf))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (losses - means) / losses
        return np.where(steps > 0, np.nan_to_num(relative * share, nan=0.0), 0.0)


def added_by_noise(
    data: LinearData,
    thin: tuple[PairMeasure, HeavyBallPairs],
    mix: Float[Array, "S f"],
    squares: Float[Array, " S"],
    setting: tuple[Array, Array, int | None],
    step: int,
) -> Float[Array, " S"]:
    """What batch noise adds to the losses of many settings, inf where the search does not believe it.

    Parameters
    ----------
    data : LinearData
    thin : (PairMeasure, HeavyBallPairs)
        From `thinned`.
    mix : array, shape (S, f)
        The weight of every question in every setting.
    squares : array, shape (S,)
        The same mixture of the questions about the mean path.
    setting : (array, array, int or None)
        Learning rates, momenta and the batch size.
    step : int
        t > 0.
    """
    rates, momenta, batch_size = setting
    family = Family()
    settings = Settings.of(data.problem, family, rates, momenta, batch_size, data.measured_noise)
    if not settings.gamma.any():
        return np.zeros(rates.size)
    found, error = projected_losses_at(thin[0], settings, step, Asked(thin[1], mix))
    values = np.where(error <= BELIEVED, found.value(), np.inf)
    return np.maximum(0.5 * (values - squares), 0.0)


def best_of(losses: Any, steps: Int[Array, " t"], known: Float[Array, " t"]) -> tuple[int, float, tuple[int, int]]:
    """The step of least loss between steps that were looked at, its loss, and the steps of up to 1 % more about it.

    The gaps beside the best step are filled with 16 more, again and again, until nothing lies between.

    Parameters
    ----------
    losses : callable
        Losses at ascending steps.
    steps, known : array, shape (t,)
        Ascending steps, and the losses there.
    """
    found = dict(zip(steps.tolist(), known.tolist(), strict=True))
    while True:
        at = np.array(sorted(found))
        values = np.array([found[int(t)] for t in at])
        i = int(np.argmin(values))
        low, high = _range(values <= NEAR * values[i], i)
        spans = [(at[max(i - 1, 0)], at[min(i + 1, at.size - 1)])]
        # Where the range ends is wanted to a few per cent only.
        ends = [j for j in (low - 1, high) if 0 <= j < at.size - 1 and at[j + 1] - at[j] > max(1, at[j] // 20)]
        spans += [(at[j], at[j + 1]) for j in ends]
        new = np.unique(np.concatenate([np.linspace(a, b, 18).astype(np.int64) for a, b in spans]))
        new = np.setdiff1d(new, at)
        if new.size == 0:
            return int(at[i]), float(values[i]), (int(at[low]), int(at[high]))
        found.update(zip(new.tolist(), losses(new).tolist(), strict=True))


def _range(near: Array, i: int) -> tuple[int, int]:
    """First and last of the consecutive ones about i that are near."""
    far = np.flatnonzero(~near)
    before, after = far[far < i], far[far > i]
    return int(before[-1]) + 1 if before.size else 0, int(after[0]) - 1 if after.size else near.size - 1


def looked_at(wanted: Int[Array, "..."], every: int = 64, points: int = 64) -> Int[Array, " t"]:
    """Early steps one by one, later ones evenly in log t, and those asked for; ascending.

    Parameters
    ----------
    wanted : array, any shape
    every : int
        Up to this step all are looked at.
    points : int
        How many later ones.
    """
    last = _check.steps(wanted).max()
    later = np.geomspace(max(every, 1), max(last, every), points).astype(np.int64)
    grid = np.concatenate((np.arange(min(last, every) + 1), later[later <= last]))
    return np.unique(np.concatenate((wanted.ravel(), grid)))
