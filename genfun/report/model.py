"""The report as plain data: what is computed once and then shown as text, HTML, JSON and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfun.answers.band import LossBand
from genfun.answers.best.advice import Advice
from genfun.answers.best.loss_map import LossMap
from genfun.answers.best.optimum import Optimum
from genfun.answers.exponents.fit import PowerLawFit
from genfun.answers.exponents.spectrum_points import SpectrumPoints
from genfun.answers.phase import Phase
from genfun.answers.predict import Prediction
from genfun.answers.stability import Limit, Stability
from genfun.answers.words.explain import Explanation
from genfun.data.noise_fit import NoiseFit
from genfun.methods.sgd import SGD
from genfun.noise import NoiseModel


@dataclass(frozen=True)
class DataSummary:
    """What the data are.

    Attributes
    ----------
    description : str
        In a line.
    n_samples : int or None
        N; None means streaming data.
    n_outputs : int or None
        Targets of a sample; None where only a spectrum is known.
    rank : int or None
        Modes with a positive eigenvalue; None means infinitely many.
    n_dropped : int
        Directions at rounding that were left out.
    lambda_max : float
        Largest eigenvalue of the Hessian.
    lambda_min : float
        Smallest positive eigenvalue; 0 for infinite spectra.
    trace : float
        Sum of the eigenvalues, possibly inf.
    noise_variance : float
        sigma^2, residual variance at the optimum; the loss never falls below half of it.
    initial_loss : float
        L(0).
    notes : tuple of str
        What a reader should know.
    """

    description: str
    n_samples: int | None
    n_outputs: int | None
    rank: int | None
    n_dropped: int
    lambda_max: float
    lambda_min: float
    trace: float
    noise_variance: float
    initial_loss: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NoiseSummary:
    """The batch noise that is assumed.

    Attributes
    ----------
    noise : SpectrallyExpressible or Noise
        The noise model.
    source : str
        "measured on the data", "exactly that of the data", "estimated from the data", "given" or "assumed".
    estimate : NoiseFit or None
        The fit to the data; None without data.
    """

    noise: NoiseModel
    source: str
    estimate: NoiseFit | None


@dataclass(frozen=True)
class RateLimit:
    """The largest stable learning rate of a batch size and a momentum.

    Attributes
    ----------
    batch_size : int or None
        b; None means the full batch.
    momentum : float
        beta.
    learning_rate : float
        alpha_max at the assumed noise.
    effective_learning_rate : float
        alpha_max/(1 - beta).
    limit : str
        What binds: "noise" (U~(1) = 1) or "curvature" (2(1+beta)/lambda_max).
    at_tau2_plus : float or None
        alpha_max at tau1 = tau2 = 1 (translation-invariant data); None where the noise is that of the data themselves.
    at_tau2_minus : float or None
        alpha_max at tau1 = 1, tau2 = -1 (Gaussian features); None where the noise is that of the data themselves.
    popular : float
        The formula 2(1+beta)/lambda_max, which knows no batch.
    factor : float
        How many times too large the popular formula is; inf where no rate is stable.
    noise_error : float
        Estimated relative error of alpha_max by what the noise model leaves out; nan where it does not know.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.report import rate_limit
    >>> rate_limit(gf.LinearProblem([1.0], [1.0]), 0.0, 1, gf.SpectrallyExpressible(1.0, -1.0)).factor
    3.0
    """

    batch_size: int | None
    momentum: float
    learning_rate: float
    effective_learning_rate: float
    limit: Limit
    at_tau2_plus: float | None
    at_tau2_minus: float | None
    popular: float
    factor: float
    noise_error: float


@dataclass(frozen=True, eq=False)
class SettingCurve:
    """A predicted loss curve.

    Attributes
    ----------
    prediction : Prediction
        The curve, from step 0 to the last.
    stability : Stability
        Whether the setting converges.
    share : float
        Learning rate as a share of the largest stable one.
    choice : str
        Why it is shown: "reference" (momentum 0, half the largest rate) or "best" (lowest final loss on the grid).
    last : LossBand or None
        Loss at the last step at tau2 = +1 and -1 (tau1 = 1); None where the noise is that of the data themselves.
    """

    prediction: Prediction
    stability: Stability
    share: float
    choice: str
    last: LossBand | None


@dataclass(frozen=True, eq=False)
class BestSetting:
    """The setting of least loss at one step, for one batch size.

    Attributes
    ----------
    optimum : Optimum
        From `genfun.optimize`.
    band : LossBand or None
        Its loss at tau2 = +1 and -1 (tau1 = 1); None where the noise is that of the data themselves.
    """

    optimum: Optimum
    band: LossBand | None


@dataclass(frozen=True)
class BatchCost:
    """Steps and samples to a loss, at the best learning rate without momentum.

    Attributes
    ----------
    batch_size : int or None
        b; None means the full batch.
    learning_rate : float
        The best; nan if the loss is never reached.
    loss : float
        The target.
    steps, samples : float
        K and K b; inf if the loss is never reached.
    noise_scale : float
        The gradient noise scale there, in samples; nan if it is never reached.
    """

    batch_size: int | None
    learning_rate: float
    loss: float
    steps: float
    samples: float
    noise_scale: float


@dataclass(frozen=True)
class SettingPhase:
    """The phase of a setting that the report shows.

    Attributes
    ----------
    method : SGD
        The setting.
    choice : str
        "reference" or "best" as for the curves, or "optimum" of the best settings.
    phase : Phase or None
        None where the spectrum has no exponents.
    """

    method: SGD
    choice: str
    phase: Phase | None


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Everything about a problem that can be said before training.

    Attributes
    ----------
    version : str
        Of genfun.
    target : str
        Name of what was asked about.
    inputs : dict
        How it was asked.
    data : DataSummary
        What the data are.
    spectrum : SpectrumPoints
        Eigenvalues and signal, log-spaced where there are more than a thousand.
    fit : PowerLawFit
        Exponents.
    noise : NoiseSummary
        Batch noise.
    limits : tuple of RateLimit
        Batch sizes times momenta.
    curves : tuple of SettingCurve
        Two for each batch size; none where no learning rate is stable.
    best : tuple of BestSetting
        One for each batch size at which a learning rate is stable.
    advice : Advice or None
        What to use at the middle one of the mini-batch sizes, or else with full batches; None if nothing is stable.
    costs : tuple of BatchCost
        One for each batch size; none where no loss can be aimed at.
    phases : tuple of SettingPhase
        Of the settings of the curves and of the best settings.
    explanation : Explanation or None
        The setting to use in words; None if there is none.
    chart : LossMap or None
        The loss over learning rate and momentum at its step and batch size; None if there is none.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.report import build
    >>> build(gf.PowerLaw(1.5, 0.5, n_modes=9), batch_sizes=[None], momenta=[0.0], last_step=2)
    Report(PowerLaw(nu=1.5, zeta=0.5,...): 1 largest learning rates, 2 loss curves, 1 best settings)
    """

    version: str
    target: str
    inputs: dict[str, Any]
    data: DataSummary
    spectrum: SpectrumPoints
    fit: PowerLawFit
    noise: NoiseSummary
    limits: tuple[RateLimit, ...]
    curves: tuple[SettingCurve, ...]
    best: tuple[BestSetting, ...]
    advice: Advice | None
    costs: tuple[BatchCost, ...]
    phases: tuple[SettingPhase, ...]
    explanation: Explanation | None
    chart: LossMap | None

    def __repr__(self) -> str:
        return (
            f"Report({self.target}: {len(self.limits)} largest learning rates, {len(self.curves)} loss curves, "
            f"{len(self.best)} best settings)"
        )
