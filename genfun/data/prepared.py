"""Features centred, scaled and with an intercept; and hints where the data ask for one of these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun._display import plain, several
from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.data.tables import Choices, Numbers, one_hot

UNEVEN = 10.0
"""Ratio of the sizes of columns from which they are said to differ."""
WORTH = 0.1
"""Part of the residual variance that an intercept must take off to be mentioned."""
LABELS = 20
"""Most different whole numbers in a target that may be labels; there must be this many rows for each."""


def linear_data(found: Numbers, choices: Choices) -> LinearData:
    """The data of a table, with what was done to it and hints as notes.

    Parameters
    ----------
    found : Numbers
    choices : Choices
        standardize and intercept.
    """
    constant = _of_constant_targets(found)
    if found.plain:
        data = LinearData.from_features(found.features, found.targets)
        return replace(data, notes=(*constant, *data.notes)) if constant else data
    hints = constant if hasattr(found.features, "toarray") else [*constant, *_of_columns(found, choices)]
    recipe = Recipe.of(found, choices)
    data = LinearData.from_features(recipe(found.features), found.targets)
    if not choices.intercept:
        hints += _of_intercept(data, found.target, choices.classes)
    if not choices.classes:
        hints += _of_labels(found)
    return replace(data, notes=(*found.notes, *recipe.notes, *hints, *data.notes))


def of_arrays(X: Any, y: Any, choices: Choices) -> Numbers:
    """Features and targets without names; without choices they are taken as they are.

    Parameters
    ----------
    X : array or sparse matrix, shape (n, d)
    y : array, shape (n,) or (n, outputs)
    choices : Choices
        standardize, intercept and classes.
    """
    if not (choices.standardize or choices.intercept or choices.classes):
        return Numbers(X, y, [], np.zeros(0, dtype=bool), "y", plain=True)
    notes, levels = [], {}
    if choices.classes:
        if y.ndim != 1:
            raise ValueError(f"classes needs one label a sample, got y of shape {y.shape}")
        y, values = one_hot(y)
        notes.append(f"y is a class: a target of 0 and 1 for each of {len(values)}")
        levels = {"y": values}
    count = X.shape[1]
    targets = np.asarray(y, dtype=np.float64).reshape(X.shape[0], -1)
    return Numbers(X, targets, list(range(count)), np.full(count, True), "y", notes, levels)


def like_arrays(found: Numbers, train: Numbers) -> Numbers:
    """Held-out arrays with the classes of the training rows.

    Parameters
    ----------
    found : Numbers
        Read without classes.
    train : Numbers
        Of the training rows.
    """
    width, count = train.features.shape[1], found.features.shape[1]
    if count != width:
        raise ValueError(f"held-out rows must have the {width} features of the training rows, got {count}")
    known = train.levels.get("y")
    targets = np.asarray(found.targets)
    if known is not None:
        return replace(found, targets=one_hot(targets.reshape(targets.shape[0]), known)[0])
    return replace(found, targets=targets.reshape(targets.shape[0], *np.shape(train.targets)[1:]))


@dataclass(frozen=True)
class Recipe:
    """What is done to the features of any rows, learnt from the training rows alone.

    Parameters
    ----------
    moved, divided : array, shape (d,), or None
        What is taken off each column, and what it is divided by then; None leaves all columns as they are.
    kept : array of bool, shape (d,), or None
        Columns that stay.
    intercept : bool
        Whether a column of ones goes before.
    notes : tuple of str
        What is done, in words.
    """

    moved: Any
    divided: Any
    kept: Any
    intercept: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, found: Numbers, choices: Choices) -> Recipe:
        """Amounts get mean 0 and standard deviation 1; those that are constant are left out.

        Parameters
        ----------
        found : Numbers
            The training rows.
        choices : Choices
            standardize and intercept.
        """
        last = ("a column of ones was added as the intercept",) if choices.intercept else ()
        if not choices.standardize:
            return cls(None, None, None, choices.intercept, last)
        X = _dense(found.features)
        mean, spread = X.mean(axis=0), X.std(axis=0)
        constant = found.amounts & (spread <= 1e-12 * np.abs(X).max(axis=0))
        if constant.all():
            raise ValueError("standardize: every column is constant; there is nothing to learn from")
        amounts = found.amounts & ~constant
        count = int(amounts.sum())
        have = "has" if count == 1 else "have"
        notes = [f"standardized: {several(count, 'columns')} {have} mean 0 and standard deviation 1"]
        if constant.any():
            notes.append(f"constant, left out: {_named(found.names, constant)}")
        moved, divided = np.where(amounts, mean, 0.0), np.where(amounts, spread, 1.0)
        return cls(moved, divided, ~constant, choices.intercept, (*notes, *last))

    def __call__(self, features: Any) -> Any:
        """The features as training sees them.

        Parameters
        ----------
        features : array or sparse matrix, shape (n, d)
        """
        if self.kept is not None:
            features = ((_dense(features) - self.moved) / self.divided)[:, self.kept]
        return _with_ones(features) if self.intercept else features


def _dense(features: Any) -> Float[Array, "n d"]:
    whole = features.toarray() if hasattr(features, "toarray") else features
    return np.asarray(whole, dtype=np.float64)


def _with_ones(features: Any) -> Any:
    ones = np.ones((features.shape[0], 1))
    if hasattr(features, "toarray"):
        from scipy.sparse import csr_array, hstack

        return hstack([csr_array(ones), features], format="csr")
    return np.hstack([ones, features])


def _named(names: list[Any], chosen: Any, most: int = 4) -> str:
    told = [repr(name) for name, one in zip(names, chosen, strict=True) if one]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


def _of_columns(found: Numbers, choices: Choices) -> list[str]:
    X, hints = found.features, []
    constant = np.ptp(X, axis=0) == 0.0
    counting = _counting(X)
    if counting.any():
        hints.append(f"column {_named(found.names, counting)} counts the rows; if it is an index, leave it out by drop")
    if constant.any() and not choices.standardize:
        one = "works as an intercept" if not choices.intercept else "is an intercept beside the one added"
        if constant.sum() == 1:
            hints.append(f"column {_named(found.names, constant)} is constant and {one}; drop leaves it out")
        else:
            hints.append(f"columns {_named(found.names, constant)} are constant, and each {one}; drop leaves them out")
    # A rare category is no small column: where it is 1, it is 1.
    with np.errstate(over="ignore"):  # what doubles do not hold is refused where the data are made
        sizes = np.where(found.amounts, np.sqrt(np.mean(X**2, axis=0)), 1.0)
    seen = ~constant & (sizes > 0.0)
    if not choices.standardize and (seen & found.amounts).any():
        ratio = sizes[seen].max() / sizes[seen].min()
        if ratio > UNEVEN:
            low = np.flatnonzero(seen)[sizes[seen].argmin()]
            high = np.flatnonzero(seen)[sizes[seen].argmax()]
            hints.append(
                f"columns differ {plain(ratio, 2)} times in size, from {found.names[low]!r} to {found.names[high]!r}, "
                "and the steps that SGD needs grow with the square of that; standardize makes them even"
            )
    return hints


def _counting(X: Float[Array, "n d"]) -> Any:
    """Columns of growing whole numbers from about 0 to about the number of rows, of which some may be missing."""
    n = X.shape[0]
    if n < 4:
        return np.zeros(X.shape[1], dtype=bool)
    whole = (np.round(X) == X).all(axis=0) & (np.diff(X, axis=0) >= 1.0).all(axis=0)
    return whole & (X[0] >= 0.0) & (X[0] <= 1.0 + 0.1 * n) & (X[-1] <= 1.5 * n)


def _of_intercept(data: LinearData, target: str, classes: bool) -> list[str]:
    r"""By Frisch-Waugh: 1 as a further feature takes (1^T r)^2/(N 1^T M 1) off sigma^2, M 1 what features leave of 1.

    .. math:: 1^TM1 = N - \sum_k\frac{(\varphi_k^T1)^2}{N\lambda_k}
    """
    if not data.store.whole or not data.noise_variance > 0.0:
        return []
    n, sums = data.n_samples, data.eigenfeatures.sum(axis=0)
    left = n - float(np.sum(sums**2 / (n * data.eigenvalues)))
    if left < 1e-8 * n:
        return []
    gain = float(np.sum(data.residuals.sum(axis=0) ** 2)) / (n * left)
    if gain < WORTH * data.noise_variance:
        return []
    before, after = 0.5 * data.noise_variance, 0.5 * max(data.noise_variance - gain, 0.0)
    mean = data.targets.mean(axis=0)
    of = (
        f"{target!r} has mean {mean[0]:.4g}"
        if mean.size == 1
        else f"{'classes' if classes else 'columns'} of {target!r} do not have mean 0"
    )
    return [
        f"{of} and there is no intercept: with one the least loss is {after:.4g} instead of {before:.4g}; "
        "intercept adds it"
    ]


def _of_constant_targets(found: Numbers) -> list[str]:
    """A hint about each output that is the same in every row."""
    y = np.asarray(found.targets, dtype=np.float64)
    y = y.reshape(y.shape[0], -1)
    same = np.flatnonzero((y == y[:1]).all(axis=0)) if y.shape[0] > 1 else np.zeros(0, dtype=int)
    chosen = found.columns[1] if y.shape[1] > 1 else [found.target]
    names = chosen if len(chosen) == y.shape[1] else range(y.shape[1])
    return [
        f"the target {names[i]!r} is {y[0, i]:.6g} in every row: nothing of it can be learned but an intercept"
        for i in same
    ]


def _of_labels(found: Numbers) -> list[str]:
    hints = []
    y = found.targets
    if y.shape[1] == 1 and np.array_equal(y, np.round(y)):
        count = np.unique(y).size
        if 3 <= count <= LABELS and y.shape[0] >= LABELS * count:
            hints.append(
                f"the target {found.target!r} has {count} different whole values; if they are labels and no amounts, "
                "classes makes a target of each"
            )
    return hints
