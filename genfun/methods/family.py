"""A class of methods as a search walks over it: learning rate, momentum and batch size vary, the rest is kept."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array
from genfun.methods.base import Method
from genfun.methods.sgd import SGD


def in_fresh_batches(method: Any) -> Any:
    """The same method with batches that are drawn anew at every step, where it shuffles once an epoch.

    Parameters
    ----------
    method : Method or Averaged

    Examples
    --------
    >>> in_fresh_batches(SGD(0.1, batch_size=5, sampling="epochs"))
    SGD(learning_rate=0.1, momentum=0.0, batch_size=5, replacement=False)
    """
    if getattr(method, "sampling", "fresh") != "epochs":
        return method
    inner = getattr(method, "method", None)
    return replace(method, sampling="fresh") if inner is None else replace(method, method=in_fresh_batches(inner))


def batch_of(method: Any, batch_size: int | None) -> int | None:
    """The batch size of a search: that given beside the method, or the method's own; never two that differ.

    Parameters
    ----------
    method : Method, Averaged or None
        The template of the search, if there is one.
    batch_size : int or None
        As given beside it.

    Raises
    ------
    ValueError
        If both are given and differ.

    Examples
    --------
    >>> batch_of(SGD(0.1, 0.9, 5), None), batch_of(SGD(0.1, 0.9), 7), batch_of(None, None)
    (5, 7, None)
    """
    own = getattr(method, "batch_size", None)
    if batch_size is not None and own is not None and batch_size != own:
        raise ValueError(
            f"batch_size={batch_size!r} differs from {own}, the method's own; leave one of them out, got {method!r}"
        )
    return own if batch_size is None else batch_size


@dataclass(frozen=True)
class Family:
    """All settings of a method that differ in learning rate, momentum and batch size.

    Parameters
    ----------
    template : Method
        A dataclass with the fields learning_rate and batch_size; its other fields but momentum are kept. Without a
        field momentum in (-1, 1) only the learning rate is searched.

    Raises
    ------
    TypeError
        If the template is no such dataclass.

    Examples
    --------
    >>> Family(SGD(1.0, replacement=True)).at(0.1, 0.9, 10)
    SGD(learning_rate=0.1, momentum=0.9, batch_size=10, replacement=True)
    """

    template: Method = field(default_factory=lambda: SGD(1.0))

    def __post_init__(self) -> None:
        if isinstance(self.template, type) or not is_dataclass(self.template):
            name = getattr(self.template, "__qualname__", repr(self.template))
            remedy = f"; write {name}(...) with its arguments" if callable(self.template) else ""
            raise TypeError(
                f"method must be a dataclass, such as SGD(1.0), where settings are searched, got {name}{remedy}"
            )
        _check.method(self.template)
        options, sampling = (getattr(self.template, x, "") for x in ("options", "sampling"))
        if options or sampling == "epochs":
            raise ValueError(
                f"method must not have {options or 'sampling=epochs'} where settings are searched, "
                f"got {self.template!r}; search without, and predict single settings with it"
            )
        missing = {"learning_rate", "batch_size"} - {f.name for f in fields(self.template)}
        if missing:
            raise TypeError(f"method must have the fields learning_rate and batch_size, got {self.template!r}")

    @property
    def kind(self) -> type[Any]:
        """The class."""
        return type(self.template)

    @property
    def has_momentum(self) -> bool:
        """Whether there is a momentum to search."""
        return any(f.name == "momentum" for f in fields(self.template))  # pyright: ignore[reportArgumentType]

    def at(self, learning_rate: float, momentum: float, batch_size: int | None) -> Any:
        """One setting.

        Parameters
        ----------
        learning_rate, momentum : float
        batch_size : int or None
        """
        changes: dict[str, Any] = {"learning_rate": learning_rate, "batch_size": batch_size}
        if self.has_momentum:
            changes["momentum"] = momentum
        return replace(self.template, **changes)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def hyper(self, momenta: Array) -> tuple[Array, ...]:
        """The hyperparameters as the method orders them, each of the shape of the momenta.

        Parameters
        ----------
        momenta : array, any shape
        """
        betas = np.array(momenta, dtype=np.float64)
        if self.kind is SGD and (np.abs(betas) < 1.0).all():
            return (betas,)  # a thousand methods take longer than the answer that they are made for
        each, place = np.unique(momenta, return_inverse=True)
        table = np.array([self.at(1.0, float(beta), None).hyperparameters for beta in each], dtype=np.float64)
        return tuple(column[place.reshape(np.shape(momenta))] for column in table.reshape(each.size, -1).T)
