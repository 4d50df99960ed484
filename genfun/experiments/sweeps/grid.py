"""The settings of a grid of learning rates, momenta and batch sizes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from genfun import _check
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor

AXES = ("learning_rate", "momentum", "batch_size")


def axes_of(grid: Any, n: int) -> dict[str, tuple[Any, ...]]:
    """The values of each axis, in order, checked; None as a batch size becomes N."""
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid must be a mapping such as {{'learning_rate': [0.1, 0.2]}}, got {type(grid).__name__}")
    if unknown := sorted(set(grid) - set(AXES)):
        raise ValueError(f"grid has no axis {unknown[0]!r}; its axes are {', '.join(AXES)}")
    if "learning_rate" not in grid:
        raise ValueError("grid must have learning rates, e.g. {'learning_rate': [0.1, 0.2]}")
    axes: dict[str, tuple[Any, ...]] = {}
    for axis, default in zip(AXES, (None, [0.0], [None]), strict=True):
        values = grid.get(axis, default)
        if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str) or np.ndim(np.array(values)) != 1:
            raise TypeError(f"grid[{axis!r}] must be a sequence of numbers, got {values!r}")
        if len(values) == 0:
            raise ValueError(f"grid[{axis!r}] is empty; pass at least one value")
        if axis == "batch_size":
            axes[axis] = tuple(n if b is None else _check.integer("batch_size", b, 1) for b in values)
        else:
            # Adding 0 turns -0.0 into 0.0, which is the same setting.
            axes[axis] = tuple(_check.number(axis, x) + 0.0 for x in values)
        if twice := [x for x, times in Counter(axes[axis]).items() if times > 1]:
            raise ValueError(
                f"grid[{axis!r}] has {twice[0]!r} twice{' (None is N)' if twice[0] == n else ''}; drop one"
            )
    for setting in settings_of(axes):
        sampling_factor(setting.batch_size, n, setting.replacement)
    return axes


def settings_of(axes: Mapping[str, tuple[Any, ...]]) -> Iterator[SGD]:
    """All settings, the last axis fastest."""
    return itertools.starmap(SGD, itertools.product(*axes.values()))
