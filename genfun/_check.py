"""Validation of arguments at the door: every message names the argument, the value and the remedy."""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import numpy as np

from genfun._typing import Array, Float, Int

C = TypeVar("C", bound=type)


def _remedy(text: str) -> str:
    return f"; {text}" if text else ""


def number(name: str, value: Any, remedy: str = "") -> float:
    """A finite real scalar as a float."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or value is None:
        raise TypeError(f"{name} must be a real number, got {value!r}{_remedy(remedy)}")
    if not isinstance(value, (int, float)):
        value = plain(name, value)
        if getattr(value, "ndim", 0) or getattr(getattr(value, "dtype", None), "kind", "f") not in NUMBERS + "O":
            raise TypeError(f"{name} must be a real number, got {value!r}{_remedy(remedy)}")
    try:
        result = float(value)
    except OverflowError as error:
        raise ValueError(f"{name} is beyond the range of doubles, 1.8e308{_remedy(remedy)}") from error
    except (TypeError, ValueError, RuntimeError) as error:  # the last from complex tensors
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
    if isinstance(value, (bool, np.bool_, np.timedelta64)):
        raise TypeError(f"{name} must be an integer, got {value!r}{_remedy(remedy)}")
    try:
        result = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be an integer, got {value!r}{_remedy(remedy)}") from error
    if result < least:
        raise ValueError(f"{name} must be at least {least}, got {result}{_remedy(remedy)}")
    if result > sys.float_info.max:
        raise ValueError(f"{name} is beyond the range of doubles, 1.8e308{_remedy(remedy)}")
    return result


def choice(name: str, value: Any, known: Any, remedy: str = "") -> None:
    """One of some words.

    Parameters
    ----------
    name : str
    value : any
    known : iterable of str, or a Literal of them
    remedy : str
    """
    words = tuple(get_args(known) or known)
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}, got {value!r}{_remedy(remedy)}")


def boolean(name: str, value: Any, remedy: str = "") -> bool:
    """True or False, also of NumPy."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}{_remedy(remedy)}")
    return bool(value)


def batches(method: Any, remedy: str = "") -> None:
    """Set batch_size and replacement of a method that is being made, as an integer or None and a bool.

    Parameters
    ----------
    method : Method
    remedy : str
        What to do about a replacement that is no bool.
    """
    if method.batch_size is not None:
        size = integer("batch_size", method.batch_size, 1, "None means the full batch")
        object.__setattr__(method, "batch_size", size)
    object.__setattr__(method, "replacement", boolean("replacement", method.replacement, remedy))


def momentum(value: Any) -> float:
    """A momentum in (-1, 1)."""
    result = number("momentum", value, "pass a number between -1 and 1")
    if not -1.0 < result < 1.0:
        raise ValueError(
            f"momentum must lie strictly between -1 and 1, got {result!r}; "
            "heavy-ball SGD is unstable outside, and negative momentum down to -1 is allowed"
        )
    return result


NUMBERS = "iuf"
"""Kinds of NumPy's types that are numbers."""
REMEDIES = {
    "c": "pass its real part, if the imaginary one is rounding",
    "M": "pass numbers",
    "m": "divide by a unit, e.g. numpy.timedelta64(1, 's')",
    "U": "convert it with .astype(float)",
    "S": "convert it with .astype(float)",
    "O": "convert it to float64 first",
    "V": "pass one of its fields",
}


def reals(name: str, array: Any) -> None:
    """Refuse an array of anything but real numbers (or of booleans), by its type: NumPy would convert it in silence.

    Parameters
    ----------
    name : str
    array : array
        With a dtype of NumPy, or of anyone else, which is then left to the conversion.
    """
    dtype = getattr(array, "dtype", None)
    kind = getattr(dtype, "kind", None)
    if kind is None or kind in NUMBERS + "b":
        return
    odd = (str, bytes, complex, np.complexfloating, np.datetime64, np.timedelta64)
    if kind == "O" and not any(isinstance(entry, odd) for entry in np.ravel(array)):
        return  # fractions, decimals, large integers: float() decides
    raise TypeError(f"{name} must hold real numbers, got dtype {dtype}; {REMEDIES.get(kind, 'convert it to float64')}")


