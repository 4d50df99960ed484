"""Results as JSON that every parser accepts."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np

from genfun._display import steering
from genfun._version import __version__

CONVENTIONS = (
    'null means "does not apply" (batch_size null: full batch; n_samples null: streaming; rank null: infinite); '
    'numbers that JSON cannot write are the strings "inf", "-inf" and "nan"'
)


def plain(value: Any) -> Any:
    """The same value in the types of JSON; dataclasses become objects, arrays lists, non-finite numbers strings.

    Fields that a dataclass leaves out of its repr are left out here too.

    Parameters
    ----------
    value : any
        Dataclasses, dicts, sequences, arrays, numbers, text.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"a": np.array([1.0, np.inf]), "b": None})
    {'a': [1.0, 'inf'], 'b': None}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # What a repr leaves out, the weights of a measured noise say, is no result: it would be megabytes.
        shown = [f.name for f in dataclasses.fields(value) if f.repr and not f.name.startswith("_")]
        return {name: plain(getattr(value, name)) for name in shown}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def dumps(value: Any) -> str:
    """JSON text without NaN or Infinity tokens; see `CONVENTIONS`.

    Parameters
    ----------
    value : any
        See `plain`.
    """
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    # Such characters stand in strings only, where an escape means the same.
    return text.translate({ord(c): json.dumps(c)[1:-1] for c in steering(text)})


def envelope(command: str, inputs: Any, result: Any) -> str:
    """The JSON text of every command: version, command, inputs, result, conventions.

    Parameters
    ----------
    command : str
        Its name.
    inputs, result : any
        See `plain`.
    """
    fields = {"genfun": __version__, "command": command, "inputs": inputs, "result": result}
    return dumps(fields | {"conventions": CONVENTIONS})
