"""How far the few vectors of a measured noise may be from all: what the last of them change of an answer."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.engine.loss_curve import automatic
from genfun.methods.base import Method
from genfun.sample_space.projection import PairMeasure

SAFETY, NEARBY, PART = 2.0, 3.0, 0.1
"""What an error estimate is of the change by the last vectors, within this factor of the step; and of the largest that
were met, `loss_error` and `error`."""
STEEPEST = 690.0
"""Logarithm of a factor that is called infinite."""
MOST_STEPS = 128
"""Steps of a curve whose errors are kept, at most."""
RECENT: WeakKeyDictionary[Any, ref[Any]] = WeakKeyDictionary()
"""The function of the last curve of a noise, while somebody holds it: its sums serve the error of that curve."""


class ErrorEstimate:
    """Errors of a noise on m vectors by its difference from that on the first m' of them.

    **Assumptions.** The vectors come in the order of their weight, so that those after the last would change less than
    those after m' do. A vector that none of the solutions behind the basis sees is not seen here.

    Attributes
    ----------
    pairs : PairMeasure
    basis : array, shape (N, m)
    fewer : int
        m'; 0 if the noise was not judged.
    error, loss_error : float
        Estimated relative errors of the edges and losses that were checked.
    sampling, leading, transform, once, looked_for_few : methods and property
        As of `genfun.sample_space.measured.MeasuredNoise`.
    """

    pairs: PairMeasure
    basis: Float[Array, "N m"]
    fewer: int
    error: float
    loss_error: float
    sampling: Any
    leading: Any
    transform: Any
    once: Any
    _close: Any

    @cached_property
    def coarser(self) -> Any:
        """The same on the first `fewer` vectors: what the others change tells how much more may be missing."""
        return replace(self, pairs=self.pairs.on_first(self.fewer), basis=self.basis[:, : self.fewer])  # pyright: ignore

    @property
    def _for_curves(self) -> Any:
        """`coarser` with the few pairs of this noise, the same for any vectors."""
        few: Any = self.coarser
        if "_close" not in vars(few):
            vars(few)["_close"] = few.pairs if self._close is self.pairs else self._close.on_first(self.fewer)
        return few

    def edge_error(self, method: Method) -> float:
        r"""Estimated relative error of the stability edge of a method; nan for a noise that was not judged.

        .. math:: e_\alpha = e + |\log\alpha_m/\alpha_{m'}|

        with e of `error`, and alpha_m' the edge on `coarser`.

        Parameters
        ----------
        method : Method
            Its learning rate is ignored.
        """
        if self.sampling(method) == 0.0:
            return 0.0
        return self.error + self.moved(method)

    def moved(self, method: Method) -> float:
        """What the last vectors change of an edge, in logarithms.

        Parameters
        ----------
        method : Method
            Its learning rate is ignored.
        """
        if not 0 < self.fewer < self.pairs.size:
            return 0.0
        return abs(float(np.log(self.leading(method).learning_rate / self.coarser.leading(method).learning_rate)))

    def _function(self, problem: Any, method: Method) -> Any:
        """The generating function, that of the last answer if it was asked for the same, with the sums it kept."""
        last = RECENT[self]() if self in RECENT else None
        if last is not None and last.problem is problem and (getattr(last, "average", None) or last.method) == method:
            return last
        return self.transform(problem, method)

    def loss_errors(
        self, problem: Any, method: Method, steps: Int[Array, " t"], log_losses: Float[Array, " t"]
    ) -> Float[Array, " t"]:
        r"""Estimated relative errors of the loss that the few vectors leave, at ascending steps.

        .. math:: e(t) = e_L(t) + \tfrac1{10}\,e\,\min\Big(t,\frac{U}{1-U}\Big)

        with e_L of `loss_changes`, e of `error`, U < 1 the noise gain. A loss is made of noise on the kicks of noise,
        U/(1-U) times over on average in the end and t times at most, and each time the error of the gain, which is that
        of the edge, is in it once more.

        Parameters
        ----------
        problem, method, steps, log_losses :
            As of `loss_changes`.
        """
        key = ("errors", method, problem.noise_variance, steps.tobytes(), log_losses.tobytes())
        find = partial(self._loss_errors, problem, method, steps, log_losses)
        return find() if steps.size > MOST_STEPS else self.once(key, find)

    def _loss_errors(self, problem: Any, method: Method, steps: Array, log_losses: Array) -> Array:
        found = self.loss_changes(problem, method, steps, log_losses)
        if not 0 < self.fewer < self.pairs.size:
            return found
        gain = float(self._function(problem, method).known_singularity().noise_gain)
        often = np.minimum(steps, gain / (1.0 - gain)) if gain < 1.0 else 0.0
        return found + PART * np.nan_to_num(self.error, nan=0.0) * often

    def loss_changes(
        self, problem: Any, method: Method, steps: Int[Array, " t"], log_losses: Float[Array, " t"]
    ) -> Float[Array, " t"]:
        r"""What the last vectors change of the loss, at ascending steps, and a part of what they did elsewhere.

        .. math:: e_L(t) = 2\max_{t/3 \le t' \le 3t} |\log L_m(t') - \log L_{m'}(t')| + e_0

        with L_m' the loss on the first vectors alone, `coarser`. Differences change their sign with the step, hence the
        largest nearby; e_0 is a part of the largest that was met at `LOSSES`.

        Parameters
        ----------
        problem : Problem
            That of the data.
        method : Method
        steps : integer array, shape (t,)
            Ascending, without repeats.
        log_losses : array, shape (t,)
            The losses on all vectors.

        Returns
        -------
        array, shape (t,)
            nan for a noise that was not judged.
        """
        if not 0 < self.fewer < self.pairs.size:
            return self.estimated(steps, log_losses, log_losses)
        function, own = self._function(problem, method), cast(Any, self)
        with np.errstate(invalid="ignore", over="ignore"):
            few = self._for_curves if own.looked_for_few else self.coarser
            coarse = automatic(function.on_first(few).excited(), steps).loss.log()
        return self.estimated(steps, log_losses, coarse)

    def estimated(
        self, steps: Int[Array, " t"], log_losses: Float[Array, " t"], coarse: Float[Array, " t"]
    ) -> Float[Array, " t"]:
        """The errors of `loss_changes` from the losses on `coarser`, however these were found.

        Parameters
        ----------
        steps : integer array, shape (t,)
            Ascending, without repeats.
        log_losses, coarse : array, shape (t,)
            The losses on all vectors, and on the first.
        """
        if not self.fewer:
            return np.where(steps > 0, np.nan, 0.0)
        if self.fewer == self.pairs.size:
            return np.where(steps > 0, self.loss_error, 0.0)
        with np.errstate(invalid="ignore", over="ignore"):
            # A loss on fewer vectors that is lost in rounding next to that on all of them is far from it.
            lost = np.isnan(coarse) & np.isfinite(log_losses)
            moved = np.where(lost, STEEPEST, np.nan_to_num(np.abs(coarse - log_losses), nan=0.0))
            low = np.searchsorted(steps, steps / NEARBY)
            high = np.searchsorted(steps, steps * NEARBY, side="right")
            largest = np.array([moved[i:j].max() for i, j in zip(low, high, strict=True)])
            error = np.expm1(np.minimum(SAFETY * largest, STEEPEST)) + PART * self.loss_error
        return np.where(steps > 0, error, 0.0)
