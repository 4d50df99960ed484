"""Everything the report says, computed before anything is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from genfun import _check
from genfun._typing import Array, Progress
from genfun._version import __version__
from genfun.answers.band import loss_band
from genfun.answers.best._search import quick
from genfun.answers.exponents.fit import fit_power_law
from genfun.answers.exponents.spectrum_points import spectrum_points
from genfun.answers.predict import predict
from genfun.answers.stability import stability
from genfun.answers.words.explain import phase_or_none
from genfun.answers.words.noise import SOURCES
from genfun.answers.words.problem import problem_words
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.many import losses_at
from genfun.engine.settings import Settings
from genfun.methods.family import Family
from genfun.methods.sgd import SGD
from genfun.noise import NoiseModel, SpectrallyExpressible, sampling_factor
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import LinearProblem, Problem
from genfun.report.batch_costs import batch_costs
from genfun.report.best_settings import best_settings, chart_about, in_words, to_use
from genfun.report.limits import rate_limit
from genfun.report.model import DataSummary, NoiseSummary, RateLimit, Report, SettingCurve, SettingPhase

BATCH_SIZES = (1, 10, 100, 1000)
MOMENTA = (-0.5, 0.0, 0.5, 0.9)
LAST_STEP = 10**6
BEST_STEP = 1000
SHARES = (0.25, 0.5, 0.75)
"""Learning rates tried, as shares of the largest stable one."""
STEPS_PER_DECADE = 10


def build(
    source: LinearData | LinearProblem | PowerLaw,
    noise: NoiseChoice = None,
    batch_sizes: Sequence[int | None] | None = None,
    momenta: Sequence[float] = MOMENTA,
    last_step: int = LAST_STEP,
    best_step: int | None = None,
    noise_variance: float | None = None,
    target: str = "",
    inputs: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    r"""Spectrum, exponents, noise, largest rates, loss curves, best settings, batch sizes and phases of a problem.

    **Assumptions.** Those of the noise model; heavy-ball SGD with constant settings. For each batch size two
    curves: momentum 0 at half the largest stable rate; and the setting with the lowest loss at the last step among
    the momenta and 1/4, 1/2 and 3/4 of the largest stable rate. The best settings are those of `optimize` at
    best_step; that of the middle mini-batch size is explained in words.

    Parameters
    ----------
    source : LinearData, LinearProblem or PowerLaw
        Data, or a spectrum.
    noise : SpectrallyExpressible, Noise, "measured", "exact", "fitted" or None
        None means the measured noise of the data (the fitted one, if their noise_variance is replaced), or
        tau1 = tau2 = 1 where there are none.
    batch_sizes : sequence of int or None
        None in it means the full batch. By default 1, 10, 100, 1000 below N, and the full batch.
    momenta : sequence of float
        beta in (-1, 1).
    last_step : int
        Curves run to this step.
    best_step : int or None
        The step of the best settings; None means 1000, or last_step if that is less.
    noise_variance : float or None
        sigma^2 >= 0 to assume in place of the measured one.
    target : str
        Name to put at the top.
    inputs : dict or None
        How the source was chosen, to be kept with the numbers.
    progress : callable or None
        Called with (fraction done, stage).

    Returns
    -------
    Report
        Plain data; `genfun.report.write` turns it into files.

    Raises
    ------
    ValueError
        On a batch larger than the data, a momentum outside (-1, 1), or a last_step or best_step < 1.
    TypeError
        On a source of another kind.

    Examples
    --------
    >>> import genfun as gf
    >>> r = build(gf.PowerLaw(1.5, 0.5, n_modes=100), batch_sizes=[1], momenta=[0.9], last_step=10)
    >>> r.limits[0].limit, round(r.limits[0].learning_rate, 4), len(r.curves)
    ('noise', 0.0996, 2)
    """
    say = progress or (lambda fraction, stage: None)
    problem = _problem(source, noise_variance)
    question = asked(problem, batch_sizes, momenta, last_step, best_step, noise_variance)
    sizes, betas, last, step = (question[name] for name in ("batch_sizes", "momenta", "last_step", "best_step"))
    say(0.0, "fitting the spectrum")
    fit = fit_power_law(problem)
    say(0.05, "measuring the batch noise")
    own = _own(source, noise, noise_variance)
    noise_summary = _noise(source, own)
    assumed, fitted = noise_summary.noise, _fitted(source, noise_summary.noise)
    grid = [(b, beta) for b in sizes for beta in betas]
    limits = []
    for i, (b, beta) in enumerate(grid):
        say(0.2 + 0.3 * i / len(grid), "largest learning rates")
        limits.append(rate_limit(problem, beta, b, assumed))
    steps = _log_steps(last)
    curves: list[SettingCurve] = []
    for i, b in enumerate(sizes):
        say(0.5 + 0.1 * i / len(sizes), "loss curves")
        of_batch = [limit for limit in limits if limit.batch_size == b]
        curves.extend(_curves(problem, of_batch, assumed, steps))
    best = list(best_settings(problem, sizes, step, assumed, lambda done: say(0.6 + 0.15 * done, "best settings")))
    costs = tuple(batch_costs(problem, sizes, assumed, fitted, lambda done: say(0.75 + 0.05 * done, "batch sizes")))
    say(0.8, "phases")
    shown: list[tuple[Any, str]] = [(curve.prediction.method, curve.choice) for curve in curves]
    shown += [(setting.optimum.method, "optimum") for setting in best]
    shown.sort(key=lambda pair: sizes.index(pair[0].batch_size))
    # Data know by their own noise whether they converge.
    by_data = (
        isinstance(source, LinearData) and not isinstance(assumed, SpectrallyExpressible) and noise_variance is None
    )
    of: tuple[Any, Any] = (source, None) if by_data else (problem, fitted)
    phases = tuple(SettingPhase(m, choice, phase_or_none(of[0], m, of[1])) for m, choice in shown)
    say(0.85, "explaining a setting")
    used, name = to_use(best), own if isinstance(own, str) and noise_variance is None else None
    explanation = None if used is None else in_words(source, problem, used, assumed, name)
    say(0.9, "map of the settings")
    chart = None if used is None else chart_about(problem, used.method, step, assumed)
    say(1.0, "done")
    return Report(
        version=__version__,
        target=target or repr(source),
        inputs=(inputs or {}) | question,
        data=_summary(source, problem),
        spectrum=spectrum_points(problem),
        fit=fit,
        noise=noise_summary,
        limits=tuple(limits),
        curves=tuple(curves),
        best=tuple(best),
        advice=used,
        costs=costs,
        phases=phases,
        explanation=explanation,
        chart=chart,
    )


def asked(
    problem: Problem,
    batch_sizes: Sequence[int | None] | None,
    momenta: Sequence[float],
    last_step: int,
    best_step: int | None,
    noise_variance: float | None,
) -> dict[str, Any]:
    """What a report answers, checked, with what is left out as it is taken; see `build`.

    Parameters
    ----------
    problem : Problem
    batch_sizes : sequence of int or None, or None
    momenta : sequence of float
    last_step : int
    best_step : int or None
    noise_variance : float or None
    """
    betas = list(dict.fromkeys(_check.momentum(beta) for beta in momenta))
    if not betas:
        raise ValueError("momenta is empty; pass at least one, e.g. momenta=[0.0]")
    last = _check.integer("last_step", last_step, 1)
    return {
        "batch_sizes": _batch_sizes(batch_sizes, problem.n_samples),
        "momenta": betas,
        "last_step": last,
        "best_step": min(BEST_STEP, last) if best_step is None else _check.integer("best_step", best_step, 1),
        "shares": list(SHARES),
        "noise_variance": noise_variance,
    }


def _problem(source: object, noise_variance: float | None) -> Any:
    problem: Any = source.problem if isinstance(source, LinearData) else source
    if not isinstance(problem, LinearProblem | PowerLaw):
        raise TypeError(f"source must be LinearData, LinearProblem or PowerLaw, got {type(source).__name__}")
    if noise_variance is None:
        return problem
    if isinstance(problem, LinearProblem):
        return LinearProblem(problem.eigenvalues, problem.signal, problem.n_samples, noise_variance)
    return replace(problem, noise_variance=noise_variance)


def _batch_sizes(sizes: Sequence[int | None] | None, n_samples: int | None) -> list[int | None]:
    if sizes is None:
        below = [b for b in BATCH_SIZES if n_samples is None or b < n_samples]
        return [*below, None]
    if len(sizes) == 0:
        raise ValueError("batch_sizes is empty; pass at least one, e.g. batch_sizes=[10]; None means the full batch")
    for b in sizes:
        sampling_factor(b, n_samples)
    whole = [None if b is None or b == n_samples else b for b in sizes]
    return list(dict.fromkeys(whole))


def _log_steps(last: int) -> Array:
    count = int(np.ceil(STEPS_PER_DECADE * np.log10(last))) + 1
    return np.unique(np.concatenate(([0], np.rint(np.geomspace(1, last, max(count, 2))).astype(np.int64))))


def _own(source: object, noise: NoiseChoice, noise_variance: float | None) -> NoiseChoice:
    """The noise model by name where data bring it; labels of another variance than the data's go with a fit only."""
    if noise_variance is not None and noise in ("measured", "exact"):
        raise ValueError(f"noise={noise!r} has the labels of the data; leave out noise_variance, or use noise='fitted'")
    if noise is None and isinstance(source, LinearData):
        return "measured" if noise_variance is None else "fitted"
    return noise


