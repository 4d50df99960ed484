"""What the report shows, as headings and cells: the same in the terminal and on the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genfun._display import FAR, percent, seen
from genfun.answers.words import numbers as words
from genfun.answers.words.noise import noise_words
from genfun.noise import SpectrallyExpressible
from genfun.report.columns import columns
from genfun.report.model import Report, SettingCurve

KINDS = {"reference": "momentum 0, half the largest rate", "best": "best on the grid", "optimum": "best setting"}


@dataclass(frozen=True)
class TextTable:
    """Headings, rows of cells, what they mean, and how many leading columns say what a row is about."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    keys: int = 1


@dataclass(frozen=True)
class Facts:
    """Names with values, and remarks in sentences."""

    title: str
    pairs: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...] = ()


def data_facts(report: Report) -> Facts:
    """What the data are.

    Parameters
    ----------
    report : Report
    """
    data = report.data
    pairs = [
        ("samples N", "streaming" if data.n_samples is None else f"{data.n_samples:,}"),
        ("outputs", "-" if data.n_outputs is None else str(data.n_outputs)),
        ("modes (rank)", "infinitely many" if data.rank is None else f"{data.rank:,}"),
        ("dropped directions", str(data.n_dropped)),
        ("eigenvalues", f"{words.figures(data.lambda_max)} down to {words.figures(data.lambda_min)}"),
        ("trace of the Hessian", words.figures(data.trace)),
        ("initial loss", words.figures(data.initial_loss)),
        ("residual variance", words.figures(data.noise_variance)),
        ("lowest possible loss", words.figures(0.5 * data.noise_variance)),
    ]
    return Facts("Data", tuple(pairs))


def spectrum_facts(report: Report) -> Facts:
    """Exponents and how far to trust them.

    Parameters
    ----------
    report : Report
    """
    fit = report.fit
    last = "infinity" if fit.window[1] is None else str(fit.window[1])

    def between(interval: tuple[float, float]) -> str:
        return " .. ".join(words.figures(end, 3) for end in interval)

    if not fit.is_power_law:
        why = [note for note in fit.notes if note.startswith("not a power law: ")] or fit.notes
        pairs = (("power law?", "no, so there are no exponents and no phase"),)
        return Facts("Spectrum and signal", pairs, tuple(note.removeprefix("not a power law: ") for note in why))
    pairs = (
        ("power law?", "yes"),
        ("nu (eigenvalues)", words.figures(fit.nu)),
        ("... 90 % interval", between(fit.nu_interval)),
        ("zeta (signal)", words.figures(fit.zeta)),
        ("... 90 % interval", between(fit.zeta_interval)),
        ("kappa = nu zeta", words.figures(fit.kappa)),
        ("fitted modes", f"{fit.window[0]} .. {last}"),
        ("explained by the lines", f"at least {percent(fit.quality, 3)}"),
    )
    return Facts("Spectrum and signal", pairs, fit.notes)


def noise_facts(report: Report) -> Facts:
    """The assumed batch noise and its approximation error.

    Parameters
    ----------
    report : Report
    """
    noise = report.noise
    facts = columns(noise)
    if not isinstance(noise.noise, SpectrallyExpressible):
        pairs = [("source", noise.source), ("what", noise_words(noise.noise))]
        if noise.estimate is not None:
            fit = f"tau1 {noise.estimate.tau1:.4g}, tau2 {noise.estimate.tau2:.4g}"
            pairs.append(
                ("fitted constants", f"{fit}, off by up to {percent(noise.estimate.noise_misfit)} while learning")
            )
        what = "phases and noise scales" if report.fit.is_power_law else "noise scales"
        remark = f"{what} are by the fitted constants, all else by the noise of the data"
        return Facts("Batch noise", tuple(pairs), (remark,))
    pairs = [
        ("tau1", words.figures(facts["tau1"])),
        ("tau2", words.figures(facts["tau2"])),
        ("source", noise.source),
    ]
    if noise.estimate is None:
        remark = "a spectrum alone does not show the noise; tau2 = +1 and -1 bound the usual cases"
        return Facts("Batch noise", tuple(pairs), (remark,))
    estimate = noise.estimate
    if noise.source == "given":
        pairs.append(("estimate from the data", f"tau1 {estimate.tau1:.4g}, tau2 {estimate.tau2:.4g}"))
    pairs += [
        ("misfit of fourth moments", percent(estimate.misfit, 3)),
        ("noise error while learning", f"up to {percent(estimate.noise_misfit, 3)}"),
        ("correlations left out", f"up to {percent(estimate.path_misfit, 3)}"),
    ]
    if report.data.noise_variance > 0.0:
        pairs.append(("label noise", f"{estimate.label_noise_ratio:.3f} of the model's"))
    remark = "these errors belong to the noise approximation with the estimated constants, not to the computation"
    return Facts("Batch noise", tuple(pairs), (remark,))


