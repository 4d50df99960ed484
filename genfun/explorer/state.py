"""What the page shows, as one value: read from text, checked, and written as the query of a link."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

NAMES = {
    "mnist-ntk": "MNIST, neural tangent kernel",
    "mnist-pixels": "MNIST, pixels",
    "power-law": "power law",
    "file": "your own file",
}
"""Problems by the word in the link."""
SCHEDULES = {"constant": "constant", "hold": "hold, then linear to 0", "cosine": "cosine to 0"}
"""What the learning rate does over the T steps, by the word in the link."""
SAMPLINGS = {
    "fresh": "fresh each step, distinct samples",
    "replacement": "fresh each step, with replacement",
    "epochs": "epochs, one shuffle each",
}
"""How batches are drawn, by the word in the link."""
AVERAGES = {"none": "none", "ema": "EMA, exponential", "tail": "tail average"}
"""Averages of the weights, by the word in the link."""
BELOW = {"phases": "phase of the problem", "batch": "steps against batch size"}
"""The third picture, by the word in the link."""
LIMITS: dict[str, tuple[float, float]] = {
    "nu": (0.1, 10.0),
    "zeta": (0.01, 10.0),
    "n_modes": (1, 100_000),
    "learning_rate": (1e-15, 1e9),
    "momentum": (-0.99, 0.999),
    "batch_size": (1, 1_000_000),
    "tau2": (-100.0, 100.0),
    "label_noise": (0.0, 100.0),
    "steps": (1, 10**9),
    "hold": (0.0, 1.0),
    "held_out": (0.0, 0.9),
    "decay": (0.0, 0.999999),
    "tail": (0.0, 0.99),
}
"""Least and largest value that the page takes."""
WORDS = {"n_modes": "infinite", "batch_size": "full", "tau2": "default"}
"""What stands for None in a link and in a text box."""
LONGEST = 40
"""Longest part of an input that a message repeats, in characters."""
LONGEST_COLUMN = 200
"""Longest name of a column, in characters."""
CHOICES: dict[str, dict[str, str]] = {
    "problem": NAMES, "schedule": SCHEDULES, "sampling": SAMPLINGS, "average": AVERAGES, "below": BELOW,
}  # fmt: skip


@dataclass(frozen=True)
class State:
    """All choices of the page.

    Parameters
    ----------
    problem : str
        A key of NAMES.
    nu, zeta : float
        Exponents of the power law.
    n_modes : int or None
        Its number of modes; None is infinite.
    learning_rate, momentum : float
        alpha and beta.
    batch_size : int or None
        b; None is the full batch.
    tau2 : float or None
        Of the noise model; None is the estimate from the data, or 1.
    label_noise : float
        sigma^2 added to that of the problem.
    steps : int
        T, the step that maps, words and searches look at.
    schedule : str
        A key of SCHEDULES.
    hold : float
        Share of the steps for which "hold" holds its rate.
    target : str
        Column of the user's table that is predicted, by name or number; "" is the last.
    held_out : float
        Share of the rows that is held out for the test loss; 0 trains on all.
    sampling : str
        A key of SAMPLINGS.
    average : str
        A key of AVERAGES: whose loss is drawn beside that of the last weights.
    decay : float
        kappa of the EMA.
    tail : float
        Share of the T steps after which the tail average begins.
    below : str
        A key of BELOW.

    Examples
    --------
    >>> State(problem="power-law", nu=2.0).query
    'problem=power-law&nu=2.0'
    """

    problem: str = "mnist-ntk"
    nu: float = 1.5
    zeta: float = 0.5
    n_modes: int | None = 1000
    learning_rate: float = 0.3
    momentum: float = 0.5
    batch_size: int | None = 10
    tau2: float | None = None
    label_noise: float = 0.0
    steps: int = 1000
    schedule: str = "constant"
    hold: float = 0.5
    target: str = ""
    held_out: float = 0.0
    sampling: str = "fresh"
    average: str = "none"
    decay: float = 0.99
    tail: float = 0.5
    below: str = "phases"

    @property
    def of_last_weights(self) -> State:
        """The state without what changes neither the loss of the last weights nor any map."""
        start = State()
        return replace(self, average="none", decay=start.decay, tail=start.tail, below="phases")

    @property
    def of_map(self) -> State:
        """The state as the map and steps against batch size have it: constant rates, fresh batches, last weights."""
        sampling = "fresh" if self.sampling == "epochs" else self.sampling
        return replace(self.of_last_weights, schedule="constant", hold=State().hold, sampling=sampling)

    @property
    def query(self) -> str:
        """The query of a link to this view; what is as at first is left out, but for the problem: see `parse`."""
        changed = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default or field.name == "problem":
                changed[field.name] = text(field.name, value)
        return urlencode(changed)


def text(name: str, value: Any) -> str:
    """A value as it stands in a link and in a text box, to be read back exactly.

    Parameters
    ----------
    name : str
        Field of State.
    value : Any
        Its value.
    """
    return WORDS[name] if value is None else str(value)


def _whole(word: str) -> float:
    value = float(word)
    if value != math.floor(value):
        raise ValueError
    return int(value)


_READ: dict[str, Callable[[str], float]] = {"n_modes": _whole, "batch_size": _whole, "steps": _whole}


def read(name: str, word: str) -> Any:
    """The value of a field from text.

    Parameters
    ----------
    name : str
        Field of State.
    word : str
        What was typed, or stands in the link; anything.

    Raises
    ------
    ValueError
        With a message to show: what was typed (shortened), and what is possible.

    Examples
    --------
    >>> read("steps", "1e4"), read("batch_size", "full")
    (10000, None)
    """
    word = word.strip()
    shown = repr(word if len(word) <= LONGEST else word[:LONGEST] + "...")
    if name in CHOICES:
        if word not in CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(CHOICES[name])}, got {shown}")
        return word
    if name == "target":
        if len(word) > LONGEST_COLUMN or not word.isprintable():
            raise ValueError(f"target must be the name or the number of a column, got {shown}")
        return word
    if name in WORDS and word.lower() == WORDS[name]:
        return None
    low, high = LIMITS[name]
    kind = "a whole number" if name in _READ else "a number"
    other = f", or {WORDS[name]}" if name in WORDS else ""
    try:
        value = _READ.get(name, float)(word)
    except (ValueError, OverflowError):
        value = math.nan
    if not low <= value <= high:  # also where it is nan
        raise ValueError(f"{name.replace('_', ' ')} must be {kind} from {low:g} to {high:g}{other}, got {shown}")
    return value


def parse(arguments: Mapping[str, str], start: State = State()) -> tuple[State, tuple[str, ...]]:
    """A state from the query of a link, and a message for every part of it that is invalid.

    Parameters
    ----------
    arguments : mapping of str to str
        Names and values, from anyone.
    start : State
        Values of the fields that the link leaves out, or gives wrongly.

    Examples
    --------
    >>> state, messages = parse({"momentum": "0.9", "learning_rate": "nan"})
    >>> state.momentum, state.learning_rate, messages
    (0.9, 0.3, ("learning rate must be a number from 1e-15 to 1e+09, got 'nan'",))
    """
    known = {field.name for field in fields(State)}
    state, messages = start, []
    for name, word in arguments.items():
        try:
            if name not in known:
                raise ValueError(f"the link has an unknown part {name[:LONGEST]!r}")
            state = replace(state, **{name: read(name, word)})
        except ValueError as error:
            messages.append(str(error))
    return state, tuple(messages)


def parse_pinned(arguments: Mapping[str, str]) -> tuple[State | None, tuple[str, ...]]:
    """The pinned setting of a link, and messages about it.

    Parameters
    ----------
    arguments : mapping of str to str
        Names and values, from anyone; `pinned` is the query of a state.

    Examples
    --------
    >>> parse_pinned({"pinned": State(momentum=0.9).query})[0].momentum
    0.9
    """
    if "pinned" not in arguments:
        return None, ()
    state, messages = parse(dict(parse_qsl(arguments["pinned"], keep_blank_values=True)))
    return (None if messages else state), tuple(f"the pinned setting: {message}" for message in messages)


def link(state: State, pinned: State | None = None) -> str:
    """The query of a link to a view with a setting pinned in it.

    Parameters
    ----------
    state : State
    pinned : State or None

    Examples
    --------
    >>> link(State(), State(momentum=0.9))
    'problem=mnist-ntk&pinned=problem%3Dmnist-ntk%26momentum%3D0.9'
    """
    return state.query if pinned is None else f"{state.query}&{urlencode({'pinned': pinned.query})}"
