"""What are my method's learning rate and momentum in another convention?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from genfun import _check
from genfun._display import Displayed
from genfun.methods.sgd import SGD

Convention = Literal["paper", "torch", "keras", "sutskever", "ema", "qhm"]
DEFAULTS: dict[str, dict[str, Any]] = {
    "paper": {"learning_rate": None, "momentum": 0.0},
    "torch": {"lr": None, "momentum": 0.0, "dampening": 0.0, "nesterov": False},
    "keras": {"learning_rate": None, "momentum": 0.0, "nesterov": False},
    "sutskever": {"learning_rate": None, "momentum": 0.0, "nesterov": False},
    "ema": {"learning_rate": None, "momentum": 0.0},
    "qhm": {"lr": None, "momentum": None, "nu": None},
}
"""The settings of every convention; None where there is no default."""
REFUSE_NEGATIVE = {"torch": "torch.optim.SGD", "keras": "keras.optimizers.SGD", "qhm": "qhoptim"}
RATE_IN_VELOCITY = {"paper", "keras", "sutskever"}


@dataclass(frozen=True)
class Conversion(Displayed):
    """Settings in another convention.

    Parameters
    ----------
    settings : dict
        By the names of the target convention.
    source : str
        Convention converted from.
    target : str
        Convention converted to.
    identical : bool
        Whether the iterates are the same at every step, for constant settings and no velocity at the start.
    notes : tuple of str
        What differs, and what the target library refuses.

    Examples
    --------
    >>> Conversion({"learning_rate": 0.1, "momentum": 0.0}, "torch", "paper", True, ()).settings["learning_rate"]
    0.1
    """

    settings: dict[str, Any]
    source: Convention
    target: Convention
    identical: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Rule:
    """v' = beta v - alpha g,  w' = w + nu v' - (1 - nu) alpha/(1 - beta) g: quasi-hyperbolic, in the paper's units."""

    alpha: float
    beta: float
    nu: float = 1.0
    damped: bool = False

    @property
    def nesterov(self) -> bool:
        return self.beta != 0.0 and self.nu != 1.0 and math.isclose(self.nu, self.beta, rel_tol=1e-12)


def convert(settings: Mapping[str, Any], source: Convention, target: Convention = "paper") -> Conversion:
    r"""Learning rate and momentum of one convention in another, so that the iterates are the same.

    With r the learning rate, m the momentum, d the dampening, g the gradient of the batch, and (alpha, beta) the
    heavy ball v = beta v - alpha g, w += v of `SGD`:

    ================ ==================================== =====================
    convention       update                               (alpha, beta)
    ================ ==================================== =====================
    paper            v = m v - r g;  w += v               r, m
    torch            v = m v + (1-d) g;  w -= r v         r (1-d), m
    torch nesterov   v = m v + g;  w -= r (g + m v)       none
    keras            v = m v - r g;  w += v               r, m
    keras nesterov   v = m v - r g;  w += m v - r g       none
    sutskever        as keras; nesterov: g at w + m v     r, m; nesterov: none
    ema              v = m v + (1-m) g;  w -= r v         r (1-m), m
    qhm              v = m v + (1-m) g;                   r (1-m), m if nu = 1
                     w -= r ((1-nu) g + nu v)
    ================ ==================================== =====================

    **Assumptions.** Constant settings and v = 0 at the start. Then all rows with a heavy-ball form give the same
    iterates, and so do all Nesterov rows and qhm with nu = m, with two exceptions, said in `notes`. (i) torch leaves
    1 - d out of its first step, as if v had been d g/m before it; where m = 0 it ignores d. (ii) Sutskever's w under
    Nesterov is not that of torch and Keras, which is his w + m v. When the learning rate changes during training,
    paper, keras and sutskever (rate inside the velocity) differ from torch, ema and qhm (rate outside).

    Nesterov momentum is not a reparametrisation of the heavy ball; it is quasi-hyperbolic momentum with nu = momentum
    and lr = r/(1-m). With nu = 0 or m = 0 all is plain SGD.

    Parameters
    ----------
    settings : mapping
        lr, momentum, dampening, nesterov for "torch"; lr, momentum, nu for "qhm"; learning_rate, momentum for the
        others, and nesterov for "keras" and "sutskever". Only the learning rate must be there, for "qhm" all three.
        Learning rates in units of 1/eigenvalue, the rest dimensionless.
    source : str
        Convention of the settings.
    target : str
        Convention wanted.

    Returns
    -------
    Conversion
        `.settings`, `.identical`, `.notes`.

    Raises
    ------
    ValueError
        If a setting is unknown, missing or out of range, or if the target has no such method.

    References
    ----------
    Heavy ball: arXiv 2206.11124, eq. (2). Quasi-hyperbolic momentum and what it contains: arXiv 1810.06801,
    section 4. Sutskever, Martens, Dahl, Hinton, ICML 2013, eqs. (1)-(4).

    Examples
    --------
    >>> convert({"learning_rate": 1.0, "momentum": 0.75}, "ema", "torch").settings
    {'lr': 0.25, 'momentum': 0.75, 'dampening': 0.0, 'nesterov': False}
    >>> convert({"lr": 0.25, "momentum": 0.75, "nesterov": True}, "torch", "qhm").settings
    {'lr': 1.0, 'momentum': 0.75, 'nu': 0.75}
    """
    rule = _read(source, settings, "source")
    written = _write(rule, target, "target")
    notes = []
    if rule.damped:
        notes.append("torch's first step leaves out the factor 1 - dampening; the target has it from the start")
    ahead = rule.nesterov and (source == "sutskever") != (target == "sutskever")
    if ahead:
        notes.append("Sutskever's w is the other's w less momentum times velocity: losses are compared at other points")
    if rule.beta != 0.0 and (source in RATE_IN_VELOCITY) != (target in RATE_IN_VELOCITY):
        notes.append("the same only while the learning rate is constant: one convention keeps it inside the velocity")
    if rule.beta < 0.0 and target in REFUSE_NEGATIVE:
        notes.append(f"{REFUSE_NEGATIVE[target]} refuses a negative momentum when its method is made")
    if rule.beta < 0.0 and target == "torch" and not rule.nesterov:
        notes.append("set method.param_groups[0]['momentum'] after making it with momentum=0")
    return Conversion(written, source, target, not (rule.damped or ahead), tuple(notes))


def to_sgd(
    convention: Convention, batch_size: int | None = None, replacement: bool = False, **settings: float | bool
) -> SGD:
    """The heavy-ball SGD that a library's settings stand for.

    **Assumptions.** Those of `convert`; with dampening, from torch's second step on.

    Parameters
    ----------
    convention : str
        "paper", "torch", "keras", "sutskever", "ema" (normalised heavy ball) or "qhm".
    batch_size : int or None
        b, samples; None means the full batch.
    replacement : bool
        Whether the samples of one batch are drawn with replacement.
    **settings : float or bool
        By the names of the convention, see `convert`.

    Returns
    -------
    SGD

    Raises
    ------
    ValueError
        If a setting is unknown, missing or out of range, or if the method is not a heavy ball (Nesterov, nu != 1).

    References
    ----------
    See `convert`.

    Examples
    --------
    >>> to_sgd("torch", lr=0.5, momentum=0.5, dampening=0.5, batch_size=10)
    SGD(learning_rate=0.25, momentum=0.5, batch_size=10, replacement=False)
    """
    paper = _write(_read(convention, settings, "convention"), "paper", "convention")
    return SGD(paper["learning_rate"], paper["momentum"], batch_size, replacement)


def from_sgd(sgd: SGD, convention: Convention) -> dict[str, Any]:
    """The settings with which a library runs a heavy-ball SGD.

    **Assumptions.** Those of `convert`. torch and Keras refuse a negative momentum when their method is made;
    torch takes it through `method.param_groups[0]["momentum"]` afterwards.

    Parameters
    ----------
    sgd : SGD
        Its batch size is no part of the result.
    convention : str
        As in `to_sgd`.

    Returns
    -------
    dict
        By the names of the convention, e.g. the keyword arguments of torch.optim.SGD.

    References
    ----------
    See `convert`.

    Examples
    --------
    >>> from_sgd(SGD(0.25, momentum=0.75), "ema")
    {'learning_rate': 1.0, 'momentum': 0.75}
    """
    if type(sgd) is not SGD:
        raise TypeError(f"sgd must be an SGD, got {type(sgd).__name__}; see to_sgd")
    return _write(_Rule(sgd.learning_rate, sgd.momentum), convention, "convention")


def _read(convention: Convention, settings: Mapping[str, Any], name: str) -> _Rule:
    _check.choice(name, convention, Convention)
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a dict such as {{'lr': 0.1}}, got {settings!r}")
    defaults = DEFAULTS[convention]
    unknown = [name for name in settings if name not in defaults]
    if unknown:
        raise ValueError(f"{convention} has no setting {unknown[0]!r} here; pass {', '.join(defaults)}")
    given = defaults | dict(settings)
    for name, value in given.items():
        if value is None:
            raise ValueError(f"{name} is missing from the {convention} settings; pass {', '.join(defaults)}")
    name = "lr" if "lr" in given else "learning_rate"
    rate = _check.positive(name, given[name], "choose a learning rate above 0")
    beta = _check.momentum(given["momentum"])
    if convention == "ema":
        return _Rule(rate * (1.0 - beta), beta)
    if convention == "qhm":
        nu = _check.number("nu", given["nu"], "nu=1 is the normalised heavy ball, nu=momentum Nesterov")
        return _Rule(rate, 0.0) if beta == 0.0 or nu == 0.0 else _Rule(rate * (1.0 - beta), beta, nu)
    nesterov = _check.boolean("nesterov", given.get("nesterov", False))
    dampening = _check.number("dampening", given.get("dampening", 0.0), "torch's default is 0")
    if dampening >= 1.0:
        raise ValueError(
            f"dampening must be below 1, got {dampening!r}; the learning rate lr (1 - dampening) must be > 0"
        )
    if nesterov and convention == "torch" and (beta == 0.0 or dampening != 0.0):
        raise ValueError(
            f"nesterov=True needs momentum > 0 and dampening 0 in torch, got {beta!r} and {dampening!r}; "
            "set nesterov=False"
        )
    if beta == 0.0:
        return _Rule(rate, 0.0)
    return _Rule(rate * (1.0 - dampening), beta, beta if nesterov else 1.0, dampening != 0.0)


def _write(rule: _Rule, convention: Convention, name: str) -> dict[str, Any]:
    _check.choice(name, convention, Convention)
    defaults = DEFAULTS[convention]
    if convention == "qhm":
        return {"lr": rule.alpha / (1.0 - rule.beta), "momentum": rule.beta, "nu": rule.nu}
    if rule.nu != 1.0 and not (rule.nesterov and "nesterov" in defaults):
        kind = "Nesterov momentum" if rule.nesterov else f"quasi-hyperbolic momentum with nu={rule.nu!r}"
        raise ValueError(
            f"{kind} is no reparametrisation of the heavy ball, so that {convention!r} (and SGD, which is nu=1) cannot "
            "express it; target='qhm' can, with nu=momentum for Nesterov"
        )
    rate = rule.alpha / (1.0 - rule.beta) if convention == "ema" else rule.alpha
    written = {"lr" if "lr" in defaults else "learning_rate": rate, "momentum": rule.beta}
    if "dampening" in defaults:
        written["dampening"] = 0.0
    if "nesterov" in defaults:
        written["nesterov"] = rule.nesterov
    return written
