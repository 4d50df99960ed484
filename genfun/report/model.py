"""The report as plain data: what is computed once and then shown as text, HTML, JSON and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfun._typing import Array, Float, Int
from genfun.answers.exponents.fit import PowerLawFit
from genfun.answers.exponents.spectrum_points import SpectrumPoints
from genfun.answers.stability import Limit
from genfun.answers.words.explain import Explanation


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
    tau1 : float
        Coupling of all modes through the loss.
    tau2 : float
        Correction on a mode's own noise.
    source : str
        "estimated from the data", "given" or "assumed".
    estimate : dict or None
        All fields of the fit to the data (`genfun.data.NoiseFit`); None without data.
    """

    tau1: float
    tau2: float
    source: str
    estimate: dict[str, float] | None


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
    at_tau2_plus : float
        alpha_max at tau1 = tau2 = 1 (translation-invariant data).
    at_tau2_minus : float
        alpha_max at tau1 = 1, tau2 = -1 (Gaussian features).
    popular : float
        The formula 2(1+beta)/lambda_max, which knows no batch.
    factor : float
        How many times too large the popular formula is; inf where no rate is stable.

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
    at_tau2_plus: float
    at_tau2_minus: float
    popular: float
    factor: float


@dataclass(frozen=True, eq=False)
class Curve:
    """A predicted loss curve.

    Attributes
    ----------
    batch_size : int or None
        b; None means the full batch.
    momentum : float
        beta.
    learning_rate : float
        alpha.
    share : float
        Learning rate as a share of the largest stable one.
    choice : str
        Why it is shown: "reference" (momentum 0, half the largest rate) or "best" (lowest final loss on the grid).
    steps : integer array, shape (t,)
        t.
    loss : array, shape (t,)
        E L(t).
    log_loss : array, shape (t,)
        Natural logarithm of the loss, which never under- or overflows.
    error : array, shape (t,)
        Estimated relative error of the computation.
    status : str
        Of the prediction, see `genfun.Prediction`.
    meaning : str
        The status in words.
    verdict : str
        "converges", "diverges" or "marginal".
    noise_gain : float
        U~(1); 1 is the edge of stability.
    floor : float
        Excess loss that label noise leaves at t = inf.
    final_at_tau2_plus : float
        Loss at the last step with tau1 = tau2 = 1.
    final_at_tau2_minus : float
        Loss at the last step with tau1 = 1, tau2 = -1.
    """

    batch_size: int | None
    momentum: float
    learning_rate: float
    share: float
    choice: str
    steps: Int[Array, " t"]
    loss: Float[Array, " t"]
    log_loss: Float[Array, " t"]
    error: Float[Array, " t"]
    status: str
    meaning: str
    verdict: str
    noise_gain: float
    floor: float
    final_at_tau2_plus: float
    final_at_tau2_minus: float


@dataclass(frozen=True)
class BestSetting:
    """The setting of least loss at one step, for one batch size.

    Attributes
    ----------
    batch_size : int or None
        b; None means the full batch.
    learning_rate : float
        alpha.
    momentum : float
        beta.
    step : int
        T.
    loss : float
        Predicted mean loss at T.
    at_tau2_plus : float
        The same at tau1 = tau2 = 1.
    at_tau2_minus : float
        The same at tau1 = 1, tau2 = -1.
    share_of_edge : float
        Learning rate as a share of the largest stable one.
    gain : float
        1 - loss / (least loss with momentum 0).
    learning_rate_range : (float, float)
        Where the loss is at most 5 % higher, the momentum kept.
    momentum_range : (float, float)
        The same for the momentum, the learning rate kept.
    bounds : tuple of str
        Bounds of the search that the setting sits on.
    """

    batch_size: int | None
    learning_rate: float
    momentum: float
    step: int
    loss: float
    at_tau2_plus: float
    at_tau2_minus: float
    share_of_edge: float
    gain: float
    learning_rate_range: tuple[float, float]
    momentum_range: tuple[float, float]
    bounds: tuple[str, ...]


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
    batch_size : int or None
        b; None means the full batch.
    momentum : float
        beta.
    learning_rate : float
        alpha.
    choice : str
        "reference" or "best" as for the curves, or "optimum" of the best settings.
    name : str or None
        See `genfun.Phase`; None where the spectrum has no exponents.
    exponent : float
        The loss tends to constant * t^-exponent.
    constant : float
        Its constant.
    transition_step : float
        Where batch noise takes over, or in a signal-dominated problem the signal; inf where one leads throughout.
    divergence_step : float
        Where the loss is least and begins to grow; inf if it converges.
    end_step : float
        Where a finite spectrum ends the power law; inf without end.
    notes : tuple of str
        What the infinite power law gets wrong here.
    """

    batch_size: int | None
    momentum: float
    learning_rate: float
    choice: str
    name: str | None
    exponent: float
    constant: float
    transition_step: float
    divergence_step: float
    end_step: float
    notes: tuple[str, ...]


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
    curves : tuple of Curve
        Two for each batch size; none where no learning rate is stable.
    best : tuple of BestSetting
        One for each batch size at which a learning rate is stable.
    costs : tuple of BatchCost
        One for each batch size; none where no loss can be aimed at.
    phases : tuple of SettingPhase
        Of the settings of the curves and of the best settings.
    explanation : Explanation or None
        One of the best settings in words; None if there are none.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.report import build
    >>> build(gf.PowerLaw(1.5, 0.5), batch_sizes=[None], momenta=[0.0], last_step=2)
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
    curves: tuple[Curve, ...]
    best: tuple[BestSetting, ...]
    costs: tuple[BatchCost, ...]
    phases: tuple[SettingPhase, ...]
    explanation: Explanation | None

    def __repr__(self) -> str:
        return (
            f"Report({self.target}: {len(self.limits)} largest learning rates, {len(self.curves)} loss curves, "
            f"{len(self.best)} best settings)"
        )
