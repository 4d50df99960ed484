"""What every route to the loss needs of a generating function, whatever the noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array, Bool, Shaped
from genfun.engine.tall_contour import FINE, Spacing
from genfun.methods.base import Method
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem
from genfun.scaled import EPS, Scaled

Measures = tuple[SpectralMeasure, SpectralMeasure]
"""Capacity and signal measures."""

NEXT_TO_POLE = 1e-150
"""1 - z beside the pole of label noise, where that outweighs all else."""
SOLVED = 64.0 * EPS
"""Rounding of a limit where the noise gain is far from 1."""


@runtime_checkable
class Stepper(Protocol):
    """The mean loss step by step."""

    @property
    def size(self) -> int:
        """Numbers that a step touches, in units of those of one mode: what the cost of a step is proportional to."""
        ...

    def losses(self, until: int) -> Scaled:
        """Losses from the first step not asked for yet to `until`, inclusive.

        Parameters
        ----------
        until : int
        """
        ...


class Transform(ABC):
    r"""The generating function of the mean loss of a method on a problem, under some noise.

    .. math:: \tilde L(z) = \sum_t L(t) z^t = r^T\,(I - z K(z))^{-1}\, b(z)

    with a noise matrix K of any size: 1 x 1 for spectrally expressible noise, modes x modes for diagonal fourth
    moments, samples x samples for the exact noise of data.

    Attributes
    ----------
    problem : Problem
    method : Method
    gamma : float
        The sampling factor.
    extended : bool
        Whether `regular` works in the precision of what it is given.
    levels : bool
        Whether the loss comes near the floor of label noise as fast as the noise gain has it, and no further state is
        slower.
    by_roots : bool
        Whether what lies off the real axis lies near products of two modes' roots, so that a contour can be drawn
        around it.
    most_turned : float
        Radians up to which modes that have turned are told apart (`resolved`).
    spacing : Spacing
        Of the nodes of that contour.
    """

    problem: Problem
    method: Method
    gamma: float
    extended: bool = False
    levels: bool = True
    by_roots: bool = False
    most_turned: float = np.inf
    spacing: Spacing = FINE

    @abstractmethod
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q; giving q loses nothing where z is close to 1.

        Parameters
        ----------
        q : complex array, shape (k,)
        """

    @abstractmethod
    def regular(self, p: Shaped[Array, " k"]) -> tuple[Bool[Array, " k"], Shaped[Array, " k"]]:
        """Whether z = exp(-p) lies left of every singularity on the real axis, judged there alone, and the noise gain.

        The gain is the largest eigenvalue of z K(z); inf where a single mode has no stationary state.

        Parameters
        ----------
        p : array, shape (k,)
        """

    @abstractmethod
    def stepper(self, phase: float, last: int) -> Stepper:
        """The direct recursion, for steps up to `last`.

        Parameters
        ----------
        phase : float
            Modes that turn by up to 2 * phase within the run are to be resolved.
        last : int
        """

    @property
    def turning(self) -> float:
        """By how much a mode's angle may change in a step, per change of log lambda: at most 1."""
        return 1.0

    @property
    def measures(self) -> Measures:
        """The measures whose nodes have the modes' own singularities."""
        return self.problem.measures()

    @abstractmethod
    def floor(self) -> float:
        """The excess loss that label noise leaves at the end, where the mean loss converges."""

    def floor_error(self) -> float:
        """The relative rounding error of the floor, which grows as the noise gain comes close to 1."""
        return 0.0

    def limit(self) -> float:
        """What the generating function's coefficients tend to in the end: the loss that label noise leaves."""
        return 0.5 * self.problem.noise_variance + self.floor()

    @property
    def has_limit(self) -> bool:
        """Whether a converging loss is left with label noise or a bias: a pole at z = 1."""
        return self.problem.noise_variance > 0.0 and self.gamma > 0.0

    @property
    def keeps(self) -> bool:
        """Whether something next to the modes never fades, so that the moments of the mode and it do so slowly."""
        return self.problem.noise_variance > 0.0

    def settling_rate(self, singular: Any) -> float:
        """The rate per step at which the limit is approached, negative where the loss converges.

        Parameters
        ----------
        singular : Singularity
        """
        return singular.rate

    def known_singularity(self) -> Any:
        """The `Singularity` where there is a quicker way than by values on the real axis, else None."""
        return None

    def same(self) -> Any:
        """What tells this function from others of its problem, hashable; None where nothing does."""
        return None

    def known_curve(self, steps: Any, singular: Any) -> Any:
        """The `LossCurve` at ascending steps, where this function has a route of its own to it, else None.

        Parameters
        ----------
        steps : array, shape (t,)
        singular : Singularity
        """
        return None

    def excited(self) -> Transform:
        """The same function without modes that never move: those without signal, where no noise reaches them."""
        return self

    def off_axis_rate(self, above: float) -> float:
        """log of the largest modulus of an eigenvalue off the positive real axis that noise gives the modes' moments.

        Parameters
        ----------
        above : float
            A bound by single modes that is no larger is good enough; a larger one is replaced by that of the modes
            coupled by their noise.
        """
        return -np.inf

    def narrowed(self, step: float) -> Transform:
        """The same function with what has hardly moved by `step` merged; itself where that gains nothing.

        Parameters
        ----------
        step : float
        """
        return self

    def resolved(self, turned: float, step: float) -> Transform:
        """The function at points near the oscillating modes, where those must be told apart.

        Parameters
        ----------
        turned : float
            Radians by which modes have turned.
        step : float
            Largest step.
        """
        return self

    @property
    def memory(self) -> float:
        """1 - the largest modulus of what the method remembers at a = 0, apart from w itself: rounding grows with 1/it.

        For the heavy ball 1 - abs(momentum).
        """
        return memory(type(self.method), self.method.hyperparameters)

    @property
    def gain_is_bounded(self) -> bool:
        """Whether an infinite spectrum leaves the noise gain finite."""
        return not (np.isinf(self.problem.trace) or np.isinf(self.problem.capacity_total))


