"""A user's own runs laid over a prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.own_runs.columns import ALIASES, RUN, find, measured, named, plain, read

FEW = 6
"""Steps of the file that are told where none were asked for."""
CLOSE = 0.1
"""Relative distance within which the runs start where another convention of the loss would have them."""
SPREAD = "__MIN", "__MAX"
"""Columns that W&B writes beside each curve."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """Measured losses of one or several runs.

    Parameters
    ----------
    path : Path
    runs : dict of str to (steps, losses)
        Each by growing step.
    """

    path: Path
    runs: dict[str, tuple[Float[Array, " t"], Float[Array, " t"]]]

    @property
    def steps(self) -> Float[Array, " t"]:
        """Steps at which all runs were measured; of runs with no common step, all steps."""
        every = [steps for steps, _ in self.runs.values()]
        common = every[0]
        for steps in every[1:]:
            common = np.intersect1d(common, steps)
        return common if common.size else np.unique(np.concatenate(every))

    def mean(self, steps: Any) -> Float[Array, " t"]:
        """Mean loss of the runs, linear between measured steps; nan where a run has none on either side.

        Parameters
        ----------
        steps : array
        """
        return np.mean(self._at(steps), axis=0)

    def error(self, steps: Any) -> Float[Array, " t"]:
        """Standard error of that mean; nan of a single run.

        Parameters
        ----------
        steps : array
        """
        at = self._at(steps)
        return at.std(axis=0, ddof=1) / np.sqrt(len(at)) if len(at) > 1 else np.full(at.shape[1], np.nan)

    def _at(self, steps: Any) -> Float[Array, "runs t"]:
        at = np.asarray(steps, dtype=float)
        with np.errstate(invalid="ignore"):
            return np.array([np.interp(at, t, loss, np.nan, np.nan) for t, loss in self.runs.values()])

    def chosen(self) -> tuple[int, ...]:
        """A few of the steps, evenly on a logarithmic scale."""
        steps = self.steps
        wanted = np.geomspace(max(1.0, steps[0]), max(1.0, steps[-1]), FEW)
        return tuple(int(t) for t in np.unique(steps[np.abs(steps[:, None] - wanted).argmin(axis=0)]))

    def words(self, predict: Callable[[Any], Any], outputs: int) -> list[str]:
        """How the runs compare with the prediction.

        Parameters
        ----------
        predict : callable
            From steps to losses.
        outputs : int
            Of a sample, for the hint about `torch.nn.MSELoss`.
        """
        steps = self.steps
        if steps.size > 50:
            steps = np.unique(steps[np.rint(np.geomspace(1, steps.size, 50)).astype(int) - 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.mean(steps) / predict(steps.astype(int))
        known = np.isfinite(ratio)
        count = f"{len(self.runs)} run{'s' if len(self.runs) > 1 else ''}"
        if not known.any():
            return [f"{self.path.name}: {count}, none of it finite where the prediction is"]
        first, last = ratio[known][0], ratio[known][-1]
        told = [
            f"{self.path.name}: {count}; measured over predicted {first:.4g} at step {steps[known][0]:,.0f}, "
            f"{last:.4g} at step {steps[known][-1]:,.0f}, between {ratio[known].min():.4g} and {ratio[known].max():.4g}"
        ]
        unit = 2.0 / outputs
        if abs(first / unit - 1.0) < CLOSE < abs(first - 1.0):
            told.append(
                f"note: the runs start {unit:.4g} times higher, as torch.nn.MSELoss does, which has no 1/2 and "
                f"averages over outputs: take {1.0 / unit:.4g} times its losses and {unit:.4g} times its learning rate"
            )
        return told


def read_runs(path: Path) -> Overlay:
    """Runs from a table with the columns step and loss, and perhaps one that tells runs apart, or one for each run.

    Parameters
    ----------
    path : Path
        As for `genfun.own_runs.columns.read`; W&B's export of a chart has a column "NAME - loss" for each run.
    """
    frame = read(path)
    step, loss = find(path, frame, "steps", None, "calling it step"), find(path, frame, "loss")
    columns = {"": loss}
    if loss is None:
        parts = {name: str(name).rsplit(" - ", 1) for name in frame.columns if not str(name).endswith(SPREAD)}
        columns = {
            part[0]: name for name, part in parts.items() if plain(part[-1]) in ALIASES["loss"] and len(part) > 1
        }
        if not columns:
            find(path, frame, "loss", None, "calling it loss")
    groups = named(frame, RUN)[:1] if loss is not None else []
    runs: dict[str, Any] = {}
    for name, column in columns.items():
        t, values = np.array(measured(path, frame, step)), np.array(measured(path, frame, column, censored=True))
        of = [name] * len(t) if not groups else [str(label) for label in frame[groups[0]]]
        for one in dict.fromkeys(of):
            mine = np.array([label == one for label in of]) & ~np.isnan(values)
            order = np.argsort(t[mine], kind="stable")
            if mine.any():
                runs[one] = t[mine][order], values[mine][order]
    if not runs:
        raise ValueError(f"{path} has no losses; write a line for every step")
    return Overlay(path, runs)