def _noise(source: Any, noise: NoiseChoice) -> NoiseSummary:
    estimate = source.noise_fit if isinstance(source, LinearData) else None
    name = SOURCES[noise] if isinstance(noise, str) else "assumed" if noise is None else "given"
    return NoiseSummary(Case.of(source, noise=noise).noise, name, estimate)


def _fitted(source: object, noise: NoiseModel) -> SpectrallyExpressible:
    """For phases and noise scales, which know no other: the noise if it is such, or the fitted constants."""
    if isinstance(noise, SpectrallyExpressible):
        return noise
    return source.noise if isinstance(source, LinearData) else SpectrallyExpressible()


def _summary(source: object, problem: Problem) -> DataSummary:
    data = source if isinstance(source, LinearData) else None
    rank = problem.n_modes if isinstance(problem, PowerLaw) else cast(LinearProblem, problem).eigenvalues.size
    return DataSummary(
        description=problem_words(problem),
        n_samples=problem.n_samples,
        n_outputs=None if data is None else data.n_outputs,
        rank=rank,
        n_dropped=0 if data is None else data.n_dropped,
        lambda_max=problem.lambda_max,
        lambda_min=problem.lambda_min,
        trace=problem.trace,
        noise_variance=problem.noise_variance,
        initial_loss=0.5 * (problem.signal_total + problem.noise_variance),
        notes=() if data is None else data.notes,
    )


