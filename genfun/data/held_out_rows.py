"""Rows that are held out of a file, or of the digits, and treated by what the training rows gave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Int, Progress
from genfun.data.digits import MnistPath, mnist_model, mnist_rows
from genfun.data.files import Kernel, Table, read
from genfun.data.linear import LinearData
from genfun.data.prepared import Recipe, like_arrays, linear_data
from genfun.data.tables import Choices, Numbers, numbers

LEAST = 2
"""Rows for training, and one more held out."""


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Data to train on, and rows that are held out, as `genfun.predict_test` takes them.

    Parameters
    ----------
    data : LinearData
        Of the training rows alone.
    X_test : array or sparse matrix, shape (n, d)
        Held-out features, treated by what the training rows gave; of a kernel K(test, train).
    y_test : array, shape (n,) or (n, outputs)
        Their targets.
    X_train : array, sparse matrix or None
        The training features; None for a kernel.

    Examples
    --------
    >>> split = split_mnist(0.25, n=40)
    >>> split.data.n_samples, split.X_test.shape
    (30, (10, 30))
    """

    data: LinearData
    X_test: Any
    y_test: Any
    X_train: Any


def chosen_rows(n: int, holdout: float, seed: int = 0) -> tuple[Int[Array, " train"], Int[Array, " test"]]:
    """Positions for training and held out, drawn at random, each in their order.

    Parameters
    ----------
    n : int
        All rows.
    holdout : float
        Share of them that is held out, between 0 and 1.
    seed : int
        Of the draw.

    Raises
    ------
    ValueError
        If the share is not between 0 and 1, or leaves fewer than 2 rows for training.

    Examples
    --------
    >>> [len(part) for part in chosen_rows(10, 0.2)]
    [8, 2]
    """
    share = _check.positive("holdout", holdout, "0.2 holds out a fifth of the rows")
    if share >= 1.0:
        raise ValueError(
            f"holdout must be below 1, a share of the rows, got {holdout!r}; 0.2 holds out a fifth of them"
        )
    count = max(1, round(share * n))
    if n - count < LEAST:
        raise ValueError(f"holdout={holdout!r} leaves {n - count} of {n} rows for training; hold out fewer")
    order = np.random.default_rng(_check.integer("seed", seed, 0)).permutation(n)
    return np.sort(order[count:]), np.sort(order[:count])


def split_file(source: Any, choices: Choices, test: Any = None, holdout: float | None = None, seed: int = 0) -> Split:
    """A file and held-out rows, of another file or drawn from the same.

    Means, deviations, constant columns, categories and classes are those of the training rows: what is learnt from rows
    that are held out would make them look better known than new ones are.

    Parameters
    ----------
    source : path or DataFrame
        As for `genfun.data.load`.
    choices : Choices
        How it is read.
    test : path, DataFrame or None
        Held-out rows with the same columns.
    holdout : float or None
        Share of the rows that is held out, in place of `test`.
    seed : int
        Of the draw.

    Raises
    ------
    ValueError
        If neither or both are given, columns differ, or the file holds a spectrum.
    """
    if (test is None) == (holdout is None):
        raise ValueError(f"give either test or holdout, got {'neither' if test is None else 'both'}")
    found = read(source, None, choices)
    if isinstance(found, Table):
        return _of_table(found, choices, test, holdout, seed)
    if isinstance(found, Kernel):
        if holdout is None:
            raise ValueError("test rows of a kernel need the kernel between them and the training rows; use holdout")
        train, rest = chosen_rows(len(found.values), holdout, seed)
        data = LinearData.from_kernel(found.values[np.ix_(train, train)], found.targets[train])
        return _told(Split(data, found.values[np.ix_(rest, train)], found.targets[rest], None))
    if not isinstance(found, Numbers):
        raise ValueError(f"{source} holds a spectrum, which has no rows to hold out; give the features and targets")
    if holdout is not None:
        train, rest = chosen_rows(found.features.shape[0], holdout, seed)
        return _of_numbers(_rows(found, train), _rows(found, rest), choices)
    other = read(test, None, replace(choices, classes=False))
    if not isinstance(other, Numbers):
        raise ValueError(f"{test} must hold features and targets in the form of the training rows, X and y")
    return _of_numbers(found, like_arrays(other, found), choices)


def _of_table(found: Table, choices: Choices, test: Any, holdout: float | None, seed: int) -> Split:
    if holdout is None:
        other = read(test, None, choices)
        if not isinstance(other, Table):
            raise ValueError(f"{test} must be a table, as the training rows are")
    else:
        train, rest = chosen_rows(len(found.frame), holdout, seed)
        found, other = (found._replace(frame=found.frame.iloc[index]) for index in (train, rest))
    seen = numbers(found.where, found.frame, choices)
    return _of_numbers(seen, numbers(other.where, other.frame, choices, seen), choices)


def _of_numbers(train: Numbers, test: Numbers, choices: Choices) -> Split:
    data, recipe = linear_data(train, choices), Recipe.of(train, choices)
    return _told(Split(data, recipe(test.features), test.targets, recipe(train.features)))


def _rows(found: Numbers, index: Int[Array, " n"]) -> Numbers:
    return replace(found, features=found.features[index], targets=found.targets[index], notes=list(found.notes))


def _told(split: Split) -> Split:
    note = f"{split.X_test.shape[0]} rows are held out, {split.data.n_samples} are trained on"
    return replace(split, data=replace(split.data, notes=(note, *split.data.notes)))


def split_mnist(
    holdout: float,
    n: int = 1000,
    seed: int = 0,
    model: str = "ntk",
    path: MnistPath = None,
    progress: Progress | None = None,
    split_seed: int = 0,
) -> Split:
    """Digits, of which some are held out; pixels and labels are standardised by the mean and deviation of the others.

    Parameters
    ----------
    holdout : float
        Share that is held out.
    n, seed, model, path, progress
        As for `genfun.data.mnist`; n counts all digits.
    split_seed : int
        Of the draw of those that are held out.
    """
    x, y = mnist_rows(n, seed, model, path)
    train, test = chosen_rows(len(y), holdout, split_seed)
    return _told(Split(*mnist_model(x[train], y[train], model, progress, (x[test], y[test]))))