def limit_table(report: Report) -> TextTable:
    """The largest stable learning rates.

    Parameters
    ----------
    report : Report
    """
    banded = _banded(report)
    rows = tuple(
        (
            words.batch(limit["batch_size"]),
            f"{limit['momentum']:g}",
            words.figures(limit["learning_rate"]),
            words.figures(limit["effective_learning_rate"]),
            limit["limit"],
            *(
                [words.figures(limit["at_tau2_minus"]), words.figures(limit["at_tau2_plus"])]
                if banded
                else [_error(limit["noise_error"])]
            ),
            words.figures(limit["popular"]),
            f"{words.figures(limit['factor'], 3)} x",
        )
        for limit in map(columns, report.limits)
    )
    headings = (
        "batch",
        "momentum",
        "max rate",
        "effective",
        "limited by",
        *(("tau2=-1", "tau2=+1") if banded else ("noise error",)),
        "popular",
        "too large",
    )
    caption = (
        "max rate: learning rate at which the mean loss stops converging, with the batch noise above; effective: "
        "divided by 1 - momentum. Limited by noise: beyond, batches add more than steps take away; by "
        "curvature: beyond, full batches blow up too. "
        + (
            "tau2 = -1 and +1 (tau1 = 1): the same for Gaussian and for translation-invariant data. "
            if banded
            else "noise error: how far, relative, what is left out of the noise of the data may move it. "
        )
        + "popular: 2(1+beta)/lambda_max."
    )
    return TextTable("Largest stable learning rate", headings, rows, caption, keys=2)


def milestones(curve: SettingCurve) -> tuple[int, ...]:
    """Indices of the powers of ten near one and two thirds of the way on a log scale, and of the last step.

    Parameters
    ----------
    curve : SettingCurve
    """
    steps, last = curve.prediction.steps, float(curve.prediction.steps[-1])
    decades = np.log10(last)
    wanted = (10.0 ** round(decades / 3.0), 10.0 ** round(decades * 2.0 / 3.0), last)
    return tuple(dict.fromkeys(int(np.abs(np.log(np.maximum(steps, 1) / t)).argmin()) for t in wanted))


def curve_table(report: Report) -> TextTable:
    """The predicted losses.

    Parameters
    ----------
    report : Report
    """
    title = "Predicted mean loss"
    if not report.curves:
        return TextTable(title, ("batch",), (), "No learning rate is stable, so there is no curve to show.")
    at, curves = milestones(report.curves[0]), [columns(curve) for curve in report.curves]
    noisy = report.data.noise_variance > 0.0
    rows = tuple(
        (
            words.batch(curve["batch_size"]),
            f"{curve['momentum']:g}",
            words.figures(curve["learning_rate"]),
            curve["choice"],
            *(words.loss(float(curve["loss"][i]), float(curve["log_loss"][i])) for i in at),
            f"{max(np.fmax(curve['error'][i], curve['noise_error'][i]) for i in at):.0e}",
            curve["status"],
            *([words.figures(curve["floor"], 3)] if noisy else []),
        )
        for curve in curves
    )
    steps = (f"step {curves[0]['steps'][i]:,}" for i in at)
    headings = (
        "batch",
        "momentum",
        "rate",
        "choice",
        *steps,
        "error",
        "status",
        *(["floor"] if noisy else []),
    )
    meanings = dict.fromkeys(f"{curve['status']}: {curve['meaning']}" for curve in curves)
    caption = (
        f"reference: {KINDS['reference']}; best: lowest loss at the last step among the momenta above and 1/4, 1/2, "
        "3/4 of the largest rate. error: largest estimated relative error of the computation at the steps shown. "
        + ("" if _banded(report) else "It counts what is left out of the noise of the data. ")
        + ("floor: excess loss that label noise leaves for ever. " if noisy else "")
        + ". ".join(meanings)
        + "."
    )
    return TextTable(title, headings, rows, caption, keys=4)


def best_table(report: Report) -> TextTable:
    """The best settings.

    Parameters
    ----------
    report : Report
    """
    title = "Best settings"
    if not report.best:
        return TextTable(title, ("batch",), (), "No learning rate is stable, so there is no best one.")
    step, banded = f"{report.best[0].optimum.steps:,}", _banded(report)
    rows = tuple(
        (
            words.batch(best["batch_size"]),
            words.figures(best["learning_rate"]),
            _range(best["learning_rate_range"]),
            words.figures(best["momentum"]),
            words.loss(best["loss"], math.nan if report.data.initial_loss > 0.0 else -math.inf, min(4, digits)),
            _range(sorted((best["at_tau2_plus"], best["at_tau2_minus"]))) if banded else _error(best["noise_error"]),
            words.share(best["share_of_edge"]),
            words.share(best["gain"]),
        )
        for best, digits in zip(map(columns, report.best), (b.optimum.digits for b in report.best), strict=True)
    )
    over = "over tau2" if banded else "noise error"
    headings = ("batch", "rate", "5 % more", "momentum", f"step {step}", over, "of edge", "worth")
    bounds = dict.fromkeys(
        f"batch {words.batch(best['batch_size'])}: {bound}"
        for best in map(columns, report.best)
        for bound in best["bounds"]
    )
    caption = (
        f"Learning rate and momentum of least predicted loss at step {step}. 5 % more: how far the rate can move for "
        "so much more loss; "
        + (
            "over tau2: the loss of this setting at tau2 = +1 and -1 (tau1 = 1)"
            if banded
            else "noise error: relative error of the loss by what is left out of the noise of the data"
        )
        + "; of edge: share of the largest stable rate, and where noise sets that one, "
        "beyond 90 % rare runs carry the mean; worth: by how much momentum lowers the least loss."
        + "".join(f" At a bound: {bound}." for bound in bounds)
    )
    return TextTable(title, headings, rows, caption)