def _curves(problem: Problem, limits: list[RateLimit], noise: NoiseModel, steps: Array) -> Iterator[SettingCurve]:
    """The reference and the best setting of one batch size; none where no learning rate is stable."""
    tried = [(limit, share) for limit in limits for share in SHARES if limit.learning_rate > 0.0]
    if not tried:
        return
    methods = [SGD(share * limit.learning_rate, limit.momentum, limit.batch_size) for limit, share in tried]
    rates, momenta = np.array([(m.learning_rate, m.momentum) for m in methods]).T
    searched = quick(noise, float(np.abs(momenta).max()))
    settings = Settings.of(problem, Family(), rates, momenta, limits[0].batch_size, searched)
    finals = losses_at(settings, int(steps[-1]))[0].log()
    candidates = [(float(at), share, m) for at, (_, share), m in zip(finals, tried, methods, strict=True)]
    batch_size = limits[0].batch_size
    rate = rate_limit(problem, 0.0, batch_size, noise).learning_rate
    yield _curve(problem, SGD(0.5 * rate, 0.0, batch_size), 0.5, "reference", noise, steps)
    _, share, best = min(candidates, key=lambda candidate: candidate[0])
    yield _curve(problem, best, share, "best", noise, steps)


def _curve(
    problem: Problem,
    method: SGD,
    share: float,
    choice: str,
    noise: NoiseModel,
    steps: Array,
) -> SettingCurve:
    last = loss_band(problem, method, int(steps[-1])) if isinstance(noise, SpectrallyExpressible) else None
    found = predict(problem, method, steps, noise)
    return SettingCurve(found, stability(problem, method, noise), share, choice, last)