def residue(G: Transform) -> float:
    """The limit of what a function generates, from its value beside the pole at z = 1.

    Parameters
    ----------
    G : Transform
    """
    return float(G.loss(np.array([NEXT_TO_POLE]))[0] * NEXT_TO_POLE)


def solved_limit_error(G: Transform) -> float:
    """The relative rounding error of a limit that is found by solving an equation: it grows next to the edge.

    Parameters
    ----------
    G : Transform
    """
    return SOLVED / max(1.0 - float(G.regular(np.zeros(1))[1][0]), SOLVED)


@lru_cache(maxsize=256)
def memory(kind: type[Any], hyperparameters: tuple[float, ...]) -> float:
    """1 - the largest modulus below 1 of an eigenvalue of the update matrix at a = 0.

    Parameters
    ----------
    kind : type
        Class of the method.
    hyperparameters : tuple of float
    """
    rows, _ = kind.update(0.0, *hyperparameters)
    moduli = np.abs(np.linalg.eigvals(np.array(rows, dtype=np.float64)))
    # w itself is kept for ever; a second eigenvalue at 1 would be a method that never forgets its first gradient.
    return float(1.0 - max((x for x in np.sort(moduli)[:-1] if x < 1.0), default=0.0))


@lru_cache(maxsize=256)
def slowness(kind: type[Any], hyperparameters: tuple[float, ...]) -> float:
    """Largest decay of a mode per step and unit a, max (1 - rho(T(a)))/a: 1/(1-beta) for the heavy ball.

    Parameters
    ----------
    kind : type
        Class of the method.
    hyperparameters : tuple of float
    """
    a = np.geomspace(1e-12, 1e-2, 11)
    matrices = [np.array(kind.update(x, *hyperparameters)[0], dtype=np.float64) for x in a]
    radius = np.abs(np.linalg.eigvals(np.stack(matrices))).max(axis=1)
    return float(((1.0 - radius) / a).max())


def still_below(method: Method, step: float) -> float:
    """Eigenvalues below this have hardly moved by a step.

    Parameters
    ----------
    method : Method
    step : float
    """
    return hardly_moved(type(method), method.learning_rate, method.hyperparameters, step)


def hardly_moved(kind: type[Any], rate: float, hyperparameters: tuple[float, ...], step: float) -> float:
    """As `still_below`, of a learning rate and further hyperparameters of a class.

    Parameters
    ----------
    kind : type
    rate : float
    hyperparameters : tuple of float
    step : float
    """
    return 1e-3 / (2.0 * max(slowness(kind, hyperparameters), 1e-3) * rate * step)


def merged_below(measures: Measures, below: float) -> Measures:
    """Measures with what lies below an eigenvalue merged into three nodes; themselves where nothing does.

    Parameters
    ----------
    measures : (SpectralMeasure, SpectralMeasure)
    below : float
    """
    capacity, signal = measures
    if below <= min(capacity.nodes.min(), signal.nodes.min()):
        return measures
    return capacity.lump(below), signal.lump(below)