def plain(name: str, value: Any) -> Any:
    """The value as NumPy takes it whole: of tensors what they hold; masked entries and sparse tensors are refused.

    Parameters
    ----------
    name : str
    value : any
    """
    if type(value) in (list, tuple):
        # One level: rows, or the entries of a vector.
        return value if all(type(entry) in (float, int) for entry in value) else [plain(name, x) for x in value]
    if np.ma.is_masked(value):
        count = int(np.ma.getmaskarray(value).sum())
        raise ValueError(
            f"{name} has masked entries ({count}), which are no numbers; leave them out, or pass {name}.filled(x) with "
            "what they are to count as"
        )
    if type(value).__module__.partition(".")[0] != "torch" or not hasattr(value, "detach"):
        return value
    if str(value.layout) != "torch.strided":
        raise TypeError(f"{name} is a sparse tensor ({value.layout}); pass {name}.to_dense()")
    if str(value.dtype) == "torch.bfloat16":
        raise TypeError(f"{name} has dtype torch.bfloat16, which NumPy lacks; pass {name}.float()")
    return value.detach().cpu().resolve_conj().resolve_neg()


def _has(name: str, value: Any, attributes: tuple[str, ...], wanted: str, remedy: str = "") -> None:
    missing = [a for a in attributes if not hasattr(type(value), a) and a not in getattr(value, "__dict__", {})]
    if missing:
        hint = "; pass its .problem" if name == "problem" and hasattr(type(value), "problem") else remedy
        raise TypeError(f"{name} must be {wanted}, got {type(value).__name__} without .{missing[0]}{hint}")


def built_by(maker: str) -> Callable[[C], C]:
    """A class whose values a maker finds: two things handed to the class itself, as X and y, are sent there.

    Parameters
    ----------
    maker : str
        What a user calls, e.g. "LinearData.from_features(X, y)".
    """

    def decorate(cls: C) -> C:
        init = cls.__init__

        @functools.wraps(init)
        def __init__(self: Any, *values: Any, **named: Any) -> None:
            if len(values) + len(named) == 2:
                raise TypeError(f"{cls.__name__} holds what was found in the data; {maker} makes it")
            init(self, *values, **named)

        cls.__init__ = __init__
        return cls

    return decorate


def options(method: Any, knows: bool = False, nesterov: bool = True, epochs: bool = False) -> None:
    """Refuse what an answer or a simulation does not know of a method.

    Parameters
    ----------
    method : Any
    knows : bool
        Whether averaged weights, weight decay and dampening are known.
    nesterov : bool
        Whether Nesterov momentum is; where it is not, the update is written out for heavy ball.
    epochs : bool
        Whether sampling="epochs" is.
    """
    if not epochs and getattr(method, "sampling", "fresh") == "epochs":
        raise ValueError(
            f"sampling='epochs' is not known here, got {method!r}; sampling='fresh' draws anew at every step, and runs "
            "in epochs are those of simulate(..., order='epochs')"
        )
    found = getattr(method, "options", "")
    if found and not knows:
        raise ValueError(
            f"{found}: not derived here, got {method!r}; known to predict, steps_to_loss, stability and "
            "max_learning_rate"
        )
    if not nesterov and getattr(method, "nesterov", False):
        raise ValueError(f"nesterov=True is not known here, got {method!r}; leave it out")


def method(value: Any) -> None:
    """A single setting of a method whose hyperparameters do not change, by what the engine reads of it.

    Parameters
    ----------
    value : Any
    """
    inner = getattr(value, "method", value)
    hint = "; pass one with its numbers, e.g. SGD(0.1, 0.9, 10)"
    if hasattr(inner, "at") and not isinstance(inner, type):
        hint = "; a schedule is known to predict, spread, steps_to_loss and simulate; others take an SGD of one step"
    if hasattr(inner, "measures") or hasattr(inner, "problem"):
        hint = "; the problem or data come first, then the method"
    _has("method", inner, ("learning_rate", "batch_size", "hyperparameters", "update"), "a method such as SGD", hint)


