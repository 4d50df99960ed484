"""Validation of arguments at the door: every message names the argument, the value and the remedy."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int


def _remedy(text: str) -> str:
    return f"; {text}" if text else ""


def number(name: str, value: Any, remedy: str = "") -> float:
    """A finite real scalar as a float."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or value is None:
        raise TypeError(f"{name} must be a real number, got {value!r}{_remedy(remedy)}")
    try:
        result = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a real number, got {value!r}{_remedy(remedy)}") from error
    if not np.isfinite(result):
        raise ValueError(f"{name} must be finite, got {result!r}{_remedy(remedy)}")
    return result


def positive(name: str, value: Any, remedy: str = "") -> float:
    """A finite scalar > 0."""
    result = number(name, value, remedy)
    if result <= 0.0:
        raise ValueError(f"{name} must be positive, got {result!r}{_remedy(remedy)}")
    return result


def nonnegative(name: str, value: Any, remedy: str = "") -> float:
    """A finite scalar >= 0."""
    result = number(name, value, remedy)
    if result < 0.0:
        raise ValueError(f"{name} must be zero or positive, got {result!r}{_remedy(remedy)}")
    return result


def integer(name: str, value: Any, least: int, remedy: str = "") -> int:
    """An integer >= least. Floats are refused even when they are whole."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r}{_remedy(remedy)}")
    try:
        result = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be an integer, got {value!r}{_remedy(remedy)}") from error
    if result < least:
        raise ValueError(f"{name} must be at least {least}, got {result}{_remedy(remedy)}")
    return result


def momentum(value: Any) -> float:
    """A momentum in (-1, 1)."""
    result = number("momentum", value, "pass a number between -1 and 1")
    if not -1.0 < result < 1.0:
        raise ValueError(
            f"momentum must lie strictly between -1 and 1, got {result!r}; "
            "heavy-ball SGD is unstable outside, and negative momentum down to -1 is allowed"
        )
    return result


def _has(name: str, value: Any, attributes: tuple[str, ...], wanted: str) -> None:
    missing = [a for a in attributes if not hasattr(type(value), a) and a not in getattr(value, "__dict__", {})]
    if missing:
        hint = "; pass its .problem" if hasattr(type(value), "problem") else ""
        raise TypeError(f"{name} must be {wanted}, got {type(value).__name__} without .{missing[0]}{hint}")


def setting(problem: Any, method: Any, noise: Any) -> None:
    """A problem, a method (or None) and a noise model, by what the engine reads of them."""
    _has("problem", problem, ("measures", "lambda_max", "trace"), "a LinearProblem, a PowerLaw or a LinearData")
    if method is not None:
        _has("method", method, ("learning_rate", "batch_size", "hyperparameters", "update"), "a method such as SGD")
    if not hasattr(noise, "transform"):
        _has("noise", noise, ("tau1", "tau2"), "a SpectrallyExpressible or a genfun.Noise")


def vector(name: str, value: Any) -> Float[Array, " n"]:
    """A finite, non-empty one-dimensional array of floats (a copy)."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a one-dimensional array of numbers, got {value!r}")
    try:
        result = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a one-dimensional array of real numbers: {error}") from error
    if result.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {result.shape}; pass a flat array")
    if result.size == 0:
        raise ValueError(f"{name} is empty; pass at least one value")
    if not np.isfinite(result).all():
        bad = int(np.flatnonzero(~np.isfinite(result))[0])
        raise ValueError(f"{name}[{bad}] is {float(result[bad])!r}; remove or repair non-finite values")
    return result


def steps(value: Any) -> Int[Array, "..."]:
    """Step numbers: integers >= 0, any shape, any order, duplicates allowed."""
    raw = np.asarray(value)
    if raw.size == 0:
        raise ValueError("steps is empty; pass at least one step number, e.g. steps=[0, 10, 100]")
    if raw.dtype.kind == "b" or raw.dtype.kind not in "iuf":
        raise TypeError(f"steps must be integers, got {raw.dtype} values; pass e.g. steps=[0, 10, 100]")
    if raw.dtype.kind == "f":
        if not np.isfinite(raw).all() or (raw != np.floor(raw)).any():
            bad = float(raw[~np.isfinite(raw) | (raw != np.floor(raw))].flat[0])
            raise ValueError(f"steps must be whole numbers, got {bad!r}; round them first")
    if (raw < 0).any():
        raise ValueError(f"steps must be zero or positive, got {raw.min()}; step 0 is the start of training")
    if (raw > 10**15).any():
        raise ValueError(f"steps must be at most 10^15, got {raw.max()}; beyond that double precision counts no steps")
    return raw.astype(np.int64)
