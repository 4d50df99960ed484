"""The columns of what the report lists: the names and values that its tables, CSV files and JSON share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from genfun.answers.band import LossBand
from genfun.answers.words.noise import noise_facts
from genfun.report.model import BatchCost, BestSetting, NoiseSummary, RateLimit, SettingCurve, SettingPhase

Columns = dict[str, Callable[[Any], Any]]


def _at(**places: str) -> Columns:
    return {name: attrgetter(place) for name, place in places.items()}


def _of(place: str, *names: str) -> Columns:
    return {name: attrgetter(f"{place}.{name}") for name in names}


def _fields(kind: type) -> Columns:
    return {field.name: attrgetter(field.name) for field in fields(kind)}


def _of_phase(name: str, without: Any = math.nan) -> Columns:
    return {name: lambda shown: without if shown.phase is None else getattr(shown.phase, name)}


def _of_noise(name: str) -> Callable[[Any], Any]:
    return lambda shown: noise_facts(shown.noise)[name]


def _end(band: LossBand | None, name: str) -> float | None:
    """One end of a band over noise models; None where there is none."""
    return None if band is None else float(getattr(band, name))


COLUMNS: dict[type, Columns] = {
    NoiseSummary: {name: _of_noise(name) for name in ("model", "tau1", "tau2")}
    | _at(source="source")
    | {name: _of_noise(name) for name in ("error", "loss_error", "sound")}
    | _at(estimate="estimate"),
    RateLimit: _fields(RateLimit),
    SettingCurve: _of("prediction.method", "batch_size", "momentum", "learning_rate")
    | _at(share="share", choice="choice")
    | _of("prediction", "steps", "loss", "log_loss", "error", "status", "meaning")
    | _at(verdict="stability.status")
    | _of("stability", "noise_gain", "floor")
    | _of("prediction", "noise_error")
    | {"final_at_tau2_plus": lambda shown: _end(shown.last, "plus")}
    | {"final_at_tau2_minus": lambda shown: _end(shown.last, "minus")},
    BestSetting: _of("optimum.method", "batch_size", "learning_rate", "momentum")
    | _at(step="optimum.steps", loss="optimum.loss")
    | {"at_tau2_plus": lambda shown: _end(shown.band, "plus"), "at_tau2_minus": lambda shown: _end(shown.band, "minus")}
    | _of(
        "optimum",
        "noise_error",
        "smaller_rate_cost",
        "share_of_edge",
        "gain",
        "learning_rate_range",
        "momentum_range",
        "bounds",
    ),
    BatchCost: _fields(BatchCost),
    SettingPhase: _of("method", "batch_size", "momentum", "learning_rate")
    | _at(choice="choice")
    | _of_phase("name", None)
    | _of_phase("exponent")
    | _of_phase("constant")
    | _of_phase("transition_step")
    | _of_phase("divergence_step")
    | _of_phase("end_step")
    | _of_phase("notes", ()),
}


def columns(entry: Any) -> dict[str, Any]:
    """What one entry of the report says, by name.

    **Assumptions.** None.

    Parameters
    ----------
    entry : RateLimit, SettingCurve, BestSetting, BatchCost, SettingPhase or NoiseSummary
        An entry of a `Report`.

    Returns
    -------
    dict of str to any
        In the order of the tables.

    Raises
    ------
    TypeError
        If it is of another kind.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.report import columns, rate_limit
    >>> columns(rate_limit(gf.LinearProblem([2.0], [1.0]), 0.0, None, gf.SpectrallyExpressible()))["popular"]
    1.0
    """
    if type(entry) not in COLUMNS:
        known = ", ".join(kind.__name__ for kind in COLUMNS)
        raise TypeError(f"entry must be one of {known}, got {type(entry).__name__}")
    return {name: value(entry) for name, value in COLUMNS[type(entry)].items()}
