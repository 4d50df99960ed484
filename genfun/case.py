"""What every answer is asked about: a problem or data, a method, and a noise model, resolved once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from genfun import _check
from genfun.data.linear import LinearData
from genfun.engine.dispatch import transform
from genfun.noise import NoiseModel, SpectrallyExpressible, sampling_factor
from genfun.problems.measured_spectrum import MeasuredSpectrum
from genfun.problems.problem import Problem
from genfun.sample_space.scheduled_steps import ScheduledLosses, scheduled_steps
from genfun.schedules.scheduled_sgd import ScheduledSGD
from genfun.softmax.data import SoftmaxData

NoiseName = Literal["measured", "exact", "fitted"]
NoiseChoice: TypeAlias = NoiseModel | NoiseName | None
"""What answers take for a noise model: one, the name of one of the data's own, or None for the best that there is."""

NAMES: dict[str, str] = {
    "measured": "that of the data, kept in a few vectors of sample space",
    "exact": "that of the data, nothing left out",
    "fitted": "tau1 and tau2 fitted to the fourth moments of the data",
}
STANDS_IN = ", by constants fitted to the data's noise"
"""What a result adds to its repr where fitted constants stand for the noise of data: `Case.stand_in` is a note then."""

NOT_ASKED: Any = object()
"""In place of a method, where an answer is about none."""