def rates(largest: float, lambda_max: float, name: str = "learning_rate") -> None:
    """Refuse a learning rate so far beyond any stable one that its powers leave the range of doubles.

    Parameters
    ----------
    largest : float
        The largest of those asked for.
    lambda_max : float
        Largest eigenvalue.
    name : str
    """
    if largest * lambda_max > 1e30:
        raise ValueError(
            f"{name} must be below 1e30/lambda_max={1e30 / lambda_max:.3g}, got {largest!r}; stable rates are of the "
            "order of 1/lambda_max"
        )


def setting(problem: Any, value: Any, noise: Any, knows: bool = False) -> None:
    """A problem, a method (or None) and a noise model, by what the engine reads of them.

    Parameters
    ----------
    problem, value, noise : Any
    knows : bool
        Whether the caller knows averaged weights, weight decay and dampening; else they are refused.
    """
    wanted = "a LinearProblem, a PowerLaw or a LinearData"
    remedy = "; LinearData.from_features(X, y) makes one of arrays, genfun.data.load(path) of a file"
    if hasattr(problem, "hyperparameters"):
        remedy = "; the problem or data come first, then the method"
    _has("problem", problem, ("measures", "lambda_max", "trace"), wanted, remedy)
    if value is not None:
        method(value)
        options(value, knows)
    if not hasattr(noise, "transform"):
        _has("noise", noise, ("tau1", "tau2"), "a SpectrallyExpressible or a genfun.Noise")


def vector(name: str, value: Any) -> Float[Array, " n"]:
    """A finite, non-empty one-dimensional array of floats (a copy)."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a one-dimensional array of numbers, got {value!r}")
    if hasattr(value, "toarray"):
        raise TypeError(f"{name} is a sparse array, {type(value).__name__}; pass {name}.toarray().ravel()")
    try:
        given = np.asarray(plain(name, value))
        reals(name, given)
        result = np.array(given, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} holds a number beyond the range of doubles, 1.8e308; rescale it") from error
    except (TypeError, ValueError, RuntimeError) as error:
        if str(error).startswith(name):
            raise
        raise TypeError(f"{name} must be a one-dimensional array of real numbers: {error}") from error
    if result.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {result.shape}; pass a flat array")
    if result.size == 0:
        raise ValueError(f"{name} is empty; pass at least one value")
    if not np.isfinite(result).all():
        bad = int(np.flatnonzero(~np.isfinite(result))[0])
        raise ValueError(f"{name}[{bad}] is {float(result[bad])!r}; remove or repair non-finite values")
    return result


def step(name: str, value: Any, least: int, remedy: str = "") -> int:
    """The number of one step.

    Parameters
    ----------
    name : str
    value : any
    least : int
    remedy : str
    """
    result = integer(name, value, least, remedy)
    _in_range(least, result, name)
    return result


def steps(value: Any) -> Int[Array, "..."]:
    """Step numbers: integers >= 0, any shape, any order, duplicates allowed."""
    raw = np.asarray(plain("steps", value))
    if raw.dtype.kind == "O" and all(type(step) is int for step in raw.flat):
        _in_range(min(raw.flat), max(raw.flat))  # some are beyond the integers of NumPy
    if raw.size == 0:
        raise ValueError("steps is empty; pass at least one step number, e.g. steps=[0, 10, 100]")
    if raw.dtype.kind == "b" or raw.dtype.kind not in "iuf":
        raise TypeError(f"steps must be integers, got {raw.dtype} values; pass e.g. steps=[0, 10, 100]")
    if raw.dtype.kind == "f":
        if not np.isfinite(raw).all() or (raw != np.floor(raw)).any():
            bad = float(raw[~np.isfinite(raw) | (raw != np.floor(raw))].flat[0])
            raise ValueError(f"steps must be whole numbers, got {bad!r}; round them first")
    _in_range(raw.min(), raw.max())
    return raw.astype(np.int64)


def _in_range(least: Any, most: Any, name: str = "steps") -> None:
    if least < 0:
        raise ValueError(f"{name} must be zero or positive, got {least}; step 0 is the start of training")
    if most > 10**15:
        told = f"{most}" if most < 10**40 else "more than 10^40"
        raise ValueError(f"{name} must be at most 10^15, got {told}; beyond that double precision counts no steps")