def cost_table(report: Report) -> TextTable:
    """Steps and samples against the batch size.

    Parameters
    ----------
    report : Report
    """
    title = "Batch sizes"
    if not report.costs:
        return TextTable(title, ("batch",), (), "There is no loss to aim at, or no batch size with a cost.")
    rows = tuple(
        (
            words.batch(cost["batch_size"]),
            words.figures(cost["learning_rate"]),
            words.count(cost["steps"]),
            words.count(cost["samples"]),
            words.figures(cost["noise_scale"]),
        )
        if math.isfinite(cost["steps"])
        else (words.batch(cost["batch_size"]), "", "never", "", "")
        for cost in map(columns, report.costs)
    )
    caption = (
        f"To mean loss {words.figures(report.costs[0].loss)}, a tenth of the signal left, at the best rate, without "
        "momentum. noise scale: the batch size at which gradient and batch noise are equally large there."
    )
    return TextTable(title, ("batch", "rate", "steps", "samples", "noise scale"), rows, caption)


def _banded(report: Report) -> bool:
    """Whether the noise has constants tau1 and tau2, and so a band instead of an error."""
    return isinstance(report.noise.noise, SpectrallyExpressible)


def _error(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0e}" if value > 0.0 else "0"


def _range(ends: Sequence[float]) -> str:
    return "..".join(words.figures(end, 3) for end in ends)


def phase_table(report: Report) -> TextTable:
    """The phases of the settings shown.

    Parameters
    ----------
    report : Report
    """
    title = "Phases"
    if not report.phases:
        return TextTable(title, ("batch",), (), "No learning rate is stable, so there is no setting to judge.")
    rows = tuple(
        (
            words.batch(phase["batch_size"]),
            f"{phase['momentum']:.3g}",
            words.figures(phase["learning_rate"]),
            phase["choice"],
            phase["name"] or "-",
            words.figures(phase["exponent"], 3),
            _when(phase["transition_step"] if phase["name"] == "noise-dominated" else math.inf),
            _when(phase["end_step"]),
        )
        for phase in map(columns, report.phases)
    )
    headings = ("batch", "momentum", "rate", "choice", "phase", "exponent", "noise from", "law ends")
    caption = (
        "The loss tends to t^-exponent while the power law holds. noise from: step at which batch noise takes over; "
        "law ends: step at which a finite spectrum turns the power law into an exponential. optimum: the best settings "
        "above; reference and best: those of the curves."
    )
    return TextTable(title, headings, rows, " ".join([caption, *_phase_notes(report)]), keys=4)


def _when(step: float) -> str:
    return words.count(step) if seen(step) or math.isinf(step) else f"> {FAR:g}"


def _phase_notes(report: Report, most: int = 3) -> list[str]:
    """What the infinite power law gets wrong, once each, with the rows that it is about."""
    about: dict[str, dict[str, list[str]]] = {}
    shown = list(map(columns, report.phases))
    for phase in shown:
        for note in phase["notes"]:
            # The floor of label noise is a column of the curves.
            if note not in report.fit.notes and not note.startswith("label noise"):
                about.setdefault(note, {}).setdefault(words.batch(phase["batch_size"]), []).append(phase["choice"])
    sizes = Counter(words.batch(phase["batch_size"]) for phase in shown)
    told = []
    for note, rows in list(about.items())[:most]:
        every = sum(map(len, rows.values())) == len(shown)
        whole = [size for size, choices in rows.items() if len(choices) == sizes[size]]
        parts = [f"batch {', '.join(whole)}"] if whole else []
        parts += [f"batch {size} {', '.join(choices)}" for size, choices in rows.items() if size not in whole]
        told.append(f"In {'every row' if every else 'the rows of ' + '; '.join(parts)}: {note}.")
    return told


def in_words(report: Report) -> tuple[str, tuple[str, ...]]:
    """A title and the sentences about the setting to use; none where there is none.

    Parameters
    ----------
    report : Report
    """
    found = report.explanation
    if found is None:
        return "In words", ()
    return f"In words: the setting to use with {words.batches(found.method.batch_size)}", found.lines