@dataclass(frozen=True, eq=False)
class Case:
    """A problem, a method and a noise model.

    Parameters
    ----------
    problem : Problem
        The spectrum.
    noise : SpectrallyExpressible or Noise
        The noise model.
    method : Method, ScheduledSGD or None
        The setting, where one is asked about.
    data : LinearData or None
        The samples, where they were given.
    """

    problem: Problem
    noise: NoiseModel
    method: Any = None
    data: LinearData | None = None

    @classmethod
    def of(
        cls,
        problem: Problem | LinearData,
        method: Any = NOT_ASKED,
        noise: NoiseChoice = None,
        only_expressible: str = "",
        knows_options: bool = False,
        knows_schedules: bool = False,
    ) -> Case:
        """Resolve what was given: data bring their spectrum, and their own noise unless another is asked for.

        Parameters
        ----------
        problem : Problem or LinearData
        method : Method or ScheduledSGD
            Left out by answers that are about no single one; None is refused as any other that is no method.
        noise : SpectrallyExpressible, Noise, "measured", "exact", "fitted" or None
            None is the measured noise of data, the constants that a MeasuredSpectrum may have, and tau1 = tau2 = 1 for
            a bare spectrum.
        only_expressible : str
            The name of an answer that is derived for spectrally expressible noise alone: data then bring their fitted
            constants, and another noise model is refused in this name. With `knows_options` the data's own noise is
            known to it too, and is what data bring.
        knows_options : bool
            Whether the answer knows averaged weights, weight decay and dampening, which most refuse. They are derived
            for spectrally expressible noise and for that of data.
        knows_schedules : bool
            Whether the answer knows a ScheduledSGD.

        Raises
        ------
        ValueError
            If a noise of data is asked for without data, or a name is unknown, or the answer knows no such noise.
        TypeError
            If an argument is of the wrong kind.
        """
        if isinstance(problem, SoftmaxData):
            raise TypeError(
                f"problem is a SoftmaxData, and {only_expressible or 'this answer'} is derived for squared loss; "
                "predict, max_learning_rate, steps_to_loss, optimize and explain take it, and its .squared is least "
                "squares on the same features"
            )
        if method is NOT_ASKED:
            method = None
        elif not (knows_schedules and isinstance(method, ScheduledSGD)):
            _check.method(method)
        data = problem if isinstance(problem, LinearData) else None
        spectrum: Any = problem if data is None else data.problem
        options = getattr(method, "options", "") if _is_constant(method) else ""
        own = (options or only_expressible) if knows_options else only_expressible
        constants = spectrum.noise if isinstance(spectrum, MeasuredSpectrum) else None
        model = _named(noise, data, "" if knows_options else only_expressible, constants)
        _check.setting(spectrum, method if _is_constant(method) else None, model, knows_options)
        known = isinstance(model, SpectrallyExpressible) or (knows_options and getattr(model, "knows_options", False))
        if own and not known:
            also = " and that of data" if knows_options else ""
            raise ValueError(
                f"{own} is derived for spectrally expressible noise{also or ' only'}, got noise={noise!r}; "
                "pass a SpectrallyExpressible, or noise='fitted' with data"
            )
        return cls(spectrum, model, method, data)

    @property
    def expressible(self) -> SpectrallyExpressible:
        """The noise model, where only a spectrally expressible one was let in, or a full batch has none."""
        if isinstance(self.noise, SpectrallyExpressible):
            return self.noise
        assert self.method.batch_size is None
        return SpectrallyExpressible()

    @property
    def stand_in(self) -> str:
        """Which noise stands for that of data in an answer that is derived for constants alone; "" if none does."""
        quiet = _is_constant(self.method) and self.method.batch_size is None
        if quiet or self.data is None or not isinstance(self.noise, SpectrallyExpressible):
            return ""
        if self.noise != self.data.noise:
            return ""
        constants = f"tau1 = {self.data.noise.tau1:.3g} and tau2 = {self.data.noise.tau2:.3g}"
        return f"constants fitted to the data, {constants}, stand here for their own noise, which predictions know"

    @property
    def gamma(self) -> float:
        """The sampling factor."""
        m = self.method
        return sampling_factor(m.batch_size, self.problem.n_samples, m.replacement)

    @property
    def initial_loss(self) -> float:
        """L(0)."""
        return 0.5 * (self.problem.signal_total + self.problem.noise_variance)

    @property
    def label_noise(self) -> float:
        """What no weights can lower the loss below, sigma^2/2."""
        return 0.5 * self.problem.noise_variance

    @property
    def has_finite_trace(self) -> bool:
        """Whether some learning rate is stable with mini-batches."""
        return not np.isinf(self.problem.trace)

    @property
    def explodes(self) -> bool:
        """Whether the loss is infinite from the first step on: an infinite sum of squared eigenvalues, and batches."""
        noisy = self.method.batch_size is not None if isinstance(self.method, ScheduledSGD) else self.gamma > 0.0
        return bool(np.isinf(self.problem.capacity_total)) and noisy

    def scheduled_run(self, last: int) -> ScheduledLosses | None:
        """The losses under a schedule and the data's own noise, one after the other; None where a spectrum is enough.

        Parameters
        ----------
        last : int
            Number of steps.
        """
        if isinstance(self.noise, SpectrallyExpressible) or self.method.batch_size is None:
            return None
        return scheduled_steps(self.noise, self.problem, self.data, self.method, last)  # pyright: ignore

    @property
    def transform(self) -> Any:
        """The generating function of the loss."""
        return transform(self.problem, self.method, self.noise)


def _is_constant(method: Any) -> bool:
    return method is not None and not isinstance(method, ScheduledSGD)


def _named(
    noise: NoiseChoice, data: LinearData | None, only_expressible: str, constants: SpectrallyExpressible | None
) -> NoiseModel:
    """The noise model that was asked for; `constants` are those that a spectrum brings."""
    if noise is None:
        if data is None:
            return constants or SpectrallyExpressible()
        noise = "fitted" if only_expressible else "measured"
    if not isinstance(noise, str):
        return noise
    if noise not in NAMES:
        raise ValueError(f"noise must be a noise model or one of {', '.join(map(repr, NAMES))}, got {noise!r}")
    if data is None and noise == "fitted" and constants is not None:
        return constants
    if data is None:
        raise ValueError(f"noise={noise!r} needs the data; pass the LinearData in place of its problem")
    if noise == "fitted":
        return data.noise
    if only_expressible:
        raise ValueError(
            f"{only_expressible} is derived for spectrally expressible noise only, got noise={noise!r}; "
            "use noise='fitted'"
        )
    return data.measured_noise if noise == "measured" else data.exact_noise
